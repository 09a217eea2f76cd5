"""Standard errors that theory expects, where those estimated from few networks cannot be trusted.

A handful of networks can miss a rare event, or agree by chance, and then claims an error of zero;
under heavy tails (exp) no sample shows its own error. The leading order of the theory puts a floor
below such claims.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import Array
from chione.diagnosis.twins import fluctuations, theory_of
from chione.simulation import SimulationResult
from chione.theory.depth.infinite_width import InfiniteWidth

# Honest estimates from 10 or more networks almost never fall below half of the true error, so
# half of the expected one leaves z-scores alone and catches samples that say nothing.
_FLOOR = 0.5


def error_floor(limit: InfiniteWidth, result: SimulationResult, name: str) -> Any:
    """Smallest standard error of the mean of `name` that is believed; of its shape, or 0.

    Infinite where the moments behind it overflow: then no number of networks shows the mean.
    """
    count = result.n_networks
    if name in ("fluctuations", "four_point"):
        # the error of a variance is small when the variance came out small: use the theory's
        return np.abs(fluctuations(limit, result)[0]) * np.sqrt(2.0 / max(count - 1, 1))
    deviation = _deviation(limit, result, name)
    return _FLOOR * np.nan_to_num(deviation, nan=np.inf, posinf=np.inf) / np.sqrt(count)


def _deviation(limit: InfiniteWidth, result: SimulationResult, name: str) -> Any:
    """Standard deviation over networks to leading order in 1 / width."""
    n = _widths(limit)
    if name == "lengths":
        return np.sqrt(np.maximum(2.0 * limit.q**2 / n + limit.kernel_variance(), 0.0))
    if name == "activation_lengths":
        return np.sqrt(np.maximum(limit.square_variance(), 0.0))
    if name in ("correlations", "one_minus_correlations", "angles"):
        return _turning(limit, name)
    theory = np.abs(theory_of(limit, result, name))
    if name == "saturation":
        return np.sqrt(theory * (1.0 - theory) / n)
    if name in ("gradients", "ntk"):
        spread = np.sqrt(_gradient_variance(limit))
        return theory * (spread.max() if name == "ntk" else spread)
    if name == "weight_gradients":  # the layer's inputs fluctuate besides
        inputs = limit.square_variance() / limit.square**2
        inputs = np.vstack([np.zeros((1, inputs.shape[1])), inputs[:-1]])
        return theory * np.sqrt(_gradient_variance(limit) + np.maximum(inputs, 0.0))
    if name == "error_products":
        spread = np.sqrt(_gradient_variance(limit))
        i, j = [a for a, _ in limit.pairs], [b for _, b in limit.pairs]
        norms = limit.backward(limit.slope)
        return np.sqrt(norms[:, i] * norms[:, j]) * np.sqrt(spread[:, i] * spread[:, j])
    return 0.0


def _widths(limit: InfiniteWidth) -> Array:
    return np.array(limit.network.widths[1:], np.float64)[:, None]


def _turning(limit: InfiniteWidth, name: str) -> Array:
    """Deviation of a cosine of n units, (1 - c^2) / sqrt n, of the narrowest layer so far."""
    narrowest = np.minimum.accumulate(_widths(limit))
    square = (1.0 - limit.c) * (1.0 + limit.c)
    deviation = (np.sqrt(square) if name == "angles" else square) / np.sqrt(narrowest)
    if limit.network.weights == "orthogonal" and limit.network.sigma_b == 0.0:
        deviation[0] = 0.0  # an isometry keeps angles
    return np.asarray(deviation)


def _gradient_variance(limit: InfiniteWidth) -> Array:
    r"""Relative variance of :math:`d^l`, the sum over layers m >= l of what each adds, (L, B).

    .. math:: \frac{1}{n_m} \left(\frac{3 E\,\phi'^4}{(E\,\phi'^2)^2} - 1\right)
    """
    mean_square = limit.slope / limit.network.sigma_w / limit.network.sigma_w
    ratio = limit.slope_fourth / mean_square**2
    if limit.network.weights == "orthogonal":  # an isometry adds no variance of its own
        added = (ratio - 1.0) / _widths(limit)
    else:
        added = (3.0 * ratio - 1.0) / _widths(limit)
    added = np.vstack([added[:-1], np.zeros((1, added.shape[1]))])
    return np.asarray(np.cumsum(np.maximum(added, 0.0)[::-1], axis=0)[::-1])
