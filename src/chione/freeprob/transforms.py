r"""R and S transforms of any law, with errors and statuses.

.. math:: R(g) = G^{-1}(g) - \frac1g = \frac{M(z)}{g}, \quad z = G^{-1}(g), \qquad
   S(x) = \frac{1 + x}{x z} = \frac{G(z)}{x}, \quad z = M^{-1}(x)

In the second forms nothing cancels, neither at small arguments, where z is large, nor at
:math:`x \to -1`. Laws with a closed form have it everywhere, beyond the ends of the range of G too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from chione.base import EPS, Array, Status
from chione.freeprob import inverses
from chione.freeprob.classical import Arcsine, FreePoisson, Semicircle
from chione.freeprob.cumulants import free_cumulants
from chione.freeprob.dilation import Dilated
from chione.freeprob.free_power import AbstractNamedLaw
from chione.freeprob.free_product import FreeProduct
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.measures import AbstractMeasure, Complex, Integers
from chione.freeprob.point_masses import PointMasses


@dataclass(frozen=True)
class Transform:
    """Values, bounds on their errors, statuses; all of shape (n,)."""

    value: Complex
    error: Array
    status: Integers


def exact(value: Complex, size: Array) -> Transform:
    """A closed form, right to eight units of rounding of terms of that size; infinite at poles."""
    pole = ~np.isfinite(value)
    return Transform(
        np.where(pole, np.nan, value),
        np.where(pole, np.nan, 8.0 * EPS * size),
        np.where(pole, Status.DIVERGENT, Status.OK).astype(np.intp),
    )


# ------------------------------------------------------------------------------------ inverses


@singledispatch
def inverse_stieltjes(law: AbstractMeasure, g: Complex) -> Transform:
    """Z with G(z) = g; DIVERGENT at g = 0, NONE where there is none on the outer branch."""
    return _inverse(inverses.inverse_stieltjes, law, g)


@singledispatch
def inverse_moment_function(law: AbstractMeasure, x: Complex) -> Transform:
    """Z with M(z) = x; UNDEFINED for a mean of 0, where two branches meet at infinity."""
    if _no_mean(law):
        return _blank(x, Status.UNDEFINED)
    return _inverse(inverses.inverse_moment_function, law, x)


def _inverse(
    invert: Callable[[AbstractMeasure, Complex], inverses.Inverse], law: AbstractMeasure, t: Complex
) -> Transform:
    out = _blank(t, Status.NONE)
    some = t != 0.0
    found = invert(law, t[some])
    out.value[some], out.error[some] = found.z, found.error
    out.status[some] = np.where(found.ok, Status.OK, Status.NONE)
    out.status[~some] = Status.DIVERGENT
    return out


def _checked(
    f: inverses.Function, z: Complex, error: Array, t: Complex, found: Transform
) -> Transform:
    """A z from the parts of a law, where it is on the branch: there f(z) is t."""
    with np.errstate(all="ignore"):
        back = inverses.judged(f, np.where(found.status == Status.OK, z, np.nan), t)
    status = np.where(t == 0.0, Status.DIVERGENT, np.where(back.ok, Status.OK, Status.NONE))
    value = np.where(back.ok, z, np.nan)
    return Transform(value, np.where(back.ok, error, np.nan), status.astype(np.intp))


def _no_mean(law: AbstractMeasure) -> bool:
    return bool(abs(law.mean) <= law.moments_error(1)[0])


def _blank(t: Complex, status: Status) -> Transform:
    return Transform(
        np.full(t.shape, np.nan, dtype=complex), np.full(t.shape, np.nan), np.full(t.shape, status)
    )


# ----------------------------------------------------------------------------------------- R


@singledispatch
def r_transform(law: AbstractMeasure, g: Complex) -> Transform:
    """R at g of shape (n,); at 0 the mean."""
    out = inverse_stieltjes(law, g)
    zero = g == 0.0
    with np.errstate(all="ignore"):
        z = np.where(zero, np.nan, out.value)
        value = law.moment_function(z) / g
        moved = abs(law.moment_function_derivative(z)) * out.error
        error = (moved + law.moment_function_error(z)) / abs(g) + 4.0 * EPS * abs(value)
    # z - 1/g is as good where M is not known well, as next to an end of the support
    with np.errstate(all="ignore"):
        plain = z - 1.0 / g
        doubt = out.error + EPS * (abs(z) + 1.0 / abs(g))
    better = ~(error <= doubt)
    value, error = np.where(better, plain, value), np.where(better, doubt, error)
    value[zero], error[zero] = law.mean, law.moments_error(1)[0]
    status = np.where(zero, Status.OK, out.status)
    return Transform(value, error, status.astype(np.intp))


@r_transform.register
def _(law: Semicircle, g: Complex) -> Transform:
    v = law.variance_
    return exact(law.center + v * g, np.asarray(abs(law.center) + v * abs(g)))


@r_transform.register
def _(law: FreePoisson, g: Complex) -> Transform:
    with np.errstate(all="ignore"):
        room = 1.0 - law.jump * g
        value = law.rate * law.jump / room
        return exact(value, abs(value) * (1.0 + abs(law.jump * g / room)))


@r_transform.register
def _(law: Arcsine, g: Complex) -> Transform:
    # cut on the imaginary axis beyond +-i / r, where R has its branch points
    y = law.radius * g
    with np.errstate(all="ignore"):
        root = np.sqrt(1.0 + 1j * y) * np.sqrt(1.0 - 1j * y)
        value = law.radius * y / (1.0 + root)
        return exact(value, abs(value) * (1.0 + abs(y) / abs(root)) + 1e-300)


@r_transform.register
def _(law: PointMasses, g: Complex) -> Transform:
    if law.place.size > 1:
        return r_transform.dispatch(AbstractMeasure)(law, g)
    return exact(np.full(g.shape, law.places[0] + 0j), np.full(g.shape, 0.0))


@r_transform.register
def _(law: Dilated, g: Complex) -> Transform:
    inner = r_transform(law.base, law.factor * g)
    value = law.factor * inner.value + law.offset
    rounding = 4.0 * EPS * (abs(law.factor * inner.value) + abs(law.offset))
    # of the argument a g half a unit is lost: small beside the error of R as stated
    return Transform(value, abs(law.factor) * inner.error + rounding, inner.status)


@r_transform.register
def _(law: AbstractNamedLaw, g: Complex) -> Transform:
    return r_transform(law.answer, g)


@r_transform.register
def _(law: FreeSum, g: Complex) -> Transform:
    start = exact(np.full(g.shape, law.constant + 0j), np.full(g.shape, abs(law.constant)))
    value, error, status = start.value, start.error, start.status
    for part, times in zip(law.system.laws, law.system.times, strict=True):
        one = r_transform(part, g)
        value = value + times * one.value
        error = error + times * one.error + EPS * (abs(times * one.value) + abs(value))
        status = np.maximum(status, one.status)
    return Transform(value, error, status)


@singledispatch
def inverse_r_transform(law: AbstractMeasure, r: Complex) -> Transform:
    """The g with R(g) = r, on the branch with g = 0 at the mean; UNDEFINED for a constant."""
    kappa, error = free_cumulants(law, 2)
    if kappa[1] <= error[1]:
        return _blank(r, Status.UNDEFINED)
    out = _blank(r, Status.NONE)
    mean = abs(r - kappa[0]) <= error[0]
    found = inverses.inverse_r(law, r[~mean], (float(kappa[0]), float(kappa[1])), float(error[0]))
    with np.errstate(all="ignore"):
        g, g1 = law.stieltjes_with_derivative(found.z)
        out.value[~mean] = g
        out.error[~mean] = abs(g1) * found.error + law.stieltjes_error(found.z)
    out.status[~mean] = np.where(found.ok, Status.OK, Status.NONE)
    out.value[mean], out.status[mean] = 0.0, Status.OK
    out.error[mean] = 2.0 * (error[0] + abs(r[mean] - kappa[0])) / kappa[1]
    return out


@inverse_r_transform.register
def _(law: Semicircle, r: Complex) -> Transform:
    v = law.variance_
    return exact((r - law.center) / v, np.asarray(abs(r - law.center) / v))


@inverse_r_transform.register
def _(law: FreePoisson, r: Complex) -> Transform:
    with np.errstate(all="ignore"):
        ratio = law.rate * law.jump / r
        return exact((1.0 - ratio) / law.jump, np.asarray((1.0 + abs(ratio)) / law.jump))


@inverse_r_transform.register
def _(law: Dilated, r: Complex) -> Transform:
    inner = inverse_r_transform(law.base, (r - law.offset) / law.factor)
    error = (inner.error + 8.0 * EPS * abs(inner.value)) / abs(law.factor)
    # (r - b) / a is rounded, and moves g by as much over the slope kappa_2 of R, doubled for safety
    spread = free_cumulants(law, 2)[0][1]
    moved = 4.0 * EPS * abs(r - law.offset) / spread if spread > 0.0 else 0.0
    return Transform(inner.value / law.factor, error + moved, inner.status)


@inverse_r_transform.register
def _(law: AbstractNamedLaw, r: Complex) -> Transform:
    return inverse_r_transform(law.answer, r)


@inverse_stieltjes.register
def _(law: FreeSum, g: Complex) -> Transform:
    """R + 1/g from the parts: their inverses are the subordination functions."""
    r = r_transform(law, g)
    with np.errstate(all="ignore"):
        z = r.value + 1.0 / g
        error = r.error + 4.0 * EPS * (abs(z) + abs(1.0 / g))
    return _checked(inverses.function_g(law), z, error, g, r)


@inverse_stieltjes.register
def _(law: AbstractNamedLaw, g: Complex) -> Transform:
    return inverse_stieltjes(law.answer, g)


# ----------------------------------------------------------------------------------------- S


@singledispatch
def s_transform(law: AbstractMeasure, x: Complex) -> Transform:
    """S at x of shape (n,); at 0 one over the mean."""
    out = inverse_moment_function(law, x)
    if _no_mean(law):
        return out
    zero = x == 0.0
    with np.errstate(all="ignore"):
        z = np.where(zero, np.nan, out.value)
        value = law.stieltjes(z) / x
        # d(1 / z) at fixed x, and G for z near 0
        plain = (1.0 + x) / (x * z)
        error = abs(plain) * (out.error / abs(z) + 4.0 * EPS)
        moved = abs(law.stieltjes_derivative(z)) * out.error + law.stieltjes_error(z)
        other = moved / abs(x) + 4.0 * EPS * abs(value)
    better = ~(other <= error) & (abs(1.0 + x) > 0.5)
    value, error = np.where(better, plain, value), np.where(better, error, other)
    value[zero] = 1.0 / law.mean
    error[zero] = 2.0 * law.moments_error(1)[0] / law.mean**2 + EPS / abs(law.mean)
    lost = (out.status == Status.OK) & ~np.isfinite(value)
    status = np.where(zero, Status.OK, np.where(lost, Status.DIVERGENT, out.status))
    return Transform(value, error, status.astype(np.intp))


@s_transform.register
def _(law: FreePoisson, x: Complex) -> Transform:
    with np.errstate(all="ignore"):
        value = 1.0 / (law.jump * (law.rate + x))
        return exact(value, abs(value) * (1.0 + (law.rate + abs(x)) / abs(law.rate + x)))


@s_transform.register
def _(law: PointMasses, x: Complex) -> Transform:
    if law.place.size > 1:
        return s_transform.dispatch(AbstractMeasure)(law, x)
    if law.places[0] == 0.0:
        return _blank(x, Status.UNDEFINED)
    return exact(
        np.full(x.shape, 1.0 / law.places[0] + 0j), np.full(x.shape, abs(1 / law.places[0]))
    )


@s_transform.register
def _(law: Dilated, x: Complex) -> Transform:
    if law.offset != 0.0:
        return s_transform.dispatch(AbstractMeasure)(law, x)
    inner = s_transform(law.base, x)
    value = inner.value / law.factor
    return Transform(value, inner.error / abs(law.factor) + 2.0 * EPS * abs(value), inner.status)


@s_transform.register
def _(law: AbstractNamedLaw, x: Complex) -> Transform:
    return s_transform(law.answer, x)


@s_transform.register
def _(law: FreeProduct, x: Complex) -> Transform:
    scale = np.exp(-law.log_constant)
    bound = 4.0 * EPS * (1.0 + abs(law.log_constant)) * scale
    value, error = np.full(x.shape, scale + 0j), np.full(x.shape, bound)
    status = np.zeros(x.shape, dtype=np.intp)
    for part, times in zip(law.system.laws, law.system.times, strict=True):
        one = s_transform(part, x)
        # on the branch that is real and positive at 0; |log S| is small for what is allowed there
        with np.errstate(all="ignore"):
            powered = one.value**times
            relative = times * one.error / abs(one.value) + 4.0 * EPS * (1.0 + times)
            value = value * powered
            error = error * abs(powered) + abs(value) * relative * (1.0 + relative)
        status = np.maximum(status, one.status)
    return Transform(value, error, status)


@inverse_moment_function.register
def _(law: FreeProduct, x: Complex) -> Transform:
    """(1 + x) / (x S) from the parts: their inverses are the subordination functions."""
    found = s_transform(law, x)
    with np.errstate(all="ignore"):
        z = (1.0 + x) / (x * found.value)
        error = abs(z) * (found.error / abs(found.value) + 8.0 * EPS)
    return _checked(inverses.function_m(law), z, error, x, found)


@inverse_moment_function.register
def _(law: AbstractNamedLaw, x: Complex) -> Transform:
    return inverse_moment_function(law.answer, x)


@singledispatch
def inverse_s_transform(law: AbstractMeasure, s: Complex) -> Transform:
    """The x with S(x) = s, on the branch with x = 0 at one over the mean; UNDEFINED where S is not.

    S of a constant has no inverse.
    """
    kappa, error = free_cumulants(law, 2)
    if _no_mean(law) or kappa[1] <= error[1]:
        return _blank(s, Status.UNDEFINED)
    mean = float(kappa[0])
    out = _blank(s, Status.NONE)
    start = abs(s * mean - 1.0) <= 4.0 * error[0] / abs(mean) + 4.0 * EPS
    found = inverses.inverse_s(law, s[~start], mean, mean**2 + float(kappa[1]))
    with np.errstate(all="ignore"):
        x = law.moment_function(found.z)
        slope = abs(law.moment_function_derivative(found.z))
        out.value[~start] = x
        out.error[~start] = slope * found.error + law.moment_function_error(found.z)
    out.status[~start] = np.where(found.ok, Status.OK, Status.NONE)
    out.value[start], out.status[start] = 0.0, Status.OK
    # S' = -kappa_2 / m_1^3 at 0
    out.error[start] = 16.0 * (error[0] / abs(mean) + EPS) * mean**2 / kappa[1]
    return out


@inverse_s_transform.register
def _(law: FreePoisson, s: Complex) -> Transform:
    with np.errstate(all="ignore"):
        first = 1.0 / (law.jump * s)
        return exact(first - law.rate, np.asarray(abs(first) + law.rate))


@inverse_s_transform.register
def _(law: AbstractNamedLaw, s: Complex) -> Transform:
    return inverse_s_transform(law.answer, s)
