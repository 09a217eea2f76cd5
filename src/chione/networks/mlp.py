"""A multi-layer perceptron as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import checks
from chione.networks.dense import Dense
from chione.networks.input import Gram, Input
from chione.networks.layer import AbstractLayer, count
from chione.networks.matrix import WEIGHT_LAWS, Matrix, Weights
from chione.networks.network import Network
from chione.networks.nonlinearity import Nonlinearity
from chione.networks.repeat import Repeat


@dataclass(frozen=True)
class MLP:
    r"""Fully connected network at initialisation.

    .. math:: h^l = W^l x^{l-1} + b^l, \qquad x^l = \phi(h^l), \qquad l = 1, \dots, L

    Parameters
    ----------
    activation : activation
        The activation :math:`\phi` after every affine layer: anything
        :func:`chione.activation` accepts. The field holds what it stands for.
    sigma_w, sigma_b : float
        :math:`W_{ij} \sim N(0, \sigma_w^2 / n_{in})`, :math:`b_i \sim N(0, \sigma_b^2)`.
    depth : int
        Number L of affine layers, at least 1.
    width : int or iterable of int
        Number of units of each of the L layers; one number means the same for all.
    weights : {"gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the weights, see :class:`~chione.networks.Dense`.
    input_width : int, optional
        Size of the input; the first width by default.

    Raises
    ------
    SpecError
        If the activation cannot be understood.
    TypeError, ValueError
        If a number is not as described, which is said by its name.

    Examples
    --------
    >>> MLP("tanh", 1.5, 0.1, depth=3, width=10).widths
    (10, 10, 10, 10)
    """

    activation: AbstractActivation
    sigma_w: float
    sigma_b: float = 0.0
    depth: int = 50
    width: int | tuple[int, ...] = 512
    weights: Weights = "gaussian"
    input_width: int | None = None

    if TYPE_CHECKING:  # what may be written is wider than what the field holds

        def __init__(
            self,
            activation: ActivationLike,
            sigma_w: float,
            sigma_b: float = 0.0,
            depth: int = 50,
            width: int | Iterable[int] = 512,
            weights: Weights = "gaussian",
            input_width: int | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        depth = count("depth", self.depth)
        checks.one_of("weights", self.weights, WEIGHT_LAWS)
        resolved: dict[str, Any] = {
            "activation": activation(self.activation),
            "sigma_w": checks.non_negative("sigma_w", self.sigma_w),
            "sigma_b": checks.non_negative("sigma_b", self.sigma_b),
            "depth": depth,
            "width": _widths(self.width, depth),
        }
        if self.input_width is not None:
            resolved["input_width"] = count("input_width", self.input_width)
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of the input and of each layer: L + 1 numbers."""
        hidden = self.width if isinstance(self.width, tuple) else (self.width,) * self.depth
        first = hidden[0] if self.input_width is None else self.input_width
        return (first, *hidden)

    @property
    def first_width(self) -> int:
        """Units of the first layer."""
        return self.width[0] if isinstance(self.width, tuple) else self.width

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The L weight matrices in order."""
        sizes = list(zip(self.widths[:-1], self.widths[1:], strict=True))
        known = {  # a deep network has few sizes
            (n, m): Matrix(n, m, self.sigma_w, self.sigma_b, self.weights) for n, m in set(sizes)
        }
        return tuple(known[size] for size in sizes)

    @property
    def layers(self) -> tuple[AbstractLayer, ...]:
        """The layers in order of execution: dense, activation, dense, activation, ..."""
        act = Nonlinearity(self.activation)
        affine = (Dense(self.sigma_w, self.sigma_b, n, self.weights) for n in self.widths[1:])
        return tuple(layer for dense in affine for layer in (dense, act))

    def network(self, inputs: Gram | None = None) -> Network:
        """The same as a tree of layers, for inputs of these second moments; equal ones repeat."""
        first = self.first_width if self.input_width is None else self.input_width
        given = Input(first) if inputs is None else Input(first, inputs=inputs)
        if isinstance(self.width, tuple) and len(set(self.width)) > 1:
            return Network(self.layers, given)
        dense = Dense(self.sigma_w, self.sigma_b, self.first_width, self.weights)
        return Network((Repeat(self.depth, (dense, Nonlinearity(self.activation))),), given)


def _widths(width: Any, depth: int) -> int | tuple[int, ...]:
    """One width, or a tuple of one for each layer."""
    if isinstance(width, np.ndarray):
        width = width.tolist()
    if isinstance(width, str) or not isinstance(width, Iterable):
        return count("width", width)
    widths = tuple(count("width", n) for n in width)
    if len(widths) != depth:
        raise ValueError(
            f"width must be one number or one for each of the {depth} layers, "
            f"but it has {len(widths)} entries."
        )
    return widths
