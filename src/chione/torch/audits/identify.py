"""Find the law of a tensor: the exact ones first, then one spread or several, then the shape."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from chione.base import Array
from chione.torch.audits import goodness, structured
from chione.torch.audits.law import Block, Measured
from chione.torch.audits.summary import Summary, summarize

_MOST_BLOCKS = 6  # more blocks than gates and projections have are no blocks
_STEP = 0.03  # blocks whose spreads differ by less are one law to any reader
_TELL = 3.0  # difference of log-likelihoods that decides between laws that both fit
_SURE = 5.0  # standard errors between neighbouring blocks
_HUGE = 1e8  # no initialisation draws such numbers


def identify(tensor: torch.Tensor, level: float = 1e-5, seed: int = 0) -> Measured:
    """The law of a tensor.

    Parameters
    ----------
    tensor : Tensor
        Floating or complex.
    level : float
        Chance with which a normal or uniform draw may be called something else.
    seed : int
        Of the sample that is taken of large tensors.
    """
    summary = summarize(tensor, seed)
    return _garbage(summary) or _exact(tensor, summary) or _drawn(tensor, summary, level)


def _garbage(s: Summary) -> Measured | None:
    if s.bad:
        return Measured("garbage", s, inner=f"{s.bad} of {s.n} entries not finite")
    if max(abs(s.low), abs(s.high)) > _HUGE:
        largest = max(abs(s.low), abs(s.high))
        return Measured("garbage", s, inner=f"entries as large as {largest:.2g}")
    # float32 memory that held integers or nothing reads as denormal numbers
    if s.tiny > max(1, s.n // 1000) and s.dtype != "float64":
        return Measured("garbage", s, inner=f"{s.tiny} of {s.n} entries below 1e-30")
    return None


def _exact(tensor: torch.Tensor, s: Summary) -> Measured | None:
    if s.n == 0 or s.zero == s.n:
        return Measured("zeros", s)
    if s.low == s.high:
        kind = "ones" if s.low == 1.0 else "constant"
        return Measured(kind, s, value=s.low)
    x = tensor.detach()
    delta = structured.delta_gain(x, s)
    if delta is not None:
        return Measured(delta[0], s, value=delta[1])
    if 2 * s.zero >= s.n:
        unit = structured.identity_gain(x)
        if unit is not None:
            return Measured("identity", s, value=unit)
    squares = s.shape[0] // s.shape[1] if len(s.shape) == 2 and s.shape[1] else 1
    for blocks in (squares, 1) if squares in (2, 3, 4) else (1,):  # gates one above another
        gain = structured.orthogonal_gain(x, s, blocks)
        if gain is not None:
            inner = "" if blocks == 1 else f"{blocks} blocks"
            return Measured("orthogonal", s, value=gain, inner=inner)
    if structured.is_sinusoidal(x, s):
        return Measured("sinusoidal", s)
    if s.n >= 8 and s.bits >= 24 and np.unique(s.entries).size == 2:
        return Measured("two values", s)
    if (len(s.shape) == 1 and 0 < s.zero < s.n) or (s.n < 3000 and s.n >= 4):
        blocks_of = _constant_blocks(x)
        if blocks_of:
            return Measured("mixed", s, blocks=blocks_of, along="rows", inner="constant")
    same, rows = structured.repeated_rows(x, s)
    if rows > 1 and same >= rows - 1:
        return Measured("repeated rows", s)
    return None


def _constant_blocks(x: torch.Tensor) -> tuple[Block, ...]:
    """A vector of a few constants, such as a bias whose forget gates are 1."""
    if x.dim() != 1 or len(x) < 8:
        return ()
    v = x.double().cpu().numpy()
    edges = np.flatnonzero(np.diff(v)) + 1
    if len(edges) + 1 > _MOST_BLOCKS:
        return ()
    bounds = [0, *edges.tolist(), len(v)]
    return tuple(Block(a, b, abs(float(v[a]))) for a, b in pairwise(bounds))


# ---- random draws ----------------------------------------------------------------------------


def _drawn(tensor: torch.Tensor, s: Summary, level: float) -> Measured:
    zero_rows = _zero_rows(s)
    if zero_rows:
        kept = np.setdiff1d(np.arange(s.shape[0]), zero_rows)
        rest = tensor.detach()[torch.from_numpy(kept).to(tensor.device)]
        found = identify(rest, level)
        return found if found.zero_rows else replace(found, zero_rows=tuple(zero_rows))
    if s.zero > max(2, 0.005 * s.n) and s.zero < s.n and s.dtype != "float16":
        inner = tensor.detach().reshape(-1)
        law = identify(inner[inner != 0], level)
        return Measured("sparse", s, p=law.p, inner=law.words)
    return _uneven(tensor, s, level) or shape_of(s, level)


def _zero_rows(s: Summary) -> list[int]:
    """Rows of zeros of a matrix whose other rows are not: at most a third of them."""
    if len(s.shape) < 2:
        return []
    zero = np.flatnonzero(s.rows == 0.0)
    return zero.tolist() if 0 < zero.size <= max(1, s.shape[0] // 3) else []


def shape_of(s: Summary, level: float) -> Measured:
    """Normal, cut normal, uniform, or none of them."""
    if s.std == 0.0 or s.n < 3:
        return Measured("undecided", s)
    x = s.entries
    largest = max(s.high - s.mean, s.mean - s.low) / s.std
    normal = goodness.normal_p(x, largest, s.n)
    uniform = goodness.uniform_p(x, s.low, s.high)
    fits = {"normal": normal, "uniform": uniform}
    fits = {kind: p for kind, p in fits.items() if p >= level}
    if len(fits) == 2:
        n = x.size
        wins = math.log(math.sqrt(2.0 * math.pi * math.e) * s.std) - math.log(s.high - s.low)
        kind = "undecided" if abs(n * wins) < _TELL else "uniform" if wins > 0 else "normal"
        return Measured(kind, s, p=fits.get(kind, max(fits.values())), sigma=s.std)
    if fits:
        kind, p = next(iter(fits.items()))
        return Measured(kind, s, p=p, sigma=s.std)
    centre, half = 0.5 * (s.low + s.high), 0.5 * (s.high - s.low)
    if abs(centre - s.mean) < 0.2 * s.std:
        p, cut = goodness.truncated_p(x, centre, half, s.std)
        if p >= level:
            return Measured("truncated normal", s, p=p, cut=cut, sigma=half / cut)
    return Measured("other", s, p=max(normal, uniform), sigma=s.std)


def _uneven(tensor: torch.Tensor, s: Summary, level: float) -> Measured | None:
    """Blocks of rows, or of columns, that have spreads of their own."""
    for along, squares in (("rows", s.rows), ("columns", s.columns)):
        if squares.size < 2:
            continue
        per = s.n // squares.size
        kurtosis = min(s.kurtosis, 6.0)
        p, _ = goodness.uneven_p(squares, per, kurtosis)
        if p >= level:
            continue
        edges = _segments(squares, per, kurtosis, level, 0)
        edges = _merged(squares, edges, per, kurtosis)
        blocks = [
            Block(a, b, math.sqrt(float(squares[a:b].mean())))
            for a, b in zip([0, *edges], [*edges, squares.size], strict=True)
        ]
        stds = [b.std for b in blocks]
        if len(blocks) < 2 or min(stds) > (1.0 - _STEP) * max(stds):
            continue
        if len(blocks) > _MOST_BLOCKS:
            return Measured("rows differ", s, p=p, along=along)
        inner = _inside(tensor, blocks, along, level)
        return Measured("mixed", s, p=p, blocks=tuple(blocks), along=along, inner=inner)
    return None


def _segments(squares: Array, per: int, kurtosis: float, level: float, start: int) -> list[int]:
    """Edges between blocks, found by halving at the largest step until nothing is left."""
    p, at = goodness.uneven_p(squares, per, kurtosis)
    if p >= level or not 0 < at < squares.size:
        return []
    left, right = squares[:at], squares[at:]
    if abs(math.log(max(left.mean(), 1e-300) / max(right.mean(), 1e-300))) < 2.0 * _STEP:
        return []
    one = _segments(left, per, kurtosis, level, start)
    two = _segments(right, per, kurtosis, level, start + at)
    return [*one, start + at, *two]


def _merged(squares: Array, edges: list[int], per: int, kurtosis: float) -> list[int]:
    """Edges without those that only chance has put beside another one."""
    edges = list(edges)
    while edges:
        bounds = [0, *edges, squares.size]
        jumps = []
        for a, b, c in zip(bounds, bounds[1:], bounds[2:], strict=False):
            left, right = squares[a:b].mean(), squares[b:c].mean()
            noise = math.sqrt((kurtosis - 1.0) / per * (1.0 / (b - a) + 1.0 / (c - b)))
            step = abs(math.log(max(left, 1e-300) / max(right, 1e-300)))
            jumps.append(step / noise if step > 2.0 * _STEP else 0.0)
        least = int(np.argmin(jumps))
        if jumps[least] > _SURE:
            break
        del edges[least]
    return edges


def _inside(tensor: torch.Tensor, blocks: list[Block], along: str, level: float) -> str:
    """The law within the blocks, if it is one."""
    x = tensor.detach()
    parts = [x[b.start : b.stop] if along == "rows" else x[:, b.start : b.stop] for b in blocks]
    kinds = {shape_of(summarize(part), level).kind for part in parts}
    return kinds.pop() if len(kinds) == 1 else ""
