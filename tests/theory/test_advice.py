"""What advice is weighed by, against the moments, against drawn networks; what it then says."""

import math

import numpy as np
import pytest
from drawn_networks import measured

from chione.activations import activation, catalogue
from chione.theory import (
    critical_affine,
    derivative_second_moment,
    finite_width,
    fourth_moment,
    gain,
    length_slope,
    one_minus_correlation_map,
    second_moment,
    trajectory,
)
from chione.theory.depth.advice_rule import WEIGHED, total
from chione.theory.depth.candidates import Setting, holding, single
from chione.theory.depth.options import Options
from chione.theory.depth.weighing import Start, walk
from chione.theory.moments.layer_table import LayerTable
from chione.theory.moments.moments import moments

SMOOTH = ("tanh", "gelu", "silu", "softplus", "elu", "sin")
KINKED = ("relu", "hardtanh", "softshrink", "hardswish")


@pytest.mark.parametrize("name", [*SMOOTH, *KINKED])
@pytest.mark.parametrize("q", [0.07, 1.3, 20.0])
def test_the_table_of_a_layer_holds_its_moments(name, q):
    act = activation(name)
    found = LayerTable.of(act).moments(np.array([math.log(q)]))[0]
    square, slope = second_moment(act, q).value, derivative_second_moment(act, q).value
    assert found[0] == pytest.approx(math.log(square), abs=1e-3)
    assert found[1] == pytest.approx(math.log(slope), abs=1e-3)
    assert found[2] == pytest.approx(q * length_slope(act, q).value / square, abs=1e-3)
    assert found[3] == pytest.approx(math.log(fourth_moment(act, q).value / square**2), abs=5e-3)


@pytest.mark.parametrize("name", [*SMOOTH, "relu", "hardtanh"])
@pytest.mark.parametrize("q", [0.2, 1.3])
def test_the_table_of_a_layer_holds_the_distance_of_a_pair(name, q):
    gap = np.array([0.9, 0.5, 0.1, 0.01, 1e-3])
    exact = one_minus_correlation_map(name, gap, q=q, sigma_w=1.0).value
    kept = derivative_second_moment(name, q).value * q * gap / second_moment(name, q).value
    found = LayerTable.of(activation(name)).log_pair_ratio(np.full(5, math.log(q)), gap)
    np.testing.assert_allclose(kept * np.exp(found), exact, rtol=4e-3)


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"),
    [("tanh", 1.3, 0.2), ("gelu", 1.4, 0.5), ("relu", math.sqrt(2.0), 0.0), ("silu", 1.41, 0.7)],
)
def test_a_walk_is_the_recursions_of_length_gradient_distance_and_vertex(name, sigma_w, sigma_b):
    depth, q0, c0 = 23, 0.7, 0.3
    table, start = LayerTable.of(activation(name)), Start(q0, c0)
    w2, b2 = np.array([sigma_w**2]), np.array([sigma_b**2])
    found = walk(table, w2, b2, w2, depth, start)
    q, decades, entering, weights = sigma_w**2 * q0 + sigma_b**2, 0.0, q0, []
    first = q
    for _ in range(depth):
        weights.append(math.log10(entering) - decades)
        decades += math.log10(sigma_w**2 * derivative_second_moment(name, q).value)
        entering = second_moment(name, q).value
        last, q = q, sigma_w**2 * entering + sigma_b**2
    assert found.gradient[0] == pytest.approx(decades, abs=5e-3)
    assert found.spread[0] == pytest.approx(max(weights) - min(weights), abs=5e-3)
    assert found.output[0] == pytest.approx(math.log10(entering), abs=2e-3)
    exact = trajectory(name, sigma_w=sigma_w, sigma_b=sigma_b, depth=depth + 1, q0=q0, c0=c0)
    assert found.length[0] == pytest.approx(math.log10(last / first), abs=5e-3)
    assert found.distance[0] == pytest.approx(
        math.log10(float(exact.one_minus_c[-1]) / (1.0 - c0)), abs=0.02
    )
    for law in ("gaussian", "orthogonal"):
        found = walk(table, w2, b2, w2, depth, Start(q0, c0, law))
        wide = finite_width(
            name, sigma_w=sigma_w, sigma_b=sigma_b, depth=depth + 1, q0=q0, weights=law
        )
        assert found.vertex[0] == pytest.approx(wide.relative_vertex[-1], rel=0.02, abs=0.02)


def test_gradients_of_relu_fluctuate_by_five_layers_over_the_width():
    # Hanin & Nica 2020: the variance of the log of a gradient is 5 L / n, 3 L / n for isometries
    table, two = LayerTable.of(activation("relu")), np.array([2.0])
    for law, factor in (("gaussian", 5.0), ("orthogonal", 3.0)):
        found = walk(table, two, 0.0 * two, two, 40, Start(weights=law))
        assert found.slopes[0] == pytest.approx(40 * factor, rel=1e-3)


NETWORKS = 20
QUICK = ("tanh", "softshrink")


def check_drawn(made, depth, width):
    """Twenty networks do what the recommendation says, and it is moderate."""
    act = activation(made.activation)
    found = measured(
        act.value, act.derivative, made, depth=depth, width=width, networks=NETWORKS, seed=7
    )
    chance = made.weighed["fluctuation"]
    for name, values in found.items():
        more = 3.0 * chance if name == "weight gradients" else 0.0  # chance only adds to these
        assert made.weighed[name] - 1.5 * chance <= values.mean(), name
        assert values.mean() <= made.weighed[name] + 1.5 * chance + more, name
        within = np.abs(values - made.weighed[name]) <= 2.0 * chance + more + 0.1
        assert within.mean() >= 0.85, name
    assert abs(np.median(found["gradient"])) < 1.7
    assert abs(np.median(found["length"])) < 2.0
    assert np.median(found["output"]) < 1.5


@pytest.mark.parametrize(
    "name",
    [
        n if n in QUICK else pytest.param(n, marks=pytest.mark.slow)
        for n in (
            *("tanh", "silu", "softshrink", "relu", "gelu", "quick_gelu", "hardswish", "mish"),
            *("elu", "selu", "sigmoid", "hardsigmoid", "softplus", "logsigmoid", "erf", "sin"),
            *("softsign", "gaussian", "cos", "prelu", "x*sigmoid(3*x)", "tanh(x) + 0.5*x"),
        )
    ],
)
def test_twenty_drawn_networks_do_what_the_recommendation_says(name):
    depth, width = 30, 256
    best = gain(name, depth=depth, width=width, weights="gaussian")
    check_drawn(best, depth, width)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [10, 100])
@pytest.mark.parametrize("name", ["silu", "gelu", "sigmoid", "hardswish", "softplus", "tanh"])
def test_isometries_do_what_is_said_of_them_at_other_depths(name, depth):
    check_drawn(gain(name, depth=depth, width=256, weights="orthogonal"), depth, 256)


def test_softshrink_gets_its_own_edge_of_chaos_on_the_side_that_inputs_start_on():
    for depth in (10, 30, 50):
        best = gain("softshrink", depth=depth, width=256)
        assert best.kind == "edge of chaos"
        assert 1.2 <= best.q_star.value <= 5.0
        assert abs(best.weighed["length"]) < 0.5
        assert abs(best.log10_gradient) < 1.0


@pytest.mark.parametrize("name", ["silu", "hardswish", "sigmoid", "gelu", "quick_gelu"])
def test_an_affine_change_is_chosen_where_it_is_clearly_better_and_says_so(name):
    best = gain(name, depth=50, width=256)
    assert best.name == "affine change"
    assert f"Replace {name} by" in best.reason
    assert "better by" in best.reason
    act = activation(best.activation)
    assert best.weighed["output"] < 0.5
    q = best.q_star.value
    assert best.sigma_w**2 * derivative_second_moment(act, q).value == pytest.approx(1.0, rel=1e-9)
    kept = best.sigma_w**2 * second_moment(act, q).value + best.sigma_b**2
    assert kept == pytest.approx(q, rel=1e-9)
    own = gain(name, depth=50, width=256, change=False)
    assert own.activation == name
    assert own.total > best.total + 0.5
    assert "A change of the activation would do better" in own.reason
    assert best.activation in [o.activation for o in own.alternatives]


def test_silu_gets_the_change_of_the_issue():
    best = gain("silu", depth=50, width=256)
    found = critical_affine("silu")[0]
    assert (round(found.scale, 3), round(found.shift, 3), round(found.offset, 3)) == (
        *(1.349, 0.454, -0.299),
    )
    assert best.activation == found.activation.name
    assert (best.sigma_w, best.sigma_b) == (1.0, 0.0)


@pytest.mark.parametrize("name", ["squared_relu", "cubic", "tanhshrink", "quadratic", "exp"])
@pytest.mark.parametrize("depth", [30, 100])
def test_what_runs_away_is_refused_with_its_reason(name, depth):
    best = gain(name, depth=depth, width=256)
    assert best.kind == "none"
    assert not [o for o in best.alternatives if o.kind != "scheme"]
    assert "no initialisation can be recommended" in best.sentence
    assert "costs too much" in best.reason or "No point" in best.reason


@pytest.mark.parametrize("name", ["softplus", "logsigmoid"])
def test_second_solutions_that_leave_their_point_are_not_offered(name):
    shifts = [f.shift for f in critical_affine(name)]
    assert len(shifts) >= 2
    best = gain(name, depth=50, width=256)
    offered = [o for o in (best, *best.alternatives) if o.name == "affine change"]
    assert [f"shift={shifts[0]!r}" in o.activation for o in offered] == [True]
    # what was offered before: twice the length grows by hundreds of decades
    second = critical_affine(name)[1].activation
    setting = Setting(50, 256, Start())
    figures = single(1.0, 0.0, 1.0).figures(LayerTable.of(second), setting)
    assert figures["inputs"][0] > 20.0
    assert abs(figures["gradient"][0]) < 1e-3


def test_the_total_is_the_sum_of_prices():
    best = gain("gelu", depth=40, width=200, change=False)
    assert list(best.weighed) == list(WEIGHED) == list(best.meanings)
    for made in (best, *best.alternatives):
        sum_ = 0.0
        for name, decades in made.weighed.items():
            price = WEIGHED[name]
            side = price.more if decades > 0.0 else price.less
            sum_ += side * max(abs(decades) - price.free, 0.0)
        assert made.total == pytest.approx(sum_, rel=1e-12)
    assert best.total <= min(o.total for o in best.alternatives if o.kind == "edge of chaos") + 0.25
    assert total({"gradient": np.array([math.nan])})[0] == math.inf


def test_the_table_prints_each_figure_of_each_option():
    best = gain("gelu", depth=50, width=256)
    lines = best.table().splitlines()
    assert lines[0].split()[:3] == ["sigma_w", "sigma_b", "gradient"]
    assert f"{best.total:.2f}" in lines[2]
    assert any(line.startswith("critical point") for line in lines)
    assert any(line.startswith("pytorch") for line in lines)
    assert "1 - c of two inputs" in " ".join(best.table().split())


def test_the_first_layer_starts_lengths_at_the_fixed_point():
    for name in ("elu", "tanh"):
        for q0 in (1.0, 0.3):
            best = gain(name, depth=50, width=256, q0=q0, change=False)
            first = (best.first_layer * best.sigma_w) ** 2 * q0 + best.sigma_b**2
            assert first == pytest.approx(best.q_star.value, rel=1e-4)
            assert best.weighed["first layer"] == pytest.approx(
                2.0 * math.log10(best.first_layer), abs=1e-4
            )


def test_orthogonal_weights_are_recommended_where_they_help():
    assert gain("tanh", depth=50, width=100).weights == "orthogonal"
    assert gain("tanh", depth=5, width=1000).weights == "gaussian"
    assert gain("tanh", depth=50, width=100, weights="gaussian").weights == "gaussian"
    for name in ("tanh", "relu"):
        laws = [gain(name, depth=50, width=256, weights=w) for w in ("orthogonal", "gaussian")]
        assert laws[0].weighed["fluctuation"] < laws[1].weighed["fluctuation"]


def test_how_far_a_recommendation_holds_is_where_a_figure_passes_its_limit():
    best = gain("relu", depth=50, width=256)
    limit = 0.5 * math.log(10.0)  # of the standard deviation: half a decade
    assert best.weights == "orthogonal"
    depth = best.holds["depth"]
    assert 3.0 * depth / 256 <= limit**2 < 3.0 * (depth + 1) / 256 + 2.0 / 256
    assert best.holds["width"] == math.ceil(3.0 * 50 / limit**2)
    # of the affine change of cubic no width helps
    found = critical_affine("cubic")[0]
    setting = Setting(50, 256, Start())
    held = holding(single(1.0, 0.0, 1.0), LayerTable.of(found.activation), setting)
    assert held["width"] == math.inf
    assert held["depth"] < 10


@pytest.mark.parametrize("name", ["tanh", "hardtanh"])
def test_the_rule_looks_from_the_side_that_inputs_start_on(name):
    small, large = (gain(name, depth=50, width=512, q0=q0, change=False) for q0 in (0.05, 50.0))
    for made, q0 in ((small, 0.05), (large, 50.0)):
        q, grown = made.sigma_w**2 * q0 + made.sigma_b**2, 0.0
        first = q
        for _ in range(50):
            grown += math.log10(made.sigma_w**2 * derivative_second_moment(name, q).value)
            last, q = q, made.sigma_w**2 * second_moment(name, q).value + made.sigma_b**2
        assert made.weighed["gradient"] == pytest.approx(grown, abs=0.02)
        assert made.weighed["length"] == pytest.approx(math.log10(last / first), abs=0.02)


@pytest.mark.parametrize(
    "name", [n if n == "relu" else pytest.param(n, marks=pytest.mark.slow)
             for n in catalogue()]
)  # fmt: skip
@pytest.mark.parametrize("depth", [5, 300])
def test_advice_for_any_activation_is_moderate_or_refused(name, depth):
    best = gain(name, depth=depth, width=256)
    if moments(activation(name)).has_jumps:
        assert best.kind == "none"
        return
    for o in (best, *best.alternatives):
        if o.kind != "scheme" and o.exists:
            assert o.total <= 9.0
    if best.exists:
        assert abs(best.weighed["gradient"]) <= 2.0
        assert best.weighed["inputs"] <= 2.0


@pytest.mark.slow
def test_a_function_of_ones_own_is_weighed_like_any_other():
    mine = gain(activation(lambda x: x / (1.0 + np.exp(-3.0 * x))), depth=20, width=256)
    named = gain("x*sigmoid(3*x)", depth=20, width=256)
    assert mine.sigma_w == pytest.approx(named.sigma_w, rel=1e-6)
    assert mine.total == pytest.approx(named.total, abs=1e-3)


def test_all_options_come_from_one_walk():
    options = Options(activation("tanh"), Setting(50, 256, Start()))
    best = options.best(change=False)
    assert best is not None
    assert best is options.own[0]
    assert best not in options.others(best)
