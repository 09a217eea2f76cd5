"""The public face of a law: every number with its error and its status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from chione.base import Array, Estimate, SpecError, checks
from chione.freeprob import combine, cumulants, quantiles, transforms
from chione.freeprob.answers import (
    HasMeasure,
    complex_array,
    density,
    distribution,
    estimate,
    extended_array,
    is_number,
    shares,
    stieltjes_derivative,
    transform,
)
from chione.freeprob.curve import MeasureCurve, curve
from chione.freeprob.density_build import density_law
from chione.freeprob.dilation import dilated
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.moment_law import moment_law
from chione.freeprob.naming import Rank, bracketed, name_of
from chione.freeprob.point_masses import PointMasses


@dataclass(frozen=True, eq=False, repr=False)
class Measure:
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

    law: AbstractMeasure
    name: str = ""
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

    # ---- what is known exactly ---------------------------------------------------------------

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses as pairs (place, mass), sorted by place."""
        return self.law.atoms

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        """Sorted disjoint intervals that carry the measure; an isolated atom is (a, a)."""
        return self.law.support

    @property
    def edges(self) -> tuple[float, ...]:
        """Ends of the continuous bands, sorted."""
        return tuple(x for a, b in self.support if b > a for x in (a, b))

    @property
    def mean(self) -> Estimate:
        """First moment."""
        return self.moments(1)[0]

    @property
    def variance(self) -> Estimate:
        """Second central moment, the second free cumulant."""
        return self.free_cumulants(2)[1]

    # ---- the distribution --------------------------------------------------------------------

    def density(self, x: Any) -> Estimate:
        r"""Density of the continuous part, :math:`-\mathrm{Im}\, G(x + i0) / \pi`.

        Where it is infinite the value is inf and the status DIVERGENT. At an atom the measure has
        no density: there stands that of the continuous part, with the status UNDEFINED.
        """
        return density(self.law, checks.real_array("x", x))

    def cdf(self, x: Any) -> Estimate:
        r"""Mass of (-inf, x], :math:`1 - \mathrm{Im}\, U(x + i0) / \pi`; x may be infinite."""
        return distribution(self.law, extended_array("x", x))

    def quantile(self, p: Any) -> Estimate:
        """Smallest x with cdf(x) >= p, for p in [0, 1]; at p = 0 the lower end of the support.

        A p that is the value of the distribution function in a gap, to rounding, gives the lower
        end of the gap. An infinite end has the status DIVERGENT.
        """
        p = shares(p)
        if not self.law.is_determined:
            return estimate(np.full(p.shape, np.nan), np.full(p.shape, np.nan))
        x, error, status = quantiles.quantile(self.law, self._segments, p.ravel())
        return estimate(x.reshape(p.shape), error.reshape(p.shape), status.reshape(p.shape))

    def sample(self, n: int, *, seed: Any = None) -> Array:
        """`n` independent draws, shape (n,), by the quantiles of uniform numbers.

        Parameters
        ----------
        n : int
            How many.
        seed : int, Generator or None
            Whatever :func:`numpy.random.default_rng` accepts.
        """
        n = checks.integer("n", n, minimum=0)
        self._determined("a sample")
        p = np.random.default_rng(seed).random(n)
        return quantiles.draw(self.law, self._segments, p)

    def curve(self, n: int = 200) -> MeasureCurve:
        """Density and distribution function at about n points that crowd at the edges."""
        self._determined("a curve")
        return curve(self.law, self._segments, self.name, checks.integer("n", n))

    # ---- moments and cumulants ---------------------------------------------------------------

    def moments(self, n: int) -> Estimate:
        """The moments m_1 .. m_n, shape (n,)."""
        n = checks.integer("n", n)
        return estimate(self.law.moments(n), self.law.moments_error(n))

    def free_cumulants(self, n: int) -> Estimate:
        r"""Free cumulants, of :math:`R(g) = \sum_k \kappa_k g^{k-1}`, shape (n,)."""
        return estimate(*cumulants.free_cumulants(self.law, checks.integer("n", n)))

    def cumulants(self, n: int) -> Estimate:
        r"""Classical cumulants, of :math:`\log E e^{s t} = \sum_k c_k s^k / k!`, shape (n,)."""
        return estimate(*cumulants.cumulants(self.law, checks.integer("n", n)))

    # ---- transforms --------------------------------------------------------------------------

    def stieltjes(self, z: Any) -> Estimate:
        r"""G(z), :math:`\int d\mu(t) / (z - t)`; on the real axis the limit from above."""
        z = complex_array("z", z)
        with np.errstate(all="ignore"):
            g, error = self.law.stieltjes(z), self.law.stieltjes_error(z)
        return transform(g, error, z)

    def stieltjes_derivative(self, z: Any) -> Estimate:
        """dG/dz."""
        return stieltjes_derivative(self.law, complex_array("z", z))

    def moment_function(self, z: Any) -> Estimate:
        r"""M(z), :math:`\int t\, d\mu(t) / (z - t) = z G(z) - 1`."""
        z = complex_array("z", z)
        with np.errstate(all="ignore"):
            m, error = self.law.moment_function(z), self.law.moment_function_error(z)
        return transform(m, error, z)

    def inverse_stieltjes(self, g: Any) -> Estimate:
        r"""The z with G(z) = g, continued from :math:`z \approx 1/g` along the line from 0 to g.

        At g = 0 DIVERGENT. On the real axis g reaches up to the values of G at the ends of the
        support, positive ones on the right of it, negative ones on its left; beyond, and where the
        line meets a branch point or the support, the status is NONE.
        """
        return self._at(transforms.inverse_stieltjes, "g", g)

    def inverse_moment_function(self, x: Any) -> Estimate:
        r"""The z with M(z) = x, continued from :math:`z \approx m_1/x` along the line from 0 to x.

        Statuses as of :meth:`inverse_stieltjes`; UNDEFINED where the mean is 0: then
        :math:`z \approx \pm\sqrt{m_2 / x}` has two branches.
        """
        return self._at(transforms.inverse_moment_function, "x", x)

    def r_transform(self, g: Any) -> Estimate:
        r"""R(g), :math:`G^{-1}(g) - 1/g`; at 0 the mean.

        The branch is that of :meth:`inverse_stieltjes`; laws with a closed form (semicircle, free
        Poisson, arcsine, point mass, shifted and dilated) are continued beyond it.
        """
        return self._at(transforms.r_transform, "g", g)

    def s_transform(self, x: Any) -> Estimate:
        r"""S(x), :math:`(1 + x) / (x M^{-1}(x))`; at 0 one over the mean, UNDEFINED for mean 0."""
        return self._at(transforms.s_transform, "x", x)

    def inverse_r_transform(self, r: Any) -> Estimate:
        r"""The g with R(g) = r, continued from g = 0 at the mean along the line from it to r.

        NONE beyond the branch, UNDEFINED for a constant, whose R does not vary.
        """
        return self._at(transforms.inverse_r_transform, "r", r)

    def inverse_s_transform(self, s: Any) -> Estimate:
        r"""The x with S(x) = s, continued from x = 0 at :math:`1/m_1` along the line from it to s.

        Statuses as of :meth:`inverse_r_transform`; UNDEFINED for a mean of 0.
        """
        return self._at(transforms.inverse_s_transform, "s", s)

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

    # ---- inside ------------------------------------------------------------------------------

    def _at(
        self, f: Callable[[AbstractMeasure, Complex], transforms.Transform], name: str, t: Any
    ) -> Estimate:
        t = complex_array(name, t)
        found = f(self.law, np.atleast_1d(t).ravel())
        parts = (found.value, found.error, found.status)
        return estimate(*(a.reshape(t.shape) for a in parts))

    def _determined(self, what: str) -> None:
        if not self.law.is_determined:
            raise SpecError(f"there is no {what[2:]} of {self.name}: finitely many moments do not "
                            "determine the measure.")  # fmt: skip

    @cached_property
    def _segments(self) -> quantiles.Segments:
        return quantiles.segments(self.law)


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
