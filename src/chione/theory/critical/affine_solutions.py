r"""Affine changes a phi(x + s) + b of an activation that give it the fixed point one asks for.

With psi(h) = phi(h + s) and :math:`h \sim N(\mu, \nu)`:

.. math:: a^2\,\mathrm{Var}\,\psi = \nu', \quad a\,E\,\psi + b = \mu'
   \qquad\text{or}\qquad \chi_\parallel = \chi_\perp = 1 \text{ at } q = K
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq

from chione.activations import AbstractActivation, ActivationLike, Affine, activation
from chione.base import (
    EPS,
    AbstractResult,
    Array,
    ConvergenceError,
    Estimate,
    Status,
    checks,
    cost,
    result,
)
from chione.gaussian.resolution import Resolution, resolve
from chione.gaussian.smoothing import WIDE, smooth
from chione.theory.moments.moments import Moments, moments
from chione.theory.moments.taylor import slope_in_q

_REACH, _PER_UNIT = 6.0, 10  # shifts that are searched, in standard deviations of h, and how finely


@result
class AffineSolution(AbstractResult):
    r"""An affine change with both susceptibilities 1 at q = K for the given sigmas.

    Parameters
    ----------
    activation : AbstractActivation
        The changed activation :math:`a\,\phi(x + s) + b`.
    scale, shift, offset : float
        a, s and b.
    k : float
        The fixed point K.
    sigma_w, sigma_b : float
        Standard deviations that go with it.
    chi_parallel, chi_perp : Estimate
        Computed again from the changed activation: a check of the solution.
    curvature : Estimate
        V''(K): above zero lengths are held from below, below zero from above.
    errors : dict of str to float
        Absolute errors of `scale`, `shift`, `offset` and `sigma_b`, to first order: the error of
        the equation over its slope, and through the formulas.
    """

    activation: AbstractActivation
    scale: float
    shift: float
    offset: float
    k: float
    sigma_w: float
    sigma_b: float
    chi_parallel: Estimate
    chi_perp: Estimate
    curvature: Estimate
    errors: dict[str, float] = field(default_factory=dict)


@cost.ends
def critical_affine(
    phi: ActivationLike, *, k: float = 1.0, offset: bool = True
) -> tuple[AffineSolution, ...]:
    r"""Shift, scale and offset for which chi_parallel = chi_perp = 1 at q = K.

    .. math:: E\,(\psi + b/a)\,\psi'' = 0, \qquad a^2\,E\,\psi'^2 = 1, \qquad
       a^2\,E\,(\psi + b/a)^2 + \sigma_b^2 = K

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts; it must be continuous.
    k : float
        The fixed point K, above zero.
    offset : bool
        With an offset b the biases vanish (sigma_b = 0); without, b = 0 and sigma_b takes up the
        difference where that is positive.

    Returns
    -------
    tuple of AffineSolution
        All of them with sigma_w = 1 and a shift of at most six standard deviations, the smallest
        shift first, -s before s; empty where there is none.

    Raises
    ------
    ValueError
        If phi jumps or k is not above zero.

    Notes
    -----
    Everything follows from the shift, which is the root of one equation; its sign changes are
    bracketed on a grid of ten values a standard deviation.
    """
    act, k = activation(phi), checks.positive("k", k)
    m = moments(act)
    if m.has_jumps:
        raise ValueError(f"{act} jumps, so chi_perp is infinite; choose a continuous activation.")
    if m.is_steep:
        raise ValueError(
            f"{act}: {m.why_infinite()}, so chi_perp is infinite; choose an activation whose slope "
            "stays finite."
        )
    return _affine(act, k, offset, None)


@lru_cache(maxsize=128)
def smallest_affine(act: AbstractActivation, k: float, most: int) -> tuple[AffineSolution, ...]:
    """The first few of :func:`critical_affine` with an offset, for a continuous activation."""
    return _affine(act, k, True, most)


def _affine(
    act: AbstractActivation, k: float, offset: bool, most: int | None
) -> tuple[AffineSolution, ...]:
    if moments(act).derivative_square(k).status not in (Status.OK, Status.INEXACT):
        return ()  # chi_perp has no value, so it cannot be 1
    reach = _REACH * math.sqrt(k)
    shifts = np.linspace(-reach, reach, 2 * int(_REACH * _PER_UNIT) + 1)

    shifted = _Shift(act, k, reach)

    def one(s: float) -> float:
        return float(shifted.mismatch(np.array([s]), offset).value[0])

    grid = shifted.mismatch(shifts, offset).value
    found: list[AffineSolution] = []
    for i in _outwards(shifts):
        if most is not None and len(found) >= most:
            far = abs(found[-1].shift) + shifts[1] - shifts[0]  # a neighbour may lie nearer
            if min(abs(shifts[i]), abs(shifts[i + 1])) > far:
                break
        low, high = grid[i], grid[i + 1]
        if not (np.isfinite(low) and np.isfinite(high)) or low * high > 0.0:
            continue
        if low == 0.0 and high == 0.0:
            continue
        ends = [one(float(x)) for x in (shifts[i], shifts[i + 1])]
        if ends[0] * ends[1] > 0.0:  # a sign change of rounding, which one point does not show
            continue
        s = brentq(one, shifts[i], shifts[i + 1], xtol=1e-15)
        solution = _solution(shifted, float(s), offset)
        if solution is not None and all(abs(s - f.shift) > 1e-9 for f in found):
            found.append(solution)
    # of the two of a symmetric function the one to the left comes first, not that of a rounding
    return tuple(sorted(found, key=lambda f: (round(abs(f.shift), 9), f.shift)))[:most]


def _outwards(shifts: Array) -> list[int]:
    """Intervals of a grid, those about zero first."""
    middle = 0.5 * (shifts[:-1] + shifts[1:])
    return [int(i) for i in np.argsort(np.abs(middle), kind="stable")]


@cost.ends
def normalizing_affine(
    phi: ActivationLike, *, mean: float = 0.0, variance: float = 1.0, shift: float = 0.0
) -> Affine:
    r"""Scale and offset that make (mean, variance) a fixed point of the map of both.

    .. math:: a = \sqrt{\nu / \mathrm{Var}\,\phi(X + s)}, \qquad b = \mu - a\,E\,\phi(X + s),
       \qquad X \sim N(\mu, \nu)

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    mean, variance : float
        The fixed point asked for, variance above zero.
    shift : float
        s, free to choose.

    Raises
    ------
    ConvergenceError
        If phi is constant on the range of X, or its moments are infinite.
    """
    act = activation(phi)
    mu, nu = checks.finite("mean", mean), checks.positive("variance", variance)
    m = moments(Affine(act, shift=checks.finite("shift", shift) + mu))
    first, second = m.mean(nu).value, m.square(nu).value
    spread = second - first * first
    if not math.isfinite(spread):
        raise ConvergenceError(
            f"{act} has no finite mean and variance under N({mu:g} + shift, {nu:g}); take "
            "a smaller shift or variance."
        )
    if not spread > 64.0 * EPS * second:
        raise ConvergenceError(
            f"{act} has variance {spread:.3g} under N({mu:g}, {nu:g}); no scale makes it {nu:g}."
        )
    a = math.sqrt(nu / spread)
    return Affine(act, scale=a, shift=shift, offset=mu - a * first)


@cost.ends
def normalizing_parameter(
    family: Callable[[float], Any],
    *,
    bracket: tuple[float, float],
    mean: float = 0.0,
    variance: float = 1.0,
) -> tuple[Estimate, Estimate]:
    r"""Parameter and scale of a one-parameter family with the fixed point (mean, variance).

    .. math:: \lambda\,E\,\phi_\alpha(X) = \mu, \qquad
       \lambda^2\,E\,\phi_\alpha(X)^2 = \nu + \mu^2, \qquad X \sim N(\mu, \nu)

    Parameters
    ----------
    family : callable
        alpha -> activation, e.g. ``lambda alpha: chione.activations.ELU(alpha)``.
    bracket : tuple of float
        Two values of alpha between which the solution lies.
    mean, variance : float
        The fixed point asked for, variance above zero.

    Returns
    -------
    alpha, scale : Estimate
        With errors to first order: that of the equation over its slope, and through the formula.

    Raises
    ------
    ConvergenceError
        If the bracket holds no solution.

    Examples
    --------
    >>> from chione.activations import ELU
    >>> alpha, scale = normalizing_parameter(ELU, bracket=(1.0, 3.0))  # the constants of SELU
    >>> round(alpha.value, 9), round(scale.value, 9)
    (1.673263242, 1.050700987)
    """
    mu, nu = checks.finite("mean", mean), checks.positive("variance", variance)
    target = mu / math.hypot(math.sqrt(nu), mu)
    if not callable(family):
        raise TypeError(f"family must take alpha and return an activation, but it is {family!r}.")
    try:
        low, high = (checks.finite("bracket", x) for x in bracket)
    except (TypeError, ValueError) as err:
        raise type(err)(f"bracket must hold two values of alpha, but it is {bracket!r}.") from err

    def moments_of(alpha: float) -> Moments:
        return moments(Affine(activation(family(alpha)), shift=mu))

    def gap(alpha: float) -> Estimate:
        m = moments_of(alpha)
        return m.mean(nu) / m.square(nu).sqrt() - target

    def scale(alpha: float) -> Estimate:
        return ((nu + mu**2) / moments_of(alpha).square(nu)).sqrt()

    def mismatch(alpha: float) -> float:
        return float(gap(alpha).value)

    if mismatch(low) * mismatch(high) > 0.0:
        raise ConvergenceError(
            f"No parameter between {low:g} and {high:g} gives the fixed point ({mu:g}, {nu:g}); "
            f"widen the bracket."
        )
    alpha = float(brentq(mismatch, low, high, xtol=4.0 * EPS, rtol=4.0 * EPS))
    step = 1e-4 * max(abs(alpha), 1e-3 * abs(high - low))
    ends = alpha - step, alpha + step  # one digit of the slopes is enough for an error
    slope, drift = (
        abs(float(f(ends[1]).value) - float(f(ends[0]).value)) / (2.0 * step) for f in (gap, scale)
    )
    off, found = gap(alpha), scale(alpha)
    error = float(abs(off.value) + off.error) / slope if slope else math.inf
    error += 8.0 * EPS * abs(alpha)
    return Estimate(alpha, error), Estimate(found.value, found.error + drift * error)


@dataclass(frozen=True)
class _Shifted:
    """Moments of phi(h + s) for many shifts s: E psi, E psi^2, E psi'^2, E psi'', E psi psi''."""

    mean: Estimate
    square: Estimate
    slope_square: Estimate
    bend: Estimate
    bent: Estimate

    @property
    def scale(self) -> Estimate:
        """A of E (a psi')^2 = 1."""
        return self.slope_square**-0.5

    @property
    def beta(self) -> Estimate:
        """B / a of E (psi + b / a) psi'' = 0."""
        return -self.bent / self.bend


class _Shift:
    """The moments of one activation as functions of the shift, |s| <= `reach`, at q = K.

    Each function is resolved once, over all that the windows reach.
    """

    def __init__(self, phi: AbstractActivation, k: float, reach: float) -> None:
        self.phi, self.k = phi, k
        functions: tuple[Callable[[Array], Array], ...] = (
            phi.value,
            lambda h: phi.value(h) ** 2,
            lambda h: phi.derivative(h) ** 2,
            phi.second_derivative,
            lambda h: phi.value(h) * phi.second_derivative(h),
        )
        sigma = math.sqrt(k)
        whole = reach + WIDE * sigma
        self._resolved = [(g, resolve(g, phi.kinks, whole / WIDE, whole)) for g in functions]

    def __call__(self, s: Array) -> _Shifted:
        """The moments at the shifts s (n,)."""
        phi, k = self.phi, self.k
        mean, square, slope_square, bend, bent = (
            self._mean(g, panels, s, known)
            for (g, panels), known in zip(
                self._resolved, (0.0, 0.0, *3 * (phi.derivative_error,)), strict=True
            )
        )
        for at in phi.kinks:  # the point masses of psi'' at kinks
            density = np.exp(-0.5 * (at - s) ** 2 / k) / math.sqrt(2.0 * math.pi * k)
            mass = Estimate(phi.jump(1, at) * density, 32.0 * EPS * abs(phi.jump(1, at)) * density)
            bend = bend + mass
            bent = bent + mass * float(phi.value(np.array([at]))[0])
        return _Shifted(mean, square, slope_square, bend, bent)

    def _mean(
        self, g: Callable[[Array], Array], panels: Resolution, s: Array, known: float
    ) -> Estimate:
        """E g(h + s), with the rounding of g and the error to which a derivative is `known`."""
        value, error, _ = smooth(g, s, self.k, window=WIDE, resolution=panels)
        size = float(np.max(np.abs(value), initial=0.0))
        return Estimate(value, error + (8.0 * EPS + known) * size, np.zeros(s.shape, np.int8))

    def mismatch(self, s: Array, offset: bool) -> Estimate:
        """What the right shift makes zero, both other equations being solved."""
        d = self(s)
        if not offset:
            return d.bent / d.slope_square
        beta = d.beta
        with np.errstate(all="ignore"):  # a shift at which phi is flat has no ratio
            return (d.square + 2.0 * beta * d.mean + beta**2) / (self.k * d.slope_square) - 1.0

    def error(self, s: float, offset: bool) -> float:
        """Of a root: the error of the equation over its slope."""
        off = self.mismatch(np.array([s]), offset)
        slope = self.slope(lambda x: self.mismatch(x, offset), s)
        noise = float(abs(off.value[0]) + off.error[0])
        return 4.0 * EPS * max(abs(s), math.sqrt(self.k)) + (noise / slope if slope else math.inf)

    def slope(self, f: Callable[[Array], Estimate], s: float) -> float:
        """|df / ds| by a central difference: one digit is enough for an error."""
        step = 1e-3 * math.sqrt(self.k)
        ends = f(np.array([s - step, s + step])).value
        return abs(float(ends[1] - ends[0])) / (2.0 * step)


def _solution(shifted: _Shift, shift: float, offset: bool) -> AffineSolution | None:
    act, k, d = shifted.phi, shifted.k, shifted(np.array([shift]))
    if not d.slope_square.value[0] > 1e-12:
        return None  # so flat that the scale would be huge
    a = float(d.scale.value[0])
    b = float((d.scale * d.beta).value[0]) if offset else 0.0
    if not math.isfinite(b) or abs(b) > 1e6:
        return None  # a pole of the equation, no root
    changed = Affine(act, scale=a, shift=shift, offset=b)
    m = moments(changed)
    rest = k - m.square(k).value
    if rest < -1e-9 * k or (offset and abs(rest) > 1e-9 * k):
        return None
    return AffineSolution(
        activation=changed,
        scale=a,
        shift=shift,
        offset=b,
        k=k,
        sigma_w=1.0,
        sigma_b=0.0 if offset else math.sqrt(max(rest, 0.0)),
        chi_parallel=m.slope(k),
        chi_perp=m.derivative_square(k),
        curvature=slope_in_q(m.slope, k),
        errors=_errors(shifted, d, shift, k - m.square(k), offset),
    )


def _errors(
    shifted: _Shift, d: _Shifted, shift: float, rest: Estimate, offset: bool
) -> dict[str, float]:
    """Of scale, shift, offset and sigma_b: their own, and what an error of the shift does."""
    off = shifted.error(shift, offset)
    moved = off * shifted.slope(lambda s: shifted(s).scale, shift)
    found = {"shift": off, "scale": float(d.scale.error[0]) + moved, "offset": 0.0, "sigma_b": 0.0}
    if offset:
        moved = off * shifted.slope(lambda s: shifted(s).scale * shifted(s).beta, shift)
        found["offset"] = float((d.scale * d.beta).error[0]) + moved
        return found
    rests = Estimate(max(float(rest.value), 0.0), float(rest.error)).sqrt()
    square = shifted.slope(lambda s: shifted(s).square / shifted(s).slope_square, shift)
    found["sigma_b"] = float(rests.error) + off * square / max(2.0 * rests.value, 1e-8)
    return found
