"""Numbers and verdicts as a person reads them; what PyTorch's own rules give."""

from __future__ import annotations

import math

import pytest

from chione.base import Estimate, Status, missing
from chione.diagnosis.numbers import (
    error_text,
    factor_text,
    measured_text,
    power_text,
    value_text,
)
from chione.diagnosis.pytorch_rules import calculate_gain, default_sigmas
from chione.diagnosis.verdict import judge


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.60704714123, 2e-16, "0.6070471412"),
        (0.60704714123, 3e-4, "0.607"),
        (0.0, 0.0, "0"),
        (1.25e9, 1.0, "1.25000000e+09"),
        (12.0, 50.0, "1e+01"),
    ],
)
def test_a_value_shows_the_digits_that_its_error_leaves(value, error, text):
    assert value_text(Estimate(value, error)) == text


@pytest.mark.parametrize("status", [s for s in Status if s.value >= 2 and s.value not in (6, 9)])
def test_a_missing_value_is_a_word_and_never_a_number(status):
    text = value_text(missing(status))
    assert text and "nan" not in text
    assert error_text(missing(status)) == ""


@pytest.mark.parametrize(
    ("mean", "stderr", "text"),
    [
        (0.60712, 0.0123, "0.607 +- 0.012"),
        (1234.5, 61.0, "1234 +- 61"),
        (2.0e-7, 1.2e-8, "(2.00 +- 0.12)e-7"),
        (3.2e9, 4.4e8, "(3.20 +- 0.44)e+9"),
        (0.5, math.nan, "0.5"),
        (math.nan, 0.1, ""),
        (0.0, 0.002, "0.0000 +- 0.0020"),
    ],
)
def test_a_measured_mean_and_its_error_end_at_the_same_place(mean, stderr, text):
    assert measured_text(mean, stderr) == text


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (1.0912, "1.09x"),
        (1.00042, "1.0004x"),
        (0.85, "0.85x"),
        (1.0, "1.00x"),
        (74.36, "74x"),
        (2.31, "2.31x"),
        (740.0, "740x"),
        (2.9e-4, "2.9e-04x"),
        (0.0, "0x"),
    ],
)
def test_a_factor_is_said_as_people_say_it(factor, text):
    assert factor_text(factor) == text


def test_a_factor_beyond_float64_is_said_by_its_power():
    assert power_text(512.3) == "1e+512x"
    assert power_text(-1000.0) == "1e-1000x"
    assert power_text(math.log10(74.36)) == "74x"


def test_the_example_of_the_documentation_reads_as_written():
    verdict = judge(
        "chaotic",
        log10_gradient=50 * math.log10(1.09),
        depth=50,
        survives=Estimate(300.0, 1e-9),
        c_star=0.9,
    )
    assert verdict.sentence == "chaotic: gradients grow 1.09x a layer, 74x over 50 layers"
    assert verdict.trains == "yes"


@pytest.mark.parametrize(
    ("phase", "decades", "layers", "trains", "why"),
    [
        ("ordered", -12.0, 1e3, "no", "vanish"),
        ("chaotic", 9.0, 1e3, "no", "explode"),
        ("ordered", -1.0, 20.0, "no", "look the same"),
        ("ordered", -1.0, 40.0, "doubtful", "After about 40 of 50"),
        ("chaotic", 4.0, 1e3, "doubtful", "4.0 decades"),
        ("divergent", 1.0, 1e3, "doubtful", "without bound"),
        ("critical", -0.5, math.nan, "yes", "both pass"),
        ("none", math.nan, math.nan, "no", "not finite"),
    ],
)
def test_a_verdict_follows_from_gradients_and_signals(phase, decades, layers, trains, why):
    status = Status.OK if math.isfinite(layers) else Status.CRITICAL
    verdict = judge(
        phase,
        log10_gradient=decades,
        depth=50,
        survives=Estimate(layers, 0.0, status),
        c_star=1.0,
    )
    assert verdict.trains == trains
    assert why in verdict.reason
    assert verdict.sentence.startswith(f"{phase}: ")


def test_a_signal_survives_six_depth_scales_and_keeps_their_error_and_status():
    layers = survival(Estimate(10.0, 0.5, Status.INEXACT))
    assert (layers.value, layers.error, layers.status) == (60.0, 3.0, Status.INEXACT)


def test_the_default_of_a_linear_layer_has_variance_one_third_and_one_over_three_n():
    sigma_w, sigma_b = default_sigmas(512)
    assert sigma_w**2 == pytest.approx(1 / 3, rel=1e-15)
    assert sigma_b**2 == pytest.approx(1 / 1536, rel=1e-15)


def test_the_default_of_a_linear_layer_is_what_pytorch_draws():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = torch.nn.Linear(512, 2048)
    sigma_w, sigma_b = default_sigmas(512)
    weights, biases = layer.weight.detach().double(), layer.bias.detach().double()
    # a uniform variance from n draws has relative error sqrt(4/5 / n)
    assert float(weights.var()) * 512 == pytest.approx(sigma_w**2, rel=5 * (0.8 / 2**20) ** 0.5)
    assert float(biases.var()) == pytest.approx(sigma_b**2, rel=5 * (0.8 / 2048) ** 0.5)


@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_calculate_gain_agrees_with_pytorch(name):
    torch = pytest.importorskip("torch")
    slope = 0.01 if name == "leaky_relu" else None
    assert calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name, slope))


@pytest.mark.parametrize("name", ["gelu", "silu", "elu", "mish", "softplus"])
def test_calculate_gain_has_no_answer_where_pytorch_has_none(name):
    assert calculate_gain(name) is None
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        torch.nn.init.calculate_gain(name)
