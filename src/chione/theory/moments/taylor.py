r"""What an activation does next to zero, on each side, and what that makes of small lengths.

.. math:: \phi(h) = \alpha_0 + \alpha_1 h + \alpha_2 h^2 + \alpha_3 h^3 + \dots \quad (h > 0),
   \qquad \phi(-t) = \beta_0 + \beta_1 t + \beta_2 t^2 + \beta_3 t^3 + \dots \quad (t > 0)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from chione.activations import AbstractActivation
from chione.base import EPS, Array, Estimate
from chione.base import chebyshev as kit

_ROOT = float(np.sqrt(2.0 / np.pi))  # E|z|, and half of E|z|^3
_NOTHING = 1e-250  # the sides of zero are 1e-300 away from it, and leave such remainders
_KINK = 1e-13
_STEEP = 1e30  # next to zero an infinite slope shows as 1e100 and more
_DEGREE = 20
_LOG_STEP = 0.3  # half-width in log q of the fit that is differentiated
_LOG_DEGREE = 16  # a Gaussian mean is analytic for |Im log q| < pi / 2: 10^-16 at this degree


@dataclass(frozen=True)
class Origin:
    r"""One-sided Taylor coefficients at zero.

    Parameters
    ----------
    right, left : ndarray, shape (4,)
        :math:`\alpha_k` and :math:`\beta_k` as above; the left ones in powers of :math:`|h|`.
    error : ndarray, shape (4,)
        Absolute error of each coefficient.
    """

    right: Array
    left: Array
    error: Array

    @property
    def is_zero(self) -> bool:
        """Whether phi(0) = 0 from both sides."""
        return bool(max(abs(self.right[0]), abs(self.left[0])) <= self.error[0])

    @property
    def has_slope(self) -> bool:
        """Whether the slope at zero is finite and not zero on both sides together."""
        slope = max(abs(self.right[1]), abs(self.left[1]))
        return bool(8.0 * self.error[1] < slope < _STEEP)

    @np.errstate(over="ignore", invalid="ignore")  # slopes such as that of |x|^(1/2) are infinite
    def small_lengths(self) -> tuple[Estimate, Estimate, Estimate, Estimate]:
        r"""Coefficients of the two moments at small q, where phi(0) = 0.

        .. math:: E\,\phi^2 = v_2 q + v_3 q^{3/2} + v_4 q^2 + \dots, \qquad
           E\,\phi'^2 = v_2 + v_3 q^{1/2} + w_2 q + \dots

        Returns
        -------
        v2, v3, v4, w2 : Estimate
        """
        v2 = v3 = v4 = w2 = 0.0
        e2 = e3 = e4 = f2 = 0.0
        _, d1, d2, d3 = self.error
        for a in (self.right, self.left):
            s, c, d = (float(x) for x in a[1:])
            v2 += 0.5 * s * s
            v3 += 2.0 * _ROOT * s * c
            v4 += 1.5 * (c * c + 2.0 * s * d)
            w2 += 2.0 * c * c + 3.0 * s * d
            e2 += abs(s) * d1
            e3 += 2.0 * _ROOT * (abs(s) * d2 + abs(c) * d1)
            e4 += 3.0 * (abs(c) * d2 + abs(s) * d3 + abs(d) * d1)
            f2 += 4.0 * abs(c) * d2 + 3.0 * (abs(s) * d3 + abs(d) * d1)
        return Estimate(v2, e2), Estimate(v3, e3), Estimate(v4, e4), Estimate(w2, f2)


def origin(phi: AbstractActivation) -> Origin:
    """Taylor data of an activation at zero.

    Value and two derivatives are the activation's own, next to zero on each side; the third is
    the slope of a Chebyshev fit of the second derivative over a short one-sided interval.
    """
    right, left, error = np.zeros(4), np.zeros(4), np.zeros(4)
    for order, f in enumerate((phi.value, phi.derivative, phi.second_derivative)):
        low, high = phi.one_sided(order, 0.0)
        if order == 0 and phi.jump(0, 0.0) == 0.0:
            low = high = float(f(np.zeros(1))[0])
        right[order], left[order] = high, low * (-1.0) ** order
        size = max(abs(high), abs(low))
        typical = float(np.max(np.abs(f(np.linspace(-1.0, 1.0, 40)))))  # 0 is not among them
        own = phi.derivative_error if order else 0.0
        if order and 0.0 in phi.kinks:
            own += _KINK  # the place of a user's kink is known to some 1e-10 only
        error[order] = 4.0 * EPS * size + (own + 4.0 * EPS) * typical + _NOTHING
    third_right, e_right = _slope_at_zero(phi.second_derivative, _reach(phi, 1.0))
    third_left, e_left = _slope_at_zero(phi.second_derivative, -_reach(phi, -1.0))
    right[2:] = right[2] / 2.0, third_right / 6.0
    left[2:] = left[2] / 2.0, -third_left / 6.0
    error[2] /= 2.0
    error[3] = (max(e_right, e_left) + phi.derivative_error) / 6.0
    return Origin(right, left, error)


def _reach(phi: AbstractActivation, side: float) -> float:
    """Length of the interval on one side of zero that holds no kink."""
    beyond = [abs(k) for k in phi.kinks if k * side > 0.0]
    return 0.5 * min([1.0, *beyond])


def _slope_at_zero(f: Callable[[Array], Array], reach: float) -> tuple[float, float]:
    """One-sided derivative of f at zero and its error; shrinks the interval until f is resolved."""
    nodes = kit.nodes(_DEGREE + 1)
    for _ in range(40):
        values = f(0.5 * reach * (nodes + 1.0))
        coefficients = kit.fit_matrix(_DEGREE + 1) @ values
        scale = float(np.max(np.abs(values)))
        tail = float(np.max(np.abs(coefficients[-3:])))
        if tail <= 8.0 * EPS * scale:
            break
        reach *= 0.5
    slope = float(chebyshev.chebval(-1.0, chebyshev.chebder(coefficients))) * 2.0 / reach
    # a coefficient k counts k^2 times in the derivative at an end
    error = (tail + EPS * scale) * _DEGREE**2 * 2.0 / abs(reach)
    return (0.0, error) if abs(slope) <= error else (slope, error)


def slope_in_q(f: Callable[[Array], Estimate], q: float) -> Estimate:
    """Derivative with respect to q of a Gaussian mean such as E phi^2, at q > 0.

    Parameters
    ----------
    f : callable
        Array of variances (n,) -> Estimate of shape (n,).
    q : float
        Variance, above zero.
    """
    nodes = kit.nodes(_LOG_DEGREE + 1)
    e: Any = f(q * np.exp(_LOG_STEP * nodes))
    values = np.asarray(e.value, dtype=np.float64)
    coefficients = kit.fit_matrix(_LOG_DEGREE + 1) @ values
    slope = float(chebyshev.chebval(0.0, chebyshev.chebder(coefficients)))
    noise = float(np.max(np.asarray(e.error))) + 4.0 * EPS * float(np.max(np.abs(values)))
    missed = float(kit.left_out(coefficients))
    scale = 1.0 / (_LOG_STEP * q)
    error = (_LOG_DEGREE * (noise + missed)) * scale
    return Estimate(slope * scale, error, max(np.max(np.asarray(e.status)), 0))
