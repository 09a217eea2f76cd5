"""Networks of the population law beside simulated ones of two widths, and their stated errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

import chione as ch
from chione.networks import (
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Gate,
    Input,
    Maxout,
    Network,
    Noise,
    Nonlinearity,
    Norm,
    Parallel,
    Pooling,
    Position,
    Repeat,
    Residual,
    Scale,
)
from chione.simulation import simulate_network
from chione.theory.layers.walk import propagate

D, WIDE = Dense(1.3, 0.2), Convolution(3, 1.2, 0.2, padding="circular")
RELU, TANH, GELU = (Nonlinearity(name) for name in ("relu", "tanh", "gelu"))
BATCH, DEPTHWISE = Norm("batch"), Convolution(3, 1.3, 0.3, depthwise=True)


def vectors(*layers, count=2):
    return layers, lambda width: Input(width, inputs=0.3 + 0.7 * np.eye(count))


def tokens(*layers):
    return layers, lambda width: Input(width, (4,), [[1.0, 0.4], [0.4, 1.2]], 0.3)


def groups_of(channels):
    """A layer that depends on the width."""
    return lambda width: Norm("group", 1.2, 0.2, 0.1, groups=width // channels)


def built(name, width):
    layers, given = NETWORKS[name]
    return Network([x(width) if callable(x) else x for x in layers], given(width))


NETWORKS = {
    "post-activation, relu": vectors(D, RELU, Repeat(3, [Residual([D, RELU, D]), RELU]), D),
    "post-activation, tanh": vectors(
        D, TANH, Repeat(3, [Residual([D, TANH, D], 0.8, 0.7), TANH]), D
    ),
    "batch norm and relu": vectors(D, Repeat(2, [Norm("batch", bias=0.2), RELU, D]), count=8),
    "pre-norm with batch norm": vectors(D, Repeat(3, [Residual([BATCH, GELU, D])]), count=7),
    "ResNet": vectors(D, Repeat(2, [Residual([D, BATCH, RELU, D, BATCH]), RELU]), D, count=7),
    "dropout": vectors(D, Dropout(0.7), RELU, D, RELU, Dropout(0.7, "all"), TANH, D),
    "dropout of whole channels": tokens(D, Dropout(0.7, "positions"), GELU, D),
    "noise": vectors(D, RELU, Noise(0.5), TANH, D),
    "a maximum of three": tokens(WIDE, Pooling("max", 3, 1), D),
    "a maximum after relu": tokens(WIDE, RELU, Pooling("max", 2, 1), TANH, D),
    "pools and flattening": tokens(D, RELU, Pooling("average", 2, 1), TANH, Flatten(), TANH, D),
    "a gate": vectors(D, Gate("silu", None, 1.2, 1.1, 0.1), TANH, D),
    "maxout": vectors(D, Maxout(3, 1.1, 0.1), TANH, D, Maxout(2), RELU, D),
    "depthwise": tokens(WIDE, RELU, DEPTHWISE, RELU, D),
    "depthwise in a branch": tokens(WIDE, Residual([DEPTHWISE, GELU, D]), Norm(), GELU, D),
    "groups of eight": vectors(D, groups_of(8), RELU, D),
    "groups over positions": tokens(D, TANH, groups_of(4), TANH, D),
    "sums of dependent terms": vectors(
        D, Residual([Norm()]), TANH, D, TANH, Residual([TANH]), Residual([Norm(), TANH], 0.7), D
    ),
    "a batch norm added to its stream": vectors(D, Residual([BATCH], 1.0, 0.7), TANH, D, count=7),
    "products": vectors(
        D, RELU, Parallel([[], [D, TANH]], "product"), TANH,
        Parallel([[], [TANH], [Norm()]], "product"), D,
    ),
    "concatenations": vectors(
        D, RELU, Parallel([[], [D]], "concat"), RELU,
        lambda width: Parallel([[], [Dense(1.0, out=2 * width)]]), TANH, D,
    ),
    "waves": tokens(D, Position("sinusoidal", 0.6), TANH, D),
    "positions": tokens(D, RELU, Position("learned", 0.6), TANH, D),
    "norms": vectors(D, RELU, Norm("layer", 1.1, 0.3), RELU, Norm("rms"), TANH, Scale(-0.7), RELU),
    "a stream times its depthwise convolution": tokens(
        WIDE, Parallel([[], [Convolution(3, 1.2, depthwise=True)]], "product"), TANH, D
    ),
    "a depthwise convolution of a concatenation": tokens(
        Parallel([[WIDE], [D, TANH]], "concat"), Convolution(3, 1.2, depthwise=True), TANH, D
    ),
}  # fmt: skip


def compare(name, widths, count, replicas=2):
    """Theory less what simulated networks of two widths extrapolate to, over what is allowed."""
    one, two = widths
    runs = [simulate_network(built(name, w), n_networks=count, seed=w, replicas=replicas, ntk=True)
            for w in widths]  # fmt: skip
    walked = propagate(built(name, two))
    assert "population" in walked.sampled.values()
    found = {
        "second_moments": walked.streams,
        "iid": walked.backward("independent"),
        "shared": walked.backward("shared"),
    }
    far = student.isf(5e-5 / (3 * len(runs[0].rows)), count - 1)
    out = {}

    def judged(key, theory, values, errors):
        value = (two * values[1] - one * values[0]) / (two - one)
        error = np.hypot(two * errors[1], one * errors[0]) / (two - one)
        size = np.sqrt(np.abs(np.outer(np.diagonal(theory.value), np.diagonal(theory.value))))
        allowed = far * error + theory.error + 0.015 * size + 1e-12
        out[key] = float(np.max(np.abs(theory.value - value) / allowed))

    for rows in zip(*(run.rows for run in runs), strict=True):
        place = rows[0].place
        if place not in walked.streams:
            continue  # inside a branch that is one function with its shortcut
        for what, by_place in found.items():
            theory = by_place[place].second_moments()
            judged((place, what), theory, *_two(rows, what))
    last = walked.output
    some = slice(None, None, last.positions)
    theta = last.theta.at(last.orbits.index[some, some][: len(runs[0].ntk), : len(runs[0].ntk)])
    judged(("output", "ntk"), theta, [r.ntk for r in runs], [r.ntk_stderr for r in runs])
    return out


def _two(rows, what):
    return [getattr(row, what) for row in rows], [row.stderr[what] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_population_is_the_limit_of_simulated_networks(name):
    scores = compare(name, (64, 128), 40)
    worst = max(scores, key=scores.get)
    assert scores[worst] <= 1.0, (worst, scores[worst])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet", "depthwise", "a gate", "products", "dropout"])
def test_a_long_run_lies_within_the_stated_errors(name):
    """Eight results of other seeds together know it better."""
    network = built(name, 64)
    found = ch.network_theory(network, seed=1)
    names = "q", "one_minus_c", "gradient", "tangent", "mean"
    others = [ch.network_theory(network, seed=100 + k) for k in range(8)]
    for what in names:
        value, error = getattr(found, what).value, getattr(found, what).error
        true = np.mean([getattr(x, what).value for x in others], axis=0)
        left = 1e-12 + np.mean([getattr(x, what).error for x in others], axis=0) / np.sqrt(8.0)
        assert np.all(np.abs(value - true) <= error + left), what
        size = np.sqrt(found.q.value) if what == "mean" else np.abs(true)
        assert np.all(error <= 0.06 * size + 1e-9), what
