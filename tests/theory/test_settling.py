"""Layers until lengths and correlations are near where they settle, against plain loops."""

import math

import numpy as np
import pytest

import chione as ch

Z = np.arange(-11.0, 11.0, 1.0 / 16.0)
P = np.exp(-0.5 * Z**2) / 16.0 / math.sqrt(2.0 * math.pi)


def layers_of(f, w, b, q0, c0, depth):
    """Lengths and correlations by trapezoid sums, exponentially accurate for analytic f."""
    q, k, out = w * w * q0 + b * b, w * w * q0 * c0 + b * b, []
    for _ in range(depth):
        c = k / q
        out.append((q, c))
        u = math.sqrt(q) * Z[:, None]
        v = math.sqrt(q) * (c * Z[:, None] + math.sqrt(max(0.0, 1.0 - c * c)) * Z)
        k = w * w * float(P @ (f(u) * f(v)) @ P) + b * b
        q = w * w * float(P @ f(math.sqrt(q) * Z) ** 2) + b * b
    return np.array(out).T


def first_near(distance, limit):
    """One beyond the last layer that is away."""
    away = np.flatnonzero(distance > limit)
    return 1 if away.size == 0 else int(away[-1]) + 2


@pytest.mark.parametrize(
    ("w", "b", "q0", "c0", "share"),
    [
        (1.5, 0.1, 1.0, 0.5, 0.01),
        (1.5, 0.1, 7.0, -0.3, 0.001),
        (0.8, 0.4, 0.1, 0.2, 0.01),
        (2.5, 0.3, 1.0, 0.99, 0.2),
    ],
)
def test_layers_of_tanh_are_those_of_a_plain_loop(w, b, q0, c0, share):
    found = ch.settling("tanh", w, b, q0=q0, c0=c0, share=share)
    q, c = layers_of(np.tanh, w, b, q0, c0, 200)
    assert found.lengths.value == first_near(abs(q - q[-1]), share * q[-1])
    assert found.correlations.value == first_near(abs(c - c[-1]), share)
    assert found.q_star.value == pytest.approx(q[-1], rel=1e-12)
    assert found.lengths.error == 0.0
    assert found.correlations.error == 0.0


def test_lengths_of_relu_settle_as_a_geometric_series():
    """q^l - q* = (w^2 / 2)^{l - 1} (q^1 - q*)."""
    w2, b2 = 1.9, 0.1
    q_star = b2 / (1.0 - w2 / 2.0)
    found = ch.settling("relu", math.sqrt(w2), math.sqrt(b2), q0=10.0)
    start = abs(w2 * 10.0 + b2 - q_star)
    steps = math.ceil(math.log(0.01 * q_star / start) / math.log(w2 / 2.0))
    assert found.lengths.value == 1 + steps


def arc_cosine_gap(gap):
    """1 - c of relu after a layer without biases."""
    angle = math.acos(1.0 - gap)
    return 1.0 - (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi


def near_gap(gap):
    """The same near 0 by its series: gap - (2 sqrt 2 / 3 pi) gap^{3/2} (1 + 3 gap / 20 + ...)."""
    angle = 2.0 * math.asin(math.sqrt(gap / 2.0))
    # sin t - t cos t = t^3 / 3 - t^5 / 30 + t^7 / 840 - ...
    part = angle**3 / 3.0 - angle**5 / 30.0 + angle**7 / 840.0
    return gap - part / math.pi


def test_correlations_of_critical_relu_settle_by_a_power_law_to_a_finite_layer():
    gap, layer = 0.5, 1
    while gap > 1e-3:
        gap, layer = arc_cosine_gap(gap), layer + 1
    found = ch.settling("relu", math.sqrt(2.0), share=1e-3)
    assert found.correlations.value == layer
    assert found.lengths.value == 1  # every length is a fixed point


def test_many_layers_of_slow_change_are_carried():
    gap, layer = 0.5, 1
    while gap > 1e-7:
        gap, layer = arc_cosine_gap(gap) if gap > 1e-3 else near_gap(gap), layer + 1
    found = ch.settling("relu", math.sqrt(2.0), share=1e-7)
    assert abs(found.correlations.value - layer) <= found.correlations.error
    assert found.correlations.error <= 1e-4 * layer


@pytest.mark.parametrize(
    ("phi", "w", "b", "options", "which", "status", "words"),
    [
        ("tanh", 0.9, 0.0, {}, "lengths", "undefined", "none is within a share of it"),
        ("tanh", 0.9, 0.0, {}, "correlations", "continuum", "where the first layers leave them"),
        ("relu", 1.6, 0.5, {}, "lengths", "divergent", "Lengths diverge."),
        ("relu", 1.6, 0.5, {}, "correlations", "not_computed", "settle nowhere"),
        ("tanh", 2.0, 0.1, {"c0": 1.0}, "correlations", "none", "Equal inputs stay equal"),
        ("linear", 1.0, 0.0, {}, "correlations", "none", "where the first layers leave them"),
    ],
)
def test_where_there_is_no_layer_the_sentence_says_why(phi, w, b, options, which, status, words):
    found = ch.settling(phi, w, b, **options)
    layers = getattr(found, which)
    assert math.isnan(layers.value)
    assert layers.status.word == status
    assert words in found.sentence


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(ValueError, match="share must lie between 1e-10 and 1"):
        ch.settling("tanh", 1.5, share=share)
