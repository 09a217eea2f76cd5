r"""Second moments of a real tensor over a few inputs and positions: what a walk starts from.

.. math:: K_{at, bs} = \frac1N \sum_i x_i(a, t)\,x_i(b, s)

Four inputs of the batch, spread over it. Of up to eight positions of an image, or 32 tokens, all
are taken; of more tokens four, the first and the last among them, which stand for themselves alone,
since answers may be read there; and of a larger image a lattice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from chione.base import Array
from chione.torch.capture import lattice
from chione.torch.capture.statistics import Moments, lazy_moments, moments
from chione.torch.layers.heads import HEADS

_INPUTS = 4
_WHOLE = 8  # positions up to which all are taken: 32 sites, 528 pairs
_SEQUENCE = 32  # tokens up to which all are taken
_TOKENS = 4  # positions of a longer sequence

Taken = Literal["all", "some", "lattice", "mean"]


@dataclass(frozen=True)
class Arrangement:
    """Which axes of a tensor are inputs, positions and channels.

    Parameters
    ----------
    inputs : int
        Inputs that are looked at.
    grid : tuple of int
        Extents of the positions.
    width : int
        Number of channels.
    """

    inputs: int
    grid: tuple[int, ...]
    width: int

    @property
    def positions(self) -> int:
        """Number of positions."""
        return math.prod(self.grid)

    def place(self, position: int) -> int | None:
        """Where a position stands in a sample of tokens; None if it does not by itself."""
        if self.positions <= _SEQUENCE:
            return position
        return {0: 0, self.positions - 1: _TOKENS - 1}.get(position)

    def taken(self, axes: str) -> Taken:
        """Which positions a sample has."""
        if axes == "first":
            whole = self.positions <= _WHOLE or lattice.is_whole(self.grid)
            return "all" if whole else "lattice"
        return "all" if self.positions <= _SEQUENCE else "some"


@lru_cache(maxsize=1024)
def arranged(shape: tuple[int, ...], axes: str, batch: int) -> Arrangement | None:
    """The arrangement of a tensor of that shape; None if no axis can be told to be the batch."""
    if len(shape) < 2 or not axes or 0 in shape:
        return None
    inputs = min(batch, _INPUTS)
    if axes == "flat":
        if shape[0] % batch:
            return None
        return Arrangement(inputs, _extents((shape[1],)), shape[0] // batch * shape[2])
    if axes in HEADS:
        if shape[0] != batch or len(shape) != 4:
            return None
        t = shape[1 if axes == "split" else 2]
        return Arrangement(inputs, _extents((t,)), math.prod(shape[1:]) // t)
    if axes == "first":
        if shape[0] != batch:
            return None
        return Arrangement(inputs, _extents(shape[2:]), shape[1])
    if shape[0] == batch and axes != "time":
        return Arrangement(inputs, _extents(shape[1:-1]), shape[-1])
    if axes == "time" or (len(shape) > 2 and shape[1] == batch):
        return Arrangement(inputs, _extents((shape[0], *shape[2:-1])), shape[-1])
    if shape[0] % batch == 0:
        return Arrangement(inputs, _extents((shape[0] // batch, *shape[1:-1])), shape[-1])
    return None


@lru_cache(maxsize=256)
def shares_of(positions: int, taken: Taken, sites: int = 0) -> Array:
    """Of all positions, how many each one of a sample stands for; their sum is 1."""
    if taken == "some":
        between = _TOKENS - 2
        rest = (positions - 2) / (positions * between)
        return np.array([1.0 / positions, *(rest,) * between, 1.0 / positions])
    n = sites or (positions if taken == "all" else 1)
    return np.full(n, 1.0 / n)


def is_sampled(position: int | None, shape: tuple[int, ...], axes: str, batch: int) -> bool:
    """Whether theory looks at a position of a tensor; None stands for all of them."""
    at = None if position is None else arranged(shape, axes, batch)
    return position is None or (at is not None and at.place(position) is not None)


def _extents(grid: tuple[int, ...]) -> tuple[int, ...]:
    """A single position is none."""
    return grid if math.prod(grid) > 1 else ()


@dataclass(frozen=True)
class Sample:
    """Second moments of a tensor, still on its device.

    Parameters
    ----------
    at : Arrangement
        Inputs, grid and channels.
    taken : {"all", "some", "lattice", "mean"}
        Which positions its sites are: all; some; those of a lattice that stands for all; or one
        that stands for the mean over all.
    axes : str
        Where the channels stood.
    gram : Tensor, shape (sites, sites)
        K in float64, inputs slowest.
    mean : Tensor, shape (sites,)
        Means over channels.
    numbers : Tensor
        ``lazy_moments`` of the whole tensor.
    lengths : Tensor or None
        Mean squares at the positions of the sample, over all inputs.
    inside : Tensor or None
        Mean of 1 - c between different positions of the sample, over all inputs.
    patches : bool
        Whether the channels are all entries that one output of a convolution reads.
    channels : Tensor, shape (sites, channels)
        The entries themselves.
    smooth : float or Tensor
        Square of the distance in positions over which second moments of pairs change, where the
        sites are a lattice.
    """

    at: Arrangement
    taken: Taken
    axes: str
    gram: torch.Tensor
    mean: torch.Tensor
    numbers: torch.Tensor
    lengths: torch.Tensor | None = None
    inside: torch.Tensor | None = None
    patches: bool = False
    channels: torch.Tensor | None = None
    smooth: float | torch.Tensor = 0.0

    @staticmethod
    def of(
        x: torch.Tensor, axes: str, batch: int, numbers: torch.Tensor | None = None
    ) -> Sample | None:
        """That of a tensor, whose `numbers` may be known; None where its axes are not known."""
        at = arranged(tuple(x.shape), axes, batch)
        if at is None:
            return None
        taken = at.taken(axes)
        if numbers is None:
            numbers = lazy_moments(x, batch)
        y = x.detach()
        smooth: float | torch.Tensor = 0.0
        if taken == "lattice":
            y = y.reshape(*y.shape[:2], -1)[:, :, list(lattice.places(at.grid))]
            smooth = smoothness(x.detach(), at)
        y = _sites(y, axes, batch, at)
        if taken == "some":
            y = y[:, _spread(at.positions, _TOKENS)]
        return replace(Sample.of_sites(y, at, taken, axes, numbers), smooth=smooth)

    @staticmethod
    def of_sites(
        y: torch.Tensor, at: Arrangement, taken: Taken, axes: str, numbers: torch.Tensor
    ) -> Sample:
        """From (inputs, sites, channels) of the whole batch."""
        lengths = y.square().mean(dim=2, dtype=torch.float64).mean(dim=0)
        inside = _inside(y)
        rows = y[_spread(len(y), at.inputs)].reshape(-1, y.shape[-1])
        y = rows.double()
        gram = y @ y.T / y.shape[1]
        made = Sample(at, taken, axes, gram, y.mean(dim=1), numbers, lengths, inside)
        return replace(made, channels=rows)

    def rows(self, gram: Array) -> Array | None:
        """The entries, scaled to the mean squares of a matrix, (sites, channels)."""
        if self.channels is None:
            return None
        x = np.asarray(self.channels.double().cpu().numpy())
        found = np.maximum((x * x).mean(axis=1), 1e-300)
        return np.asarray(x * np.sqrt(np.diagonal(gram) / found)[:, None])

    @property
    def width(self) -> int:
        """Number of channels that were averaged over."""
        return self.at.width if self.channels is None else int(self.channels.shape[1])

    def measured(self) -> Moments:
        """Mean, mean square and correlation over the whole batch."""
        return moments(self.numbers.tolist())

    def matrix(self) -> tuple[Array, Array]:
        r"""K and means of the sites, as those of the whole batch.

        The sites are a few of many. So lengths are scaled to the mean squares over all inputs,
        and to that over all positions where there are more, and angles between inputs, and between
        positions of one input, such that :math:`\langle 1 - c \rangle` is that of all pairs.
        """
        gram = np.asarray(self.gram.cpu().numpy())
        mean = np.asarray(self.mean.cpu().numpy())
        gram = 0.5 * (gram + gram.T)
        whole = self.measured()
        q = np.diagonal(gram).copy()
        if not (np.all(np.isfinite(gram)) and np.all(q > 0.0) and whole.finite):
            return gram, mean
        shares = shares_of(self.at.positions, self.taken, len(q) // self.at.inputs)
        stretch = np.tile(self._stretch(q, shares, whole), self.at.inputs)
        root = np.sqrt(q[:, None] * q)
        omc = np.clip(1.0 - gram / root, 0.0, 2.0)
        n = len(q) // self.at.inputs
        owner = np.arange(len(q)) // n
        apart = owner[:, None] != owner
        found = between_inputs(gram, shares)
        if found > 0.0 and whole.one_minus_c >= 0.0:
            omc = np.where(apart, np.clip(omc * (whole.one_minus_c / found), 0.0, 2.0), omc)
        same = np.eye(len(q), dtype=bool)
        if self.inside is not None:
            found, wanted = omc[~apart & ~same], float(self.inside)
            if found.size and found.mean() > 0.0 and wanted >= 0.0:
                scaled = np.clip(omc * (wanted / found.mean()), 0.0, 2.0)
                omc = np.where(apart | same, omc, scaled)
        out = np.where(same, q, root * (1.0 - omc)) * np.sqrt(np.outer(stretch, stretch))
        return out, mean * np.sqrt(stretch)

    def _stretch(self, q: Array, shares: Array, whole: Moments) -> Array:
        """Factor on the mean squares at each position, of many so that their mean is right."""
        found = q.reshape(self.at.inputs, -1).mean(axis=0)
        wanted = np.array([whole.mean_square])
        if self.lengths is not None:
            wanted = np.array(self.lengths.cpu().numpy())
        if self.taken == "lattice":
            wanted *= whole.mean_square / wanted.mean()
        if self.taken == "some":
            ends = shares[0] * (wanted[0] + wanted[-1])
            rest = (whole.mean_square - ends) / (shares[1:-1] @ wanted[1:-1])
            wanted[1:-1] *= rest if rest > 0.0 else 1.0
        return np.asarray(wanted / found)


def smoothness(x: torch.Tensor, at: Arrangement) -> torch.Tensor:
    r"""Square of the distance L over which second moments of pairs change when both move.

    From the correlation :math:`e^{-1 / 2 L^2}` of :math:`K_{at, bs}` with
    :math:`K_{a, t+1; b, s+1}`, one position along the last axis.
    """
    places = torch.tensor(lattice.places(at.grid), device=x.device)
    last = at.grid[-1]
    moved = torch.where(places % last + 1 < last, places + 1, places - 1)
    wide = x.reshape(*x.shape[:2], -1)[_spread(len(x), at.inputs)]
    grams = []
    for sites in (places, moved):
        y = wide[:, :, sites].transpose(1, 2).reshape(-1, x.shape[1]).double()
        gram = y @ y.T
        n = len(places)
        blocks = gram.reshape(at.inputs, n, at.inputs, n)
        rest = blocks - blocks.mean(dim=(1, 3), keepdim=True)
        same = torch.eye(len(gram), dtype=torch.bool, device=x.device)
        grams.append(rest.reshape(len(gram), -1).masked_fill(same, 0.0))
    one, two = grams
    r = (one * two).sum() / (one.square().sum() * two.square().sum()).sqrt().clamp_min(1e-300)
    return -0.5 / r.clamp(1e-3, 1.0 - 1e-6).log()


def _inside(y: torch.Tensor) -> torch.Tensor | None:
    """Mean of 1 - c between different positions of one input, of (inputs, positions, channels)."""
    t = y.shape[1]
    if t < 2:
        return None
    u = torch.nn.functional.normalize(y, dim=2)
    # sum over pairs of |u_t - u_s|^2 / 2 = T * sum_t |u_t - mean|^2 / 2
    deviation = (u - u.mean(dim=1, keepdim=True)).square().sum(dim=(1, 2))
    return deviation.mean(dtype=torch.float64) / (t - 1)


def between_inputs(k: Array, shares: Array) -> float:
    """Mean of 1 - c over pairs of different inputs, positions joined; NaN for one input."""
    n = len(k) // len(shares)
    if n < 2:
        return math.nan
    joint = joined(k, shares)
    q = np.diagonal(joint)
    with np.errstate(all="ignore"):
        omc = 1.0 - joint / np.sqrt(q[:, None] * q)
    return float(omc[~np.eye(n, dtype=bool)].mean())


def joined(matrix: Array, shares: Array) -> Array:
    """Mean over equal positions, (inputs, inputs)."""
    t = len(shares)
    if t == 1:
        return matrix
    blocks = matrix.reshape(len(matrix) // t, t, -1, t)
    return np.asarray(blocks.diagonal(axis1=1, axis2=3) @ shares)


def spread_over(batch: int) -> list[int]:
    """The inputs of a batch that are looked at."""
    return _spread(batch, _INPUTS)


def _spread(n: int, wanted: int) -> list[int]:
    """Indices spread over n, the first and the last among them."""
    return sorted({round(i * (n - 1) / max(wanted - 1, 1)) for i in range(min(n, wanted))})


def _sites(x: torch.Tensor, axes: str, batch: int, at: Arrangement) -> torch.Tensor:
    """All inputs, as (inputs, positions, channels)."""
    if axes == "flat":
        x = x.reshape(batch, -1, *x.shape[1:])
    if axes in ("heads", "flat"):
        x = x.transpose(1, 2)
    if axes == "time":
        x = x.transpose(0, 1)
    elif axes == "last" and x.shape[0] != batch:
        second = x.dim() > 2 and x.shape[1] == batch
        x = x.transpose(0, 1) if second else x.reshape(batch, -1, at.width)
    if axes == "first":
        return x.reshape(len(x), at.width, -1).transpose(1, 2)
    return x.reshape(len(x), -1, at.width)
