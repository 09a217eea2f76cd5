"""Questions that had no end, or ended in the middle of a formula: a right value or a sentence."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import chione as ch
from chione import gaussian, theory
from chione.base import CostError, Status, cost
from chione.base.errors import ConvergenceError
from chione.theory.moments.pair_kernels import derivative_kernel


@pytest.mark.parametrize("q", [1e10, 1e20, 1e39, 1e80])
@pytest.mark.parametrize("c", [0.0, 0.5, -0.7])
def test_a_slope_as_narrow_as_a_spike_is_seen_at_any_length(q, c):
    # phi' holds a mass of 2e-7 within 1e-6: R is its square times the density of (u1, u2) at 0
    found = derivative_kernel("1e-7*tanh(1e7*x)", q, q, c)
    right = 4e-14 / (2.0 * math.pi * q * math.sqrt(1.0 - c * c))
    assert abs(found.value - right) <= found.error + 1e-13 * right  # the width counts 1e-13 / q
    assert found.error <= 1e-9 * right


@pytest.mark.parametrize("size", ["1e-290", "1e200"])
def test_the_slope_of_the_norm_does_not_depend_on_the_size_of_the_activation(size):
    for slope in (theory.normalized_slope, lambda phi: theory.first_order_slope(phi, terms=20)):
        assert abs(slope(f"x*{size}").value - 1.0) <= 1e-13
    found = theory.normalized_slope(f"{size}*tanh(x)")
    assert abs(found.value - theory.normalized_slope("tanh").value) <= found.error + 1e-14


def test_a_sine_at_lengths_where_no_coefficient_is_left_has_a_kernel():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ch.nngp(ch.MLP("sin(x)", 1.5, depth=3), np.diag([60.0, 80.0]))
    # u is so long that sin(u)^2 averages to 1/2: q2 = 1.125, then E sin^2 = (1 - exp(-2 q)) / 2
    right = 2.25 * 0.5 * (1.0 - math.exp(-2.0 * 1.125))
    assert abs(found.value[0, 0] - right) <= found.error[0, 0] <= 1e-9


def test_moments_that_are_noise_are_not_followed_through_the_layers():
    with pytest.raises(ConvergenceError, match="has no value at lengths 1e"):
        theory.metric_covariance("siren(w0=3)", sigma_w=1e20, sigma_b=0.5, depth=5)


def test_lengths_beyond_float64_are_refused_before_pairs_are_followed():
    with pytest.raises(ConvergenceError, match="range of float64 at layer 1"):
        ch.backward(ch.MLP("tanh", 1e308, 0.0, depth=3))


@pytest.mark.parametrize("name", ["softshrink", "logsigmoid", "hardshrink"])
def test_a_gain_for_more_layers_than_atoms_in_a_gram_has_no_loop(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ch.gain(name, depth=10**20)
    assert found.depth == 10**20


@pytest.mark.parametrize("name", ["gelu", "erf", "sin", "cos", "exp", "step", "sign", "relu"])
@pytest.mark.parametrize("q", [(0.5, 1e308), (1e308, 1e308), (1e-300, 1e308)])
def test_kernels_at_the_end_of_float64_have_a_value_or_say_overflow(name, q):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ch.kernel(name, *q, 0.9)
    assert found.ok or found.status == Status.OVERFLOW
    assert found.ok == (math.isfinite(found.value) and math.isfinite(found.error))


def test_memory_that_arguments_foretell_is_refused():
    with pytest.raises(CostError, match="Hermite functions at"):
        theory.first_order_slope("siren(w0=3)", terms=50_000)
    deep = ch.MLP("erf", 1.3, 0.1, depth=10**9)
    with pytest.raises(CostError, match=r"depth of .* fits"):
        theory.mean_square_variance(deep)


def test_a_slope_of_1e300_at_zero_is_infinite_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ch.phase_diagram("1e300*x", sigma_w=[0.0, 1.0], sigma_b=[0.0, 1.0])
        assert theory.fixed_points("1e300*x", sigma_w=1e-20, sigma_b=0.0).growth.value == math.inf
    assert found.q_star[0, 0] == 0.0


def test_work_that_no_argument_foretells_is_stopped_with_a_sentence(monkeypatch):
    monkeypatch.setattr(cost, "_PATIENCE", 0.0)
    with pytest.raises(CostError, match=r"phase_diagram was stopped after .* more effort"):
        ch.phase_diagram(lambda x: np.sin(1e6 * x), sigma_w=[1.0, 1.5], sigma_b=[0.0, 0.3])


def test_the_outermost_question_counts_and_nothing_is_stopped_outside_of_one(monkeypatch):
    monkeypatch.setattr(cost, "_PATIENCE", 0.0)
    cost.tick()  # nobody asked

    @cost.ends
    def inner():
        cost.tick()

    @cost.ends
    def outer():
        with pytest.raises(CostError, match=r"^outer was stopped"):
            inner()

    outer()
    with pytest.raises(CostError, match=r"^inner was stopped"):
        inner()


@pytest.mark.parametrize("size", [1e308, -1.5e308, 1e307])
def test_a_mean_near_the_largest_float_is_no_overflow(size):
    # hypot(x, s) = s to rounding; the mean of s + 1e290 x is s
    for f in (lambda x: np.sign(size) * np.hypot(x, size), lambda x: size + 1e290 * x):
        found = ch.expectation(f, 1.0)
        assert abs(found.value / size - 1.0) <= found.error / abs(size) <= 1e-12


@pytest.mark.parametrize("bad", [lambda x: x + 1j, lambda x: None, lambda x: "x", lambda x: x[:-1]])
def test_a_function_that_is_not_real_is_refused_by_every_integral(bad):
    for call in (
        lambda: gaussian.hermite_expansion(bad, 0.3, 3, breakpoints=(1e308,)),
        lambda: gaussian.bivariate(bad, np.tanh, 1.0, 1.0, 0.5),
        lambda: gaussian.bivariate(np.tanh, bad, 1.0, 1.0, 0.5),
        lambda: ch.expectation(bad, 1.0),
    ):
        with pytest.raises((TypeError, ValueError), match=r"\b[fg]\b.*(must|returns|gave)"):
            call()


@pytest.mark.parametrize("n", [10**6, 10**9, 10**400])
def test_more_hermite_coefficients_than_fit_are_refused_before_they_begin(n):
    with pytest.raises(CostError, match="Hermite coefficients would take"):
        gaussian.hermite_expansion(np.tanh, 1.0, n)
