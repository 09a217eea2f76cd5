r"""Kernels of two correlated inputs, by closed forms or quadrature.

.. math:: K(q_1, q_2, c) = E\,\phi(u_1)\phi(u_2), \qquad
   R(q_1, q_2, c) = \frac{\partial K}{\partial q_{12}} = E\,\phi'(u_1)\phi'(u_2)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, Array, Estimate, Status, checks, cost, missing
from chione.gaussian import bivariate
from chione.gaussian.smoothing import smooth
from chione.theory.moments.broken_line import broken_line, is_broken_line
from chione.theory.moments.moments import CLOSED_ERROR, METHODS, closed_error, jump_error, moments
from chione.theory.moments.pair_arrays import MANY, many_pairs
from chione.theory.moments.standard_activation import is_moderate, standard, value_size

_FARTHEST = 1e300  # variance beyond which a closed form that is not finite has overflowed


@cost.ends
def kernel(
    phi: ActivationLike,
    q1: Any,
    q2: Any,
    c: Any,
    *,
    method: str = "auto",
) -> Estimate:
    r"""Kernel of two inputs, :math:`E\,\phi(u_1)\,\phi(u_2)`.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    q1, q2 : float or array_like
        Variances of the Gaussians, zero or above.
    c : float or array_like
        Their correlation, in [-1, 1]. The three broadcast.
    method : {"auto", "closed", "quadrature"}
        ``auto`` takes the closed form where one is known.

    Returns
    -------
    Estimate
        Of the broadcast shape.

    Raises
    ------
    ValueError
        If a variance is negative or a correlation outside [-1, 1].

    Examples
    --------
    >>> round(kernel("relu", 1.0, 1.0, 0.0).value, 12)  # 1 / (2 pi)
    0.159154943092
    """
    act = activation(phi)
    return each(act, act.closed_forms.kernel, _kernel_quadrature, q1, q2, c, method, which=0)


@cost.ends
def derivative_kernel(
    phi: ActivationLike, q1: Any, q2: Any, c: Any, *, method: str = "auto"
) -> Estimate:
    r"""Kernel of the slopes, :math:`E\,\phi'(u_1)\,\phi'(u_2) = \partial K / \partial q_{12}`.

    Point masses of phi' at jumps of phi are included, so that the second equality always holds;
    at c = 1 it is then infinite. Parameters as :func:`kernel`.
    """
    act = activation(phi)
    closed = act.closed_forms.derivative_kernel
    return each(act, closed, slope_quadrature, q1, q2, c, method, which=1)


def slope_at(
    phi: AbstractActivation, q: float, gap: float, one_plus_c: float | None = None
) -> Estimate:
    """R at equal variance q, with 1 - c given, and 1 + c where it is known more accurately."""
    forms = phi.closed_forms
    plus = 2.0 - gap if one_plus_c is None else one_plus_c
    if forms.near_slope is not None:
        value = float(forms.near_slope(*(np.array(x) for x in (q, q, gap, plus))))
        return Estimate(value, abs(value) * CLOSED_ERROR, Status.OK)
    closed = forms.derivative_kernel
    # with kinks R has a square root at c = 1, and there 1 - c must not be rounded
    if closed is not None and (gap > 1e-6 or not phi.kinks):
        value = float(closed(np.array(q), np.array(q), np.array(1.0 - gap)))
        error = abs(value) * CLOSED_ERROR
        if phi.kinks:
            error += abs(value) * EPS / np.sqrt(gap)
        else:
            step = 1e-7
            beside = float(closed(np.array(q), np.array(q), np.array(1.0 - gap - step)))
            error += abs(value - beside) / step * EPS  # rounding of 1 - c
        return Estimate(value, error, Status.OK)
    if q > 0.0 and is_moderate(phi, q) and is_broken_line(phi):
        line = broken_line(phi, q)
        theta = 2.0 * np.arctan2(np.sqrt(max(gap, 0.0)), np.sqrt(max(plus, 0.0)))
        return Estimate(float(line.slope(theta)), line.error)
    return slope_quadrature(phi, q, q, 1.0 - gap, gap, one_plus_c)


def kernel_at(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    """K at equal variance q, with 1 - c given; where a closed form rounds c its error says so."""
    if phi.closed_forms.kernel is None and is_moderate(phi, q):
        return _kernel_quadrature(phi, q, q, 1.0 - gap, gap)
    k = kernel(phi, q, q, 1.0 - gap)
    rounding = abs(slope_at(phi, q, gap).value) * q * EPS
    return Estimate(k.value, k.error + rounding, k.status)


def _kernel_quadrature(
    phi: AbstractActivation, q1: float, q2: float, c: float, gap: float | None = None
) -> Estimate:
    """K by quadrature; `gap` is 1 - c where it is known better than c."""
    if not is_moderate(phi, q1, q2):
        return _unscaled(phi, q1, q2, c)
    e = bivariate(
        phi.value,
        phi.value,
        q1,
        q2,
        c,
        breakpoints_f=phi.kinks,
        breakpoints_g=phi.kinks,
        one_minus_c=gap,
    )
    return Estimate(e.value, e.error + _noise(phi, 0, q1, q2), e.status)


def _noise(phi: AbstractActivation, order: int, q1: float, q2: float) -> float:
    r"""What the noise :math:`\delta` of a user's formula adds to the error of E f(u1) f(u2).

    By Cauchy and Schwarz at most :math:`\sqrt{E f(u_1)^2\,E\,\delta(u_2)^2}` and its mirror image.
    """
    q = np.array([q1, q2])
    noise = phi.noise(order, q)
    if not np.any(noise):
        return 0.0
    m = moments(phi)
    size = np.sqrt(np.abs(np.nan_to_num((m.derivative_square if order else m.square)(q).value)))
    return float(size[0] * noise[1] + size[1] * noise[0])


def _unscaled(phi: AbstractActivation, q1: float, q2: float, c: float) -> Estimate:
    """E phi phi by way of units of its own, where squares of values or lengths leave float64."""
    sizes = [1.0 if q == 0.0 else value_size(phi, q) for q in (q1, q2)]
    if not np.all(np.isfinite(sizes)):
        return missing(Status.OVERFLOW)
    if q1 == 0.0 or q2 == 0.0:
        ends = [
            moments(standard(phi, q)).mean(1.0) if q else moments(phi).mean(0.0) for q in (q1, q2)
        ]
        k = Estimate(
            ends[0].value * ends[1].value,
            abs(ends[0].value) * ends[1].error + abs(ends[1].value) * ends[0].error,
            max(ends[0].status, ends[1].status),
        )
    else:
        k = between(standard(phi, q1), standard(phi, q2), c)
    with np.errstate(over="ignore", under="ignore"):
        value, error = (float(np.float64(x) * sizes[0] * sizes[1]) for x in (k.value, k.error))
    if not np.isfinite(value):
        return missing(Status.OVERFLOW)
    return Estimate(value, error + 5e-324, k.status)


def slope_quadrature(
    phi: AbstractActivation,
    q1: float,
    q2: float,
    c: float,
    gap: float | None = None,
    one_plus_c: float | None = None,
) -> Estimate:
    """R by quadrature at any two variances; 1 - c and 1 + c where they are known better than c."""
    if not is_moderate(phi, q1, q2) and q1 > 0.0 and q2 > 0.0:
        return _unscaled_slope(phi, q1, q2, 1.0 - c if gap is None else gap)
    jumps = moments(phi).jumps
    if jumps and is_stairs(phi):  # all of phi' is in the point masses
        smooth_part = Estimate(0.0, 0.0)
    else:
        smooth_part = _smooth_slope(phi, q1, q2, c, gap, one_plus_c)
    noise = smooth_part.error + _noise(phi, 1, q1, q2)
    smooth_part = Estimate(smooth_part.value, noise, smooth_part.status)
    relative = 2.0 * phi.derivative_error
    if not jumps:
        error = smooth_part.error + relative * abs(smooth_part.value)
        return Estimate(smooth_part.value, error, smooth_part.status)
    g = 1.0 - c if gap is None else gap
    if q1 == 0.0 or q2 == 0.0 or g == 0.0 or g == 2.0:
        return Estimate(float("nan"), float("nan"), Status.INFINITE)
    s2 = g * (1.0 + c if one_plus_c is None else one_plus_c)
    masses, mass_error = _point_masses(phi, jumps, q1, q2, g, s2)
    error = smooth_part.error + mass_error + relative * abs(smooth_part.value + masses)
    return Estimate(smooth_part.value + masses, error, smooth_part.status)


@dataclass(frozen=True)
class _Mirror:
    """An activation read from right to left; what is kept of its slopes is found again."""

    phi: AbstractActivation

    @property
    def known(self) -> bool:
        return self.phi.known

    def derivative(self, h: Array) -> Array:
        return self.phi.derivative(-h)


def _smooth_slope(
    phi: AbstractActivation,
    q1: float,
    q2: float,
    c: float,
    gap: float | None,
    one_plus_c: float | None,
) -> Estimate:
    """The part of R beside point masses; next to c = -1 of phi' and its mirror image at -c."""
    mirrored = one_plus_c is not None and c < 0.0
    kinks = phi.kinks
    return bivariate(
        phi.derivative,
        _Mirror(phi).derivative if mirrored else phi.derivative,
        q1,
        q2,
        -c if mirrored else c,
        breakpoints_f=kinks,
        breakpoints_g=tuple(-k for k in reversed(kinks)) if mirrored else kinks,
        one_minus_c=one_plus_c if mirrored else gap,
    )


@lru_cache(maxsize=256)
def is_stairs(phi: AbstractActivation) -> bool:
    """Whether phi' is zero wherever one looks, from 1e-12 to 1e12 on both sides."""
    h = np.geomspace(1e-12, 1e12, 1001)
    return not np.any(phi.derivative(np.concatenate([-h, h])))


def _unscaled_slope(phi: AbstractActivation, q1: float, q2: float, gap: float) -> Estimate:
    """R by way of standard normals; point masses of phi' are not in it."""
    if moments(phi).has_jumps or not np.all(np.isfinite([value_size(phi, q) for q in (q1, q2)])):
        return missing(Status.OVERFLOW)
    one = standard(phi, q1)
    two = one if q1 == q2 else standard(phi, q2)
    found = bivariate(
        one.derivative,
        two.derivative,
        1.0,
        1.0,
        1.0 - gap,
        breakpoints_f=one.kinks,
        breakpoints_g=two.kinks,
        one_minus_c=gap,
    )
    with np.errstate(over="ignore", under="ignore"):
        sizes = [x.size / x.root for x in (one, two)]
        value, error = (
            float(np.float64(x) * sizes[0] * sizes[1]) for x in (found.value, found.error)
        )
    error += 2.0 * phi.derivative_error * abs(value)
    return Estimate(value, error, found.status) if np.isfinite(value) else missing(Status.OVERFLOW)


def _point_masses(
    phi: AbstractActivation,
    jumps: tuple[tuple[float, float], ...],
    q1: float,
    q2: float,
    gap: float,
    s2: float,
) -> tuple[float, float]:
    """What the point masses of phi' at jumps add to E phi'(u1) phi'(u2); `s2` is 1 - c^2."""
    c = 1.0 - gap
    at, size = np.array([k for k, _ in jumps]), np.array([d for _, d in jumps])
    off = np.array([jump_error(phi, k) for k, _ in jumps])
    total, error = 0.0, 0.0
    for qa, qb in () if is_stairs(phi) else ((q1, q2), (q2, q1)):
        density = np.exp(-0.5 * at * at / qa) / np.sqrt(2.0 * np.pi * qa)
        seen = density > 0.0  # all places at once: phi' is resolved once
        if not seen.any():  # so short a signal reaches no jump
            continue
        centres = c * np.sqrt(qb / qa) * at[seen]
        mean, inner, _ = smooth(phi.derivative, centres, qb * s2, breakpoints=phi.kinks)
        d, density = size[seen], density[seen]
        total += float(np.sum(d * density * mean))
        error += float(np.sum(np.abs(d) * density * (inner + 8.0 * EPS * np.abs(mean))))
        error += float(np.sum(off[seen] * density * np.abs(mean)))
    # each place with each other one, a row at a time
    for k, d, e in zip(at, size, off, strict=True):
        a, b = k / np.sqrt(q1), at / np.sqrt(q2)
        form = (
            ((a - b) ** 2 + 2.0 * a * b * gap) / s2
            if c >= 0.0
            else ((a + b) ** 2 - 2.0 * a * b * s2 / gap) / s2
        )
        density = np.exp(-0.5 * form) / (2.0 * np.pi * np.sqrt(q1) * np.sqrt(q2) * np.sqrt(s2))
        total += float(np.sum(d * size * density))
        rounded = np.abs(d * size) * EPS * (8.0 + 4.0 * np.abs(form))
        error += float(np.sum((rounded + e * np.abs(size) + abs(d) * off) * density))
    return total, error


def between(one: AbstractActivation, two: AbstractActivation, c: float) -> Estimate:
    """E of the product of two activations of standard normals."""
    return bivariate(
        one.value, two.value, 1.0, 1.0, c, breakpoints_f=one.kinks, breakpoints_g=two.kinks
    )


def each(
    act: AbstractActivation,
    closed: Any,
    quadrature: Any,
    q1: Any,
    q2: Any,
    c: Any,
    method: str,
    *,
    which: int | None = None,
) -> Estimate:
    """Closed form at once, many pairs by the layer's map, else quadrature one by one.

    `which` says that the map has the quantity, as K (0) or R (1).
    """
    checks.one_of("method", method, METHODS)
    if method == "closed" and closed is None:
        raise ValueError(f"No closed form of this kernel is known for {act}; use 'quadrature'.")
    q1, q2 = checks.real_array("q1", q1), checks.real_array("q2", q2)
    c = checks.correlation("c", c)
    if np.any(q1 < 0.0) or np.any(q2 < 0.0):
        raise ValueError("q1 and q2 must be variances, 0 or above, but one of them is negative.")
    q1, q2, c = checks.together(q1=q1, q2=q2, c=c)
    if closed is not None and method != "quadrature":
        with np.errstate(all="ignore"):  # a few factors next to the end of float64 overflow
            value = np.asarray(closed(q1, q2, c), dtype=np.float64)
            scale = _scale(act, q1, q2, value)
        known = np.isfinite(value) & np.isfinite(scale)
        why = np.where(np.maximum(q1, q2) > _FARTHEST, Status.OVERFLOW, Status.INFINITE)
        status = np.where(known, Status.OK, why).astype(np.int8)
        return shaped(np.where(known, value, np.nan), closed_error(scale), status)
    if which is not None and method == "auto" and c.size >= MANY:
        found = many_pairs(act, q1, q2, c, which, partial(quadrature, act))
        if found is not None:
            return shaped(*found)
    parts = [
        quadrature(act, float(a), float(b), float(x))
        for a, b, x in zip(q1.ravel(), q2.ravel(), c.ravel(), strict=True)
    ]
    shape = q1.shape
    return shaped(
        np.array([p.value for p in parts]).reshape(shape),
        np.array([p.error for p in parts]).reshape(shape),
        np.array([int(p.status) for p in parts], dtype=np.int8).reshape(shape),
    )


def _scale(act: AbstractActivation, q1: Array, q2: Array, value: Array) -> Array:
    """Size against which a closed form is exact: the geometric mean of the two lengths."""
    square = act.closed_forms.mean_square
    if square is None or act.closed_forms.positive_kernel:
        return np.abs(value)
    roots = np.sqrt(np.abs(square(q1))) * np.sqrt(np.abs(square(q2)))  # the product may overflow
    size: Array = np.maximum(np.abs(value), roots)
    return size


def shaped(value: Array, error: Array, status: Any) -> Estimate:
    """An estimate of plain numbers where the value has no dimension."""
    if np.ndim(value):
        return Estimate(value, error, status)
    return Estimate(float(value), float(error), Status(int(status)))
