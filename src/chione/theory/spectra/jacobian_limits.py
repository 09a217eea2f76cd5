r"""Limit laws of orthogonal networks as L grows at a fixed variance of the spectrum.

With :math:`s = L\,\mathrm{Var}(t) / \mu_1^2` held fixed and the law of t contracting to a point,

.. math::
    \text{smooth} \quad z &= \frac{1 + x}{x} e^{s x}, \\
    \text{Bernoulli} \quad z &= \frac{1 + x}{x} e^{s x / (1 + x)}

according to whether the third central moment of :math:`t / \mu_1`, over the second, fades or tends
to -1 (t leaves its value rarely, and then for zero).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy.special import lambertw

from chione.activations import ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, checks, cost, missing, result
from chione.freeprob.measures import Complex
from chione.theory.spectra.jacobian import JacobianSpectrum
from chione.theory.spectra.jacobian_law import derivative_law

Kind = Literal["smooth", "bernoulli", "two-valued", "none"]
_SMALL_Q = (0.1, 0.05, 0.025, 1e-3, 1e-4)  # where the limit q -> 0 is looked at
_TABLE = 4001


@result
class LimitLaw(AbstractResult):
    r"""Limit of the squared singular values at variance s and critical :math:`\sigma_w`.

    Parameters
    ----------
    kind : {"smooth", "bernoulli"}
        The universality class.
    variance : float
        The variance s, above 0.

    Notes
    -----
    Smooth: edges at :math:`x = (-1 \pm \sqrt{1 + 4/s})/2`. Bernoulli: continuous part on
    :math:`(0, e s)`, and an atom 1 - s at :math:`e^s` where s < 1.

    References
    ----------
    .. [1] J. Pennington, S. S. Schoenholz, S. Ganguli, The emergence of spectral universality in
       deep networks, AISTATS 2018.
    """

    kind: Literal["smooth", "bernoulli"]
    variance: float

    def __post_init__(self) -> None:
        checks.one_of("kind", self.kind, ("smooth", "bernoulli"))
        checks.positive("variance", self.variance)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        """Pairs (lambda, mass)."""
        s = self.variance
        if self.kind == "bernoulli" and s < 1.0:
            return ((float(np.exp(s)), 1.0 - s),)
        return ()

    @property
    def support(self) -> tuple[float, float]:
        """Ends of the continuous part."""
        s = self.variance
        if self.kind == "bernoulli":
            return 0.0, float(np.e * s)
        root = np.sqrt(1.0 + 4.0 / s)
        x = 0.5 * (np.array([-1.0 - root, -1.0 + root]))
        z = np.exp(np.log((1.0 + x) / x) + s * x)
        return float(z[0]), float(z[1])

    def density(self, eigenvalue: Any) -> Estimate:
        """Density of the continuous part."""
        lam = checks.real_array("eigenvalue", eigenvalue)
        inside = (lam > self.support[0]) & (lam < self.support[1])
        safe = np.where(inside, lam, 1.0)
        x = self._x(safe.ravel()).reshape(lam.shape)
        value = np.where(inside, np.maximum(-x.imag, 0.0) / (np.pi * safe), 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = abs(1.0 / self._slope(x))
        error = np.where(inside, 32.0 * EPS * (slope + abs(x)) / safe, 0.0)
        return Estimate(value, error, np.zeros(lam.shape, dtype=int))

    def cdf(self, eigenvalue: Any) -> Estimate:
        r"""Mass at or below lambda, :math:`1 - \mathrm{Im}\,U/\pi`, atoms included.

        .. math::
            U = -\log x + s (x + x^2/2) \text{ (smooth)}, \quad
            U = -\log x + s \log(1 + x) \text{ (Bernoulli)}
        """
        lam = checks.real_array("eigenvalue", eigenvalue)
        low, high = self.support
        inside = (lam > low) & (lam < high)
        x = self._x(np.where(inside, lam, 0.5 * (low + high)).ravel()).reshape(lam.shape)
        s = self.variance
        own = s * (x + 0.5 * x * x) if self.kind == "smooth" else s * np.log(1.0 + x)
        below = np.clip(1.0 - (own - np.log(x)).imag / np.pi, 0.0, 1.0)
        top = 1.0 - sum(m for _, m in self.atoms)
        value = np.where(inside, below, np.where(lam >= high, top, 0.0))
        for place, mass in self.atoms:
            value = value + np.where(lam >= place, mass, 0.0)
        return Estimate(value, np.where(inside, 64.0 * EPS, 0.0), np.zeros(lam.shape, dtype=int))

    def _slope(self, x: Complex) -> Complex:
        s = self.variance
        own = s if self.kind == "smooth" else s / (1.0 + x) ** 2
        return np.asarray(own - 1.0 / (x * (1.0 + x)))

    def _x(self, lam: Array) -> Complex:
        s = self.variance
        if self.kind == "bernoulli":
            # With v = x / (1 + x): z v = e^(s v), so v = -W(-s/z) / s on the branch Im v < 0.
            v = -lambertw(-s / lam.astype(complex), 0) / s
            v = np.where(v.imag > 0.0, np.conj(v), v)
            return np.asarray(v / (1.0 - v))
        return self._smooth_x(lam)

    def _smooth_x(self, lam: Array) -> Complex:
        """Newton from a table: on the curve, (Re x + 1/2)^2 = 1/4 - y^2 + y / tan(s y)."""
        s = self.variance
        root = np.sqrt(1.0 + 4.0 / s)
        y = np.pi / s * np.sin(np.linspace(1e-6, np.pi / 2, _TABLE)) ** 1
        square = 0.25 - y * y + y / np.tan(np.minimum(s * y, np.pi * (1 - 1e-12)))
        y, square = y[square > 0.0], square[square > 0.0]
        xi = np.sqrt(square)
        re = np.concatenate([-0.5 - xi, (-0.5 + xi)[::-1]])
        im = np.concatenate([y, y[::-1]])
        table = re - 1j * im
        log_z = (np.log(1.0 + table) - np.log(table) + s * table).real
        order = np.argsort(log_z)
        t = np.log(lam)
        x = np.interp(t, log_z[order], re[order]) - 1j * np.interp(t, log_z[order], im[order])
        for _ in range(30):
            step = (np.log(1.0 + x) - np.log(x) + s * x - t) / self._slope(x)
            hold = np.minimum(1.0, 0.5 * abs(x.imag) / np.maximum(abs(step.imag), 1e-300))
            x = x - hold * step
            if np.all(abs(step) < 1e-15 * root):
                break
        return np.asarray(x)


@result
class Universality(AbstractResult):
    """Which limit a deep orthogonal network with this activation approaches.

    Parameters
    ----------
    kind : {"smooth", "bernoulli", "two-valued", "none"}
        The class as q tends to 0. "two-valued": t leaves its value rarely, for another value that
        is not zero. "none": the law of t does not contract, so the variance grows with depth.
    ratio : Estimate
        Third over second central moment of t / mu_1 as q tends to 0, with what is left of the
        way there from the smallest q looked at.
    sentence : str
        The same in words.
    """

    kind: Kind
    ratio: Estimate
    sentence: str

    def limit(self, variance: float) -> LimitLaw | None:
        """The limit law at this variance, or None where there is none of the two kinds."""
        if self.kind == "smooth":
            return LimitLaw("smooth", variance)
        return LimitLaw("bernoulli", variance) if self.kind == "bernoulli" else None


@cost.ends
def universality_class(phi: ActivationLike) -> Universality:
    """The universality class of an activation, from the law of phi'(h)^2 at small q."""
    phi = activation(phi)
    shapes = [_shape(phi, q) for q in _SMALL_Q]
    if shapes[0][0] == 0.0:
        text = f"{phi.name} is linear: with orthogonal weights its variance is 0."
        return Universality("none", missing(Status.NONE), text)
    if shapes[-1][0] > 0.5 * shapes[0][0]:
        text = f"the law of phi'(h)^2 of {phi.name} keeps its spread as q tends to 0: no limit."
        return Universality("none", _limit([r for _, r in shapes]), text)
    ratio = [r for v, r in shapes if v > 0.0]  # exceptions can be too rare for float64
    kind: Kind = "bernoulli" if abs(ratio[-1] + 1.0) < 0.05 else "two-valued"
    if abs(ratio[-1]) < 1e-3 or abs(ratio[-1]) < 0.8 * abs(ratio[-2]):
        kind = "smooth"
    words = {
        "smooth": "phi'(h)^2 contracts smoothly: the smooth class",
        "bernoulli": "phi'(h) is 1 but for rare zeros: the Bernoulli class",
        "two-valued": "phi'(h)^2 has one value but for rare exceptions that are not zero",
    }
    return Universality(kind, _limit(ratio), f"As q tends to 0, {words[kind]} ({phi.name}).")


def _limit(ratio: list[float]) -> Estimate:
    """The last of values on the way to a limit, off by no more than the last step."""
    step = abs(ratio[-1] - ratio[-2]) if len(ratio) > 1 else float("inf")
    return Estimate(float(ratio[-1]), step + 1e-9 * abs(ratio[-1]) + 64.0 * EPS)


def distance_to_limit(spectrum: JacobianSpectrum, limit: LimitLaw, *, points: int = 2000) -> float:
    r"""Wasserstein distance of the two laws, :math:`\int |F_L - F_\infty| \, d\lambda`.

    Unlike the largest difference of the distribution functions it does not jump when an atom moves.
    """
    places = [limit.support[1], spectrum.edges[1], *(a for a, _ in limit.atoms)]
    lam = np.linspace(0.0, max(places) * 1.001, points + 1)
    middle = 0.5 * (lam[1:] + lam[:-1])
    own = spectrum.cdf(middle).value
    return float(np.nansum(abs(own - limit.cdf(middle).value)) * (lam[1] - lam[0]))


def _shape(phi: ActivationLike, q: float) -> tuple[float, float]:
    """Var(t) / mu_1^2, and third over second central moment of t / mu_1."""
    law = derivative_law(phi, q)
    u = law.nodes[0] / law.moments(1)[0] - 1.0
    second = law.mean_of(u * u)
    if second < 1e-25:
        return 0.0, 0.0
    return second, law.mean_of(u**3) / second


def spread_of(phi: ActivationLike, q: float) -> float:
    r""":math:`E t^2 / \mu_1^2 - 1`: variance of the spectrum per orthogonal layer."""
    return derivative_law(phi, q).spread
