"""A multi-layer perceptron as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chione.activations.protocol import AbstractActivation
from chione.base import checks
from chione.networks.layers import WEIGHT_LAWS, AbstractLayer, Dense, Nonlinearity, Weights


@dataclass(frozen=True)
class MLP:
    r"""Fully connected network at initialisation.

    .. math:: h^l = W^l x^{l-1} + b^l, \qquad x^l = \phi(h^l), \qquad l = 1, \dots, L

    Parameters
    ----------
    activation : AbstractActivation
        The activation :math:`\phi` after every affine layer.
    sigma_w, sigma_b : float
        :math:`W_{ij} \sim N(0, \sigma_w^2 / n_{in})`, :math:`b_i \sim N(0, \sigma_b^2)`.
    depth : int
        Number L of affine layers, at least 1.
    width : int or sequence of int
        Number of units of each of the L layers; one number means the same for all.
    weights : {"gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the weights, see :class:`~chione.networks.layers.Dense`.
    input_width : int, optional
        Size of the input; the first width by default.
    """

    activation: AbstractActivation
    sigma_w: float
    sigma_b: float = 0.0
    depth: int = 50
    width: int | tuple[int, ...] = 512
    weights: Weights = "gaussian"
    input_width: int | None = None

    def __post_init__(self) -> None:
        checks.non_negative("sigma_w", self.sigma_w)
        checks.non_negative("sigma_b", self.sigma_b)
        checks.integer("depth", self.depth)
        checks.one_of("weights", self.weights, WEIGHT_LAWS)
        if isinstance(self.width, Sequence):
            object.__setattr__(self, "width", tuple(int(n) for n in self.width))
        if isinstance(self.width, tuple) and len(self.width) != self.depth:
            raise ValueError(
                f"width must be one number or one for each of the {self.depth} layers, "
                f"but it has {len(self.width)} entries."
            )
        # not over self.widths: a network of 10^9 equal layers is described in no time
        given = self.width if isinstance(self.width, tuple) else (self.width,)
        for n in given if self.input_width is None else (self.input_width, *given):
            checks.integer("width", n)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of the input and of each layer: L + 1 numbers."""
        hidden = self.width if isinstance(self.width, tuple) else (self.width,) * self.depth
        first = hidden[0] if self.input_width is None else self.input_width
        return (first, *hidden)

    @property
    def layers(self) -> tuple[AbstractLayer, ...]:
        """The layers in order of execution: dense, activation, dense, activation, ..."""
        out: list[AbstractLayer] = []
        for fan_in, fan_out in zip(self.widths[:-1], self.widths[1:], strict=True):
            dense = Dense(fan_in, fan_out, self.sigma_w, self.sigma_b, self.weights)
            out += [dense, Nonlinearity(self.activation)]
        return tuple(out)
