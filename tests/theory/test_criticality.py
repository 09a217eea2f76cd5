"""Critical points and classes: closed forms, 30-digit mpmath, iteration of the map."""

import time

import mpmath as mp
import numpy as np
import pytest

from chione.activations import Affine, activation, catalogue
from chione.theory import criticality, second_moment
from chione.theory.moments.taylor import origin, slope_in_q

CLASSES = {
    "scale-invariant": ("linear", "relu", "leaky_relu", "prelu", "abs"),
    "K* = 0": (
        *("tanh", "erf", "erf_scaled", "sin", "siren", "arctan", "arcsinh"),
        *("elu", "celu", "selu", "softsign", "hardtanh", "relu6", "shifted_relu"),
    ),
    "half-stable": ("gelu", "gelu_tanh", "quick_gelu", "silu", "mish", "hardswish", "softshrink"),
    "none": (
        *("sigmoid", "hardsigmoid", "softplus", "logsigmoid", "cos", "gaussian", "exp"),
        *("quadratic", "cubic", "squared_relu", "tanhshrink", "step", "sign", "hardshrink"),
    ),
}


@pytest.mark.parametrize("name", [(c, a) for c, names in CLASSES.items() for a in names], ids=str)
def test_each_activation_of_the_catalogue_has_its_class_and_a_reason(name):
    wanted, act = name
    found = criticality(act)
    assert found.universality == wanted
    assert len(found.reason) > 40
    assert (found.best is None) == (wanted == "none")


def test_no_activation_of_the_catalogue_lacks_a_class():
    assert set(catalogue()) == {a for names in CLASSES.values() for a in names}


def test_the_table_of_the_catalogue_is_quick():
    start = time.process_time()
    for act in catalogue().values():
        criticality(act)
    assert time.process_time() - start < 10.0


def _mp_expectation(f, k):
    return mp.quad(
        lambda z: f(mp.sqrt(k) * z) * mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi),
        [-14, -8, -4, -2, -1, 0, 1, 2, 4, 8, 14],
    )


def _mp_sigmoid(x):
    return 1 / (1 + mp.exp(-x))


MP_ACTIVATIONS = {
    # gelu: h Phi(h); silu: h s(h); mish: h tanh(log(1 + e^h))
    "gelu": lambda h: h * mp.ncdf(h),
    "silu": lambda h: h * _mp_sigmoid(h),
    "mish": lambda h: h * mp.tanh(mp.log1p(mp.exp(h))),
}
STARTS = {"gelu": 3.56, "silu": 14.3, "mish": 1.67}


@pytest.mark.parametrize("name", ["gelu", "silu", pytest.param("mish", marks=pytest.mark.slow)])
def test_finite_critical_points_agree_with_thirty_digits(name):
    with mp.workdps(30):
        phi = MP_ACTIVATIONS[name]

        def moments(k):
            slope = _mp_expectation(lambda h: mp.diff(phi, h) ** 2, k)
            square = _mp_expectation(lambda h: phi(h) ** 2, k)
            stein = _mp_expectation(lambda h: phi(h) ** 2 * (h * h - k), k) / (2 * k * k)
            return slope, square, stein

        # secant steps from our own value: it must already be the root to its error
        point = criticality(name).best
        k0 = mp.mpf(point.k_star.value)
        step = mp.mpf("1e-6")

        def gap(k):
            slope, _, stein = moments(k)
            return slope - stein

        g0, g1 = gap(k0), gap(k0 + step)
        k = k0 - g0 * step / (g1 - g0)
        slope, square, _ = moments(k)
        weight, bias = 1 / slope, k - square / slope
    assert abs(float(k - k0)) <= point.k_star.error
    assert abs(float(weight) - point.weight_variance.value) <= point.weight_variance.error
    assert abs(float(bias) - point.bias_variance.value) <= point.bias_variance.error
    assert point.k_star.error <= 1e-12 * point.k_star.value
    assert point.weight_variance.error <= 1e-12
    assert point.bias_variance.error <= 1e-12


def test_gelu_has_the_closed_form_of_its_critical_length():
    point = criticality("gelu").best
    exact = (3.0 + np.sqrt(17.0)) / 2.0
    assert abs(point.k_star.value - exact) <= point.k_star.error
    assert point.attracts == "above"


@pytest.mark.parametrize(
    ("name", "side"), [("gelu", 1.0), ("silu", -1.0), ("mish", -1.0), ("hardswish", -1.0)]
)
def test_half_stable_points_attract_from_the_stated_side_when_iterated(name, side):
    point = criticality(name).best
    k, w, b = (float(x.value) for x in (point.k_star, point.weight_variance, point.bias_variance))
    assert point.attracts == ("above" if side > 0 else "below")

    def after(q, steps):
        for _ in range(steps):
            q = w * second_moment(name, q).value + b
        return q

    near, far = k * (1.0 + 0.2 * side), k * (1.0 - 0.005 * side)
    assert abs(after(near, 30) - k) < abs(near - k)
    assert abs(after(far, 30) - k) > abs(far - k)


@pytest.mark.parametrize(
    ("name", "law", "amplitude"),
    [
        ("tanh", "1/l", 0.5),
        ("sin", "1/l", 1.0),
        ("erf", "1/l", 0.5),
        ("erf_scaled", "1/l", 2.0 / np.pi),
        ("arctan", "1/l", 0.5),
        ("arcsinh", "1/l", 1.0),
        ("elu", "1/l^2", 2.0 * np.pi),
        ("softsign", "1/l^2", np.pi / 8.0),
        ("hardtanh", "1/log l", 0.5),
        ("shifted_relu", "1/log l", 0.5),
        ("relu6", "1/log l", 18.0),
    ],
)
def test_lengths_fade_by_the_law_of_the_class(name, law, amplitude):
    fading = criticality(name).best.fading
    assert fading.law == law
    assert abs(fading.amplitude.value - amplitude) <= fading.amplitude.error + 1e-14 * amplitude


@pytest.mark.parametrize("name", ["tanh", "arcsinh", "elu", "selu", "softsign"])
def test_the_law_of_fading_is_what_iterating_the_map_gives(name):
    point = criticality(name).best
    w, law, q = point.weight_variance.value, point.fading, 1.0
    values = {}
    for layer in range(1, 6001):
        q = w * second_moment(name, q).value
        if layer in (3000, 6000):
            values[layer] = q * layer**law.exponent
    # the next term is of relative order log(l) / l: it shrinks by about half
    gaps = [abs(v / law.amplitude.value - 1.0) for v in values.values()]
    assert gaps[1] < 0.62 * gaps[0]
    assert gaps[1] < 1e-2


def test_higher_powers_of_fading_are_read_off_the_map():
    # h - h^5: E phi^2 = q - 30 q^3 + ..., so q ~ (60 l)^(-1/2)
    fading = criticality(lambda h: h - h**5 * np.exp(-h * h)).best.fading
    assert fading.law == "power"
    assert fading.exponent == 0.5
    assert abs(fading.amplitude.value - 60.0**-0.5) <= fading.amplitude.error
    assert fading.amplitude.error < 0.2


def test_k_zero_repels_where_the_activation_is_convex_enough():
    assert [p.attracts for p in criticality("gelu").points if p.universality == "K* = 0"] == [
        "none"
    ]
    # h + h^3 / 6 grows faster than linear
    assert criticality("sinh(x)").universality in ("unstable", "K* = 0")
    assert criticality("sinh(x)").best.attracts == "none"


def test_a_users_function_has_the_class_of_the_activation_it_copies():
    mine = criticality(lambda h: np.maximum(h, 0.0) - 0.25 * np.maximum(-h, 0.0))
    assert mine.universality == "scale-invariant"
    assert abs(mine.best.weight_variance.value - 2.0 / 1.0625) < 1e-12
    assert criticality(lambda h: h / (1.0 + np.exp(-h))).universality == "half-stable"


def test_the_softshrink_is_critical_at_every_length_and_says_so():
    assert "every K" in criticality("softshrink").reason


def test_reasons_name_what_is_missing():
    assert "jumps" in criticality("step").reason
    assert "-4" in criticality("sigmoid").reason
    assert "no slope" in criticality("quadratic").reason


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_scaling_the_value_leaves_k_star_and_divides_the_weights(scale):
    plain, scaled = criticality("gelu").best, criticality(Affine(activation("gelu"), scale)).best
    tolerance = plain.k_star.error + scaled.k_star.error
    assert abs(plain.k_star.value - scaled.k_star.value) <= tolerance
    ratio = plain.weight_variance.value / scaled.weight_variance.value
    assert abs(ratio - scale**2) < 1e-12 * scale**2


def test_one_sided_taylor_data_match_known_derivatives():
    at = origin(activation("selu"))
    lam, alpha = 1.0507009873554805, 1.6732632423543772
    wanted = np.array([0.0, -lam * alpha, lam * alpha / 2.0, -lam * alpha / 6.0])
    assert np.all(np.abs(at.left - wanted) <= at.error + 1e-14)
    assert np.all(np.abs(at.right - np.array([0.0, lam, 0.0, 0.0])) <= at.error + 1e-14)


def test_a_shifted_kink_at_zero_is_seen_from_both_sides():
    at = origin(Affine(activation("hardtanh"), shift=1.0, offset=-1.0))
    assert at.is_zero
    assert abs(at.left[1] + 1.0) <= at.error[1]
    assert abs(at.right[1]) <= at.error[1]


@pytest.mark.parametrize("q", [1e-3, 0.7, 40.0])
def test_the_slope_in_q_tells_its_error(q):
    # erf: E phi^2 = (2 / pi) asin(2 q / (1 + 2 q))
    found = slope_in_q(lambda x: second_moment("erf", x), q)
    exact = (4.0 / np.pi) / ((1.0 + 2.0 * q) * np.sqrt(1.0 + 4.0 * q))
    assert abs(found.value - exact) <= found.error
    assert found.error <= 1e-10 * exact


def test_the_result_is_plain_data_and_prints_as_one_line():
    found = criticality("tanh")
    data = found.to_dict()
    assert data["points"][0]["fading"]["law"] == "1/l"
    assert str(found).startswith("tanh: K* = 0")
    assert "\n" not in str(found)


def test_a_users_kink_at_zero_leaves_no_spurious_curvature():
    # slopes 1 and 1/5 meet at zero, and only the left side bends, by its third derivative
    found = criticality(lambda h: np.where(h > 0, h, 0.2 * np.tanh(h))).best.fading
    # v_2 = (1 + 1/25) / 2, v_4 = 3 (1/5) (-1/15): 1 / (-a_1) = 13
    assert found.law == "1/l"
    assert abs(found.amplitude.value - 13.0) <= found.amplitude.error


def test_an_infinite_slope_at_zero_is_no_critical_point():
    found = criticality(lambda h: np.cbrt(h))
    assert found.universality == "none"
    assert "infinite" in found.reason
