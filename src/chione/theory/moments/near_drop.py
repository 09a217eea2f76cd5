r"""The drop K(1) - K(c) of two close inputs, from the difference of the activation at both.

With :math:`u_{1,2} = x \pm y`, independent :math:`x \sim N(0, q (1 + c) / 2)` and
:math:`y \sim N(0, q (1 - c) / 2)`,

.. math:: K(1) - K(c) = \tfrac12 E\,[\phi(x + y) - \phi(x - y)]^2
   = \int_0^\infty p(y)\,G(y)\,dy, \qquad G(y) = E_x\,[\phi(x + y) - \phi(x - y)]^2,

a sum of squares in which nothing cancels. For each y the integrand is smooth in x but at
:math:`k \pm y` for the kinks k, where panels end; :math:`G(y) / y^2` (or G(y) / y beside a jump) is
smooth in y > 0 as long as y is shorter than what the activation does between its kinks. So a rule
of a dozen nodes in y does, and one for half of them says how well.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import linalg

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate, Status
from chione.gaussian.bivariate import panels_of
from chione.gaussian.panels import LAST, NODES, WEIGHTS
from chione.theory.moments.moments import jump_error, moments
from chione.theory.moments.standard_activation import is_moderate

_SMALLEST_GAP, _LARGEST_GAP = 1e-280, 0.05
_MASS = (14.0, 37.0)  # standard deviations of x; the second where the first hold no difference
_TRUNCATED = 1e-14  # of the whole, in the outermost panels
_WIDEST = 1.5  # of a panel, in standard deviations: the Gaussian is close to a polynomial there
_ORDERS = (8, 13)  # of the two rules in y
_APART = (
    18.0  # standard deviations of y between two kinks, so that no y reaches from one to another
)
_BY_SLOPE = 1e-5  # gap below which values differ by fewer digits than slopes have
_STEPS, _STEP_WEIGHTS = np.polynomial.legendre.leggauss(4)
_SHORT = 0.1  # of a panel: intervals over which four values of the slope are enough
_ROUNDED = 1e-4  # of the shortest distances, which are a hundredth of the deviation of y
_MOST_PANELS = 400
_SHARP = 1e-12  # relative error up to which it is used


def near_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate | None:
    r"""K(1) - K(c) at equal variance q; `gap` is 1 - c. None where the rules do not hold.

    Parameters
    ----------
    phi : AbstractActivation
        The activation; it may have kinks and jumps.
    q : float
        Variance, above zero.
    gap : float
        1 - c, above zero.

    Returns
    -------
    Estimate or None
        With a relative error below 1e-12, or nothing.
    """
    if not (_SMALLEST_GAP < gap <= _LARGEST_GAP and is_moderate(phi, q)):
        return None
    deviation = math.sqrt(0.5 * gap) * math.sqrt(q)
    root = math.sqrt(q) * math.sqrt(1.0 - 0.5 * gap)
    for reach in _MASS:
        found, at_ends = _within(phi, q, gap, root, deviation, reach)
        if at_ends <= _TRUNCATED:
            break
    if found is None:
        return None
    good = at_ends <= _TRUNCATED and found.error <= _SHARP * found.value
    return found if good else None


def _within(
    phi: AbstractActivation, q: float, gap: float, root: float, deviation: float, reach: float
) -> tuple[Estimate | None, float]:
    """The drop from so many standard deviations of x, and the part in the outermost panels."""
    kinks = np.array([k for k in phi.kinks if abs(k) < reach * root])
    if kinks.size > 1 and float(np.diff(kinks).min()) < _APART * deviation:
        return None, 0.0
    jumps = any(phi.jump(0, float(k)) for k in kinks)
    edges = _edges(phi, q, reach)
    if edges.size > _MOST_PANELS:
        return None, 0.0
    # values differ by few digits, slopes do not, where they are known as well as values
    slopes = gap < _BY_SLOPE and phi.derivative_error == 0.0
    longest = deviation * _half_gaussian(_ORDERS[-1])[0][-1]
    slopes &= longest <= _SHORT * float(np.diff(edges).min())
    if jumps and not slopes and EPS * float(np.abs(kinks).max()) > _ROUNDED * deviation:
        return None, 0.0  # nodes beside a jump would be rounded to its other side
    means = [_mean(phi, edges, kinks, root, deviation, n, slopes, jumps) for n in _ORDERS]
    (value, missed, rounded, ends), coarse = means[-1], means[0][0]
    if not (math.isfinite(value) and value > 0.0):
        return None, 1.0 if value == 0.0 else 0.0
    digits = 16.0 * EPS * (1.0 if slopes else 1.0 + 0.1 / math.sqrt(gap))
    error = missed + rounded + abs(value - coarse)
    error += (digits + _moved(phi, kinks, root, root if slopes else deviation)) * value
    error += _noise(phi, q, deviation, slopes) * math.sqrt(2.0 * value)
    return Estimate(value, error, Status.OK), ends / value


def _moved(phi: AbstractActivation, kinks: Array, root: float, beside: float) -> float:
    """Relative error from those of the places of kinks, and of the size of jumps.

    At a kink that of the part of x on the wrong side, and where only the curvature jumps hardly
    anything. Beside a jump values that are taken on its wrong side miss it (`beside` is the
    deviation of y); with slopes the jump itself is added, and only its density is another one.
    """
    worst = 0.0
    for k in kinks:
        off = phi.kink_error(float(k))
        if phi.jump(0, float(k)):
            rounded = 2.0 * jump_error(phi, float(k)) / abs(phi.jump(0, float(k)))
            steep = off * abs(float(k)) / root**2
            worst = max(worst, off / beside + steep + rounded)
        elif phi.jump(1, float(k)):
            worst = max(worst, off / root)
        else:
            worst = max(worst, (off / root) ** 2)
    return worst


def _noise(phi: AbstractActivation, q: float, deviation: float, slopes: bool) -> float:
    """Root mean square error of the difference: of the formula, and of values that are rounded.

    By Cauchy and Schwarz the drop is off by at most this times the root of twice the drop.
    """
    noise = float(phi.noise(1 if slopes else 0, np.asarray(q)))
    if slopes:
        return 2.0 * noise * deviation
    return 2.0 * noise + 2.0 * EPS * math.sqrt(abs(float(moments(phi).square(q).value)))


@np.errstate(all="ignore")
def _mean(
    phi: AbstractActivation,
    edges: Array,
    kinks: Array,
    root: float,
    deviation: float,
    n: int,
    slopes: bool,
    jumps: bool,
) -> tuple[float, float, float, float]:
    """The mean of G by n values of y; what panels in x miss, rounding, and what the ends hold."""
    b, weight = _half_gaussian(n, 1 if jumps else 2)
    y = deviation * b
    low, high, strip = _panels(edges, kinks, y)  # (n, P)
    half = np.where(strip >= 0, y[:, None], 0.5 * (high - low))  # k + y is rounded, y is not
    x = 0.5 * (low + high)[:, :, None] + half[:, :, None] * NODES  # (n, P, 16)
    change = _by_slopes(phi, x, y, strip, kinks) if slopes else _by_values(phi, x, y)
    terms = (change / y[:, None, None] ** (0.5 if jumps else 1.0)) ** 2
    exponent = 0.5 * (x / root) ** 2
    terms *= np.exp(-exponent) * (half / (root * math.sqrt(2.0 * np.pi)))[:, :, None]
    panel = terms @ WEIGHTS  # (n, P)
    last = np.abs(terms @ LAST).sum(-1)
    missed = np.minimum(last**2 / np.where(panel > 0.0, panel, 1.0), last)
    scale = weight * deviation ** (1 if jumps else 2)
    rounded = 4.0 * EPS * float(scale @ ((terms * exponent) @ WEIGHTS).sum(1))
    ends = float(scale @ (panel[:, 0] + panel[:, -1]))
    return float(scale @ panel.sum(1)), float(scale @ missed.sum(1)), rounded, ends


def _by_values(phi: AbstractActivation, x: Array, y: Array) -> Array:
    step = y[:, None, None]
    return np.asarray(phi.value(x + step) - phi.value(x - step))


def _by_slopes(phi: AbstractActivation, x: Array, y: Array, strip: Array, kinks: Array) -> Array:
    """The difference of the values as an integral of the slope, in two parts beside a kink."""
    step = y[:, None, None]
    out = step * _integral(phi, x, np.broadcast_to(step, x.shape))
    for k in range(len(kinks)):
        here = np.flatnonzero(strip == k)
        at = float(kinks[k])
        part = x[:, here]
        right, left = 0.5 * (part + step - at), 0.5 * (at - part + step)  # half lengths
        whole = right * _integral(phi, at + right, right) + left * _integral(phi, at - left, left)
        out[:, here] = whole + phi.jump(0, at)
    return out


def _integral(phi: AbstractActivation, centre: Array, half: Array) -> Array:
    nodes = centre[..., None] + half[..., None] * _STEPS
    return np.asarray(phi.derivative(nodes) @ _STEP_WEIGHTS)


def _panels(edges: Array, kinks: Array, y: Array) -> tuple[Array, Array, Array]:
    """Ends of the panels for each y, (n, P), and which kink a panel lies beside, else -1.

    Those between two kinks are moved and shortened to leave [k - y, k + y] to a panel of its own.
    """
    ends = np.concatenate([edges[:1], kinks, edges[-1:]])
    low, high, strip = [], [], []
    for i, (a, b) in enumerate(pairwise(ends)):
        inside = edges[(edges >= a) & (edges <= b)]
        start = a + (y if i else np.zeros_like(y))
        stop = b - (y if i + 1 < len(ends) - 1 else np.zeros_like(y))
        moved = start[:, None] + (stop - start)[:, None] * ((inside - a) / (b - a))
        low.append(moved[:, :-1])
        high.append(moved[:, 1:])
        strip.append(np.full(inside.size - 1, -1))
        if i + 1 < len(ends) - 1:
            low.append((b - y)[:, None])
            high.append((b + y)[:, None])
            strip.append(np.array([i]))
    return np.concatenate(low, axis=1), np.concatenate(high, axis=1), np.concatenate(strip)


@lru_cache(maxsize=256)
def _edges(phi: AbstractActivation, q: float, mass: float) -> Array:
    """Panels on which the activation and the Gaussian are both resolved."""
    root = math.sqrt(q)
    reach = mass * root
    every = panels_of(phi.value, phi.kinks, q).edges
    kinks = np.asarray(phi.kinks, dtype=np.float64)
    inside = np.unique(np.clip(np.concatenate([every, kinks]), -reach, reach))
    parts = np.maximum(np.ceil(np.diff(inside) / (_WIDEST * root)).astype(np.intp), 2)
    pieces = [np.linspace(a, b, n + 1) for a, b, n in zip(inside, inside[1:], parts, strict=False)]
    return np.unique(np.concatenate(pieces))


@lru_cache(maxsize=8)
def _half_gaussian(n: int, power: int = 2) -> tuple[Array, Array]:
    r"""Gauss rule for :math:`b^p e^{-b^2/2} / \sqrt{2 \pi}` on b > 0, by Stieltjes' procedure.

    Its orthogonal polynomials are those of a fine Gauss-Legendre sum over [0, 14].
    """
    x, w = np.polynomial.legendre.leggauss(400)
    x = 7.0 * (x + 1.0)
    w = 7.0 * w * x**power * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    diagonal, beside = np.empty(n), np.empty(n)
    before, now, norm = np.zeros_like(x), np.full_like(x, 1.0 / math.sqrt(w.sum())), 0.0
    for k in range(n):
        diagonal[k] = w @ (x * now * now)
        after = (x - diagonal[k]) * now - norm * before
        norm = math.sqrt(float(w @ (after * after)))
        before, now = now, after / norm
        beside[k] = norm
    nodes, vectors = linalg.eigh_tridiagonal(diagonal, beside[: n - 1])
    total = 0.5 if power == 2 else 1.0 / math.sqrt(2.0 * math.pi)
    return np.asarray(nodes, dtype=np.float64), np.asarray(total * vectors[0] ** 2)
