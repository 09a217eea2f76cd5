"""Finitely many atoms: laws of eigenvalues, from one to a hundred thousand."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob.measures import AbstractMeasure, Complex, by_halves

_MASS_SLACK = 1e-12  # how far the masses of a discrete law may add up from 1
_BLOCK = 1_000_000  # entries of one matrix of points times atoms


@dataclass(frozen=True)
class PointMasses(AbstractMeasure):
    r"""Finitely many atoms.

    .. math:: G(z) = \sum_k \frac{m_k}{z - a_k}, \qquad U(z) = \sum_k m_k \log(z - a_k)

    Parameters
    ----------
    places : tuple of float
        The atoms :math:`a_k`, distinct.
    masses : tuple of float
        Their masses :math:`m_k > 0`, of sum 1.

    Notes
    -----
    N points cost N times as many terms as there are atoms, in blocks of a million.
    """

    places: tuple[float, ...]
    masses: tuple[float, ...]

    def __post_init__(self) -> None:
        a = checks.real_array("places", self.places)
        m = checks.real_array("masses", self.masses)
        if a.ndim != 1 or a.shape != m.shape or a.size == 0:
            raise ValueError(
                f"places and masses must be two lists of one length, but their shapes are "
                f"{a.shape} and {m.shape}."
            )
        if np.unique(a).size != a.size or np.any(m <= 0.0) or abs(m.sum() - 1.0) > _MASS_SLACK:
            raise ValueError(
                "places must be distinct and masses above 0 with sum 1, but the masses add up to "
                f"{m.sum()!r}; merge equal places and divide the masses by their sum."
            )
        order = np.argsort(a)
        object.__setattr__(self, "places", tuple(a[order].tolist()))
        object.__setattr__(self, "masses", tuple(m[order].tolist()))

    @classmethod
    def empirical(cls, eigenvalues: Any, weights: Any = None) -> PointMasses:
        """Atoms at the eigenvalues; see :func:`chione.freeprob.empirical`."""
        a = checks.real_array("eigenvalues", eigenvalues)
        if a.ndim != 1 or a.size == 0:
            raise ValueError(
                f"eigenvalues must be one list with a number in it, but its shape is {a.shape}; "
                "of a symmetric matrix take numpy.linalg.eigvalsh first."
            )
        if weights is None:
            w = np.ones(a.size)
        else:
            w = checks.real_array("weights", weights)
            if w.shape != a.shape:
                raise ValueError(
                    f"weights must go with the eigenvalues, but their shapes are {w.shape} and "
                    f"{a.shape}; give one weight for each."
                )
            if np.any(w < 0.0) or not np.any(w > 0.0):
                raise ValueError(
                    f"weights must be 0 or above and not all 0, but the smallest is {w.min():g}."
                )
        place, index = np.unique(a + 0.0, return_inverse=True)  # -0 is 0
        mass: Array = np.bincount(index, w / w.max()).astype(np.float64)
        keep = mass > 0.0
        mass = mass[keep] / math.fsum(mass[keep])
        return cls(tuple(place[keep].tolist()), tuple(mass.tolist()))

    @cached_property
    def place(self) -> Array:
        """The atoms as an array, rising."""
        return np.array(self.places)

    @cached_property
    def mass(self) -> Array:
        """Their masses as an array."""
        return np.array(self.masses)

    @cached_property
    def cumulative(self) -> Array:
        """P(t <= a_k), shape (K,); the last one is 1."""
        total = np.cumsum(self.mass.astype(np.longdouble)).astype(np.float64)
        total[-1] = 1.0
        return np.asarray(np.minimum(total, 1.0))

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.places, self.masses, strict=True))

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return tuple((a, a) for a in self.places)

    def stieltjes(self, z: Any) -> Complex:
        return np.asarray(self._blocks(lambda d, y: _sums(d, y, self.mass, slope=False), z)[0])

    def stieltjes_derivative(self, z: Any) -> Complex:
        return self.stieltjes_with_derivative(z)[1]

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        out = self._blocks(lambda d, y: _sums(d, y, self.mass, slope=True), z)
        return out[0], out[1]

    def stieltjes_error(self, z: Any) -> Array:
        return self._rounding(self.mass, z)

    def moment_function(self, z: Any) -> Complex:
        weight = self.mass * self.place
        return np.asarray(self._blocks(lambda d, y: _sums(d, y, weight, slope=False), z)[0])

    def moment_function_derivative(self, z: Any) -> Complex:
        weight = self.mass * self.place
        return np.asarray(self._blocks(lambda d, y: _sums(d, y, weight, slope=True), z)[1])

    def moment_function_error(self, z: Any) -> Array:
        return self._rounding(self.mass * abs(self.place), z)

    def mean_log(self, z: Any) -> Complex:
        def logs(d: Array, y: Array) -> Complex:
            with np.errstate(divide="ignore"):
                log = np.log(np.hypot(d, y)) @ self.mass
            return np.array([log + 1j * (np.arctan2(y, d) @ self.mass)])

        return by_halves(lambda z: self._blocks(logs, z)[0], z)

    def cdf(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        below = np.searchsorted(self.place, x, side="right")
        return np.asarray(np.concatenate([[0.0], self.cumulative])[below])

    def cdf_error(self, x: Any) -> Array:
        # the sums carry more digits where long double has them; the masses are right to 1e-12
        x = checks.real_array("x", x)
        return np.full(x.shape, 4.0 * EPS)

    def density(self, x: Any) -> Array:
        return np.zeros(checks.real_array("x", x).shape)

    def moments(self, n: int) -> Array:
        size = float(np.max(abs(self.place))) or 1.0
        k = np.arange(1, n + 1)
        scaled = np.array([float((self.place / size) ** j @ self.mass) for j in k])
        return np.asarray(scaled * size**k)

    def _rounding(self, weight: Array, z: Any) -> Array:
        # z - a is right to half a unit: each term is right to a few, whatever cancels among them
        def size(d: Array, y: Array) -> Complex:
            with np.errstate(divide="ignore"):
                return np.array([(1.0 / np.hypot(d, y)) @ weight + 0j])

        return np.asarray(16.0 * EPS * self._blocks(size, z)[0].real)

    def _blocks(self, f: Callable[[Array, Array], Complex], z: Any) -> Complex:
        """Rows f(Re z - a, Im z), shape (R, m), over blocks of points; shape (R, *z.shape)."""
        z = np.asarray(z, dtype=complex)
        flat = z.ravel()
        step = max(1, _BLOCK // self.place.size)
        parts = [
            f(w.real[:, None] - self.place, np.broadcast_to(w.imag[:, None] + 0.0, (w.size, 1)))
            for w in (flat[i : i + step] for i in range(0, max(flat.size, 1), step))
        ]
        out = np.concatenate(parts, axis=1)
        return np.asarray(out.reshape(out.shape[0], *z.shape))


def _sums(d: Array, y: Array, mass: Array, *, slope: bool) -> Complex:
    r"""Sums of m/(d + iy) and of -m/(d + iy)^2 in real arithmetic, by few passes.

    With :math:`v = 1 / (d^2 + y^2)` they are :math:`\sum m (d - iy) v` and
    :math:`\sum m (2 y^2 v^2 - v + 2 i d y v^2)`.
    """
    y = y[:, 0]
    with np.errstate(all="ignore"):
        v = d * d
        v += (y * y)[:, None]
        np.reciprocal(v, out=v)
        sum_v = v @ mass
        part = d * v
        rows = [part @ mass - 1j * (y * sum_v)]
        if slope:
            part *= v
            v *= v
            rows.append(2.0 * (y * y) * (v @ mass) - sum_v + 2j * (y * (part @ mass)))
        out = np.stack(rows)
        # at an atom, and where squares leave the range of float64
        odd = ~np.isfinite(out).all(axis=0) | (out[0] == 0.0)
        if odd.any():
            w = d[odd] + 1j * y[odd, None]
            out[0, odd] = (1.0 / w) @ mass
            if slope:
                out[1, odd] = -((1.0 / w) ** 2) @ mass
    return np.asarray(out)
