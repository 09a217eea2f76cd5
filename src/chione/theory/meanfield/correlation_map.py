r"""The correlation map of two lengths, and its accurate form next to c = 1.

.. math:: C(c) = \frac{\sigma_w^2 K(q_1, q_2, c) + \sigma_b^2}{\sqrt{V(q_1) V(q_2)}}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, Array, Estimate, Status, checks, cost, missing
from chione.theory.moments.compiled_kernel import angle, compiles_at_rounding, kernel_map
from chione.theory.moments.kernel_drop import kernel_drop
from chione.theory.moments.moments import CLOSED_ERROR, moments
from chione.theory.moments.pair_arrays import MANY
from chione.theory.moments.pair_kernels import between, each, kernel, shaped
from chione.theory.moments.standard_activation import is_moderate, standard, value_size

_PLAIN = 1e-12  # relative error of a drop that needs no better rule
_VERY_MANY = 1000  # drops that cost what a map of double integrals does


@cost.ends
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
        return shaped(nan, nan, np.full(np.shape(c), status, dtype=np.int8))
    k = _own_kernel(act, (q1, q2), c)
    relative = sum(e.relative for e in ends) + 4.0 * EPS
    weight = ends[0].share * ends[1].share
    value = (weight * np.asarray(k.value) + ends[0].bias * ends[1].bias) / norm
    error = weight * np.asarray(k.error) / norm + np.abs(value) * relative
    return shaped(value, error, k.status)


@cost.ends
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
        return shaped(nan, nan, np.full(gap.shape, status, dtype=np.int8))
    size, own = value_size(act, q), is_moderate(act, q)
    at = (act, q) if own else (standard(act, q), 1.0)
    drops, errors, status = _drops(*at, gap)
    unit = 1.0 / size / size if own else 1.0
    scale = unit * end.share**2 / end.length
    value, error = scale * drops, scale * errors
    error += np.abs(value) * (2.0 * end.relative + 4.0 * EPS) + (gap > 0.0) * 5e-324
    return shaped(value, error, status)


def _drops(phi: AbstractActivation, q: float, gap: Array) -> tuple[Array, Array, NDArray[np.int8]]:
    """K(1) - K(c) at each 1 - c, its error and its status: by one compiled map where many."""
    shape, gap = gap.shape, gap.ravel()
    value, error = np.zeros(gap.shape), np.zeros(gap.shape)
    status = np.zeros(gap.shape, dtype=np.int8)
    left = np.ones(gap.shape, dtype=bool)
    closed = phi.closed_forms.difference
    if gap.size >= MANY and closed is not None:
        same = np.full(gap.shape, q)
        with np.errstate(all="ignore"):
            found = 0.5 * np.asarray(closed(same, same, np.zeros(gap.shape), gap))
        left = (gap > 1.0) | (gap == 0.0) | ~np.isfinite(found)
        value[~left] = found[~left]
        error[~left] = CLOSED_ERROR * np.abs(found[~left]) + 5e-324
        far = np.flatnonzero(gap > 1.0)  # nothing cancels there
        top, k = moments(phi).square(q), kernel(phi, q, q, 1.0 - gap[far])
        plain, off = top.value - k.value, top.error + k.error
        good = (k.status == Status.OK) & (off <= _PLAIN * np.abs(plain))
        value[far[good]], error[far[good]], left[far[good]] = plain[good], off[good], False
    elif _compiles(phi, q, gap.size):
        compiled, steep = kernel_map(phi, q), moments(phi).derivative_square(q)
        value = q * gap * compiled.average(angle(gap))
        error = q * gap * compiled.error * float(steep.value) + 4.0 * EPS * np.abs(value)
        left[:] = False
    for i in np.flatnonzero(left):
        one = kernel_drop(phi, q, float(gap[i]))
        value[i], error[i], status[i] = one.value, one.error, int(one.status)
    return value.reshape(shape), error.reshape(shape), status.reshape(shape)


def _compiles(phi: AbstractActivation, q: float, n: int) -> bool:
    """Whether n drops cost more than the compiled map, and it has their digits."""
    if n < MANY or moments(phi).has_jumps:
        return False
    if compiles_at_rounding(phi, q):
        return True
    return n >= _VERY_MANY and kernel_map(phi, q).error <= _PLAIN


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
    return each(phi, None, lambda _, a, b, x: between(one, two, x), 1.0, 1.0, c, "auto")
