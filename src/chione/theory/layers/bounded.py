"""Arrays with bounds on their errors, for long chains of small steps.

The same first-order rules as :class:`chione.base.Estimate`, without its checks and statuses: a
walk takes thousands of steps on a few numbers, and only its ends are shown to anyone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chione.base import EPS, Array, Estimate


class Bounded(NamedTuple):
    """Values and bounds on their absolute errors, of one shape."""

    value: Array
    error: Array

    @staticmethod
    def exact(value: Any) -> Bounded:
        """Values without an error."""
        value = np.asarray(value, dtype=np.float64)
        return Bounded(value, np.zeros_like(value))

    @staticmethod
    def rounded(value: Any) -> Bounded:
        """Values that are right to a rounding."""
        value = np.asarray(value, dtype=np.float64)
        return Bounded(value, EPS * np.abs(value))

    @staticmethod
    def of(e: Estimate) -> Bounded:
        """Value and error of an estimate."""
        return Bounded(np.asarray(e.value), np.asarray(e.error))

    def at(self, index: Any) -> Bounded:
        """Some of the entries."""
        return Bounded(self.value[index], self.error[index])

    def plus(self, other: Bounded) -> Bounded:
        """The sum."""
        value = self.value + other.value
        return Bounded(value, self.error + other.error + EPS * np.abs(value))

    def minus(self, other: Bounded) -> Bounded:
        """The difference."""
        value = self.value - other.value
        return Bounded(value, self.error + other.error + EPS * np.abs(value))

    def times(self, other: Bounded) -> Bounded:
        """The product."""
        value = self.value * other.value
        error = np.abs(self.value) * other.error + np.abs(other.value) * self.error
        return Bounded(value, error + self.error * other.error + EPS * np.abs(value))

    def scaled(self, factor: Any) -> Bounded:
        """Times exact numbers."""
        value = self.value * factor
        return Bounded(value, self.error * np.abs(factor) + EPS * np.abs(value))

    def shifted(self, by: Any) -> Bounded:
        """Plus exact numbers."""
        value = self.value + by
        return Bounded(value, self.error + EPS * np.abs(value))

    def over(self, other: Bounded) -> Bounded:
        """The quotient; its error is infinite where the divisor may be zero."""
        with np.errstate(all="ignore"):
            value = self.value / other.value
            room = np.abs(other.value) - other.error
            error = (self.error + np.abs(value) * other.error) / room
        error = np.where(room > 0.0, error, np.inf)
        return Bounded(value, error + EPS * np.abs(value))

    def sqrt(self) -> Bounded:
        """The root."""
        with np.errstate(all="ignore"):
            value = np.sqrt(self.value)
            low = np.sqrt(np.maximum(self.value - self.error, 0.0))
            error = np.where(self.error > 0.0, self.error / (value + low), 0.0)
        return Bounded(value, error + EPS * value)

    def estimate(self) -> Estimate:
        """As the rest of the house shows numbers."""
        return Estimate(self.value, self.error, np.zeros(np.shape(self.value), np.int8))
