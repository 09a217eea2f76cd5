"""Parameters with their measured laws, in the units in which recipes are written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from chione.torch.audits.entries import Entry
from chione.torch.audits.law import Measured

LEAST = 0.05  # relative difference of spreads below which nobody would speak of a bug
_DEFAULT_P = 1e-6
UNITS: dict[str, Callable[[float, float], float]] = {
    "std": lambda fan_in, fan_out: 1.0,
    "1/sqrt(fan_in)": lambda fan_in, fan_out: math.sqrt(fan_in),
    "sqrt(2/(fan_in+fan_out))": lambda fan_in, fan_out: math.sqrt((fan_in + fan_out) / 2.0),
    "1/sqrt(fan_out)": lambda fan_in, fan_out: math.sqrt(fan_out),
}
"""Unit -> the factor that turns a std into a multiple of it."""


@dataclass(frozen=True)
class Item:
    """A parameter and its law."""

    entry: Entry
    found: Measured

    @property
    def name(self) -> str:
        """Full name of the parameter."""
        return self.entry.name

    @property
    def role(self) -> str:
        """Its role."""
        return self.entry.role

    @property
    def std(self) -> float:
        """Its standard deviation."""
        return self.found.std

    @property
    def log_std(self) -> float:
        """Its logarithm."""
        return math.log(max(self.found.std, 1e-300))

    @property
    def error(self) -> float:
        """Standard error of that logarithm; of an orthogonal matrix nothing is left to chance."""
        small = 1e-3 if self.found.kind == "orthogonal" else 1e-4
        return max(self.found.summary.relative_error, small)

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix or kernel that signals pass."""
        return self.entry.is_matrix and min(self.entry.tensor.shape, default=0) >= 1

    @property
    def is_drawn_matrix(self) -> bool:
        """Whether it is a matrix of random entries of one spread."""
        return self.is_matrix and self.found.drawn and self.std > 0.0

    def in_units(self, unit: str) -> float:
        """Log of the std in a unit of the fans."""
        return self.log_std + math.log(
            UNITS[unit](max(self.entry.fan_in, 1.0), max(self.entry.fan_out, 1.0))
        )

    @cached_property
    def is_default(self) -> bool:
        """Whether it is what ``nn.Linear`` and convolutions draw: U(-1, 1) / sqrt(fan_in)."""
        return fits_uniform(self.found, self.default_bound)

    @property
    def default_bound(self) -> float:
        """1/sqrt(fan_in) as PyTorch counts fans; of gates 1/sqrt(hidden)."""
        fan = self.entry.fan_in
        if self.role.startswith("recurrent"):
            fan = self.entry.tensor.shape[0] / {"LSTM": 4, "GRU": 3}.get(self.entry.kind, 1)
        return 1.0 / math.sqrt(fan) if fan > 0 else math.nan


def fits_uniform(found: Measured, bound: float) -> bool:
    """Whether entries may be uniform on (-bound, bound)."""
    s = found.summary
    if found.kind not in ("uniform", "undecided") or not bound > 0.0 or s.n < 2:
        return False
    slack = 4.0 * 2.0**-s.bits
    if s.low < -bound * (1.0 + slack) or s.high > bound * (1.0 + slack):
        return False
    span = min(1.0, (s.high - s.low) / (2.0 * bound))
    return bool(stats.beta.cdf(span, s.n - 1, 2) > _DEFAULT_P)


def differ(a: Item, b: Item) -> tuple[float, float]:
    """Log ratio of two spreads, and how many standard errors it is."""
    log = a.log_std - b.log_std
    return log, abs(log) / math.hypot(a.error, b.error)


def two_sided(z: float) -> float:
    """Chance of a normal number as far out as z."""
    return float(2.0 * stats.norm.sf(abs(z)))


@dataclass(frozen=True)
class Style:
    """The rule that most matrices of a model follow.

    Parameters
    ----------
    unit : str
        One of :data:`UNITS`.
    value : float
        Multiple of the unit.
    members, others : tuple of Item
        Those that follow it, and those that do not.
    """

    unit: str
    value: float
    members: tuple[Item, ...]
    others: tuple[Item, ...]

    @property
    def words(self) -> str:
        """The rule for a reader."""
        return f"std = {self.value:.3g}" + ("" if self.unit == "std" else f" * {self.unit}")


def style(items: Iterable[Item], near: float = 0.03) -> Style | None:
    """The unit and value on which most items agree to 3 %, if two or more do."""
    pool = list(items)
    best: tuple[int, Style] | None = None
    for unit in UNITS:
        logs = np.array([i.in_units(unit) for i in pool])
        for centre in logs:
            room = np.array([max(near, 4.0 * i.error) for i in pool])
            inside = np.abs(logs - centre) <= room
            count = int(inside.sum())
            if count >= 2 and (best is None or count > best[0]):
                members = tuple(i for i, yes in zip(pool, inside, strict=True) if yes)
                others = tuple(i for i, yes in zip(pool, inside, strict=True) if not yes)
                value = math.exp(float(np.median(logs[inside])))
                best = count, Style(unit, value, members, others)
    return None if best is None else best[1]
