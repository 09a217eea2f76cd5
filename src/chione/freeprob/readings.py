"""What one law answers: every number with its error and its status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import Array, Estimate, SpecError, checks
from chione.freeprob import cumulants, quantiles, transforms
from chione.freeprob.answers import (
    complex_array,
    density,
    distribution,
    estimate,
    extended_array,
    shares,
    stieltjes_derivative,
    transform,
)
from chione.freeprob.curve import MeasureCurve, curve
from chione.freeprob.measures import AbstractMeasure, Complex


@dataclass(frozen=True, eq=False, repr=False)
class Readings:
    """Everything that is read from one law; the half of a Measure that makes no other measure.

    Parameters
    ----------
    law : AbstractMeasure
        The law that answers.
    name : str
        What it is in words.
    """

    law: AbstractMeasure
    name: str = ""

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
        x = extended_array("x", x)
        with np.errstate(all="ignore"):
            return distribution(self.law, x)

    def quantile(self, p: Any) -> Estimate:
        """Smallest x with cdf(x) >= p, for p in [0, 1]; at p = 0 the lower end of the support.

        A p that is the value of the distribution function in a gap, to rounding, gives the lower
        end of the gap. An infinite end has the status DIVERGENT.
        """
        p = shares(p)
        if not self.law.is_determined:
            return estimate(np.full(p.shape, np.nan), np.full(p.shape, np.nan))
        with np.errstate(all="ignore"):
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
        with np.errstate(all="ignore"):  # what lies beyond the floats is inf or NaN
            return estimate(self.law.moments(n), self.law.moments_error(n))

    def free_cumulants(self, n: int) -> Estimate:
        r"""Free cumulants, of :math:`R(g) = \sum_k \kappa_k g^{k-1}`, shape (n,)."""
        n = checks.integer("n", n)
        with np.errstate(all="ignore"):
            return estimate(*cumulants.free_cumulants(self.law, n))

    def cumulants(self, n: int) -> Estimate:
        r"""Classical cumulants, of :math:`\log E e^{s t} = \sum_k c_k s^k / k!`, shape (n,)."""
        n = checks.integer("n", n)
        with np.errstate(all="ignore"):
            return estimate(*cumulants.cumulants(self.law, n))

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
