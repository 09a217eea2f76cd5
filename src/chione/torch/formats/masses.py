r"""Shares of Gaussian entries that a format cannot hold, by theory.

Entries of one input share a length, which in a network of finite width is random itself:
:math:`h = \sqrt Q z`, z standard normal, and log Q normal with :math:`E Q = q`,
:math:`\mathrm{Var}\,Q = r q^2`. A share is a mean over Q,

.. math:: P(0 < |\phi(h)| \le t) = E_Q \sum_k \int_{a_k}^{b_k} N(h; 0, Q)\, dh,

over the intervals :math:`[a_k, b_k]` in which :math:`0 < |\phi| \le t`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from chione.base import Array
from chione.torch.formats.floats import Format

Values = Callable[[Array], Array]
Intervals = Array  # (k, 2), edges may be infinite

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_LEGENDRE, _LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(16)
_FAR = 12.0  # standard deviations that are looked at: beyond lies less than 1e-32
_FINE = 4000  # points between them


@dataclass(frozen=True)
class Scales:
    """A law of the variance Q.

    Parameters
    ----------
    values : ndarray, shape (k, n)
        Variances of n sites under each of k fluctuations, which all sites share.
    likely, shares : ndarrays, shapes (k,) and (n,)
        Probabilities of the fluctuations, and shares of the sites.
    """

    values: Array
    likely: Array
    shares: Array

    @property
    def mean(self) -> float:
        """E Q."""
        return float(self.likely @ self.values @ self.shares)

    def times(self, factor: float) -> Scales:
        """All variances multiplied."""
        return Scales(self.values * factor, self.likely, self.shares)


def scales(q: Array, shares: Array, fluctuation: float) -> Scales:
    r"""Variances of several sites, each spread log-normally with :math:`\mathrm{Var} Q = r q^2`."""
    if fluctuation <= 0.0:
        return Scales(q[None, :], np.ones(1), shares)
    s2 = np.log1p(fluctuation)
    spread = np.exp(np.sqrt(s2) * _NODES - s2 / 2.0)
    return Scales(np.outer(spread, q), _WEIGHTS, shares)


@dataclass(frozen=True)
class Masses:
    """Shares of what is not zero: mean over Q, and the variance from network to network.

    Arrays of shape (3,): becomes zero, becomes subnormal, becomes too large.
    """

    mean: Array
    variance: Array


def gaussian_masses(form: Format, law: Scales) -> Masses:
    """Of entries N(0, Q)."""
    root = np.sqrt(2.0 * law.values)
    x, y = 2.0**form.zero_exponent / root, form.normal_border / root
    zero = special.erf(x)
    # differences of small numbers, not of those near one
    between = np.where(zero > 0.5, special.erfc(x) - special.erfc(y), special.erf(y) - zero)
    above = special.erfc(form.overflow_border / root)
    return _over(np.stack([zero, between, above]), law)


def uniform_masses(form: Format, square: float) -> Masses:
    """Of entries that are uniform in [-a, a] with this mean square."""
    a = np.sqrt(3.0 * square)
    zero, below = min(2.0**form.zero_exponent / a, 1.0), min(form.normal_border / a, 1.0)
    above = max(1.0 - form.overflow_border / a, 0.0)
    return Masses(np.array([zero, below - zero, above]), np.zeros(3))


def activated_masses(form: Format, phi: Values, law: Scales) -> Masses:
    r"""Of :math:`\phi(h)`, h as N(0, Q); what is exactly zero does not count."""
    reach = _FAR * float(np.sqrt(law.values.max()))
    zeros = _mass(_where(phi, 0.0, reach), law)
    shares = [
        _mass(_where(phi, t, reach), law) - zeros
        for t in (2.0**form.zero_exponent, form.normal_border, form.overflow_border)
    ]
    told = np.maximum(1.0 - zeros, np.finfo(float).tiny)
    zero, below, fits = (np.clip(s / told, 0.0, 1.0) for s in shares)
    return _over(np.stack([zero, np.maximum(below - zero, 0.0), 1.0 - fits]), law)


def sent_back_masses(form: Format, slope: Values, q: float, law: Scales) -> Masses:
    r"""Of :math:`\phi'(h)\,u` with :math:`h \sim N(0, q)`, :math:`u \sim N(0, Q)` independent.

    `law` is that of the product's mean square, zeros counted.
    """
    z, weight = _normal_nodes()
    d = np.abs(slope(np.sqrt(q) * z))
    told = d > 0.0
    d, same = np.unique(d[told], return_inverse=True)  # relu has one slope, even ones have half
    weight = np.bincount(same, weight[told], minlength=d.size)
    if d.size == 0:
        return Masses(np.full(3, np.nan), np.full(3, np.nan))
    passed = float(weight @ d**2)  # u has the mean square of the product over this
    weight = weight / weight.sum()
    size = d[:, None] * np.sqrt(2.0 * law.values / passed).ravel()[None, :]
    zero, below, above = (
        (weight @ f(border / size)).reshape(law.values.shape)
        for f, border in (
            (special.erf, 2.0**form.zero_exponent),
            (special.erf, form.normal_border),
            (special.erfc, form.overflow_border),
        )
    )
    return _over(np.stack([zero, below - zero, above]), law)


def _over(by_scale: Array, law: Scales) -> Masses:
    each = by_scale @ law.shares  # (3, k)
    mean = each @ law.likely
    return Masses(mean, np.maximum(each**2 @ law.likely - mean**2, 0.0))


def _normal_nodes() -> tuple[Array, Array]:
    """Nodes and weights of N(0, 1) that see a kink at 0 and small scales about it."""
    edges = np.concatenate([[0.0], np.geomspace(1e-3, _FAR, 40)])
    mid, half = (edges[1:] + edges[:-1]) / 2.0, (edges[1:] - edges[:-1]) / 2.0
    z = (mid[:, None] + half[:, None] * _LEGENDRE).ravel()
    w = (half[:, None] * _LEGENDRE_WEIGHTS).ravel() * np.exp(-z * z / 2.0) / np.sqrt(2.0 * np.pi)
    return np.concatenate([-z[::-1], z]), np.concatenate([w[::-1], w])


def _where(phi: Values, t: float, reach: float) -> Intervals:
    r"""The intervals in which :math:`|\phi| \le t`, each edge to the last digit or so."""
    h = _points(phi, reach)
    inside = np.abs(phi(h)) <= t
    turns = np.flatnonzero(inside[1:] != inside[:-1])
    a, b, at_a = h[turns], h[turns + 1], inside[turns]
    for _ in range(110):
        middle = a + (b - a) / 2.0
        left = (np.abs(phi(middle)) <= t) == at_a if middle.size else at_a
        a, b = np.where(left, middle, a), np.where(left, b, middle)
    edges = list(np.where(at_a, a, b))
    if inside[0]:
        edges.insert(0, -np.inf)
    if inside[-1]:
        edges.append(np.inf)
    return np.array(edges, dtype=np.float64).reshape(-1, 2)


def _points(phi: Values, reach: float) -> Array:
    """Where to look: evenly, and ever closer to each zero of the function."""
    even = np.linspace(-reach, reach, _FINE + 1)
    f = phi(even)
    near = np.geomspace(1e-46, reach, 400)
    zeros = {0.0, *even[f == 0.0][:1], *even[f == 0.0][-1:]}
    for k in np.flatnonzero(f[1:] * f[:-1] < 0.0)[:50]:
        a, b = even[k], even[k + 1]
        for _ in range(110):
            middle = a + (b - a) / 2.0
            same = phi(np.array([middle]))[0] * f[k] > 0.0
            a, b = (middle, b) if same else (a, middle)
        zeros |= {a, b}
    around = [z + side * near for z in zeros for side in (-1.0, 1.0)]
    points: Array = np.unique(np.concatenate([even, np.array(sorted(zeros)), *around]))
    return np.asarray(points[np.abs(points) <= reach])


def _mass(intervals: Intervals, law: Scales) -> Array:
    """P(h in one of them) for each Q, small ones to relative precision."""
    s = np.sqrt(law.values)
    out: Array = np.zeros(law.values.shape)
    for a, b in intervals:
        x, y = a / s, b / s
        if np.isfinite(a) and np.isfinite(b) and b - a < 0.5 * s.min():
            z = (x + y)[..., None] / 2.0 + (y - x)[..., None] / 2.0 * _LEGENDRE
            density = np.exp(-z * z / 2.0) / np.sqrt(2.0 * np.pi)
            out += density @ _LEGENDRE_WEIGHTS * (y - x) / 2.0
        else:
            flip = a > 0.0  # differences of small numbers, not of those near one
            out += (
                special.ndtr(-x) - special.ndtr(-y) if flip else special.ndtr(y) - special.ndtr(x)
            )
    return out
