"""Numbers and verdicts as a person reads them."""

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
from chione.diagnosis.phases import Phase
from chione.diagnosis.verdict import judge
from chione.theory.depth.passage import Passage
from chione.theory.depth.trainability import trainability


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
    decades = 50 * math.log10(1.09)
    way = Passage(gradient=4.3, relative=4.3, length=0.5, difference=0.1)
    verdict = judge(
        Phase("chaotic"),
        trainability(way),
        log10_gradient=decades,
        depth=50,
        why_infinite="the activation jumps",
    )
    assert verdict.sentence == "chaotic: gradients grow 1.09x a layer, 74x over 50 layers"
    assert verdict.trains == "yes"


@pytest.mark.parametrize(
    ("phase", "decades", "sentence"),
    [
        (Phase("critical", lengths_critical=True), -0.5, "only as a power of the depth, 0.32x"),
        (Phase("critical"), -0.5, "0.32x over 50 layers while lengths settle, then keep their"),
        (Phase("critical"), 0.0, "critical: gradients keep their size over 50 layers"),
        (Phase("chaotic", chi_perp=1.2), -0.5, "; once lengths have settled they grow 1.20x a"),
        (Phase("ordered", chi_perp=0.7), 0.5, "; once lengths have settled they shrink 0.70x"),
        (Phase("ordered", chi_perp=0.7), -0.5, "ordered: gradients shrink 0.98x a layer, 0.32x"),
        (Phase("none", False), math.nan, "none: lengths leave the range of numbers within 50"),
        (Phase("divergent", False, growth=1.28), 2.0, "grow without bound, in the end 1.28x a"),
        (Phase("divergent", False, growth=math.inf), 2.0, "without bound, faster than exponential"),
        (Phase("ordered", False, "for small inputs only", 1.125), 2.0,
         "ordered for small inputs only: from mean square 1 lengths diverge, in the end 1.125x"),
        (Phase("chaotic"), math.inf, "the activation jumps, so the mean square gradient is infi"),
    ],
)  # fmt: skip
def test_a_headline_says_what_the_phase_means_for_this_depth(phase, decades, sentence):
    found = trainability(Passage(0.0, 0.0, 0.0, 0.0))
    said = judge(
        phase, found, log10_gradient=decades, depth=50, why_infinite="the activation jumps"
    ).sentence
    assert sentence in said
    assert said.startswith(phase.word)
