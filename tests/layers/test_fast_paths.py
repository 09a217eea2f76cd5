"""The fast paths of uniform networks against the walk, which is their slow reference."""

from __future__ import annotations

import numpy as np
import pytest

import chione as ch
from chione.networks import MLP, Dense, Input, Network, Repeat, uniform
from chione.theory import network_theory

CASES = [
    ("relu", 1.4, 0.2),
    ("tanh", 1.5, 0.1),
    ("gelu", 1.6, 0.3),
    ("erf", 1.1, 0.0),
    ("selu", 1.0, 0.1),
    ("leaky_relu(0.2)", 1.3, 0.0),
]
DEPTH = 12


def network(name, sigma_w, sigma_b, c0=0.3, q0=1.3):
    plain = MLP(name, sigma_w, sigma_b, depth=DEPTH, width=16)
    return plain, plain.network(((q0, c0 * q0), (c0 * q0, q0)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_trajectories_are_the_walk(case):
    _, net = network(*case)
    curves = ch.trajectory(*case, depth=DEPTH, q0=1.3, c0=0.3)
    theory = network_theory(net)
    rows = [theory.index(f"layers[0]#{l}.layers[0]") for l in range(DEPTH)]
    assert np.allclose(np.asarray(curves.q), theory.q.value[rows], rtol=1e-12)
    assert np.allclose(np.asarray(curves.c), theory.c.value[rows], rtol=0, atol=1e-12)
    gradient = theory.gradient.value[rows] / theory.gradient.value[rows[-1]]
    assert np.allclose(np.asarray(curves.gradient), gradient, rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.sampled(4)
def test_kernels_are_the_walk(case):
    plain, _ = network(*case)
    rng = np.random.default_rng(7)
    x = rng.standard_normal((4, 16))
    layers = (Repeat(DEPTH - 1, plain.layers[:2]), Dense(case[1], case[2], 16))
    walked = Network(layers, Input(16))
    for door in (ch.nngp, ch.ntk):
        fast, slow = door(plain, x), door(walked, x)
        assert np.all(np.abs(fast.value - slow.value) <= fast.error + slow.error)
        assert np.allclose(fast.value, slow.value, rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_the_gate_gives_back_the_network_that_went_in(case):
    plain, net = network(*case)
    assert uniform(net) == plain
    other = Network((*net.layers, Dense(1.0)), net.input)
    assert uniform(other) is None
