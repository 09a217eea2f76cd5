"""The layers a network is made of, as plain data."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import Literal

from chione.activations.protocol import AbstractActivation
from chione.base import checks

Weights = Literal["gaussian", "orthogonal", "uniform", "truncated", "delta"]
WEIGHT_LAWS: tuple[str, ...] = ("gaussian", "orthogonal", "uniform", "truncated", "delta")


class AbstractLayer(ABC):  # noqa: B024  a marker: layers are data, without behaviour
    """One step of a network; each kind has its rule in `theory`, its sampler in `simulation`."""


@dataclass(frozen=True)
class Dense(AbstractLayer):
    r"""Affine layer :math:`h = W x + b`.

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


@dataclass(frozen=True)
class Nonlinearity(AbstractLayer):
    """The activation applied to each unit: x = phi(h)."""

    activation: AbstractActivation
