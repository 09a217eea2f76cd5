"""The explorer's sampled networks, in a real browser, against `chione.simulate` and against theory.

Ladder: matrix-free networks of the page against networks with explicit weights, law by law at a
width of a few dozen units; against the theory of infinite width where they are wide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import chione as ch
from chione.explorer import build
from chione.networks import Network
from chione.simulation.frames import frame
from chione.simulation.rows import measure

NUMBERS = r"layer \d+: q = ([\d.e-]+).*; sampled ([\d.e-]+) ± ([\d.e-]+)"

SAMPLES = """async ([network, count]) => {
  const { sampleNetworks } = await import("/sample.js");
  const found = await sampleNetworks(network, { count, seed: 5 });
  const list = ({ mean, error }) => ({ mean: [...mean], error: [...error] });
  return { count: found.count, q: list(found.q), c: list(found.c), gradient: list(found.gradient) };
}"""


@pytest.mark.parametrize(
    ("name", "weights", "c"),
    [("tanh", "gaussian", 0.4), ("relu", "gaussian", -0.6),
     pytest.param("gelu", "orthogonal", 0.4, marks=pytest.mark.slow),
     pytest.param("x + sin(x)**2", "gaussian", 0.9, marks=pytest.mark.slow)],
)  # fmt: skip
def test_sampled_networks_have_the_law_of_simulate(
    modules: Any, name: str, weights: str, c: float
) -> None:
    width, depth, count = 37, 5, 1500
    network = {"activation": name, "sigma_w": 1.5, "sigma_b": 0.2, "depth": depth, "width": width,
               "q": 0.7, "c": c, "weights": weights, "mode": "plain"}  # fmt: skip
    js = modules.evaluate(SAMPLES, [network, count])
    assert js["count"] == count
    x = np.zeros((2, width))
    x[:, 0] = np.sqrt(0.7 * width) * np.array([1.0, c])
    x[1, 1] = np.sqrt(0.7 * width * (1.0 - c * c))
    mlp = ch.MLP(name, depth=depth, width=width, sigma_w=1.5, sigma_b=0.2, weights=weights)
    names = {"q": "lengths", "c": "correlations", "gradient": "gradients"}
    known = ch.simulate(
        mlp, x, n_networks=count, observe=list(names.values()), seed=3, sampler="dense"
    )
    for key, observable in names.items():
        last = depth - (key == "gradient")  # the error signal is relative to that of the last layer
        mean, error = (np.array(js[key][part], dtype=float)[:last] for part in ("mean", "error"))
        theirs, spread = (a[observable][-depth:, 0][:last] for a in (known.mean, known.stderr))
        assert np.all(np.abs(mean - theirs) <= 4.5 * np.hypot(error, spread)), (key, mean, theirs)
        # the standard error of a standard error is 1 / sqrt(2 n) of it where tails are light
        np.testing.assert_allclose(error, spread, rtol=0.35)


def test_sampled_networks_meet_the_theory_of_infinite_width(modules: Any) -> None:
    network = {"activation": "tanh", "sigma_w": 1.7, "sigma_b": 0.1, "depth": 8, "width": 4000,
               "q": 1.3, "c": 0.5, "weights": "gaussian", "mode": "plain"}  # fmt: skip
    js = modules.evaluate(SAMPLES, [network, 60])
    curve = ch.trajectory("tanh", sigma_w=1.7, sigma_b=0.1, depth=8, q0=1.3, c0=0.5)
    for key, exact in (("q", curve.q), ("c", curve.c)):
        mean, error = (np.array(js[key][part], dtype=float) for part in ("mean", "error"))
        bias = 4.0 / 4000  # the mean over networks moves by O(1 / width)
        assert np.all(np.abs(mean - np.asarray(exact)) <= 4.5 * error + bias), key


def test_sampled_dropout_meets_its_theory(modules: Any) -> None:
    keep, w2, b2, depth, width = 0.8, 1.7**2, 0.1**2, 6, 4000
    network = {"activation": "gelu", "sigma_w": 1.7, "sigma_b": 0.1, "depth": depth, "width": width,
               "q": 1.3, "c": 0.5, "weights": "gaussian", "mode": "dropout",
               "dropout": 0.2}  # fmt: skip
    js = modules.evaluate(SAMPLES, [network, 60])
    q, product = 1.3 * w2 + b2, 0.65 * w2 + b2
    lengths, correlations, factors = [], [], []
    for _ in range(depth):
        lengths.append(q)
        correlations.append(product / q)
        # a kept unit is divided by `keep`; the masks of two inputs are independent
        factors.append(w2 / keep * ch.derivative_second_moment("gelu", q).value)
        product = w2 * ch.kernel("gelu", q, q, product / q).value + b2
        q = w2 / keep * ch.second_moment("gelu", q).value + b2
    gradients = np.cumprod([1.0, *factors[-2::-1]])[::-1]
    for key, exact in (("q", lengths), ("c", correlations), ("gradient", gradients)):
        mean, error = (np.array(js[key][part], dtype=float) for part in ("mean", "error"))
        bias = 10.0 / width * np.abs(exact)  # the mean over networks moves by O(depth / width)
        assert np.all(np.abs(mean - np.asarray(exact)) <= 4.5 * error + bias), key


UNEVEN = {"activation": "gelu", "sigma_w": 1.4, "sigma_b": 0.3, "depth": 5, "width": 37, "q": 0.7,
          "c": 0.6, "weights": "gaussian", "dropout": 0.25, "alpha": 0.3, "tokens": 3}  # fmt: skip

DESCRIBED = """async (state) => {
  const { networkDescription } = await import("/network_text.js");
  return networkDescription(state);
}"""


def layers_of(network: Network) -> list[str]:
    """Places of the page's layers 1, 2, ... in its network."""
    last = len(network.layers) - 1
    repeated = [f"layers[{last}]#{k}" for k in range(network.layers[last].times)]
    return ["layers[0]", *repeated] if last else repeated


def of_neighbours(gram: np.ndarray) -> float:
    """Mean correlation of each row with the next one."""
    size = np.sqrt(np.diagonal(gram))
    return float(np.mean(np.diagonal(gram, 1) / (size[1:] * size[:-1])))


def drawn(network: Network, count: int, followed: int) -> Iterator[dict[str, list[float]]]:
    """Lengths, correlations and gradients of networks with explicit weights, one by one."""
    for number in range(count):
        x = frame(network.input, 1, 3, number)
        found, _ = measure(network, x, 3, number, ntk=False)
        grams = [found[place, "second_moments"] for place in layers_of(network)]
        errors = [
            np.trace(found[place, "iid"][:followed, :followed]) for place in layers_of(network)
        ]
        yield {
            "q": [float(np.mean(np.diagonal(g)[:followed])) for g in grams],
            "c": [of_neighbours(g) for g in grams],
            "gradient": list(np.array(errors) / errors[-1]),
        }


@pytest.mark.parametrize(
    ("mode", "weights", "change"),
    [("residual", "gaussian", {}), ("prenorm", "gaussian", {}), ("transformer", "gaussian", {}),
     ("prenorm", "orthogonal", {"activation": "tanh", "alpha": 1.5, "width": 16}),
     pytest.param("dropout", "gaussian", {}, marks=pytest.mark.slow),
     pytest.param("residual", "orthogonal", {"c": -1.0}, marks=pytest.mark.slow),
     pytest.param("residual", "gaussian", {"alpha": 1.5, "activation": "relu"},
                  marks=pytest.mark.slow),
     pytest.param("transformer", "orthogonal", {"tokens": 7, "alpha": 1.0, "c": -0.1},
                  marks=pytest.mark.slow)],
)  # fmt: skip
def test_sampled_blocks_have_the_law_of_the_network_that_the_page_hands_out(
    modules: Any, mode: str, weights: str, change: dict[str, Any]
) -> None:
    count = 600
    state = UNEVEN | {"mode": mode, "weights": weights} | change
    js = modules.evaluate(SAMPLES, [state, count])
    assert js["count"] == count
    network = Network.from_dict(modules.evaluate(DESCRIBED, state))
    followed = state["tokens"] if mode == "transformer" else 1
    theirs = list(drawn(network, count, followed))
    for key in ("q", "c", "gradient"):
        mean, error = (np.array(js[key][part], dtype=float) for part in ("mean", "error"))
        rows = np.array([one[key] for one in theirs])
        spread = rows.std(axis=0, ddof=1) / np.sqrt(count)
        off = np.abs(mean - rows.mean(axis=0))
        assert np.all(off <= 4.5 * np.hypot(error, spread) + 1e-13), (key, mean, rows.mean(axis=0))
        known = spread > 1e-12  # the last gradient is 1 in every network
        # the standard error of a standard error is 1 / sqrt(2 n) of it where tails are light
        np.testing.assert_allclose(error[known], spread[known], rtol=0.35)
        assert np.all(error[~known] < 1e-12)


CURVES = """async ([data, state]) => {
  const tables = await import("/tables.js");
  const { solve } = await import("/engine.js");
  tables.provideTables(data);
  const { depth } = solve(state, await tables.loadActivation(state.activation));
  return { q: [...depth.q], c: [...depth.c], gradient: [...depth.gradient] };
}"""


@pytest.mark.parametrize("mode", ["residual", "prenorm", "transformer"])
def test_sampled_blocks_meet_the_curves_of_the_page(modules: Any, mode: str) -> None:
    depth, width = 12, 600 if mode == "transformer" else 3000
    state = UNEVEN | {"mode": mode, "depth": depth, "width": width}
    js = modules.evaluate(SAMPLES, [state, 16])
    curves = modules.evaluate(CURVES, [build.tables(), state])
    network = Network.from_dict(modules.evaluate(DESCRIBED, state))
    theory = ch.network_theory(network)
    at = [theory.places.index(place) for place in layers_of(network)]
    np.testing.assert_allclose(curves["q"], theory.q.value[at], rtol=1e-9)
    np.testing.assert_allclose(curves["gradient"], theory.gradient.value[at], rtol=1e-9)
    for key, exact in curves.items():
        mean, error = (np.array(js[key][part], dtype=float) for part in ("mean", "error"))
        size = np.abs(exact)
        bias = depth / width * size  # the mean over networks moves by O(depth / width)
        assert np.all(np.abs(mean - exact) <= 4.5 * error + bias), (key, mean, exact)
        assert np.all(error <= 0.06 * size)  # else it would not tell


SAID = """async (changes) => {
  const { sampleNetworks } = await import("/sample.js");
  const usual = { activation: "gelu", sigma_w: 1.4, sigma_b: 0.1, depth: 2, width: 512, q: 1,
                  c: 0.5, weights: "gaussian", mode: "transformer", alpha: 1, tokens: 64 };
  const asked = (change) => sampleNetworks({ ...usual, ...change }, { count: 3, seed: 1 });
  const found = await Promise.all(changes.map(asked));
  return found.map(({ status, count }) => [status, count]);
}"""


def test_what_is_not_drawn_is_said_in_a_sentence(modules: Any) -> None:
    drawn_ones = [{}, {"mode": "prenorm", "width": 4}, {"tokens": 7, "width": 8}, {"c": -1 / 63}]
    refused = {
        "a width of 4": {"mode": "residual", "width": 3},
        "from two tokens on": {"tokens": 1},
        "fewer tokens than units": {"tokens": 8, "width": 8},
        "below -0.0159": {"c": -0.02},
        "with 64 tokens take too long to draw here: at this width 17 layers would do": {
            "depth": 50},
        "these take too long to draw here: at this width 1 layer would do": {
            "mode": "plain", "width": 1_000_000, "depth": 2},
        "narrower ones would do": {"tokens": 1000, "width": 2000},
    }  # fmt: skip
    said = modules.evaluate(SAID, [*drawn_ones, *refused.values()])
    assert said[: len(drawn_ones)] == [["ok", 3]] * len(drawn_ones)
    for words, (status, count) in zip(refused, said[len(drawn_ones) :], strict=True):
        assert words in status and status.endswith(".") and count == 0


def test_signals_beyond_numbers_are_none_and_large_ones_keep_their_errors(modules: Any) -> None:
    usual = UNEVEN | {"mode": "plain", "depth": 100}
    lost = modules.evaluate(SAMPLES, [usual | {"activation": "exp", "sigma_w": 5.0}, 3])
    kept = modules.evaluate(SAMPLES, [usual | {"activation": "relu", "sigma_w": 20.0}, 50])
    for key in ("q", "c", "gradient"):
        assert np.isnan(lost[key]["mean"][-1 if key != "gradient" else 0]), key
    for key in ("q", "gradient"):
        mean, error = (np.array(kept[key][part], dtype=float) for part in ("mean", "error"))
        assert np.all(np.isfinite(mean)) and np.all(error[:-1] > 1e-3 * mean[:-1])
        assert np.all(error < 1.001 * mean)
    assert kept["q"]["mean"][-1] > 1e200


def test_dots_come_in_every_mode_or_the_page_says_why_there_are_none(desk: Any) -> None:
    def shown(fragment: str) -> tuple[str, str]:
        desk.go(f"#activation=gelu&sigma_w=1.4&sigma_b=0.1&depth=6&width=128&{fragment}")
        desk.page.locator("#chart-q .plot").focus()
        desk.page.keyboard.press("End")
        caption = desk.page.locator("#chart-q .caption").inner_text()
        return desk.page.locator("#chart-q .readout").inner_text(), caption

    band, dots = "Band: chance at this width. ", "Dots: sampled networks of this width"
    captions = {
        "mode=plain": f"{band}{dots}.",
        "mode=dropout&dropout=0.2": f"{dots}.",
        "mode=residual&alpha=0.5": f"{dots}.",
        "mode=prenorm&alpha=0.5": f"{dots}.",
        "mode=transformer&alpha=0.5&tokens=8": f"{dots}, means over their tokens.",
    }
    for fragment, words in captions.items():
        readout, caption = shown(fragment)
        assert caption == words
        q, mean, error = map(float, re.fullmatch(NUMBERS, readout).groups())
        assert abs(mean - q) <= 5 * error + 0.1 * q, fragment  # of width 128
    readout, caption = shown("mode=transformer&tokens=64&depth=200")
    assert "sampled" not in readout
    assert caption.startswith("Networks as wide and deep as these with 64 tokens take too long")
