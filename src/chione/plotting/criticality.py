"""Where an activation is critical: both susceptibilities against K, and the bias that K needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
    title : str
        Class of the activation.
    """

    activation: str
    k: Array
    ratio: Array
    bias: Array
    points: tuple[tuple[float, bool], ...]
    title: str


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
    points += [(float(p.k_star.value), False) for p in found.discarded]
    return CriticalityPicture(
        found.activation, k, ratio, bias, tuple(points), f"{found.activation}: {found.universality}"
    )


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
        bottom.plot(p.k, np.where(p.bias >= 0.0, p.bias, np.nan), color=GREEN, label="physical")
        bottom.plot(
            p.k, np.where(p.bias < 0.0, p.bias, np.nan), color=VERMILLION, ls="--", label="negative"
        )
        for k, physical in p.points:
            face = BLACK if physical else "white"
            top.plot(k, 1.0, "o", ms=6.5, mfc=face, mec=BLACK, zorder=5)
        finite = p.bias[np.isfinite(p.bias)]
        if finite.size:
            bottom.set_ylim(max(float(finite.min()), -1.0) - 0.05, float(finite.max()) + 0.05)
        ratio = p.ratio[np.isfinite(p.ratio)]
        if ratio.size:
            top.set_ylim(max(float(ratio.min()), -1.0) - 0.05, min(float(ratio.max()), 3.0) + 0.05)
        bottom.set_ylabel(r"$\sigma_b^2 / K$ at $\chi_\perp = 1$")
        bottom.set_xlabel(r"length $K$")
        bottom.set_xscale("log")
        bottom.legend(loc="best")
        return figure
