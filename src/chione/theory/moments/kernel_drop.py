r"""The drop K(1) - K(c) of a kernel below c = 1, with relative accuracy.

By Price's theorem :math:`K(1) - K(c) = q \int_c^1 R\,dc'`, an integral without cancellation.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Estimate, Status
from chione.gaussian import HermiteExpansion, hermite_expansion
from chione.gaussian.panels import NODES, WEIGHTS
from chione.theory.moments.map_drop import plain_drop, quick_drop
from chione.theory.moments.moments import CLOSED_ERROR, moments
from chione.theory.moments.near_drop import near_drop
from chione.theory.moments.pair_kernels import kernel, slope_at

N_HERMITE = 320
_GOOD = 1e-10  # relative error at which a plain difference needs no better rule
_PARTS = ("value", "error")
_SHORT = 1e-8  # a step below c = 1 over which R is a straight line for all but narrow features


def kernel_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    r"""K(1) - K(c) at equal variance q, with relative accuracy; `gap` is 1 - c."""
    if gap == 0.0:
        return Estimate(0.0, 0.0, Status.OK)
    closed = phi.closed_forms.difference
    if closed is not None and gap <= 1.0:
        twice = float(closed(*(np.array(x) for x in (q, q, 0.0, gap))))
        if np.isfinite(twice):
            return Estimate(0.5 * twice, CLOSED_ERROR * 0.5 * abs(twice) + 5e-324, Status.OK)
    if gap > 0.3:  # nothing cancels any more, unless a constant outweighs the rest of phi
        plain = plain_drop(phi, q, gap)
        if plain.error <= 1e-12 * plain.value or not _is_mostly_constant(phi, q):
            return plain
        other = _drop_by_rules(phi, q, gap, plain.error) if phi.kinks else _series_drop(phi, q, gap)
        beyond = abs(other.value - plain.value) > other.error + plain.error
        return plain if beyond or not other.error < plain.error else other
    if phi.closed_forms.derivative_kernel is None:
        near = near_drop(phi, q, gap)
        if near is not None:
            return near
    if not phi.kinks and phi.closed_forms.derivative_kernel is None:
        by_series = _series_drop(phi, q, gap)
        # a slope narrower than all nodes leaves no coefficient at all
        if by_series.value > 0.0 and by_series.error <= 1e-12 * by_series.value:
            return by_series
    if phi.closed_forms.near_slope is not None:
        return _graded_drop(phi, q, gap)
    if gap <= _SHORT and not phi.kinks:
        pinched = _pinched_drop(phi, q, gap)
        if pinched.error <= 1e-11 * pinched.value:
            return pinched
    # R may be narrower next to c = 1 than any rule resolves: the plain difference is the judge
    plain = plain_drop(phi, q, gap)
    if plain.error <= 1e-11 * plain.value:
        return plain
    found = _drop_by_rules(phi, q, gap, plain.error)
    beyond = abs(found.value - plain.value) > found.error + plain.error
    return plain if beyond or plain.error < found.error else found


def _pinched_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    r"""The integral of R between two bounds, next to c = 1.

    All derivatives of :math:`R = \sum_k d_k^2 c^k` are positive on [0, 1], so that its mean over
    [c, 1] lies between its value in the middle and the mean of those at the ends.
    """
    top = moments(phi).derivative_square(q)
    low, middle = slope_at(phi, q, gap), slope_at(phi, q, 0.5 * gap)
    ends = 0.5 * (top.value + low.value)
    error = 0.5 * abs(ends - middle.value) + max(0.5 * (top.error + low.error), middle.error)
    value = 0.5 * (ends + middle.value)
    status = max(top.status, low.status, middle.status)
    return Estimate(q * gap * value, q * gap * (error + 4.0 * EPS * abs(value)), status)


def _is_mostly_constant(phi: AbstractActivation, q: float) -> bool:
    """Whether the mean of phi makes up most of its mean square, so that both kernels hold it."""
    m = moments(phi)
    return bool(m.mean(q).value ** 2 > 0.9 * m.square(q).value)


def _drop_by_rules(phi: AbstractActivation, q: float, gap: float, enough: float) -> Estimate:
    r"""The integral of R in the angle, by rules that double until two of them agree.

    .. math:: K(1) - K(\cos\theta) = q \int_0^\theta R\,\sin\theta'\,d\theta'

    No constant in phi is left in R. What kinks and jumps make of R at both ends, roots and poles
    of :math:`1 - c^2`, is smooth in the angle.
    """
    t = 2.0 * float(np.arcsin(np.sqrt(0.5 * gap)))
    previous = np.inf
    value = error = change = 0.0
    for n in (4, 8, 16, 32, 64):
        x, w = np.polynomial.legendre.leggauss(n)
        nodes = 0.5 * t * (x + 1.0)
        drops, plus = 2.0 * np.sin(0.5 * nodes) ** 2, 2.0 * np.cos(0.5 * nodes) ** 2  # 1 - c, 1 + c
        values = [slope_at(phi, q, float(a), float(b)) for a, b in zip(drops, plus, strict=True)]
        weights = 0.5 * t * w * np.sin(nodes) * q
        value = float(np.dot(weights, [v.value for v in values]))
        error = float(np.dot(weights, [v.error for v in values]))
        change = abs(value - previous)  # bounds the error of the finer of the two rules
        seen = value != 0.0  # else R may hide between the nodes
        if seen and change <= max(1e-13 * abs(value), error):  # nothing left but noise
            break
        if n >= 8 and seen and change <= 1e-10 * abs(value):
            break
        if n >= 8 and enough < change and enough < _GOOD * abs(value):  # the judge will do
            break
        previous = value
    return Estimate(value, error + change + 4.0 * EPS * abs(value), Status.OK)


def _graded_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    """The same from a closed form of R on panels graded towards c = 1."""
    form = phi.closed_forms.near_slope
    assert form is not None
    ends = np.sqrt(gap) * 2.0 ** -np.arange(41.0)
    edges = np.append(ends, 0.0)
    half = 0.5 * (edges[:-1] - edges[1:])[:, None]
    s = 0.5 * (edges[:-1] + edges[1:])[:, None] + half * NODES
    r = np.asarray(form(np.full_like(s, q), np.full_like(s, q), s * s, 2.0 - s * s))
    value = float(np.sum(2.0 * q * s * half * WEIGHTS * r))
    return Estimate(value, (CLOSED_ERROR + 16.0 * EPS) * abs(value), Status.OK)


@lru_cache(maxsize=512)
def slope_expansion(phi: AbstractActivation, q: float) -> HermiteExpansion:
    """Hermite coefficients of phi' at variance q."""
    return hermite_expansion(phi.derivative, q, N_HERMITE, breakpoints=phi.kinks)


def drop_for_curves(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    """K(1) - K(c) to about 1e-11 relative at a few evaluations: enough for a curve.

    The error is that of the rule that was used; where no rule follows the activation it is as
    large as the value itself.
    """
    if phi.closed_forms.derivative_kernel is None and gap > 0.0:
        sharp = quick_drop(phi, q, gap)
        if sharp is not None:
            return sharp
    # a slope that is not square integrable leaves no other way, whatever the gap
    singular = phi.kinks and moments(phi).derivative_square(q).status == Status.INFINITE
    singular = singular and not moments(phi).has_jumps
    sampled = phi.closed_forms.derivative_kernel is None and phi.kinks and gap > 1e-4
    if singular or (sampled and not _is_mostly_constant(phi, q)):
        top, rest = moments(phi).square(q), kernel(phi, q, q, 1.0 - gap)
        return Estimate(float(top.value - rest.value), float(top.error + rest.error), Status.OK)
    if phi.kinks and gap <= 1e-4:  # sqrt(gap) is so short that five nodes are exact
        x, w = np.polynomial.legendre.leggauss(5)
        t = np.sqrt(gap)
        nodes = 0.5 * t * (x + 1.0)
        found = [slope_at(phi, q, float(s * s)) for s in nodes]
        weights = t * w * nodes * q
        value, error = (float(np.dot(weights, [getattr(e, k) for e in found])) for k in _PARTS)
        return Estimate(value, error, Status.OK)
    return kernel_drop(phi, q, gap)


def _series_drop(phi: AbstractActivation, q: float, gap: float) -> Estimate:
    r"""K(1) - K(c) from the Hermite coefficients d_k of phi'.

    .. math:: K(1) - K(c) = q \sum_k d_k^2 \int_c^1 c'^k dc' = q \sum_k d_k^2
       \frac{1 - c^{k+1}}{k + 1}, \qquad \text{truncated part} \le q\,(1 - c) \sum_{k \ge n} d_k^2
    """
    series = slope_expansion(phi, q)
    k = np.arange(1.0, len(series) + 1.0)
    if gap < 0.5:
        shares = -np.expm1(k * np.log1p(-gap)) / k
    else:
        shares = (1.0 - (1.0 - gap) ** k) / k
    d = series.coefficients
    value = q * float(d**2 @ shares)
    tail = max(series.tail.value, 0.0) + series.tail.error
    error = q * (float((2.0 * np.abs(d) * series.error) @ shares) + gap * tail)
    error += abs(value) * (8.0 * EPS + 2.0 * phi.derivative_error)
    return Estimate(value, error, Status.OK)
