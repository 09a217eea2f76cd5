"""One weight matrix whose sizes are known: what a sampler draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chione.base import checks

Weights = Literal["gaussian", "orthogonal", "uniform", "truncated", "delta"]
WEIGHT_LAWS: tuple[str, ...] = ("gaussian", "orthogonal", "uniform", "truncated", "delta")


@dataclass(frozen=True)
class Matrix:
    r"""Weights and biases of one affine map :math:`h = W x + b`, with their sizes.

    .. math:: E\,W_{ij}^2 = \sigma_w^2 / n_{in}, \qquad b_i \sim N(0, \sigma_b^2)

    Parameters
    ----------
    fan_in, fan_out : int
        Numbers of inputs and outputs, at least 1.
    sigma_w, sigma_b : float
        Standard deviations as above, zero or above.
    weights : {"gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the weights; all have the same second moment. ``orthogonal``: Haar, for unequal
        widths a scaled isometry or co-isometry. ``truncated``: Gaussian cut at two standard
        deviations and rescaled. ``delta``: one entry in each row, of random sign and place.
    """

    fan_in: int
    fan_out: int
    sigma_w: float
    sigma_b: float = 0.0
    weights: Weights = "gaussian"

    def __post_init__(self) -> None:
        checks.integer("fan_in", self.fan_in)
        checks.integer("fan_out", self.fan_out)
        checks.non_negative("sigma_w", self.sigma_w)
        checks.non_negative("sigma_b", self.sigma_b)
        checks.one_of("weights", self.weights, WEIGHT_LAWS)
