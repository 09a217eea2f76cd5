r"""The summands of a model Hessian, as Voiculescu transforms of the reciprocal F = 1/G.

Every summand is a sum of many small free matrices, so that its law is freely infinitely divisible:

.. math:: V(F) = R(1/F) = m + \int \frac{d\rho(t)}{F - t}, \qquad z = F + \sum_i V_i(F),

with a measure rho on the line. Hence [1] one F in the upper half plane belongs to each z there; on
the real axis F is the one root above the axis where the law has a density, and outside the one
real root at which z rises with F. Whoever finds a root has found the right one.

References
----------
.. [1] H. Bercovici, D. Voiculescu, Free convolution of measures with unbounded support, Indiana
   Univ. Math. J. 42, 1993.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from chione.base import Array
from chione.freeprob.measures import Complex


class AbstractPart(ABC):
    """One summand: its V, what follows from it, and where its rho lies."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """First cumulant m."""

    @property
    @abstractmethod
    def variance(self) -> float:
        """Second cumulant, the mass of rho."""

    @property
    @abstractmethod
    def carrier(self) -> tuple[tuple[float, float, float], ...]:
        """Intervals of rho (low, high, mass) from below; poles have low = high."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """Number of jumps a dimension, inf for the semicircle; below 1 in all, zero has an atom."""

    @abstractmethod
    def value(self, f: Any) -> Any:
        """V(F)."""

    @abstractmethod
    def slope(self, f: Any) -> Any:
        """V'(F)."""

    @abstractmethod
    def bend(self, f: Any) -> Any:
        """V''(F)."""

    @abstractmethod
    def share(self, f: Any) -> tuple[Array, Array]:
        r"""S = \int d\rho / |F - t|^2 = -Im V / Im F, and its derivative by (Im F)^2."""

    @abstractmethod
    def potential(self, g: Complex) -> tuple[Complex, Array]:
        r"""\int_0^g (R - c) and c, on the branch of the lower half plane, with border Im g = -0.0.

        c is the mean where g is small, so that it can be taken from z without loss, and 0 where
        c g would be larger than all that is left.
        """

    @abstractmethod
    def cumulants(self, n: int) -> Array:
        """Free cumulants 1 .. n."""
