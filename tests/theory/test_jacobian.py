"""The Jacobian's spectrum: closed forms of source 001, shapes, statuses, refusals."""

import mpmath as mp
import numpy as np
import pytest
from scipy.special import erf

import chione as ch
from chione.theory.spectra.jacobian import jacobian_spectrum
from chione.theory.spectra.jacobian_law import derivative_law


@pytest.mark.parametrize("depth", [1, 2, 5, 64])
def test_linear_gaussian_networks_have_fuss_catalan_spectra(depth):
    s = jacobian_spectrum("linear", q_star=1.0, depth=depth)
    assert np.isclose(s.edges[1], (depth + 1.0) ** (depth + 1) / float(depth) ** depth, rtol=1e-13)
    fuss = [float(mp.binomial(k * (depth + 1), k) / (k * depth + 1)) for k in range(1, 5)]
    assert np.allclose(s.moments(4).value, fuss, rtol=1e-12)
    # lambda = sin((L+1) a)^(L+1) / (sin(a) sin(L a)^L), lambda rho = sin(a) ... (Biane)
    a = np.array([0.05, 0.3, 0.8]) * np.pi / (depth + 1)
    n = depth + 1
    log_lam = n * np.log(np.sin(n * a)) - np.log(np.sin(a)) - depth * np.log(np.sin(depth * a))
    log_rho = 2 * np.log(np.sin(a)) + (depth - 1) * np.log(np.sin(depth * a))
    log_rho -= np.log(np.pi) + depth * np.log(np.sin(n * a))
    found = s.density_of_log(log_lam)
    exact = np.exp(log_rho + log_lam)
    assert np.allclose(found.value, exact, rtol=1e-11)
    assert np.all(abs(found.value - exact) <= found.error + 1e-15)


def test_one_gaussian_layer_of_relu_is_a_marchenko_pastur_law():
    s = jacobian_spectrum("relu", q_star=3.0, depth=1)
    x = np.linspace(0.2, 5.5, 9)
    a, b = (1 - 0.5**0.5) ** 2 * 2, (1 + 0.5**0.5) ** 2 * 2
    exact = np.where((x > a) & (x < b), np.sqrt(abs((b - x) * (x - a))) / (4 * np.pi * x), 0.0)
    assert np.allclose(s.density(x).value, exact, rtol=1e-12)
    assert np.allclose(s.support, [(a, b)], rtol=1e-13)
    assert s.atoms == ((0.0, 0.5),)


def test_two_orthogonal_relu_layers_give_an_arcsine_law():
    s = jacobian_spectrum("relu", q_star=1.0, depth=2, weights="orthogonal")
    x = np.array([0.01, 1.0, 3.0, 3.999])
    found = s.density(x)
    exact = 1 / (2 * np.pi * np.sqrt(x * (4 - x)))  # half of the mass, on (0, 4)
    assert np.allclose(found.value, exact, rtol=1e-10)
    assert np.all(abs(found.value - exact) <= found.error)
    assert np.allclose(s.cdf(x).value, 0.5 + np.arcsin(np.sqrt(x / 4)) / np.pi, rtol=1e-12)


def test_orthogonal_hard_tanh_keeps_an_atom_at_the_top_as_long_as_its_mass_is_positive():
    q = 0.3
    p = erf(1 / np.sqrt(2 * q))
    for depth in (2, 8, 64):
        s = jacobian_spectrum("hardtanh", q_star=q, depth=depth, weights="orthogonal")
        mass = 1 - depth * (1 - p)
        if mass > 0:
            assert np.allclose(s.atoms, [(0.0, 1 - p), (p**-depth, mass)], rtol=1e-12)
        else:
            assert np.allclose(s.atoms, [(0.0, 1 - p)], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("linear", lambda k, q: 1.0),
        ("relu", lambda k, q: 0.5),
        ("hardtanh", lambda k, q: erf(1 / np.sqrt(2 * q))),
        ("erf_scaled", lambda k, q: 1 / np.sqrt(1 + np.pi * k * q)),
    ],
)
@pytest.mark.parametrize(("weights", "s1"), [("gaussian", -1.0), ("orthogonal", 0.0)])
def test_the_table_of_source_001_is_reproduced(name, moment, weights, s1):
    q, depth = 0.8, 12
    s = jacobian_spectrum(name, q_star=q, depth=depth, weights=weights)
    mu = [moment(k, q) for k in range(1, 5)]
    assert np.allclose(s.law.moments(4), mu, rtol=1e-13)
    assert np.isclose(s.sigma_w**2, 1 / mu[0], rtol=1e-13)
    assert np.isclose(s.variance, depth * (mu[1] / mu[0] ** 2 - 1 - s1), atol=1e-12, rtol=1e-12)
    assert np.isclose(s.mean, 1.0, rtol=1e-12)


def test_erf_density_solves_the_master_equation_with_the_lerch_form():
    q, depth = 0.5, 6
    s = jacobian_spectrum("erf_scaled", q_star=q, depth=depth, weights="orthogonal")
    lam = 1.4
    found = s.density(lam)
    with mp.workdps(30):
        a = (1 + mp.pi * q) / (mp.pi * q)

        def m(w):  # E t/(w-t), continued from the Lerch series by its integral form
            kernel = lambda u: mp.exp(-(a - 1) * u) / (mp.sqrt(u) * (w * mp.exp(u) - 1))  # noqa: E731
            return (
                mp.quad(lambda v: 2 * v * kernel(v * v), [0, 0.5, 1, 2, 8])
                * mp.exp(0)
                / mp.sqrt(mp.pi * mp.pi * q)
            )

        def f(w):
            x = m(w)
            return (
                depth * mp.log(s.sigma_w**2 * w) + (depth - 1) * mp.log(x / (1 + x)) - mp.log(lam)
            )

        start = complex(np.exp(s.solver.curves[0].log_w[100]))
        w = mp.findroot(f, mp.mpc(start))
        exact = float(-m(w).imag / (mp.pi * lam))
    assert abs(found.value - exact) <= 1e-10 * exact
    assert abs(found.value - exact) <= max(found.error, 1e-13)


@pytest.mark.parametrize("depth", [2, 10**3, 10**6])
def test_extreme_depths_stay_in_logarithms(depth):
    s = jacobian_spectrum("tanh", q_star=0.5, depth=depth)
    c = s.curve()
    assert np.all(np.diff(c.log_lambda) > 0)
    assert np.all(np.diff(c.cdf) >= -1e-9)
    assert c.cdf[-1] > 0.99
    area = np.sum(0.5 * (c.density_of_log[1:] + c.density_of_log[:-1]) * np.diff(c.log_lambda))
    assert abs(area - (c.cdf[-1] - c.cdf[0])) < 2e-3


def test_array_calls_equal_scalar_calls_and_keep_their_shape():
    s = jacobian_spectrum("gelu", q_star=1.0, depth=3, weights="orthogonal")
    x = np.array([[0.1, 0.7], [1.9, 50.0]])
    for f in (s.density, s.cdf, s.singular_value_density):
        together = f(x)
        assert together.value.shape == together.error.shape == (2, 2)
        alone = [[f(v).value for v in row] for row in x]
        assert np.allclose(together.value, alone, rtol=1e-12)
    assert s.density(50.0).value == 0.0
    assert s.cdf(50.0).value == 1.0
    assert s.density(-1.0).value == 0.0


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_quantiles_undo_the_distribution_function(weights):
    s = jacobian_spectrum("elu", q_star=0.6, depth=5, weights=weights)
    p = np.array([0.01, 0.3, 0.5, 0.97])
    q = s.quantile(p)
    assert np.allclose(s.cdf(q.value).value, p, atol=1e-12)
    relu = jacobian_spectrum("relu", q_star=1.0, depth=4, weights=weights)
    assert relu.quantile(0.4).value == 0.0
    assert relu.rank_fraction == 0.5


def test_singular_values_have_the_density_of_their_squares():
    s = jacobian_spectrum("tanh", q_star=0.6, depth=4)
    v = np.array([0.2, 1.0])
    assert np.allclose(s.singular_value_density(v).value, 2 * v * s.density(v**2).value, rtol=1e-12)


def test_the_stated_error_covers_the_change_to_a_finer_quadrature_and_to_closed_forms():
    for name, weights in (("tanh", "gaussian"), ("silu", "orthogonal")):
        s = jacobian_spectrum(name, q_star=0.9, depth=7, weights=weights)
        c = s.curve(64)
        fine = s.solver.check
        theta = fine.angle(s.solver.curves[0].log_w.real)
        assert np.nanmax(abs(theta - s.solver.curves[0].log_w.imag)) < 1e-10
        assert np.median(c.density_error / c.density_of_log) < 1e-11


def test_an_orthogonal_linear_network_is_one_atom_and_says_so():
    s = jacobian_spectrum("linear", sigma_w=1.1, q_star=1.0, depth=3, weights="orthogonal")
    assert np.allclose(s.atoms, [(1.1**6, 1.0)])
    assert s.support == ()
    assert s.status.word == "undefined"
    assert s.condition == 1.0
    assert "atoms" in s.sentence
    assert s.curve().log_lambda.size == 0


def test_away_from_criticality_the_mean_is_chi_to_the_depth():
    s = jacobian_spectrum("tanh", sigma_w=1.5, sigma_b=0.3, depth=9)
    assert np.isclose(s.mean, s.chi**9, rtol=1e-12)
    field = ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.3) if hasattr(ch, "mean_field") else None
    if field is not None:
        assert np.isclose(s.chi, float(field.chi_perp), rtol=1e-10)


def test_relu_needs_no_fixed_point_because_its_law_is_the_same_at_every_q():
    s = jacobian_spectrum("relu", sigma_w=1.0, depth=2)
    assert np.isclose(s.mean, 0.25, rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"q_star": 0.0, "depth": 2}, "q_star must be above 0"),
        ({"q_star": -1.0, "depth": 2}, "q_star must be above 0"),
        ({"q_star": 1.0, "depth": 0}, "depth must be at least 1"),
        ({"q_star": 1.0, "depth": 2, "weights": "uniform"}, "weights must be one of"),
        ({"depth": 2}, "needs sigma_w"),
        ({"q_star": 1.0, "depth": 2, "widths": (1, 2)}, "must hold 3 numbers"),
        ({"q_star": 1.0, "depth": 2, "widths": (1, 2, -1)}, "above 0"),
        ({"q_star": 1.0, "depth": 2, "widths": (1, 1e13, 1)}, "within a factor of 1e12"),
        ({"q_star": 1.0, "depth": 2, "widths": (1e300, 1, 1e-300)}, "within a factor of 1e12"),
        ({"q_star": 1.0, "depth": 2, "widths": (1, float("inf"), 1)}, "must be finite"),
        ({"sigma_w": 0.5, "depth": 2}, "no fixed point"),
    ],
)
def test_bad_input_is_answered_with_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        jacobian_spectrum("tanh", **arguments)


def test_activations_without_a_spectrum_are_named():
    with pytest.raises(ValueError, match="step jumps at 0"):
        jacobian_spectrum("step", q_star=1.0, depth=2)
    with pytest.raises(ValueError, match="zero almost everywhere"):
        derivative_law(lambda x: 0.0 * x + 1.0, 1.0)
    with pytest.raises(TypeError, match="depth must be an integer"):
        jacobian_spectrum("tanh", q_star=1.0, depth=2.5)


def test_a_users_own_function_has_the_spectrum_of_the_catalogue_entry():
    own = jacobian_spectrum(lambda x: np.tanh(x), q_star=0.7, depth=4, weights="orthogonal")
    known = jacobian_spectrum("tanh", q_star=0.7, depth=4, weights="orthogonal")
    x = np.array([0.3, 1.0, 2.0])
    assert np.allclose(own.density(x).value, known.density(x).value, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "depth"), [("squared_relu", 1), ("squared_relu", 2), ("cubic", 2)]
)
def test_above_its_last_visible_point_a_law_without_an_end_has_no_density(name, depth):
    s = jacobian_spectrum(name, sigma_w=1.3, q_star=0.8, depth=depth)
    top = s.log_quantile(1.0 - 1e-9).value
    x = top + np.linspace(0.0, 80.0, 1601)
    density, cdf = s.density_of_log(x), s.cdf_of_log(x)
    assert not np.isnan(density.value).any()
    assert not np.isnan(cdf.value).any()
    assert np.all(np.diff(cdf.value) >= -2.0 * cdf.error[1:])
    # Chebyshev: at most (m_4 / lambda^4) of the mass lies above lambda
    beyond = s.moments(4).value[3] * np.exp(-4.0 * x)
    assert np.all(1.0 - cdf.value - cdf.error <= beyond)
    far = x > top + 5.0
    assert np.all(density.value[far] <= 1e-12)
    assert np.all(density.error[far] <= 1e-12)
