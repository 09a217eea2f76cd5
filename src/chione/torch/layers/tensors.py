"""Typed tensors of a traced layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Spread:
    """Standard deviation (population) and mean square of the entries of a tensor."""

    std: float
    mean_square: float


def spread(tensor: torch.Tensor) -> Spread:
    """Both in float64, without a copy of the tensor."""
    x = tensor.detach()
    n = max(x.numel(), 1)
    square, mean = _by_rows(x) or (
        float(torch.linalg.vector_norm(x, dtype=torch.float64)) ** 2 / n,
        float(x.sum(dtype=torch.float64)) / n,
    )
    return Spread(math.sqrt(max(square - mean * mean, 0.0)), square)


def _by_rows(x: torch.Tensor) -> tuple[float, float] | None:
    """Mean square and mean of a large float32 matrix: rows in float32, their sum in float64.

    Several times as fast, and right to 1e-7; None where squares might leave the range of float32,
    and for short rows (the kernels of a convolution), for which it is slower.
    """
    if x.dtype != torch.float32 or x.dim() < 2 or x.numel() < _LARGE:
        return None
    if not _ROW <= x.shape[-1] <= _LARGE:
        return None
    square = float(torch.linalg.vector_norm(x, dim=-1).double().square().mean()) / x.shape[-1]
    if not _SAFE < square < 1.0 / _SAFE:
        return None
    return square, float(x.sum(dim=-1).double().mean()) / x.shape[-1]


_ROW = 64
_LARGE = 1 << 16
_SAFE = 1e-20  # float32 squares from 1e-38 to 3e38


@dataclass(frozen=True)
class Weight:
    """Tensors of an affine map as it was executed.

    Parameters
    ----------
    weight, bias : Tensor or None
        As the operation received them.
    fan_in : float
        Products in one output.
    coverage : float
        Fraction of those products that exist: below 1 for a convolution with zero padding.
    parameter : str or None
        Full name of the parameter behind the weight; None if the weight is computed.
    bias_parameter : str or None
        Full name of the parameter behind the bias.
    transposed : bool
        Whether the input axis of the parameter comes first.
    groups, stride
        Of a convolution.
    operation : str
        Name of the operation, for the reader.
    centred : bool
        Whether the taps of a convolution stand about the output, as in ``networks``.
    padding : tuple of int
        Zeros that a convolution puts before each axis.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    fan_in: float
    coverage: float = 1.0
    parameter: str | None = None
    bias_parameter: str | None = None
    transposed: bool = False
    groups: int = 1
    stride: int | tuple[int, ...] = 1
    operation: str = "linear"
    centred: bool = True
    padding: tuple[int, ...] = ()

    @cached_property
    def spread(self) -> Spread:
        """Standard deviation and mean square of the weights."""
        return spread(self.weight)

    @cached_property
    def bias_spread(self) -> Spread:
        """The same of the biases; zero without any."""
        return Spread(0.0, 0.0) if self.bias is None else spread(self.bias)

    @property
    def sigma_w2(self) -> float:
        """n_in <W^2>."""
        return self.fan_in * self.spread.mean_square

    @property
    def sigma_w(self) -> float:
        """Its root; infinite or NaN weights count as zero here, and are told elsewhere."""
        return finite_root(self.sigma_w2)

    @property
    def sigma_b(self) -> float:
        """The root of <b^2>, likewise."""
        return finite_root(self.bias_spread.mean_square)


@dataclass(frozen=True)
class Affine:
    """Gain and shift of a normalisation, and the name of the parameter behind the gain.

    `offset` is what is added to the parameter: 1 where the gain is 1 + w.
    """

    gain: torch.Tensor | None
    shift: torch.Tensor | None
    parameter: str | None = None
    offset: float = 0.0


@dataclass(frozen=True, eq=False)
class Weighing:
    """How queries and keys of an attention gave its weights.

    Parameters
    ----------
    size, value_size : int
        Channels of a head, of queries and keys and of values.
    scale : float
        Factor on their products.
    bias : Tensor, shape (inputs, heads, queries, keys)
        What was added to the scores, for the inputs that theory looks at; axes of one entry hold
        for all.
    keep : float
        Of the dropout of weights.
    turned : tuple of two Tensors or None
        Angles of rotary positions, of queries and of keys.
    key_groups, value_groups : int
        Heads of queries for each one of keys and of values.
    """

    size: int
    value_size: int
    scale: float
    bias: torch.Tensor
    keep: float = 1.0
    turned: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)
    key_groups: int = 1
    value_groups: int = 1


@dataclass(frozen=True)
class Heads:
    """Parameters of an attention with its own projections.

    Names of the weights and biases, and the first projection of the inputs with its bias; the
    projections of queries, keys and values, that of the output, and how scores become weights,
    where theory can follow.
    """

    inputs: tuple[str, ...]
    output: str
    biases: tuple[str, ...]
    weight: torch.Tensor
    bias: torch.Tensor | None
    projections: tuple[torch.Tensor, ...] = ()
    out_weight: torch.Tensor | None = None
    out_bias: torch.Tensor | None = None
    weighing: Weighing | None = None


@dataclass(frozen=True)
class Table:
    """The rows of an embedding."""

    weight: torch.Tensor


def root_mean_square(tensor: torch.Tensor | None, default: float) -> float:
    """The root of the mean square; `default` where there is no tensor."""
    return default if tensor is None else finite_root(spread(tensor).mean_square)


def finite_root(square: float) -> float:
    """The root, 0 where there is no finite one."""
    return math.sqrt(square) if 0.0 <= square < math.inf else 0.0


def is_isometry(weight: torch.Tensor) -> bool:
    """Whether W W^T (or W^T W) is a multiple of the identity to one percent."""
    w = weight.detach().double()
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    scale = torch.diagonal(gram).mean()
    error = torch.linalg.norm(gram - scale * torch.eye(gram.shape[0]).to(gram))
    return bool(error <= 0.01 * scale * math.sqrt(gram.shape[0]))
