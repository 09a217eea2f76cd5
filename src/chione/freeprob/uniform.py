"""The uniform law on an interval, in closed form."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import EPS, Array, checks
from chione.freeprob.measures import (
    AbstractMeasure,
    Complex,
    by_halves,
    rounding_of_cdf,
    upper_log,
)

_SERIES = 0.1  # |h / y| below which y G - 1 is summed: 0.1^28 / 29 is below rounding
_TERMS = 14


@dataclass(frozen=True)
class Uniform(AbstractMeasure):
    r"""Uniform law on [a, b], of centre c and half width h.

    .. math:: G(z) = \frac1h\, \mathrm{artanh}\frac{h}{z - c}
       = \frac{1}{b - a} \log\frac{z - a}{z - b}, \qquad R(g) = c + h \coth(h g) - \frac1g

    Parameters
    ----------
    low, high : float
        Ends a < b.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not checks.finite("low", self.low) < checks.finite("high", self.high):
            raise ValueError(f"low must be below high, but they are {self.low} and {self.high}.")

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return ()

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return ((self.low, self.high),)

    def stieltjes(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex) + 0.0
        with np.errstate(all="ignore"):
            w = self._half / (z - self._center)
            near = by_halves(lambda z: upper_log(z - self.low) - upper_log(z - self.high), z)
            # artanh w keeps its digits far out, the logarithms next to the ends
            return np.asarray(
                np.where(abs(w) < 0.5, np.arctanh(w) / self._half, near / self._width)
            )

    def stieltjes_derivative(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex)
        with np.errstate(all="ignore"):
            return np.asarray(-1.0 / (z - self.low) / (z - self.high))

    def stieltjes_error(self, z: Any) -> Array:
        z = np.asarray(z, dtype=complex)
        # distances from the ends are right to half a unit, that from the centre as the centre is
        with np.errstate(all="ignore"):
            y = z - self._center
            logs = abs(np.log(z - self.low)) + abs(np.log(z - self.high)) + 1.0
            far = 8.0 * EPS * (abs(self.stieltjes(z)) + abs(self._center / y / y))
            near = abs(self._half / y) >= 0.5
            return np.asarray(np.where(near, 4.0 * EPS * logs / self._width, far))

    def moment_function(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex) + 0.0
        with np.errstate(all="ignore"):
            w = self._half / (z - self._center)
            k = np.arange(1, _TERMS)
            series = np.sum(w[..., None] ** (2 * k) / (2 * k + 1), axis=-1)  # y G - 1
            g = self.stieltjes(z)
            rest = np.where(abs(w) < _SERIES, series, (z - self._center) * g - 1.0)
            return np.asarray(self._center * g + rest)

    def moment_function_error(self, z: Any) -> Array:
        z = np.asarray(z, dtype=complex)
        with np.errstate(all="ignore"):
            y, c = abs(z - self._center), abs(self._center)
            w, error = self._half / y, self.stieltjes_error(z)
            rest = np.where(w < _SERIES, 8.0 * EPS * w**2 * (1.0 + c / y), y * error + 4.0 * EPS)
            return np.asarray(c * error + 4.0 * EPS * c * abs(self.stieltjes(z)) + rest)

    def mean_log(self, z: Any) -> Complex:
        def upper(z: Complex) -> Complex:
            a, b = z - self.low, z - self.high
            with np.errstate(all="ignore"):
                terms = [np.where(y == 0.0, 0.0, y * upper_log(y)) for y in (a, b)]
            # far out the difference cancels; there the logarithm of the middle is taken out
            y = z - self._center
            with np.errstate(all="ignore"):
                w = self._half / y
                far = upper_log(y) + 0.5 * ((1 + 1 / w) * np.log1p(w) + (1 - 1 / w) * np.log1p(-w))
            near = (terms[0] - terms[1]) / self._width
            return np.asarray(np.where(abs(w) < 0.5, far, near) - 1.0)

        return by_halves(upper, z)

    def density(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return np.where((x >= self.low) & (x <= self.high), 1.0 / self._width, 0.0)

    def density_error(self, x: Any) -> Array:
        return np.asarray(4.0 * EPS * self.density(x))

    def cdf(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return np.asarray(np.clip((x - self.low) / self._width, 0.0, 1.0))

    def cdf_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return rounding_of_cdf(self, x, 4.0 * EPS * abs(x))

    def moments(self, n: int) -> Array:
        # sum of a^i b^(k-i) over i, over k + 1: no difference of powers
        k = np.arange(1, n + 1)
        i = [np.arange(j + 1) for j in k]
        sums = [np.sum(self.low**p * self.high ** (j - p)) for j, p in zip(k, i, strict=True)]
        return np.asarray(np.array(sums) / (k + 1.0))

    def moments_error(self, n: int) -> Array:
        k = np.arange(1, n + 1)
        return np.asarray(8.0 * EPS * (k + 1) * max(abs(self.low), abs(self.high)) ** k)

    # -------------------------------------------------------------------------------- inside

    @property
    def _width(self) -> float:
        return self.high - self.low

    @property
    def _half(self) -> float:
        return 0.5 * self._width

    @property
    def _center(self) -> float:
        return 0.5 * self.low + 0.5 * self.high
