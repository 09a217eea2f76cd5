"""What of a tensor a format can hold, counted without rounding it.

The share that becomes zero is read off the exponents, so that it is known for every power of two
by which the tensor may be multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from chione.base import Array
from chione.torch.formats.floats import Format


@dataclass(frozen=True)
class Counts:
    r"""Entries of a tensor by size.

    Parameters
    ----------
    size, zeros, broken : int
        All entries, those that are exactly zero, and those that are NaN or infinite.
    square : float
        Mean square over the finite entries.
    smallest, largest : float
        Of the sizes of those that are finite and not zero; NaN without any.
    exponents : ndarray, shape (n,)
        How many of these have :math:`2^{k-1} < |x| \le 2^k`, k counted from `low`.
    low : int
        Of the first entry.
    subnormal, overflow : dict of str to int
        By format: how many become a subnormal number, and become too large.
    """

    size: int
    zeros: int
    broken: int
    square: float
    smallest: float
    largest: float
    exponents: Array
    low: int
    subnormal: dict[str, int]
    overflow: dict[str, int]

    @property
    def told(self) -> int:
        """Entries that carry something: finite and not zero."""
        return self.size - self.zeros - self.broken

    def up_to(self, k: int) -> int:
        """How many are not zero and at most 2^k in size."""
        return int(self.exponents[: max(k - self.low + 1, 0)].sum())

    def share(self, count: int) -> float:
        """Of those that carry something; NaN without any."""
        return count / self.told if self.told else math.nan

    def underflow(self, form: Format, scale: int = 0) -> float:
        """Share that becomes zero after a multiplication by 2^scale."""
        return self.share(self.up_to(form.zero_exponent - scale))

    def below(self, border: float) -> float:
        """Share below a border: log-linear between the two powers of two about it."""
        if not border > 0.0:
            return 0.0
        m, k = math.frexp(border)  # border = m 2^k, m in [1/2, 1)
        one, two = self.share(self.up_to(k - 1)), self.share(self.up_to(k))
        return one + (two - one) * (2.0 * m - 1.0)

    def quantile(self, share: float) -> float:
        """A power of two with at most this share of sizes at or below it."""
        below = np.cumsum(self.exponents)
        k = int(np.searchsorted(below, share * self.told, side="right"))
        return math.ldexp(1.0, self.low + k - 1) if self.told else math.nan


def count(tensor: torch.Tensor, formats: Iterable[Format]) -> Counts:
    """Count the entries of a real floating tensor."""
    x = tensor.detach()
    if x.dtype not in (torch.float32, torch.float64):
        x = x.float()
    sizes = x.abs().reshape(-1)
    finite = torch.isfinite(sizes)
    broken = sizes.numel() - int(finite.sum())
    if broken:
        sizes = sizes[finite]
    told = sizes[sizes > 0]
    zeros, norm = sizes.numel() - told.numel(), math.nan
    if sizes.numel():
        norm = float(torch.linalg.vector_norm(sizes, dtype=torch.float64))
    exponents, low = _exponents(told)
    subnormal, overflow = {}, {}
    for form in formats:
        small = int((told < form.normal_border).sum())
        subnormal[form.name] = small - int(exponents[: max(form.zero_exponent - low + 1, 0)].sum())
        border = form.overflow_border
        beyond = told >= border if form.tie_overflows else told > border
        overflow[form.name] = int(beyond.sum())
    return Counts(
        size=x.numel(),
        zeros=zeros,
        broken=broken,
        square=norm * norm / sizes.numel() if sizes.numel() else math.nan,
        smallest=float(told.min()) if told.numel() else math.nan,
        largest=float(told.max()) if told.numel() else math.nan,
        exponents=exponents,
        low=low,
        subnormal=subnormal,
        overflow=overflow,
    )


def _exponents(told: torch.Tensor) -> tuple[Array, int]:
    """How many entries have the ceiling of their binary logarithm at each k, and the first k."""
    if told.numel() == 0:
        return np.zeros(0, np.int64), 0
    mantissa, exponent = torch.frexp(told)  # |x| = mantissa 2^exponent, mantissa in [1/2, 1)
    ceiling = exponent.long() - (mantissa == 0.5).long()
    low = int(ceiling.min())
    return torch.bincount(ceiling - low).cpu().numpy(), low
