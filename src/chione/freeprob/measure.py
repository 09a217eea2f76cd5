"""The public face of a law: every number with its error and its status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from chione.base import Array, SpecError, checks
from chione.freeprob import combine
from chione.freeprob.answers import HasMeasure, is_number
from chione.freeprob.density_build import density_law
from chione.freeprob.dilation import dilated
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.moment_law import moment_law
from chione.freeprob.naming import Rank, bracketed, name_of
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.readings import Readings


@dataclass(frozen=True, eq=False, repr=False)
class Measure(Readings):
    r"""A probability measure on the line as free probability sees it.

    .. math::
        \mu \boxplus \nu:\ R = R_\mu + R_\nu, \qquad \mu \boxtimes \nu:\ S = S_\mu S_\nu, \qquad
        R(g) = G^{-1}(g) - \frac1g, \qquad S(x) = \frac{1 + x}{x\, M^{-1}(x)}

    ``mu + nu`` is the free sum, ``mu * nu`` the free product; their powers are
    :meth:`free_power` and ``mu ** t``, :meth:`free_multiplicative_power`. With a number,
    ``mu + 3.0`` shifts and ``2.0 * mu`` dilates. In place of a measure each of them takes a law, an
    array of eigenvalues or anything with ``to_measure()``.

    Parameters
    ----------
    law : AbstractMeasure
        The law that answers.
    name : str
        What it is in words; made from the law by default, composed by the operators.

    Notes
    -----
    Values are :class:`~chione.Estimate`: `error` is a bound on the true error, `status` says why
    there is no value where there is none.

    References
    ----------
    .. [1] J. A. Mingo, R. Speicher, Free Probability and Random Matrices, Springer 2017.
    .. [2] A. Nica, R. Speicher, Lectures on the Combinatorics of Free Probability, Cambridge 2006.
    .. [3] D. Voiculescu, Addition of certain non-commuting random variables, J. Funct. Anal. 66,
       1986; Multiplication of certain non-commuting random variables, J. Operator Theory 18, 1987.
    """

    rank: Rank = Rank.NAME

    __array_ufunc__: ClassVar[None] = None  # array + measure is ours to answer

    def __post_init__(self) -> None:
        if not isinstance(self.law, AbstractMeasure):
            raise SpecError(
                f"a Measure wraps a law of chione.freeprob, but it is a {type(self.law).__name__}; "
                "use Measure.empirical for eigenvalues."
            )
        if not self.name:
            name, rank = name_of(self.law)
            object.__setattr__(self, "name", name)
            object.__setattr__(self, "rank", rank)

    # ---- making ------------------------------------------------------------------------------

    @classmethod
    def empirical(cls, eigenvalues: Any, weights: Any = None) -> Measure:
        """Atoms at the eigenvalues; see :func:`~chione.freeprob.empirical`."""
        return cls(PointMasses.empirical(eigenvalues, weights))

    @classmethod
    def from_density(
        cls,
        f: Callable[[Array], Any],
        support: Any,
        atoms: Any = (),
        *,
        normalize: bool = False,
    ) -> Measure:
        """The measure with density f; see :func:`~chione.freeprob.from_density`."""
        law = density_law(f, support, atoms, normalize=normalize)
        ends = ", ".join(f"[{a:g}, {b:g}]" for a, b in law.intervals)
        return cls(law, f"from_density(on {ends})", Rank.NAME)

    @classmethod
    def from_moments(cls, moments: Any, support: Any = None) -> Measure:
        """A measure with these moments; see :func:`~chione.freeprob.from_moments`."""
        return cls(moment_law(moments, support))

    def to_measure(self) -> Measure:
        """The measure itself."""
        return self

    # ---- operators ---------------------------------------------------------------------------

    def __add__(self, other: Any) -> Measure:
        if is_number(other):
            return self.shift(other)
        return _sum(self, other)

    def __radd__(self, other: Any) -> Measure:
        return self.shift(other) if is_number(other) else _sum(other, self)

    def __sub__(self, other: Any) -> Measure:
        if is_number(other):
            return self.shift(-other)
        other = as_measure(other)
        name = f"{self.name} - {bracketed(other, Rank.PRODUCT)}"
        return Measure(_sum(self, -other).law, name, Rank.SUM)

    def __rsub__(self, other: Any) -> Measure:
        return (-self).shift(other) if is_number(other) else as_measure(other) - self

    def __neg__(self) -> Measure:
        return self.reflect()

    def __mul__(self, other: Any) -> Measure:
        return self.scale(other) if is_number(other) else _product(self, other)

    def __rmul__(self, other: Any) -> Measure:
        return self.scale(other) if is_number(other) else _product(other, self)

    def __truediv__(self, other: Any) -> Measure:
        divisor = checks.finite("divisor", other)
        if divisor == 0.0:
            raise SpecError(f"{self.name} cannot be divided by 0; give another number.")
        return self.scale(1.0 / divisor)

    def __pow__(self, t: Any) -> Measure:
        return self.free_multiplicative_power(t)

    def free_power(self, t: float) -> Measure:
        r"""Free additive power, of :math:`R = t R_\mu`, for real t >= 1.

        Semicircles, free Poisson laws and constants have every power t > 0.
        """
        t = checks.positive("t", t)
        name = f"{bracketed(self, Rank.NAME)} ^ {t:g}"
        return Measure(combine.additive_power(self.law, t), name, Rank.POWER)

    def free_multiplicative_power(self, t: float) -> Measure:
        r"""Free multiplicative power, of :math:`S = S_\mu^t`, for real t >= 1 on [0, inf)."""
        t = checks.positive("t", t)
        name = f"{bracketed(self, Rank.NAME)} ** {t:g}"
        return Measure(combine.multiplicative_power(self.law, t), name, Rank.POWER)

    def compress(self, alpha: float) -> Measure:
        r"""Law of the corner that keeps a share alpha of rows and columns, :math:`R_\mu(\alpha g)`.

        See :class:`~chione.freeprob.convolution.FreeCompression`.
        """
        law = combine.compression(self.law, checks.positive("alpha", alpha))
        return Measure(law, f"compress({self.name}, {alpha:g})", Rank.NAME)

    def shift(self, offset: float) -> Measure:
        """The law of t + offset."""
        b = checks.finite("offset", offset)
        sign = "-" if b < 0.0 else "+"
        return Measure(dilated(self.law, 1.0, b), f"{self.name} {sign} {abs(b):g}", Rank.SUM)

    def scale(self, factor: float) -> Measure:
        """The law of factor * t; below 0 it reflects, 0 gives the point mass at 0."""
        a = checks.finite("factor", factor)
        if a == 0.0:
            return Measure(PointMasses((0.0,), (1.0,)))
        return Measure(
            dilated(self.law, a, 0.0), f"{a:g} * {bracketed(self, Rank.PRODUCT)}", Rank.PRODUCT
        )

    def reflect(self) -> Measure:
        """The law of -t."""
        return Measure(
            dilated(self.law, -1.0, 0.0), f"-{bracketed(self, Rank.PRODUCT)}", Rank.PRODUCT
        )

    # ---- words -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<Measure {self.name}>"

    def __str__(self) -> str:
        return self.name


def as_measure(x: Any) -> Measure:
    """A Measure of a Measure, a law, anything with ``to_measure()``, or eigenvalues.

    Raises
    ------
    SpecError
        If it is none of these.
    """
    if isinstance(x, Measure):
        return x
    if isinstance(x, AbstractMeasure):
        return Measure(x)
    if isinstance(x, HasMeasure):
        return as_measure(x.to_measure())
    if isinstance(x, list | tuple | np.ndarray):
        return Measure.empirical(x)
    raise SpecError(
        f"a measure, a law or an array of eigenvalues is needed, but it is {x!r:.60}; "
        "make one by chione.freeprob.empirical, semicircle, marchenko_pastur and their like."
    )


def joined(
    measures: tuple[Any, ...],
    join: Callable[..., AbstractMeasure],
    sign: str,
    rank: Rank,
    name: str,
) -> Measure:
    """Measures joined by a sign, or the only one."""
    if not measures:
        raise SpecError(f"{name} needs at least one measure, but it got none.")
    parts = [as_measure(m) for m in measures]
    if len(parts) == 1:
        return parts[0]
    law = join(*(part.law for part in parts))
    return Measure(law, sign.join(bracketed(m, rank) for m in parts), rank)


def _sum(*measures: Any) -> Measure:
    return joined(measures, combine.total, " + ", Rank.SUM, "free_sum")


def _product(*measures: Any) -> Measure:
    return joined(measures, combine.product, " * ", Rank.PRODUCT, "free_product")
