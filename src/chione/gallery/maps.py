"""Maps of other activations: Murray et al. 2021, and the plots of the problem set."""

from __future__ import annotations

import numpy as np

from chione import theory
from chione.gallery import plain
from chione.gallery.drawing import B_AXIS, W_AXIS, finish
from chione.gallery.drawing import theory as line
from chione.gallery.edges import chi_lines, edge
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.plotting import new_figure, style

_CASES = (("relu", 1.2, 0.5), ("relu", 1.6, 0.5), ("elu", 1.2, 0.3), ("tanh", 1.5, 0.3),
          ("squared_relu", 0.8, 0.3), ("sigmoid", 3.0, 0.3))  # fmt: skip
_CRITICAL = ("relu", "leaky_relu", "elu", "tanh", "erf", "softsign")


def fixed_points(quick: bool) -> Reproduction:
    """Length maps with one fixed point, with several, and with none."""
    q = np.linspace(0.0, 5.0, 201)
    images = np.array([theory.length_map(a, q, sigma_w=w, sigma_b=b).value for a, w, b in _CASES])
    found = [theory.fixed_points(a, sigma_w=w, sigma_b=b) for a, w, b in _CASES]
    with style():
        figure = new_figure(9.6, 6.0)
        axes = figure.subplots(2, 3).ravel()
        for i, (name, w, b) in enumerate(_CASES):
            axes[i].plot(q, q, color="#8a8a8a", lw=1.0, ls=(0, (4, 2)))
            line(axes[i], q, images[i], 0)
            for p in found[i].points:
                face = "#1a1a1a" if p.stability == "stable" else "white"
                axes[i].plot(float(p.q.value), float(p.q.value), "o", ms=7, mfc=face,
                             mec="#1a1a1a", clip_on=False, zorder=4)  # fmt: skip
            axes[i].set(xlim=(0, 5), ylim=(0, 5))
            finish(axes[i], rf"{name}, $\sigma_w={w}$, $\sigma_b={b}$", "mean square $q^l$",
                   "$q^{l+1}$", None)  # fmt: skip
        for face, words in (("#1a1a1a", "stable"), ("white", "unstable")):
            axes[4].plot([], [], "o", ms=6, mfc=face, mec="#1a1a1a", label=words)
        axes[4].legend(loc="lower right")
    first = [float(f.points[0].q.value) if f.points else np.nan for f in found]
    data = {
        "case": Variable(("case",), np.array([f"{a} {w} {b}" for a, w, b in _CASES]), "network"),
        "q": Variable(("q",), q, "mean square"),
        "image": Variable(("case", "q"), images, "mean square in the next layer"),
        "first_fixed_point": Variable(("case",), np.array(first), "smallest fixed point, or NaN"),
        "count": Variable(("case",), np.array([len(f.points) for f in found]), "how many"),
    }
    # E relu2^2 = E max(h, 0)^4 = 3 q^2 / 2, so q = (3/2) w^2 q^2 + b^2 is a quadratic
    roots = np.sort(np.roots([1.5 * 0.8**2, -1.0, 0.3**2]).real)
    squared = [float(p.q.value) for p in found[4].points]
    checks = (
        Check("relu below sqrt 2: q* = b^2 / (1 - w^2 / 2)", first[0], 0.25 / (1 - 0.72), 1e-12),
        Check("relu above sqrt 2: lengths diverge", float(len(found[1].points)), 0.0, 0.0),
        worst("max(x, 0)^2: both roots of the quadratic", squared, roots, 1e-11),
        Check("tanh, by plain sums", first[3], plain.settled_length(np.tanh, 1.5, 0.3), 1e-10),
    )
    return Reproduction(figure, data, checks)


def correlations(quick: bool) -> Reproduction:
    """Correlation functions with slope 1 at 1."""
    c = np.linspace(-1.0, 1.0, 21 if quick else 81)
    q = 0.8
    maps = []
    for name in _CRITICAL:
        w, b = (float(x[0]) for x in edge(name, np.array([q])))
        maps.append(np.asarray(theory.correlation_map(name, c, q=q, sigma_w=w, sigma_b=b).value))
    r = np.array(maps)
    with style():
        figure = new_figure(5.4, 4.6)
        ax = figure.add_subplot()
        ax.plot(c, c, color="#8a8a8a", lw=1.0, ls=(0, (4, 2)))
        for i, name in enumerate(_CRITICAL):
            line(ax, c, r[i], i, name)
        finish(ax, "Correlation functions at $R'(1) = 1$", r"correlation $\rho$", r"$R(\rho)$")
    data = {
        "activation": Variable(("activation",), np.array(_CRITICAL), "activation"),
        "rho": Variable(("rho",), c, "correlation"),
        "map": Variable(("activation", "rho"), r, f"correlation in the next layer, q* = {q}"),
    }
    angle = np.arccos(c)
    arc = (np.sin(angle) + (np.pi - angle) * c) / np.pi  # relu: Cho & Saul 2009
    checks = (
        worst("R(1) = 1", r[:, -1], 1.0, 1e-13),
        worst("relu: arc-cosine formula", r[0], arc, 1e-13),
        worst("on the edge nothing falls below the diagonal", np.minimum(r - c, 0.0), 0.0, 1e-13),
        Check("tanh at rho = 0, by plain sums", float(r[3][c.size // 2]), _tanh_at_zero(q), 1e-9),
    )
    return Reproduction(figure, data, checks)


def _tanh_at_zero(q: float) -> float:
    """Odd functions of independent inputs average to nothing: R(0) = sigma_b^2 / q."""
    w2 = 1.0 / plain.average(lambda h: np.cosh(h) ** -4.0, q)
    return (q - w2 * plain.average(lambda h: np.tanh(h) ** 2, q)) / q


def problem_set(quick: bool) -> Reproduction:
    """The plots that problem set 1 asks for."""
    regimes = ((0.8, 0.0), (1.5, 0.0), (1.5, 0.5))
    q = np.linspace(0.0, 2.0, 201)
    tanh = np.array([theory.length_map("tanh", q, sigma_w=w, sigma_b=b).value for w, b in regimes])
    slopes = (1.0, np.sqrt(2.0), 1.8)
    relu = np.array([theory.length_map("relu", q, sigma_w=w).value for w in slopes])
    levels = np.array([0.5, 0.8, 1.0, 1.2, 1.5, 2.0])
    lw, lb = chi_lines("tanh", levels)
    with style():
        figure = new_figure(11.0, 3.9)
        axes = figure.subplots(1, 3)
        for ax in axes[:2]:
            ax.plot(q, q, color="#8a8a8a", lw=1.0, ls=(0, (4, 2)))
        for i, (w, b) in enumerate(regimes):
            line(axes[0], q, tanh[i], i, rf"({'i' * (i + 1)}) $\sigma_w={w}$, $\sigma_b={b}$")
            line(axes[1], q, relu[i], i, rf"$\sigma_w={slopes[i]:.3g}$, $\sigma_b=0$")
        finish(axes[0], "3(e) tanh in three regimes", "mean square $q^{l-1}$", "$q^l$")
        finish(axes[1], "3(d) ReLU", "mean square $q^{l-1}$", "$q^l$")
        for i, level in enumerate(levels):
            line(axes[2], lw[i], lb[i], i, rf"$\chi = {level:g}$")
        axes[2].set(xlim=(0, 4.2), ylim=(0, 2))
        finish(axes[2], r"5(d) lines of equal $\chi$", W_AXIS, B_AXIS)
    stars = np.array([_stable(w, b) for w, b in regimes])
    data = {
        "q": Variable(("q",), q, "mean square"),
        "tanh": Variable(("regime", "q"), tanh, "tanh: mean square in the next layer"),
        "q_star": Variable(("regime",), stars, "stable fixed point of each regime"),
        "relu": Variable(("weights", "q"), relu, "ReLU: mean square in the next layer"),
        "chi": Variable(("level",), levels, "chi of the lines"),
        "sigma_w": Variable(("level", "point"), lw, "sigma_w along the lines"),
        "sigma_b": Variable(("level", "point"), lb, "sigma_b along the lines"),
    }
    expected = [0.0, *(plain.settled_length(np.tanh, w, b) for w, b in regimes[1:])]
    m = theory.mean_field("tanh", sigma_w=1.3, sigma_b=0.3)
    checks = (
        worst("stable fixed points of the three regimes, by plain sums", stars, expected, 1e-9),
        worst("ReLU: q^l = sigma_w^2 q / 2", relu, 0.5 * np.array(slopes)[:, None] ** 2 * q, 1e-14),
        Check("chi of tanh at (1.3, 0.3), by plain sums", float(m.chi_perp.value),
              1.69 * plain.average(lambda h: np.cosh(h) ** -4.0,
                                   plain.settled_length(np.tanh, 1.3, 0.3)), 1e-9),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _stable(w: float, b: float) -> float:
    points = theory.fixed_points("tanh", sigma_w=w, sigma_b=b).points
    return next(float(p.q.value) for p in points if p.stability == "stable")


ENTRIES = (
    Entry("length-map-fixed-points", "Murray et al. 2021; lecture 5 of C6.5",
          "Fixed points and divergence of length maps",
          "Full discs are stable, open discs unstable. ReLU above sqrt 2 diverges; max(x, 0)^2 has "
          "a stable and an unstable point, beyond which lengths explode.",
          fixed_points),
    Entry("critical-correlation-functions", "Murray et al. 2021; lecture 5 of C6.5",
          "Correlation functions at R'(1) = 1",
          "At the edge of chaos every correlation function touches the diagonal at 1 and lies "
          "above it: correlations still rise to 1, slower than any exponential.",
          correlations),
    Entry("problem-set", "Depth First Learning, problem set 1",
          "Length maps in three regimes, ReLU, and lines of equal chi",
          "tanh: (i) only 0, stable; (ii) 0 unstable and a stable point; (iii) one positive point. "
          "ReLU's map is a line; at sigma_w = sqrt 2 every length is a fixed point.",
          problem_set),
)  # fmt: skip
