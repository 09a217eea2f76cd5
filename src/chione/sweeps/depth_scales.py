r"""The depth scales of theory that a sweep is held against, with dropout where there is some.

Dropout that keeps units with probability p multiplies them by :math:`1/p`, each input by a mask of
its own [1]_:

.. math:: q^* = \frac{\sigma_w^2}{p} E\,\phi(\sqrt{q^*} z)^2 + \sigma_b^2, \qquad
   c^* q^* = \sigma_w^2 E\,\phi(u_1) \phi(u_2) + \sigma_b^2

.. math:: \xi_c = \frac{-1}{\log\, \sigma_w^2 E\,\phi'(u_1^*) \phi'(u_2^*)}, \qquad
   \xi_\chi = \frac{1}{|\log \chi_\perp|}, \quad
   \chi_\perp = \frac{\sigma_w^2}{p} E\,\phi'(\sqrt{q^*} z)^2

References
----------
.. [1] S. S. Schoenholz, J. Gilmer, S. Ganguli and J. Sohl-Dickstein, "Deep information
   propagation", ICLR 2017, section 5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq

from chione.activations import AbstractActivation, activation
from chione.base import Array, ChioneError
from chione.sweeps.axes import READS_SIGMAS
from chione.sweeps.plan import SweepPlan
from chione.theory import kernel_map, phase_diagram
from chione.theory.moments.compiled_kernel import angle

_START = 1e-3  # of what masks add: the gap is never below it


def depth_scales(plan: SweepPlan) -> tuple[Array, Array]:
    """xi_c and xi_chi with axes (activation, dropout, sigma_b, sigma_w).

    xi_chi is infinite where chi_perp is 1; NaN where there is none, and where a
    scheme draws weights by a rule of its own.
    """
    shape = (len(plan.activation), len(plan.dropout), len(plan.sigma_b), len(plan.sigma_w))
    xi_c, xi_chi = np.full(shape, np.nan), np.full(shape, np.nan)
    if READS_SIGMAS in plan.scheme:
        for i, name in enumerate(plan.activation):
            for j, dropout in enumerate(plan.dropout):
                found = scales_over(name, plan.sigma_w, plan.sigma_b, dropout=dropout)
                xi_c[i, j], xi_chi[i, j] = found
    return xi_c, xi_chi


def scales_over(
    name: str, sigma_w: Any, sigma_b: Any, *, dropout: float = 0.0
) -> tuple[Array, Array]:
    """xi_c and xi_chi, each of shape (sigma_b, sigma_w), of one activation."""
    phi, keep = activation(name), 1.0 - dropout
    w, b = np.asarray(sigma_w, dtype=float), np.asarray(sigma_b, dtype=float)
    try:
        found = phase_diagram(phi, sigma_w=w / np.sqrt(keep), sigma_b=b)
    except ChioneError:  # an activation without moments has no theory, but can be trained
        nothing = np.full((b.size, w.size), np.nan)
        return nothing, nothing.copy()
    with np.errstate(divide="ignore", invalid="ignore"):
        xi_chi = 1.0 / np.abs(np.log(np.asarray(found.chi_perp)))
    if dropout == 0.0:
        return np.asarray(found.xi_c), xi_chi
    q = np.asarray(found.q_star)
    out = np.full(q.shape, np.nan)
    for place in np.argwhere(np.isfinite(q) & (q > 0.0)):
        i, j = place
        out[i, j] = _with_masks(phi, float(w[j] ** 2), float(b[i] ** 2), float(q[i, j]), keep)
    return out, xi_chi


def _with_masks(phi: AbstractActivation, w2: float, b2: float, q: float, keep: float) -> float:
    """xi_c where two inputs see masks of their own, so that c* < 1 in every phase.

    With R the kernel of the slopes and A its average over [c, 1],
    1 - C = (1 - p) (1 - sigma_b^2 / q) + sigma_w^2 A(c) (1 - c).
    """
    try:
        compiled = kernel_map(phi, q)
    except ChioneError:
        return math.nan
    added = (1.0 - keep) * (1.0 - b2 / q)

    def excess(gap: float) -> float:
        return added + w2 * float(compiled.average(angle(gap))) * gap - gap

    # C is convex where it rises from C(0) >= 0, so the gap 1 - c* is the one root below 1
    low, high = added * _START, 1.0
    if not excess(low) > 0.0 or not excess(high) <= 0.0:
        return math.nan  # phi = 0 on average and no bias: inputs end orthogonal, c* = 0
    gap = float(brentq(excess, low, high, xtol=1e-300, rtol=1e-13))
    slope = abs(w2 * float(compiled.slope(angle(gap))))
    return -1.0 / math.log(slope) if 0.0 < slope < 1.0 else math.nan
