r"""Fluctuations of the metric of two inputs: its three entries vary together over networks.

With :math:`G = (G_{11}, G_{12}, G_{22})` and A the Jacobian of the map of the three entries:

.. math::
    V^{l+1} = A\,V^l A^T + \sigma_w^4\,\mathrm{Cov}(\phi_a \phi_b,\ \phi_c \phi_d), \qquad
    \mathrm{Cov}\Big[\tfrac1n h_a \cdot h_b,\ \tfrac1n h_c \cdot h_d\Big]
    = \frac{K_{ac} K_{bd} + K_{ad} K_{bc} + V_{ab,cd}}{n}
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import (
    EPS,
    AbstractResult,
    Array,
    ConvergenceError,
    Estimate,
    along,
    checks,
    cost,
    result,
)
from chione.gaussian import bivariate
from chione.theory.depth.finite_width import LAWS
from chione.theory.meanfield.length_map import count, mean_square, sigmas, variances
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import derivative_kernel

PAIRS = ((0, 0), (0, 1), (1, 1))
_LAYER_SECONDS = 0.25  # s a layer: 0.10 (relu) to 0.22 (gelu), 1 for sin(3 x)


@result
class MetricCovariance(AbstractResult):
    """Metric and vertex of two inputs, layer by layer.

    Parameters
    ----------
    activation : str
        Name of the activation.
    metric : Estimate, shape (L, 3)
        K_11, K_12, K_22 at infinite width.
    vertex : Estimate, shape (L, 3, 3)
        V between the entries 11, 12, 22.
    """

    axes = along("layer entry", "metric") | along("layer entry other_entry", "vertex")

    activation: str
    metric: Estimate
    vertex: Estimate

    def covariance(self, width: int) -> Estimate:
        """Covariance over networks of the three entries of a layer's metric, shape (L, 3, 3)."""
        n = checks.integer("width", width)
        value = (np.stack([_wick(k) for k in self.metric.value]) + self.vertex.value) / n
        size = np.max(np.abs(self.metric.value), axis=1) * np.max(self.metric.error, axis=1)
        error = (4.0 * size[:, None, None] + self.vertex.error) / n
        return Estimate(value, error, self.vertex.status)


@cost.ends
@np.errstate(over="ignore", invalid="ignore")  # what leaves float64 is refused below
def metric_covariance(
    phi: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    depth: int = 10,
    weights: str = "gaussian",
    q0: tuple[float, float] = (1.0, 1.0),
    c0: float = 0.5,
) -> MetricCovariance:
    r"""Follow the covariance of the metric's three entries through the layers.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts; it must not jump.
    sigma_w, sigma_b : float
        Standard deviations of weights (times the root of the fan-in) and biases.
    depth : int
        Number of layers L.
    weights : {"gaussian", "orthogonal"}
        Law of the weights.
    q0 : tuple of float
        Mean squares of the two inputs.
    c0 : float
        Their correlation, in [-1, 1].

    Returns
    -------
    MetricCovariance

    Notes
    -----
    :math:`\partial K_{12}' / \partial K_{11} = \tfrac12 \sigma_w^2 E\,\phi''(u_1) \phi(u_2)` is
    taken as :math:`(E\,u_1 \phi'(u_1) \phi(u_2) - K_{12} E\,\phi'(u_1) \phi'(u_2)) / K_{11}`, which
    needs no second derivative. A layer costs some ten two-dimensional integrals.
    """
    act = activation(phi)
    sigma_w, sigma_b = sigmas(sigma_w, sigma_b)
    w2, b2 = variances(sigma_w, sigma_b)
    depth = count("depth", depth)
    checks.one_of("weights", weights, LAWS)
    _check_cost(depth, _LAYER_SECONDS)
    c0 = float(checks.correlation("c0", checks.finite("c0", c0)))
    if moments(act).has_jumps:
        raise ValueError(f"{act} jumps, so the metric has no Jacobian; use a continuous one.")
    if not isinstance(q0, (tuple, list)) or len(q0) != 2:
        raise ValueError(f"q0 must be two mean squares, as in (1.0, 1.0), but it is {q0!r:.60}.")
    q = [mean_square("q0", x) for x in q0]
    inner = np.array([q[0], c0 * math.sqrt(q[0]) * math.sqrt(q[1]), q[1]])
    k = w2 * inner + b2
    v = -_wick(w2 * inner) if weights == "orthogonal" else np.zeros((3, 3))
    k_error, v_error = 2.0 * EPS * np.abs(k), np.zeros((3, 3))
    metrics, vertices = [(k, k_error)], [(v, v_error)]
    began = time.process_time()
    for layer in range(depth - 1):
        if layer == 1:  # a layer of an activation that oscillates takes ten times as long
            _check_cost(depth, time.process_time() - began)
        if not _is_moderate(k, v):
            raise ConvergenceError(
                f"the metric of {act} leaves the range of float64 in layer {len(metrics)}; take "
                "fewer layers, or sigmas at which lengths settle."
            )
        mean, source, jacobian, noise = _layer(act, k)
        a = w2 * jacobian
        kept = _wick(w2 * mean) if weights == "orthogonal" else 0.0
        size = np.abs(a) @ np.abs(v) @ np.abs(a).T + w2**2 * np.abs(source) + np.abs(kept)
        v_error = np.abs(a) @ v_error @ np.abs(a).T + 8.0 * (noise + k_error.max() / k.max()) * (
            size + size.max()
        )
        v = a @ v @ a.T + w2**2 * source - kept
        k_error = np.abs(a) @ k_error + w2 * noise * np.abs(mean).max() + 2.0 * EPS * np.abs(k)
        k = w2 * mean + b2
        metrics.append((k, k_error))
        vertices.append((v, v_error))
    return MetricCovariance(act.name, _stack(metrics), _stack(vertices))


def _check_cost(depth: int, layer: float) -> None:
    layer = max(layer, 1e-3)
    cost.check(
        f"the metric's covariance over {depth:.6g} layers",
        seconds=layer * float(depth),
        fits=f"a depth of {cost.SECONDS * min(cost.allowed(), 1e9) / layer:.0f} fits",
    )


def _is_moderate(k: Array, v: Array) -> bool:
    """Whether fourth powers of lengths are float64 numbers, so that a layer can be computed."""
    return bool(min(k[0], k[2]) > 1e-70 and k.max() < 1e70 and np.abs(v).max() < 1e140)


def _layer(act: AbstractActivation, k: Array) -> tuple[Array, Array, Array, float]:
    """Mean metric, covariance of products, Jacobian (all at sigma_w = 1), relative error."""
    q1, q12, q2 = (float(x) for x in k)
    c = min(1.0, max(-1.0, q12 / (math.sqrt(q1) * math.sqrt(q2))))
    noise = [8.0 * EPS]

    power: list[Callable[[Array], Array]] = [
        np.ones_like,
        act.value,
        lambda h: act.value(h) ** 2,
        lambda h: act.value(h) ** 3,
        lambda h: act.value(h) ** 4,
    ]

    def mean(f: Callable[[Array], Array], g: Callable[[Array], Array]) -> float:
        e = bivariate(f, g, q1, q2, c, breakpoints_f=act.kinks, breakpoints_g=act.kinks)
        positive = f is power[4] or g is power[4]  # E phi^4: what is not even above zero is noise
        if not math.isfinite(e.value) or (positive and e.error > e.value):
            raise ConvergenceError(f"A moment of {act} has no value at lengths {q1:g}, {q2:g}.")
        noise.append(e.error / max(abs(e.value), 1e-3 * q1 * q2))
        return float(e.value)

    # products[i] = E phi(u1)^(4 - i) phi(u2)^i
    products = [mean(power[4 - i], power[i]) for i in range(5)]
    first = np.array([mean(power[2], power[0]), mean(power[1], power[1]), mean(power[0], power[2])])
    source = np.array([[products[i + j] for j in range(3)] for i in range(3)])
    source -= np.outer(first, first)

    def tilted(h: Array) -> Array:
        return h * act.derivative(h)

    turned = derivative_kernel(act, q1, q2, c)
    slope = float(turned.value)
    noise.append(float(turned.error) / max(abs(slope), 1e-300))
    m = moments(act)
    jacobian = np.zeros((3, 3))
    jacobian[0, 0], jacobian[2, 2] = m.slope(q1).value, m.slope(q2).value
    jacobian[1, 1] = slope
    jacobian[1, 0] = 0.5 * (mean(tilted, act.value) - q12 * slope) / q1
    jacobian[1, 2] = 0.5 * (mean(act.value, tilted) - q12 * slope) / q2
    return first, source, jacobian, max(noise)


def _wick(k: Array) -> Array:
    """K_ac K_bd + K_ad K_bc for the pairs ab, cd among 11, 12, 22."""
    full = np.array([[k[0], k[1]], [k[1], k[2]]])
    return np.array(
        [[full[a, c] * full[b, d] + full[a, d] * full[b, c] for c, d in PAIRS] for a, b in PAIRS]
    )


def _stack(rows: list[tuple[Array, Array]]) -> Estimate:
    value, error = np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows])
    return Estimate(value, error, np.zeros(value.shape, dtype=np.int8))
