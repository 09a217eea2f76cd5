"""Free powers, additive and multiplicative, and free compression."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any

from chione.base import Array, SpecError, checks
from chione.freeprob.classical import FreePoisson, Semicircle
from chione.freeprob.dilation import Dilated, dilated
from chione.freeprob.free_product import FreeProduct
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.summands import Factors, factors_of, is_constant, summands_of


class AbstractNamedLaw(AbstractMeasure):
    """A law that another law answers for."""

    @property
    @abstractmethod
    def answer(self) -> AbstractMeasure:
        """The law that answers."""

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return self.answer.atoms

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        return self.answer.support

    def stieltjes(self, z: Any) -> Complex:
        return self.answer.stieltjes(z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        return self.answer.stieltjes_derivative(z)

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        return self.answer.stieltjes_with_derivative(z)

    def stieltjes_error(self, z: Any) -> Array:
        return self.answer.stieltjes_error(z)

    def mean_log(self, z: Any) -> Complex:
        return self.answer.mean_log(z)

    def density(self, x: Any) -> Array:
        return self.answer.density(x)

    def density_error(self, x: Any) -> Array:
        return self.answer.density_error(x)

    def cdf(self, x: Any) -> Array:
        return self.answer.cdf(x)

    def cdf_error(self, x: Any) -> Array:
        return self.answer.cdf_error(x)

    def moments(self, n: int) -> Array:
        return self.answer.moments(n)

    def moments_error(self, n: int) -> Array:
        return self.answer.moments_error(n)


@dataclass(frozen=True)
class FreePower(AbstractNamedLaw):
    r"""Free additive power :math:`\mu^{\boxplus t}`.

    .. math:: R(g) = t R_\mu(g), \qquad t \omega = z + \frac{t - 1}{G}, \quad G = G_\mu(\omega)

    Parameters
    ----------
    law : AbstractMeasure
        The law mu.
    t : float
        The power, at least 1; any t above 0 for semicircles, free Poisson laws and constants,
        which are freely infinitely divisible in closed form.

    References
    ----------
    .. [1] A. Nica, R. Speicher, On the multiplication of free N-tuples of noncommutative random
       variables, Amer. J. Math. 118, 1996.
    """

    law: AbstractMeasure
    t: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "t", checks.positive("t", self.t))
        if self.t < 1.0 and closed_power(self.law, self.t) is None:
            raise SpecError(
                f"a free power needs t >= 1, but t is {self.t:g}: below 1 there is in general no "
                "such measure. Semicircles and free Poisson laws have every power t > 0."
            )

    @cached_property
    def answer(self) -> AbstractMeasure:
        return closed_power(self.law, self.t) or FreeSum((self.law,), (self.t,))


@dataclass(frozen=True)
class FreeMultiplicativePower(AbstractNamedLaw):
    r"""Free multiplicative power :math:`\mu^{\boxtimes t}` of a law on [0, inf).

    .. math::
        S(x) = S_\mu(x)^t, \qquad \omega^t = z \Big(\frac{1 + x}{x}\Big)^{t - 1}, \quad
        x = M_\mu(\omega)

    Parameters
    ----------
    law : AbstractMeasure
        The law mu, on the half line and not the point mass at 0.
    t : float
        The power, at least 1; any t above 0 for constants.
    """

    law: AbstractMeasure
    t: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "t", checks.positive("t", self.t))
        if self.t < 1.0 and not is_constant(self.law):
            raise SpecError(
                f"a free multiplicative power needs t >= 1, but t is {self.t:g}: below 1 there is "
                "in general no such measure."
            )
        if self.t >= 1.0:
            _ = self.answer  # what a product refuses is refused here

    @cached_property
    def answer(self) -> AbstractMeasure:
        if is_constant(self.law):
            return PointMasses((self.law.mean**self.t,), (1.0,))
        return FreeProduct((self.law,), (self.t,))


@dataclass(frozen=True)
class FreeCompression(AbstractNamedLaw):
    r"""Law of p a p in the corner of a free projection p of trace alpha, a of the law mu.

    .. math:: R(g) = R_\mu(\alpha g), \qquad \mu_\alpha = D_\alpha\, \mu^{\boxplus 1/\alpha}

    The limit of the upper left block, a share alpha of rows and columns, of a matrix with spectrum
    mu in random position.

    Parameters
    ----------
    law : AbstractMeasure
        The law mu.
    alpha : float
        Share, above 0 and at most 1.

    References
    ----------
    .. [1] A. Nica, R. Speicher, On the multiplication of free N-tuples of noncommutative random
       variables, Amer. J. Math. 118, 1996.
    """

    law: AbstractMeasure
    alpha: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", checks.positive("alpha", self.alpha))
        if self.alpha > 1.0:
            raise SpecError(
                f"alpha is the share of rows that is kept, above 0 and at most 1, but it is "
                f"{self.alpha:g}."
            )

    @cached_property
    def answer(self) -> AbstractMeasure:
        return dilated(FreePower(self.law, 1.0 / self.alpha).answer, self.alpha, 0.0)


@singledispatch
def closed_power(law: AbstractMeasure, t: float) -> AbstractMeasure | None:
    """The free additive power in closed form, for any t > 0; None where there is none."""
    return None


@closed_power.register
def _(law: Semicircle, t: float) -> AbstractMeasure | None:
    return Semicircle(t * law.variance_, t * law.center)


@closed_power.register
def _(law: FreePoisson, t: float) -> AbstractMeasure | None:
    return FreePoisson(t * law.rate, law.jump)


@closed_power.register
def _(law: PointMasses, t: float) -> AbstractMeasure | None:
    return PointMasses((t * law.mean,), (1.0,)) if is_constant(law) else None


@closed_power.register
def _(law: Dilated, t: float) -> AbstractMeasure | None:
    base = closed_power(law.base, t)
    return None if base is None else dilated(base, law.factor, t * law.offset)


@closed_power.register
def _(law: FreePower, t: float) -> AbstractMeasure | None:
    return closed_power(law.law, t * law.t)


@summands_of.register
def _(law: AbstractNamedLaw) -> Factors:
    return summands_of(law.answer)


@factors_of.register
def _(law: AbstractNamedLaw) -> Factors:
    return factors_of(law.answer)
