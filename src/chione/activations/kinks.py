"""Find where a function or one of its first three derivatives jumps.

The line is cut into panels; a panel on which 24 Chebyshev points do not resolve the function is
bisected down to a narrow cluster. On both sides of the cluster the function is fitted again, and
the two fits are compared: the order is the first derivative in which they differ, the place is
where the derivative below it agrees. A value jump is bisected to neighbouring floats. Every find
is confirmed: left of the place f must follow the left fit, right of it the right one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from chione.activations.chebyshev import (
    N,
    Panels,
    Side,
    Subject,
    evaluate,
    refine,
    side_fit,
    subject,
    without_noise,
)
from chione.base import EPS, Array

REACH = 64.0  # the search goes from -REACH to REACH
NARROWEST = 1.0 / 64.0  # on wider panels even a jump of the third derivative shows
MOST_PANELS = 6000
FAR_REACH = 1e4
MOST_KINKS_IN_NOISE = 32
SHIFT = 0.381  # of the second set of panels: no edge near one of the first, nor when halved
HIDDEN = 2e-3  # part of a panel's width between its last node and its edge, and a little more
POINTLIKE = 1e-4  # a break that is confined to less, and is no kink, is a singular point


@dataclass(frozen=True)
class Kink:
    """One place where a function breaks.

    Parameters
    ----------
    at : float
        The place.
    order : int
        First derivative that jumps (0 is the value); -1 for a singular point such as that of
        the square root of abs(x).
    error : float
        Bound on the error of the place.
    """

    at: float
    order: int
    error: float


@dataclass(frozen=True)
class KinkSearch:
    """Outcome of a search.

    Parameters
    ----------
    kinks : tuple of Kink
        In ascending order.
    smooth : bool
        Whether the function is smooth between them to the resolution of the search.
    panels : Panels or None
        The fits between the kinks, as far as the search went.
    """

    kinks: tuple[Kink, ...]
    smooth: bool
    panels: Panels | None


def find_kinks(function: Callable[[Array], Array]) -> KinkSearch:
    """Search [-64, 64] thoroughly, and out to 10^4 on panels that grow.

    Parameters
    ----------
    function : callable
        (n,) -> (n,), float64.
    """
    f = subject(function)
    near, shifted = (
        refine(f, _near_edges(shift), narrowest=NARROWEST, most=MOST_PANELS)
        for shift in (0.0, SHIFT)
    )
    if near is None or shifted is None:
        return KinkSearch((), False, None)
    kinks, smooth = _search(f, near, shifted)
    if smooth:
        for edges in _far_edges():
            far = refine(f, edges, narrowest=NARROWEST * REACH, most=MOST_PANELS)
            if far is not None:
                kinks += _search(f, far)[0]
    if not smooth and len(kinks) > MOST_KINKS_IN_NOISE:
        kinks = []  # steps of rounding, as in a function that computes in float32
    plain = [Kink(float(k.at), k.order, float(k.error)) for k in kinks]
    return KinkSearch(tuple(sorted(plain, key=lambda k: k.at)), smooth, near)


def _near_edges(shift: float = 0.0) -> Array:
    """About 250 panels, with edges at no short decimal, moved by `shift` of a panel."""
    edges: Array = np.linspace(-REACH, REACH, 251) + 0.0123456789 * np.pi / 3.0
    edges += shift * (edges[1] - edges[0])
    edges[[0, -1]] = -REACH, REACH
    return edges


def _far_edges() -> tuple[Array, Array]:
    grid = np.geomspace(REACH, FAR_REACH, 40) * (1.0 + 1e-3 / np.pi)
    grid = np.r_[REACH, grid[1:]]
    return -grid[::-1], grid


def _search(f: Subject, leaves: Panels, again: Panels | None = None) -> tuple[list[Kink], bool]:
    """Kinks of one set of panels; what only the other set shows lies near an edge of the first."""
    clusters = _clusters(leaves)
    for low, high, certain in _clusters(again) if again is not None else []:
        if not any(low <= b and a <= high for a, b, _ in clusters):
            clusters = sorted([*clusters, (low, high, certain)])
    kinks: list[Kink] = []
    smooth = True
    for i, (low, high, certain) in enumerate(clusters):
        left_limit = clusters[i - 1][1] if i else float(leaves.low[0])
        right_limit = clusters[i + 1][0] if i + 1 < len(clusters) else float(leaves.high[-1])
        found = _examine(f, low, high, left_limit, right_limit, depth=0)
        if found is None and certain:
            smooth = False
        kinks += found or []
    return kinks, smooth


def _clusters(leaves: Panels) -> list[tuple[float, float, bool]]:
    """Suspicious intervals: runs of unresolved leaves, and edges where neighbours disagree."""
    out: list[tuple[float, float, bool]] = []
    bad = ~leaves.resolved & leaves.finite
    for k in np.flatnonzero(bad):
        low, high = float(leaves.low[k]), float(leaves.high[k])
        if out and out[-1][1] == low:
            out[-1] = (out[-1][0], high, True)
        else:
            out.append((low, high, True))
    for at, width in _disagreements(leaves):
        if not any(low <= at <= high for low, high, _ in out):
            margin = HIDDEN * width
            out.append((at - margin, at + margin, False))
    return sorted(out)


def _disagreements(leaves: Panels) -> list[tuple[float, float]]:
    """Shared edges at which neighbours differ beyond the noise, with the width of the wider."""
    n = len(leaves.low)
    index = np.arange(n - 1)
    usable = leaves.resolved[:-1] & leaves.resolved[1:]
    at = leaves.high[:-1]
    noise = leaves.noise[:-1] + leaves.noise[1:]
    widths = leaves.high - leaves.low
    narrower = np.minimum(widths[:-1], widths[1:])
    apart = np.zeros(n - 1, dtype=bool)
    clean = replace(leaves, coefficients=without_noise(leaves))
    degree = np.max(np.where(clean.coefficients != 0.0, np.arange(1, N + 1), 2), axis=1)
    steepness = np.maximum(degree[:-1], degree[1:]).astype(np.float64) ** 2
    for order in range(4):
        gap = evaluate(clean, index + 1, at, order) - evaluate(clean, index, at, order)
        size = np.sqrt(steepness) * steepness**order * noise / narrower**order
        apart |= np.abs(gap) > 20.0 * size
    suspicious = usable & apart
    wider = np.maximum(widths[:-1], widths[1:])
    return list(zip(at[suspicious].tolist(), wider[suspicious].tolist(), strict=True))


def _examine(
    f: Subject, low: float, high: float, left_limit: float, right_limit: float, depth: int
) -> list[Kink] | None:
    """The kinks inside [low, high]; None if the function cannot be understood there."""
    kink = _single(f, low, high, left_limit, right_limit)
    if kink is not None:
        return [kink]
    if depth == 3:
        return _singular(f, low, high)
    # several kinks in one cluster: look again with finer panels
    margin = 0.05 * (high - low)
    edges = np.linspace(low - margin, high + margin, 14) + 1e-3 * margin / np.pi
    leaves = refine(f, edges, narrowest=(high - low) / 64.0, most=2000)
    if leaves is None:
        return None
    inner = _clusters(leaves)
    if not inner:
        return [] if high - low > POINTLIKE else _singular(f, low, high)
    out: list[Kink] = []
    for i, (a, b, _) in enumerate(inner):
        before = inner[i - 1][1] if i else left_limit
        after = inner[i + 1][0] if i + 1 < len(inner) else right_limit
        found = _examine(f, a, b, before, after, depth + 1)
        if found is None:
            return None
        out += found
    return out


def _single(
    f: Subject, low: float, high: float, left_limit: float, right_limit: float
) -> Kink | None:
    """The one kink in [low, high], if both sides and the inside agree that there is one."""
    kink: Kink | None = None
    for _ in range(3):  # each pass brings the two fits closer to the place
        smallest = max(high - low, 1e-9 * max(1.0, abs(low)))
        left = side_fit(f, low, -1, min(1.0, low - left_limit), smallest)
        right = side_fit(f, high, 1, min(1.0, right_limit - high), smallest)
        if left is None or right is None:
            return kink
        found = _compare(f, low, high, left, right)
        if found is None or not _confirmed(f, low, high, left, right, found):
            return kink
        kink = found
        if kink.order == 0:
            return kink
        margin = max(20.0 * kink.error, 1e-7 * max(1.0, abs(kink.at)))
        if margin > 0.3 * (high - low):
            break
        low, high = kink.at - margin, kink.at + margin
    return kink


def _compare(f: Subject, low: float, high: float, left: Side, right: Side) -> Kink | None:
    """Order and place from the two fits; the highest order that explains the cluster wins."""

    def gap(x: Array, order: int) -> tuple[Array, Array]:
        difference = right.derivative(x, order) - left.derivative(x, order)
        return difference, right.error(x, order) + left.error(x, order)

    x = np.linspace(low - 0.1 * (high - low), high + 0.1 * (high - low), 41)
    for order in (3, 2, 1):
        at = _root(gap, order - 1, x)
        if at is None:
            continue
        here = [gap(np.array([at]), j) for j in range(order + 1)]
        slope, slope_error = float(np.abs(here[order][0][0])), float(here[order][1][0])
        all_slopes, all_errors = gap(np.linspace(low, high, 17), order)
        if slope <= 10.0 * slope_error or np.any(np.abs(all_slopes) <= 3.0 * all_errors):
            continue
        if any(abs(value[0]) > 4.0 * error[0] for value, error in here[: order - 1]):
            continue
        place_error = float(here[order - 1][1][0]) / slope + 4.0 * EPS * abs(at)
        return Kink(_snap(at, place_error), order, place_error)
    value, value_error = gap(x, 0)
    sizes = np.abs(value)
    # a jump is nearly constant over the cluster, the trace of a higher order is not
    if np.min(sizes - 10.0 * value_error) > 0.0 and np.min(sizes) > 0.3 * np.max(sizes):
        return _bisect_jump(f, low, high, left, right)
    return None


def _root(gap: Callable[[Array, int], tuple[Array, Array]], order: int, x: Array) -> float | None:
    """Root of the gap's derivative of `order` in the range of the grid x, by Newton."""
    y = gap(x, order)[0]
    if np.signbit(y[0]) == np.signbit(y[-1]):
        return None
    at = np.array([x[int(np.argmin(np.abs(y)))]])
    for _ in range(8):
        value, slope = gap(at, order)[0], gap(at, order + 1)[0]
        at = np.clip(at - value / slope, x[0], x[-1])
    return float(at[0])


def _bisect_jump(f: Subject, low: float, high: float, left: Side, right: Side) -> Kink | None:
    """Neighbouring floats between which the value jumps."""
    outer = (low, high)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        x = np.array([middle])
        y = f(x)
        if abs(y - left.derivative(x, 0))[0] < abs(y - right.derivative(x, 0))[0]:
            low = middle
        else:
            high = middle
    if low == outer[0] or high == outer[1]:
        return None  # f follows one of the fits throughout: the jump lies elsewhere
    ends = f(np.array([low, high]))
    gap = abs(right.derivative(np.array([low]), 0) - left.derivative(np.array([low]), 0))[0]
    if not abs(ends[1] - ends[0]) > 0.5 * gap:
        return None  # a steep slope that is continuous
    at = min((low, high), key=lambda v: len(repr(v)))
    if low < 0.0 < high:
        at = 0.0
    return Kink(at + 0.0, 0, abs(high - low))


def _confirmed(f: Subject, low: float, high: float, left: Side, right: Side, kink: Kink) -> bool:
    """Whether f follows the left fit up to the kink and the right fit from there on."""
    x = np.linspace(low, high, 66)[1:-1]
    x = x[np.abs(x - kink.at) > max(2.0 * kink.error, 4.0 * EPS * abs(kink.at))]
    with np.errstate(all="ignore"):
        y = f(x)
    for side, where in ((left, x < kink.at), (right, x > kink.at)):
        if np.any(where):
            off = np.abs(y[where] - side.derivative(x[where], 0))
            if not np.all(off <= 10.0 * side.error(x[where], 0)):
                return False
    return True


def _singular(f: Subject, low: float, high: float) -> list[Kink] | None:
    """A point such as that of sqrt(abs(x)): both sides are smooth away from it."""
    width = max(high - low, 1e-12)
    if width > POINTLIKE * max(1.0, abs(low)):
        return None
    left = side_fit(f, low - 4.0 * width, -1, width, width)
    right = side_fit(f, high + 4.0 * width, 1, width, width)
    if left is None or right is None:
        return None
    return [Kink(_snap(0.5 * (low + high), width), -1, width)]


def _snap(at: float, error: float) -> float:
    """The shortest decimal inside the error, as people write kinks at short decimals."""
    for digits in range(9):
        short = round(at, digits)
        if abs(short - at) <= max(error, 2.0 * EPS * abs(at)):
            return short + 0.0
    return at
