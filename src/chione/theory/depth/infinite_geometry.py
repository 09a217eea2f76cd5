"""The infinite-width geometry of a great circle, for comparison with simulated networks."""

from __future__ import annotations

import math

import numpy as np

from chione.base import Array, Status
from chione.gaussian import Integrator
from chione.networks import MLP
from chione.theory.meanfield.length_map import length_map
from chione.theory.moments.moments import derivative_second_moment


def circle_geometry(network: MLP, *, q0: float = 1.0) -> dict[str, Array]:
    r"""Metric, lengths and curvature of the image of a great circle in layers 1 to L.

    With :math:`g = |v|^2 / N` and :math:`A = |a|^2 / N` of the velocity and the acceleration,

    .. math:: g^{l+1} = \chi_1 g^l, \qquad A^{l+1} = 3 \chi_2 (g^l)^2 + \chi_1 A^l, \qquad
        \chi_1 = \sigma_w^2 E\,\phi'^2, \quad \chi_2 = \sigma_w^2 E\,\phi''^2,

    which is :math:`\kappa'^2 = 3 \chi_2 / \chi_1^2 + \kappa^2 / \chi_1` for
    :math:`\sqrt N \kappa = \sqrt A / g` [1]_.

    Parameters
    ----------
    network : MLP
        The network.
    q0 : float
        Mean square of the inputs.

    Returns
    -------
    dict of str to ndarray, shape (L,)
        The keys of :attr:`chione.simulation.CurveGeometry.mean`. Curvature is NaN where
        :math:`E\,\phi''^2` is infinite, for activations with corners or jumps.

    References
    ----------
    .. [1] B. Poole et al., Exponential expressivity in deep neural networks through transient
       chaos, NeurIPS 2016, eqs. 10-11.
    """
    phi, w2 = network.activation, network.sigma_w * network.sigma_w
    corners = any(phi.jump(order, k) != 0.0 for k in phi.kinks for order in (0, 1))
    bend = Integrator(phi.second_derivative, phi.kinks, power=2)
    q, g, a = w2 * q0 + network.sigma_b * network.sigma_b, w2 * q0, w2 * q0
    rows = []
    for _ in range(network.depth):
        root = math.nan if corners or g <= 0.0 else math.sqrt(a)
        speed = math.sqrt(g) if g >= 0.0 else math.nan
        tangents = 2.0 * math.pi * root / speed if speed > 0.0 else math.nan
        curvature = root / g if g > 0.0 else math.nan
        rows.append((g, 2.0 * math.pi * speed, curvature, tangents))
        slope = derivative_second_moment(phi, q)
        chi_1 = w2 * float(slope.value) if slope.status == Status.OK else math.nan
        chi_2 = math.nan if corners else w2 * float(bend(q).value)
        g, a = chi_1 * g, 3.0 * chi_2 * g * g + chi_1 * a
        q = float(length_map(phi, q, sigma_w=network.sigma_w, sigma_b=network.sigma_b).value)
        if not math.isfinite(q):
            break
    table = np.full((network.depth, 4), np.nan)
    table[: len(rows)] = rows
    names = ("metric", "euclidean_length", "curvature", "grassmannian_length")
    return dict(zip(names, table.T, strict=True))
