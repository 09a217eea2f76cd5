r"""A function of the variance q, compiled into short polynomials.

Evaluation costs some ten nanoseconds a point, so that a phase diagram is a matter of look-ups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, Estimate, Status
from chione.base import chebyshev as kit

DEGREE = 12
_BITS = 2  # of the mantissa: four pieces an octave. Degree 12 leaves 1.5e-15 for tanh and its slope
_BLOCK = 1 << 13  # points at a time: the working set stays in the second-level cache
_NODES = kit.nodes(DEGREE + 1)
_PROBES = np.array([-0.97, -0.4, 0.17, 0.71])  # between the nodes, where the fit is checked
_BETWEEN = 2.0  # the largest departure between the nodes, over that at the probes
_HORNER = 4.0 * EPS  # rounding of the sum of a polynomial whose first coefficient is the largest
# Node values -> Chebyshev coefficients -> monomial coefficients in s. Two steps: the high Chebyshev
# coefficients are tiny, so the large entries of the second matrix amplify nothing.
_TO_CHEBYSHEV, _TO_MONOMIAL = kit.fit_matrix(DEGREE + 1), kit.monomial_matrix(DEGREE + 1)
_POWERS = _PROBES ** np.arange(DEGREE + 1)[:, None]  # (DEGREE + 1, probes)
_SHIFT = 52 - _BITS
_MASK = np.int64((1 << _SHIFT) - 1)
_ONE_BITS = np.float64(1.0).view(np.int64)
_EXPONENT = np.int64(0x7FF0000000000000)
_NORMAL = float(np.finfo(np.float64).tiny)  # below it the exponent is no piece any more
# Values that have to be asked of a piece in one call before it is made: as many as that costs,
_WORTH = DEGREE + 1 + len(_PROBES)
_AGAIN = 4  # or so many in several calls: whoever comes again will come a third time
_SHARP = 40.0 * EPS  # of the value: what a look-up may add to the error of the function itself
_EVEN = 3.0  # the largest error of the function on a piece, which all values get, over its least


class Table:
    r"""Piecewise polynomial of a smooth function of q, built where it is needed.

    Parameters
    ----------
    function : callable
        Array of variances (n,) -> :class:`~chione.base.Estimate` of shape (n,).
    tolerance : float
        Pieces whose fit is off by more than this fraction of the value at a probe, or whose values
        do not exist, are not used: there the function itself is called.

    Notes
    -----
    Each piece spans a quarter of an octave of q and holds a Chebyshev fit in monomial form. Piece
    and place in it are read from the bits of q, so that nothing is rounded, however large or
    small q is.
    """

    def __init__(self, function: Callable[[Array], Estimate], *, tolerance: float = 1e-13) -> None:
        self._function = function
        self._tolerance = tolerance
        self._first = 0
        self._coefficients = np.empty((DEGREE + 1, 0))
        # relative error of each piece; inf where it must not be used, NaN where no value exists
        self._error = np.empty(0)
        # absolute error of each piece; inf where the function itself is much better than the fit,
        # or where there is no piece yet
        self._sharp = np.empty(0)
        self._is_sharp = np.empty(0, dtype=bool)
        self._asked = np.empty(0, dtype=np.intp)  # values that were asked of pieces not yet built
        self._built = np.empty(0, dtype=bool)

    def __call__(self, q: Array) -> Array:
        """Values at positive variances q, of any shape."""
        return self._evaluate(q, False)[0]

    def with_slope(self, q: Array) -> tuple[Array, Array]:
        """Values and their derivative with respect to q (the latter to about 1e-11)."""
        return self._evaluate(q, True)

    def error(self, q: Array) -> Array:
        """Relative error of the values at q, fit and source together."""
        flat = _contiguous(q)
        e = self._error[self._index(flat)]
        bad = np.flatnonzero(np.isinf(e))  # there the function itself is called
        if bad.size:
            own = self._function(flat[bad])
            with np.errstate(all="ignore"):
                relative = np.abs(np.asarray(own.error) / np.asarray(own.value))
            # a zero that is right to the smallest numbers of float64
            e[bad] = np.where(
                np.asarray(own.error) < 1e-300, np.nan_to_num(relative, posinf=0.0), relative
            )
        return e.reshape(np.shape(q))

    def estimate(self, q: Array) -> Estimate:
        """What the function gives at q, of any shape, nearly as exact, with error and status.

        Parameters
        ----------
        q : ndarray
            Variances; those that are zero or denormal, and whatever the function refuses, are
            handed to the function itself.

        Notes
        -----
        A piece is made once so many values were asked of it that it costs no more than they do,
        or when it is asked for again; until then, and where a polynomial is much worse than the
        function, the function itself is called. So a few scattered values cost what they cost
        without a table, and thousands cost what they do with one.
        """
        flat, shape = _contiguous(q), np.shape(q)
        if flat.size == 0:
            return self._function(q)
        lowest, highest = flat.min(), flat.max()
        if not (lowest >= _NORMAL and highest < np.inf):
            inside = (flat >= _NORMAL) & (flat < np.inf)
            return _merged(self._function, self.estimate, flat, inside, shape)
        value, error = np.empty_like(flat), np.empty_like(flat)
        status = np.zeros(flat.shape, dtype=np.int8)
        low, high = self._reserve(lowest, highest)
        index = (flat.view(np.int64) >> _SHIFT) - self._first
        sharp = bool(self._is_sharp[low : high + 1].all())
        if not sharp:
            self._count(index, low, high)
        for start in range(0, len(flat), _BLOCK):
            part = slice(start, start + _BLOCK)
            self._horner(flat[part], index[part], value[part])
            self._sharp.take(index[part], out=error[part], mode="clip")
        if not sharp:
            bad = np.flatnonzero(np.isinf(error))
            if bad.size:
                own = self._function(flat[bad])
                value[bad], error[bad], status[bad] = own.value, own.error, own.status
        return Estimate(value.reshape(shape), error.reshape(shape), status.reshape(shape))

    def _evaluate(self, q: Array, slope: bool) -> tuple[Array, Array]:
        flat = _contiguous(q)
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
            index = self._index(flat[part])
            if slope:
                self._horner_with_slope(flat[part], index, value[part], derivative[part])
            else:
                self._horner(flat[part], index, value[part])
            self._patch(flat[part], index, value[part], derivative[part] if slope else None)
        return value.reshape(np.shape(q)), derivative.reshape(np.shape(q))

    def _horner(self, q: Array, index: NDArray[np.intp], out: Array) -> Array:
        s, term = _place(q), np.empty_like(out)
        self._coefficients[DEGREE].take(index, out=out, mode="clip")
        for k in range(DEGREE - 1, -1, -1):
            out *= s
            self._coefficients[k].take(index, out=term, mode="clip")
            out += term
        return out

    def _horner_with_slope(
        self, q: Array, index: NDArray[np.intp], value: Array, derivative: Array
    ) -> None:
        s, term = _place(q), np.empty_like(value)
        self._coefficients[DEGREE].take(index, out=value, mode="clip")
        derivative[:] = 0.0
        for k in range(DEGREE - 1, -1, -1):
            derivative *= s
            derivative += value
            value *= s
            self._coefficients[k].take(index, out=term, mode="clip")
            value += term
        # a piece is 2^(e - bits) wide in q, and 2 in s
        octave = (q.view(np.int64) & _EXPONENT).view(np.float64)
        derivative *= 2.0 * (1 << _BITS)
        derivative /= np.maximum(octave, _NORMAL)

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

    def _index(self, q: Array) -> NDArray[np.intp]:
        """Index of the piece of each q > 0, after building what is missing."""
        if q.size == 0:
            return np.empty(0, dtype=np.intp)
        low, high = self._reserve(q.min(), q.max())
        index = (q.view(np.int64) >> _SHIFT) - self._first
        if not self._built[low : high + 1].all():
            wanted = np.unique(index)
            self._build(wanted[~self._built[wanted]])
        return index

    def _count(self, index: NDArray[np.intp], low: int, high: int) -> None:
        """Build the pieces low .. high that were asked for often enough."""
        part = slice(low, high + 1)
        now = np.bincount(index - low, minlength=high - low + 1)
        before = self._asked[part].copy()
        self._asked[part] += now
        worth = (now >= _WORTH) | ((now > 0) & (before > 0) & (before + now >= _AGAIN))
        self._build(low + np.flatnonzero(worth & ~self._built[part]))

    def _reserve(self, lowest: np.float64, highest: np.float64) -> tuple[int, int]:
        """Index of the first and the last piece between two q > 0, for which room is made."""
        ends = np.array([lowest, highest]).view(np.int64) >> _SHIFT
        low, high = int(ends[0]), int(ends[1])
        if self._built.size == 0:
            self._first = low
        before = max(0, self._first - low)
        after = max(0, high + 1 - self._first - len(self._built))
        if before or after:
            room = (before, after)
            self._coefficients = np.pad(self._coefficients, ((0, 0), room))
            self._error = np.pad(self._error, room)
            self._sharp = np.pad(self._sharp, room, constant_values=np.inf)
            self._is_sharp = np.pad(self._is_sharp, room)
            self._asked = np.pad(self._asked, room)
            self._built = np.pad(self._built, room)
            self._first -= before
        return low - self._first, high - self._first

    def _build(self, pieces: NDArray[np.intp]) -> None:
        if pieces.size == 0:
            return
        s = np.r_[_NODES, _PROBES]
        low = ((pieces + self._first).astype(np.int64) << _SHIFT).view(np.float64)[:, None]
        step = (low.view(np.int64) & _EXPONENT).view(np.float64) / (1 << _BITS)
        q = low + 0.5 * (s + 1.0) * step
        estimate = self._function(np.maximum(q, 5e-324).ravel())
        values = np.asarray(estimate.value).reshape(q.shape)  # (pieces, nodes + probes)
        source = np.asarray(estimate.error).reshape(q.shape)
        status = np.broadcast_to(estimate.status, q.size).reshape(q.shape)
        known = np.all(status == Status.OK, axis=1)
        nodes, probes = values[:, : DEGREE + 1], values[:, DEGREE + 1 :]
        with np.errstate(all="ignore"):
            coefficients = nodes @ _TO_CHEBYSHEV.T @ _TO_MONOMIAL.T
            size = np.abs(values)
            off = np.abs(coefficients @ _POWERS - probes)
            missed, own = np.max(off / size[:, DEGREE + 1 :], axis=1), np.max(source / size, axis=1)
            added = _BETWEEN * off.max(axis=1) + _HORNER * size.max(axis=1)
            enough = added <= _SHARP * size.min(axis=1)
            enough &= source.max(axis=1) <= _EVEN * source.min(axis=1)
        nowhere = np.isnan(values).all(axis=1)  # an infinite moment, which need not be asked again
        coefficients = np.where(np.isfinite(coefficients), coefficients, 0.0)
        coefficients[nowhere] = np.nan
        self._coefficients[:, pieces] = coefficients.T
        normal = low[:, 0] >= _NORMAL
        # where the function itself is worse than the fit, as a user's with noise, it serves no one
        fits = (missed + own <= self._tolerance) | (known & (missed <= own))
        self._error[pieces] = np.where(
            normal & fits, missed + own, np.where(nowhere, np.nan, np.inf)
        )
        self._is_sharp[pieces] = normal & known & enough
        sharp = np.where(self._is_sharp[pieces], added + source.max(axis=1), np.inf)
        self._sharp[pieces] = sharp
        self._built[pieces] = True


def _contiguous(q: Array) -> Array:
    return np.ascontiguousarray(q, dtype=np.float64).reshape(-1)


def _merged(
    function: Callable[[Array], Estimate],
    table: Callable[[Array], Estimate],
    q: Array,
    inside: NDArray[np.bool_],
    shape: tuple[int, ...],
) -> Estimate:
    """The function itself where q is not `inside`, its table elsewhere."""
    value, error = np.empty_like(q), np.empty_like(q)
    status = np.zeros(q.shape, dtype=np.int8)
    for source, where in ((function, ~inside), (table, inside)):
        e = source(q[where])
        value[where], error[where], status[where] = e.value, e.error, e.status
    return Estimate(value.reshape(shape), error.reshape(shape), status.reshape(shape))


def _place(q: Array) -> Array:
    """Place of each q in its piece, from -1 to 1: the bits below the piece."""
    rest = q.view(np.int64) & _MASK
    rest <<= _BITS
    rest |= _ONE_BITS
    s = rest.view(np.float64)
    s *= 2.0
    s -= 3.0
    return s
