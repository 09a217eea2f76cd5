r"""The kernel of the slopes at equal lengths, for any activation, any length and any angle.

With :math:`s^2 = q (1 - c)` and :math:`p = q c` two inputs are a common part m of variance p and
parts of their own of variance :math:`s^2`. Let :math:`S'` be the slope smoothed by its own part:

.. math:: S'(m) = E\,\phi'(m + s w), \qquad
   R(q, \pm c) = E\,\phi'(u_1)\,\phi'(u_2) = E_m\,S'(m)\,S'(\pm m)

Both means are Gauss-Legendre sums over panels that end at the kinks, that follow the bends of the
activation around zero, and that are no wider than the Gaussian. Nothing cancels in the sums
however close the inputs are. Where phi jumps, its slope has a point mass, which smoothing makes a
Gaussian density of width s.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array
from chione.theory.moments.moments import moments

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_FINE_POINTS, _FINE_WEIGHTS = np.polynomial.legendre.leggauss(24)
_REACH = 9.5  # standard deviations; what is beyond has a mass of 2e-21
_DEVIATIONS = np.linspace(-_REACH, _REACH, 11)
_BENDS = np.concatenate([np.arange(0.0, 10.5, 1.0), 10.0 * 1.3 ** np.arange(1, 45)])
_AROUND = np.array([0.0, 1.5, 3.0, 4.5, 6.5, 9.0])  # of a kink, in units of s
_STEPS = np.arange(-31, 32) * 0.3
_STEP_WEIGHTS = 0.3 * np.exp(-0.5 * _STEPS**2) / math.sqrt(2.0 * math.pi)
_BROAD = 0.6  # s from which on the bends are seen through the Gaussian, and not the other way


def slope_kernel(phi: AbstractActivation, q: float, theta: Array) -> tuple[Array, Array]:
    r"""R at angles and at their supplements.

    Parameters
    ----------
    phi : AbstractActivation
        The activation; its formula has to have no features narrower than one unit but at kinks.
    q : float
        Mean square of both pre-activations, above zero.
    theta : ndarray, shape (n,)
        Angles in (0, pi / 2].

    Returns
    -------
    near, far : ndarray, shape (n,)
        :math:`R(q, \cos\theta)` and :math:`R(q, -\cos\theta)`.
    """
    closed = _closed(phi, q, theta)
    if closed is not None:
        return closed
    found = [_one(phi, q, float(t)) for t in theta]
    near, far = np.array(found).T
    return near, far


def _closed(phi: AbstractActivation, q: float, theta: Array) -> tuple[Array, Array] | None:
    """Closed forms that lose no digits next to c = 1."""
    name = phi.name.split("(")[0]
    form = phi.closed_forms.near_slope
    small, large = 2.0 * np.sin(0.5 * theta) ** 2, 2.0 * np.cos(0.5 * theta) ** 2
    if form is not None:
        lengths = np.full(theta.shape, q)
        return tuple(  # type: ignore[return-value]
            np.asarray(form(lengths, lengths, gap, plus))
            for gap, plus in ((small, large), (large, small))
        )
    if name == "cos":
        near = -0.5 * np.exp(-q * small) * np.expm1(-q * (large - small))
        return near, -near
    if name == "exp":
        return np.exp(q * large), np.exp(q * small)
    if name == "gaussian":
        a = -math.log(float(phi.value(np.array([1.0]))[0]))
        c = 0.5 * (large - small)
        near = (
            4.0 * a * a * q * c / ((1.0 + 2.0 * a * q * small) * (1.0 + 2.0 * a * q * large)) ** 1.5
        )
        return near, -near
    if straight(phi):
        return _of_lines(phi, q, theta)
    plain = phi.closed_forms.derivative_kernel
    if plain is not None and name in ("linear", "squared_relu", "quadratic", "cubic"):
        lengths, c = np.full(theta.shape, q), np.cos(theta)
        return np.asarray(plain(lengths, lengths, c)), np.asarray(plain(lengths, lengths, -c))
    return None


@lru_cache(maxsize=64)
def straight(phi: AbstractActivation) -> bool:
    """Whether the activation is made of straight lines without jumps."""
    kinks = np.asarray(phi.kinks, dtype=np.float64)
    if not kinks.size or moments(phi).has_jumps:
        return False
    ends = np.concatenate([[kinks[0] - 3.0], kinks, [kinks[-1] + 3.0]])
    points = (ends[:-1, None] + np.diff(ends)[:, None] * np.array([0.2, 0.5, 0.83])).ravel()
    return bool(np.all(phi.second_derivative(points) == 0.0))


def _of_lines(phi: AbstractActivation, q: float, theta: Array) -> tuple[Array, Array]:
    r"""R from the jumps :math:`J_i` of the slope at :math:`k_i`, by Plackett's identity.

    .. math:: R(\theta) = E\,\phi'^2 - \frac{1}{2\pi} \sum_{ij} J_i J_j \int_0^\theta
       \exp\Big(-\frac{k_i^2 + k_j^2 - 2 k_i k_j \cos t}{2 q \sin^2 t}\Big)\,dt
    """
    pairs = [(a, b, phi.jump(1, a) * phi.jump(1, b)) for a in phi.kinks for b in phi.kinks]

    def density(t: Array) -> Array:
        # k_i^2 + k_j^2 - 2 k_i k_j cos t without cancellation, and sin^2 beside it
        half, out = np.sin(0.5 * t) ** 2, np.zeros_like(t)
        for a, b, weight in pairs:
            far = ((a - b) ** 2 + 4.0 * a * b * half) / (2.0 * q * np.sin(t) ** 2)
            out += weight * np.exp(-far)
        return out / (2.0 * np.pi)

    steep = float(moments(phi).derivative_square(q).value)
    both = np.concatenate([theta, np.pi - theta])
    graded = 0.5 * np.pi * 2.0 ** -np.arange(40.0)
    edges = np.unique(np.concatenate([[0.0], both, graded, np.pi - graded]))
    edges = edges[edges < np.pi]
    half = 0.5 * np.diff(edges)[:, None]
    nodes = edges[:-1, None] + half * (_FINE_POINTS + 1.0)
    fallen = np.append(0.0, np.cumsum((half * _FINE_WEIGHTS * density(nodes)).sum(axis=1)))
    out = steep - fallen[np.searchsorted(edges, both)]
    return out[: theta.size], out[theta.size :]


def _one(phi: AbstractActivation, q: float, theta: float) -> tuple[float, float]:
    s = math.sqrt(2.0 * q) * math.sin(0.5 * theta)
    root = math.sqrt(max(q * math.cos(theta), 0.0))
    kinks = np.asarray(phi.kinks, dtype=np.float64)
    m, weight = _common(root, s, kinks)
    parity = parity_of(phi)
    slope = _smoothed(phi, m, s, kinks)
    mirrored = parity * slope if parity else _smoothed(phi, -m, s, kinks)
    near = slope * slope if parity else 0.5 * (slope * slope + mirrored * mirrored)
    return float(weight @ near), float(weight @ (slope * mirrored))


@lru_cache(maxsize=64)
def parity_of(phi: AbstractActivation) -> int:
    """Of the slope: 1 for an odd activation (up to a constant), -1 for an even one, else 0."""
    z = np.array([0.07, 0.31, 0.9, 1.7, 3.3, 7.1])
    plus, minus = phi.derivative(z), phi.derivative(-z)
    jumps = sorted(moments(phi).jumps)
    for sign in (1, -1):
        alike = np.all(np.abs(plus - sign * minus) <= 1e-15 * np.abs(plus))
        if alike and jumps == sorted((-at, sign * size) for at, size in jumps):
            return sign
    return 0


def _common(root: float, s: float, kinks: Array) -> tuple[Array, Array]:
    """Nodes of the common part above zero, and twice the weights of its Gaussian."""
    if root < 1e-9 * s:
        return np.zeros(1), np.ones(1)
    bends = max(1.0, s) * _BENDS
    around = np.abs(kinks[:, None] + s * np.concatenate([_AROUND, -_AROUND])).ravel()
    edges = np.concatenate([root * _DEVIATIONS[_DEVIATIONS > 0.0], [0.0], bends, around])
    nodes, weights = _panels(_distinct(edges[edges <= _REACH * root]))
    return nodes, weights * np.exp(-0.5 * (nodes / root) ** 2) * math.sqrt(2.0 / math.pi) / root


def _smoothed(phi: AbstractActivation, m: Array, s: float, kinks: Array) -> Array:
    """S' at each m."""
    slope = _smooth_part(phi, m, s, kinks)
    for at, size in moments(phi).jumps:
        z = (at - m) / s
        slope = slope + size * np.exp(-0.5 * z * z) / (s * math.sqrt(2.0 * math.pi))
    return slope


def _smooth_part(phi: AbstractActivation, m: Array, s: float, kinks: Array) -> Array:
    """S' without the point masses of jumps."""
    if s <= _BROAD:
        return _smoothed_narrow(phi, m, s, kinks)
    near = np.abs(m) <= 10.0 * s + 40.0  # farther out all bends are much wider than s
    out = np.empty_like(m)
    out[near] = _smoothed_broad(phi, m[near], s, kinks)
    if not near.all():
        out[~near] = _smoothed_narrow(phi, m[~near], s, kinks)
    return out


def _smoothed_narrow(phi: AbstractActivation, m: Array, s: float, kinks: Array) -> Array:
    """S' where the activation bends little within s: panels in units of s.

    Without kinks the trapezoidal rule is as good as exact.
    """
    if not kinks.size:
        slopes = phi.derivative((m[:, None] + s * _STEPS).ravel()).reshape(m.size, _STEPS.size)
        return np.asarray(slopes @ _STEP_WEIGHTS)
    at = np.clip((kinks - m[:, None]) / s, -_REACH, _REACH)
    steps = np.broadcast_to(_DEVIATIONS, (m.size, _DEVIATIONS.size))
    edges = np.asarray(np.sort(np.concatenate([steps, at], axis=1), axis=1))
    half = 0.5 * np.diff(edges, axis=1)[:, :, None]
    w = edges[:, :-1, None] + half * (_POINTS + 1.0)
    weight = half * _WEIGHTS * np.exp(-0.5 * w * w)
    steep = phi.derivative((m[:, None, None] + s * w).ravel()).reshape(w.shape)
    return np.asarray((weight * steep).sum(axis=(1, 2)) / math.sqrt(2.0 * math.pi))


def _smoothed_broad(phi: AbstractActivation, m: Array, s: float, kinks: Array) -> Array:
    """S' where the Gaussian is broad: one set of panels that follow the activation."""
    far = float(np.abs(m).max()) + _REACH * s
    wide = 1.9 * s
    bends = _BENDS[far > _BENDS]
    steps = np.arange(0.0, far + wide, wide)
    edges = np.concatenate([bends, -bends, kinks, steps[steps < far], -steps[steps < far]])
    u, weight = _panels(_distinct(np.concatenate([edges, [far, -far]])))
    slopes = weight * phi.derivative(u)
    z = (u - m[:, None]) / s
    return np.asarray(np.exp(-0.5 * z * z) @ slopes / (s * math.sqrt(2.0 * math.pi)))


def _distinct(edges: Array) -> Array:
    """Rising edges without those that differ only by rounding."""
    edges = np.unique(edges)
    keep = np.diff(edges, prepend=-np.inf) > 1e-13 * np.maximum(np.abs(edges), 1e-280)
    return edges[keep]


def _panels(edges: Array) -> tuple[Array, Array]:
    half = 0.5 * np.diff(edges)[:, None]
    nodes = edges[:-1, None] + half * (_POINTS + 1.0)
    return nodes.ravel(), (half * _WEIGHTS).ravel()
