"""The tangent kernel at the start, against finite networks in plain numpy and in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from chione.activations import activation
from chione.diagnosis.verdict import passage
from chione.theory import deep_trajectory, mean_field

N, NETWORKS = 300, 16
CASES = {
    "tanh": (np.tanh, lambda h: 1.0 - np.tanh(h) ** 2, 1.4, 0.3, 6),
    "relu": (lambda h: np.maximum(h, 0.0), lambda h: (h > 0.0) * 1.0, 1.3, 0.2, 8),
    "sin": (np.sin, np.cos, 0.8, 0.3, 4),
}


def asked(name, sigma_w, sigma_b, depth, width):
    act, sigmas = activation(name), {"sigma_w": sigma_w, "sigma_b": sigma_b}
    curves = deep_trajectory(act, depth=depth, **sigmas)
    return passage(act, curves, **sigmas, width=width, mean=mean_field(act, **sigmas))


def sampled(f, slope, sigma_w, sigma_b, depth, rng):
    """Squared gradient of an output in all weights of a network, and feature part of the rest."""
    a, b = (v * math.sqrt(N) / np.linalg.norm(v) for v in rng.standard_normal((2, N)))
    b -= a * (a @ b) / N
    b *= math.sqrt(N) / np.linalg.norm(b)
    x = np.stack([a, 0.5 * a + math.sqrt(0.75) * b], axis=1)
    weights = [sigma_w / math.sqrt(N) * rng.standard_normal((N, N)) for _ in range(depth)]
    signals, before = [x], []
    for w in weights:
        h = w @ signals[-1] + sigma_b * rng.standard_normal((N, 1))
        before.append(h)
        signals.append(f(h))
    back = rng.standard_normal((N, 1)) / math.sqrt(N)
    gram = signals[-1].T @ signals[-1]
    whole = gram[0, 0] + 1.0
    differs = 0.5 * (gram[0, 0] + gram[1, 1]) - gram[0, 1]
    for layer in range(depth - 1, -1, -1):
        delta = back * slope(before[layer])
        size = np.sum(delta**2, axis=0)
        gram = signals[layer].T @ signals[layer]
        whole += (gram[0, 0] + 1.0) * size[0]
        differs += (0.5 * (gram[0, 0] + gram[1, 1]) - gram[0, 1]) * size.mean()
        back = weights[layer].T @ delta
    return whole, differs


@pytest.mark.parametrize("name", CASES)
def test_stiffness_and_contrast_are_those_of_finite_networks(name):
    f, slope, sigma_w, sigma_b, depth = CASES[name]
    rng = np.random.default_rng(3)
    runs = np.array([sampled(f, slope, sigma_w, sigma_b, depth, rng) for _ in range(NETWORKS)])
    way = asked(name, sigma_w, sigma_b, depth, N)
    error = runs.std(axis=0, ddof=1) / math.sqrt(NETWORKS) / runs.mean(axis=0)
    # five standard errors, and the first order of 1 / n: a few layers over the width
    bound = 5.0 * error + 2.0 * depth / N
    # the step into the read-out continues that of the layer before
    bound[1] += 0.03
    found = np.log(runs.mean(axis=0))
    assert abs(found[0] - way.stiffness) < bound[0]
    assert abs(found[1] - way.contrast) < bound[1]


@pytest.mark.parametrize(("depth", "width"), [(1, 64), (7, 100), (40, 512)])
def test_isometric_linear_layers_add_up(depth, width):
    way = asked("linear", 1.0, 0.0, depth, width)
    assert way.stiffness == pytest.approx(math.log((depth + 1) * (width + 1.0)), abs=1e-12)
    assert way.contrast == pytest.approx(math.log((depth + 1) * width * 0.5), abs=1e-12)


def test_layers_of_which_only_a_choice_is_kept_count_in_full():
    # deep_trajectory keeps a choice of layers from some depth on; each stands for those before it
    near, far = (asked("linear", 1.0, 0.0, depth, 64) for depth in (1000, 100_000))
    assert far.stiffness - near.stiffness == pytest.approx(math.log(100_001 / 1001), abs=0.02)


def test_weights_twice_as_large_behind_relu_make_outputs_as_much_stiffer():
    way, twice = (asked("relu", s, 0.0, 10, 128) for s in (1.2, 2.4))
    # each layer passes on four times as much; weights that are twice as large count a quarter
    assert twice.stiffness > way.stiffness
    assert twice.contrast - way.contrast == pytest.approx(twice.stiffness - way.stiffness, abs=0.35)


def test_chaos_is_counted_in_its_depth_scales():
    field = mean_field("tanh", sigma_w=2.0, sigma_b=0.1)
    way = asked("tanh", 2.0, 0.1, 30, 64)
    assert way.forgotten == pytest.approx(30 / float(field.xi_c.value))
    assert asked("tanh", 0.9, 0.1, 30, 64).forgotten == 0.0
