r"""Kernels of two correlated inputs and the correlation map.

.. math:: K(q_1, q_2, c) = E\,\phi(u_1)\phi(u_2), \qquad
   R(q_1, q_2, c) = \frac{\partial K}{\partial q_{12}} = E\,\phi'(u_1)\phi'(u_2)

Near c = 1 everything is carried in 1 - c: by Price's theorem
:math:`K(1) - K(c) = q \int_c^1 R\,dc'`, an integral without cancellation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, Array, Estimate, Status, checks
from chione.gaussian import HermiteExpansion, bivariate, hermite_expansion
from chione.gaussian.smoothing import smooth
from chione.theory.length_map import affine, variances
from chione.theory.moments import CLOSED_ERROR, METHODS, moments

N_HERMITE = 320


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
    return _each(act, act.closed_forms.kernel, _kernel_quadrature, q1, q2, c, method)


def derivative_kernel(
    phi: ActivationLike, q1: Any, q2: Any, c: Any, *, method: str = "auto"
) -> Estimate:
    r"""Kernel of the slopes, :math:`E\,\phi'(u_1)\,\phi'(u_2) = \partial K / \partial q_{12}`.

    Point masses of phi' at jumps of phi are included, so that the second equality always holds;
    at c = 1 it is then infinite. Parameters as :func:`kernel`.
    """
    act = activation(phi)
    return _each(act, act.closed_forms.derivative_kernel, slope_quadrature, q1, q2, c, method)


def correlation_map(
    phi: ActivationLike,
    c: Any,
    *,
    q: float,
    q2: float | None = None,
    sigma_w: float,
    sigma_b: float = 0.0,
) -> Estimate:
    r"""Correlation of the pre-activations one layer on.

    .. math:: C(c) = \frac{\sigma_w^2 K(q_1, q_2, c) + \sigma_b^2}{\sqrt{V(q_1) V(q_2)}}

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    c : float or array_like
        Correlations in [-1, 1].
    q, q2 : float
        Mean squares of the two inputs at this layer, above zero; `q2` equals `q` by default.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases.

    Returns
    -------
    Estimate
        Of the shape of `c`. Use :func:`one_minus_correlation_map` close to c = 1.
    """
    w2, b2 = variances(sigma_w, sigma_b)
    q1, q2 = checks.positive("q", q), checks.positive("q2", q if q2 is None else q2)
    top = affine(kernel(phi, q1, q2, c), w2, b2)
    lengths = [affine(moments(phi).square(x), w2, b2) for x in (q1, q2)]
    if any(v.value == 0.0 for v in lengths):
        nan = np.full(np.shape(c), np.nan)
        return Estimate(nan, nan, np.full(np.shape(c), Status.UNDEFINED, dtype=np.int8))
    norm = np.sqrt(lengths[0].value * lengths[1].value)
    relative = sum(v.error / v.value for v in lengths) / 2.0 + 4.0 * EPS
    value = top.value / norm
    return Estimate(value, top.error / norm + np.abs(value) * relative, top.status)


def one_minus_correlation_map(
    phi: ActivationLike, one_minus_c: Any, *, q: float, sigma_w: float, sigma_b: float = 0.0
) -> Estimate:
    r"""1 - C(c) from 1 - c, with relative accuracy however small they are.

    .. math:: 1 - C(c) = \frac{\sigma_w^2\,q}{V(q)} \int_c^1 R(q, q, c')\,dc'

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    one_minus_c : float or array_like
        1 - c, in [0, 2].
    q : float
        Mean square of both inputs, above zero.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases.

    Returns
    -------
    Estimate
        Of the shape of `one_minus_c`.

    Notes
    -----
    Gauss-Legendre in :math:`\sqrt{1 - c}`, in which R is analytic also for kinks (its singular
    term is then odd in that variable), with doubling until two orders agree.
    """
    gap = checks.real_array("one_minus_c", one_minus_c)
    if np.any((gap < 0.0) | (gap > 2.0)):
        raise ValueError(f"one_minus_c must lie in [0, 2], but it holds {gap.max()!r}.")
    w2, b2 = variances(sigma_w, sigma_b)
    q = checks.positive("q", q)
    length = affine(moments(phi).square(q), w2, b2)
    act = activation(phi)
    parts = [kernel_drop(act, q, float(g)) for g in gap.ravel()]
    scale = w2 / length.value
    value = scale * np.array([p.value for p in parts]).reshape(gap.shape)
    error = scale * np.array([p.error for p in parts]).reshape(gap.shape)
    error += np.abs(value) * (length.error / length.value + 4.0 * EPS)
    status = np.array([int(p.status) for p in parts], dtype=np.int8).reshape(gap.shape)
    if gap.ndim == 0:
        return Estimate(float(value), float(error), Status(int(status)))
    return Estimate(value, error, status)


def kernel_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    r"""K(1) - K(c) at equal variance q, with relative accuracy; `gap` is 1 - c."""
    if gap == 0.0:
        return Estimate(0.0, 0.0, Status.OK)
    if gap > 0.3:  # nothing cancels any more
        top, rest = moments(phi).square(q), kernel(phi, q, q, 1.0 - gap)
        return Estimate(
            top.value - rest.value, top.error + rest.error, max(top.status, rest.status)
        )
    if not phi.kinks and phi.closed_forms.derivative_kernel is None:
        by_series = _series_drop(phi, q, gap)
        if by_series.error <= 1e-12 * by_series.value:
            return by_series
    t = np.sqrt(gap)
    previous = np.inf
    for n in (4, 8, 16, 32, 64):
        x, w = np.polynomial.legendre.leggauss(n)
        nodes = 0.5 * t * (x + 1.0)
        values = [slope_at(phi, q, float(s * s)) for s in nodes]
        weights = t * w * nodes * q  # dc = 2 s ds, ds = t / 2 dx
        value = float(np.dot(weights, [v.value for v in values]))
        error = float(np.dot(weights, [v.error for v in values]))
        change = abs(value - previous)  # bounds the error of the finer of the two rules
        if change <= max(1e-13 * abs(value), error):  # nothing left but noise
            break
        previous = value
    return Estimate(value, error + change + 4.0 * EPS * abs(value), Status.OK)


@lru_cache(maxsize=512)
def slope_expansion(phi: AbstractActivation, q: float) -> HermiteExpansion:
    """Hermite coefficients of phi' at variance q."""
    return hermite_expansion(phi.derivative, q, N_HERMITE, breakpoints=phi.kinks)


def drop_for_curves(phi: AbstractActivation, q: float, gap: float) -> float:
    """K(1) - K(c) to about 1e-11 relative at a few evaluations: enough for a curve."""
    # a slope that is not square integrable leaves no other way, whatever the gap
    singular = phi.kinks and moments(phi).derivative_square(q).status == Status.INFINITE
    singular = singular and not moments(phi).has_jumps
    if singular or (phi.closed_forms.derivative_kernel is None and phi.kinks and gap > 1e-4):
        top, rest = moments(phi).square(q), kernel(phi, q, q, 1.0 - gap)
        return float(top.value - rest.value)
    if phi.kinks and gap <= 1e-4:  # sqrt(gap) is so short that five nodes are exact
        x, w = np.polynomial.legendre.leggauss(5)
        t = np.sqrt(gap)
        nodes = 0.5 * t * (x + 1.0)
        values = [slope_at(phi, q, float(s * s)).value for s in nodes]
        return float(np.dot(t * w * nodes * q, values))
    return float(kernel_drop(phi, q, gap).value)


def _series_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    r"""K(1) - K(c) from the Hermite coefficients d_k of phi'.

    .. math:: K(1) - K(c) = q \sum_k d_k^2 \int_c^1 c'^k dc' = q \sum_k d_k^2
       \frac{1 - c^{k+1}}{k + 1}, \qquad \text{truncated part} \le q\,(1 - c) \sum_{k \ge n} d_k^2
    """
    series = slope_expansion(phi, q)
    k = np.arange(1.0, len(series) + 1.0)
    shares = -np.expm1(k * np.log1p(-gap)) / k
    d = series.coefficients
    value = q * float(d**2 @ shares)
    tail = max(series.tail.value, 0.0) + series.tail.error
    error = q * (float((2.0 * np.abs(d) * series.error) @ shares) + gap * tail)
    error += abs(value) * (8.0 * EPS + 2.0 * phi.derivative_error)
    return Estimate(value, error, Status.OK)


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
    return slope_quadrature(phi, q, q, 1.0 - gap, gap, one_plus_c)


def _kernel_quadrature(phi: AbstractActivation, q1: float, q2: float, c: float) -> Estimate:
    e = bivariate(phi.value, phi.value, q1, q2, c, breakpoints_f=phi.kinks, breakpoints_g=phi.kinks)
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


def slope_quadrature(
    phi: AbstractActivation,
    q1: float,
    q2: float,
    c: float,
    gap: float | None = None,
    one_plus_c: float | None = None,
) -> Estimate:
    """R by quadrature at any two variances; 1 - c and 1 + c where they are known better than c."""
    smooth_part = bivariate(
        phi.derivative,
        phi.derivative,
        q1,
        q2,
        c,
        breakpoints_f=phi.kinks,
        breakpoints_g=phi.kinks,
        one_minus_c=gap,
    )
    jumps = moments(phi).jumps
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
    total, error = 0.0, 0.0
    for k, size in jumps:
        for qa, qb in ((q1, q2), (q2, q1)):
            density = np.exp(-0.5 * k * k / qa) / np.sqrt(2.0 * np.pi * qa)
            centre = np.array([c * np.sqrt(qb / qa) * k])
            mean, inner, _ = smooth(phi.derivative, centre, qb * s2, breakpoints=phi.kinks)
            total += float(size * density * mean[0])
            error += float(abs(size) * density * (inner[0] + 8.0 * EPS * abs(mean[0])))
        for k2, size2 in jumps:
            a, b = k / np.sqrt(q1), k2 / np.sqrt(q2)
            form = (
                ((a - b) ** 2 + 2.0 * a * b * gap) / s2
                if c >= 0.0
                else ((a + b) ** 2 - 2.0 * a * b * s2 / gap) / s2
            )
            density = np.exp(-0.5 * form) / (2.0 * np.pi * np.sqrt(q1 * q2 * s2))
            total += size * size2 * density
            error += abs(size * size2) * density * EPS * (8.0 + 4.0 * abs(form))
    return total, error


def _each(
    act: AbstractActivation, closed: Any, quadrature: Any, q1: Any, q2: Any, c: Any, method: str
) -> Estimate:
    """Closed form at once, quadrature element by element."""
    checks.one_of("method", method, METHODS)
    if method == "closed" and closed is None:
        raise ValueError(f"No closed form of this kernel is known for {act}; use 'quadrature'.")
    q1, q2 = checks.real_array("q1", q1), checks.real_array("q2", q2)
    c = checks.correlation("c", c)
    if np.any(q1 < 0.0) or np.any(q2 < 0.0):
        raise ValueError("q1 and q2 must be variances, 0 or above, but one of them is negative.")
    q1, q2, c = np.broadcast_arrays(q1, q2, c)
    if closed is not None and method != "quadrature":
        value = np.asarray(closed(q1, q2, c), dtype=np.float64)
        scale = _scale(act, q1, q2, value)
        status = np.where(np.isfinite(value), Status.OK, Status.INFINITE).astype(np.int8)
        value = np.where(np.isfinite(value), value, np.nan)
        return _shaped(value, CLOSED_ERROR * scale, status)
    parts = [
        quadrature(act, float(a), float(b), float(x))
        for a, b, x in zip(q1.ravel(), q2.ravel(), c.ravel(), strict=True)
    ]
    shape = q1.shape
    return _shaped(
        np.array([p.value for p in parts]).reshape(shape),
        np.array([p.error for p in parts]).reshape(shape),
        np.array([int(p.status) for p in parts], dtype=np.int8).reshape(shape),
    )


def _scale(act: AbstractActivation, q1: Array, q2: Array, value: Array) -> Array:
    """Size against which a closed form is exact: the geometric mean of the two lengths."""
    square = act.closed_forms.mean_square
    if square is None:
        return np.abs(value)
    roots = np.sqrt(np.abs(square(q1))) * np.sqrt(np.abs(square(q2)))  # the product may overflow
    return np.maximum(np.abs(value), roots)


def _shaped(value: Array, error: Array, status: Any) -> Estimate:
    if np.ndim(value):
        return Estimate(value, error, status)
    return Estimate(float(value), float(error), Status(int(status)))
