"""The law of a density given as a function: transforms right up to the real axis."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from chione.base import EPS, Array, checks
from chione.freeprob.cauchy import associated, cauchy_of_power
from chione.freeprob.density_pieces import (
    EXPONENTS,
    NODES,
    DensityPieces,
    primitive,
    rule,
)
from chione.freeprob.measures import (
    AbstractMeasure,
    Complex,
    Integers,
    by_halves,
    rounding,
    rounding_of_cdf,
)

_NEAR = 3.0  # sum of the semi-axes of the ellipse around a piece within which G is exact: 3^-32
_BLOCK = 1_000_000  # entries of one array of points times nodes


@dataclass(frozen=True, eq=False)
class DensityLaw(AbstractMeasure):
    r"""The law with density f on some intervals, and atoms.

    .. math:: G(z) = \sum_k \int_0^1 \frac{u^{\alpha_k} p_k(u)}{z - x_k(u)}\, du
       + \sum_j \frac{m_j}{z - a_j}

    Made by :func:`~chione.freeprob.from_density`. Far from a piece its integral is a Gauss-Jacobi
    sum; near and on it the series of :math:`p_k` is integrated in closed form, by

    .. math:: \int_0^1 \frac{u^\alpha p(u)}{\zeta - u}\, du = p(\zeta) J_\alpha(\zeta)
       - \int_0^1 u^\alpha\, \frac{p(\zeta) - p(u)}{\zeta - u}\, du, \qquad
       J_\alpha(\zeta) = \int_0^1 \frac{u^\alpha\, du}{\zeta - u}

    Parameters
    ----------
    f : callable
        The density, divided by its mass.
    intervals : tuple of pairs
        Where it lives.
    place, mass : ndarray, shape (A,)
        Atoms.
    pieces : DensityPieces
        The density, cut and resolved.
    doubt : float
        Bound on the error of all masses together.
    """

    f: Callable[[Array], Array] = field(repr=False)
    intervals: tuple[tuple[float, float], ...]
    place: Array
    mass: Array
    pieces: DensityPieces = field(repr=False)
    doubt: float

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.place.tolist(), self.mass.tolist(), strict=True))

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        inside = [any(a <= x <= b for a, b in self.intervals) for x in self.place]
        alone = [
            (x, x) for x, within in zip(self.place.tolist(), inside, strict=True) if not within
        ]
        return tuple(sorted([*self.intervals, *alone]))

    def stieltjes(self, z: Any) -> Complex:
        return self.stieltjes_with_derivative(z)[0]

    def stieltjes_derivative(self, z: Any) -> Complex:
        return self.stieltjes_with_derivative(z)[1]

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        z = np.asarray(z, dtype=complex) + 0.0
        low = z.imag < 0.0
        flat = np.where(low, np.conj(z), z).ravel()
        out = np.concatenate([self._block(w) for w in self._split(flat)], axis=1)
        out = out.reshape(2, *z.shape)
        g, slope = np.where(low, np.conj(out), out)
        return np.asarray(g), np.asarray(slope)

    def stieltjes_error(self, z: Any) -> Array:
        r"""Errors of the pieces over their distances, logarithmic next to them, and rounding."""
        z = np.asarray(z, dtype=complex)
        flat = z.ravel()
        low, high = self.pieces.low, self.pieces.high
        power = 1.0 / (1.0 + self.pieces.alpha)
        out = np.empty(flat.size)
        step = max(1, _BLOCK // low.size)
        for i in range(0, flat.size, step):
            w = flat[i : i + step, None]
            away = abs(w - np.clip(w.real, low, high))
            width = high - low
            # a piece that z touches: half a turn, and the logarithm of the distance to its ends
            edge = np.minimum(abs(w - low), abs(w - high)) / width
            with np.errstate(divide="ignore"):
                touch = (2.0 * np.pi - 2.0 * np.log(np.clip(edge, EPS, 1.0))) / width
                size = np.minimum(touch, 1.0 / away)
            out[i : i + step] = size @ (self.pieces.doubt * power)
        with np.errstate(all="ignore"):
            lost = 2.0 * rounding(self.stieltjes_with_derivative, z, abs(z))
            error = out.reshape(z.shape) + lost + self.doubt * abs(self.stieltjes(z))
        return np.asarray(np.where(np.isfinite(error), error, np.inf))

    def mean_log(self, z: Any) -> Complex:
        def upper(z: Complex) -> Complex:
            flat = z.ravel()
            return np.concatenate([self._logs(w) for w in self._split(flat)]).reshape(z.shape)

        return by_halves(upper, z)

    def density(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        out = np.zeros(x.shape)
        for a, b in self.intervals:
            inside = (x >= a) & (x <= b)
            if inside.any():
                with np.errstate(all="ignore"):
                    out[inside] = np.broadcast_to(self.f(x[inside]), x[inside].shape)
        return out

    def density_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        h = 4.0 * EPS * abs(x)
        with np.errstate(all="ignore"):
            moved = abs(self.density(x + h) - self.density(x - h))
        for a, b in self.intervals:  # beyond an end f is not asked, and may jump
            room = 8.0 * EPS * max(abs(a), abs(b))
            near = (x >= a) & (x <= b) & ((x - a <= room) | (b - x <= room))
            with np.errstate(all="ignore"):
                step = abs(self.density(np.clip(x, a + room, b - room)) - self.density(x))
            moved = np.where(near, step, moved)
        return np.asarray((16.0 * EPS + self.doubt) * abs(self.density(x)) + moved)

    def cdf(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        flat = x.ravel()
        p = self.pieces
        low = p.low
        total = np.concatenate([[0.0], np.cumsum(self.masses)])
        k = np.clip(np.searchsorted(low, flat, side="right") - 1, 0, low.size - 1)
        u = np.clip((flat - p.origin[k]) / p.width[k], 0.0, 1.0)
        alpha = p.alpha[k]
        basis = chebyshev.chebvander(2.0 * u - 1.0, NODES - 1)
        part = u ** (1.0 + alpha) * np.sum(self._primitives[k] * basis, axis=1)
        inside = np.where(p.width[k] > 0.0, part, self.masses[k] - part)
        below = np.where(flat < low[0], 0.0, total[k] + inside)
        atoms = np.concatenate([[0.0], np.cumsum(self.mass)])
        below = below + atoms[np.searchsorted(self.place, flat, side="right")]
        return np.asarray(np.clip(below, 0.0, 1.0).reshape(x.shape))

    def cdf_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return rounding_of_cdf(self, x, 4.0 * EPS * abs(x)) + self.doubt

    def moments(self, n: int) -> Array:
        t, w = self._all_nodes
        k = np.arange(1, n + 1)
        return np.array([float(w @ t**j + self.mass @ self.place**j) for j in k])

    def moments_error(self, n: int) -> Array:
        k = np.arange(1, n + 1)
        reach = np.maximum(abs(self.pieces.low), abs(self.pieces.high))
        power = 1.0 / (1.0 + self.pieces.alpha)
        lost = np.array([float((self.pieces.doubt * power) @ reach**j) for j in k])
        t, w = self._all_nodes
        size = np.array([float(w @ abs(t) ** j + self.mass @ abs(self.place) ** j) for j in k])
        return np.asarray(lost + (16.0 * EPS * k + self.doubt) * size)

    # -------------------------------------------------------------------------------- inside

    @cached_property
    def _nodes(self) -> tuple[Array, Array]:
        """Places and weights of the sums, shape (K, NODES)."""
        p = self.pieces
        rules = [rule(k) for k in range(len(EXPONENTS))]
        u, w = (np.stack([r[i] for r in rules])[p.exponent] for i in (0, 1))
        vander = np.stack([chebyshev.chebvander(2.0 * r[0] - 1.0, NODES - 1) for r in rules])
        weight = w * np.einsum("kqj,kj->kq", vander[p.exponent], p.series)
        return p.origin[:, None] + p.width[:, None] * u, weight

    @cached_property
    def _all_nodes(self) -> tuple[Array, Array]:
        t, w = self._nodes
        return t.ravel(), w.ravel()

    @cached_property
    def masses(self) -> Array:
        """Mass of each piece."""
        return np.asarray(self._nodes[1].sum(axis=1))

    @cached_property
    def _primitives(self) -> Array:
        """Series of r, of u^(alpha + 1) r(u) = mass of [0, u]; shape (K, NODES)."""
        p = self.pieces
        every = np.stack([primitive(k) for k in range(len(EXPONENTS))])
        return np.asarray(np.einsum("kij,kj->ki", every[p.exponent], p.series))

    @cached_property
    def _potentials(self) -> Array:
        """Series of u r(u), for integrals of u^alpha u r(u); shape (K, NODES + 1)."""
        half = 0.25 * self._primitives  # u T_k = T_k / 2 + (T_(k+1) + T_|k-1|) / 4
        out = np.zeros((half.shape[0], NODES + 1))
        out[:, :NODES] += 2.0 * half
        out[:, 1:] += half
        out[:, : NODES - 1] += half[:, 1:]
        out[:, 1] += half[:, 0]
        return out

    def _split(self, flat: Complex) -> list[Complex]:
        step = max(1, _BLOCK // (self.pieces.origin.size * NODES))
        return [flat[i : i + step] for i in range(0, max(flat.size, 1), step)]

    @cached_property
    def _ends(self) -> Array:
        """Ends of intervals, but for those at which two of them meet."""
        ends, count = np.unique(np.array(self.intervals).ravel(), return_counts=True)
        return np.asarray(ends[count == 1])

    @cached_property
    def _singular(self) -> Array:
        """Ends of intervals at which f is not 0: G is infinite there."""
        p = self.pieces
        at_end = np.isin(p.origin, self._ends)
        start = p.series @ (-1.0) ** np.arange(NODES)
        loud = abs(start) > 1e-6 * np.max(abs(p.series), axis=1)
        return np.asarray(p.origin[at_end & loud])

    def _aside(self, z: Complex) -> Complex:
        """Points where two pieces meet moved by two units: there infinite terms would cancel."""
        p = self.pieces
        ends = np.concatenate([p.origin, p.far])
        inner = ~np.isin(z, self._ends)
        width = abs(np.concatenate([p.width, p.width]))
        order = np.argsort(ends)
        k = np.clip(np.searchsorted(ends[order], z.real), 0, ends.size - 1)
        meets = inner & (z.imag == 0.0) & (ends[order][k] == z.real)
        step = 2.0 * EPS * np.maximum(abs(z.real), width[order][k])
        return np.asarray(np.where(meets, z + step, z))

    def _near(self, z: Complex) -> tuple[Integers, Integers]:
        """Pairs of a point and a piece close to it."""
        p = self.pieces
        zeta = (z[:, None] - p.origin) / p.width
        half_sum = abs(zeta) + abs(zeta - 1.0)  # semi-major axis, in units of 1/2
        close = half_sum + np.sqrt(np.maximum(half_sum**2 - 1.0, 0.0)) < _NEAR
        j, k = np.nonzero(close)
        return j, k

    def _block(self, z: Complex) -> Complex:
        """G and dG/dz at z of shape (m,), above the axis or on it; shape (2, m)."""
        t, w = self._nodes
        infinite = np.isin(z, self._singular)
        z = self._aside(z)
        with np.errstate(all="ignore"):
            inverse = 1.0 / (z[:, None, None] - t)  # (m, K, NODES)
            g = np.einsum("mkn,kn->mk", inverse, w)
            slope = -np.einsum("mkn,mkn,kn->mk", inverse, inverse, w)
            atoms = self.mass / (z[:, None] - self.place)
            atoms1 = -self.mass / (z[:, None] - self.place) ** 2
            j, k = self._near(z)
            value, change = self._exact(z[j], k, self.pieces.series[k])
            width = self.pieces.width[k]
            g[j, k], slope[j, k] = value / width, change / width**2
            out = np.stack([g.sum(axis=1), slope.sum(axis=1)])
            out += np.stack([atoms.sum(axis=1), atoms1.sum(axis=1)])
        out[:, infinite] = np.inf
        return out

    def _exact(self, z: Complex, k: Integers, series: Array) -> tuple[Complex, Complex]:
        """Integral of u^alpha p(u) / (zeta - u) and its derivative, p by its series."""
        width = self.pieces.width[k]
        flip = width < 0.0  # z above the axis is zeta below it
        z = np.where(flip, np.conj(z), z)
        # both distances from the numbers themselves: neighbours then see the very same ones
        up, back = (z - self.pieces.origin[k]) / width, (z - self.pieces.far[k]) / width
        up, back = (w.real + 1j * abs(w.imag) for w in (up, back))
        value, change = np.zeros_like(up), np.zeros_like(up)
        for kind in np.unique(self.pieces.exponent[k]):
            i = np.nonzero(self.pieces.exponent[k] == kind)[0]
            jump, jump1 = cauchy_of_power(up[i], back[i], EXPONENTS[kind])
            p, p1, q, q1 = associated(up[i], series[i], int(kind))
            # at the very end u = 0 the power beats what p leaves of rounding there
            first = np.where(up[i] == 0.0, 0.0, p * jump)
            value[i], change[i] = first - q, p1 * jump + p * jump1 - q1
        return np.where(flip, np.conj(value), value), np.where(flip, np.conj(change), change)

    def _logs(self, z: Complex) -> Complex:
        """U by parts: mass log(z - far end) + the integral of u^(alpha+1) r(u) / (zeta - u)."""
        z = self._aside(z)
        t, w = self._nodes
        with np.errstate(all="ignore"):
            d = z[:, None, None] - t
            u = np.einsum("mkn,kn->mk", np.log(d), w)
            atoms = np.log(z[:, None] - self.place) @ self.mass
            j, k = self._near(z)
            inner = self._exact(z[j], k, self._potentials[k])[0]
            u[j, k] = self.masses[k] * np.log(z[j] - self.pieces.far[k]) + inner
            return np.asarray(u.sum(axis=1) + atoms)
