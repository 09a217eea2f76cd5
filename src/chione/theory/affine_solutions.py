r"""Affine changes a phi(x + s) + b of an activation that give it the fixed point one asks for.

With psi(h) = phi(h + s) and :math:`h \sim N(\mu, \nu)`:

.. math:: a^2\,\mathrm{Var}\,\psi = \nu', \quad a\,E\,\psi + b = \mu'
   \qquad\text{or}\qquad \chi_\parallel = \chi_\perp = 1 \text{ at } q = K
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
from chione.gaussian.smoothing import WIDE, smooth
from chione.theory.moments import moments
from chione.theory.taylor import slope_in_q

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
        shift first; empty where there is none.

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
    if moments(act).has_jumps:
        raise ValueError(f"{act} jumps, so chi_perp is infinite; choose a continuous activation.")
    if moments(act).derivative_square(k).status not in (Status.OK, Status.INEXACT):
        return ()  # chi_perp has no value, so it cannot be 1
    reach = _REACH * math.sqrt(k)
    shifts = np.linspace(-reach, reach, 2 * int(_REACH * _PER_UNIT) + 1)

    def mismatch(s: Array) -> Array:
        d = _shifted(act, s, k)
        with np.errstate(all="ignore"):
            if not offset:
                return np.asarray(d.bent / d.slope_square)
            beta = -d.bent / d.bend
            return np.asarray((d.square + 2.0 * beta * d.mean + beta**2) / (k * d.slope_square) - 1)

    def one(s: float) -> float:
        return float(mismatch(np.array([s]))[0])

    grid = mismatch(shifts)
    found: list[AffineSolution] = []
    for i in range(len(shifts) - 1):
        low, high = grid[i], grid[i + 1]
        if not (np.isfinite(low) and np.isfinite(high)) or low * high > 0.0:
            continue
        if low == 0.0 and high == 0.0:
            continue
        ends = [one(float(x)) for x in (shifts[i], shifts[i + 1])]
        if ends[0] * ends[1] > 0.0:  # a sign change of rounding, which one point does not show
            continue
        s = brentq(one, shifts[i], shifts[i + 1], xtol=1e-15)
        solution = _solution(act, float(s), k, offset)
        if solution is not None and all(abs(s - f.shift) > 1e-9 for f in found):
            found.append(solution)
    return tuple(sorted(found, key=lambda f: abs(f.shift)))


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
) -> tuple[float, float]:
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
    alpha, scale : float

    Raises
    ------
    ConvergenceError
        If the bracket holds no solution.

    Examples
    --------
    >>> from chione.activations import ELU
    >>> alpha, scale = normalizing_parameter(ELU, bracket=(1.0, 3.0))  # the constants of SELU
    >>> round(alpha, 9), round(scale, 9)
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

    def both(alpha: float) -> tuple[float, float]:
        m = moments(Affine(activation(family(alpha)), shift=mu))
        return float(m.mean(nu).value), float(m.square(nu).value)

    def mismatch(alpha: float) -> float:
        first, second = both(alpha)
        return first / math.sqrt(second) - target

    if mismatch(low) * mismatch(high) > 0.0:
        raise ConvergenceError(
            f"No parameter between {low:g} and {high:g} gives the fixed point ({mu:g}, {nu:g}); "
            f"widen the bracket."
        )
    alpha = float(brentq(mismatch, low, high, xtol=4.0 * EPS, rtol=4.0 * EPS))
    return alpha, math.sqrt((nu + mu**2) / both(alpha)[1])


@dataclass(frozen=True)
class _Shifted:
    """Moments of phi(h + s) for many shifts s: E psi, E psi^2, E psi'^2, E psi'', E psi psi''."""

    mean: Array
    square: Array
    slope_square: Array
    bend: Array
    bent: Array


def _shifted(phi: AbstractActivation, s: Array, k: float) -> _Shifted:
    def flow(g: Callable[[Array], Array]) -> Array:
        return smooth(g, s, k, breakpoints=phi.kinks, window=WIDE)[0]

    bend, bent = (
        flow(phi.second_derivative),
        flow(lambda h: phi.value(h) * phi.second_derivative(h)),
    )
    for at in phi.kinks:  # the point masses of psi'' at kinks
        density = np.exp(-0.5 * (at - s) ** 2 / k) / math.sqrt(2.0 * math.pi * k)
        size = phi.jump(1, at)
        bend = bend + size * density
        bent = bent + size * density * float(phi.value(np.array([at]))[0])
    return _Shifted(
        flow(phi.value),
        flow(lambda h: phi.value(h) ** 2),
        flow(lambda h: phi.derivative(h) ** 2),
        bend,
        bent,
    )


def _solution(
    act: AbstractActivation, shift: float, k: float, offset: bool
) -> AffineSolution | None:
    d = _shifted(act, np.array([shift]), k)
    if not d.slope_square[0] > 1e-12:
        return None  # so flat that the scale would be huge
    a = 1.0 / math.sqrt(d.slope_square[0])
    b = float(-a * d.bent[0] / d.bend[0]) if offset else 0.0
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
    )
