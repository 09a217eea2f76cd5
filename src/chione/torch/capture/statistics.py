r"""What is measured on a tensor: mean, mean square, correlation between the inputs of a batch.

B inputs, N units (all axes but the batch axis, flattened).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

_SMALL = 10_000  # entries of a tensor that nobody waits for
_LOWEST, _HIGHEST = 1e-20, 1e20  # squares of rows that float32 holds with all its digits


@dataclass(frozen=True)
class Moments:
    r"""Statistics of one tensor over a batch.

    Parameters
    ----------
    mean, mean_square : float
        Over inputs and units.
    one_minus_c : float
        Mean over pairs of different inputs of :math:`1 - c_{ab}`,
        :math:`c_{ab} = h_a \cdot h_b / |h_a| |h_b|`; NaN for one input or where a signal is zero.
    finite : bool
        Whether all entries are finite numbers.
    """

    mean: float
    mean_square: float
    one_minus_c: float
    finite: bool = True

    @property
    def correlation(self) -> float:
        """Mean correlation over pairs of different inputs."""
        return 1.0 - self.one_minus_c


def by_input(tensor: torch.Tensor, batch: int) -> torch.Tensor | None:
    """The tensor as (B, N), or None if no axis can be told to be the batch.

    The batch is the first axis; where that does not fit, the second (sequence first), or the first
    axis is a flattened (B * T).
    """
    shape = tensor.shape
    if tensor.dim() == 0 or tensor.numel() == 0:
        return None
    if shape[0] == batch:
        return tensor.reshape(batch, -1)
    if tensor.dim() > 1 and shape[1] == batch:
        return tensor.transpose(0, 1).reshape(batch, -1)
    if shape[0] % batch == 0:
        return tensor.reshape(batch, -1)
    return None


def lazy_moments(tensor: torch.Tensor, batch: int) -> torch.Tensor:
    """The numbers of :class:`Moments` as one tensor of 4, without waiting for the device.

    Entries: scale, mean / scale, mean square / scale^2, one_minus_c. The largest entry is divided
    out first, since h = 1e-20 squares to zero in float32.
    """
    x = tensor.detach()
    if x.dtype not in (torch.float32, torch.float64):
        x = x.float()
    rows = by_input(x, batch)
    scale = x.abs().amax() if x.numel() else x.new_zeros(())
    y = (x if rows is None else rows) / scale.clamp_min(torch.finfo(x.dtype).tiny)
    if rows is None or batch < 2:
        square, one_minus_c = (y * y).mean(), scale.new_full((), math.nan)
    else:
        norms = torch.linalg.vector_norm(y, dim=1, keepdim=True)  # (B, 1)
        square = (norms * norms).mean() / y.shape[1]
        u = y / norms
        # sum over pairs of |u_a - u_b|^2 / 2 = B * sum_a |u_a - mean|^2 / 2: exact near c = 1.
        deviation = torch.linalg.vector_norm(u - u.mean(dim=0))
        one_minus_c = deviation * deviation / (batch - 1)
    return torch.stack([scale, y.mean(), square, one_minus_c]).double()


def moments(numbers: list[float]) -> Moments:
    """Turn the four numbers of :func:`lazy_moments` into statistics."""
    scale, mean, square, one_minus_c = numbers
    if not math.isfinite(scale):
        return Moments(math.nan, math.nan, math.nan, finite=False)
    return Moments(mean * scale, square * scale * scale, one_minus_c)


def mean_square(tensor: torch.Tensor) -> torch.Tensor:
    """Mean of the squares in float64 as a 0-d tensor, without underflow in low precision."""
    x = tensor.detach()
    if x.dtype == torch.float32 and x.dim() > 1 and x.shape[-1] <= _SMALL < x.numel():
        # rows in float32 and their sum in float64: right to 1e-7 where squares stay in range
        quick: torch.Tensor = torch.linalg.vector_norm(x, dim=-1).double().square().mean()
        if _LOWEST < float(quick) < _HIGHEST:
            return quick / x.shape[-1]
    norm = torch.linalg.vector_norm(x, dtype=torch.float64)
    out: torch.Tensor = norm * norm / max(tensor.numel(), 1)
    return out
