r"""Hermite coefficients of an activation over a range of lengths, as series in log q.

The coefficients are analytic in log q whatever the kinks of phi.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, Estimate, Status
from chione.base import chebyshev as kit
from chione.theory.moments.hermite_rows import Grid, coefficients, grid
from chione.theory.moments.moments import moments
from chione.theory.moments.standard_activation import is_moderate

_FIRST, _MOST = 16, 384  # lengths at which coefficients are computed
_PER_OCTAVE = 4
_MISSED = 1e-15  # relative; of the products of interpolated coefficients
_RESOLVED_AT = 65  # lengths at which panels are tried
_TESTS = np.array([-0.93, -0.58, -0.03, 0.37, 0.81])  # where interpolation is tested


@dataclass(frozen=True)
class RowTable:
    r"""The first N coefficients over [low, high].

    Parameters
    ----------
    low, high : float
        Ends of the range.
    q : ndarray, shape (m,)
        Lengths at which they were computed.
    a : ndarray, shape (m, N)
        The coefficients there.
    square, steep : ndarray, shape (m,)
        :math:`E\,\phi^2` and :math:`q\,E\,\phi'^2`; the latter from 64 coefficients where phi
        jumps.
    error, steep_error : float
        Errors of the products of two coefficients, summed, relative to these.
    grid : Grid
        Where coefficients come from.
    """

    low: float
    high: float
    q: Array
    a: Array
    square: Array
    steep: Array
    error: float
    steep_error: float
    grid: Grid

    def weights(self, q: Array) -> Array:
        """Matrix (n, m) that takes values at the nodes to those at lengths within the range."""
        m = len(self.q)
        if m == 1:
            return np.ones((len(q), 1))
        middle = 0.5 * (np.log(self.low) + np.log(self.high))
        half = 0.5 * (np.log(self.high) - np.log(self.low))
        x = np.clip((np.log(q) - middle) / half, -1.0, 1.0)
        k = np.arange(m)
        distance = x[:, None] - kit.nodes(m)  # barycentric interpolation
        exact = np.abs(distance) < 1e-15
        distance[exact] = 1.0
        weights = (-1.0) ** k * np.sin(np.pi * (k + 0.5) / m) / distance
        weights[exact.any(axis=1)] = 0.0
        weights[exact] = 1.0
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def row_table(phi: AbstractActivation, low: float, high: float, n: int) -> RowTable:
    """The first `n` coefficients for lengths in [low, high].

    Raises
    ------
    ConvergenceError
        If phi has no such coefficients in float64, or is too rough for a few thousand nodes.
    """
    if not (0.0 < low <= high < np.inf):
        raise ConvergenceError(f"lengths must be finite and above zero, not {low} to {high}.")
    if not is_moderate(phi, low, high):
        raise ConvergenceError(f"squares of {phi} leave float64 at lengths {low:.3g}, {high:.3g}.")
    middle, half = 0.5 * (np.log(low) + np.log(high)), 0.5 * (np.log(high) - np.log(low))
    if half <= 4.0 * EPS:
        at = grid(phi, np.array([low]), n)
        return _measured(phi, (low, low), np.array([low]), at, np.zeros((1, n)))
    at = grid(phi, np.exp(middle + half * np.linspace(-1.0, 1.0, _RESOLVED_AT)), n)
    tests = np.exp(middle + half * _TESTS)
    direct = coefficients(phi, at, tests)
    square = _sizes(phi, tests, direct)[0]
    m, before = _FIRST + int(np.ceil(_PER_OCTAVE * 2.0 * half / np.log(2.0))), np.inf
    while True:
        q = np.exp(middle + half * kit.nodes(m))
        found = _measured(phi, (low, high), q, at, np.zeros((1, n)))
        missed = np.abs(found.weights(tests) @ found.a - direct)
        off = float(np.max((missed * np.abs(direct)).sum(1) / square))
        if off <= _MISSED or off > 0.5 * before or 2 * m > _MOST:
            return _measured(phi, (low, high), q, at, missed, found.a)
        m, before = int(1.5 * m), off


def _measured(
    phi: AbstractActivation,
    ends: tuple[float, float],
    q: Array,
    at: Grid,
    missed: Array,
    a: Array | None = None,
) -> RowTable:
    """The table of coefficients at `q` with its errors; `missed` are those of interpolation."""
    a = coefficients(phi, at, q) if a is None else a
    square, steep = _sizes(phi, q, a)
    k = np.arange(float(a.shape[1]))
    errors = []
    for size, power, noise in (
        (square, 0.0, phi.noise(0, q)),
        (steep, 1.0, phi.noise(1, q) * np.sqrt(q)),
    ):
        size = np.where(size > 0.0, size, 1.0)
        rounding = np.abs(a) * EPS * (8.0 + 0.5 * np.sqrt(k))
        own = rounding + missed.max(axis=0)
        error = ((np.abs(a) * own) @ k**power) / size + noise / np.sqrt(size)
        errors.append(2.0 * float(error.max()))
    return RowTable(*ends, q, a, square, steep, errors[0], errors[1], at)


def _sizes(phi: AbstractActivation, q: Array, a: Array) -> tuple[Array, Array]:
    """E phi^2 and q E phi'^2 at lengths with these coefficients."""
    m = moments(phi)
    square = _known(m.square(q), phi, q)
    if m.has_jumps:
        return square, np.asarray(a[:, :64] ** 2 @ np.arange(float(min(64, a.shape[1]))))
    slope = m.derivative_square(q)
    return square, q * _known(slope, phi, q)


def _known(e: Estimate, phi: AbstractActivation, q: Array) -> Array:
    """The values, where all of them are known well."""
    value = np.asarray(e.value, dtype=np.float64)
    if np.any(np.asarray(e.status) > Status.OK) or not np.all(np.isfinite(value)):
        raise ConvergenceError(f"moments of {phi} are not certain at lengths up to {q.max():.3g}.")
    return value
