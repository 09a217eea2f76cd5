"""Universality classes (lectures after Roberts and Yaida): table, decay of K, vertex."""

from __future__ import annotations

import numpy as np

from chione import theory
from chione.activations import activation, catalogue
from chione.gallery import plain
from chione.gallery.drawing import finish, points
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
        figure = new_figure(7.0, 0.24 * len(rows) + 0.8)
        ax = figure.add_subplot()
        ax.axis("off")
        heads = ("activation", "class", "$K^*$", r"$C_W = \sigma_w^2$", r"$C_b = \sigma_b^2$")
        grid = ax.table(rows, colLabels=heads, loc="center", edges="horizontal", cellLoc="left")
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
    with np.errstate(divide="ignore", invalid="ignore"):
        asymptote = np.where(
            exponent[:, None] > 0,
            amplitude[:, None] * layer ** -exponent[:, None],
            amplitude[:, None] / np.log(layer),
        )
    tail = layer > 30
    with style():
        figure = new_figure(6.2, 4.6)
        ax = figure.add_subplot()
        for i, name in enumerate(_FADING):
            ax.plot(layer[tail], asymptote[i, tail], color="#8a8a8a", lw=0.9, ls=":")
            line(ax, layer, k[i], i, f"{name}: {laws[i].law}")
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
    power = exponent > 0
    ratio = k[power, -1] / asymptote[power, -1]
    orbit = 1.0
    for _ in range(200):
        orbit = plain.average(lambda h: np.tanh(h) ** 2, orbit)
    mine = theory.iterate_lengths("tanh", sigma_w=1.0, depth=201).q[-1]
    checks = (
        # the next term of the expansion is of relative order log(l) / l
        worst("K over its law at the last layer", ratio, 1.0, 4.0 * np.log(depth) / depth + 4e-3),
        Check("tanh after 200 maps, by plain sums", float(mine), orbit, 1e-10),
    )
    return Reproduction(figure, data, checks)


def vertex(quick: bool) -> Reproduction:
    """V / K^2 over depth for Gaussian and orthogonal weights."""
    names, laws = ("relu", "tanh", "linear"), ("gaussian", "orthogonal")
    depth, width, networks = (16, 100, 600) if quick else (30, 200, 6000)
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
            finish(axes[j], f"{law} weights", "layer $l$", "$V / K^2$ (times 1/n: variance)")
    data = {
        "activation": Variable(("activation",), np.array(names), "activation"),
        "law": Variable(("law",), np.array(laws), "law of the weights"),
        "layer": Variable(("layer",), layer, "layer"),
        "vertex": Variable(("activation", "law", "layer"), v, "V / K^2"),
        "simulated": Variable(("activation", "law", "layer"), sim, "the same, simulated"),
        "stderr": Variable(("activation", "law", "layer"), error, "its standard error"),
    }
    # corrections of order (l / n) V, beside the standard error
    bias = 4.0 * (layer + 2.0) / width * (abs(v) + 2.0)
    checks = (
        worst("relu, Gaussian: 5 (l - 1)", v[0, 0], 5.0 * (layer - 1), 1e-10 * layer),
        worst("linear, Gaussian: 2 (l - 1)", v[2, 0], 2.0 * (layer - 1), 1e-10 * layer),
        worst("linear, orthogonal: lengths never change", v[2, 1], -2.0, 1e-10),
        worst("simulated V / K^2", sim, v, 4.5 * error + bias),
    )
    return Reproduction(figure, data, checks)


ENTRIES = (
    Entry("universality-classes", "PDLT lecture 2, the table of classes",
          "Universality class of every activation of the catalogue",
          "Scale-invariant activations keep any length; those of class K* = 0 let it fade by a "
          "power law; GELU, SiLU have a half-stable point; others have none.",
          table),
    Entry("length-decay", "PDLT lecture 2, class K* = 0",
          "Decay of K at criticality, by sub-class",
          "1/l for tanh and its kin, 1/l^2 where the second derivative jumps at 0 (elu, "
          "softsign), 1 / (2 log l) where the activation is straight around 0 (hardtanh). Dotted: "
          "the laws.",
          decay),
    Entry("four-point-vertex", "PDLT lecture 2, fluctuations",
          "Four-point vertex over depth, Gaussian and orthogonal weights",
          "V / K^2 grows in proportion to the depth for Gaussian weights. Orthogonal weights keep "
          "it bounded for tanh and linear networks, not for ReLU. Points are finite networks.",
          vertex),
)  # fmt: skip
