"""Pictures of many layers: gradients, critical decay, kernels, finite width, samplers, blocks."""

import numpy as np

import chione as ch
from chione.networks import Dense, Input, Network, Nonlinearity, Norm, Repeat, Residual
from chione.plotting.style import BLACK, COLOURS, GREY
from chione.theory.moments.attention_weights import pair_moments, row_moments
from formula_pictures.drawing import diagonal, dots, finish, line, panels


def gradients():
    """Mean square gradients of tanh over the layers, in three phases, with networks."""
    figure, (left, right) = panels()
    layers = np.arange(1, 31)
    for i, w in enumerate((0.9, 1.25, 1.6)):
        curve = ch.trajectory("tanh", w, 0.15, depth=30)
        line(left, layers, curve.gradient, i, rf"$\sigma_w = {w:.2f}$")
        net = ch.MLP(ch.activation("tanh"), w, 0.15, depth=30, width=1000)
        run = ch.simulate(net, n_networks=8, seed=i, observe=("gradients",))
        mean, error = (x["gradients"].mean(axis=1) for x in (run.mean, run.stderr))
        dots(left, layers[::3], mean[::3], error[::3], i)
    left.set_yscale("log")
    finish(left, "tanh, $\\sigma_b = 0.15$; dots: width 1000", "layer $l$", r"$d^l / d^L$")
    w = np.linspace(0.6, 2.2, 60)
    for i, bias in enumerate((0.0, 0.15, 0.6)):
        found = ch.phase_diagram("tanh", sigma_w=w, sigma_b=[bias])
        line(right, w, found.chi_perp.ravel(), i, rf"$\sigma_b = {bias}$")
    right.axhline(1.0, color=GREY, lw=0.8, zorder=0)
    finish(right, "Factor per layer at the fixed point", r"$\sigma_w$", r"$\chi_\perp$")
    return figure


def critical():
    """Fading of lengths at criticality, and the ratio of the two susceptibilities."""
    figure, (left, right) = panels()
    layers = np.unique(np.geomspace(1, 1000, 40).astype(int))
    for i, name in enumerate(("relu", "tanh", "elu", "hardtanh")):
        w, q = ch.criticality(name).best.weight_variance.value ** 0.5, [1.0]
        for _ in range(layers[-1] - 1):
            q.append(ch.length_map(name, q[-1], sigma_w=w).value)
        line(left, layers, np.array(q)[layers - 1], i, name)
    left.set(xscale="log", yscale="log")
    finish(left, "Lengths at criticality", "layer $l$", "$q^l$", legend="lower left")
    q = np.geomspace(0.01, 300, 200)
    for i, name in enumerate(("relu", "tanh", "gelu", "sigmoid")):
        slopes = ch.derivative_second_moment(name, q).value / ch.length_slope(name, q).value
        line(right, q, slopes, i, name)
    star = ch.criticality("gelu").best.k_star.value
    right.plot([star], [1.0], "o", color=COLOURS[2], ms=5)
    right.axhline(1.0, color=GREY, lw=0.8, zorder=0)
    right.set(xscale="log", ylim=(0.9, 1.6))
    finish(right, r"Both are 1 where the ratio is 1", "$K$", r"$\chi_\perp / \chi_\parallel$")
    return figure


def kernels():
    """Kernels of ReLU networks over the angle of two inputs, at three depths."""
    figure, axes = panels()
    c = np.cos(np.linspace(np.pi, 0, 49))  # equal steps of the angle: the NTK bends at both ends
    x = np.stack([c, np.sqrt(1 - c**2)], axis=1)
    for i, depth in enumerate((2, 4, 16)):
        net = ch.MLP(ch.activation("relu"), 2**0.5, 0.0, depth=depth)
        for ax, rule in zip(axes, (ch.nngp, ch.ntk), strict=True):
            values = rule(net, np.array([[1.0, 0.0]]), x).value[0]
            line(ax, c, values / values[-1], i, f"depth {depth}")
    for ax, title in zip(axes, ("NNGP of ReLU", "NTK of ReLU"), strict=True):
        finish(ax, title, "cosine of two inputs", "kernel, 1 for equal inputs")
    return figure


def finite_width():
    """Relative variance of lengths over depth, and the law of the length of ReLU networks."""
    figure, (left, right) = panels()
    layers, width = np.arange(1, 31), 200
    cases = (("relu", 2**0.5, "gaussian"), ("tanh", 1.0, "gaussian"),
             ("relu", 2**0.5, "orthogonal"), ("linear", 1.0, "orthogonal"))  # fmt: skip
    for i, (name, w, weights) in enumerate(cases):
        found = ch.finite_width(name, sigma_w=w, depth=30, weights=weights)
        line(left, layers, 2 + found.relative_vertex, i, f"{name}, {weights}")
        net = ch.MLP(ch.activation(name), w, 0.0, depth=30, width=width, weights=weights)
        run = ch.simulate(net, n_networks=300, seed=i, observe=("lengths",))
        ratio = width * (run.variance["lengths"] / run.mean["lengths"] ** 2).mean(axis=1)
        dots(left, layers[1::4], ratio[1::4], ratio[1::4] * (2 / 300) ** 0.5, i)
    finish(
        left, f"Lines: first order. Dots: width {width}", "layer $l$", r"$n\,\mathrm{Var}[q] / K^2$"
    )
    rng, n, depth = np.random.default_rng(0), 100, 50
    factors = [
        2 * np.mean(np.maximum(rng.standard_normal((4000, n)), 0) ** 2, axis=1)
        for _ in range(depth)
    ]
    logs = np.sum(np.log(factors), axis=0)
    right.hist(logs, bins=50, density=True, color=COLOURS[5], label="4000 ReLU networks")
    x, var = np.linspace(-6, 3.5, 200), 5 * depth / n
    law = np.exp(-((x + var / 2) ** 2) / (2 * var)) / np.sqrt(2 * np.pi * var)
    line(right, x, law, 0, r"Gaussian, variance $5 L / n$")
    right.axvline(0.0, color=BLACK, lw=0.8, ls="--", label="logarithm of the mean")
    finish(right, "Width 100, depth 50", r"$\log(q^L / K)$", "density", legend="upper left")
    right.set_ylim(0, 0.42)
    return figure


def simulation():
    """The two samplers beside each other: means and spreads of lengths."""
    figure, (left, right) = panels()
    layers = np.arange(1, 16)
    first = ch.finite_width("tanh", sigma_w=1.5, sigma_b=0.1, depth=15)
    width, runs = 60, 400
    for i, sampler in enumerate(("dense", "matrix-free")):
        net = ch.MLP(ch.activation("tanh"), 1.5, 0.1, depth=15, width=width)
        found = ch.simulate(net, n_networks=runs, seed=i, sampler=sampler, observe=("lengths",))
        shift = 0.25 * (i - 0.5)
        dots(
            left,
            layers + shift,
            found.mean["lengths"][:, 0],
            found.stderr["lengths"][:, 0],
            i,
            sampler,
        )
        spread = found.variance["lengths"][:, 0] ** 0.5
        dots(right, layers + shift, spread, spread / (2 * runs) ** 0.5, i, sampler)
    k, v = first.length.value, first.vertex.value
    left.plot(layers, k + first.mean_correction.value / width, color=BLACK, lw=1, label="theory")
    right.plot(layers, np.sqrt((2 * k**2 + v) / width), color=BLACK, lw=1, label="theory")
    finish(left, f"{runs} tanh networks of width {width}", "layer $l$", "mean of $q^l$")
    finish(right, "Spread from network to network", "layer $l$", "standard deviation of $q^l$")
    return figure


def glorot():
    """Standard and normalised weights: signals and gradients of five tanh layers."""
    figure, (left, right) = panels()
    layers = np.arange(1, 6)
    names = ("activation_lengths", "gradients")
    for i, (word, variance) in enumerate((("standard", 1 / 3), ("normalised", 1.0))):
        label = rf"{word}: $n\,\mathrm{{Var}}\,W = {'1/3' if i == 0 else '1'}$"
        curve = ch.trajectory("tanh", variance**0.5, 0.0, depth=5)
        line(left, layers, ch.second_moment("tanh", curve.q).value, i, label)
        line(right, layers, curve.gradient, i, label)
        net = ch.MLP(ch.activation("tanh"), variance**0.5, 0.0, 5, 500, weights="uniform")
        run = ch.simulate(net, n_networks=10, seed=i, observe=names)
        for ax, name in zip((left, right), names, strict=True):
            dots(ax, layers, run.mean[name].mean(axis=1), run.stderr[name].mean(axis=1), i)
    for ax in (left, right):
        ax.set(yscale="log", xticks=layers)
    finish(
        left,
        "tanh; dots: width 500",
        "layer $l$",
        "mean square of activations",
        legend="lower left",
    )
    finish(right, "Back-propagated gradients", "layer $l$", r"$d^l / d^L$", legend="lower right")
    return figure


def blocks():
    """Gradients and correlations over the blocks of five kinds."""
    figure, (left, right) = panels()
    depth = 24
    relu = [Nonlinearity("relu"), Dense(2**0.5)]
    branch = [Dense(2.0), Nonlinearity("tanh"), Dense(2.0)]
    kinds = {
        "plain ReLU, $v = 0.8$": [Nonlinearity("relu"), Dense(1.6**0.5)],
        "residual ReLU": [Residual(relu)],
        r"the same, $b^2 = 1/L$": [Residual(relu, scale=depth**-0.5)],
        "pre-norm tanh": [Residual([Norm("layer"), *branch])],
        "post-norm tanh": [Residual(branch), Norm("layer")],
    }
    for i, (word, block) in enumerate(kinds.items()):
        net = Network([Dense(1.0, out=256), Repeat(depth, block)], Input(256))
        found = ch.network_theory(net)
        rows = [found.index(f"layers[1]#{k}") for k in range(depth)]
        layers = np.arange(1, depth + 1)
        line(left, layers, found.gradient.value[rows], i, word)
        line(right, layers, found.one_minus_c.value[rows], i, word)
    for ax in (left, right):
        ax.set_yscale("log")
    finish(left, "Gradients behind each block", "block $l$", "$P_l / P_L$")
    right.set_yticks((0.05, 0.1, 0.2, 0.5), ("0.05", "0.1", "0.2", "0.5"), minor=False)
    right.minorticks_off()
    finish(right, "Distance of two inputs", "block $l$", "$1 - c$", legend=None)
    return figure


def attention():
    """Correlation of tokens through one layer, and how many tokens a row looks at."""
    figure, (left, right) = panels()
    c = np.linspace(0.0, 0.99, 31) ** 2  # the steepest part is at the left
    for i, scores in enumerate((0.01, 0.5, 1.0, 2.0)):
        label = rf"$\sigma_q \sigma_k = {scores:g}$"
        line(left, c, [_behind(64, x, scores) for x in c], i, label)
    diagonal(left, 1.0)
    left.set_ylim(0, 1.02)
    finish(
        left, "64 tokens, one layer without skip", "$c$ before", "$c$ behind", legend="lower right"
    )
    v = np.linspace(0.05, 4.0, 30)
    for i, tokens in enumerate((8, 64, 512)):
        line(right, v, [row_moments(x, tokens).square for x in v], i, f"{tokens} tokens")
        right.plot(v, np.exp(v) / tokens, color=COLOURS[i], lw=0.8, label="" if i else "$e^v / T$")
    right.set(yscale="log", ylim=(1e-3, 2))
    finish(
        right,
        "Mean of the sum of squared weights",
        "variance of scores $v$",
        "$S_2$",
        legend="lower right",
    )
    return figure


def _behind(tokens, c, scores):
    """The correlation behind attention without skip of tokens of length 1 and correlation c."""
    v = scores**2 * (1 - c)
    overlap = pair_moments(v, v, c, (tokens,), (tokens,)).overlap[0]
    return (c + (1 - c) * overlap) / (c + (1 - c) * row_moments(v, tokens).square)


PICTURES = {
    draw.__name__.replace("_", "-"): draw
    for draw in (gradients, critical, kernels, finite_width, simulation, glorot, blocks, attention)
}
