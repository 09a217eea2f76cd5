"""What law a tensor was measured to have, as data and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chione.torch.audits.summary import Summary

DRAWN = ("normal", "truncated normal", "uniform", "orthogonal", "undecided", "sparse")
"""Laws of random draws of one spread."""


@dataclass(frozen=True)
class Block:
    """Rows (or columns) ``start`` to ``stop`` and their standard deviation."""

    start: int
    stop: int
    std: float


@dataclass(frozen=True)
class Measured:
    """The law of a tensor.

    Parameters
    ----------
    kind : str
        normal, truncated normal, uniform, undecided (too few entries to tell), orthogonal,
        delta-orthogonal, identity, dirac, zeros, ones, constant, two values, repeated rows,
        sinusoidal, sparse, mixed (blocks of rows or columns with laws of their own), rows differ,
        garbage (entries that are not finite, or bits of something else) or other.
    p : float
        Chance of a sample as far from the law; 1 where the law is exact.
    value : float
        The constant, or the gain of an orthogonal or identity matrix.
    cut : float
        Of a truncated normal law, in units of its uncut sigma; infinity where it is not cut.
    sigma : float
        Standard deviation before the cut.
    blocks : tuple of Block
        Of mixed laws.
    along : {"", "rows", "columns"}
        Axis of the blocks.
    zero_rows : tuple of int
        Rows of zeros that were left out, such as that of a padding index.
    inner : str
        Law within the blocks, or of the entries that are not zero.
    """

    kind: str
    summary: Summary
    p: float = 1.0
    value: float = math.nan
    cut: float = math.inf
    sigma: float = math.nan
    blocks: tuple[Block, ...] = ()
    along: str = ""
    zero_rows: tuple[int, ...] = ()
    inner: str = ""

    @property
    def std(self) -> float:
        """Standard deviation of the entries."""
        return self.summary.std

    @property
    def drawn(self) -> bool:
        """Whether it is a random draw of one spread."""
        return self.kind in DRAWN

    @property
    def random(self) -> bool:
        """Whether chance made it, in whatever way."""
        return self.drawn or self.kind in ("mixed", "rows differ", "other", "delta-orthogonal")

    @property
    def words(self) -> str:
        """The law as a reader would declare it."""
        text = self._law()
        if self.zero_rows:
            rows = ", ".join(map(str, self.zero_rows[:3]))
            more = "" if len(self.zero_rows) <= 3 else f" and {len(self.zero_rows) - 3} more"
            text += f", zero in row {rows}{more}"
        return text

    def _law(self) -> str:
        s = self.summary
        mean = f"{s.mean:.2g}" if abs(s.mean) > 4.0 * s.std / math.sqrt(max(s.n, 1)) else "0"
        if self.kind == "normal":
            return f"normal({mean}, {s.std:.4g})"
        if self.kind == "truncated normal":
            return f"normal({mean}, {self.sigma:.4g}) cut at {self.cut:.3g} sigma"
        if self.kind == "uniform":
            return f"uniform({s.low:.4g}, {s.high:.4g})"
        if self.kind == "undecided":
            return f"normal or uniform, std {s.std:.3g}"
        if self.kind in ("orthogonal", "delta-orthogonal", "identity", "dirac"):
            return f"{self.kind}({self.value:.4g})"
        if self.kind == "constant":
            return f"constant({self.value:.4g})"
        if self.kind in ("mixed", "rows differ"):
            parts = ", ".join(f"[{b.start}:{b.stop}] {b.std:.3g}" for b in self.blocks[:6])
            what = f"{self.along or 'rows'} differ"
            return f"{what}: std {parts}" if parts else what
        if self.kind == "sparse":
            return f"{s.zero / s.n:.0%} zeros, the rest {self.inner}"
        if self.kind == "garbage":
            return self.inner
        if self.kind == "other":
            return f"other (std {s.std:.3g}, kurtosis {s.kurtosis:.3g})"
        return self.kind
