r"""Panels of Gauss-Legendre nodes that resolve a function under a Gaussian weight.

One rule serves all standard deviations of a binade, :math:`2^j \le \sqrt q < 2^{j+1}`: the nodes
and the values of the function are fixed, only the weight :math:`e^{-h^2/2q}` changes with q.
Panels are graded by a factor of two around 0 and around each breakpoint, then bisected until each
agrees with its two halves. What the halves still differ by is the error estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS as EPS  # some rooms read it here
from chione.base import Array

Mask = NDArray[np.bool_]

N_NODES = 16  # per panel; with ratio 2 enough for 1e-15 on analytic integrands (see benchmarks)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(N_NODES)
# (16, 2): node values -> Legendre coefficients of degree 14 and 15, as parts of the integral
LAST: Array = np.stack(
    [(2 * k + 1) * WEIGHTS * np.polynomial.legendre.Legendre.basis(k)(NODES) for k in (14, 15)], 1
)

# Ends of a panel, a little inside, because on a breakpoint the value belongs to one side: a jump
# between the last node and the edge is seen there only
_ENDS = np.array([-1.0, 1.0]) * (1.0 - 2.0**-40)
# (16, 2): node values -> values of the interpolant at the ends
_TO_ENDS: Array = (
    (2.0 * np.arange(N_NODES) + 1.0)
    / 2.0
    * WEIGHTS[:, None]
    * np.polynomial.legendre.legvander(NODES, N_NODES - 1)
) @ np.polynomial.legendre.legvander(_ENDS, N_NODES - 1).T
# (16, 4): weighted node values -> the last two coefficients, the two ends
_CHECKS: Array = np.concatenate([LAST, _TO_ENDS], axis=1) / WEIGHTS[:, None]
_POINTS = np.concatenate([NODES, _ENDS])
_POINT_WEIGHTS = np.concatenate([WEIGHTS, [1.0, 1.0]])
_BEYOND_NODES = float(1.0 - NODES[-1])  # between the last node and the edge, in half widths
_TRUNCATED = 30.0  # last coefficients that the remainder of a geometric series may amount to
_STEEPEST = 8.0  # largest jump that is looked for, in twice the mean of the panel
_ROUNDED = 1e-13  # of the panel
_SMOOTH = 1e-9  # of the panel: last coefficients of a function that its halves can judge

_WINDOW = 40.0  # standard deviations: exp(-800) is below the smallest float64
_FINEST = 2.0**-10  # panels at 0 are at least this fine, so that narrow features are seen
_NEGLIGIBLE = 1e-19  # panels that contribute less than this fraction are dropped
_LARGEST = float(np.finfo(np.float64).max)
_MAX_LEVELS = 50
_MAX_PANELS = 30_000


@dataclass(frozen=True)
class Rule:
    """Nodes for one binade of the standard deviation.

    Parameters
    ----------
    h : ndarray, shape (K,)
        Nodes.
    w : ndarray, shape (K,)
        Lebesgue weights, without the Gaussian factor.
    g : ndarray, shape (m, K)
        Values of the m functions at the nodes.
    truncation : ndarray, shape (m,)
        Discretisation error of E g^p, relative to E |g|^p.
    rounding : ndarray, shape (m,)
        Rounding error of E g^p, relative to E |g|^p.
    cut : ndarray of bool, shape (m,)
        True where the function overflows before its weighted tail has become negligible.
    """

    h: Array
    w: Array
    g: Array
    truncation: Array
    rounding: Array
    cut: Mask


def graded_edges(breakpoints: tuple[float, ...], sigma: float, reach: float) -> Array:
    """Panel edges on [-reach, reach], graded by 2 around 0 and around each breakpoint.

    Near a breakpoint k in the tail the integrand decays within sigma^2 / k, so the first panel
    there is half of that.
    """
    centres = sorted({0.0, *(k for k in breakpoints if abs(k) < reach)})
    middles = [-reach, *[(a + b) / 2 for a, b in pairwise(centres)], reach]
    edges: set[float] = set(middles)
    for c, low, high in zip(centres, middles, middles[1:], strict=False):
        first = 0.5 * sigma * min(1.0, sigma / abs(c)) if c else min(0.5 * sigma, _FINEST)
        steps = first * 2.0 ** np.arange(np.ceil(np.log2(2.0 * reach / first)) + 1)
        near = np.concatenate([c - steps, [c], c + steps])
        edges.update(near[(near >= low) & (near <= high)].tolist())
    return np.array(sorted(edges))


def binade_of(q: Array | float) -> Array:
    """The j with 2^j <= sqrt(q) < 2^(j+1)."""
    return np.asarray(np.floor(0.5 * np.log2(q)))


def binade_variances(q: float) -> Array:
    """Variances at which the rule of q's binade is tested: both ends and the middle."""
    scale = 4.0 ** float(binade_of(q))
    steps: Array = np.array([1.0, 2.0, 4.0])
    variances: Array = np.minimum(scale, _LARGEST / steps) * steps
    return variances


@np.errstate(all="ignore")  # overflow is expected here and accounted for in Rule.cut
def build_rule(
    f: Callable[[Array], Array],
    breakpoints: tuple[float, ...],
    power: int,
    q_ref: Array,
    limits: tuple[float, float] = (-np.inf, np.inf),
    *,
    extra_edges: Array | None = None,
    noisy: bool = False,
) -> Rule:
    """Resolve the m functions `f` (h (n,) -> (m, n)) to the power `power` for variances `q_ref`.

    Beyond `limits` the functions overflow float64; no node is put there. `extra_edges` are further
    panel edges. With `noisy` the last function is a bound on the noise of the others: it is not
    resolved itself, and panels are not bisected for less than it.
    """
    sigma = float(np.sqrt(q_ref[0]))
    reach = (
        float(np.sqrt(power) * np.sqrt(q_ref[-1])) * _WINDOW
    )  # g^p may peak far out, as exp does
    edges = graded_edges(breakpoints, sigma, reach)
    # short panels towards a limit, so that the last one can tell whether the tail has died out
    ends = [x * (1.0 - 2.0**-k) for x in limits if abs(x) < reach for k in range(1, 8)]
    extra = np.empty(0) if extra_edges is None else extra_edges[np.abs(extra_edges) < reach]
    edges = np.unique(np.clip(np.concatenate([edges, ends, extra]), *limits))
    done: list[_Panels] = []
    todo = _evaluate(f, edges[:-1], edges[1:], power, q_ref)
    n_panels = len(edges)
    before = np.empty((len(q_ref), len(todo.g), 0))
    for level in range(_MAX_LEVELS + 1):
        n = len(todo.low)
        middle = 0.5 * (todo.low + todo.high)
        cuts = np.concatenate([todo.low, middle, todo.high])
        halves = _evaluate(f, cuts[: 2 * n], cuts[n:], power, q_ref)
        difference = np.abs(todo.sum - halves.sum[..., :n] - halves.sum[..., n:])
        plain, difference = difference, np.maximum(difference, todo.hidden)
        if level:  # a kink may look the same in a panel and its halves by accident, but not twice
            bent = todo.last > _SMOOTH * todo.abs_sum
            inherited = 0.125 * np.tile(before, 2)
            difference = np.where(bent, np.maximum(difference, inherited), difference)
        total = sum((p.abs_sum.sum(-1) for p in done), todo.abs_sum.sum(-1))[..., None]
        # 1e-17 of the whole, or the rounding of the panel itself and of its exponents
        allowed = 1e-17 * total + EPS * (4.0 * todo.abs_sum + todo.exponent)
        if noisy:
            allowed = allowed + todo.abs_sum[:, -1:]
            difference[:, -1] = 0.0
        # not <=: a panel that overflows has nothing to resolve
        fine = np.all(~(difference > allowed), axis=(0, 1))
        n_panels += int(2 * np.sum(~fine))
        if level == _MAX_LEVELS:
            rest = _beyond(plain, np.tile(before, 2), fine, total)
            difference = np.where(fine, difference, np.maximum(rest, todo.hidden))
        if level == _MAX_LEVELS or n_panels > _MAX_PANELS:
            fine[:] = True
        done.append(todo.take(fine, difference[..., fine]))
        if np.all(fine):
            break
        todo, before = halves.take(np.concatenate([~fine, ~fine])), plain[..., ~fine]
    return _assemble(done, power)


def _beyond(difference: Array, before: Array, fine: Mask, total: Array) -> Array:
    """What the last panels miss, where bisection did not end, as at a pole.

    The differences fall by a ratio r at each level, so what is left is their geometric series;
    it is infinite where r = 1, which is a pole of first order.
    """
    if before.shape != difference.shape:
        return difference
    ratio = difference / np.where(before > 0.0, before, np.inf)
    diverges = (ratio > 1.0 - 1e-4) & (difference > 1e-9 * total)
    rest = 2.0 * difference / (1.0 - np.minimum(ratio, 0.99990))
    rest = np.where(diverges, np.inf, np.where(difference > 1e-15 * total, rest, 2.0 * difference))
    return np.where(fine, difference, rest)


@dataclass(frozen=True)
class _Panels:
    """P panels with their node values and weighted sums at the R reference variances."""

    low: Array  # (P,)
    high: Array
    g: Array  # (m, P, 16)
    sum: Array  # (R, m, P)
    abs_sum: Array
    exponent: Array  # (R, m, P), E |g|^p h^2 / 2q over the panel: how rounding grows
    last: Array  # (R, m, P), the last two Legendre coefficients, as parts of the integral
    hidden: Array  # (R, m, P), what a jump between the last node and an edge would change
    overflow: Mask  # (m, P)
    difference: Array | None = None

    def take(self, mask: Mask, difference: Array | None = None) -> _Panels:
        return _Panels(
            self.low[mask],
            self.high[mask],
            self.g[:, mask],
            self.sum[..., mask],
            self.abs_sum[..., mask],
            self.exponent[..., mask],
            self.last[..., mask],
            self.hidden[..., mask],
            self.overflow[:, mask],
            difference,
        )


def _evaluate(
    f: Callable[[Array], Array], low: Array, high: Array, power: int, q_ref: Array
) -> _Panels:
    half = 0.5 * (high - low)
    h = 0.5 * (low + high)[:, None] + half[:, None] * _POINTS  # (P, 18)
    h[:, -2] = np.maximum(h[:, -2], np.nextafter(low, np.inf))  # a narrow panel has rounded it
    h[:, -1] = np.minimum(h[:, -1], np.nextafter(high, -np.inf))
    g = np.atleast_2d(np.asarray(f(h.ravel()), dtype=np.float64))
    g = g.reshape(len(g), *h.shape)
    infinite: Mask = np.asarray(~np.isfinite(g))
    overflow: Mask = np.any(infinite, axis=-1)
    if overflow.any():
        _refuse_nan(h, g, infinite)
        g = np.where(overflow[..., None], 0.0, g)
    # (R, 1, P, 18): the weight is split over the p factors, so that g^p cannot overflow alone
    sigma = np.sqrt(q_ref)[:, None, None, None]
    exponent = 0.5 * (h / sigma) ** 2
    # in units of sigma, or panels of width 1e-150 would underflow
    unit = half / sigma[0, 0, 0]
    terms = (g * np.exp(-exponent / power)) ** power * (unit[:, None] * _POINT_WEIGHTS)
    terms, at_ends = terms[..., :N_NODES], terms[..., N_NODES:]
    size = np.abs(terms)
    checks = terms @ _CHECKS  # (R, m, P, 4)
    last, absolute = np.abs(checks[..., :2]).sum(-1), size.sum(-1)
    off = np.abs(checks[..., 2:] - at_ends).max(-1)
    # a singularity at the edge is not a jump of the size of the last value before it
    off = np.where(absolute > 0.0, np.minimum(off, _STEEPEST * absolute), off)
    hidden = np.where(off > _TRUNCATED * last + _ROUNDED * absolute, _BEYOND_NODES * off, 0.0)
    exponents = (size * exponent[..., :N_NODES]).sum(-1)
    return _Panels(
        low, high, g[..., :N_NODES], terms.sum(-1), absolute, exponents, last, hidden, overflow
    )


def _refuse_nan(h: Array, g: Array, infinite: Mask) -> None:
    """A NaN is an overflow (inf - inf, 0 * inf) only beyond the first infinite value."""
    smallest_inf = np.abs(np.broadcast_to(h, g.shape)[np.isinf(g)]).min(initial=np.inf)
    nan_at = np.abs(np.broadcast_to(h, g.shape)[np.isnan(g)])
    # 300: exp of it squared overflows; a NaN beyond can be the user's inf / inf
    if nan_at.size and nan_at.min() < min(smallest_inf, 300.0):
        where = np.broadcast_to(h, g.shape)[np.isnan(g)][np.argmin(nan_at)]
        raise ValueError(
            f"the function returned NaN at {where:.6g}; it must be finite where a Gaussian of "
            "this variance has mass. Check its domain (log, sqrt, division by zero)."
        )


def _blur(low: Array, high: Array, g: Array, power: int, size: Array) -> Array:
    r"""What rounding h, once here and once inside g, does to each panel: (R, m, P).

    .. math:: \epsilon \int |h|\,\Bigl|\frac{d g^p}{dh}\Bigr|\,e^{-h^2/2q}\,dh,

    with the variation of g over the panel taken at the mean of the integrand, twice for its peak.
    """
    largest = np.abs(g).max(-1)
    variation = np.abs(np.diff(g)).sum(-1) / np.where(largest > 0.0, largest, 1.0)  # (m, P)
    width = np.maximum(high - low, np.finfo(np.float64).tiny)
    steepness: Array = variation * (np.maximum(np.abs(low), np.abs(high)) / width)
    return np.asarray(2.0 * EPS * power * size * steepness)


def _assemble(done: list[_Panels], power: int) -> Rule:
    low = np.concatenate([p.low for p in done])
    order = np.argsort(low)
    low, high = low[order], np.concatenate([p.high for p in done])[order]
    g = np.concatenate([p.g for p in done], axis=1)[:, order]
    size = np.concatenate([p.abs_sum for p in done], axis=-1)[..., order]
    exponent = np.concatenate([p.exponent for p in done], axis=-1)
    difference = np.concatenate([np.asarray(p.difference) for p in done], axis=-1)
    overflow = np.concatenate([p.overflow for p in done], axis=1)[:, order]
    total = size.sum(-1)  # (R, m)
    scale = np.where(total > 0.0, total, 1.0)
    truncation = (difference.sum(-1) / scale).max(0)
    # weights carry |exponent| eps from the argument of exp, g^p a few eps for each factor
    exponent = 2.0 * EPS * exponent.sum(-1) + _blur(low, high, g, power, size).sum(-1)
    rounding = EPS * (4.0 + 4.0 * power) + (exponent / scale).max(0)
    keep = np.any(size > _NEGLIGIBLE * total[..., None], axis=(0, 1))
    half = 0.5 * (high - low)[keep]
    return Rule(
        (0.5 * (low + high)[keep, None] + half[:, None] * NODES).ravel(),
        (half[:, None] * WEIGHTS).ravel(),
        g[:, keep].reshape(len(g), -1),
        truncation,
        rounding,
        _is_cut(size, overflow, scale),
    )


def _is_cut(size: Array, overflow: Mask, total: Array) -> Mask:
    """Whether a panel beside an overflow, or the outermost one, still matters."""
    beside = overflow.copy()
    beside[:, 1:] |= overflow[:, :-1]
    beside[:, :-1] |= overflow[:, 1:]
    beside[:, [0, -1]] = True
    share = np.where(beside, size / total[..., None], 0.0)
    share[~np.isfinite(total)] = np.inf
    return np.asarray(~(share.max((0, 2)) <= 1e-17))  # not <=: a NaN is a cut too
