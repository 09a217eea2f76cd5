"""Edges of chaos of one and of many activations, and depth scales."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from chione import theory
from chione.base import Array
from chione.gallery import plain
from chione.gallery.drawing import B_AXIS, W_AXIS, finish
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.plotting import new_figure, style

_MANY = ("tanh", "erf", "arctan", "softsign", "hardtanh", "relu", "elu", "selu", "gelu", "silu",
         "mish", "sin")  # fmt: skip


def edge(phi: str, q: Array) -> tuple[Array, Array]:
    """The critical line at the lengths q; NaN where it would need a negative bias variance.

    sigma_w^2 = 1 / E phi'^2 and sigma_b^2 = q - sigma_w^2 E phi^2: no iteration.
    """
    w2 = 1.0 / np.asarray(theory.derivative_second_moment(phi, q).value)
    b2 = q - w2 * np.asarray(theory.second_moment(phi, q).value)
    b2 = np.where(abs(b2) < 1e-13 * q, 0.0, b2)  # scale-invariant: zero up to rounding
    good = b2 >= 0.0
    return np.where(good, np.sqrt(w2), np.nan), np.sqrt(np.where(good, b2, np.nan))


def chi_lines(phi: str, levels: Array, *, points: int = 241) -> tuple[Array, Array]:
    """Lines of equal chi_1 from sigma_b = 0 to large lengths, shape (levels, points).

    sigma_w^2 = chi / E phi'^2 and sigma_b^2 = q - sigma_w^2 E phi^2 along q; a line begins at the
    length where this is 0, or at q = 0.
    """
    rows = [chi_line(phi, float(level), points) for level in levels]
    return np.array([w for _, w, _ in rows]), np.array([b for _, _, b in rows])


def chi_line(phi: str, level: float, points: int = 241) -> tuple[Array, Array, Array]:
    """One of the lines of :func:`chi_lines`, whole, as q, sigma_w, sigma_b: it begins at 0 bias."""

    def bias(q: Array) -> Array:
        slope, square = theory.derivative_second_moment(phi, q), theory.second_moment(phi, q)
        return np.asarray(q - level * square.value / slope.value)

    q = np.geomspace(1e-6, 1e3, 400)
    good = bias(q) > 0.0
    first = int(np.argmax(good))
    start = q[0]
    if good.any() and first > 0:
        start = float(brentq(lambda x: float(bias(np.array([x]))[0]), q[first - 1], q[first]))
    q = np.geomspace(start, q[-1], points)
    w = np.sqrt(level / np.asarray(theory.derivative_second_moment(phi, q).value))
    b = np.sqrt(np.maximum(bias(q), 0.0))
    b[0] = 0.0  # the root, or a millionth of a length
    return q, w, b


def order_chaos(quick: bool) -> Reproduction:
    """The critical line of tanh, coloured by q*."""
    q = np.geomspace(1e-4, 20.0, 80 if quick else 400)
    w, b = edge("tanh", q)
    with style():
        figure = new_figure(5.4, 4.2)
        ax = figure.add_subplot()
        shown = ax.scatter(w, b, c=q, cmap="cividis", s=14, zorder=3, norm="log")
        figure.colorbar(shown, ax=ax, label="mean square $q^*$ on the line")
        ax.set(xlim=(0.8, 3.0), ylim=(0.0, 2.5))
        ax.text(1.0, 1.8, "ordered\n$\\chi_1 < 1$\ngradients vanish")
        ax.text(2.25, 0.6, "chaotic\n$\\chi_1 > 1$\ngradients explode")
        finish(ax, "Order and chaos of tanh", W_AXIS, B_AXIS, None)
    data = {
        "q_star": Variable(("point",), q, "mean square on the line"),
        "sigma_w": Variable(("point",), w, "standard deviation of the weights"),
        "sigma_b": Variable(("point",), b, "standard deviation of the biases"),
    }
    k = int(np.argmin(abs(q - 0.7)))
    settled = plain.settled_length(np.tanh, float(w[k]), float(b[k]))
    slope = float(w[k] ** 2) * plain.average(lambda h: np.cosh(h) ** -4.0, settled)
    checks = (
        Check("q* of a point of the line, by plain sums", settled, float(q[k]), 1e-9),
        Check("chi_1 there, by plain sums", slope, 1.0, 1e-9),
        # small q: E sech^4 = 1 - 2 q + 7 q^2 - ..., hence sigma_w^2 = 1 + 2 q - 3 q^2 + O(q^3)
        Check("sigma_w^2 - 1 over 2 q near the origin", float((w[0] ** 2 - 1) / (2 * q[0])),
              1.0 - 1.5 * float(q[0]), 50.0 * float(q[0]) ** 2),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def many_edges(quick: bool) -> Reproduction:
    """Edges of chaos of twelve activations and of the sigmoid."""
    # from almost no length, where many lines meet sigma_b = 0, to where the last leaves the picture
    q = np.geomspace(1e-8, 1e4, 121 if quick else 481)
    lines = [edge(name, q) for name in _MANY]
    w, b = (np.array([x[i] for x in lines]) for i in (0, 1))
    qs, sw, sb = chi_line("sigmoid", 1.0, q.size)
    with style():
        figure = new_figure(9.0, 4.2)
        left, right = figure.subplots(1, 2, width_ratios=(2.2, 1.0))
        for i, name in enumerate(_MANY):
            if name == "relu":
                left.plot(np.sqrt(2.0), 0.0, "*", ms=12, color="#1a1a1a", label="relu (a point)",
                          clip_on=False, zorder=4)  # fmt: skip
            else:
                line(left, w[i], b[i], i, name)
        left.set(xlim=(0.5, 3.6), ylim=(0.0, 2.5))
        finish(left, r"$\chi_1 = 1$ for many activations", W_AXIS, B_AXIS, None)
        left.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3.0)
        right.plot(sw, sb, color="#0072B2")
        right.set(xlim=(9.5, 18.0), ylim=(0.0, 17.0))
        finish(right, "sigmoid", r"weights $\sigma_w$", r"biases $\sigma_b$", None)
    data = {
        "activation": Variable(("activation",), np.array(_MANY), "activations of the left panel"),
        "q": Variable(("q",), q, "mean square along the lines"),
        "sigma_w": Variable(("activation", "q"), w, "standard deviation of the weights"),
        "sigma_b": Variable(("activation", "q"), b, "standard deviation of the biases"),
        "sigmoid_q": Variable(("q",), qs, "mean square along the line of the sigmoid"),
        "sigmoid_sigma_w": Variable(("q",), sw, "sigma_w on it"),
        "sigmoid_sigma_b": Variable(("q",), sb, "sigma_b on it"),
    }
    i, k = _MANY.index("relu"), _MANY.index("erf")
    shape = np.sqrt(np.pi / 4.0)  # E erf'^2 = (4 / pi) / sqrt(1 + 4 q)
    checks = (
        worst("relu: sigma_w = sqrt 2 at every q", w[i], np.sqrt(2.0), 1e-13),
        worst("relu: sigma_b = 0", b[i], 0.0, 0.0),
        worst("erf: closed form of sigma_w", w[k], shape * (1 + 4 * q) ** 0.25,
              np.where(np.isfinite(w[k]), 1e-12, np.inf)),
        _sigmoid_check(float(sw[-1]), float(sb[-1]), float(qs[-1])),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _sigmoid_check(w: float, b: float, q: float) -> Check:
    def sigmoid(h: Array) -> Array:
        return 0.5 * (1.0 + np.tanh(0.5 * h))

    image = w**2 * plain.average(lambda h: sigmoid(h) ** 2, q) + b**2
    return Check("sigmoid: its length maps onto itself, by plain sums", image, q, 1e-8 * q)


def depth_scales(quick: bool) -> Reproduction:
    """xi_q and xi_c of tanh over sigma_w."""
    b2 = np.array([0.05, 0.3])
    edges = np.array([_critical_sigma_w(float(y)) for y in b2])
    w = np.array([_columns(float(x), 29 if quick else 57) for x in edges])  # (2, columns)
    fields = np.array(
        [[_scales(float(x), float(np.sqrt(y))) for x in row] for row, y in zip(w, b2, strict=True)]
    )  # (2, columns, 3)
    xi_q, xi_c, chi = fields[..., 0], fields[..., 1], fields[..., 2]
    with style():
        figure = new_figure(8.6, 3.8)
        left, right = figure.subplots(1, 2)
        for i, y in enumerate(b2):
            line(left, w[i], xi_q[i], i, rf"$\sigma_b^2 = {y:g}$")
            line(right, w[i], xi_c[i], i, rf"$\sigma_b^2 = {y:g}$")
            right.axvline(edges[i], color="#8a8a8a", lw=0.9, ls=":",
                          label=r"critical $\sigma_w$" if i == len(b2) - 1 else None)  # fmt: skip
        right.set_yscale("log")
        right.set_ylim(0.5, 1e3)
        finish(left, r"Depth scale of lengths $\xi_q$", W_AXIS, "layers")
        finish(right, r"Depth scale of correlations $\xi_c$", W_AXIS, "layers")
    data = {
        "sigma_b_squared": Variable(("line",), b2, "bias variance"),
        "critical_sigma_w": Variable(("line",), edges, "where xi_c is infinite"),
        "sigma_w": Variable(("line", "column"), w, "standard deviation of the weights"),
        "xi_q": Variable(("line", "column"), xi_q, "depth scale of lengths, layers"),
        "xi_c": Variable(("line", "column"), xi_c, "depth scale of correlations, layers"),
        "chi_1": Variable(("line", "column"), chi, "chi_1"),
    }
    return Reproduction(figure, data, _scale_checks(w[0], b2, xi_q, xi_c))


def _scales(w: float, b: float) -> tuple[float, float, float]:
    m = theory.mean_field("tanh", sigma_w=w, sigma_b=b)
    return float(m.xi_q.value), float(m.xi_c.value), float(m.chi_perp.value)


def _columns(edge: float, points: int) -> Array:
    """Weights from 0.6 to 3.4, and on both sides of the critical one ever closer to it."""
    near = edge * 0.25 ** np.arange(1.0, 8.0)
    return np.sort(np.concatenate([np.linspace(0.6, 3.4, points), edge - near, edge + near]))


def _critical_sigma_w(b2: float) -> float:
    """sigma_w of the edge of tanh at that bias variance."""

    def excess(q: float) -> float:
        return float(edge("tanh", np.array([q]))[1][0]) ** 2 - b2

    q = brentq(excess, 1e-3, 20.0, xtol=1e-14)
    return float(edge("tanh", np.array([q]))[0][0])


def _scale_checks(w: Array, b2: Array, xi_q: Array, xi_c: Array) -> tuple[Check, ...]:
    """Measure both decays on plain sums at one point of the ordered phase."""
    x, b = float(w[1]), float(np.sqrt(b2[0]))
    q = plain.settled_length(np.tanh, x, b)
    off = q * (1.0 + 1e-5)
    for_q = (x**2 * plain.average(lambda h: np.tanh(h) ** 2, off) + b**2 - q) / (off - q)
    slope = x**2 * plain.average(lambda h: np.cosh(h) ** -4.0, q)
    return (
        Check("exp(-1 / xi_q) against one perturbed layer",
              float(np.exp(-1.0 / xi_q[0, 1])), for_q, 1e-4),
        Check("exp(-1 / xi_c) against plain sums", float(np.exp(-1.0 / xi_c[0, 1])), slope, 1e-9),
    )  # fmt: skip


ENTRIES = (
    Entry("order-chaos", "Pennington et al. 2018, figure 1; lectures 5 and 8 of C6.5",
          "Order-chaos transition of tanh",
          "The critical line chi_1 = 1 of tanh; the shade is q* on the line, which rises from 0.",
          order_chaos),
    Entry("edge-of-chaos-curves", "Lecture 5 of C6.5 (curves for many activations)",
          "Edge-of-chaos curves of thirteen activations",
          "ReLU has a single point; tanh and its kin a line that starts at zero bias; GELU, SiLU "
          "and Mish lines whose fixed point can be unstable at small sigma_b. The sigmoid needs "
          "large weights; softplus has no line at all.",
          many_edges),
    Entry("depth-scales", "Schoenholz et al. 2017, depth scales; lecture 5 of C6.5",
          "Depth scales of lengths and correlations of tanh",
          "Correlations are remembered over xi_c layers, which grows without bound at the edge of "
          "chaos (dotted); lengths settle within a few layers throughout.",
          depth_scales),
)  # fmt: skip
