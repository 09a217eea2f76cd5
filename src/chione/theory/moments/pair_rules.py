r"""One layer for pairs of inputs: E phi phi, E phi' phi', and the distance of nearly equal inputs.

.. math:: K = E\,\phi(u_1)\phi(u_2), \qquad R = E\,\phi'(u_1)\phi'(u_2), \qquad
   D_\pm = E\,[\phi(u_1) \mp \phi(u_2)]^2

They come from closed forms where they are known, else from the Hermite coefficients of phi at
each length where their series has converged, else from integrals, one entry at a time.
"""

# ruff: noqa: D102  (the methods are documented once, in AbstractPairRule)

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array, Estimate
from chione.gaussian import Integrator
from chione.theory.moments.moments import CLOSED_ERROR, moments
from chione.theory.moments.pair_distance import pair_distance
from chione.theory.moments.pair_kernels import derivative_kernel, kernel, slope_quadrature
from chione.theory.moments.pair_series import Series

_TINY_STEP = 2.0**-10  # relative step of q at which turns are measured


@dataclass(frozen=True)
class Side:
    """The inputs of one side of a block at one layer.

    Parameters
    ----------
    q : ndarray, shape (n,)
        Mean squares.
    square : ndarray, shape (n,)
        E phi^2.
    index : slice or ndarray
        Which inputs of the side these are.
    """

    q: Array
    square: Array
    index: Any


class AbstractPairRule(ABC):
    """What one layer makes of pairs; lengths and correlations broadcast.

    Attributes
    ----------
    seconds : float
        About what one pair costs.
    """

    seconds: ClassVar[float]

    @abstractmethod
    def kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        """K and its error for all pairs, (n, m); 1 - |c| and the sign of c are given."""

    @abstractmethod
    def slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        """R and its error, likewise."""

    @abstractmethod
    def paired_kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        """K and its error of pairs, each with an index on its side, (k,)."""

    @abstractmethod
    def paired_slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        """R and its error, likewise."""

    @abstractmethod
    def distance(
        self, one: Side, two: Side, ratio: Array, gap: Array, sign: Array, kept: Array
    ) -> tuple[Array, Array]:
        """D with the sign `kept` and its error, pair by pair, (k,); NaN where it is not known."""

    @abstractmethod
    def turn(self, side: Side) -> Array:
        r"""How fast phi(u) turns with the length.

        .. math:: |\partial_t \phi|^2 - (\partial_t \phi \cdot \phi)^2 / |\phi|^2 =
           r^2\,E\phi^2, \qquad t = \log q

        Returned are :math:`|\partial_t\phi|^2`, which is :math:`\tfrac14 E (u \phi')^2`.
        """


class ClosedRule(AbstractPairRule):
    """Closed forms, of the distance too."""

    seconds: ClassVar[float] = 1.5e-7

    def __init__(self, act: AbstractActivation) -> None:
        self._act, self._forms = act, act.closed_forms
        self._parity = parity(act)

    def kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        form = self._forms.kernel
        assert form is not None  # the rule is chosen by it
        value = np.asarray(form(one.q, two.q, sign * (1.0 - gap)))
        size = np.sqrt(one.square) * np.sqrt(two.square)
        return value, CLOSED_ERROR * np.maximum(np.abs(value), size)

    def slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        forms = self._forms
        if forms.near_slope is not None:
            near, far = gap, 2.0 - gap
            value = forms.near_slope(
                one.q, two.q, np.where(sign > 0.0, near, far), np.where(sign > 0.0, far, near)
            )
        elif forms.derivative_kernel is not None:
            value = forms.derivative_kernel(one.q, two.q, sign * (1.0 - gap))
        else:  # a jump: from the distance, whose slope is 2 sqrt(q1 q2) R
            assert forms.difference is not None
            at = [forms.difference(one.q, two.q, 0.0 * gap, x * gap) for x in (1.0, 1.001)]
            with np.errstate(divide="ignore", invalid="ignore"):
                value = (at[1] - at[0]) / (2e-3 * gap * np.sqrt(one.q) * np.sqrt(two.q))
            value = np.where(gap > 0.0, value, np.inf)
        return value, CLOSED_ERROR * np.abs(value)

    def paired_kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        return self.kernel(one, two, gap, sign)

    def paired_slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        return self.slope(one, two, gap, sign)

    def distance(
        self, one: Side, two: Side, ratio: Array, gap: Array, sign: Array, kept: Array
    ) -> tuple[Array, Array]:
        forms = self._forms
        out = np.full(gap.shape, np.nan)
        step = two.q * np.expm1(ratio)
        # an even function cannot tell c from -c, an odd one only turns its sign
        like = (kept > 0.0) & ((sign > 0.0) | (self._parity == 1))
        if forms.difference is not None and like.any():
            args = (x[like] for x in (one.q, two.q, step, gap))
            out[like] = forms.difference(*args)
        unlike = (kept < 0.0) & (sign < 0.0)
        if forms.total is not None and unlike.any():
            args = (x[unlike] for x in (one.q, two.q, step, gap))
            out[unlike] = forms.total(*args)
        return out, CLOSED_ERROR * np.abs(out)

    def turn(self, side: Side) -> Array:
        form = self._forms.difference
        assert form is not None
        q1, q2 = side.q * (1.0 + _TINY_STEP), side.q
        apart = form(q1, q2, q1 - q2, 0.0 * q2)
        return np.asarray(apart / np.log1p(_TINY_STEP) ** 2)


class SeriesRule(AbstractPairRule):
    """Hermite series of smooth activations."""

    seconds: ClassVar[float] = 2e-6

    def __init__(self, series: Series, sides: tuple[Array, Array]) -> None:
        self.series = series
        same = sides[0] is sides[1]
        first = series.rows(sides[0])
        self._rows = (first, first if same else series.rows(sides[1]))

    def kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        a, b = self._rows[0][0][one.index], self._rows[1][0][two.index]
        size = np.sqrt(one.square) * np.sqrt(two.square)
        return self.series.sum(a, b, sign * (1.0 - gap)), (1e-14 + self.series.tail) * size

    def slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        a, b = self._rows[0][0][one.index], self._rows[1][0][two.index]
        root = np.sqrt(one.q) * np.sqrt(two.q)
        value = self.series.slope_sum(a, b, sign * (1.0 - gap)) / root
        top = np.sqrt(self.series.steepness(a)[:, None] * self.series.steepness(b)) / root
        return value, (2e-14 + self.series.tail) * np.maximum(np.abs(value), top)

    def paired_kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        a, b = self._rows[0][0][one.index], self._rows[1][0][two.index]
        size = np.sqrt(one.square) * np.sqrt(two.square)
        return self.series.paired_sum(a, b, sign * (1.0 - gap)), (1e-14 + self.series.tail) * size

    def paired_slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        a, b = self._rows[0][0][one.index], self._rows[1][0][two.index]
        root = np.sqrt(one.q) * np.sqrt(two.q)
        value = self.series.paired_slope_sum(a, b, sign * (1.0 - gap)) / root
        top = np.sqrt(self.series.steepness(a) * self.series.steepness(b)) / root
        return value, (2e-14 + self.series.tail) * np.maximum(np.abs(value), top)

    def distance(
        self, one: Side, two: Side, ratio: Array, gap: Array, sign: Array, kept: Array
    ) -> tuple[Array, Array]:
        first, second = self._rows
        return self.series.distance(
            (first, one.index), (second, two.index), ratio, gap, (sign, kept)
        )

    def turn(self, side: Side) -> Array:
        first = self.series.rows(side.q)[1]
        return np.asarray(np.einsum("ij,ij->i", first, first))


class QuadratureRule(AbstractPairRule):
    """One double integral an entry."""

    seconds: ClassVar[float] = 0.03

    def __init__(self, act: AbstractActivation) -> None:
        self._act, self._parity = act, parity(act)

    def kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        c = sign * (1.0 - gap)
        e: Any = kernel(self._act, *np.broadcast_arrays(one.q, two.q, c))
        return np.asarray(e.value), np.asarray(e.error)

    def slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        c = sign * (1.0 - gap)
        rows = np.broadcast_arrays(one.q, two.q, c, gap)
        if self._act.closed_forms.derivative_kernel is not None:
            e: Any = derivative_kernel(self._act, *rows[:3])
            value = np.asarray(e.value)
        else:  # with kinks R has a root at |c| = 1, which a rounded c spoils
            parts = [
                slope_quadrature(
                    self._act, float(a), float(b), float(x),
                    *((float(g), 2.0 - float(g)) if x > 0.0 else (2.0 - float(g), float(g))),
                )
                for a, b, x, g in zip(*(r.ravel() for r in rows), strict=True)
            ]  # fmt: skip
            value, error = (
                np.array([getattr(p, name) for p in parts]).reshape(rows[0].shape)
                for name in ("value", "error")
            )
            e = Estimate(value, error)
        lost = np.isnan(value)  # a point mass at c = 1
        return np.where(lost, np.inf, value), np.where(lost, np.inf, np.asarray(e.error))

    def paired_kernel(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        return self.kernel(one, two, gap, sign)

    def paired_slope(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        return self.slope(one, two, gap, sign)

    def distance(
        self, one: Side, two: Side, ratio: Array, gap: Array, sign: Array, kept: Array
    ) -> tuple[Array, Array]:
        out, error = np.full(gap.shape, np.nan), np.full(gap.shape, np.nan)
        like = (kept > 0.0) & ((sign > 0.0) | (self._parity == 1))
        like |= (kept < 0.0) & (sign < 0.0) & (self._parity == -1)
        for k in np.flatnonzero(like):
            e = pair_distance(self._act, float(one.q[k]), float(two.q[k]), float(gap[k]))
            out[k], error[k] = e.value, e.error
        return out, error

    def turn(self, side: Side) -> Array:
        return _turn(self._act, side.q)


@lru_cache(maxsize=128)
def parity(act: AbstractActivation) -> int:
    """1 for an even activation, -1 for an odd one, 0 for others, from a thousand points."""
    h = np.geomspace(1e-8, 1e4, 1000)
    with np.errstate(all="ignore"):
        right, left = act.value(h), act.value(-h)
    if np.array_equal(left, right, equal_nan=True):
        return 1
    return -1 if np.array_equal(left, -right, equal_nan=True) else 0


@lru_cache(maxsize=64)
def _stretch(act: AbstractActivation) -> Integrator:
    """E (h phi'(h))^2."""
    return Integrator(
        lambda h: h * act.derivative(h),
        act.kinks,
        power=2,
        relative_error=act.derivative_error,
    )


def _turn(act: AbstractActivation, q: Array) -> Array:
    if moments(act).has_jumps:
        return np.full(q.shape, np.inf)
    return 0.25 * np.asarray(_stretch(act)(q).value)
