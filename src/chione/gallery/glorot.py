"""Glorot & Bengio 2010, figures 6 and 7: histograms with standard and normalised weights."""

from __future__ import annotations

from functools import partial

import numpy as np

from chione.activations import activation
from chione.gallery import plain
from chione.gallery.drawing import finish
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Entry, Reproduction, Variable, worst
from chione.networks import MLP
from chione.plotting import new_figure, style
from chione.simulation import SimulationResult, input_pair, simulate
from chione.theory.critical.usual_schemes import scheme_sigmas


def _sigma_w(scheme: str) -> float:
    sigmas = scheme_sigmas(scheme, activation("tanh"), fan_in=1, fan_out=1)
    assert sigmas is not None  # only calculate_gain has gaps
    return sigmas[0]


_SCHEMES = (("standard: $U[-1/\\sqrt{n}, 1/\\sqrt{n}]$", _sigma_w("standard")),
            ("normalised: $n\\,\\mathrm{Var} = 1$", _sigma_w("xavier")))  # fmt: skip
_DEPTH = 5


def _figure(signal: str, quick: bool) -> Reproduction:
    width, networks = (400, 80) if quick else (1000, 80)
    runs = [_run(w, width, networks, signal) for _, w in _SCHEMES]
    height = np.array([r.mean[f"{signal}_histogram"] for r in runs])
    height = height.reshape(2, _DEPTH, -1)
    edges = np.array([r.edges[f"{signal}_histogram"] for r in runs])
    middle = 0.5 * (edges[..., 1:] + edges[..., :-1])
    forward = signal == "activation"
    symbol = "activation $x^l$" if forward else r"error signal $\delta^l$"
    with style():
        figure = new_figure(6.4, 6.2)
        axes = figure.subplots(2, 1)
        for i, (label, _) in enumerate(_SCHEMES):
            for layer in range(_DEPTH):
                line(axes[i], middle[i, layer], height[i, layer], layer, f"layer {layer + 1}")
            axes[i].set_xlim(*((-1, 1) if forward else (-3, 3)))
            axes[i].set_ylim(0, 12 if forward and i == 0 else None)
            finish(axes[i], label, symbol, "density")
    name = "activation_lengths" if forward else "gradients"
    size = np.array([r.mean[name][:, 0] for r in runs])
    error = np.array([r.stderr[name][:, 0] for r in runs])
    expected = np.array([_expected(w, forward) for _, w in _SCHEMES])
    data = {
        "sigma_w": Variable(("scheme",), np.array([w for _, w in _SCHEMES]), "sigma_w"),
        "layer": Variable(("layer",), np.arange(1, _DEPTH + 1), "layer"),
        "middle": Variable(("scheme", "layer", "bin"), middle, "middle of the bin"),
        "density": Variable(("scheme", "layer", "bin"), height, f"density of the {signal}"),
        "mean_square": Variable(("scheme", "layer"), size, f"mean square of the {signal}"),
        "theory": Variable(("scheme", "layer"), expected, "the same at infinite width"),
    }
    mass = (height * np.diff(edges, axis=-1)).sum(axis=-1)
    checks = (
        worst(f"mean square of the {signal}, by plain sums", size, expected,
              4.5 * error + 5.0 * expected / width),
        # the bins reach a quarter beyond the largest of `width` values, at least 3 deviations
        worst("histograms have mass 1 but for a few outliers", mass, 1.0, 0.005),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _run(w: float, width: int, networks: int, signal: str) -> SimulationResult:
    net = MLP(activation("tanh"), w, 0.0, _DEPTH, width, "uniform")
    names = (f"{signal}_histogram", "activation_lengths", "gradients")
    rows = input_pair(width, seed=2)[:1]
    return simulate(net, rows, n_networks=networks, seed=3, observe=names)


def _expected(w: float, forward: bool) -> list[float]:
    """Mean squares of activations, or of errors relative to the last layer, by plain sums."""
    q = [w**2]  # inputs of mean square 1
    for _ in range(_DEPTH):
        q.append(w**2 * plain.average(lambda h: np.tanh(h) ** 2, q[-1]))
    if forward:
        return [plain.average(lambda h: np.tanh(h) ** 2, x) for x in q[:_DEPTH]]
    d = [1.0]
    for x in reversed(q[: _DEPTH - 1]):
        d.append(d[-1] * w**2 * plain.average(lambda h: np.cosh(h) ** -4.0, x))
    return d[::-1]


ENTRIES = (
    Entry("glorot-figure-6", "Glorot & Bengio 2010, figure 6; lecture 5 of C6.5",
          "Histograms of tanh activations, standard and normalised weights",
          "Standard weights have n Var = 1/3: activations shrink from layer to layer and pile up "
          "at 0. Normalised weights, n Var = 1, keep them spread.",
          partial(_figure, "activation")),
    Entry("glorot-figure-7", "Glorot & Bengio 2010, figure 7; lecture 5 of C6.5",
          "Histograms of back-propagated gradients, standard and normalised weights",
          "The same for the errors sent backward: with standard weights the first layers see the "
          "smallest ones; with normalised weights all layers see nearly the same.",
          partial(_figure, "gradient")),
)  # fmt: skip
