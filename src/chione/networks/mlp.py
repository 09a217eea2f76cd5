"""A multi-layer perceptron as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import checks
from chione.networks.layers import WEIGHT_LAWS, AbstractLayer, Dense, Nonlinearity, Weights

_LARGEST = 2**53  # the largest count that every float64 formula still holds exactly


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
        Law of the weights, see :class:`~chione.networks.layers.Dense`.
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
        depth = _count("depth", self.depth)
        checks.one_of("weights", self.weights, WEIGHT_LAWS)
        resolved: dict[str, Any] = {
            "activation": activation(self.activation),
            "sigma_w": checks.non_negative("sigma_w", self.sigma_w),
            "sigma_b": checks.non_negative("sigma_b", self.sigma_b),
            "depth": depth,
            "width": _widths(self.width, depth),
        }
        if self.input_width is not None:
            resolved["input_width"] = _count("input_width", self.input_width)
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
    def layers(self) -> tuple[AbstractLayer, ...]:
        """The layers in order of execution: dense, activation, dense, activation, ..."""
        out: list[AbstractLayer] = []
        for fan_in, fan_out in zip(self.widths[:-1], self.widths[1:], strict=True):
            dense = Dense(fan_in, fan_out, self.sigma_w, self.sigma_b, self.weights)
            out += [dense, Nonlinearity(self.activation)]
        return tuple(out)


def as_network(x: Any) -> MLP:
    """`x` if it is a network; everything else is refused, with what to write instead.

    Raises
    ------
    TypeError
        If it is none.
    """
    if isinstance(x, MLP):
        return x
    raise TypeError(
        f"network must be a chione.MLP, but it is of type {type(x).__name__}; describe it as "
        f"chione.MLP('tanh', sigma_w=1.5, sigma_b=0.1, depth=50, width=512)."
    )


def _count(name: str, x: Any) -> int:
    """An integer from 1 to 2^53."""
    n = checks.integer(name, x)
    if n > _LARGEST:
        raise ValueError(f"{name} must be at most 2^53, but it is {n}; choose a smaller one.")
    return n


def _widths(width: Any, depth: int) -> int | tuple[int, ...]:
    """One width, or a tuple of one for each layer."""
    if isinstance(width, np.ndarray):
        width = width.tolist()
    if isinstance(width, str) or not isinstance(width, Iterable):
        return _count("width", width)
    widths = tuple(_count("width", n) for n in width)
    if len(widths) != depth:
        raise ValueError(
            f"width must be one number or one for each of the {depth} layers, "
            f"but it has {len(widths)} entries."
        )
    return widths
