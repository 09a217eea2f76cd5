"""Correlation maps at every scale float64 holds, and next to c = 1 and c = -1, in 60 digits."""

import warnings

import mpmath as mp
import numpy as np
import pytest
from scipy.special import erf

from chione.activations import activation
from chione.base import Status
from chione.theory import correlation_map, kernel, one_minus_correlation_map

# the same functions as formulas or callables, for which no closed form is known
FORMS = {
    "erf": ("erf", lambda x: erf(x)),
    "relu": ("relu", "max(x, 0)"),
    "x": ("linear", "x*1"),
    "sign": ("sign",),
}


def exact_kernel(name, q1, q2, c):
    root = mp.sqrt(q1) * mp.sqrt(q2)
    if name == "erf":
        return 2 / mp.pi * mp.asin(2 * root * c / mp.sqrt((1 + 2 * q1) * (1 + 2 * q2)))
    if name == "relu":
        angle = mp.acos(c)
        return root * (mp.sin(angle) + (mp.pi - angle) * c) / (2 * mp.pi)
    return root * c if name == "x" else 2 / mp.pi * mp.asin(c)


def exact_map(name, q1, q2, c, sigma_w, sigma_b):
    w, b = mp.mpf(sigma_w) ** 2, mp.mpf(sigma_b) ** 2
    one = mp.mpf(1)
    ends = [w * exact_kernel(name, q, q, one) + b for q in (q1, q2)]
    return (w * exact_kernel(name, q1, q2, c) + b) / mp.sqrt(ends[0] * ends[1])


@pytest.mark.parametrize("sigma_w", [1e-150, 1e-85, 1e-3, 1.0, 1e80, 1e150, 1e200])
@pytest.mark.parametrize("spec", ["tanh", "x*1e100", "x*1e-100", "relu", "erf", "hardtanh"])
def test_without_biases_the_map_does_not_depend_on_the_weights(spec, sigma_w):
    found = correlation_map(spec, 0.5, q=1.0, sigma_w=sigma_w)
    plain = correlation_map(spec, 0.5, q=1.0, sigma_w=1.0)
    assert found.status == Status.OK
    assert abs(found.value - plain.value) <= 1e-15
    assert 0.0 < found.error < 1e-13
    if spec.startswith("x"):
        assert abs(found.value - 0.5) <= found.error
    close = one_minus_correlation_map(spec, 1e-6, q=1.0, sigma_w=sigma_w)
    plain = one_minus_correlation_map(spec, 1e-6, q=1.0, sigma_w=1.0)
    assert abs(close.value - plain.value) <= 1e-14 * plain.value


@pytest.mark.parametrize("factor", ["1e250", "1e100", "1e-100", "1e-250"])
@pytest.mark.parametrize("q", [1.0, 1e-80])
def test_values_of_any_size_keep_the_correlation_of_a_linear_network(factor, q):
    found = correlation_map(f"x*{factor}", 0.5, q=q, sigma_w=1.0)
    assert found.status == Status.OK
    assert abs(found.value - 0.5) <= found.error < 1e-13


@pytest.mark.parametrize(
    ("q1", "q2"), [(1.0, 5e-324), (1e300, 1e-300), (5e-324, 5e-324), (1e300, 1e300)]
)
@pytest.mark.parametrize("name", FORMS)
def test_lengths_of_any_size_have_a_correlation(name, q1, q2):
    for spec in FORMS[name]:
        found = correlation_map(spec, 0.5, q=q1, q2=q2, sigma_w=1.0)
        with mp.workdps(700):
            exact = exact_map(name, mp.mpf(q1), mp.mpf(q2), mp.mpf(0.5), 1, 0)
            assert found.status == Status.OK
            assert abs(found.value - exact) <= found.error < 1e-12


def test_what_float64_cannot_hold_ends_with_a_status():
    assert kernel("x*1e250", 1.0, 1.0, 0.5).status == Status.OVERFLOW
    tiny = kernel("x*1e-250", 1.0, 1.0, 0.5)
    assert tiny.value == 0.0
    assert tiny.error > 0.0
    assert correlation_map("quadratic", 0.5, q=5e-324, sigma_w=1.0).status == Status.OVERFLOW
    assert correlation_map("exp", 0.5, q=1e300, sigma_w=1.0).status == Status.OVERFLOW
    assert correlation_map("tanh", 0.5, q=1.0, sigma_w=0.0).status == Status.UNDEFINED
    assert correlation_map("tanh", 0.5, q=1.0, sigma_w=0.0, sigma_b=1.0).value == 1.0


@pytest.mark.parametrize("q", [1e4, 1e12, 1e100])
@pytest.mark.parametrize("gap", [1e-14, 1e-10, 1e-6, 1e-2])
def test_one_minus_c_of_a_steep_activation_keeps_its_digits(q, gap):
    # at these lengths R is narrower than any rule of fixed order next to c = 1
    found = one_minus_correlation_map("erf", gap, q=q, sigma_w=1.0)
    with mp.workdps(60):
        top = exact_kernel("erf", mp.mpf(q), mp.mpf(q), mp.mpf(1))
        exact = 1 - exact_kernel("erf", mp.mpf(q), mp.mpf(q), 1 - mp.mpf(gap)) / top
        assert abs(found.value - exact) <= found.error <= 1e-12 * exact


@pytest.mark.slow
def test_a_steep_activation_without_closed_form_says_what_it_lost():
    smooth = activation(lambda x: erf(x))
    for q, gap in ((1e6, 1e-6), (1e12, 1e-10), (1e12, 1e-4)):
        found = one_minus_correlation_map(smooth, gap, q=q, sigma_w=1.0)
        with mp.workdps(60):
            top = exact_kernel("erf", mp.mpf(q), mp.mpf(q), mp.mpf(1))
            exact = 1 - exact_kernel("erf", mp.mpf(q), mp.mpf(q), 1 - mp.mpf(gap)) / top
            assert abs(found.value - exact) <= found.error <= 1e-5 * exact


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.sampled(3)
def test_random_maps_never_err_by_more_than_they_say(name):
    rng, worst = np.random.default_rng(len(name)), 0.0
    with mp.workdps(60), warnings.catch_warnings():
        warnings.simplefilter("error")
        for trial in range(150):
            spec = FORMS[name][trial % len(FORMS[name])]
            q1 = 10 ** rng.uniform(-9, 9)
            q2 = [q1, q1 * (1 + 10 ** rng.uniform(-14, 0)), 10 ** rng.uniform(-9, 9)][trial % 3]
            c = float(rng.choice([-1, 1]) * (1 - 10 ** rng.uniform(-14, 0)))
            sigma_w = 10 ** rng.uniform(-8, 8)
            sigma_b = 0.0 if trial % 4 == 0 else sigma_w * 10 ** rng.uniform(-4, 4)
            found = correlation_map(spec, c, q=q1, q2=q2, sigma_w=sigma_w, sigma_b=sigma_b)
            exact = exact_map(name, mp.mpf(q1), mp.mpf(q2), mp.mpf(c), sigma_w, sigma_b)
            worst = max(worst, float(abs(found.value - exact)) / found.error)
    assert worst <= 1.0


@pytest.mark.parametrize("q", [1e2, 6e6, 1e12])
def test_a_bell_much_narrower_than_the_signal_has_a_correlation(q):
    found = correlation_map("gaussian", 0.99, q=q, sigma_w=1.0, sigma_b=0.02)
    with mp.workdps(60):
        d = 1 + 4 * mp.mpf(q) + 4 * mp.mpf(q) ** 2 * (1 - mp.mpf(0.99) ** 2)
        b = mp.mpf(0.02) ** 2
        exact = (1 / mp.sqrt(d) + b) / (1 / mp.sqrt(1 + 4 * mp.mpf(q)) + b)
        assert abs(found.value - exact) <= found.error < 1e-12
