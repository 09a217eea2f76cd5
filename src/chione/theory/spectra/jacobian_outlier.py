r"""Eigenvalues of finite networks above the bulk, along the direction of the input.

The bulk law takes the weights to be free of the diagonals D. They are not quite: given the past,

.. math:: W^l = \frac{(h^l - b^l)\, x^{l-1\,T}}{|x^{l-1}|^2} + W^l_\perp

with :math:`W^l_\perp` independent of :math:`h^l`. The first term has rank one in each layer. With
the deterministic equivalents of the bulk on both sides of every layer, an outlier at
:math:`\lambda = z(w)` is a non-zero solution of a chain of L equations for the amplitudes
:math:`\beta_l` (forward, along x) and :math:`\gamma_l` (backward, along h):

.. math::
    \rho \gamma_l &= \frac{w}{E x^2} [C \tilde\beta_l + B g_{l+1}], \qquad
    \beta_{l+1} = \frac{w}{E x^2} [\tfrac1w A g_{l+1} + B \tilde\beta_l], \\
    g_l &= \gamma_l - \beta_l, \qquad \tilde\beta_l = \beta_l - \kappa \gamma_l, \qquad
    \beta_1 = \tfrac{M}{P} \gamma_1, \qquad g_{L+1} = 0, \\
    A &= E \frac{t x^2}{w - t}, \quad B = E \frac{\phi' x \bar h}{w - t}, \quad
    C = E \frac{t \bar h^2}{w - t}, \quad \bar h = h - b

where :math:`\rho = \sigma_w^2 w M`, :math:`\kappa = 0` for Gaussian weights and
:math:`\rho = \sigma_w^2 w M / P`, :math:`\kappa = M / P` for orthogonal ones. For one Gaussian
layer without biases this is :math:`E[t (h^2/q - 1) / (w - t)] = 1`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from chione.activations.protocol import AbstractActivation
from chione.base import Array
from chione.gaussian import gaussian_nodes
from chione.theory.spectra.jacobian_bands import bands, product_atoms
from chione.theory.spectra.jacobian_equation import MasterEquation

_SCAN = 1200  # radii beyond the edge at which the sign of the condition is looked at
_NEAREST = 1e-6  # distance from the edge, relative, below which an outlier is not told apart
_FARTHEST = 1e3  # distance in units of (edge times depth)


@dataclass(frozen=True)
class Outlier:
    """One eigenvalue of J J^T above the bulk.

    Parameters
    ----------
    log_lambda : float
        Its natural logarithm.
    log_edge : float
        The upper edge of the bulk.
    """

    log_lambda: float
    log_edge: float

    @property
    def eigenvalue(self) -> float:
        """The squared singular value."""
        return float(np.exp(self.log_lambda))

    @property
    def singular_value(self) -> float:
        """The singular value."""
        return float(np.exp(0.5 * self.log_lambda))


@dataclass(frozen=True)
class _Chain:
    """The condition for an outlier as a function of log w beyond the bulk."""

    eq: MasterEquation
    t: Array
    weights: Array  # (3, n): of A, B, C at the nodes
    second: float  # E x^2

    def __call__(self, log_w: Array) -> Array:
        w = np.exp(log_w)
        r = self.eq.law.resolvent(w.astype(complex))
        m, p = r.m.real, r.p.real
        a, b, c = self.weights @ (1.0 / (w[:, None] - self.t)).T
        rho = np.exp(self.eq.log_gain) * w * m
        kappa = np.zeros_like(w)
        if not self.eq.gaussian:
            rho, kappa = rho / p, m / p
        scale = w / self.second
        # One step (beta, gamma)_l -> (beta, gamma)_{l+1}, times B, which keeps zeros apart.
        g = np.stack([-c, rho / scale + kappa * c], axis=-1)  # B g_{l+1} by (beta, gamma)
        tilde = np.stack([np.ones_like(w), -kappa], axis=-1)
        beta = scale[:, None] * ((a / w)[:, None] * g + (b * b)[:, None] * tilde)
        step = np.stack([beta, beta + g], axis=-2)
        step /= np.max(abs(step), axis=(-2, -1), keepdims=True)
        vector = np.stack([m / p, np.ones_like(w)], axis=-1)[..., None]
        vector = _power(step, self.eq.depth - 1) @ vector
        vector /= np.max(abs(vector), axis=(-2, -1), keepdims=True)
        return np.asarray((g[:, None, :] @ vector)[:, 0, 0])


def _power(step: Array, n: int) -> Array:
    """Matrix power up to a positive factor, which would overflow at a million layers."""
    out = np.broadcast_to(np.eye(2), step.shape).copy()
    base = step.copy()
    while n:
        if n & 1:
            out = out @ base
            out /= np.max(abs(out), axis=(-2, -1), keepdims=True)
        base = base @ base
        base /= np.max(abs(base), axis=(-2, -1), keepdims=True)
        n >>= 1
    return out


def outliers(
    eq: MasterEquation, phi: AbstractActivation, q: float, sigma_b: float
) -> tuple[Outlier, ...]:
    """Outliers above the upper edge, largest first; none where the bulk has no upper edge.

    Where sigma_b is NaN it is taken to be what makes q the fixed point.
    """
    found = bands(eq)
    if not found or np.isinf(found[-1].log_r[1]):
        return ()
    h, weight = gaussian_nodes(q, breakpoints=tuple(phi.kinks), functions=(phi.derivative,))
    x, slope = phi.value(h), phi.derivative(h)
    second = float(weight @ (x * x))
    signal = float(np.exp(eq.log_gain)) * second  # mean square of h - b
    if signal > q * (1.0 + 1e-9) or (signal < q * (1.0 - 1e-9) and sigma_b == 0.0):
        return ()  # q is no fixed point for any (this) sigma_b: successive layers differ
    share = min(signal / q, 1.0)
    t = slope * slope
    bar, bar2 = share * h, (share * h) ** 2 + signal * (1.0 - share)
    chain = _Chain(eq, t, weight * np.stack([t * x * x, slope * x * bar, t * bar2]), second)
    edge = found[-1].log_r[1]
    top = max(found[-1].log_lambda[1], *(place for place, _ in product_atoms(eq)), -np.inf)
    far = np.log1p(np.geomspace(_NEAREST, _FARTHEST * eq.depth, _SCAN))
    log_w = edge + far
    value = chain(log_w)
    out = []
    for i in np.nonzero(value[1:] * value[:-1] < 0.0)[0]:
        root = brentq(lambda u: float(chain(np.array([u]))[0]), log_w[i], log_w[i + 1], xtol=1e-14)
        log_lambda = float(eq.at(np.array([root + 0j])).log_z.real[0])
        if log_lambda > top + _NEAREST:
            out.append(Outlier(log_lambda, top))
    return tuple(sorted(out, key=lambda o: -o.log_lambda))
