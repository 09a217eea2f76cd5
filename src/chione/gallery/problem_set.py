"""Two plots that problem set 1 asks for, each in full: questions 3(e) and 5(d)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from chione import theory
from chione.base import Array
from chione.gallery import plain
from chione.gallery.drawing import B_AXIS, W_AXIS, finish
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.plotting import COLOURS, new_figure, style

_REGIMES = (("i", 0.8, 0.0), ("ii", 1.5, 0.0), ("iii", 1.5, 0.5))
_STARTS = (1.8, 0.05)
_LEVELS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
_LARGEST_Q = 60.0


def _staircase(w: float, b: float, start: float, layers: int) -> tuple[Array, Array]:
    """The path q, V(q), V(V(q)), ... as corners between the map and the diagonal."""
    x, y, q = [start], [start], start
    for _ in range(layers):
        after = float(theory.length_map("tanh", q, sigma_w=w, sigma_b=b).value)
        x += [q, after]
        y += [after, after]
        q = after
    return np.array(x), np.array(y)


def length_maps(quick: bool) -> Reproduction:
    """3(e): the length map of tanh in three regimes, with paths and fixed points."""
    q = np.linspace(0.0, 2.0, 101 if quick else 401)
    maps = np.array(
        [theory.length_map("tanh", q, sigma_w=w, sigma_b=b).value for _, w, b in _REGIMES]
    )
    found = [theory.fixed_points("tanh", sigma_w=w, sigma_b=b).points for _, w, b in _REGIMES]
    with style():
        figure = new_figure(11.0, 3.9)
        axes = figure.subplots(1, 3, sharex=True, sharey=True)
        for ax, (name, w, b), image, points in zip(axes, _REGIMES, maps, found, strict=True):
            ax.plot(q, q, color="#8a8a8a", lw=1.0, ls=(0, (4, 2)), label="$q^l = q^{l-1}$")
            line(ax, q, image, 0, "length map")
            for k, start in enumerate(_STARTS):
                x, y = _staircase(w, b, start, 12)
                label = "twelve layers" if k == 0 else None
                ax.plot(x, y, color=COLOURS[1], lw=0.9, label=label, zorder=2)
            for kind, face in (("stable", "#1a1a1a"), ("unstable", "white")):
                at = [float(p.q.value) for p in points if p.stability == kind]
                if at:
                    ax.plot(at, at, "o", ms=7, mfc=face, mec="#1a1a1a", label=kind, zorder=4,
                            clip_on=False)  # fmt: skip
            ax.set(xlim=(0.0, 2.0), ylim=(0.0, 2.0))
            title = rf"({name}) $\sigma_w={w}$, $\sigma_b={b}$"
            finish(ax, title, "mean square $q^{l-1}$", "$q^l$", "upper left")
    counts = np.array([len(p) for p in found], dtype=np.float64)
    largest = np.array([max(float(p.q.value) for p in points) for points in found])
    data = {
        "regime": Variable(("regime",), np.array([r[0] for r in _REGIMES]), "regime of 3(e)"),
        "sigma_w": Variable(("regime",), np.array([r[1] for r in _REGIMES]), "of the weights"),
        "sigma_b": Variable(("regime",), np.array([r[2] for r in _REGIMES]), "of the biases"),
        "q": Variable(("q",), q, "mean square"),
        "length_map": Variable(("regime", "q"), maps, "mean square in the next layer"),
        "fixed_points": Variable(("regime",), counts, "number of fixed points"),
        "largest_fixed_point": Variable(("regime",), largest, "the largest one, which attracts"),
    }
    k = q.size // 2
    sums = [w * w * plain.average(lambda h: np.tanh(h) ** 2, q[k]) + b * b for _, w, b in _REGIMES]
    settled = [plain.settled_length(np.tanh, w, b) for _, w, b in _REGIMES[1:]]
    checks = (
        worst("the maps at q = 1, by plain sums", maps[:, k], sums, 1e-12),
        worst("number of fixed points in the three regimes", counts, [1.0, 2.0, 1.0], 0.0),
        worst("the stable points of (ii) and (iii), by a thousand layers of plain sums",
              largest[1:], settled, 1e-10),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _level(chi: float, points: int) -> tuple[Array, Array, Array]:
    """The line of one chi: q, sigma_w and sigma_b, from where it leaves the axis sigma_b = 0.

    sigma_w^2 = chi / E phi'^2 and sigma_b^2 = q - sigma_w^2 E phi^2: no iteration. Above chi = 1
    the second is negative at small q, so that the line begins at its root.
    """

    def weights(q: Any) -> Any:
        return chi / np.asarray(theory.derivative_second_moment("tanh", q).value)

    def biases(q: Any) -> Any:
        return q - weights(q) * np.asarray(theory.second_moment("tanh", q).value)

    first = 1e-8
    if chi > 1.0:
        first = float(brentq(lambda q: float(biases(q)), 1e-3, _LARGEST_Q, xtol=1e-14))
    q = np.geomspace(first, _LARGEST_Q, points)
    return q, np.sqrt(weights(q)), np.sqrt(np.maximum(biases(q), 0.0))


def lines_of_chi(quick: bool) -> Reproduction:
    """5(d): chi of tanh over sigma_w and sigma_b, with its level lines; chi = 1 stands out."""
    w = np.linspace(0.05, 3.0, 25 if quick else 121)
    b = np.linspace(0.0, 1.5, 13 if quick else 61)
    diagram = theory.phase_diagram("tanh", sigma_w=w, sigma_b=b)
    chi = np.asarray(diagram.chi_perp)
    chi = chi if chi.shape == (b.size, w.size) else chi.T
    lines = [_level(level, 60 if quick else 400) for level in _LEVELS]
    with style():
        figure = new_figure(6.4, 4.4)
        ax = figure.add_subplot()
        shown = ax.pcolormesh(w, b, chi, cmap="cividis", vmin=0.0, vmax=2.0, shading="gouraud",
                              rasterized=True)  # fmt: skip
        figure.colorbar(shown, ax=ax, label=r"$\chi$")
        for level, (_, x, y) in zip(_LEVELS, lines, strict=True):
            critical = level == 1.0
            ax.plot(x, y, color="white", lw=3.0 if critical else 1.0,
                    ls="-" if critical else (0, (5, 2)), zorder=3)  # fmt: skip
            _label(ax, x, y, rf"$\chi = {level:g}$" if critical else f"{level:g}")
        ax.set(xlim=(0.05, 3.0), ylim=(0.0, 1.5))
        finish(ax, r"$\chi$ of tanh; the thick line is $\chi = 1$", W_AXIS, B_AXIS, None)
    data = {
        "sigma_w": Variable(("column",), w, "standard deviation of the weights"),
        "sigma_b": Variable(("row",), b, "standard deviation of the biases"),
        "chi": Variable(("row", "column"), chi, "chi at the stable q*"),
        "level": Variable(("level",), np.array(_LEVELS), "chi of the lines"),
        "line_q": Variable(("level", "point"), np.array([x[0] for x in lines]), "q* on the lines"),
        "line_w": Variable(("level", "point"), np.array([x[1] for x in lines]), "their sigma_w"),
        "line_b": Variable(("level", "point"), np.array([x[2] for x in lines]), "their sigma_b"),
    }
    return Reproduction(figure, data, (*_cells(w, b, chi), *_ends(lines)))


def _label(ax: Any, x: Array, y: Array, text: str) -> None:
    """The level, on the line where it has climbed two thirds of the picture."""
    k = int(np.argmin(np.hypot((x - 3.0 * 0.6) / 3.0 * 0.2, y - 1.0)))
    ax.annotate(text, (x[k], y[k]), fontsize=8, ha="center", va="center", zorder=4,
                bbox={"fc": "white", "ec": "none", "pad": 1.0})  # fmt: skip


def _cells(w: Array, b: Array, chi: Array) -> tuple[Check, ...]:
    """A cell of either phase by a thousand layers of plain sums."""
    found, expected = [], []
    for i, k in ((b.size // 3, w.size // 4), (b.size // 3, w.size - 2), (b.size - 1, w.size // 2)):
        q = plain.settled_length(np.tanh, float(w[k]), float(b[i]))
        found.append(chi[i, k])
        expected.append(w[k] ** 2 * plain.average(lambda h: np.cosh(h) ** -4.0, q))
    return (worst("chi in three cells, by plain sums", found, expected, 1e-9),)


def _ends(lines: list[tuple[Array, Array, Array]]) -> tuple[Check, ...]:
    """Each line ends on the axis sigma_b = 0, and its chi and q* are those of plain sums."""
    starts = [float(y[0]) for _, _, y in lines]
    found, expected = [], []
    for level, (q, x, y) in zip(_LEVELS, lines, strict=True):
        k = int(np.argmin(abs(q - 1.5)))
        at = plain.settled_length(np.tanh, float(x[k]), float(y[k]))
        found.append(level)
        expected.append(x[k] ** 2 * plain.average(lambda h: np.cosh(h) ** -4.0, at))
    return (
        worst("every line begins on the axis", starts, 0.0, 2e-4),
        worst("chi on the lines, by a thousand layers of plain sums", found, expected, 1e-9),
    )


ENTRIES = (
    Entry("problem-set-3e", "Depth First Learning, problem set 1, question 3(e)",
          "Length maps of tanh in three regimes",
          "(i) all lengths fall to 0; (ii) 0 repels and a positive length attracts; (iii) biases "
          "leave one positive length, which attracts. Full discs are stable, open ones unstable.",
          length_maps),
    Entry("problem-set-5d", "Depth First Learning, problem set 1, question 5(d)",
          "Lines of equal chi of tanh",
          "Below the thick line gradients vanish, beyond it they explode; it starts at (1, 0).",
          lines_of_chi),
)  # fmt: skip
