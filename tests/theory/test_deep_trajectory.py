"""Curves over more layers than are followed, against recursions that follow every one."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chione as ch
from chione.base import ConvergenceError, CostError, Status


def arcsine(w2, b2, depth):
    """Lengths, distances and decades of erf, layer by layer, by its closed map."""
    q, gap, decades = w2 + b2, w2 * 0.5 / (w2 + b2), 0.0
    rows = {}
    for layer in range(1, depth + 1):
        rows[layer] = (q, gap, decades)
        decades += math.log10(w2 * 4.0 / (math.pi * math.sqrt(1.0 + 4.0 * q)))
        x = 2.0 * q / (1.0 + 2.0 * q)
        # asin(x) - asin(x c) without cancellation: the sine of the difference
        y = x * (1.0 - gap)
        drop = x * gap * (x + y) / (x * math.sqrt(1 - y * y) + y * math.sqrt(1 - x * x))
        after = w2 * 2.0 / math.pi * math.asin(x) + b2
        gap = w2 * 2.0 / math.pi * math.asin(drop) / after
        q = after
    return rows


def arc_cosine(depth):
    """1 - c and lengths of relu at sqrt(2): the angle's own recursion."""
    gap, rows = 0.5, {}
    for layer in range(1, depth + 1):
        rows[layer] = (2.0, gap, 0.0)
        angle = 2.0 * math.asin(math.sqrt(gap / 2.0))
        if angle < 1e-2:  # sin a - a cos a = a^3 / 3 - a^5 / 30 + a^7 / 840
            lost = angle**3 / 3.0 - angle**5 / 30.0 + angle**7 / 840.0
        else:
            lost = math.sin(angle) - angle * math.cos(angle)
        gap -= lost / math.pi
    return rows


def assert_follows(curves, rows):
    for k, layer in enumerate(curves.layer.astype(int)):
        q, gap, _ = rows[layer]
        left = rows[curves.layer[-1]][2] - rows[layer][2]
        for name, value in (("q", q), ("one_minus_c", gap), ("log10_gradient", left)):
            error = curves.errors[name][k]
            slack = 1e-11 * abs(value) + 1e-300  # of the recursion in float64
            assert abs(getattr(curves, name)[k] - value) <= error + slack, (name, layer)
            if value > 1e-12:
                assert error <= 1e-3 * value + 1e-9, (name, layer)


@pytest.mark.parametrize(("w", "b"), [(1.2, 0.3), (1.1, 0.05), (2.5, 0.1), (3.0, 0.0)])
def test_erf_follows_the_arcsine_recursion_through_a_hundred_thousand_layers(w, b):
    curves = ch.deep_trajectory("erf", w, b, depth=100_000)
    assert curves.layer.size < 200
    assert curves.layer[-1] == 100_000
    assert_follows(curves, arcsine(w * w, b * b, 100_000))


def test_relu_follows_the_arc_cosine_recursion_through_a_hundred_thousand_layers():
    assert_follows(ch.deep_trajectory("relu", math.sqrt(2.0), depth=100_000), arc_cosine(100_000))


def test_depths_that_are_followed_are_what_they_were():
    assert ch.deep_trajectory("tanh", 1.5, 0.1, depth=30) == ch.trajectory(
        "tanh", 1.5, 0.1, depth=30
    )


@pytest.mark.parametrize("depth", [10**6, 10**9, 10**20])
def test_powers_and_fixed_points_hold_at_any_depth(depth):
    settled = ch.deep_trajectory("erf", 1.2, 0.3, depth=depth)
    field = ch.mean_field("erf", 1.2, 0.3)
    assert abs(settled.q[-1] - field.q_star.value) <= settled.errors["q"][-1] + field.q_star.error
    later = settled.log10_gradient[-2] / (settled.layer[-1] - settled.layer[-2])
    assert later == pytest.approx(math.log10(field.chi_perp.value), rel=1e-9)
    fading = ch.deep_trajectory("erf", math.sqrt(math.pi) / 2.0, depth=depth)  # q ~ 3 / (8 l)
    law = ch.large_depth("erf")[0].length
    expected = law.amplitude.value / depth
    assert (
        abs(fading.q[-1] - expected)
        <= fading.errors["q"][-1] + expected * 30 * math.log(depth) / depth
    )


@pytest.mark.parametrize(
    ("spec", "w", "status"),
    [
        ("relu", 1.6, Status.DIVERGENT),
        ("exp(x)", 1.0, Status.DIVERGENT),
        ("tanh", 0.0, Status.UNDEFINED),
    ],
)
def test_signals_that_leave_float64_say_so_at_any_depth(spec, w, status):
    deep = ch.deep_trajectory(spec, w, depth=10**9)
    assert deep.status == status == ch.trajectory(spec, w, depth=3000).status
    assert np.isnan(deep.chi[-1])


def test_lengths_below_float64_keep_their_gradient():
    deep = ch.deep_trajectory("tanh", 0.5, depth=10**9)
    assert deep.q[-1] == 0.0
    assert deep.log10_gradient[0] == pytest.approx(1e9 * math.log10(0.25), rel=1e-8)


@pytest.mark.parametrize(
    "spec", ["relu", *(pytest.param(s, marks=pytest.mark.slow) for s in ("tanh", "x/(1+exp(-x))"))]
)
def test_a_page_of_a_thousand_million_layers_needs_no_loop(spec):
    page = ch.analyze(spec, 1.5, 0.1, depth=10**9, simulate=False)
    field = ch.mean_field(spec, 1.5, 0.1)
    assert page.theory == field
    assert page.to_dict()["layers"]["layer"][-1] == 10**9
    if field.reached:
        per_layer = page.log10_gradient / 1e9
        assert per_layer == pytest.approx(math.log10(field.chi_perp.value), rel=1e-6)
    assert page.verdict.trains == "no"


def test_simulating_so_many_layers_is_refused_and_the_theory_named():
    with pytest.raises(CostError, match=r"simulating 50 networks .* --no-simulate"):
        ch.analyze("tanh", 1.5, 0.1, depth=10**9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "w", "b"), [("tanh", 1.0001, 0.0), ("erf", 0.8863, 0.0), ("gelu", 1.41, 0.41)]
)
def test_what_settles_too_slowly_to_be_summed_is_not_told(spec, w, b):
    deep = ch.deep_trajectory(spec, w, b, depth=10**9)
    assert deep.status == Status.NOT_COMPUTED
    assert np.isnan(deep.q[-1]) and np.isnan(deep.log10_gradient[0])
    with pytest.raises(ConvergenceError, match="settles too slowly"):
        ch.analyze(spec, w, b, depth=10**9, simulate=False)
