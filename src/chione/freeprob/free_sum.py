"""Free additive convolution of any number of measures."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import comb

from chione.base import Array
from chione.freeprob import series
from chione.freeprob.arcs import Arcs, SumLine
from chione.freeprob.charts import SumChart, upper_log
from chione.freeprob.dilation import dilated
from chione.freeprob.gaps import Gap, bands, find_gaps
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.solved import Solved
from chione.freeprob.subordination import Subordination
from chione.freeprob.summands import (
    AbstractConvolution,
    Choice,
    Factors,
    grouped,
    is_constant,
    log_at_atom,
    multiplicities,
    remaining_atoms,
    summands_of,
)


@dataclass(frozen=True)
class FreeSum(AbstractConvolution):
    r"""Free additive convolution :math:`\mu_1 \boxplus \dots \boxplus \mu_n`.

    .. math::
        G(z) = G_i(\omega_i), \qquad \sum_i \omega_i = z + \frac{n - 1}{G(z)}, \qquad
        U(z) = \sum_i U_i(\omega_i) + (n - 1) \log G(z)

    with :math:`U(z) = \int \log(z - t) d\mu(t)`. All :math:`\omega_i` are solved for at once; sums
    inside of sums are opened, equal laws counted, constants taken as a shift: n equal summands
    cost as much as one.

    Parameters
    ----------
    parts : tuple of AbstractMeasure
        One or more measures.
    times : tuple of float
        How often each occurs, real and at least 1; once each by default.

    References
    ----------
    .. [1] H. Bercovici, D. Voiculescu, Free convolution of measures with unbounded support,
       Indiana Univ. Math. J. 42, 1993.
    .. [2] S. T. Belinschi, H. Bercovici, A new approach to subordination results in free
       probability, J. Anal. Math. 101, 2007.
    """

    parts: tuple[AbstractMeasure, ...]
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "times", multiplicities(self.parts, self.times))

    def opened(self, part: AbstractMeasure) -> Factors:
        return summands_of(part)

    @cached_property
    def system(self) -> Subordination:
        """The equations of the subordination functions."""
        return Subordination(*grouped(self.expand()), SumChart())

    @cached_property
    def constant(self) -> float:
        """Sum of the point masses among the parts."""
        return float(sum(law.mean * n for law, n in self.expand() if is_constant(law)))

    @property
    def change(self) -> tuple[float, float]:
        return (1.0, self.constant)

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        found = [(self._atom(choice), mass) for choice, mass in remaining_atoms(self.system)]
        return tuple(sorted(found))

    @cached_property
    def known_logs(self) -> tuple[tuple[float, complex], ...]:
        choices = remaining_atoms(self.system)
        return tuple((self._atom(c), log_at_atom(self.system, c)) for c, _ in choices)

    def _atom(self, choice: Choice) -> float:
        pairs = zip(self.system.times, choice, strict=True)
        return self.constant + float(sum(n * a for n, (a, _) in pairs))

    @cached_property
    def gaps(self) -> list[Gap]:
        """Where there is no mass, with the values of G at the ends."""
        parts = tuple(Arcs(law, SumLine()) for law in self.system.laws)
        return [g.moved(self.constant, 1.0) for g in find_gaps(parts, self.system.times, SumLine())]

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        if not self.system.laws:
            return ((self.constant, self.constant),)
        if self.alone is not None:
            return self.alone.support
        return bands(self.gaps, self.atoms)

    def moments(self, n: int) -> Array:
        # around the mean: cumulants of laws far from 0 cancel
        mean, kappa = self.constant, np.zeros(n)
        for law, times in zip(self.system.laws, self.system.times, strict=True):
            mean += times * law.mean
            kappa += times * dilated(law, 1.0, -law.mean).free_cumulants(n)
        kappa[0] = 0.0
        central = np.concatenate([[1.0], series.moments_from_free_cumulants(kappa)])
        k = np.arange(n + 1)
        terms = [comb(j, k[: j + 1]) * mean ** (j - k[: j + 1]) * central[: j + 1] for j in k[1:]]
        return np.array([float(np.sum(t)) for t in terms])

    # --------------------------------------------------------------------------------- inside

    @cached_property
    def kept(self) -> dict[bytes, Solved]:
        return {}

    def zeta(self, z: Complex) -> Complex:
        return z - self.constant

    def transforms(self, z: Complex, s: Solved) -> tuple[Complex, Complex]:
        g = 1.0 / s.f
        return g, -s.slope * g * g

    def sensitivity(self, z: Complex, s: Solved) -> Array:
        return np.asarray(1.0 / abs(s.f) ** 2)

    def potential(self, s: Solved) -> Complex:
        logs = self.system.sum_of(lambda law, w: law.mean_log(w), s)
        return np.asarray(logs - (self.system.total - 1.0) * upper_log(s.f))


@summands_of.register
def _(law: FreeSum) -> Factors:
    return law.expand()
