r"""Hermite coefficients of an activation over a range of lengths, as series in log q.

The coefficients are analytic in log q whatever the kinks of phi.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, Estimate, Status
from chione.base import chebyshev as kit
from chione.theory.moments.hermite_rows import Grid, coefficients, grid
from chione.theory.moments.moments import moments
from chione.theory.moments.standard_activation import is_moderate

_WIDEST = np.log(32.0)  # extent of a piece in log q
_FIRST, _MOST = 16, 384  # lengths at which coefficients are computed
_PER_OCTAVE = 4
_MISSED = 1e-15  # relative; of the products of interpolated coefficients
_RESOLVED_AT = 65  # lengths at which panels are tried
_TESTS = np.array([-0.93, -0.58, -0.03, 0.37, 0.81])  # where interpolation is tested


@dataclass(frozen=True)
class RowTable:
    r"""The first N coefficients over [low, high], in pieces of a few octaves.

    Parameters
    ----------
    edges : ndarray, shape (P + 1,)
        Ends of the pieces.
    counts : tuple of int
        Numbers of lengths in each at which coefficients were computed.
    q : ndarray, shape (m,)
        These lengths.
    a : ndarray, shape (m, N)
        The coefficients there.
    square, steep : ndarray, shape (m,)
        :math:`E\,\phi^2` and :math:`q\,E\,\phi'^2`; the latter from 64 coefficients where phi
        jumps.
    error, steep_error : float
        Errors of the products of two coefficients, summed, relative to these.
    exact : bool
        Whether the table holds for the lengths `q` alone, which are the edges then.
    """

    edges: Array
    counts: tuple[int, ...]
    q: Array
    a: Array
    square: Array
    steep: Array
    error: float
    steep_error: float
    exact: bool = False

    @property
    def low(self) -> float:
        """Smallest length."""
        return float(self.edges[0])

    @property
    def high(self) -> float:
        """Largest length."""
        return float(self.edges[-1])

    def sizes(self, q: Array) -> tuple[Array, Array]:
        """Mean squares of phi and of u phi' at lengths within the range, to a few per cent."""
        x, order = np.log(q), np.argsort(self.q)
        nodes = np.log(self.q[order])
        with np.errstate(divide="ignore"):
            logs = np.log(self.square[order]), np.log(self.steep[order])
        one, two = (np.exp(np.interp(x, nodes, y)) for y in logs)
        return one, two

    def at(self, q: Array, values: Array) -> Array:
        """Values (m, N) at the nodes, interpolated to lengths within the range, (N, n)."""
        if self.exact:
            return np.ascontiguousarray(values[np.searchsorted(self.q, q)].T)
        out = np.empty((values.shape[1], len(q)))
        piece = np.clip(np.searchsorted(self.edges, q) - 1, 0, len(self.counts) - 1)
        ends = np.cumsum(self.counts)
        for p in np.unique(piece):
            here = piece == p
            own = values[ends[p] - self.counts[p] : ends[p]]
            weights = _weights(self.edges[p], self.edges[p + 1], self.counts[p], q[here])
            if here.all():
                return np.asarray(own.T @ weights.T)
            out[:, here] = own.T @ weights.T
        return out


def _weights(low: float, high: float, m: int, q: Array) -> Array:
    """Matrix (n, m) that takes values at the nodes of a piece to those at lengths within it."""
    if m == 1:
        return np.ones((len(q), 1))
    middle, half = _middle_and_half(low, high)
    x = np.clip((np.log(q) - middle) / half, -1.0, 1.0)
    k = np.arange(m)
    distance = x[:, None] - kit.nodes(m)  # barycentric interpolation
    exact = np.abs(distance) < 1e-15
    distance[exact] = 1.0
    weights = (-1.0) ** k * np.sin(np.pi * (k + 0.5) / m) / distance
    weights[exact.any(axis=1)] = 0.0
    weights[exact] = 1.0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _middle_and_half(low: float, high: float) -> tuple[float, float]:
    """Middle and half the extent of a range, in log q."""
    return float(0.5 * (np.log(low) + np.log(high))), float(0.5 * (np.log(high) - np.log(low)))


def row_table(phi: AbstractActivation, low: float, high: float, n: int) -> RowTable:
    """The first `n` coefficients for lengths in [low, high].

    Raises
    ------
    ConvergenceError
        If phi has no such coefficients in float64, or is too rough for a few thousand nodes.
    """
    _check(phi, low, high)
    extent = np.log(high) - np.log(low)
    if extent <= 8.0 * EPS:
        return exact_table(phi, (low,), n)
    pieces = max(1, int(np.ceil(extent / _WIDEST)))
    edges = np.exp(np.linspace(np.log(low), np.log(high), pieces + 1))
    edges[0], edges[-1] = low, high
    return _joined(edges, [_piece(phi, float(a), float(b), n) for a, b in pairwise(edges)], False)


def exact_table(phi: AbstractActivation, lengths: tuple[float, ...], n: int) -> RowTable:
    """The first `n` coefficients at a few lengths, rising, and at no others; raises likewise."""
    _check(phi, lengths[0], lengths[-1])
    q = np.array(lengths)
    found = []
    while q.size:
        near = q <= q[0] * np.exp(_WIDEST)
        at = grid(phi, q[near], n)
        found.append(_measured(phi, q[near], at, np.zeros((1, n))))
        q = q[~near]
    return _joined(np.array(lengths), found, True)


def _check(phi: AbstractActivation, low: float, high: float) -> None:
    if not (0.0 < low <= high < np.inf):
        raise ConvergenceError(f"lengths must be finite and above zero, not {low} to {high}.")
    if not is_moderate(phi, low, high):
        raise ConvergenceError(f"squares of {phi} leave float64 at lengths {low:.3g}, {high:.3g}.")


def _joined(edges: Array, found: list[_Piece], exact: bool) -> RowTable:
    return RowTable(
        edges,
        tuple(len(p.q) for p in found),
        np.concatenate([p.q for p in found]),
        np.concatenate([p.a for p in found]),
        np.concatenate([p.square for p in found]),
        np.concatenate([p.steep for p in found]),
        max(p.error for p in found),
        max(p.steep_error for p in found),
        exact,
    )


@dataclass(frozen=True)
class _Piece:
    """One piece of a table; fields as there."""

    q: Array
    a: Array
    square: Array
    steep: Array
    error: float
    steep_error: float


def _piece(phi: AbstractActivation, low: float, high: float, n: int) -> _Piece:
    """Coefficients at as many lengths as interpolation asks for."""
    middle, half = _middle_and_half(low, high)
    at = grid(phi, np.exp(middle + half * np.linspace(-1.0, 1.0, _RESOLVED_AT)), n)
    tests = np.exp(middle + half * _TESTS)
    direct = coefficients(phi, at, tests)
    square = _sizes(phi, tests, direct)[0]
    m, before = _FIRST + int(np.ceil(_PER_OCTAVE * 2.0 * half / np.log(2.0))), np.inf
    while True:
        q = np.exp(middle + half * kit.nodes(m))
        a = coefficients(phi, at, q)
        missed = np.abs(_weights(low, high, m, tests) @ a - direct)
        off = float(np.max((missed * np.abs(direct)).sum(1) / np.where(square > 0.0, square, 1.0)))
        if off <= _MISSED or off > 0.5 * before or 2 * m > _MOST:
            return _measured(phi, q, at, missed, a)
        m, before = int(1.5 * m), off


def _measured(
    phi: AbstractActivation, q: Array, at: Grid, missed: Array, a: Array | None = None
) -> _Piece:
    """A piece of coefficients at `q` with its errors; `missed` are those of interpolation."""
    a = coefficients(phi, at, q) if a is None else a
    square, steep = _sizes(phi, q, a)
    k = np.arange(float(a.shape[1]))
    errors = []
    for size, power, noise in (
        (square, 0.0, phi.noise(0, q)),
        (steep, 1.0, phi.noise(1, q) * np.sqrt(q)),
    ):
        size = np.where(size > 0.0, size, 1.0)
        rounding = np.abs(a) * EPS * (6.0 + 0.5 * np.sqrt(k))
        rounding = rounding + 2.0 * EPS * np.sqrt(square)[:, None]  # of the sums
        own = rounding + missed.max(axis=0)
        error = ((np.abs(a) * own) @ k**power) / size + noise / np.sqrt(size)
        errors.append(2.0 * float(error.max()))
    return _Piece(q, a, square, steep, errors[0], errors[1])


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
