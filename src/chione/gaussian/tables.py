r"""A function of the variance q, compiled into short polynomials in log q.

Evaluation costs some ten nanoseconds a point, so that a phase diagram is a matter of look-ups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, Estimate
from chione.base import chebyshev as kit

DEGREE = 11
WIDTH = 0.25 * np.log(2.0)  # of a piece in log q; degree 11 then leaves 1e-15 for tanh and GELU
_BLOCK = 1 << 14  # points at a time: the working set stays in the second-level cache
_NODES = kit.nodes(DEGREE + 1)
_PROBES = np.array([-0.97, -0.4, 0.17, 0.71])  # between the nodes, where the fit is checked
# Node values -> Chebyshev coefficients -> monomial coefficients in s. Two steps: the high Chebyshev
# coefficients are tiny, so the large entries of the second matrix amplify nothing.
_TO_CHEBYSHEV, _TO_MONOMIAL = kit.fit_matrix(DEGREE + 1), kit.monomial_matrix(DEGREE + 1)


class Table:
    r"""Piecewise polynomial in log q of a smooth function of q, built where it is needed.

    Parameters
    ----------
    function : callable
        Array of variances (n,) -> :class:`~chione.base.Estimate` of shape (n,).
    tolerance : float
        Pieces whose fit is off by more than this fraction of the value at a probe, or whose values
        do not exist, are not used: there the function itself is called.

    Notes
    -----
    Each piece spans a quarter octave of q and holds a degree-11 Chebyshev fit in monomial form.
    """

    def __init__(self, function: Callable[[Array], Estimate], *, tolerance: float = 1e-13) -> None:
        self._function = function
        self._tolerance = tolerance
        self._first = 0
        self._coefficients = np.empty((DEGREE + 1, 0))
        self._error = np.empty(0)  # relative error of each piece; inf where it must not be used
        self._built = np.empty(0, dtype=bool)

    def __call__(self, q: Array) -> Array:
        """Values at positive variances q, of any shape."""
        return self._evaluate(q, False)[0]

    def with_slope(self, q: Array) -> tuple[Array, Array]:
        """Values and their derivative with respect to q (the latter to about 1e-11)."""
        return self._evaluate(q, True)

    def error(self, q: Array) -> Array:
        """Relative error of the values at q, fit and source together."""
        flat = np.ravel(q)
        e = self._error[self._prepare(np.log(flat))[0]]
        bad = np.flatnonzero(np.isinf(e))  # there the function itself is called
        if bad.size:
            own = self._function(flat[bad])
            with np.errstate(all="ignore"):
                relative = np.abs(np.asarray(own.error) / np.asarray(own.value))
            e[bad] = np.where(np.asarray(own.error) == 0.0, 0.0, relative)
        return e.reshape(np.shape(q))

    def _evaluate(self, q: Array, slope: bool) -> tuple[Array, Array]:
        flat = np.ravel(q)
        usable = (flat > 0.0) & (flat < np.inf)
        if not usable.all():  # lengths that have diverged have no value here
            value, derivative = np.full(flat.shape, np.nan), np.full(flat.shape, np.nan)
            if usable.any():
                value[usable], derivative[usable] = self._evaluate(flat[usable], slope)
            return value.reshape(np.shape(q)), derivative.reshape(np.shape(q))
        value = np.empty_like(flat)
        derivative = np.empty_like(flat) if slope else value
        for start in range(0, len(flat), _BLOCK):
            part = slice(start, start + _BLOCK)
            index, s = self._prepare(np.log(flat[part]))
            v = self._coefficients[DEGREE].take(index)
            d = np.zeros_like(v) if slope else v
            for k in range(DEGREE - 1, -1, -1):
                if slope:
                    d *= s
                    d += v
                v *= s
                v += self._coefficients[k].take(index)
            value[part] = v
            if slope:
                derivative[part] = d * (2.0 / WIDTH) / flat[part]
            self._patch(flat[part], index, value[part], derivative[part] if slope else None)
        return value.reshape(np.shape(q)), derivative.reshape(np.shape(q))

    def _patch(self, q: Array, index: NDArray[np.intp], value: Array, slope: Array | None) -> None:
        """Replace what the pieces cannot give by the function itself."""
        if not np.isinf(self._error).any():
            return
        bad = np.flatnonzero(np.isinf(self._error[index]))
        if bad.size == 0:
            return
        value[bad] = self._function(q[bad]).value
        if slope is not None:
            step = 1e-4  # only Newton's step rests on it
            up, down = (self._function(q[bad] * np.exp(x)).value for x in (step, -step))
            slope[bad] = (up - down) / (2.0 * step * q[bad])

    def _prepare(self, u: Array) -> tuple[NDArray[np.intp], Array]:
        """Index of the piece and the place in it, after building what is missing."""
        x = u * (1.0 / WIDTH)
        piece = np.floor(x)
        s = 2.0 * (x - piece) - 1.0
        low, high = int(piece.min()), int(piece.max())
        self._reserve(low, high)
        index = piece.astype(np.intp) - self._first
        if not self._built[low - self._first : high - self._first + 1].all():
            wanted = np.unique(index)
            self._build(wanted[~self._built[wanted]])
        return index, s

    def _reserve(self, low: int, high: int) -> None:
        if self._built.size == 0:
            self._first = low
        before = max(0, self._first - low)
        after = max(0, high + 1 - self._first - len(self._built))
        if before or after:
            self._coefficients = np.pad(self._coefficients, ((0, 0), (before, after)))
            self._error = np.pad(self._error, (before, after))
            self._built = np.pad(self._built, (before, after))
            self._first -= before

    def _build(self, pieces: NDArray[np.intp]) -> None:
        if pieces.size == 0:
            return
        s = np.r_[_NODES, _PROBES]
        q = np.exp((pieces[:, None] + self._first + 0.5 * (s + 1.0)) * WIDTH)
        estimate = self._function(q.ravel())
        values = np.asarray(estimate.value).reshape(q.shape)  # (pieces, nodes + probes)
        source = np.asarray(estimate.error).reshape(q.shape)
        nodes, probes = values[:, : DEGREE + 1], values[:, DEGREE + 1 :]
        coefficients = nodes @ _TO_CHEBYSHEV.T @ _TO_MONOMIAL.T
        fitted = np.polynomial.polynomial.polyval(_PROBES, coefficients.T)
        with np.errstate(all="ignore"):
            relative = np.max(np.abs(fitted - probes) / np.abs(probes), axis=1)
            relative += np.max(source / np.abs(values), axis=1)
        self._coefficients[:, pieces] = coefficients.T
        self._error[pieces] = np.where(relative <= self._tolerance, relative, np.inf)
        self._built[pieces] = True
