"""The Hessian of a loss surface: the law of a Wishart matrix plus a free symmetric one."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from chione.base import AbstractResult, Array, Estimate, Status, along, checks, result
from chione.freeprob.measure import Measure
from chione.freeprob.series import moments_from_free_cumulants
from chione.theory.spectra.hessian_critical import (
    IndexOnset,
    critical_amplitude,
    critical_energy,
    estimate,
    index_onset,
)
from chione.theory.spectra.hessian_index import energy_at_index, hessian_index
from chione.theory.spectra.hessian_law import HessianLaw
from chione.theory.spectra.hessian_quantiles import quantiles
from chione.theory.spectra.hessian_structure import STRUCTURES, Structure, parts

__all__ = [
    "HessianCurve",
    "HessianSpectrum",
    "IndexOnset",
    "critical_amplitude",
    "critical_energy",
    "energy_at_index",
    "hessian_index",
    "hessian_spectrum",
    "index_onset",
]

# Over these ranges 1200 random densities and distribution functions lay within their stated errors
# of the roots of the polynomials of G at 45 digits, for each structure.
RATIOS = (1e-8, 1e4)
ENERGIES = (1e-30, 1e12)


@result
class HessianCurve(AbstractResult):
    """The continuous part of a Hessian's law on a grid that is finer at its edges, from below.

    Parameters
    ----------
    eigenvalue : ndarray, shape (n,)
        Places, the edges of all bands among them; the density is zero there.
    density, density_error : ndarray, shape (n,)
        Density with a bound on its error.
    cdf, cdf_error : ndarray, shape (n,)
        Mass at or below, atoms included, with a bound on its error.
    """

    axes = along("eigenvalue", "eigenvalue", "density", "density_error", "cdf", "cdf_error")

    eigenvalue: Array
    density: Array
    density_error: Array
    cdf: Array
    cdf_error: Array


@result
class HessianSpectrum(AbstractResult):
    r"""Law of the eigenvalues of H = H0 + H1 in the model of Pennington and Bahri.

    .. math::
        z = \frac1g + R_0(g) + R_1(g), \qquad
        R_0(g) = \frac{1}{1 - \phi g}, \quad
        R_1(g) = 2 \epsilon g \;\text{ or }\; \frac{p \phi \epsilon g}{1 - \tfrac12 \epsilon
        \phi^2 g^2}

    H0 is a Wishart matrix with `ratio` parameters per datum, H1 is free from it.

    Parameters
    ----------
    ratio : float
        Number of parameters over number of data, from 1e-8 to 1e4: beyond, sums of numbers of very
        different size lose the density.
    energy : float
        Mean loss epsilon, 0 or from 1e-30 to 1e12; at 0 the law is that of H0.
    structure : {"wigner", "relu", "linear", "product"}
        ``"wigner"``: H1 is Wigner of variance 2 epsilon. ``"relu"`` and ``"linear"``: H1 has the
        blocks of a network with one hidden layer of such units, as wide as its input and output,
        p = 1/2 and 1. ``"product"``: as ``"wigner"``, but H0 is the square of a product of two
        Gaussian matrices, :math:`R_0(g) = (1 + y)^2` with :math:`y = \phi g (1 + y)^2`.

    References
    ----------
    .. [1] J. Pennington, Y. Bahri, Geometry of neural network loss surfaces via random matrix
       theory, ICML 2017.
    """

    ratio: float
    energy: float
    structure: Structure = "wigner"

    def __post_init__(self) -> None:
        _within("ratio", checks.positive("ratio", self.ratio), *RATIOS)
        if checks.non_negative("energy", self.energy) > 0.0:
            _within("energy", self.energy, *ENERGIES, "0 or ")
        checks.one_of("structure", self.structure, STRUCTURES)

    @cached_property
    def law(self) -> HessianLaw:
        """The law with the methods of free probability: arrays in, arrays out."""
        return HessianLaw(parts(self.ratio, self.energy, self.structure))

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses (place, mass): at zero, where H0 and H1 together have too small a rank."""
        return self.law.atoms

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        r"""Intervals of the continuous part, between critical points of z(g)."""
        return self.law.intervals

    @property
    def edges(self) -> tuple[float, float]:
        """Lowest and highest point of the continuous part."""
        return self.support[0][0], self.support[-1][1]

    def stieltjes(self, z: Any) -> Any:
        """G at complex z; at real z the limit from above."""
        return self.law.stieltjes(z)

    def stieltjes_error(self, z: Any) -> Array:
        """Bound on the error of `stieltjes`."""
        return self.law.stieltjes_error(z)

    def density(self, x: Any) -> Estimate:
        """Density of the continuous part; infinite where it grows without end, at 0."""
        x = checks.real_array("x", x)
        value, error = self.law.density_with_error(x.ravel())
        status = np.where(np.isinf(value), np.int8(Status.DIVERGENT), np.int8(Status.OK))
        return estimate(*(a.reshape(x.shape) for a in (value, error, status)))

    def cdf(self, x: Any) -> Estimate:
        r"""Mass at or below x, in closed form, atoms included.

        .. math::
            F = 1 - \frac{\mathrm{Im}\,U}{\pi}, \qquad
            U = z G - \int_0^G (R_0 + R_1) - \log G - 1
        """
        x = checks.real_array("x", x)
        value, error = self.law.cdf_with_error(x.ravel())
        return estimate(value.reshape(x.shape), error.reshape(x.shape))

    def quantile(self, p: Any) -> Estimate:
        r"""Smallest x at or below which the share p of all eigenvalues lies.

        Parameters
        ----------
        p : float or array
            Shares from 0 to 1. A share that an atom holds gives its place; 0 gives the lowest point
            of the law, and one that a gap does not change the upper end of the band below it.

        Raises
        ------
        ValueError
            For a share outside [0, 1].
        """
        p = checks.real_array("p", p)
        if np.any((p < 0.0) | (p > 1.0)):
            bad = p[(p < 0.0) | (p > 1.0)].ravel()[0]
            raise ValueError(f"p must lie between 0 and 1, but it holds {float(bad)!r}.")
        value, error = quantiles(self.law, p.ravel())
        return estimate(value.reshape(p.shape), error.reshape(p.shape))

    def sample(self, n: int, *, seed: int | None = None) -> Array:
        """Independent draws from the law, shape (n,): quantiles of uniform shares.

        Eigenvalues of one matrix are not independent, they repel each other: for those see
        :func:`~chione.simulation.hessian.sample_model_hessian`.
        """
        n = checks.integer("n", n)
        return np.asarray(self.quantile(np.random.default_rng(seed).random(n)).value)

    def curve(self, n: int = 200) -> HessianCurve:
        """Density and distribution function at n points over the bands, edges included."""
        n = checks.integer("n", n, minimum=8)
        count = len(self.support)
        x, f, inner = [], [], []
        for k, (a, b) in enumerate(self.law.bands):
            u = np.sin(self.law.tables[k].spread(n // count + (k < n % count))) ** 2
            points = self.law.lift(a + (b - a) * u[1:-1])
            lo, hi = self.support[k]
            x.append(np.concatenate([[lo], np.real(self.law.z(points)), [hi]]))
            f.append(np.concatenate([[a], points, [b]]))
            inner.append(np.concatenate([[False], np.full(points.size, True), [False]]))
        place, at = np.concatenate(x), np.concatenate(f)
        inside = np.concatenate(inner)
        density, error = np.zeros(at.size), np.zeros(at.size)
        density[inside], error[inside] = self.law.density_at(at[inside])
        density[~inside & (at == 0.0)] = np.inf
        share, share_error = np.empty(at.size), np.zeros(at.size)
        share[~inside] = np.ravel(self.law.levels())
        share[inside], share_error[inside] = self.law.mass_below(place[inside], at[inside])
        return HessianCurve(place, density, error, np.maximum.accumulate(share), share_error)

    @property
    def negative_fraction(self) -> Estimate:
        """Share of negative eigenvalues, see :func:`hessian_index`."""
        return hessian_index(self.ratio, self.energy, structure=self.structure)

    def to_measure(self) -> Measure:
        """The law as a :class:`chione.freeprob.Measure`, to add, multiply and transform."""
        blocks = "" if self.structure == "wigner" else f", {self.structure}"
        return Measure(self.law, f"hessian({self.ratio:g}, {self.energy:g}{blocks})")

    def moments(self, n: int) -> Array:
        """Moments m_1 .. m_n from the free cumulants, added over H0 and H1."""
        return moments_from_free_cumulants(self.law.free_cumulants(checks.integer("n", n)))


def _within(name: str, x: float, low: float, high: float, also: str = "") -> None:
    if not low <= x <= high:
        raise ValueError(
            f"{name} must be {also}between {low:g} and {high:g}, but it is {x!r}; beyond that the "
            "density cannot be told in double precision."
        )


def hessian_spectrum(
    *, ratio: float, energy: float, structure: Structure = "wigner"
) -> HessianSpectrum:
    """Law of the eigenvalues of the model Hessian, see :class:`HessianSpectrum`.

    Raises
    ------
    ValueError
        For a ratio or an energy outside the ranges named there.
    """
    return HessianSpectrum(
        checks.positive("ratio", ratio), checks.non_negative("energy", energy), structure
    )
