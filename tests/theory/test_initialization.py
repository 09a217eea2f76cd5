"""Recommendations: their figures against plain loops, their logic against what theory says."""

import json
import math

import mpmath
import numpy as np
import pytest

from chione.activations import ELU, activation, catalogue
from chione.base import ConvergenceError
from chione.theory import (
    chi_parallel,
    chi_perp,
    critical_affine,
    criticality,
    derivative_second_moment,
    describe_scheme,
    gain,
    length_map,
    mean,
    normalizing_affine,
    normalizing_parameter,
    one_minus_correlation_map,
    second_moment,
    trajectory,
)
from chione.theory.meanfield.close_pair import ClosePair

QUICK = ("relu", "hardtanh", "tanh", "sigmoid", "gelu", "silu", "selu", "cos", "siren", "sign")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in catalogue()]
)
def test_a_recommended_point_is_on_the_edge_of_chaos_and_holds_lengths(name):
    best = gain(name)
    if best.kind == "none":
        assert not best.exists
        assert math.isnan(best.sigma_w)
        return
    assert abs(best.chi_perp.value - 1.0) <= best.chi_perp.error + 1e-12
    # a point that repels is borne where that comes to little over the depth
    assert best.chi_parallel.value**best.depth <= 10.0
    q = best.q_star.value
    if q > 0.0:
        again = length_map(best.activation, q, sigma_w=best.sigma_w, sigma_b=best.sigma_b).value
        assert abs(again - q) <= 1e-11 * q


@pytest.mark.parametrize("name", ["softplus", "quadratic", "step", "tanhshrink"])
def test_activations_without_a_solution_of_their_own_say_so(name):
    best = gain(name, change=False)
    assert best.kind == "none"
    assert "no initialisation" in best.sentence
    assert best.reason


def test_the_affine_change_of_softplus_is_critical_and_keeps_the_gradient():
    best = gain("softplus")
    assert best.name == "affine change"
    assert "Replace softplus by" in best.sentence
    for o in (best, *gain("softplus", change=False).alternatives[:1]):
        assert abs(o.chi_parallel.value - 1.0) < 1e-12
        assert abs(o.chi_perp.value - 1.0) < 1e-12
        assert abs(o.log10_gradient) < 1e-9


@pytest.mark.parametrize(("name", "sigma_w", "sigma_b"), [("tanh", 1.5, 0.2), ("relu", 1.3, 0.1)])
def test_figures_over_the_depth_are_those_of_a_plain_loop(name, sigma_w, sigma_b):
    from chione.theory.critical.options import option

    o = option(activation(name), "mine", "scheme", sigma_w, sigma_b, depth=23, q0=0.7)
    q, product = sigma_w**2 * 0.7 + sigma_b**2, 1.0
    for _ in range(23):
        product *= sigma_w**2 * derivative_second_moment(name, q).value
        q = sigma_w**2 * second_moment(name, q).value + sigma_b**2
    assert abs(o.gradient.value / product - 1.0) < 1e-12
    assert abs(o.log10_gradient - math.log10(product)) < 1e-12


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "selu", "hardtanh"])
def test_the_close_pair_law_is_the_leading_behaviour_of_the_correlation_map(name):
    q, w2, gap = 0.8, 1.7, np.array([1e-2, 1e-4])
    after = float(w2 * second_moment(name, q).value)
    pair = ClosePair(activation(name))
    ours = gap * [math.exp(pair.log_ratio(math.log(g), q, w2, after)) for g in gap]
    exact = one_minus_correlation_map(name, gap, q=q, sigma_w=w2**0.5).value
    relative = np.abs(ours / exact - 1.0)
    assert relative[1] < 2e-4
    assert relative[1] < 0.1 * relative[0] + 1e-12


def test_a_repelling_edge_of_chaos_is_never_recommended():
    # GELU near small q: chi_perp = 1 exists, with chi_parallel > 1
    q = 0.05
    w2 = 1.0 / derivative_second_moment("gelu", q).value
    assert chi_parallel("gelu", q, sigma_w=w2**0.5).value > 1.0
    for name in ("gelu", "mish"):
        best = gain(name)
        for o in (best, *best.alternatives):
            if o.kind in ("critical", "edge of chaos"):
                assert o.chi_parallel.value <= 1.0 + 1e-9


def test_depth_decides_between_the_critical_point_and_the_edge_of_chaos():
    assert gain("hardtanh", depth=50).kind == "critical"
    deep = gain("erf", depth=400)
    assert deep.kind == "edge of chaos"
    critical = next(a for a in deep.alternatives if a.kind == "critical")
    assert abs(deep.log10_gradient) < abs(critical.log10_gradient)
    assert "Against it" in deep.reason


def test_the_sigmoid_unchanged_is_recommended_beyond_its_large_threshold():
    best = gain("sigmoid", change=False)
    assert best.kind == "edge of chaos"
    assert best.sigma_w > 10.149
    assert best.q_star.value > 45.6


@pytest.mark.parametrize(
    ("scheme", "sigma_w", "sigma_b"),
    [
        ("xavier", math.sqrt(2 * 300 / (300 + 100)), 0.0),
        ("he", math.sqrt(2.0), 0.0),
        ("lecun", 1.0, 0.0),
        ("pytorch", math.sqrt(1 / 3), math.sqrt(1 / 900)),
        ("calculate_gain", 5.0 / 3.0, 0.0),
        ("standard", math.sqrt(1 / 3), 0.0),
    ],
)
def test_schemes_are_described_with_their_own_sigmas(scheme, sigma_w, sigma_b):
    o = describe_scheme("tanh", scheme, fan_in=300, fan_out=100, depth=5)
    assert abs(o.sigma_w - sigma_w) < 1e-15
    assert abs(o.sigma_b - sigma_b) < 1e-15
    q = o.q_star.value
    if q > 0:
        assert abs(length_map("tanh", q, sigma_w=sigma_w, sigma_b=sigma_b).value - q) < 1e-12
        assert o.chi_perp.value == pytest.approx(chi_perp("tanh", q, sigma_w=sigma_w).value, 1e-13)


def test_calculate_gain_does_not_cover_gelu():
    assert describe_scheme("gelu", "calculate_gain") is None


def test_lengths_that_grow_for_ever_have_no_fixed_point_in_a_scheme():
    o = describe_scheme("linear", "he", depth=3)
    assert o.q_star.status.word == "divergent"
    assert o.gradient.value == pytest.approx(8.0, rel=1e-13)
    assert "without bound" in o.reason


def test_width_adds_a_sentence_on_trust():
    assert "depth-to-width" in gain("relu", width=128).reason
    assert "does not grow" in gain("linear", width=128, depth=3, weights="orthogonal").reason


def test_bad_arguments_are_refused_with_a_sentence():
    with pytest.raises(ValueError, match="depth must be at least 1"):
        gain("tanh", depth=0)
    with pytest.raises(ValueError, match="weights must be one of auto, gaussian"):
        gain("tanh", weights="sparse")
    with pytest.raises(ValueError, match="scheme must be one of xavier"):
        describe_scheme("tanh", "kaiming")


def test_recommendations_are_plain_json():
    for name in ("tanh", "softplus", "step"):
        json.dumps(gain(name).to_dict(), allow_nan=False)


def test_the_constants_of_selu_are_one_case_of_the_normalising_family():
    # the fixed point (0, 1) of lambda * ELU(alpha): values of the self-normalising-network paper
    alpha, scale = normalizing_parameter(ELU, bracket=(1.0, 3.0))
    assert abs(alpha.value - 1.6732632423543772848) <= alpha.error < 1e-13
    assert abs(scale.value - 1.0507009873554804934) <= scale.error < 1e-13
    alpha, scale = normalizing_parameter(ELU, bracket=(0.2, 3.0), mean=0.1, variance=0.8)
    x = np.random.default_rng(1).normal(0.1, 0.8**0.5, 2_000_000)
    y = scale.value * np.where(x > 0, x, alpha.value * np.expm1(x))
    assert abs(y.mean() - 0.1) < 5 * y.std() / 1414
    assert abs(y.var() - 0.8) < 0.006


def test_a_bracket_without_solution_is_named():
    with pytest.raises(ConvergenceError, match="widen the bracket"):
        normalizing_parameter(ELU, bracket=(2.0, 3.0))


@pytest.mark.parametrize("name", ["relu", "gelu", "sigmoid", "hardtanh"])
def test_a_normalised_activation_has_the_mean_and_variance_asked_for(name):
    changed = normalizing_affine(name, mean=0.0, variance=1.3, shift=0.4)
    first, second = mean(changed, 1.3).value, second_moment(changed, 1.3).value
    assert abs(first) < 1e-13
    assert abs(second - first**2 - 1.3) < 1e-13


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "gelu", "selu", "hardtanh", "cubic"])
@pytest.mark.parametrize("offset", [True, False])
def test_critical_affine_changes_have_both_slopes_one_by_finite_differences(name, offset):
    solutions = critical_affine(name, offset=offset)
    assert solutions or not offset  # with an offset each of these has one
    for found in solutions[:2]:
        phi, k, step = found.activation, found.k, 1e-4
        below, above = (second_moment(phi, k + s).value for s in (-step, step))
        assert abs((above - below) / (2 * step) - 1.0) < 1e-7
        assert abs(derivative_second_moment(phi, k).value - 1.0) < 1e-12
        assert abs(second_moment(phi, k).value + found.sigma_b**2 - k) < 1e-12


@pytest.mark.parametrize(("name", "offset"), [("softplus", True), ("cubic", True), ("gelu", False)])
def test_errors_of_an_affine_solution_cover_the_root_at_thirty_digits(name, offset):
    found, k = critical_affine(name, k=1.3, offset=offset)[0], mpmath.mpf(1.3)
    value, slope, bend = {
        "softplus": (
            lambda h: mpmath.log1p(mpmath.exp(h)),
            lambda h: 1 / (1 + mpmath.exp(-h)),
            lambda h: 1 / (2 + mpmath.exp(h) + mpmath.exp(-h)),
        ),
        "cubic": (lambda h: h**3, lambda h: 3 * h * h, lambda h: 6 * h),
        "gelu": (
            lambda h: h * mpmath.ncdf(h),
            lambda h: mpmath.ncdf(h) + h * mpmath.npdf(h),
            lambda h: (2 - h * h) * mpmath.npdf(h),
        ),
    }[name]
    h = [mpmath.mpf(i) / 16 * mpmath.sqrt(k) for i in range(-12 * 16, 12 * 16 + 1)]

    def average(f):  # the trapezoidal rule is exact to all digits for what is entire or nearly so
        weights = [mpmath.exp(-x * x / (2 * k)) for x in h]
        return mpmath.fdot(weights, [f(x) for x in h]) / mpmath.fsum(weights)

    def offset_over_scale(s):
        return -average(lambda x: value(x + s) * bend(x + s)) / average(lambda x: bend(x + s))

    def mismatch(s):
        if not offset:
            return average(lambda x: value(x + s) * bend(x + s))
        beta = offset_over_scale(s)
        square = average(lambda x: (value(x + s) + beta) ** 2)
        return square / (k * average(lambda x: slope(x + s) ** 2)) - 1

    with mpmath.workdps(30):
        s = mpmath.findroot(mismatch, (found.shift, found.shift + 1e-5), tol=1e-40)
        a = 1 / mpmath.sqrt(average(lambda x: slope(x + s) ** 2))
        beta = offset_over_scale(s) if offset else 0
        rest = k - a * a * average(lambda x: (value(x + s) + beta) ** 2)
        right = {"shift": s, "scale": a, "offset": a * beta}
        right["sigma_b"] = 0 if offset else mpmath.sqrt(rest)
        for part, number in right.items():
            error = found.errors[part]
            assert abs(getattr(found, part) - number) <= error <= 1e-11 * abs(number), part


def test_without_offset_the_shift_alone_makes_the_point_that_criticality_finds():
    found = critical_affine("gelu", offset=False)[0]
    point = next(p for p in criticality(found.activation).points if p.k_star.value > 0)
    assert abs(point.k_star.value - 1.0) <= point.k_star.error + 1e-12
    assert abs(point.bias_variance.value - found.sigma_b**2) < 1e-11


def test_a_length_that_creeps_up_for_ever_is_not_taken_for_a_fixed_point():
    # softplus at sigma_w^2 = 2 grows by about 1 / sqrt(q) a layer, below rounding at large q
    assert describe_scheme("softplus", "he", depth=3).q_star.status.word == "divergent"


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh", "silu", "elu", "erf", "selu", "mish"])
def test_the_sigmas_of_a_recommendation_carry_errors_that_hold(name):
    functions = {  # slope and value, for 30 digits
        "relu": (lambda x: mpmath.mpf(x > 0), lambda x: max(x, 0)),
        "tanh": (lambda x: mpmath.sech(x) ** 2, mpmath.tanh),
        "erf": (lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), mpmath.erf),
        "gelu": (lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x), lambda x: x * mpmath.ncdf(x)),
    }
    best = gain(name, depth=20)
    options = [o for o in (best, *best.alternatives) if o.kind == "edge of chaos"]
    for made in (best, *best.alternatives):
        assert set(made.errors) == {"sigma_w", "sigma_b", "log10_gradient"}
        assert 0.0 < made.errors["sigma_w"] < 1e-9 * made.sigma_w
    if name not in functions:
        return
    slope, value = functions[name]
    with mpmath.workdps(30):
        for made in options:
            q = mpmath.mpf(made.q_star.value)
            parts = [-12, -4, -1, 0, 1, 4, 12]
            d, s = (
                mpmath.quad(lambda z, f=f, q=q: f(mpmath.sqrt(q) * z) ** 2 * mpmath.npdf(z), parts)
                for f in (slope, value)
            )
            assert abs(made.sigma_w - 1 / mpmath.sqrt(d)) <= made.errors["sigma_w"]
            assert abs(made.sigma_b - mpmath.sqrt(max(q - s / d, 0))) <= made.errors["sigma_b"]


@pytest.mark.parametrize("name", ["relu", "gelu", "silu", "tanh"])
def test_a_distance_goes_on_shrinking_where_it_is_too_small_for_a_sum(name):
    (made,) = (o for o in gain(name, depth=40).alternatives if o.name == "pytorch")
    w2, b2 = made.sigma_w**2, made.sigma_b**2
    c0 = (0.9 * (w2 + b2) - b2) / w2  # so that the first layer has correlation 0.9
    curves = trajectory(name, sigma_w=made.sigma_w, sigma_b=made.sigma_b, depth=41, c0=c0)
    exact = float(np.log10(curves.one_minus_c[-1] / 0.1))
    assert exact < -15.0
    assert abs(made.log10_distance - exact) < 0.05


def test_mirror_images_of_an_affine_change_are_offered_once():
    best = gain("sigmoid", depth=50)  # sigmoid(-x) = 1 - sigmoid(x)
    changes = [o for o in (best, *best.alternatives) if o.name == "affine change"]
    assert len(changes) == 1


@pytest.mark.parametrize(("name", "does"), [("softshrink", "holds lengths"), ("tanh", "attracts")])
def test_what_a_fixed_point_does_to_lengths_is_said_as_its_slope_has_it(name, does):
    best = gain(name, depth=50, width=256)
    assert does in best.reason
    assert ("lengths are forgotten" in best.reason) == (best.chi_parallel.value < 0.995)
