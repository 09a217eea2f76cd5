r"""Kernels of two correlated inputs and the correlation map.

.. math:: K(q_1, q_2, c) = E\,\phi(u_1)\phi(u_2), \qquad
   R(q_1, q_2, c) = \frac{\partial K}{\partial q_{12}} = E\,\phi'(u_1)\phi'(u_2)

Near c = 1 everything is carried in 1 - c: by Price's theorem
:math:`K(1) - K(c) = q \int_c^1 R\,dc'`, an integral without cancellation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from chione.activations import AbstractActivation, activation
from chione.base import EPS, Array, Estimate, Status, checks, missing
from chione.gaussian import HermiteExpansion, bivariate, hermite_expansion
from chione.gaussian.smoothing import smooth
from chione.theory.moments import CLOSED_ERROR, METHODS, ActivationLike, moments
from chione.theory.standard_activation import is_moderate, standard, value_size

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
    w, b = (checks.non_negative(n, s) for n, s in (("sigma_w", sigma_w), ("sigma_b", sigma_b)))
    q1, q2 = checks.positive("q", q), checks.positive("q2", q if q2 is None else q2)
    c, act = checks.correlation("c", c), activation(phi)
    ends = [_End.of(act, x, w, b) for x in (q1, q2)]
    norm = ends[0].root * ends[1].root
    if not norm > 0.0:
        silent = w == 0.0 or all(e.square.value == 0.0 for e in ends)
        bad = max((int(e.square.status) for e in ends), default=0)
        status = Status(bad) if bad > Status.INEXACT and not silent else Status.UNDEFINED
        nan = np.full(np.shape(c), np.nan)
        return _shaped(nan, nan, np.full(np.shape(c), status, dtype=np.int8))
    k = _own_kernel(act, (q1, q2), c)
    relative = sum(e.relative for e in ends) + 4.0 * EPS
    weight = ends[0].share * ends[1].share
    value = (weight * np.asarray(k.value) + ends[0].bias * ends[1].bias) / norm
    error = weight * np.asarray(k.error) / norm + np.abs(value) * relative
    return _shaped(value, error, k.status)


@dataclass(frozen=True)
class _End:
    r"""One input of a pair, in units of its own: E phi^2 and both shares of the length.

    .. math:: \frac{\sigma_w \phi + \sigma_b b}{\sqrt{\sigma_w^2 s^2 + \sigma_b^2}}
       = r\,\frac{\phi}{s} + t\,b, \qquad r^2 + t^2 = 1
    """

    square: Estimate
    share: float
    bias: float

    @classmethod
    def of(cls, phi: AbstractActivation, q: float, sigma_w: float, sigma_b: float) -> _End:
        size = value_size(phi, q)
        if is_moderate(phi, q):
            plain = moments(phi).square(q)
            square = Estimate(plain.value / size / size, plain.error / size / size, plain.status)
        elif np.isinf(size):
            square = missing(Status.OVERFLOW)
        else:
            square = moments(standard(phi, q)).square(1.0)
        if sigma_w == 0.0:
            return cls(square, 0.0, 1.0 if sigma_b else 0.0)
        with np.errstate(over="ignore"):
            ratio = float(np.float64(sigma_b) / sigma_w / size)  # infinite where only b counts
        share = 1.0 / float(np.hypot(1.0, ratio))
        return cls(square, share, share * ratio if np.isfinite(ratio) else 1.0)

    @property
    def length(self) -> float:
        """V in these units."""
        return float(self.share**2 * self.square.value + self.bias**2) if self.share else self.bias

    @property
    def root(self) -> float:
        """Root of V."""
        return float(np.sqrt(self.length))

    @property
    def relative(self) -> float:
        """Relative error of the root."""
        return float(0.5 * self.share**2 * self.square.error / self.length) if self.share else 0.0


def _own_kernel(phi: AbstractActivation, q: tuple[float, float], c: Array) -> Estimate:
    """E phi phi over the sizes of phi at both lengths."""
    sizes = [value_size(phi, x) for x in q]
    if is_moderate(phi, *q):
        k = kernel(phi, *q, c)
        return Estimate(k.value / sizes[0] / sizes[1], k.error / sizes[0] / sizes[1], k.status)
    one, two = (standard(phi, x) for x in q)
    return _each(phi, None, lambda _, a, b, x: _between(one, two, x), 1.0, 1.0, c, "auto")


def _between(one: AbstractActivation, two: AbstractActivation, c: float) -> Estimate:
    """E of the product of two activations of standard normals."""
    return bivariate(
        one.value, two.value, 1.0, 1.0, c, breakpoints_f=one.kinks, breakpoints_g=two.kinks
    )


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
    w, b = (checks.non_negative(n, s) for n, s in (("sigma_w", sigma_w), ("sigma_b", sigma_b)))
    q, act = checks.positive("q", q), activation(phi)
    end = _End.of(act, q, w, b)
    if not end.root > 0.0:
        status = Status.UNDEFINED if end.square.status == Status.OK else end.square.status
        nan = np.full(gap.shape, np.nan)
        return _shaped(nan, nan, np.full(gap.shape, status, dtype=np.int8))
    size, own = value_size(act, q), is_moderate(act, q)
    at = (act, q) if own else (standard(act, q), 1.0)
    parts = [kernel_drop(*at, float(g)) for g in gap.ravel()]
    unit = 1.0 / size / size if own else 1.0
    scale = unit * end.share**2 / end.length
    value = scale * np.array([p.value for p in parts]).reshape(gap.shape)
    error = scale * np.array([p.error for p in parts]).reshape(gap.shape)
    error += np.abs(value) * (2.0 * end.relative + 4.0 * EPS) + (gap > 0.0) * 5e-324
    status = np.array([int(p.status) for p in parts], dtype=np.int8).reshape(gap.shape)
    return _shaped(value, error, status)


def kernel_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    r"""K(1) - K(c) at equal variance q, with relative accuracy; `gap` is 1 - c."""
    if gap == 0.0:
        return Estimate(0.0, 0.0, Status.OK)
    closed = phi.closed_forms.difference
    if closed is not None and gap <= 1.0:
        twice = float(closed(*(np.array(x) for x in (q, q, 0.0, gap))))
        if np.isfinite(twice):
            return Estimate(0.5 * twice, CLOSED_ERROR * 0.5 * abs(twice) + 5e-324, Status.OK)
    if gap > 0.3:  # nothing cancels any more
        return _plain_drop(phi, q, gap)
    if not phi.kinks and phi.closed_forms.derivative_kernel is None:
        by_series = _series_drop(phi, q, gap)
        # a slope narrower than all nodes leaves no coefficient at all
        if by_series.value > 0.0 and by_series.error <= 1e-12 * by_series.value:
            return by_series
    t = np.sqrt(gap)
    previous = np.inf
    plain = Estimate(0.0, np.inf, Status.INEXACT)
    for n in (4, 8, 16, 32, 64):
        x, w = np.polynomial.legendre.leggauss(n)
        nodes = 0.5 * t * (x + 1.0)
        values = [slope_at(phi, q, float(s * s)) for s in nodes]
        weights = t * w * nodes * q  # dc = 2 s ds, ds = t / 2 dx
        value = float(np.dot(weights, [v.value for v in values]))
        error = float(np.dot(weights, [v.error for v in values]))
        change = abs(value - previous)  # bounds the error of the finer of the two rules
        if 0.0 < change <= max(1e-13 * abs(value), error):  # nothing left but noise
            break
        if n >= 16 and 0.0 < change <= 1e-10 * abs(value):
            break
        if n == 8:  # R is steep: then the plain difference may lose less
            plain = _plain_drop(phi, q, gap)
        if n >= 8 and plain.error < change:
            return plain
        previous = value
    error = error + change + 4.0 * EPS * abs(value)
    return plain if plain.error < error else Estimate(value, error, Status.OK)


def _plain_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    """K(1) - K(c) as it stands."""
    top, rest = moments(phi).square(q), kernel(phi, q, q, 1.0 - gap)
    slope = abs(slope_at(phi, q, gap).value) * q * EPS  # c is rounded
    error = top.error + rest.error + slope
    return Estimate(top.value - rest.value, error, max(top.status, rest.status))


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
    if not is_moderate(phi, q1, q2):
        return _unscaled(phi, q1, q2, c)
    return bivariate(
        phi.value, phi.value, q1, q2, c, breakpoints_f=phi.kinks, breakpoints_g=phi.kinks
    )


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
        k = _between(standard(phi, q1), standard(phi, q2), c)
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
            density = np.exp(-0.5 * form) / (2.0 * np.pi * np.sqrt(q1) * np.sqrt(q2) * np.sqrt(s2))
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
    return np.maximum(np.abs(value), np.sqrt(np.abs(square(q1) * square(q2))))


def _shaped(value: Array, error: Array, status: Any) -> Estimate:
    if np.ndim(value):
        return Estimate(value, error, status)
    return Estimate(float(value), float(error), Status(int(status)))
