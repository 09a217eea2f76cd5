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

from typing import Any

import numpy as np

from chione.activations import activation
from chione.base import Array, ChioneError
from chione.sweeps.plan import READS_SIGMAS, SweepPlan
from chione.theory import derivative_kernel, kernel, phase_diagram

_BISECTIONS = 60  # of correlations in [0, 1]: to rounding


def depth_scales(plan: SweepPlan) -> tuple[Array, Array]:
    """xi_c and xi_chi with axes (activation, dropout, sigma_b, sigma_w).

    NaN where there is none: at criticality, where lengths diverge, and where a scheme draws weights
    by a rule of its own.
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
    xi_chi = np.where(np.isfinite(xi_chi), xi_chi, np.nan)
    if dropout == 0.0:
        return np.asarray(found.xi_c), xi_chi
    q = np.asarray(found.q_star)
    return _with_masks(phi, w[None, :] ** 2, b[:, None] ** 2, q), xi_chi


def _with_masks(phi: Any, w2: Array, b2: Array, q: Array) -> Array:
    """xi_c where two inputs see masks of their own, so that c* < 1 in every phase."""
    out = np.full(q.shape, np.nan)
    inside = np.isfinite(q) & (q > 0.0)
    w2, b2 = (np.broadcast_to(a, q.shape)[inside] for a in (w2, b2))
    lengths = q[inside]
    # C(c) - c is convex, >= 0 at 0 and < 0 at 1: one root, and it is where all inputs end
    low, high = np.zeros(lengths.shape), np.ones(lengths.shape)
    for _ in range(_BISECTIONS):
        c = 0.5 * (low + high)
        beyond = (w2 * kernel(phi, lengths, lengths, c) + b2) / lengths < c
        low, high = np.where(beyond, low, c), np.where(beyond, c, high)
    slope = w2 * derivative_kernel(phi, lengths, lengths, 0.5 * (low + high))
    with np.errstate(divide="ignore", invalid="ignore"):
        xi = -1.0 / np.log(np.abs(slope))
    out[inside] = np.where((slope > 0.0) & (slope < 1.0), xi, np.nan)
    return out
