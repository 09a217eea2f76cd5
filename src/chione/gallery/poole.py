"""Poole et al. 2016, figures 1 and 2: lengths and correlations of tanh networks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from matplotlib.colors import BoundaryNorm

from chione import theory
from chione.activations import activation
from chione.base import Array
from chione.gallery import plain
from chione.gallery.drawing import B_AXIS, W_AXIS, finish, name_marks, points
from chione.gallery.drawing import theory as line
from chione.gallery.edges import chi_lines
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.networks import MLP
from chione.plotting import COLOURS, new_figure, style
from chione.simulation import SimulationResult, correlated_inputs, simulate

_W = np.array([1.3, 2.5, 4.0])
_B = 0.3
_LABELS = tuple(rf"$\sigma_w = {w}$" for w in _W)


def _width(quick: bool) -> tuple[int, int]:
    """Units of a layer (the source has 1000) and networks."""
    return (500, 60) if quick else (1000, 60)


@cache
def _q_star(sigma_w: float) -> float:
    return float(theory.fixed_points("tanh", sigma_w=sigma_w, sigma_b=_B).points[-1].q.value)


def _length_run(starts: Array, w: float, quick: bool, seed: int) -> SimulationResult:
    n, networks = _width(quick)
    rows = correlated_inputs(n, np.diag((starts - _B**2) / w**2), seed=seed)
    net = MLP(activation("tanh"), w, _B, 12, n)
    return simulate(net, rows, n_networks=networks, seed=seed, observe=("lengths",))


# ---- figure 1 ------------------------------------------------------------------------------


def figure_1(quick: bool) -> Reproduction:
    """Lengths."""
    q = np.linspace(0.0, 15.0, 121)
    maps = np.array([theory.length_map("tanh", q, sigma_w=w, sigma_b=_B).value for w in _W])
    starts = np.array([0.15, 2.0, 8.0, 15.0])  # mean squares of the first layer
    runs = [_length_run(starts, float(w), quick, seed=1 + i) for i, w in enumerate(_W)]
    sim = np.array([r.mean["lengths"] for r in runs])  # (3, 12, 4)
    err = np.array([r.stderr["lengths"] for r in runs])
    curves = np.array([_lengths(w, starts, 12) for w in _W])
    w_grid = np.linspace(0.1, 4.1, 161)
    b_grid = np.linspace(0.02, 2.0, 25 if quick else 100)
    columns = w_grid[:: 8 if quick else 1]  # of panel D
    steps = _steps_to_one_percent(columns, b_grid)
    levels, level_w, level_b = _length_levels()
    with style():
        figure = new_figure(9.0, 7.2)
        axes = figure.subplots(2, 2)
        _draw_length_map(axes[0, 0], q, maps, sim, err)
        _draw_dynamics(axes[0, 1], curves, sim, err, r"mean square $q^l$", "B  Lengths over depth")
        _draw_levels(axes[1, 0], level_w, level_b, levels,
                     "C  Level lines of the fixed point $q^*$", right=4.2)  # fmt: skip
        _draw_steps(axes[1, 1], columns, b_grid, steps)
        for ax in axes[1]:
            for i, w in enumerate(_W):
                ax.plot(w, _B, "o", ms=7, color=COLOURS[i], mec="white")
    data = {
        "sigma_w": Variable(("network",), _W, "weights of panels A and B"),
        "q": Variable(("q",), q, "mean square"),
        "length_map": Variable(("network", "q"), maps, "mean square in the next layer"),
        "start": Variable(("start",), starts, "mean square of the first layer"),
        "lengths": Variable(("network", "layer", "start"), curves, "mean square, theory"),
        "lengths_simulated": Variable(("network", "layer", "start"), sim, "the same, simulated"),
        "lengths_stderr": Variable(("network", "layer", "start"), err, "its standard error"),
        "level_q_star": Variable(("level",), levels, "q* of the lines of panel C"),
        "level_sigma_w": Variable(("level", "point"), level_w, "sigma_w along the lines"),
        "level_sigma_b": Variable(("level", "point"), level_b, "sigma_b along the lines"),
        "steps_sigma_w": Variable(("step_column",), columns, "sigma_w of panel D"),
        "grid_sigma_b": Variable(("row",), b_grid, "sigma_b of panel D"),
        "steps": Variable(("row", "step_column"), steps, "layers until within one per cent of q*"),
    }
    point = float(levels[1]), float(level_w[1, 40]), float(level_b[1, 40])
    return Reproduction(figure, data, _length_checks(curves, sim, err, point, quick))


def _length_checks(
    curves: Array, sim: Array, err: Array, point: tuple[float, float, float], quick: bool
) -> tuple[Check, ...]:
    """`point` is a level of q* and the sigmas of a point of its line."""
    found = [_q_star(float(w)) for w in _W]
    expected = [plain.settled_length(np.tanh, float(w), _B) for w in _W]
    n = _width(quick)[0]
    # lengths of finite networks differ in the mean by a few q / n, beside their standard error
    tolerance = 4.5 * err + 3.0 * curves / n
    level, w, b = point
    settled = plain.settled_length(np.tanh, w, b)
    return (
        worst("q* against a thousand layers of plain sums", found, expected, 1e-10),
        worst("simulated lengths against the length map", sim, curves, tolerance),
        Check("a point on a level line of q*", settled, level, 1e-9),
    )


def _lengths(w: float, starts: Array, depth: int) -> Array:
    """Mean squares of layers 1..depth, (depth, starts)."""
    rows = [starts]
    for _ in range(depth - 1):
        image = theory.length_map("tanh", rows[-1], sigma_w=w, sigma_b=_B)
        rows.append(np.asarray(image.value))
    return np.array(rows)


def _draw_length_map(ax: Any, q: Array, maps: Array, sim: Array, err: Array) -> None:
    ax.plot(q, q, color="#8a8a8a", lw=1.0, ls=(0, (4, 2)))
    for i, label in enumerate(_LABELS):
        line(ax, q, maps[i], i, label)
        x, y = sim[i, :3].ravel(), sim[i, 1:4].ravel()
        shown = x <= 15
        points(ax, x[shown], y[shown], err[i, 1:4].ravel()[shown], i)
        ax.plot(_q_star(float(_W[i])), _q_star(float(_W[i])), "*", ms=11, color=COLOURS[i])
    ax.plot([], [], "*", ms=9, color="#8a8a8a", label="fixed point $q^*$")
    name_marks(ax, "simulated networks")
    ax.set(xlim=(0, 15), ylim=(0, 15))
    text = "in the next layer $q^{l+1}$"
    finish(ax, r"A  Length map at $\sigma_b = 0.3$", "mean square $q^l$", text, "upper left")


def _draw_dynamics(ax: Any, curves: Array, sim: Array, err: Array, y: str, title: str) -> None:
    layers = np.arange(1, curves.shape[1] + 1)
    for i, label in enumerate(_LABELS):
        for k in range(curves.shape[2]):
            line(ax, layers, curves[i, :, k], i, label if k == 0 else None)
            points(ax, layers[::2], sim[i, ::2, k], err[i, ::2, k], i)
    name_marks(ax, "simulated networks")
    ax.set_ylim(0.0, 1.25 * float(curves.max()))
    finish(ax, title, "layer $l$", y, "upper right")


def _steps_to_one_percent(w: Array, b: Array) -> Array:
    """Layers until q is within one per cent of q* from q = 1, shape (rows, columns)."""
    w2, b2 = (w**2)[None, :], (b**2)[:, None]
    orbit = [np.ones((b.size, w.size))]
    for _ in range(200):  # the slowest cell, near (1, 0.02), is within 1e-4 by then
        square = np.asarray(theory.second_moment("tanh", orbit[-1]).value)
        orbit.append(w2 * square + b2)
    away = abs(np.array(orbit) / orbit[-1] - 1.0) > 0.01
    last = away.shape[0] - np.argmax(away[::-1], axis=0)  # one past the last layer that is away
    return np.where(away.any(axis=0), last, 0).astype(np.float64)


def _length_levels() -> tuple[Array, Array, Array]:
    """Lines of equal q*: sigma_b^2 = q - sigma_w^2 E phi^2, from sigma_w = 0 to sigma_b = 0.

    It is the equation of an ellipse, so that an angle runs along the line to both of its ends.
    """
    levels = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 15.0])
    square = np.asarray(theory.second_moment("tanh", levels).value)
    angle = np.linspace(0.0, 0.5 * np.pi, 91)
    w = np.sqrt(levels / square)[:, None] * np.sin(angle)
    b = np.sqrt(levels)[:, None] * np.cos(angle)
    b[:, -1] = 0.0  # the cosine of pi / 2 is rounded
    return levels, w, b


def _draw_steps(ax: Any, w: Array, b: Array, steps: Array) -> None:
    """Counts of layers: each of the few has a colour, the many share what is left."""
    bounds = np.array([0, 1, 2, 3, 4, 5, 7, 10, 15, 25, 50, 200]) + 0.5
    bounds = bounds[: 1 + int(np.argmax(bounds > steps.max()))]
    first = int(np.argmax(bounds >= steps.min()))
    bounds = bounds[max(0, first - 1) :]
    mesh = ax.pcolormesh(w, b, steps, cmap="cividis", norm=BoundaryNorm(bounds, 256),
                         rasterized=True)  # fmt: skip
    bar = ax.figure.colorbar(mesh, ax=ax, label="layers until within 1 %: up to", spacing="uniform")
    bar.set_ticks(bounds[1:] - 0.5)  # the largest count of each colour
    bar.minorticks_off()
    finish(ax, "D  Layers to reach $q^*$ from $q=1$", W_AXIS, B_AXIS, None)


def _label_line(ax: Any, x: Array, y: Array, text: str) -> None:
    """Write the level in the middle of the part of a line that is drawn."""
    shown = np.flatnonzero(np.isfinite(y) & (y <= 1.95) & (y > 0.3))
    if shown.size:
        i = shown[shown.size // 2]
        ax.annotate(text, (x[i], y[i]), fontsize=7.5, ha="center", va="center",
                    bbox={"fc": "white", "ec": "none", "pad": 0.6})  # fmt: skip


# ---- figure 2 ------------------------------------------------------------------------------


def figure_2(quick: bool) -> Reproduction:
    """Correlations."""
    c = np.linspace(0.0, 1.0, 21 if quick else 61)
    maps = np.array([_correlations(float(w), c) for w in _W])
    gram = np.array([[1.0, 0.1, 0.6, 0.95], [0.1, 1.0, 0.06, 0.095],
                     [0.6, 0.06, 1.0, 0.57], [0.95, 0.095, 0.57, 1.0]])  # fmt: skip
    starts, pairs = np.array([0.1, 0.6, 0.95]), [0, 1, 2]  # pairs of input 0 with the others
    depth = 12
    # lengths start where they settle, so that the fixed-length map holds from the first layer
    runs = [_correlation_run(gram, float(w), depth, quick, 10 + i) for i, w in enumerate(_W)]
    sim = np.array([r.mean["correlations"][:, pairs] for r in runs])
    err = np.array([r.stderr["correlations"][:, pairs] for r in runs])
    curves = np.array([_correlation_curves(float(w), starts, depth) for w in _W])
    q = np.geomspace(1e-4, 25.0, 16 if quick else 32)
    c_levels, chi_levels = (
        np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.95]),
        np.array([0.5, 1.0, 1.5, 2.0, 2.5]),
    )
    cw, cb = _correlation_levels(q, c_levels)
    xw, xb = chi_lines("tanh", chi_levels)
    with style():
        figure = new_figure(9.0, 7.2)
        axes = figure.subplots(2, 2)
        axes[0, 0].plot(c, c, color="#8a8a8a", lw=1.0, ls=(0, (4, 2)))
        for i, label in enumerate(_LABELS):
            line(axes[0, 0], c, maps[i], i, label)
        name_marks(axes[0, 0], "simulated networks, in B")
        finish(axes[0, 0], r"A  Correlation map at $\sigma_b = 0.3$", "correlation $c^l$",
               "in the next layer $c^{l+1}$")  # fmt: skip
        _draw_dynamics(axes[0, 1], curves, sim, err, "correlation $c^l$",
                       "B  Correlations over depth")  # fmt: skip
        axes[0, 1].set_ylim(-0.05, 1.05)
        axes[0, 1].get_legend().remove()  # panel A has the same one
        _draw_levels(axes[1, 0], cw, cb, c_levels, "C  Level lines of $c^*$ (chaotic side)")
        _draw_levels(axes[1, 1], xw, xb, chi_levels, r"D  Level lines of $\chi_1$; 1 is dashed")
        for ax in axes[1]:
            ax.plot(xw[1], xb[1], color="#1a1a1a", ls="--", lw=2.0)
            for i, w in enumerate(_W):
                ax.plot(w, _B, "o", ms=7, color=COLOURS[i], mec="white")
    data = {
        "sigma_w": Variable(("network",), _W, "weights of panels A and B"),
        "c": Variable(("c",), c, "correlation"),
        "correlation_map": Variable(("network", "c"), maps, "correlation in the next layer"),
        "start": Variable(("start",), starts, "correlation of the inputs"),
        "correlations": Variable(("network", "layer", "start"), curves, "theory"),
        "correlations_simulated": Variable(("network", "layer", "start"), sim, "simulated"),
        "correlations_stderr": Variable(("network", "layer", "start"), err, "standard error"),
        "level_c_star": Variable(("level_c",), c_levels, "c* of the lines of panel C"),
        "c_star_q": Variable(("q",), q, "q* along the lines of panel C"),
        "c_star_sigma_w": Variable(("level_c", "q"), cw, "sigma_w along these lines"),
        "c_star_sigma_b": Variable(("level_c", "q"), cb, "sigma_b along these lines"),
        "level_chi": Variable(("level_chi",), chi_levels, "chi_1 of the lines of panel D"),
        "chi_sigma_w": Variable(("level_chi", "point"), xw, "sigma_w along these lines"),
        "chi_sigma_b": Variable(("level_chi", "point"), xb, "sigma_b along these lines"),
    }
    checks = _correlation_checks(curves, sim, err, q, c_levels, cw, cb, quick)
    return Reproduction(figure, data, checks)


def _correlations(w: float, c: Array) -> Array:
    image = theory.correlation_map("tanh", c, q=_q_star(w), sigma_w=w, sigma_b=_B)
    return np.asarray(image.value)


def _correlation_curves(w: float, starts: Array, depth: int) -> Array:
    """Correlations of layers 1..depth when every layer has the settled length."""
    q = _q_star(w)
    rows = [(starts * (q - _B**2) + _B**2) / q]
    for _ in range(depth - 1):
        rows.append(_correlations(w, rows[-1]))
    return np.array(rows)


def _correlation_run(gram: Array, w: float, depth: int, quick: bool, seed: int) -> SimulationResult:
    n, networks = _width(quick)
    scale = (_q_star(w) - _B**2) / w**2
    rows = correlated_inputs(n, scale * gram, seed=seed)
    net = MLP(activation("tanh"), w, _B, depth, n)
    return simulate(net, rows, n_networks=networks, seed=seed, observe=("correlations",))


def _correlation_levels(q: Array, c: Array) -> tuple[Array, Array]:
    """(q*, c*) -> sigmas: sigma_w^2 = q (1 - c) / (E phi^2 - E phi phi), no iteration."""
    square = np.asarray(theory.second_moment("tanh", q).value)
    pair = np.array([np.asarray(theory.kernel("tanh", q, q, float(x)).value) for x in c])
    w2 = q * (1.0 - c[:, None]) / (square - pair)
    return _physical(w2, q - w2 * square)


def _physical(w2: Array, b2: Array) -> tuple[Array, Array]:
    good = b2 >= 0.0
    return np.where(good, np.sqrt(w2), np.nan), np.sqrt(np.where(good, b2, np.nan))


def _draw_levels(
    ax: Any, w: Array, b: Array, levels: Array, title: str, right: float = 5.0
) -> None:
    for i, level in enumerate(levels):
        ax.plot(w[i], b[i], color="#1a1a1a", lw=0.9)
        _label_line(ax, w[i], np.where(w[i] < right - 0.1, b[i], np.nan), f"{level:g}")
    ax.set(xlim=(0, right), ylim=(0, 2))
    finish(ax, title, W_AXIS, B_AXIS, None)


def _correlation_checks(
    curves: Array, sim: Array, err: Array, q: Array, c: Array, cw: Array, cb: Array, quick: bool
) -> tuple[Check, ...]:
    networks = _width(quick)[1]
    k = int(np.flatnonzero(np.isfinite(cw[3]))[-1])  # the line of c* = 0.6, its longest q
    w, b = float(cw[3, k]), float(cb[3, k])
    settled = plain.settled_correlation(np.tanh, float(q[k]), w, b)
    slope = [theory.chi_perp("tanh", _q_star(float(v)), sigma_w=float(v)).value for v in _W]
    sech4 = [v**2 * plain.average(lambda h: np.cosh(h) ** -4.0, _q_star(float(v))) for v in _W]
    return (
        Check("a point on the line c* = 0.6 against plain sums", settled, float(c[3]), 1e-7),
        worst("chi_1 against plain sums", slope, sech4, 1e-10),
        # finite widths bias correlations by at most a few times their variance over networks,
        # networks * err^2, which is itself of order 1 / n
        worst("simulated correlations", sim, curves, 4.5 * err + 3.0 * networks * err**2),
    )


ENTRIES = (
    Entry("poole-figure-1", "Poole et al. 2016, figure 1; lecture 5 of C6.5",
          "Length map of tanh, its dynamics and fixed points",
          "Lengths of tanh networks settle within a few layers, wherever they start. Lines are "
          "theory, points are networks with standard errors, stars are fixed points. Panel C "
          "draws lines of equal q*, which have an explicit formula; D counts layers.",
          figure_1),
    Entry("poole-figure-2", "Poole et al. 2016, figure 2; lecture 5 of C6.5",
          "Correlation map of tanh, c* and chi_1",
          "Two inputs become alike on the ordered side (chi_1 below 1) and keep a distance on the "
          "chaotic side. Panels C and D draw lines of equal c* and chi_1; the dashed line chi_1 = "
          "1 parts the phases.",
          figure_2),
)  # fmt: skip
