"""The Hessian of a loss surface as a Wishart matrix plus a free Wigner matrix."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS, AbstractResult, Array, Estimate, Status, checks, result

# Over these ranges 1200 random densities and distribution functions lay within their stated errors
# of the roots of the cubic at 40 digits.
RATIOS = (1e-8, 1e4)
ENERGIES = (1e-30, 1e12)


@result
class HessianSpectrum(AbstractResult):
    r"""Law of the eigenvalues of H = H0 + H1 in the model of Pennington and Bahri.

    .. math::
        R(g) = \frac{1}{1 - \phi g} + 2 \epsilon g, \qquad
        z = \frac1g + \frac{1}{1 - \phi g} + 2 \epsilon g

    H0 is Wishart with `ratio` parameters per datum, H1 is Wigner of variance 2 `energy`.

    Parameters
    ----------
    ratio : float
        Number of parameters over number of data, from 1e-8 to 1e4: beyond, sums of numbers of very
        different size lose the density.
    energy : float
        Mean loss epsilon, 0 or from 1e-30 to 1e12; at 0 the law is Marchenko-Pastur's.

    References
    ----------
    .. [1] J. Pennington, Y. Bahri, Geometry of neural network loss surfaces via random matrix
       theory, ICML 2017.
    """

    ratio: float
    energy: float

    def __post_init__(self) -> None:
        _within("ratio", checks.positive("ratio", self.ratio), *RATIOS)
        if checks.non_negative("energy", self.energy) > 0.0:
            _within("energy", self.energy, *ENERGIES, "0 or ")

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Point masses (place, mass): 1 - 1/ratio at zero at energy 0 and ratio above 1."""
        if self.energy == 0.0 and self.ratio > 1.0:
            return ((0.0, 1.0 - 1.0 / self.ratio),)
        return ()

    @cached_property
    def support(self) -> tuple[tuple[float, float], ...]:
        r"""Intervals of the continuous part, between critical points of z(g).

        .. math:: -(1 - \phi g)^2 + \phi g^2 + 2 \epsilon g^2 (1 - \phi g)^2 = 0
        """
        p, e = self.ratio, self.energy
        if e == 0.0:
            return (((1.0 - p**0.5) ** 2, (1.0 + p**0.5) ** 2),)
        z = sorted(_critical_values(p, e))
        return tuple(zip(z[0::2], z[1::2], strict=True))

    @property
    def edges(self) -> tuple[float, float]:
        """Lowest and highest point of the continuous part."""
        return self.support[0][0], self.support[-1][1]

    def stieltjes(self, z: Any) -> Any:
        """G at complex z; at real z the limit from above."""
        z = np.asarray(z, dtype=complex)
        return self._g(z.ravel()).reshape(z.shape)

    def density(self, x: Any) -> Estimate:
        """Density of the continuous part."""
        x = checks.real_array("x", x)
        flat = x.ravel()
        g = self._g(flat.astype(complex))
        inside = self._inside(flat)
        value = np.where(inside, -g.imag / np.pi, 0.0)
        # z is known to rounding; near an edge that moves G by eps |dG/dz|.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = 1.0 / abs(self._z_slope(g))
        error = np.where(inside, 16.0 * EPS * ((1.0 + abs(flat)) * slope + abs(g)), 0.0)
        return _result(value.reshape(x.shape), error.reshape(x.shape))

    def cdf(self, x: Any) -> Estimate:
        r"""Mass at or below x, in closed form, atoms included.

        .. math::
            1 - F = -\frac{\mathrm{Im}\,U}{\pi}, \qquad
            U = z G + \frac{\log(1 - \phi G)}{\phi} - \epsilon G^2 - \log G - 1
        """
        x = checks.real_array("x", x)
        flat = x.ravel()
        value = np.empty(flat.size)
        (lo, hi) = self.edges
        for i, v in enumerate(flat):
            value[i] = self._cdf(float(v)) if lo < v < hi else float(v >= hi)
            if v < lo:
                value[i] = sum(m for a, m in self.atoms if a <= v)
        error = np.where((flat > lo) & (flat < hi), 64.0 * EPS * (1.0 + 1.0 / self.ratio), 0.0)
        return _result(value.reshape(x.shape), error.reshape(x.shape))

    @property
    def negative_fraction(self) -> Estimate:
        """Share of negative eigenvalues, cdf just below zero."""
        if self.energy == 0.0:
            return Estimate(0.0, 0.0, Status.OK)
        return self.cdf(0.0)

    def moments(self, n: int) -> Array:
        """Moments m_1 .. m_n from the free cumulants ratio^(k-1), plus 2 energy at k = 2."""
        from chione.freeprob.series import moments_from_free_cumulants

        n = checks.integer("n", n)
        kappa = self.ratio ** np.arange(0.0, n)
        if n > 1:
            kappa[1] += 2.0 * self.energy
        return moments_from_free_cumulants(kappa)

    # --------------------------------------------------------------------------------- inside

    def _z_slope(self, g: Any) -> Any:
        p = self.ratio
        return -1.0 / g**2 + p / (1.0 - p * g) ** 2 + 2.0 * self.energy

    def _inside(self, x: Array) -> Any:
        return np.any([(x > a) & (x < b) for a, b in self.support], axis=0)

    def _g(self, z: Any) -> Any:
        """The root of the cubic in the lower half plane; on gaps the one that decreases in z."""
        out = np.empty(z.size, dtype=complex)
        p, e = self.ratio, self.energy
        for i, x in enumerate(z):
            # 2 e p g^3 - (2 e + p z) g^2 + (z + p - 1) g - 1 = 0
            roots = np.roots([2.0 * e * p, -(2.0 * e + p * x), x + p - 1.0, -1.0])
            out[i] = self._pick(roots, complex(x))
        return self._polish(out, z)

    def _pick(self, roots: Any, x: complex) -> complex:
        if x.imag != 0.0 or bool(self._inside(np.array([x.real]))[0]):
            return complex(roots[np.argmin(roots.imag * (1.0 if x.imag >= 0.0 else -1.0))])
        real = roots[abs(roots.imag) <= 1e-6 * np.maximum(abs(roots), 1e-3)].real
        falling = real[self._z_slope(real) < 0.0]
        # On the outer branch g is small; in an inner gap the only falling root beyond 1/ratio
        # or below 0 belongs to it.
        lo, hi = self.edges
        if x.real >= hi:
            falling = falling[(falling > 0.0) & (falling < 1.0 / self.ratio)]
        elif x.real <= lo:
            falling = falling[falling < 0.0]
        return complex(falling[np.argmin(abs(falling))]) if falling.size else complex("nan")

    def _polish(self, g: Any, z: Any) -> Any:
        with np.errstate(all="ignore"):
            for _ in range(3):
                step = 1.0 / g + 1.0 / (1.0 - self.ratio * g) + 2.0 * self.energy * g - z
                step = step / self._z_slope(g)
                ok = np.isfinite(step) & (abs(step) < 0.1 * abs(g))
                g = np.where(ok, g - step, g)
        return g

    def _cdf(self, x: float) -> float:
        g = complex(self._g(np.array([x + 0j]))[0])
        if g.imag == 0.0:
            g = complex(g.real, -0.0)
        p, e = self.ratio, self.energy
        u = x * g + np.log(1.0 - p * g) / p - e * g * g - np.log(g)
        return float(np.clip(1.0 - u.imag / np.pi, 0.0, 1.0))


def _within(name: str, x: float, low: float, high: float, also: str = "") -> None:
    if not low <= x <= high:
        raise ValueError(
            f"{name} must be {also}between {low:g} and {high:g}, but it is {x!r}; beyond that the "
            "density cannot be told in double precision."
        )


def _critical_values(p: float, e: float) -> list[float]:
    r"""Z at the critical points of z(g): two, or four where the law has a gap.

    With :math:`t = \phi g` they solve

    .. math:: \left(\frac{t}{1 - t}\right)^2 + \frac{2 \epsilon}{\phi} t^2 = \phi .

    The left side rises with t on (0, 1) and with -t below 0: one root in each. Beyond 1 it falls,
    then rises; its minimum lies below :math:`\phi`, and the law has a gap, if

    .. math:: \phi > 1, \qquad 2 \epsilon < \phi\, (\phi^{1/3} - 1)^3 .

    Logarithms of both sides are compared, in log(t / (1 - t)), log(-t) and log(t - 1), so that
    nothing over- or underflows.
    """
    level, weight = np.log(p), np.log(2.0) + np.log(e) - np.log(p)

    def within(x: float) -> float:
        return float(np.logaddexp(2.0 * x, weight - 2.0 * np.logaddexp(0.0, -x)) - level)

    def below(x: float) -> float:
        return float(np.logaddexp(-2.0 * np.logaddexp(0.0, -x), weight + 2.0 * x) - level)

    def beyond(x: float) -> float:
        first, second = 2.0 * np.logaddexp(0.0, -x), weight + 2.0 * np.logaddexp(0.0, x)
        return float(np.logaddexp(first, second) - level)

    def root(f: Callable[[float], float], a: float, b: float) -> float:
        return float(brentq(f, min(a, b), max(a, b), xtol=1e-15, rtol=4.0 * EPS))

    far = 1500.0
    x = root(within, -far, far)
    t = 1.0 / (1.0 + np.exp(-x))
    z = [p / t + 1.0 + np.exp(x) + 2.0 * e * t / p]
    u = np.exp(root(below, -far, far))
    z.append(-p / u + 1.0 / (1.0 + u) - 2.0 * e * u / p)
    if p > 1.0:
        cube_root = np.expm1(level / 3.0)
        lowest = -np.log(cube_root)
        if np.log(2.0 * e) < level + 3.0 * np.log(cube_root) and beyond(lowest) < 0.0:
            for far_end in (-far, far):
                y = np.exp(root(beyond, lowest, far_end))
                z.append(p / (1.0 + y) - 1.0 / y + 2.0 * e * (1.0 + y) / p)
    return [float(v) for v in z]


def hessian_spectrum(*, ratio: float, energy: float) -> HessianSpectrum:
    """Law of the eigenvalues of the model Hessian, see :class:`HessianSpectrum`.

    Raises
    ------
    ValueError
        For a ratio or an energy outside the ranges named there.
    """
    return HessianSpectrum(checks.positive("ratio", ratio), checks.non_negative("energy", energy))


def critical_energy(ratio: Any, *, method: str = "closed") -> Estimate:
    r"""Energy up to which no eigenvalue of the model Hessian is negative.

    .. math:: \epsilon_c = \tfrac1{16} [1 - 20 \phi - 8 \phi^2 + (1 + 8 \phi)^{3/2}], \quad \phi < 1

    and 0 for a ratio of 1 or more.

    Parameters
    ----------
    ratio : float or array
        Parameters per datum, above 0.
    method : {"closed", "root"}
        The formula, or the energy at which the lower edge of the law is zero.

    Raises
    ------
    ValueError
        For a ratio that is not above 0.
    """
    p = checks.real_array("ratio", ratio)
    if np.any(p <= 0.0):
        raise ValueError(f"ratio must be above 0, but it holds {float(p.min())!r}.")
    if checks.one_of("method", method, ("closed", "root")) == "root":
        value = np.array([_critical_root(float(x)) for x in p.ravel()]).reshape(p.shape)
        return _result(value, np.full(p.shape, 1e-12))
    # With s = sqrt(1 + 8 p) the bracket is (3 - s)^3 (1 + s) / 8: no cancellation near p = 1.
    below = np.minimum(p, 1.0)
    s = np.sqrt(1.0 + 8.0 * below)
    three_minus_s = 8.0 * (1.0 - below) / (3.0 + s)
    value = three_minus_s**3 * (1.0 + s) / 128.0
    return _result(value, 8.0 * EPS * value)


def critical_amplitude(ratio: float) -> Estimate:
    r"""The amplitude A in the fraction of negative eigenvalues just above eps_c.

    .. math:: \alpha \approx A \left| \frac{\epsilon - \epsilon_c}{\epsilon_c} \right|^{3/2}

    Parameters
    ----------
    ratio : float
        Parameters per datum, strictly between 0 and 1.

    Notes
    -----
    At an edge x_c with :math:`z \approx x_c + \tfrac12 z'' (g - g_c)^2` the density is
    :math:`\sqrt{2 (x - x_c) / |z''|} / \pi`, and the edge moves by
    :math:`\partial z / \partial \epsilon = 2 g_c` as the energy grows.
    """
    p = checks.positive("ratio", ratio)
    if p >= 1.0:
        raise ValueError(f"ratio must lie between 0 and 1, but it is {p!r}: there eps_c is 0.")
    e = float(critical_energy(p).value)
    # At the edge z = 0 and z' = 0: 2 e g^2 = -1 - g / (1 - p g) and p g^2 - ... as a quadratic.
    s = np.sqrt(1.0 + 8.0 * p)
    g = _edge_at_zero(p, e, s)
    second = 2.0 / g**3 + 2.0 * p**2 / (1.0 - p * g) ** 3
    value = float(np.sqrt(2.0 / abs(second)) * (2.0 / 3.0) * (2.0 * abs(g) * e) ** 1.5 / np.pi)
    return Estimate(value, 1e-12 * value, Status.OK)


def _edge_at_zero(p: float, e: float, s: float) -> float:
    """The g below 0 with z = 0 and dz/dg = 0 at the critical energy."""
    # z - g z' = 2/g + 1/(1 - p g) - p g / (1 - p g)^2 = 0  =>  2 (1 - p g)^2 + g (1 - 2 p g) = 0
    # i.e. (2 p^2 - 2 p) g^2 + (1 - 4 p) g + 2 = 0, whose negative root is the one wanted.
    a, b = 2.0 * p * p - 2.0 * p, 1.0 - 4.0 * p
    root = np.sqrt(b * b - 8.0 * a)
    return float(min((-b - root) / (2.0 * a), (-b + root) / (2.0 * a)))


def _critical_root(p: float) -> float:
    if p >= 1.0:
        return 0.0

    def lowest(log_e: float) -> float:
        return min(_critical_values(p, float(np.exp(log_e))))

    return float(np.exp(brentq(lowest, -200.0, np.log(10.0), xtol=1e-13)))


def _result(value: Any, error: Any) -> Estimate:
    value, error = np.asarray(value, dtype=np.float64), np.asarray(error, dtype=np.float64)
    if value.ndim == 0:
        return Estimate(float(value), float(error), Status.OK)
    return Estimate(value, error, np.zeros(value.shape, dtype=int))
