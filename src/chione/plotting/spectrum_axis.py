"""The axis of a spectrum: logarithmic or linear, in decades beyond float64, as an offset if narrow.

Everything comes in as log v, the logarithm of a singular value or of its square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, Formatter, Locator, MaxNLocator, NullFormatter

from chione.base import Array

Scale = Literal["log", "linear"]
Kind = Literal["log", "decades", "linear", "offset"]

_LARGEST = 650.0  # exp(709) overflows, and matplotlib needs some room
_NARROW = 2e-3  # length of a window in log v below which labels would not differ in four digits
_GUTTER = 0.1  # part of the length that is kept at the left for values that are exactly 0
_PAD = 0.03
_MOST = 7  # labels of an axis
_STEPS = (1, 2, 5)
_TEN = math.log(10.0)


@dataclass(frozen=True)
class SpectrumAxis:
    r"""Where values lie on the paper.

    Parameters
    ----------
    kind : {"log", "decades", "linear", "offset"}
        x = v on a logarithmic scale; x = log10 v on a linear one where v leaves the range of
        float64; x = v / origin; x = (v / origin - 1) / unit, for a narrow window.
    low, high : float
        Ends of the window in log v; low = -inf for a linear axis from 0.
    zero : bool
        Whether there is a place for values that are exactly 0.
    symbol, words : str
        The variable, in mathtext and in words.
    log_origin, log_unit : float
        Of a linear and of an offset axis.
    """

    kind: Kind
    low: float
    high: float
    zero: bool
    symbol: str = "s"
    words: str = "singular value $s$ of the Jacobian"
    log_origin: float = 0.0
    log_unit: float = 0.0

    # ---- places and densities ----------------------------------------------------------------

    def position(self, log_v: Array) -> Array:
        """Where bins are of equal width: log v, or x itself on linear axes."""
        if self.kind in ("log", "decades"):
            return np.asarray(log_v, dtype=np.float64)
        with np.errstate(over="ignore"):
            if self.kind == "linear":
                return np.asarray(np.exp(np.asarray(log_v) - self.log_origin))
            return np.asarray(np.expm1(np.asarray(log_v) - self.log_origin)) * math.exp(
                -self.log_unit
            )

    def log_v(self, position: Array) -> Array:
        """The value at a position."""
        p = np.asarray(position, dtype=np.float64)
        if self.kind in ("log", "decades"):
            return p
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind == "linear":
                return np.asarray(np.log(p) + self.log_origin)
            return np.asarray(np.log1p(p * math.exp(self.log_unit)) + self.log_origin)

    def x(self, position: Array) -> Array:
        """The coordinate on the paper of a position."""
        if self.kind == "log":
            return np.asarray(np.exp(position))
        return np.asarray(position) / (_TEN if self.kind == "decades" else 1.0)

    def place(self, log_v: Array) -> Array:
        """The coordinate on the paper of log v."""
        return self.x(self.position(log_v))

    def density(self, log_v: Array, density_of_log: Array) -> Array:
        """Density by position, from that by log v."""
        if self.kind in ("log", "decades"):
            return np.asarray(density_of_log)
        shift = self.log_unit if self.kind == "offset" else 0.0
        return np.asarray(density_of_log * np.exp(shift - (log_v - self.log_origin)))

    # ---- ends --------------------------------------------------------------------------------

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the window as positions, without the place of zeros."""
        low, high = (float(self.position(np.array(v))) for v in (self.low, self.high))
        return low, high

    @property
    def limits(self) -> tuple[float, float]:
        """What the axis shows, as positions."""
        low, high = self.ends
        length = high - low
        if self.has_gutter:
            low -= _GUTTER * length
        elif self.zero:  # the bar of a point mass at 0 shall be seen whole
            low -= _PAD * length
        return low, high

    @property
    def has_gutter(self) -> bool:
        """Whether zeros have a place of their own, left of the window."""
        return self.zero and self.low > -np.inf

    @property
    def zero_position(self) -> float:
        """Where the bar of a point mass at 0 stands."""
        low, high = self.ends
        return low - 0.55 * _GUTTER * (high - low) if self.has_gutter else 0.0

    # ---- words -------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """What the axis says."""
        if self.kind == "linear" and self.log_origin:
            return f"{self.words}, in units of $10^{{{round(self.log_origin / _TEN)}}}$"
        if self.kind == "offset":
            ten = round(-self.log_unit / _TEN)
            return (
                f"$({self.symbol}\\,/\\,{self.symbol}_0 - 1) \\times 10^{{{ten}}}$,  "
                f"${self.symbol}_0 = {scientific(self.log_origin, 9)}$"
            )
        return self.words

    @property
    def density_label(self) -> str:
        """What the axis of the density says."""
        if self.kind in ("log", "decades"):
            return f"density of $\\log {self.symbol}$"
        return "density along the axis" if self.kind == "offset" else f"density of ${self.symbol}$"

    def apply(self, ax: Axes) -> None:
        """Scale, limits, ticks and label of the x axis."""
        if self.kind == "log":
            ax.set_xscale("log")
        left, right = (float(self.x(np.array(p))) for p in self.limits)
        ax.set_xlim(left, right)
        ax.xaxis.set_major_locator(SpectrumLocator(self))
        ax.xaxis.set_major_formatter(SpectrumLabels(self))
        minor = []
        if self.kind == "log" and len(log_ticks(*self.ends)) > 2 and _step(*self.ends) == 1:
            low, high = (p / _TEN for p in self.ends)
            minor = [m * 10.0**k for k in range(math.floor(low), math.ceil(high))
                     for m in range(2, 10) if low <= k + math.log10(m) <= high]  # fmt: skip
        ax.xaxis.set_minor_locator(FixedLocator(minor))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(self.label)


def spectrum_axis(
    scale: Scale, low: float, high: float, *, zero: bool, symbol: str = "s",
    words: str = "singular value $s$ of the Jacobian",
) -> SpectrumAxis:  # fmt: skip
    """The kind of axis that suits a window of log v; `low` is -inf for a linear one from 0."""
    if high - low < _NARROW:
        middle = 0.5 * (low + high)
        unit = _TEN * math.floor(math.log10(max(0.5 * (high - low), 1e-15)))
        return SpectrumAxis("offset", low, high, zero, symbol, words, middle, unit)
    if scale == "linear":
        origin = _TEN * math.floor(high / _TEN) if abs(high) > 5.0 * _TEN else 0.0
        return SpectrumAxis("linear", low, high, zero, symbol, words, origin)
    far = max(abs(low - _GUTTER * (high - low)), abs(high)) > _LARGEST
    return SpectrumAxis("decades" if far else "log", low, high, zero, symbol, words)


# ---- ticks -------------------------------------------------------------------------------------


def log_ticks(low: float, high: float) -> list[float]:
    """Log v of three to seven labels: decades, else 1, 2, 5 times these, else even steps of v."""
    step = _step(low, high)
    first, last = math.ceil(low / _TEN / step - 1e-9), math.floor(high / _TEN / step + 1e-9)
    decades = [k * step * _TEN for k in range(first, last + 1)]
    if len(decades) >= 3:
        return decades
    for within in ((1, 2, 5), (1, 3)):
        some = [
            k * _TEN + math.log(m)
            for k in range(math.floor(low / _TEN) - 1, math.ceil(high / _TEN) + 1)
            for m in within
        ]
        some = [t for t in some if low - 1e-9 <= t <= high + 1e-9]
        if 3 <= len(some) <= _MOST:
            return some
    unit = _TEN * math.floor(high / _TEN)  # v / unit is a number of one digit
    ends = math.exp(low - unit), math.exp(high - unit)
    for count in range(5, 12):
        nice = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(*ends)
        some = [math.log(t) + unit for t in nice if ends[0] <= t <= ends[1]]
        if len(some) >= 3:
            break
    return some


def _step(low: float, high: float) -> int:
    """Decades from label to label."""
    for size in range(12):
        for m in _STEPS:
            if (high - low) / _TEN / (m * 10**size) < _MOST - 0.5:
                return int(m * 10**size)
    return 10**12


def scientific(log_v: float, digits: int) -> str:
    """A number given by its logarithm, in mathtext."""
    if abs(log_v) < 9.0 * _TEN:
        return f"{math.exp(log_v):.{digits}g}"
    k = math.floor(log_v / _TEN)
    mantissa = f"{math.exp(log_v - k * _TEN):.{digits}g}"
    return rf"{mantissa} \times 10^{{{k}}}"


class SpectrumLocator(Locator):
    """Labels of the window, and one for zeros."""

    def __init__(self, axis: SpectrumAxis) -> None:
        self.spectrum = axis

    def __call__(self) -> list[float]:
        """Ticks of what is shown now, which a user can have moved."""
        assert self.axis is not None
        low, high = self.axis.get_view_interval()
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Ticks between two coordinates."""
        a = self.spectrum
        start = float(a.x(np.array(a.ends[0]))) if a.has_gutter else vmin
        low, high = max(min(vmin, vmax), start), max(vmin, vmax)
        out = [float(a.x(np.array(a.zero_position)))] if a.has_gutter and vmin < start else []
        if a.kind == "log":
            return out + [math.exp(t) for t in log_ticks(math.log(low), math.log(high))]
        if a.kind == "decades":
            return out + [t / _TEN for t in log_ticks(low * _TEN, high * _TEN)]
        inner = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return out + [float(t) for t in inner if low - 1e-9 * (high - low) <= t <= high]


class SpectrumLabels(Formatter):
    """Labels of powers of ten as such, of others in digits, of the place of zeros "0"."""

    def __init__(self, axis: SpectrumAxis) -> None:
        self.spectrum = axis

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The labels of an axis: powers of ten where all are such."""
        a = self.spectrum
        if a.kind in ("linear", "offset"):
            return [self(x) for x in values]
        logs = [self._ten(x) for x in values if not self._is_zero(x)]
        if not all(abs(t - round(t)) < 1e-6 for t in logs):
            return [self(x) for x in values]
        return [
            "0" if self._is_zero(x) else f"$10^{{{round(self._ten(x))}}}$" for x in values
        ]  # fmt: skip

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of one coordinate."""
        if self._is_zero(x):
            return "0"
        if self.spectrum.kind in ("linear", "offset"):
            return f"{x + 0.0:.6g}".replace("-", "\N{MINUS SIGN}")
        ten = self._ten(x)
        return f"${scientific(ten * _TEN, 6)}$" if abs(ten) > 3.0 else f"{10.0**ten:.6g}"

    def _is_zero(self, x: float) -> bool:
        a = self.spectrum
        return a.has_gutter and math.isclose(x, float(a.x(np.array(a.zero_position))), rel_tol=1e-9)

    def _ten(self, x: float) -> float:
        return math.log10(x) if self.spectrum.kind == "log" else x
