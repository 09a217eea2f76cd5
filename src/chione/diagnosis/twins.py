"""The infinite-width value of each observable, and what a finite width can add to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from chione.base import Array
from chione.simulation import NAMES, SimulationResult
from chione.simulation.observables import FLAT
from chione.theory.depth.densities import (
    activation_shares,
    gradient_shares,
    preactivation_shares,
)
from chione.theory.depth.infinite_width import InfiniteWidth

# Second-order effects of fluctuations are of the size of their relative variance. Seen on nine
# activations, both weight laws, widths 30 and 100, depth 10 and 1500 networks each: at most 0.35
# of it for gradients, 0.1 (ntk), 0.55 (correlations, error products), 1.6 (angles), 4 (saturation).
_BIAS_PER_VARIANCE = {
    "lengths": 0.2,
    "activation_lengths": 0.2,
    "angles": 2.5,
    "saturation": 5.0,
    "effective_rank": 3.0,
}
_OTHERWISE = 1.0
_UNKNOWN_BIAS = 30.0  # times the first two where the four-point theory does not hold
_VERTEX = 3.0  # relative corrections to n Var q, in units of the sum of 1 / width; seen: 1
_QUANTILES = 200_001
_COUNTS = 20.0  # fewer expected in a bin of one network: Student's law does not hold

#: Theory, known shift of order 1/n, and a bound on what finite width can do beyond it.
Twin = tuple[Array, Array, Array]


def _allow(result: SimulationResult, name: str, scale: Array) -> Array:
    """Size of second-order effects of the fluctuations that were seen."""
    per_variance = _BIAS_PER_VARIANCE.get(name, _OTHERWISE)
    return np.asarray(per_variance * result.variance[name] / np.abs(scale))


def _positive(
    value: Callable[[InfiniteWidth], Array], name: str
) -> Callable[[InfiniteWidth, SimulationResult], Twin]:
    """Twin of an observable whose scale is its own value."""

    def twin(limit: InfiniteWidth, result: SimulationResult) -> Twin:
        theory = value(limit)
        return theory, np.zeros_like(theory), _allow(result, name, theory)

    return twin


def theory_of(limit: InfiniteWidth, result: SimulationResult, name: str) -> Array:
    """The infinite-width value of an observable alone."""
    return TWINS[name](limit, result)[0]


def _bias_is_known(limit: InfiniteWidth) -> bool:
    """Whether the four-point theory holds: for Gaussian and for orthogonal weights."""
    return limit.network.weights in ("gaussian", "orthogonal")


def _relative_variance(limit: InfiniteWidth) -> Array:
    """Largest relative variance of a layer's kernel over the inputs; NaN above 1/2, (L, 1).

    Beyond that the expansion in 1/n says nothing, as for exp or x^3 in narrow networks.
    """
    worst = np.abs(limit.kernel_variance() / limit.q**2).max(axis=1, keepdims=True)
    return np.where(worst > 0.5, np.nan, worst)


def _next_order(theory: Array, bias: Array) -> Array:
    """Room for the order 1/n^2; NaN where the first order is so large that no order helps."""
    return np.where(np.abs(bias) > 0.5 * np.abs(theory), np.nan, 0.5 * np.abs(bias))


def _lengths(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    bias = limit.length_bias() if _bias_is_known(limit) else np.zeros_like(limit.q)
    allowance = _allow(result, "lengths", limit.q) + _next_order(limit.q, bias)
    if not _bias_is_known(limit):
        allowance *= _UNKNOWN_BIAS
    allowance[0] = 0.0  # the first layer's mean is exact under every law
    return limit.q, bias, allowance


def _activation_lengths(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    theory, bias = limit.square, _activation_bias(limit)
    allowance = _allow(result, "activation_lengths", theory) + _next_order(theory, bias)
    if not _bias_is_known(limit):
        allowance *= _UNKNOWN_BIAS
    return theory, bias, allowance


def _activation_bias(limit: InfiniteWidth) -> Array:
    return limit.activation_bias() if _bias_is_known(limit) else np.zeros_like(limit.square)


def _correlations(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    c = limit.c
    shape = (1.0 - np.abs(c)) * _relative_variance(limit)  # lengths fluctuate beneath the angles
    allowance = _allow(result, "correlations", 1.0 - np.abs(c)) + shape
    return c, np.zeros_like(c), allowance + 1e-12


def _one_minus_c(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    x = 1.0 - limit.c
    scale = np.minimum(x, 2.0 - x)
    allowance = _allow(result, "one_minus_correlations", scale) + scale * _relative_variance(limit)
    return x, np.zeros_like(x), allowance + 1e-12  # theory carries c here, which rounds at 1


def _angles(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    angle = np.arccos(limit.c)
    scale = np.minimum(angle, np.pi - angle)
    allowance = _allow(result, "angles", scale) + scale * _relative_variance(limit)
    return angle, np.zeros_like(angle), allowance + 2e-6  # arccos loses half the digits near 1


def _saturation(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    z = ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    phi = limit.network.activation
    share = np.array(
        [[np.mean(np.abs(phi.derivative(np.sqrt(q) * z)) < FLAT) for q in row] for row in limit.q]
    )
    scale = np.minimum(share, 1.0 - share) + 1.0 / _QUANTILES
    return share, np.zeros_like(share), _allow(result, "saturation", scale) + 8.0 / _QUANTILES


def _effective_rank(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    g = limit.gram()
    rank = np.trace(g, axis1=1, axis2=2) ** 2 / np.sum(g**2, axis=(1, 2))
    # B noisy vectors in n dimensions: sum of squares of the Gram matrix grows by (1 + rank) / n
    noise = 1.5 * rank * (1.0 + rank) * _order_one_over_n(limit)[:, 0]
    noise += 2.0 * rank * _relative_variance(limit)[:, 0]  # inputs of unequal lengths
    return rank, np.zeros_like(rank), _allow(result, "effective_rank", rank) + noise


def _error_products(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    products = limit.backward(limit.cross_slope)
    norms = limit.backward(limit.slope)
    scale = np.sqrt(np.array([norms[:, i] * norms[:, j] for i, j in limit.pairs]).T)
    allowance = _allow(result, "error_products", scale)
    return products, np.zeros_like(products), allowance


def _weight_gradients(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    first = np.diagonal(limit.input_gram)[None]
    errors = limit.backward(limit.slope)
    theory = errors * np.vstack([first, limit.square[:-1]])
    bias = errors * np.vstack([0.0 * first, _activation_bias(limit)[:-1]])
    allowance = _allow(result, "weight_gradients", theory) + _next_order(theory, bias)
    if not _bias_is_known(limit):
        allowance *= _UNKNOWN_BIAS
    return theory, bias, allowance


def _order_one_over_n(limit: InfiniteWidth) -> Array:
    """Sum of 1 / width over the layers up to each, (L, 1)."""
    return np.asarray(np.cumsum(1.0 / np.array(limit.network.widths[1:]))[:, None])


def fluctuations(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    """Width times the variance of q over networks, 2 q^2 + V."""
    widths = np.array(limit.network.widths[1:], np.float64)[:, None]
    theory = widths * limit.kernel_variance() + 2.0 * limit.q**2
    relative = _VERTEX * _order_one_over_n(limit) + 0.0 * _relative_variance(limit)  # NaN stays
    return theory, np.zeros_like(theory), relative * np.abs(theory)


def _four_point(limit: InfiniteWidth, result: SimulationResult) -> Twin:
    widths = np.array(limit.network.widths[1:], np.float64)[:, None]
    vertex = widths * limit.kernel_variance()
    scale = np.abs(vertex) + 2.0 * limit.q**2
    relative = _VERTEX * _order_one_over_n(limit) + 0.0 * _relative_variance(limit)  # NaN stays
    return vertex, np.zeros_like(vertex), relative * scale


def _histogram(
    name: str, shares: Callable[[InfiniteWidth, Array], Array]
) -> Callable[[InfiniteWidth, SimulationResult], Twin]:
    """Twin of a histogram; bins in which few values are expected are not compared (NaN)."""

    def twin(limit: InfiniteWidth, result: SimulationResult) -> Twin:
        edges = result.edges[name]
        share = shares(limit, edges)
        theory = share / np.diff(edges, axis=1)
        units = np.array(limit.network.widths[1:])[:, None] * len(result.input_gram)
        # a mixture of laws of fluctuating scale: the density moves by the relative variance of it
        spread = 3.0 * _relative_variance(limit)
        if limit.network.weights not in ("gaussian", "orthogonal"):
            spread = spread + 3.0 / np.array(limit.network.widths[:-1])[:, None]  # kurtosis of sums
        if name == "gradient_histogram":  # layers above add their fluctuations
            spread = spread + 3.0 * _order_one_over_n(limit)[-1]
        allowance = spread * np.nan_to_num(theory).max(axis=1, keepdims=True)
        allowance = np.where(share * units < _COUNTS, np.nan, allowance)
        return theory, np.zeros_like(theory), allowance

    return twin


TWINS: dict[str, Callable[[InfiniteWidth, SimulationResult], Twin]] = {
    "lengths": _lengths,
    "activation_lengths": _activation_lengths,
    "correlations": _correlations,
    "one_minus_correlations": _one_minus_c,
    "angles": _angles,
    "saturation": _saturation,
    "effective_rank": _effective_rank,
    "gradients": _positive(lambda t: t.backward(t.slope), "gradients"),
    "error_products": _error_products,
    "weight_gradients": _weight_gradients,
    "ntk": _positive(InfiniteWidth.tangent_kernel, "ntk"),
    "fluctuations": fluctuations,
    "four_point": _four_point,
    "preactivation_histogram": _histogram("preactivation_histogram", preactivation_shares),
    "activation_histogram": _histogram("activation_histogram", activation_shares),
    "gradient_histogram": _histogram("gradient_histogram", gradient_shares),
}

assert set(TWINS) == set(NAMES), "every observable has its theory twin"
