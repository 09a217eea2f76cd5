"""Glorot & Bengio 2010, figures 2 and 11: layers during training, and error curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chione.activations import activation
from chione.base import Array
from chione.gallery import plain
from chione.gallery.drawing import finish
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.plotting import COLOURS, LINES, new_figure, style
from chione.sweeps.bundle import batches, train
from chione.sweeps.initial import draw
from chione.sweeps.observed import LayerStatistics
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.training import Training

_STANDARD: dict[str, Any] = {"scheme": "sigmas", "sigma_w": 3.0**-0.5}  # U[-1 / sqrt n, 1 / sqrt n]
_NORMALISED: dict[str, Any] = {"scheme": "xavier", "sigma_w": 1.0}
_COMMON: dict[str, Any] = {"sigma_b": 0.0, "weights": "uniform", "batch": 10}


def _training(phi: str, how: dict[str, Any], **rest: Any) -> Training:
    return Training(phi, **how, **_COMMON, **rest)


# ---- figure 2: layers during training --------------------------------------------------------

_LAYERS = 4
_SATURATING = ("sigmoid", "tanh", "softsign")


def figure_2(quick: bool) -> Reproduction:
    """Statistics of each layer."""
    width, steps, looks = (100, 2000, 20) if quick else (100, 20_000, 100)
    task = load_task("shapes")
    runs = [
        _training(phi, _STANDARD, depth=_LAYERS, width=width, rate=0.3, steps=steps, data="shapes")
        for phi in _SATURATING
    ]
    rows, errors = [], []
    for run in runs:
        seen = LayerStatistics(task, steps // looks)
        train([run], task, seen)
        rows.append(seen.layers(run))
        errors.append(seen.errors(run))
        at = seen.steps(run)
    values = np.array(rows)  # (activation, look, layer, statistic)
    names = ("mean", "standard deviation", "2nd percentile", "98th percentile")
    data = {
        "activation": Variable(("activation",), np.array(_SATURATING), "activation"),
        "steps": Variable(("look",), at, "steps done"),
        "statistics": Variable(
            ("activation", "look", "layer", "statistic"), values, ", ".join(names)
        ),
        "test_error": Variable(("activation", "look"), np.array(errors), "share that is wrong"),
    }
    return Reproduction(layers_figure(at, values), data, _layer_checks(values, width, quick))


def layers_figure(steps: Array, values: Array) -> Figure:
    """The picture from the statistics, of shape (activation, look, layer, statistic)."""
    with style():
        figure = new_figure(12.0, 3.8)
        axes = figure.subplots(1, 3)
        for ax, name, row in zip(axes, _SATURATING, values, strict=True):
            _draw_layers(ax, steps, row, name)
    return figure


def _draw_layers(ax: Any, steps: Array, rows: Array, name: str) -> None:
    """Means with deviations of sigmoid, as in figure 2; 98th percentiles of others, figure 3."""
    sigmoid = name == "sigmoid"
    for layer in range(_LAYERS):
        mean, deviation, _, high = rows[:, layer].T
        y = mean if sigmoid else high
        colour = COLOURS[layer]
        ax.plot(steps, y, color=colour, ls=LINES[layer], label=f"layer {layer + 1}")
        if sigmoid:
            ax.fill_between(steps, mean - deviation, mean + deviation, color=colour, alpha=0.12,
                            lw=0.0)  # fmt: skip
        else:
            ax.plot(steps, deviation, color=colour, ls=LINES[layer], lw=0.9)
    ax.set_ylim(0.0, 1.0)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    words = "mean, one deviation shaded" if sigmoid else "98th percentile; thin: deviation"
    finish(ax, f"{name}: {words}", "steps of training", r"activation $\phi(h^l)$", "best")


def _layer_checks(values: Array, width: int, quick: bool) -> tuple[Check, ...]:
    """Before training the theory; then the top layer of sigmoid falls to 0, and comes back."""
    expected = np.array([_before(name) for name in _SATURATING])
    found = values[:, 0, :, :2].transpose(2, 0, 1)
    top = values[0, :, -1, :]
    out = [
        worst("root mean square before training, at infinite width", np.hypot(*found),
              np.hypot(*expected.transpose(1, 0, 2)), 6.0 * expected[:, 1] / np.sqrt(width)),
        Check("smallest mean of the top layer of sigmoid", float(top[:, 0].min()), 0.0, 0.1),
    ]  # fmt: skip
    if not quick:
        back = min(1.0, float(top[-1, 1] / top[0, 1]))
        out.append(
            Check("its deviation in the end, as a share of that at the start", back, 1.0, 0.5)
        )
    return tuple(out)


def _before(name: str) -> Array:
    """Mean and deviation of each layer at infinite width, by plain sums; shape (2, L)."""
    phi, q, out = activation(name).value, _STANDARD["sigma_w"] ** 2, []
    for _ in range(_LAYERS):
        mean = plain.average(phi, q)
        square = plain.average(lambda h: phi(h) ** 2, q)
        out.append([mean, np.sqrt(square - mean**2)])
        q = _STANDARD["sigma_w"] ** 2 * square
    return np.array(out).T


# ---- figure 11: error curves -----------------------------------------------------------------

_CURVES = (
    ("sigmoid", "sigmoid", _STANDARD), ("softsign", "softsign", _STANDARD),
    ("tanh", "tanh", _STANDARD), ("softsign N", "softsign", _NORMALISED),
    ("tanh N", "tanh", _NORMALISED),
)  # fmt: skip
_RATES = (0.01, 0.03, 0.1)


def figure_11(quick: bool) -> Reproduction:
    """Test error while training, each at its best learning rate."""
    width, steps, seeds, looks = (32, 600, 2, 30) if quick else (100, 2000, 5, 100)
    task = load_task("synthetic" if quick else "digits")
    curves = np.array(
        [
            _curve(phi, how, task, width=width, steps=steps, seeds=seeds, looks=looks)
            for _, phi, how in _CURVES
        ]
    )  # (curve, seed, look)
    at = np.arange(looks + 1.0) * (steps // looks)
    names = [name for name, _, _ in _CURVES]
    data = {
        "curve": Variable(("curve",), np.array(names), "activation; N for normalised weights"),
        "steps": Variable(("look",), at, "steps done"),
        "test_error": Variable(("curve", "seed", "look"), curves, "share that is wrong"),
    }
    figure = curves_figure(names, at, curves, task.name, width)
    return Reproduction(figure, data, _curve_checks(names, curves, task, width))


def curves_figure(
    names: Sequence[str], steps: Array, curves: Array, data: str, width: int
) -> Figure:
    """The picture from the test errors, of shape (curve, seed, look)."""
    with style():
        figure = new_figure(6.4, 4.2)
        ax = figure.add_subplot()
        for i, (name, rows) in enumerate(zip(names, curves, strict=True)):
            ax.plot(steps, rows.mean(axis=0), color=COLOURS[i], ls=LINES[i], label=name)
            ax.fill_between(steps, rows.min(axis=0), rows.max(axis=0), color=COLOURS[i],
                            alpha=0.12, lw=0.0)  # fmt: skip
        ax.set_yscale("log")
        finish(ax, f"Five hidden layers of {width} on {data}; N: normalised weights",
               "steps of training, ten inputs each", "test error", "best")  # fmt: skip
    return figure


def _curve(
    phi: str, how: dict[str, Any], task: Task, *, width: int, steps: int, seeds: int, looks: int
) -> Array:
    """Test errors of all seeds at the rate whose mean error over the curve is least."""
    by_rate = []
    for rate in _RATES:
        runs = [
            _training(phi, how, depth=5, width=width, rate=rate, steps=steps, data=task.digest,
                      seed=seed)
            for seed in range(seeds)
        ]  # fmt: skip
        seen = LayerStatistics(task, steps // looks, inputs=1)
        train(runs, task, seen)
        by_rate.append(np.array([_filled(seen.errors(r), looks + 1) for r in runs]))
    return min(by_rate, key=lambda rows: float(rows.mean()))


def _filled(errors: Array, count: int) -> Array:
    """A network that diverged classifies nothing from then on."""
    return np.concatenate([errors, np.ones(count - errors.size)])


def _curve_checks(names: Sequence[str], curves: Array, task: Task, width: int) -> tuple[Check, ...]:
    """The order of the source, and one network beside a loop in plain NumPy."""
    mean = dict(zip(names, curves.mean(axis=(1, 2)), strict=True))
    # the source: sigmoid worst, normalised weights better than standard ones for each activation
    order = [("sigmoid", other) for other in names[1:]]
    order += [("tanh", "tanh N"), ("softsign", "softsign N")]
    violated = sum(mean[worse] <= mean[better] for worse, better in order)
    found, expected = _one_network(task, width)
    return (
        Check("pairs out of the order of the source", float(violated), 0.0, 0.0),
        worst("losses of one network and of a plain loop", found, expected, 1e-9),
    )


def _one_network(task: Task, width: int) -> tuple[Array, Array]:
    """Losses of 30 steps of tanh N: of the engine, and of a loop over layers."""
    run = _training("tanh", _NORMALISED, depth=5, width=width, rate=0.1, steps=30, dtype="float64",
                    data=task.digest)  # fmt: skip
    start = draw(run, None, task)
    w = [a.copy() for a in start.matrices]
    b = [a.copy() for a in start.biases]
    losses = []
    for index in batches(run, len(task.x_train)):
        x, y = [task.x_train[index]], task.y_train[index]
        for k in range(5):
            x.append(np.tanh(x[-1] @ w[k].T + b[k]))
        out = np.exp(x[-1] @ w[-1].T + b[-1])
        p = out / out.sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(y.size), y]).mean())
        p[np.arange(y.size), y] -= 1.0
        delta = p / y.size
        for k in range(5, -1, -1):
            below = (delta @ w[k]) * (1.0 - x[k] ** 2)
            w[k] -= run.rate * delta.T @ x[k]
            b[k] -= run.rate * delta.sum(axis=0)
            delta = below
    return np.array(train([run], task)[0].losses), np.array(losses)


ENTRIES = (
    Entry("glorot-figure-2", "Glorot & Bengio 2010, figures 2 and 3",
          "Saturation of the layers of sigmoid, tanh and softsign networks during training",
          "Standard weights, images of shapes. The top layer of sigmoid falls to 0 at once, so "
          "that nothing below it learns, and needs long to come back. tanh and softsign start "
          "small and widen.",
          figure_2),
    Entry("glorot-figure-11", "Glorot & Bengio 2010, figure 11",
          "Error curves of activations and initialisations",
          "Test error while training, each curve at the best of three learning rates; shaded is "
          "the range over seeds. Normalised weights help tanh and softsign; sigmoid does not leave "
          "chance.",
          figure_11),
)  # fmt: skip
