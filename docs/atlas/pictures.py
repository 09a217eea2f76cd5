"""The picture of an activation: graph, phase diagram, singular values of the Jacobian."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from atlas.facts import DEPTH, Facts, Spectrum
from atlas.schemes import SCHEMES
from chione.activations import AbstractActivation
from chione.plotting.saving import save
from chione.plotting.style import BLACK, BLUE, GREEN, ORANGE, VERMILLION, style
from chione.theory import critical_line
from chione.theory.meanfield.diagram_cells import Cells
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.meanfield.stable_lengths import LengthSolver
from chione.theory.moments.moments import moments

ORDER, CHAOS, EDGE = "#dce9f5", "#f0b894", "#8f8f8f"
_DECADES = 5  # of singular values that are shown
_MARKS = {"pytorch": ("s", BLUE), "xavier": ("^", GREEN), "he": ("D", VERMILLION)}


def draw(found: Facts, path: Path) -> None:
    """Write the picture as PNG."""
    with style():
        laws = found.spectra
        panels = 3 if laws else 2
        # places in inches; a layout engine would draw all text twice, half the time of a picture
        wide, tall = 3.2 * panels, 3.1
        figure = Figure(figsize=(wide, tall))
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, panels)
        figure.subplots_adjust(
            left=0.45 / wide, right=1.0 - 0.12 / wide, bottom=0.78 / tall, top=1.0 - 0.28 / tall,
            wspace=0.27,
        )  # fmt: skip
        _graph(axes[0], found.phi)
        _phases(axes[1], found)
        if laws:
            _spectrum(axes[2], laws)
    save(figure, path)


def span(phi: AbstractActivation) -> float:
    """How far the graph goes to either side: a tenth for what turns thirty times as quickly."""
    return (
        0.4 if phi.name.startswith("siren") else max(4.0, 1.3 * max(map(abs, phi.kinks), default=0))
    )


def _graph(ax: Axes, phi: AbstractActivation) -> None:
    wide = span(phi)
    z = np.linspace(-wide, wide, 2001)
    # a line is broken where it jumps, and at kinks for the derivative
    breaks = np.array([k for k in phi.kinks if abs(k) < wide])
    z = np.sort(np.concatenate([z, breaks, breaks - 1e-9 * wide, breaks + 1e-9 * wide]))
    at = np.isin(z, breaks)
    value, slope = phi.value(z), phi.derivative(z)
    value[at & np.isin(z, [k for k in breaks if phi.jump(0, k)])] = np.nan
    slope[at] = np.nan
    ax.plot(z, value, color=BLACK, label=r"$\phi(x)$")
    steep = float(np.nanmax(np.abs(slope)))
    divided = f"/{steep:g}" if wide < 1.0 else ""
    slope = slope / steep if divided else slope
    ax.plot(z, slope, color=VERMILLION, ls="--", lw=1.3, label=rf"$\phi'(x){divided}$")
    both = np.concatenate([value, slope])
    low, high = max(min(np.nanmin(both), 0.0), -6.2), min(max(np.nanmax(both), 1.0), 6.2)
    ax.set_ylim(low - 0.15 * (high - low), high + 0.3 * (high - low))
    ax.axhline(0.0, color="#bbbbbb", lw=0.6, zorder=0)
    ax.set_xlabel("pre-activation $x$")
    ax.set_title("Activation and derivative")
    ax.legend(loc="upper left", ncols=2)


def window(found: Facts) -> tuple[float, float]:
    """Largest sigma_w and sigma_b of the diagram: the critical point lies well inside."""
    if found.plain.exists:
        base = found.plain.sigma_w
    else:
        line = critical_line(found.phi, q=1.0)
        w, b = (np.ravel(x) for x in (line.sigma_w, line.sigma_b))
        base = float(w[0]) if w.size and np.isfinite(w[0] + b[0]) else 1.0
    if base < 0.2:  # of the size of one over a steep slope
        return 2.2 * base, 2.0
    wide = max(1.9, 1.8 * base)
    b = np.asarray(found.line.sigma_b)[np.asarray(found.line.sigma_w) <= 0.8 * wide]
    tall = min(max(float(np.nanmax(b)) if b.size else 1.0, 0.6), 2.0)
    return wide, max(tall, 1.5 * found.plain.sigma_b) if found.plain.exists else tall


def _phases(ax: Axes, found: Facts) -> None:
    wide, tall = window(found)
    w, b = np.linspace(wide / 400, wide, 161), np.linspace(0.0, tall, 61)
    chi, settled = phases(found.phi, w, b)
    ax.contourf(w, b, np.clip(np.nan_to_num(chi, nan=2.0), 0.0, 2.0), levels=[-1.0, 1.0, 3.0],
                colors=[ORDER, CHAOS])  # fmt: skip
    if not np.all(settled):
        away = (~settled).astype(float)
        ax.contourf(w, b, away, levels=[0.5, 2.0], colors=["white"])
        ax.contourf(w, b, away, levels=[0.5, 2.0], colors="none", hatches=["////"])
    line = found.line
    if np.size(line.q) > 1:
        unstable = np.asarray(line.chi_parallel) > 1.0 + 1e-9
        for part, dashes in ((~unstable, "-"), (unstable, (0, (3, 1.5)))):
            ax.plot(line.sigma_w, np.where(part, line.sigma_b, np.nan), color=BLACK, ls=dashes)
    elif np.size(line.q) == 1:
        ax.plot(line.sigma_w, line.sigma_b, "|", color=BLACK, ms=14, mew=2, clip_on=False, zorder=3)
    _points(ax, found, wide, tall)
    ax.set(xlim=(0.0, wide), ylim=(0.0, tall))
    ax.set_xlabel(r"weights $\sigma_w$")
    ax.set_ylabel(r"biases $\sigma_b$")
    ax.set_title("Order and chaos")
    present = [(settled & (chi <= 1.0), ORDER, "order"), (settled & ~(chi <= 1.0), CHAOS, "chaos")]
    key = [Patch(color=c, label=word) for there, c, word in present if np.mean(there) > _SEEN]
    if not np.all(settled):
        key += [Patch(fc="white", ec=EDGE, hatch="////", lw=0.0, label="lengths diverge from 1")]
    handles = [*key, *ax.get_legend_handles_labels()[0]]
    ax.figure.legend(handles=handles, loc="lower center", ncols=7, fontsize=7.5)


_SEEN = 0.005  # share of the picture below which a colour is not seen, and not in the key


def phases(phi: AbstractActivation, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """chi_perp, and whether lengths from mean square 1 settle; NaN where it is infinite."""
    lengths = LengthSolver(LengthMap(moments(phi), w**2, b**2), 1.0)(w**2)
    cells = Cells(phi, np.broadcast_to(w**2, lengths.q.shape), lengths.q, lengths.status)
    chi = np.asarray(cells.susceptibilities()["chi_perp"][0])
    return chi, np.isfinite(lengths.q) & lengths.reached


def _points(ax: Axes, found: Facts, wide: float, tall: float) -> None:
    names = {"pytorch": "PyTorch", "xavier": "Xavier", "he": "He"}
    for name in SCHEMES:
        if name not in found.rows:
            continue
        out = found.rows[name][0]
        if out.sigma_w <= wide and out.sigma_b <= tall:
            mark, colour = _MARKS[name]
            ax.plot(out.sigma_w, out.sigma_b, mark, color=colour, ms=5, mec="white", mew=0.6,
                    label=names[name], clip_on=False, zorder=4, ls="none")  # fmt: skip
    if found.plain.exists:
        ax.plot(found.plain.sigma_w, found.plain.sigma_b, "o", color=ORANGE, ms=7.5, mec=BLACK,
                mew=1.0, label="recommended", clip_on=False, zorder=3.5, ls="none")  # fmt: skip


def _spectrum(ax: Axes, laws: list[Spectrum]) -> None:
    for one, colour, dashes in zip(laws, (BLUE, VERMILLION), ("-", "--"), strict=False):
        if not one.law.support:  # all at one place
            (square, mass) = one.law.atoms[-1]
            at = 0.5 * np.log10(square)
            word = f"{one.weights} weights: {mass:.3g} at {np.sqrt(square):.3g}"
            ax.axvline(at, ymax=0.7, color=colour, ls=dashes, label=word)
            continue
        curve = one.law.curve(300)
        size = curve.log_lambda / (2.0 * np.log(10.0))
        keep = size > size.max() - _DECADES
        density = curve.density_of_log[keep] * 2.0 * np.log(10.0)
        ax.plot(size[keep], density, color=colour, ls=dashes, label=f"{one.weights} weights")
    ax.set_title(f"Jacobian of {DEPTH} layers")
    ax.set_xlabel(r"$\log_{10}$ singular value")
    ax.set_ylabel("density")
    ax.set_ylim(0.0, 1.4 * ax.get_ylim()[1])  # room for the key above the curves
    ax.legend(loc="upper left")
