"""Where an activation is critical: both susceptibilities against K, and the bias that K needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.activations import ActivationLike
from chione.base import Array
from chione.plotting.style import BLACK, BLUE, GREEN, GREY, VERMILLION, new_figure, style
from chione.theory import criticality, derivative_second_moment, length_slope, second_moment


@dataclass(frozen=True)
class CriticalityPicture:
    """Curves over the length K, ready to be drawn.

    Parameters
    ----------
    activation : str
        Name of the activation.
    k : ndarray
        Lengths.
    ratio : ndarray
        chi_parallel / chi_perp at each: 1 at critical points.
    bias : ndarray
        sigma_b^2 / K that keeps chi_perp = 1 and K fixed; below 0 it is unphysical.
    points : tuple of (float, bool)
        Critical K above 0, and whether the bias variance is not negative there.
    at_zero : bool
        Whether K = 0 is critical, too: it is drawn at the left end of the axis.
    title : str
        Class of the activation.
    """

    activation: str
    k: Array
    ratio: Array
    bias: Array
    points: tuple[tuple[float, bool], ...]
    title: str
    at_zero: bool = False


def criticality_picture(
    phi: ActivationLike, *, low: float = 1e-3, high: float = 1e3
) -> CriticalityPicture:
    """Compute the curves for an activation without jumps; K from `low` to `high`."""
    found = criticality(phi)
    k = np.geomspace(low, high, 241)
    slope, square = derivative_second_moment(phi, k).value, second_moment(phi, k).value
    with np.errstate(all="ignore"):
        ratio = length_slope(phi, k).value / slope
        bias = 1.0 - square / slope / k
    points = [(float(p.k_star.value), True) for p in found.points if p.k_star.value > 0.0]
    zero = any(p.k_star.value == 0.0 for p in found.points)
    points += [(float(p.k_star.value), False) for p in found.discarded]
    return CriticalityPicture(
        found.activation, k, ratio, bias, tuple(points),
        f"{found.activation}: {found.universality}", zero,
    )  # fmt: skip


def criticality_figure(phi: ActivationLike | CriticalityPicture) -> Figure:
    """Two panels over K: the ratio of the susceptibilities, and the bias variance that is needed.

    Parameters
    ----------
    phi : activation or CriticalityPicture
        Anything :func:`chione.activation` accepts, or curves computed before.
    """
    p = phi if isinstance(phi, CriticalityPicture) else criticality_picture(phi)
    with style():
        figure = new_figure(5.4, 4.6)
        top, bottom = figure.subplots(2, 1, sharex=True)
        top.axhline(1.0, color=GREY, lw=1.0, ls=(0, (4, 2)))
        top.plot(p.k, p.ratio, color=BLUE)
        top.set_ylabel(r"$\chi_\parallel / \chi_\perp$")
        top.set_title(p.title)
        bottom.axhline(0.0, color=GREY, lw=1.0, ls=(0, (4, 2)))
        parts = (
            (p.bias >= 0.0, GREEN, "-", "physical"),
            (p.bias < 0.0, VERMILLION, "--", "negative"),
        )
        for part, colour, dash, words in parts:
            if part.any():
                bottom.plot(p.k, np.where(part, p.bias, np.nan), color=colour, ls=dash, label=words)
        _draw_points(top, p)
        finite = p.bias[np.isfinite(p.bias)]
        if finite.size:
            bottom.set_ylim(max(float(finite.min()), -1.0) - 0.05, float(finite.max()) + 0.05)
        ratio = p.ratio[np.isfinite(p.ratio)]
        if ratio.size:
            top.set_ylim(max(float(ratio.min()), -1.0) - 0.05, min(float(ratio.max()), 3.0) + 0.05)
        bottom.set_ylabel(r"$\sigma_b^2 / K$ at $\chi_\perp = 1$")
        bottom.set_xlabel(r"length $K$")
        bottom.set_xscale("log")
        bottom.set_xlim(p.k[0], p.k[-1])
        bottom.legend(loc="best")
        return figure


def _draw_points(ax: Axes, p: CriticalityPicture) -> None:
    """Discs at critical K, and a triangle at the left end where the limit K = 0 is one."""
    kinds: dict[str, tuple[list[float], str, str]] = {
        "critical $K^*$": ([k for k, physical in p.points if physical], "o", BLACK),
        "needs a negative bias variance": ([k for k, real in p.points if not real], "o", "white"),
        "critical $K^* = 0$, left of the axis": ([float(p.k[0])] if p.at_zero else [], "<", BLACK),
    }
    for words, (places, mark, face) in kinds.items():
        if places:
            ax.plot(places, np.ones(len(places)), mark, ms=7, mfc=face, mec=BLACK, zorder=5,
                    clip_on=False, label=words)  # fmt: skip
    if any(places for places, _, _ in kinds.values()):
        ax.legend(loc="best")
