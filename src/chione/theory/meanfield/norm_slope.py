r"""Slope of the norm at 1: whether weights of mean zero keep the second moment stable.

.. math:: E\,\phi(X)^2 \text{ under } X \to (1 + \epsilon) X
"""

from __future__ import annotations

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, Estimate, Status, checks, cost, missing
from chione.gaussian import hermite_expansion
from chione.theory.moments.moments import moments
from chione.theory.moments.standard_activation import is_moderate, standard, value_size


def normalized_slope(phi: ActivationLike) -> Estimate:
    r"""Slope of the second-moment map of the normalised activation at q = 1.

    .. math:: \frac{1}{E\,\phi^2} \frac{d}{dq} E\,\phi(\sqrt q X)^2 \Big|_{q=1}
       = \tfrac12 \left(\frac{E\,\phi^2 X^2}{E\,\phi^2} - 1\right) \ge -\tfrac12
    """
    m = moments(_own_size(activation(phi)))
    s, d = m.square(1.0), m.slope(1.0)
    if not s.value > 0.0:
        return Estimate(float("nan"), float("nan"), Status.UNDEFINED)
    value = d.value / s.value
    error = (d.error + abs(value) * s.error) / s.value + EPS * abs(value)
    return Estimate(value, error, max(s.status, d.status))


def _own_size(act: AbstractActivation) -> AbstractActivation:
    """The activation, divided by its size where its square leaves float64: no slope sees that."""
    fits = is_moderate(act, 1.0) or not np.isfinite(value_size(act, 1.0))
    return act if fits else standard(act, 1.0)


def first_order_slope(phi: ActivationLike, *, terms: int = 400) -> Estimate:
    r"""The same slope from Hermite coefficients: the corrected first-order formula.

    With :math:`\phi = \sum_n c_n He_n`:

    .. math:: \sum_n n!\,n\,c_n^2 + \sum_n n!\,(n+1)(n+2)\,c_n c_{n+2},
       \qquad \text{divided by } \sum_n n!\,c_n^2

    so :math:`E\,\phi((1 + \epsilon) X)^2` changes by twice that, times epsilon. A common misprint
    has 4 in place of 2 in front of the second sum.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    terms : int
        Number of coefficients.

    Returns
    -------
    Estimate
        The error is three times the change over the last half of the terms: at kinks the sums
        converge slowly.
    """
    act, n = activation(phi), checks.integer("terms", terms, minimum=8)
    cost.check(
        f"{n:.6g} Hermite coefficients" if n < 10**300 else "so many Hermite coefficients",
        seconds=1e-9 * float(min(n, 10**150)) ** 2,
        gigabytes=2e-6 * float(min(n, 10**150)),
        fits="some ten thousand fit",
    )
    act = _own_size(act)
    e = hermite_expansion(act.value, 1.0, n, breakpoints=act.kinks)
    c, k = e.coefficients, np.arange(n)
    parts = k * c**2  # orthonormal coefficients: c_n sqrt(n!)
    parts[:-2] += c[:-2] * c[2:] * np.sqrt((k[:-2] + 1.0) * (k[:-2] + 2.0))
    sums = np.cumsum(parts[:-2])
    square = moments(act).square(1.0).value
    if not square > 0.0:
        return missing(Status.UNDEFINED)
    # even and odd coefficients alternate, so the mean of two neighbouring sums is smoother
    smooth_sums = 0.5 * (sums[1:] + sums[:-1])
    change = np.abs(smooth_sums[len(smooth_sums) // 2 :] - smooth_sums[-1]).max()
    error = (3.0 * change + float(np.abs(c) @ (k * e.error)) * 4.0) / square
    return Estimate(float(smooth_sums[-1] / square), float(error + 4.0 * EPS))
