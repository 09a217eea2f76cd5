"""Numbers in a row: entries of kernels over the layers, Hermite coefficients, very deep runs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from chione.base import Array, Estimate
from chione.gaussian import HermiteExpansion
from chione.plotting.depth import wants_log
from chione.plotting.style import BLUE, COLOURS, GREY, LINES, VERMILLION

_ENTRIES = ("11", "12", "22")
_MOST = 6  # lines in a panel


def draw_layers(ax: Axes, x: Estimate, words: str) -> None:
    """An estimate over the layers, a line for each entry, shaded where its error can be seen."""
    value, error = np.asarray(x.value), np.asarray(x.error)
    flat, spread = (a.reshape(len(a), -1) for a in (value, error))
    layers = np.arange(1, len(flat) + 1)
    if value.ndim > 1 and flat.shape[1] == len(_ENTRIES):
        names = list(_ENTRIES)
    elif value.ndim == 3:  # entries of a symmetric matrix
        pairs = np.triu_indices(value.shape[1])
        flat, spread = (a[:, pairs[0], pairs[1]] for a in (value, error))
        names = [f"{_ENTRIES[i]},{_ENTRIES[j]}" for i, j in zip(*pairs, strict=True)]
    else:
        names = [""] * flat.shape[1]
    for k in range(min(_MOST, flat.shape[1])):
        colour = COLOURS[k % len(COLOURS)]
        marker = "o" if len(layers) < 20 else None
        ax.plot(
            layers, flat[:, k], color=colour, ls=LINES[k % len(LINES)], marker=marker, ms=3,
            label=names[k] or None,
        )  # fmt: skip
        low, high = flat[:, k] - spread[:, k], flat[:, k] + spread[:, k]
        ax.fill_between(layers, low, high, color=colour, alpha=0.2, lw=0)
    if wants_log(flat):
        ax.set_yscale("log")
    if any(names):
        ax.legend(title="entry")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layer $l$")
    ax.set_ylabel(words)
    _title(ax, words)


def draw_deep(ax: Axes, layer: Array, x: Array, words: str, *, log: bool = True) -> None:
    """A quantity over very many layers, on a logarithmic axis of depth."""
    ax.plot(layer, x, color=BLUE, marker="o", ms=3)
    ax.set_xscale("log")
    if log and wants_log(np.asarray(x), factor=3.0):
        ax.set_yscale("log")
    ax.set_xlabel("layer $l$")
    ax.set_ylabel(words)
    _title(ax, words)


def _title(ax: Axes, words: str) -> None:
    """The label of the axis without its symbol."""
    plain = words.split("$")[0].strip() or words
    ax.set_title(plain[:1].upper() + plain[1:])


def draw_stems(ax: Axes, found: HermiteExpansion) -> None:
    """Hermite coefficients with their errors."""
    n = np.arange(len(found))
    ax.axhline(0.0, color=GREY, lw=0.8)
    ax.vlines(n, 0.0, found.coefficients, color=BLUE)
    ax.errorbar(n, found.coefficients, yerr=found.error, fmt="o", ms=4.5, color=BLUE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("order $k$")
    ax.set_ylabel(r"coefficient $c_k$ of $he_k$")
    ax.set_title(f"Hermite expansion at q = {found.q:g}")


def draw_power(ax: Axes, found: HermiteExpansion) -> None:
    """Shares of the mean square by order, and what is left out."""
    n, power = np.arange(len(found)), found.coefficients**2
    seen = power > (8.0 * found.error) ** 2  # zero but for rounding
    ax.plot(n[seen], power[seen], "o", ms=4.5, color=BLUE, label="$c_k^2$")
    tail = float(found.tail.value)
    if np.isfinite(tail) and tail > 0.0:
        ax.axhline(tail, color=VERMILLION, ls="--", lw=1.2, label=f"left out: {tail:.2g}")
    ax.set_yscale("log")
    ax.set_xlim(-0.5, len(found) - 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("order $k$")
    ax.set_ylabel("share of the mean square")
    ax.legend()
