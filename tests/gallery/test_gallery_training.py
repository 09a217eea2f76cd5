"""Figures of the sources that need trained networks, in their quick form."""

import pytest

import chione as ch
from chione.gallery import find, training_speed
from chione.gallery.trainable_depth import CASES, measure


@pytest.mark.parametrize("name", ["schoenholz-figure-5", "isometry-training-speed"])
def test_a_quick_entry_holds_its_checks(name):
    made = find(name).make(True)
    assert made.checks
    assert [c.sentence for c in made.checks if not c.passed] == []


@pytest.mark.slow
def test_glorot_figures_hold_their_checks_and_keep_what_they_show():
    layers = find("glorot-figure-2").make(True)
    assert [c.sentence for c in layers.checks if not c.passed] == []
    top = layers["statistics"][0, :, -1, 0]  # of sigmoid
    assert top[0] == pytest.approx(0.5, abs=0.05)
    assert top[-1] < 0.1
    curves = find("glorot-figure-11").make(True)
    assert [c.sentence for c in curves.checks if not c.passed] == []


def test_networks_train_deeper_near_criticality_than_far_from_it():
    found = measure("tanh", True)
    depth = dict(zip(found.sigma_w, found.depth, strict=True))
    assert depth[1.0] > 3.0 * depth[0.6]
    assert depth[1.0] > 3.0 * depth[4.0]


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_within_the_limits_and_has_both_sides(name):
    from chione.sweeps.boundary_scales import depth_scales

    case = CASES[name]
    ends = case["sigma_w"][0], case["sigma_w"][-1]
    sides = [depth_scales(case["activation"], w, 0.05, 0.0).side for w in ends]
    assert sides[0] == "ordered"
    assert sides[1] in ("chaotic", "divergent")


@pytest.mark.parametrize("q", [1 / 64, 0.25, 1.0])
@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
def test_the_spread_of_singular_values_is_that_of_the_theory_of_spectra(q, law):
    w, b = training_speed.critical_sigmas(q)
    spectrum = ch.jacobian_spectrum("tanh", depth=5, q_star=q, weights=law)
    assert (w, b) == pytest.approx((spectrum.sigma_w, spectrum.sigma_b), rel=1e-8)
    first, second = spectrum.moments(2).value
    assert training_speed.spread(q, 5, law) == pytest.approx(second / first**2 - 1.0, rel=1e-6)
