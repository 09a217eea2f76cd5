"""Streams whose channels differ from number to number: what closes, and what must be refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student

from chione.base import UnsupportedLayerError
from chione.networks import (
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Parallel,
    Pooling,
    Position,
    Residual,
)
from chione.simulation import simulate_network
from chione.theory.layers.walk import propagate

PAIR = ((1.0, 0.3), (0.3, 1.7))
AT = np.arange(4)
TOKENS = (0.6 ** np.abs(AT[:, None] - AT)).tolist()
D, RELU = Dense(1.3, 0.2), Nonlinearity("relu")
DEPTHWISE = Convolution(3, 1.2, depthwise=True)
GROUPS = Parallel([[D, RELU], [D]], "concat")
GAUSSIANS = Parallel([[D], [Dense(2.0)]], "concat")
WAVES = Position("sinusoidal", 0.8)
FLAT = (D, RELU, Flatten())


def net(*layers):
    return Network(layers, Input(8, (4,), PAIR, TOKENS))


REFUSED = {
    "a sum of two concatenations with means": net(Parallel([[GROUPS], [GROUPS]])),
    "a product of two concatenations": net(Parallel([[GROUPS], [GROUPS]], "product")),
    "a sum of two flattened grids with means": net(Parallel([FLAT, FLAT])),
    "a product of two flattened grids": net(Parallel([FLAT, FLAT], "product")),
    "waves twice": net(D, WAVES, WAVES),
    "a sum of two streams with waves": net(Parallel([[D, WAVES], [D, WAVES]])),
    "a product of two streams with waves": net(Parallel([[D, WAVES], [D, WAVES]], "product")),
    "waves on a concatenation with means": net(GROUPS, WAVES),
    "a group norm of a concatenation": net(GROUPS, Norm("group", groups=2)).scaled(8),
    "a group norm of waves": net(WAVES, Norm("group", groups=2)).scaled(8),
    "an activation after groups that read a concatenation": net(
        GROUPS, Convolution(3, groups=2), RELU
    ),
    "a norm of a concatenation whose second branch has one mask for all": net(
        Parallel([[D], [D, Dropout(0.5, "path")]], "concat"), Norm()
    ),
}

CLOSED = {
    "a residual on a concatenation": net(GAUSSIANS, Residual([D, RELU, D]), RELU, D),
    "a branch that is a concatenation": net(
        D, Residual([GAUSSIANS, RELU, Dense(1.1, out=8)]), RELU, D
    ),
    "positions on a concatenation": net(GAUSSIANS, Position(sigma=0.5), RELU, D),
    "a batch norm of a concatenation": net(GAUSSIANS, Norm("batch"), D),
    "a maximum of a concatenation": net(GAUSSIANS, Pooling("max", 2), D),
    "a norm of a flattened concatenation": net(GROUPS, Flatten(), Norm(), Dense(out=8)),
    "depthwise convolutions added to their stream": net(D, Residual([DEPTHWISE]), Norm(), D),
    "an activation after one weight a channel": net(D, Convolution(1, depthwise=True), RELU, D),
    "a stream times its depthwise convolution": net(D, Parallel([[], [DEPTHWISE]], "product"), D),
    "two depthwise convolutions of a stream, multiplied": net(
        D, Parallel([[DEPTHWISE], [DEPTHWISE]], "product"), D
    ),
    "a product with another stream's depthwise convolution": net(
        Parallel([[D, DEPTHWISE], [D]], "product"), D
    ),
    "a sum of concatenations, one of them without means": net(
        Parallel([[GROUPS], [GAUSSIANS]]), Norm(), D
    ),
    "groups that read a concatenation": net(GROUPS, Convolution(3, groups=2), D, RELU, D),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_averages_over_channels_cannot_tell_is_refused(name):
    with pytest.raises(UnsupportedLayerError, match=r"layers\[\d\].*second moments do not"):
        propagate(REFUSED[name])


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.sampled(5)
def test_theory_of_uneven_channels_is_the_limit_of_simulated_networks(name):
    one, two, count = 16, 32, 24
    network = CLOSED[name]
    runs = [
        simulate_network(network.scaled(f), n_networks=count, seed=f, replicas=4)
        for f in (one, two)
    ]
    walked = propagate(network.scaled(two))
    found = {
        "second_moments": walked.streams,
        "iid": walked.backward("independent"),
        "shared": walked.backward("shared"),
    }
    far = student.isf(5e-5 / (3 * len(runs[0].rows)), count - 1)
    for small, large in zip(*(run.rows for run in runs), strict=True):
        for what, by_place in found.items():
            a, b = getattr(small, what), getattr(large, what)
            value = (two * b - one * a) / (two - one)
            error = np.hypot(two * large.stderr[what], one * small.stderr[what]) / (two - one)
            theory = by_place[small.place].second_moments().value
            size = np.sqrt(np.outer(np.diagonal(theory), np.diagonal(theory)))
            allowed = far * error + 0.01 * size + 1e-20  # what one cotangent leaves of a batch norm
            assert np.all(np.abs(theory - value) <= allowed), (small.place, what)
