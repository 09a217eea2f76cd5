"""Universality classes (lectures after Roberts and Yaida): table, decay of K, vertex."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import ndtr

from chione import theory
from chione.activations import activation, catalogue
from chione.base import Array
from chione.gallery import plain
from chione.gallery.drawing import WHOLE, finish, name_marks, points
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.networks import MLP
from chione.plotting import new_figure, style
from chione.simulation import input_pair, simulate

_FADING = ("tanh", "sin", "erf", "elu", "softsign", "hardtanh")


def table(quick: bool) -> Reproduction:
    """The class of every activation of the catalogue."""
    found = {name: theory.criticality(act) for name, act in catalogue().items()}
    names = np.array(list(found))
    words = np.array([c.universality for c in found.values()])
    nan = float("nan")
    best = [c.best for c in found.values()]
    k, cw, cb = (
        np.array([nan if p is None else float(getattr(p, f).value) for p in best])
        for f in ("k_star", "weight_variance", "bias_variance")
    )
    rows = [[n, w, f"{a:.6g}", f"{b:.8g}", f"{c:.8g}"]
            for n, w, a, b, c in zip(names, words, k, cw, cb, strict=True)]  # fmt: skip
    rows = [[x.replace("nan", "-") for x in row] for row in rows]
    with style():
        figure = new_figure(7.0, 0.22 * len(rows) + 0.6)
        ax = figure.add_subplot()
        ax.axis("off")
        heads = ("activation", "class", "$K^*$", r"$C_W = \sigma_w^2$", r"$C_b = \sigma_b^2$")
        ax.set_title("Universality classes of the catalogue")
        grid = ax.table(rows, colLabels=heads, bbox=WHOLE, edges="horizontal", cellLoc="left",
                        colLoc="left")  # fmt: skip
        grid.auto_set_font_size(False)
        grid.set_fontsize(8)
    data = {
        "activation": Variable(("activation",), names, "activation"),
        "universality": Variable(("activation",), words, "universality class"),
        "k_star": Variable(("activation",), k, "K*"),
        "weight_variance": Variable(("activation",), cw, "C_W"),
        "bias_variance": Variable(("activation",), cb, "C_b"),
    }
    g, s = (list(names).index(n) for n in ("gelu", "silu"))
    checks = (
        Check("gelu: K* = (3 + sqrt 17) / 2", float(k[g]), (3.0 + np.sqrt(17.0)) / 2.0, 1e-10),
        *_smooth_checks("silu", float(k[s]), float(cw[s]), float(cb[s])),
        Check("relu: C_W = 2", float(cw[list(names).index("relu")]), 2.0, 1e-14),
        Check("sigmoid has no critical point",
              float(words[list(names).index("sigmoid")] == "none"), 1.0, 0.0),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _smooth_checks(name: str, k: float, cw: float, cb: float) -> tuple[Check, ...]:
    """Both susceptibilities and the fixed point, by plain sums at the point found."""
    act = activation(name)
    perp = cw * plain.average(lambda h: act.derivative(h) ** 2, k)
    parallel = cw / (2 * k**2) * plain.average(lambda h: act(h) ** 2 * (h * h - k), k)
    length = cw * plain.average(lambda h: act(h) ** 2, k) + cb
    return (
        Check(f"{name}: chi_perp at the critical point, by plain sums", perp, 1.0, 1e-9),
        Check(f"{name}: chi_parallel there", parallel, 1.0, 1e-9),
        Check(f"{name}: K* maps onto itself", length, k, 1e-8),
    )


def decay(quick: bool) -> Reproduction:
    """K over depth in the sub-classes of K* = 0."""
    depth = 2000 if quick else 100_000
    runs, laws = [], []
    for name in _FADING:
        point = theory.criticality(name).best
        if point is None or point.fading is None:
            raise ValueError(f"{name} is not of class K* = 0.")
        w = float(point.sigma_w)
        runs.append(theory.iterate_lengths(name, sigma_w=w, depth=depth))
        laws.append(point.fading)
    layer = runs[0].layer.astype(np.float64)
    k = np.array([r.q for r in runs])
    exponent = np.array([f.exponent for f in laws])
    amplitude = np.array([float(f.amplitude.value) for f in laws])
    asymptote = np.array(
        [
            amp * layer**-p if p > 0 else _logarithmic(layer)
            for amp, p in zip(amplitude, exponent, strict=True)
        ]
    )
    tail = layer > 30
    with style():
        figure = new_figure(6.2, 4.6)
        ax = figure.add_subplot()
        for i, name in enumerate(_FADING):
            ax.plot(layer[tail], asymptote[i, tail], color="#8a8a8a", lw=0.9, ls=":",
                    label=None if i else "laws")  # fmt: skip
            line(ax, layer, k[i], i, f"{name}: {_set(laws[i].law)}")
        ax.set(xscale="log", yscale="log")
        finish(ax, "Lengths at criticality fade by power laws", "layer $l$", "$K^l$")
    data = {
        "activation": Variable(("activation",), np.array(_FADING), "activation"),
        "layer": Variable(("layer",), layer, "layer"),
        "k": Variable(("activation", "layer"), k, "K of the layer"),
        "exponent": Variable(("activation",), exponent, "exponent (0: logarithm)"),
        "amplitude": Variable(("activation",), amplitude, "amplitude"),
        "asymptote": Variable(("activation", "layer"), asymptote, "the law at large depth"),
    }
    return Reproduction(figure, data, _decay_checks(layer, k, exponent > 0, asymptote))


def _set(law: str) -> str:
    r"""A law such as ``1/log l`` as a formula."""
    return f"${law.replace('log ', chr(92) + 'log ')}$"


def _decay_checks(
    layer: Array, k: Array, power: NDArray[np.bool_], asymptote: Array
) -> tuple[Check, ...]:
    """K against its laws at large depth, against an integral, and against plain sums."""
    depth = layer[-1]
    ratio = k / asymptote
    # deviations fade about like 1 / l, up to logarithms: two depths give the limit
    half = int(np.argmin(abs(layer - depth / 2.0)))
    early, end = ratio[power, half], ratio[power, -1]
    limit = (depth * end - layer[half] * early) / (depth - layer[half])
    y = 0.5 / k[~power, -1]
    orbit = 1.0
    for _ in range(200):
        orbit = plain.average(lambda h: np.tanh(h) ** 2, orbit)
    mine = theory.iterate_lengths("tanh", sigma_w=1.0, depth=201).q[-1]
    return (
        worst("K over its power law, extrapolated", limit, 1.0, 0.5 * abs(end - early)),
        worst("K over its power law at the last layer", end, 1.0, 3.0 * abs(end - early)),
        # three terms of the expansion are drawn; the next one is of relative order 1 / y^3
        worst("hardtanh: K over its logarithmic law", ratio[~power, -1], 1.0, 6.0 / y**3),
        worst(
            "hardtanh: the factor 1/2 of the law, layers from K by quadrature",
            _layers_between(float(k[~power, 0][0]), float(k[~power, -1][0])) / (depth - 1.0),
            1.0,
            8.0 / depth,
        ),
        Check("tanh after 200 maps, by plain sums", float(mine), orbit, 1e-10),
    )


def _logarithmic(layer: Array) -> Array:
    r"""K of hardtanh in layer l, with y = 1 / (2 K).

    .. math:: \log l = y - \tfrac12 \log y + \log\frac{\sqrt\pi}{2} + \frac{3}{2 y} + O(y^{-2})

    from :math:`dK/dl = -4 K^{3/2} e^{-1/(2K)} (1 - 2 K + ...) / \sqrt{2\pi}`. The leading
    term alone, K = 1 / (2 log l), is 12 % off at the depth of the picture.
    """
    y = np.maximum(np.log(layer), 1.0)
    for _ in range(60):
        y = np.maximum(
            np.log(layer) + 0.5 * np.log(y) - np.log(np.sqrt(np.pi) / 2.0) - 1.5 / y, 1.0
        )
    return np.asarray(0.5 / y)


def _layers_between(first: float, last: float) -> float:
    """Layers that hardtanh needs from one K to another: the integral of 1 / (K - E phi^2)."""

    def slowness(y: float) -> float:  # over y = 1 / (2 K)
        k = 0.5 / y
        loss = 2.0 * ((k - 1.0) * ndtr(-(k**-0.5)) + np.sqrt(k / (2 * np.pi)) * np.exp(-0.5 / k))
        return 2.0 * k * k / float(loss)

    return float(quad(slowness, 0.5 / first, 0.5 / last, epsrel=1e-9, limit=200)[0])


def vertex(quick: bool) -> Reproduction:
    """V / K^2 over depth for Gaussian and orthogonal weights."""
    names, laws = ("relu", "tanh", "linear"), ("gaussian", "orthogonal")
    depth, width, networks = (12, 400, 1500) if quick else (30, 800, 6000)
    w = {"relu": np.sqrt(2.0), "tanh": 1.0, "linear": 1.0}
    shape = (len(names), len(laws), depth)
    v, sim, error = np.empty(shape), np.empty(shape), np.empty(shape)
    for i, name in enumerate(names):
        for j, law in enumerate(laws):
            flow = theory.finite_width(name, sigma_w=w[name], depth=depth, weights=law)
            v[i, j] = flow.relative_vertex
            net = MLP(activation(name), w[name], 0.0, depth, width, law)  # type: ignore[arg-type]
            run = simulate(net, input_pair(width, seed=1)[:1], n_networks=networks, seed=5,
                           observe=("four_point",))  # fmt: skip
            k2 = np.asarray(flow.length.value) ** 2
            sim[i, j] = run.mean["four_point"][:, 0] / k2
            error[i, j] = run.stderr["four_point"][:, 0] / k2
    layer = np.arange(1.0, depth + 1.0)
    with style():
        figure = new_figure(9.0, 4.0)
        axes = figure.subplots(1, 2)
        for j, law in enumerate(laws):
            for i, name in enumerate(names):
                line(axes[j], layer, v[i, j], i, name)
                points(axes[j], layer[::3], sim[i, j, ::3], error[i, j, ::3], i)
            name_marks(axes[j], "simulated networks")
            finish(axes[j], f"{law} weights", "layer $l$", "$V / K^2$ (times 1/n: variance)")
    data = {
        "activation": Variable(("activation",), np.array(names), "activation"),
        "law": Variable(("law",), np.array(laws), "law of the weights"),
        "layer": Variable(("layer",), layer, "layer"),
        "vertex": Variable(("activation", "law", "layer"), v, "V / K^2"),
        "simulated": Variable(("activation", "law", "layer"), sim, "the same, simulated"),
        "stderr": Variable(("activation", "law", "layer"), error, "its standard error"),
    }
    finite = np.stack([_vertex_at(width, layer, 5.0), _vertex_at(width, layer, 2.0)])
    others = [(1, 0), (0, 1), (1, 1)]  # tanh, and orthogonal weights: no formula at finite width
    at, of = (list(k) for k in zip(*others, strict=True))
    bias = 2.0 * layer / width * (abs(v[at, of]) + 2.0)
    checks = (
        worst("relu, Gaussian: 5 (l - 1)", v[0, 0], 5.0 * (layer - 1), 1e-10 * layer),
        worst("linear, Gaussian: 2 (l - 1)", v[2, 0], 2.0 * (layer - 1), 1e-10 * layer),
        worst("linear, orthogonal: lengths never change", v[2, 1], -2.0, 1e-10),
        worst(
            "relu and linear, simulated: n ((1 + 2/n) (1 + a/n)^(l-1) - 1) - 2",
            sim[[0, 2], 0],
            finite,
            4.5 * error[[0, 2], 0],
        ),
        worst("linear, orthogonal, simulated", sim[2, 1], -2.0, 1e-9),
        worst(
            "tanh, and relu with orthogonal weights, simulated",
            sim[at, of],
            v[at, of],
            4.5 * error[at, of] + bias,
        ),
    )
    return Reproduction(figure, data, checks)


def _vertex_at(width: int, layer: Array, growth: float) -> Array:
    """V / K^2 of scale-invariant Gaussian networks of any width: a product of exact factors.

    Each layer multiplies E q^2 by 1 + a / n, where a = E phi^4 / (E phi^2)^2 - 1 (relu 5, linear
    2), and the last draw by 1 + 2 / n; the mean stays.
    """
    second = (1.0 + 2.0 / width) * (1.0 + growth / width) ** (layer - 1.0)
    return np.asarray(width * (second - 1.0) - 2.0)


ENTRIES = (
    Entry("universality-classes", "PDLT lecture 2, the table of classes",
          "Universality class of every activation of the catalogue",
          "Scale-invariant activations keep any length; those of class K* = 0 let it fade by a "
          "power law; GELU, SiLU have a half-stable point; others have none.",
          table),
    Entry("length-decay", "PDLT lecture 2, class K* = 0",
          "Decay of K at criticality, by sub-class",
          "1/l for tanh and its kin, 1/l^2 where the second derivative jumps at 0 (elu, "
          "softsign), 1 / (2 log l) where the activation is straight around 0 (hardtanh, drawn "
          "with two more terms). Dotted: the laws.",
          decay),
    Entry("four-point-vertex", "PDLT lecture 2, fluctuations",
          "Four-point vertex over depth, Gaussian and orthogonal weights",
          "V / K^2 grows in proportion to the depth for Gaussian weights. Orthogonal weights keep "
          "it bounded for tanh and linear networks, not for ReLU. Points are finite networks.",
          vertex),
)  # fmt: skip
