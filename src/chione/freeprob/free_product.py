"""Free multiplicative convolution of any number of measures on the half line."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chione.base import Array
from chione.freeprob import series
from chione.freeprob.arcs import Arcs, ProductLine
from chione.freeprob.charts import ProductChart, upper_log
from chione.freeprob.gaps import Gap, bands, find_gaps
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.solved import Solved
from chione.freeprob.subordination import Subordination
from chione.freeprob.summands import (
    AbstractConvolution,
    Choice,
    Factors,
    factors_of,
    grouped,
    hull,
    is_constant,
    log_at_atom,
    multiplicities,
    remaining_atoms,
)

_FAR = 1e90  # |G| that stands for infinite
_ZERO = 1e-300  # the argument that stands for 0
_ATOM = 1e-12  # mass below which an atom is rounding


@dataclass(frozen=True)
class FreeProduct(AbstractConvolution):
    r"""Free multiplicative convolution of measures on [0, inf).

    .. math::
        x = M_i(\omega_i), \qquad \prod_i \omega_i = z \Big(\frac{1 + x}{x}\Big)^{n-1}, \qquad
        G(z) = \frac{1 + x}{z}, \qquad U(z) = \sum_i U_i(\omega_i) + (n - 1) \log x

    All :math:`\omega_i` are solved for at once, in logarithms; products inside of products are
    opened, equal laws counted, constants taken as a dilation.

    Parameters
    ----------
    parts : tuple of AbstractMeasure
        One or more measures on the half line, none of them the point mass at zero.
    times : tuple of float
        How often each occurs, real and at least 1; once each by default.

    References
    ----------
    .. [1] S. T. Belinschi, H. Bercovici, A new approach to subordination results in free
       probability, J. Anal. Math. 101, 2007.
    """

    parts: tuple[AbstractMeasure, ...]
    times: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        object.__setattr__(self, "times", multiplicities(self.parts, self.times))
        for law in self.parts:
            low, high = hull(law)
            if low < 0.0:
                raise ValueError(
                    "a free product needs measures on [0, inf), but one reaches down to "
                    f"{low:g}; use the law of squares, or a free sum."
                )
            if high == 0.0:
                raise ValueError(
                    "a free product with the point mass at 0 is the point mass at 0; leave it out "
                    "or use point_mass(0.0)."
                )

    def opened(self, part: AbstractMeasure) -> Factors:
        return factors_of(part)

    @cached_property
    def system(self) -> Subordination:
        """The equations of the logarithms of the subordination functions."""
        return Subordination(*grouped(self.expand()), ProductChart())

    @cached_property
    def log_constant(self) -> float:
        """Logarithm of the product of the point masses among the parts."""
        return float(sum(np.log(law.mean) * n for law, n in self.expand() if is_constant(law)))

    @property
    def change(self) -> tuple[float, float]:
        return (float(np.exp(self.log_constant)), 0.0)

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        found = [(self._atom(choice), mass) for choice, mass in self._positive]
        # the zero of one factor is that of the product, and zeros do not add up
        zero = max((m for law in self.system.laws for a, m in law.atoms if a == 0.0), default=0.0)
        return tuple(sorted(found + ([(0.0, zero)] if zero > _ATOM else [])))

    @cached_property
    def known_logs(self) -> tuple[tuple[float, complex], ...]:
        # E log t of a free product is the sum of those of the factors
        pairs = zip(self.system.laws, self.system.times, strict=True)
        size = self.log_constant + sum(n * float(law.mean_log(0j).real) for law, n in pairs)
        below = sum(m for a, m in self.atoms if a == 0.0)
        zero = (0.0, complex(size, np.pi * (1.0 - below)))
        return zero, *((self._atom(c), log_at_atom(self.system, c)) for c, _ in self._positive)

    @cached_property
    def _positive(self) -> list[tuple[Choice, float]]:
        found = remaining_atoms(self.system)
        return [(c, m) for c, m in found if all(a > 0.0 for a, _ in c)]

    def _atom(self, choice: Choice) -> float:
        pairs = zip(self.system.times, choice, strict=True)
        return float(np.exp(self.log_constant + sum(n * np.log(a) for n, (a, _) in pairs)))

    @cached_property
    def gaps(self) -> list[Gap]:
        """Where there is no mass, with the values of M at the ends."""
        parts = tuple(Arcs(law, ProductLine()) for law in self.system.laws)
        found = find_gaps(parts, self.system.times, ProductLine())
        return [g.moved(0.0, float(np.exp(self.log_constant))) for g in found]

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        if not self.system.laws:
            return ((self.atoms[0][0],) * 2,)
        if self.alone is not None:
            return self.alone.support
        return tuple((max(a, 0.0), b) for a, b in bands(self.gaps, self.atoms))

    def moments(self, n: int) -> Array:
        s = np.zeros(n)
        s[0] = np.exp(-self.log_constant)
        for law, times in zip(self.system.laws, self.system.times, strict=True):
            s = series.multiply(s, series.power(law.s_coefficients(n), times))
        return series.moments_from_s(s)

    # --------------------------------------------------------------------------------- inside

    @cached_property
    def kept(self) -> dict[bytes, Solved]:
        return {}

    def zeta(self, z: Complex) -> Complex:
        return np.asarray(upper_log(_no_zero(z)) - self.log_constant)

    def transforms(self, z: Complex, s: Solved) -> tuple[Complex, Complex]:
        w = _no_zero(z)
        p = -1.0 / np.expm1(-s.f)
        p.imag = np.where((s.f.imag == 0.0) | (s.f.imag == np.pi), 0.0, p.imag)
        g = p / w
        far = (abs(z) < _ZERO) & (abs(g) > _FAR)
        g = np.where(far, np.sign(g.real) * np.inf + 0j, g)
        g.imag = np.where(far, np.sign(p.imag) * np.inf, g.imag)
        return g, (_slope(s) - p) / (w * w)

    def sensitivity(self, z: Complex, s: Solved) -> Array:
        return np.asarray(1.0 / abs(4.0 * np.sinh(0.5 * s.f) ** 2 * _no_zero(z)))

    def potential(self, s: Solved) -> Complex:
        logs = self.system.sum_of(lambda law, w: law.mean_log(w), s)
        inverse = np.expm1(s.f)  # 1 / x
        return np.asarray(self.log_constant + logs - (self.system.total - 1.0) * upper_log(inverse))


def _slope(s: Solved) -> Complex:
    """DP / dlog z = -x (1 + x) df / dlog z."""
    return np.asarray(-s.slope / (4.0 * np.sinh(0.5 * s.f) ** 2))


def _no_zero(z: Complex) -> Complex:
    return np.asarray(np.where(abs(z) < _ZERO, _ZERO, z))


@factors_of.register
def _(law: FreeProduct) -> Factors:
    return law.expand()
