"""Running mean and central moments of a stream of arrays, without keeping the stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import Array


@dataclass(frozen=True)
class Moments:
    r"""Welford's recursion, extended to the fourth central moment.

    With :math:`M_k = \sum_i (x_i - \bar x)^k`, one new value changes :math:`M_2, M_3, M_4` by
    formulas that do not cancel [1]_; memory is a few arrays whatever the length.

    Parameters
    ----------
    count : int
        Number of arrays held.
    mean, m2, m3, m4 : ndarray
        Mean and sums of central powers, of the shape of one array.

    References
    ----------
    .. [1] P. Pebay, Formulas for robust, one-pass parallel computation of covariances and
       arbitrary-order statistical moments, Sandia report SAND2008-6212 (2008), eqs. 1.1-1.4.
    """

    count: int
    mean: Array
    m2: Array
    m3: Array
    m4: Array

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Moments:
        """Moments of nothing yet."""
        return cls(0, *(np.zeros(shape) for _ in range(4)))

    def including(self, x: Array) -> Moments:
        """The moments with one more array; an interrupt on the way leaves the old ones whole."""
        n = self.count + 1
        with np.errstate(over="ignore", invalid="ignore"):  # overflow ends as inf or NaN, by rule
            d = x - self.mean
            dn = d / n
            term = d * dn * (n - 1)
            m4 = term * dn**2 * (n * n - 3 * n + 3) + 6.0 * dn**2 * self.m2 - 4.0 * dn * self.m3
            m3 = term * dn * (n - 2) - 3.0 * dn * self.m2
            return Moments(n, self.mean + dn, self.m2 + term, self.m3 + m3, self.m4 + m4)

    @property
    def variance(self) -> Array:
        """Unbiased variance over the stream; NaN while fewer than two arrays are held."""
        if self.count < 2:
            return np.full_like(self.m2, np.nan)
        return self.m2 / (self.count - 1)

    @property
    def stderr(self) -> Array:
        """Standard error of the mean."""
        return np.sqrt(self.variance / max(self.count, 1))

    @property
    def third_central(self) -> Array:
        """Plug-in third central moment."""
        return self.m3 / max(self.count, 1)

    @property
    def variance_of_variance(self) -> Array:
        r"""Estimated variance of the unbiased variance, :math:`(\mu_4 - \sigma^4(n-3)/(n-1))/n`."""
        n = self.count
        if n < 4:
            return np.full_like(self.m2, np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            spread = (self.m4 / n - self.variance**2 * (n - 3) / (n - 1)) / n
        return np.maximum(spread, 0.0)
