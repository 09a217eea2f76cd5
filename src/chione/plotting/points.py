"""Fixed points on a line, in a plane, and the laws that lead to them: all from stored numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from chione.base import Estimate, Status
from chione.plotting.style import BLACK, BLUE, GREEN, GREY, VERMILLION
from chione.theory import (
    Basins,
    Criticality,
    CriticalPoint,
    FixedPoints,
    MeanField,
    NormFixedPoint,
    NormStability,
)

_LAYERS = 60  # at most, of the decays that a mean field is drawn with


@dataclass(frozen=True)
class Place:
    """A point on a line with what lengths near it do: +1 they come, -1 they leave, 0 they stay."""

    x: float
    above: int
    below: int
    text: str
    full: bool


_SIDES = {  # stability or attraction -> what happens (above, below)
    "stable": (1, 1), "both": (1, 1), "attracts": (1, 1),
    "unstable": (-1, -1), "none": (-1, -1),
    "above": (1, -1), "below": (-1, 1),
    "half-stable from above": (1, -1), "half-stable from below": (-1, 1),
}  # fmt: skip


def draw_line_of_points(ax: Axes, places: Sequence[Place], *, label: str) -> None:
    """Points on an axis with arrows of the way that lengths go; full discs are reached."""
    positive = [p.x for p in places if p.x > 0.0]
    low = min(positive, default=1.0) / 30.0
    high = max(positive, default=1.0) * 30.0
    ax.set_xscale("symlog", linthresh=low, linscale=0.4)
    ax.set_xlim(-0.25 * low, high)
    # decades below `low` would stand on the 0
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, (last - first) // 6)
    ax.set_xticks([0.0, *(10.0**k for k in range(first, last + 1, step))])
    ax.axhline(0.0, color=GREY, lw=1.0, zorder=1)
    ordered = sorted(places, key=lambda p: p.x)
    for k, p in enumerate(ordered):
        after = ordered[k + 1].x if k + 1 < len(ordered) else high
        before = ordered[k - 1].x if k else 0.0
        if p.above:
            _arrow(ax, _between(p.x, after, low), towards_left=p.above > 0)
        if p.below and p.x > 0.0 and not (k and ordered[k - 1].above):
            _arrow(ax, _between(before, p.x, low), towards_left=p.below < 0)
        face = BLACK if p.full else "white"
        (disc,) = ax.plot(p.x, 0.0, "o", ms=8, mfc=face, mec=BLACK, mew=1.3, zorder=5)
        disc.set_clip_on(False)
        side = 1.0 if k % 2 == 0 else -1.0
        ax.annotate(
            p.text, (p.x, 0.0), (0.0, 16.0 * side), textcoords="offset points", fontsize=8,
            ha="left" if p.x == 0.0 else "center", va="bottom" if side > 0 else "top",
        )  # fmt: skip
    if not places:
        ax.text(0.5, 0.6, "no such point", ha="center", transform=ax.transAxes, color=GREY)
    ax.set_ylim(-1.0, 1.0)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(label)


def _between(a: float, b: float, low: float) -> float:
    return float(np.sqrt(max(a, 0.1 * low) * b))


def _arrow(ax: Axes, x: float, *, towards_left: bool) -> None:
    ax.plot(x, 0.0, marker="<" if towards_left else ">", ms=8, color=VERMILLION, ls="none")


def draw_fixed_points(ax: Axes, found: FixedPoints) -> None:
    """The fixed points of the length map and the way that lengths take between them."""
    places = [
        Place(
            float(p.q.value), *_SIDES.get(p.stability, (0, 0)),
            f"$q^*$ = {float(p.q.value):.4g}\n$\\chi_\\parallel$ = {_text(p.chi_parallel)}\n"
            f"$\\chi_\\perp$ = {_text(p.chi_perp)}",
            p.stability == "stable",
        )
        for p in found.points
    ]  # fmt: skip
    draw_line_of_points(ax, places, label="mean square $q$ of the pre-activations")
    word = "" if found.status == Status.OK else f": {found.status.word.replace('_', ' ')}"
    ax.set_title(f"Fixed points of the length map{word}")


def draw_criticality(ax: Axes, found: Criticality) -> None:
    """The critical lengths with the variances they ask for; discarded ones are open squares."""
    draw_line_of_points(
        ax, [_critical_place(p) for p in found.points], label="critical length $K^*$"
    )
    for p in found.discarded:
        ax.plot(float(p.k_star.value), 0.0, "s", ms=7, mfc="white", mec=GREY, zorder=4)
    ax.set_title(f"{found.activation}: {found.universality}")


def _critical_place(p: CriticalPoint) -> Place:
    text = (
        f"$K^*$ = {float(p.k_star.value):.4g}\n$\\sigma_w^2$ = {_text(p.weight_variance)}\n"
        f"$\\sigma_b^2$ = {_text(p.bias_variance)}"
    )
    return Place(float(p.k_star.value), *_SIDES.get(p.attracts, (0, 0)), text, p.is_reached)


def _text(x: Estimate) -> str:
    return f"{float(x.value):.4g}" if np.isfinite(x.value) else "none"


def draw_decays(ax: Axes, found: MeanField) -> None:
    """How far lengths and correlations are from where they settle, and the gradient, by layer.

    Each starts at 1: exponentials of the depth scales, or the power law that replaces one.
    """
    scales = [float(x.value) for x in (found.xi_q, found.xi_c) if np.isfinite(x.value)]
    depth = int(min(max(8.0 * max(scales, default=8.0), 10.0), _LAYERS))
    l = np.arange(depth + 1)
    laws = {law.quantity: law for law in found.power_laws}
    for name, xi, colour, dash, words in (
        ("q", found.xi_q, BLUE, "-", "distance of $q^l$ from $q^*$"),
        ("1 - c", found.xi_c, GREEN, "-.", "distance of $c^l$ from $c^*$"),
    ):
        law = laws.get(name, laws.get(f"{name} - {name}*"))
        if np.isfinite(xi.value):
            rate = np.exp(-l / xi.value) if xi.value > 0.0 else np.where(l == 0, 1.0, np.nan)
            text = f"{words}: $\\xi$ = {float(xi.value):.3g}"
        elif law is not None:
            rate, text = (1.0 + l) ** -law.exponent, f"{words}: $l^{{-{law.exponent:g}}}$"
        else:
            continue
        ax.plot(l, rate, color=colour, ls=dash, label=text)
    if np.isfinite(found.chi_perp.value) and found.chi_perp.value > 0.0:
        factor = np.exp(l * np.log(found.chi_perp.value))
        text = f"gradient: $\\chi_\\perp$ = {_text(found.chi_perp)} a layer"
        ax.plot(l, factor, color=VERMILLION, ls="--", label=text)
    if not ax.lines:
        ax.text(0.5, 0.5, "nothing settles: no depth scales", ha="center", transform=ax.transAxes)
    ax.set_yscale("log")
    bottom, top = ax.get_ylim()
    ax.set_ylim(max(bottom, 1e-6), min(max(top, 10.0), 1e6))
    ax.set_xlim(0, depth)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layer $l$")
    ax.set_ylabel("relative to the first layer")
    ax.set_title(
        f"{found.activation.name}, $\\sigma_w$ = {found.sigma_w:g}, $\\sigma_b$ = "
        f"{found.sigma_b:g}: {found.phase}"
    )
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best")


def draw_norm_stability(ax: Axes, found: NormStability) -> None:
    """Fixed points of mean and variance, with the directions in which their map acts."""
    for p in found.points:
        _draw_norm_point(ax, p)
    means = [float(p.mean.value) for p in found.points] or [0.0]
    variances = [float(p.variance.value) for p in found.points] or [1.0]
    wide = max(1.0, 1.6 * (max(means) - min(means)))
    middle = 0.5 * (max(means) + min(means))
    ax.set_xlim(middle - wide, middle + wide)
    ax.set_ylim(-0.15 * max(1.0, max(variances)), 1.6 * max(1.0, max(variances)))
    ax.set_xlabel(r"mean $\mu$")
    ax.set_ylabel(r"variance $\sigma^2$")
    slope = _text(found.second_moment_slope)
    ax.set_title(f"{found.activation}: slope of the norm {slope}")


def _draw_norm_point(ax: Axes, p: NormFixedPoint) -> None:
    x, y = float(p.mean.value), float(p.variance.value)
    attracts = p.stability == "attracts"
    face = BLACK if attracts else "white"
    (disc,) = ax.plot(x, y, "o" if attracts else "s", ms=8, mfc=face, mec=VERMILLION, mew=1.5)
    disc.set_clip_on(False)
    sizes = ", ".join(f"{abs(v):.3g}" for v in p.eigenvalues)
    near = x if abs(x) > p.mean.error else 0.0  # a zero but for rounding
    text = f"({near:.3g}, {y:.3g}) {p.stability}\n$|\\lambda|$ = {sizes}"
    ax.annotate(text, (x, y), (9, 7), textcoords="offset points", fontsize=8)


def draw_basins(ax: Axes, found: Basins) -> None:
    """Which fixed point each start leads to."""
    shown = np.ma.masked_less(found.target.astype(np.float64), 0.0)
    count = max(int(found.target.max(initial=0)) + 1, 2)
    mesh = ax.pcolormesh(
        found.means, found.variances, shown, cmap="cividis", vmin=-0.5, vmax=count - 0.5,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    ax.patch.set(facecolor="#e6e6e6", hatch="////", edgecolor="#b5b5b5")
    figure = ax.get_figure(root=True)
    if figure is not None:
        bar = figure.colorbar(mesh, ax=ax, ticks=range(count))
        bar.set_label("fixed point that is reached; hatched: none")
    ax.set_xlabel(r"mean $\mu$ at the start")
    ax.set_ylabel(r"variance $\sigma^2$ at the start")
