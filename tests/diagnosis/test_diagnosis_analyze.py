"""The main job: closed forms of ReLU, simulated networks, what stands on the page."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib import import_module

import numpy as np
import pytest

import chione
from chione.base import ConvergenceError, SpecError
from chione.diagnosis import analyze, gain_table

KEYS = ("q_star", "c_star", "chi_parallel", "chi_perp", "xi_q", "xi_c")


@pytest.fixture(scope="module")
def relu():
    """An ordered ReLU network, where everything is known in closed form."""
    return analyze("relu", 1.2, 0.4, depth=12, width=300, n_networks=60, seed=3)


@pytest.fixture(scope="module")
def tanh():
    """A chaotic tanh network."""
    return analyze("tanh", 1.8, 0.2, depth=15, width=400, n_networks=60, seed=4)


def test_the_theory_of_relu_is_its_closed_form(relu):
    half = 1.2**2 / 2.0
    exact = {
        "q_star": 0.4**2 / (1.0 - half),
        "c_star": 1.0,
        "chi_parallel": half,
        "chi_perp": half,
        "xi_q": -1.0 / math.log(half),
        "xi_c": -1.0 / math.log(half),
    }
    for key, value in exact.items():
        estimate = getattr(relu.theory, key)
        assert abs(estimate.value - value) <= estimate.error + 4e-16 * abs(value), key
        assert estimate.error <= 1e-10 * abs(value), key


def test_the_gradient_of_relu_is_a_power_of_half_sigma_w_squared(relu):
    exact = 0.72**12
    assert abs(relu.gradient.value - exact) <= relu.gradient.error
    assert relu.gradient.error < 1e-12 * exact
    assert relu.log10_gradient == pytest.approx(12 * math.log10(0.72), rel=1e-13)
    assert relu.verdict.sentence == "ordered: gradients shrink 0.72x a layer, 0.019x over 12 layers"


def test_a_signal_is_lost_where_correlations_have_come_within_e_to_the_minus_six():
    # erf at sigma_b = 0 in the chaotic phase: c falls to c* = 0; followed here by plain iteration
    result = analyze("erf", 8.0, 0.0, depth=20, simulate=False)
    c, q, layers = 0.5, 8.0**2, []
    for _ in range(20):
        layers.append(c)
        top = math.asin(2 * q * c / (1 + 2 * q)) * 2 / math.pi * 8.0**2
        q = math.asin(2 * q / (1 + 2 * q)) * 2 / math.pi * 8.0**2
        c = top / q
    lost = next(l for l, value in enumerate(layers, 1) if value <= 0.5 * math.exp(-6))
    assert lost - 1 <= result.survives.value <= lost


@pytest.mark.parametrize("which", ["relu", "tanh"])
def test_what_finite_networks_show_agrees_with_the_theory(which, request):
    result = request.getfixturevalue(which)
    width = result.network.widths[1]
    measured = result.measured()
    from chione.diagnosis.report import rows

    compared = 0
    for row in rows(result):
        if row.key not in measured:
            continue
        seen = measured[row.key]
        # five standard errors, and a bias of order depth / width
        bias = abs(row.theory.value) * 2.0 * result.network.depth / width
        assert abs(seen.value - row.theory.value) < 5.0 * seen.stderr + bias, row.key
        assert 0.0 <= seen.stderr < 0.3 * abs(row.theory.value), row.key
        compared += 1
    assert compared >= 8


def test_every_quantity_has_value_error_and_status_in_json(tanh):
    text = json.dumps(tanh.to_dict(), allow_nan=False)
    document = json.loads(text)
    for key in (*KEYS, "gradient", "gradient_per_layer", "survives"):
        assert {"value", "error", "status"} <= set(document[key]), key
        assert document[key]["status"] == "ok", key
    assert document["phase"] == "chaotic"
    assert document["sentence"].startswith("chaotic: gradients grow ")
    assert len(document["layers"]["q"]) == 15
    assert document["simulation"]["n_networks"] == 60


def test_the_table_shows_verdict_theory_measurement_and_advice(tanh):
    text = repr(tanh)
    for part in ("tanh", "chaotic: gradients grow", "q*", "chi_perp", "+-", "recommended",
                 "torch.nn.Linear default", "torch calculate_gain", "60 networks"):  # fmt: skip
        assert part in text
    assert "nan" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_notebook_gets_the_same_as_html(tanh):
    page = tanh._repr_html_()
    assert page.count("<table>") == page.count("</table>") == 2
    assert "chaotic: gradients grow" in page


def test_the_result_is_frozen_and_repeats_with_its_seed(tanh):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tanh.seed = 1
    again = analyze("tanh", 1.8, 0.2, depth=15, width=400, n_networks=60, seed=4)
    assert again.to_dict() == tanh.to_dict()


def test_without_simulation_there_is_theory_alone():
    result = analyze("tanh", 1.8, 0.2, depth=5, simulate=False)
    assert result.simulation is None and result.measured() == {}
    assert "+-" not in repr(result)


def test_without_sigmas_the_recommended_initialisation_is_analysed():
    result = analyze("tanh", depth=30, simulate=False)
    assert result.chosen_here
    names = [other.name for other in result.alternatives]
    assert names == ["recommended", "torch.nn.Linear default", "torch calculate_gain"]
    best, default, _ = result.alternatives
    assert (best.sigma_w, best.sigma_b) == (result.network.sigma_w, result.network.sigma_b)
    assert abs(best.log10_gradient) < abs(default.log10_gradient)
    assert default.sigma_w == pytest.approx(1 / math.sqrt(3))
    assert abs(float(result.theory.chi_perp.value) - 1.0) < 1e-6


def test_diverging_lengths_are_said_with_their_rate_and_never_as_a_number():
    result = analyze("relu", 1.5, 0.1, depth=20, width=100, n_networks=3)
    document = result.to_dict()
    assert document["phase"] == "divergent"
    assert document["q_star"]["value"] is None
    assert document["q_star"]["status"] == "divergent"
    assert "1.12x a layer" in result.verdict.sentence or "1.125x" in result.verdict.sentence
    assert not result.exists
    assert "diverges" in repr(result)


def test_softplus_is_told_plainly_that_no_choice_works():
    result = analyze("softplus", depth=10, simulate=False)
    assert not result.recommendation.exists
    assert "no" in result.recommendation.sentence.lower()
    assert result.alternatives[0].name == "torch.nn.Linear default"


def test_an_activation_of_ones_own_is_analysed_like_any_other():
    own = analyze(lambda x: np.tanh(x), 1.8, 0.2, depth=15, simulate=False)
    known = analyze("tanh", 1.8, 0.2, depth=15, simulate=False)
    for key in KEYS:
        ours, theirs = getattr(own.theory, key), getattr(known.theory, key)
        assert abs(ours.value - theirs.value) <= ours.error + theirs.error, key


def test_the_page_has_six_panels_and_the_verdict(tanh):
    figure = tanh.plot()
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert titles[:3] == ["Length map", "Correlation map", "Phase diagram"]
    assert len(titles) == 6
    assert any("gradients grow" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"sigma_w": -1.0, "sigma_b": 0.0}, ValueError, "sigma_w must be 0 or above"),
        ({"sigma_w": 1.0, "sigma_b": -0.1}, ValueError, "sigma_b must be 0 or above"),
        ({"sigma_w": math.nan}, ValueError, "finite"),
        ({"sigma_b": 0.1}, ValueError, "without sigma_w"),
        ({"sigma_w": 1.0, "depth": 0}, ValueError, "depth must be at least 1"),
        ({"sigma_w": 1.0, "depth": 2.5}, TypeError, "integer"),
        ({"sigma_w": 1.0, "width": 0}, ValueError, "width must be at least 1"),
        ({"sigma_w": 1.0, "n_networks": 1}, ValueError, "n_networks must be at least 2"),
        ({"sigma_w": 1.0, "weights": "cauchy"}, ValueError, "must be one of gaussian"),
        ({"sigma_w": 1j}, TypeError, "real number"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, error, match):
    with pytest.raises(error, match=match):
        analyze("tanh", **arguments)


def test_an_unknown_activation_is_answered_with_the_nearest_name():
    with pytest.raises(SpecError, match="gelu"):
        analyze("gelo", 1.0)


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: x * np.nan, "NaN"),
        (lambda x: np.where(x > 1, np.nan, x), "NaN at 1"),
        (lambda x: x * 1j, "complex"),
        (lambda x: x[:3], r"shape \(3,\)"),
    ],
)
def test_a_function_that_is_no_activation_is_refused_in_one_sentence(function, match):
    with pytest.raises(SpecError, match=match):
        analyze(function, 1.0, 0.1)


def test_an_activation_that_grows_too_fast_has_no_length():
    with pytest.raises(ConvergenceError, match="infinite for a Gaussian of variance 1,"):
        analyze("exp(x**2)", 1.0)


@pytest.mark.slow
def test_the_gain_table_has_every_activation():
    table = gain_table(depth=20)
    names = {phi.name for phi in chione.activations.catalogue().values()}
    assert {row.activation for row in table.rows} == names
    json.dumps(table.to_dict(), allow_nan=False)


def test_the_gain_table_has_a_line_for_each_and_what_pytorch_has(monkeypatch):
    few = {name: chione.activation(name) for name in ("relu", "tanh", "gelu", "softplus")}
    module = import_module("chione.diagnosis.gain_table")  # its name is the function's, too
    monkeypatch.setattr(module, "catalogue", lambda: few)
    table = gain_table(depth=20)
    rows = {row.activation: row for row in table.rows}
    assert set(rows) == set(few)
    assert rows["relu"].recommended.sigma_w == pytest.approx(math.sqrt(2.0), rel=1e-12)
    assert rows["tanh"].calculate_gain.sigma_w == pytest.approx(5 / 3)
    assert rows["gelu"].calculate_gain is None
    assert rows["softplus"].recommended.name == "affine change"
    assert "affine change" in repr(table)
    json.dumps(table.to_dict(), allow_nan=False)
    assert repr(table).count("\n") == 5
    assert "raises" in repr(table)


def test_one_row_of_the_gain_table_follows_the_gradient_with_either_choice():
    (row,) = gain_table("relu", depth=30).rows
    assert row.recommended.log10_gradient == pytest.approx(0.0, abs=1e-12)
    assert row.calculate_gain.log10_gradient == pytest.approx(0.0, abs=1e-12)
    # selu at gain 3/4 and zero bias: lengths die, where phi' is 1.0507 or 1.7581
    (row,) = gain_table("selu", depth=30).rows
    assert row.calculate_gain.sigma_w == 0.75
    assert "selu" in repr(gain_table("selu", depth=30))


def test_an_input_beyond_the_reach_of_the_fixed_point_is_told_so():
    result = analyze("gelu", 1.5, 0.1, depth=12, simulate=False)
    assert not result.theory.reached
    assert result.verdict.sentence.startswith("ordered for small inputs only")
    assert "1.125x a layer" in result.verdict.sentence
    assert result.verdict.trains == "yes"  # a factor of 4 over 12 layers; at 50 layers it is 665
    assert analyze("gelu", 1.5, 0.1, depth=50, simulate=False).verdict.trains == "doubtful"
    survives = result.to_dict()["survives"]
    assert survives["value"] is None and "lengths diverge" in survives["reason"]
    assert [point["stability"] for point in result.to_dict()["fixed_points"]] == [
        "stable",
        "unstable",
    ]
    assert "Fixed points of the lengths: 0.0242444 (stable), 1.3154 (unstable)." in repr(result)


def test_the_errors_of_the_curves_bound_what_thirty_digits_say():
    mpmath = pytest.importorskip("mpmath")
    result = analyze("erf", 1.6, 0.2, depth=12, simulate=False)
    with mpmath.workdps(30):
        w2, b2 = mpmath.mpf(1.6) ** 2, mpmath.mpf(0.2) ** 2
        q, gradient, k = w2 + b2, mpmath.mpf(1), 2 / mpmath.pi
        q12 = w2 / 2 + b2
        for l in range(12):
            assert abs(result.curves.q[l] - q) <= result.errors.q[l]
            assert abs(result.curves.c[l] - q12 / q) <= result.errors.c[l]
            # E phi'^2 = (4 / pi) / sqrt(1 + 4 q) for phi = erf
            gradient *= w2 * 2 * k / mpmath.sqrt(1 + 4 * q)
            q12 = w2 * k * mpmath.asin(2 * q12 / (1 + 2 * q)) + b2
            q = w2 * k * mpmath.asin(2 * q / (1 + 2 * q)) + b2
        assert abs(result.gradient.value - gradient) <= result.gradient.error
    assert result.gradient.error <= 1e-11 * result.gradient.value
    assert np.all(result.errors.q <= 1e-13 * result.curves.q)
    assert np.all(result.errors.c <= 1e-10)
