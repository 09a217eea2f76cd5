"""One pass over a tensor: moments, extremes, rows and a sample of its entries."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from chione.base import Array

_SAMPLE = 2**14  # entries that tests of the shape look at; a cut at 3 sigma needs some 5000
_CHUNK = 2**20  # entries that are looked at together: they stay in the cache
_LARGEST = 1e8  # whose fourth power float32 can hold
_TINY = 1e-30  # no initialisation draws entries that small; bits of other numbers look like it
_MANTISSA = {torch.float16: 11, torch.bfloat16: 8, torch.float32: 24, torch.float64: 53}
_HALF_SMALLEST = 2.0**-24  # the spacing of float16 near zero


@dataclass(frozen=True)
class Summary:
    """What is known of a tensor after one pass.

    Parameters
    ----------
    shape : tuple of int
        Its shape; a complex entry counts as two.
    n : int
        Number of entries.
    dtype : str
        As stored.
    bits : int
        Bits of the mantissa that the values use: 8 also where bfloat16 was widened to float32.
    bad, zero, tiny : int
        Numbers of entries that are not finite, zero, and below 1e-30 but not zero.
    low, high, mean, std, kurtosis : float
        Of all entries; the kurtosis is E (x - mean)^4 / std^4, 3 for a normal law.
    rows, columns : Array
        Mean squares over each row (first axis) and, of a matrix, over each column.
    entries : Array
        All finite entries or a random sample of them, with the rounding undone by a random shift
        within it, in random order.
    """

    shape: tuple[int, ...]
    n: int
    dtype: str
    bits: int
    bad: int
    zero: int
    tiny: int
    low: float
    high: float
    mean: float
    std: float
    kurtosis: float
    rows: Array
    columns: Array
    entries: Array

    @property
    def relative_error(self) -> float:
        r"""Standard error of log(std): :math:`\sqrt{(\kappa - 1) / 4 n}`, at least 1/(2 sqrt n)."""
        return math.sqrt(max(self.kurtosis - 1.0, 0.8) / (4.0 * max(self.n, 1)))

    @property
    def std_error(self) -> float:
        """Standard error of the standard deviation, from the fourth moment."""
        return self.std * self.relative_error


def summarize(tensor: torch.Tensor, seed: int = 0) -> Summary:
    """The summary of a floating or complex tensor.

    Notes
    -----
    Sums run in float64 over pieces of the tensor, so that neither the rounding of bfloat16 nor
    the size of an embedding matters.
    """
    x = tensor.detach()
    if x.is_complex():
        x = torch.view_as_real(x.resolve_conj())
    shape, n = tuple(int(s) for s in x.shape), x.numel()
    flat = x.reshape(shape[0], -1) if x.dim() > 1 else x.reshape(-1, 1)
    entries, bits = _sample(flat.reshape(-1), seed)
    shift = float(np.median(entries)) if entries.size else 0.0
    shift = 0.0 if abs(shift) < 0.2 * float(np.std(entries)) else shift  # where sums would cancel
    columns = flat.shape[1] if x.dim() == 2 else 0
    total = _Sums(flat.shape[0], columns, exact=n < _CHUNK or x.dtype == torch.float64)
    for start, piece in _pieces(flat):
        total.add(start, piece, shift)
    mean1, mean2, mean3, mean4 = (s / max(total.good, 1) for s in total.powers)
    var = max(mean2 - mean1**2, 0.0)
    fourth = mean4 - 4 * mean1 * mean3 + 6 * mean1**2 * mean2 - 3 * mean1**4
    one_value = total.high == total.low
    with np.errstate(over="ignore", invalid="ignore"):
        kurtosis = 3.0 if one_value or var <= 0.0 else float(fourth / np.float64(var) ** 2)
    return Summary(
        shape, n, str(x.dtype).removeprefix("torch."), bits, n - total.good, total.zero, total.tiny,
        total.low, total.high, shift + mean1, 0.0 if one_value else math.sqrt(var),
        kurtosis if math.isfinite(kurtosis) else 3.0, total.rows / max(flat.shape[1], 1),
        total.columns / max(flat.shape[0], 1), entries,
    )  # fmt: skip


class _Sums:
    """Sums over the pieces of a tensor."""

    def __init__(self, rows: int, columns: int, *, exact: bool) -> None:
        self.exact = exact
        self.good = self.zero = self.tiny = 0
        self.low, self.high = math.inf, -math.inf
        self.powers = [0.0] * 4
        self.rows, self.columns = np.zeros(rows), np.zeros(columns)

    def add(self, start: int, piece: torch.Tensor, shift: float) -> None:
        # products of many entries in float32 (6e-8 each, of either sign), their sums in float64
        x = piece.double() if self.exact else piece.float()
        low, high = (float(v) for v in torch.aminmax(x))  # NaN where there is one
        good = x.numel()
        if not (math.isfinite(low) and math.isfinite(high)):
            finite = torch.isfinite(x)
            good = int(finite.sum())
            x = x[finite].reshape(-1, 1)
            if good:
                low, high = (float(v) for v in torch.aminmax(x))
        self.good += good
        if not good:
            return
        self.low, self.high = min(self.low, low), max(self.high, high)
        nonzero = int(torch.count_nonzero(x))
        self.zero += good - nonzero
        self.tiny += nonzero - int(torch.count_nonzero(x.abs() > _TINY))
        if max(-low, high) > _LARGEST:
            x = x.double()
        square = x * x
        if good == piece.numel():  # rows of a tensor with NaN are of no use
            rows = square.sum(dim=1, dtype=torch.float64)
            self.rows[start : start + x.shape[0]] += rows.cpu().numpy()
            if self.columns.size:
                self.columns += square.sum(dim=0, dtype=torch.float64).cpu().numpy()
        if shift != 0.0:
            x = x - shift
            square = x * x
        for k, power in enumerate((x, square, square * x, square * square)):
            self.powers[k] += float(power.sum(dtype=torch.float64))


def _pieces(flat: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    """First row, and some rows, of a matrix; a row that is too long comes whole."""
    step = max(1, _CHUNK // max(flat.shape[1], 1))
    for start in range(0, flat.shape[0], step):
        yield start, flat[start : start + step]


def _sample(flat: torch.Tensor, seed: int) -> tuple[Array, int]:
    """Finite entries in random order, rounding undone, and the bits of their mantissa."""
    rng = np.random.default_rng(seed)
    n = flat.numel()
    if n <= _SAMPLE:
        place = rng.permutation(n)
    else:
        place = np.unique(rng.integers(n, size=_SAMPLE))
        rng.shuffle(place)
    x = flat[torch.from_numpy(place).to(flat.device)].cpu()
    bits = _bits(x)
    values = x.double().numpy()
    values = values[np.isfinite(values)]
    if bits < 24 and values.size and values.min() < values.max():
        with np.errstate(divide="ignore"):
            power = np.floor(np.log2(np.abs(values)))
        step = np.exp2(np.clip(power, -1000.0, 1000.0) - (bits - 1))
        if x.dtype == torch.float16 or bits == 11:
            step = np.maximum(step, _HALF_SMALLEST)
        values = np.where(values == 0.0, 0.0, values + step * (rng.random(values.size) - 0.5))
    return values, bits


def _bits(x: torch.Tensor) -> int:
    bits = _MANTISSA.get(x.dtype, 4)
    if bits < 24:
        return bits
    for narrow in (torch.bfloat16, torch.float16):
        if bool((x == x.to(narrow).to(x.dtype)).all()):
            return _MANTISSA[narrow]
    return bits
