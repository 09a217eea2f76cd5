"""Norm stability: iteration, finite differences of sampled maps, corrected first-order formula."""

import itertools

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate

from chione.theory import (
    basins,
    first_order_slope,
    norm_map,
    norm_stability,
    normalized_slope,
    normalizing_affine,
)
from chione.theory.moments.moments import length_slope, second_moment

LAM, ALPHA = 1.0507009873554805, 1.6732632423543772


def pair(phi, mu, nu):
    image = norm_map(phi, [mu], nu)
    return image.mean.value, image.variance.value


def _selu(x):
    return LAM * np.where(x > 0, x, ALPHA * np.expm1(np.minimum(x, 0)))


def _quad_map(phi, mu, nu):
    """Mean and variance by SciPy, split at the kink."""

    def mean(f):
        def g(x):
            return f(x) * np.exp(-0.5 * (x - mu) ** 2 / nu) / np.sqrt(2 * np.pi * nu)

        reach = 12 * np.sqrt(nu)
        cuts = sorted({mu - reach, min(max(0.0, mu - reach), mu + reach), mu, mu + reach})
        return sum(
            integrate.quad(g, a, b, epsabs=1e-13, epsrel=1e-13, limit=200)[0]
            for a, b in itertools.pairwise(cuts)
        )

    first = mean(phi)
    return first, mean(lambda x: (phi(x) - first) ** 2)


def test_selu_is_a_saddle_with_the_eigenvalues_of_the_literature():
    point = next(p for p in norm_stability("selu").points if p.variance.value > 0.5)
    assert abs(point.mean.value) <= point.mean.error
    assert abs(point.variance.value - 1.0) <= point.variance.error
    assert point.stability == "saddle"
    assert np.allclose(point.eigenvalues.real, [1.07675, 0.69113], atol=5e-6)
    wanted = [[0.98523, 0.08883], [0.30299, 0.78265]]
    assert np.allclose(point.jacobian, wanted, atol=5e-6)


@pytest.mark.parametrize(("mu", "nu"), [(0.0, 1.0), (0.3, 0.5), (-1.0, 2.0)])
def test_the_map_agrees_with_another_quadrature(mu, nu):
    mean, variance = pair("selu", mu, nu)
    assert np.allclose([mean[0], variance[0]], _quad_map(_selu, mu, nu), rtol=1e-11, atol=1e-12)


def test_the_jacobian_is_the_slope_of_the_map():
    point = next(p for p in norm_stability("selu").points if p.variance.value > 0.5)
    step = 1e-4
    columns = []
    for dm, dv in ((step, 0.0), (0.0, step)):
        up, down = (np.array(_quad_map(_selu, s * dm, 1.0 + s * dv)) for s in (1.0, -1.0))
        columns.append((up - down) / (2 * step))
    assert np.allclose(np.stack(columns, axis=1), point.jacobian, atol=1e-6)


def test_iterating_selu_leaves_the_saddle_as_its_eigenvalue_says():
    mu, nu = 0.01, 1.0
    for _ in range(50):
        mean, variance = pair("selu", mu, nu)
        mu, nu = float(mean[0]), float(variance[0])
    assert mu == pytest.approx(0.288, abs=5e-4)


def test_the_second_moment_of_selu_is_stable_all_the_same():
    assert normalized_slope("selu").value == pytest.approx(0.782648, abs=5e-7)
    assert "is stable" in norm_stability("selu").sentence


@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus", "selu", "relu", "quadratic"])
def test_the_corrected_first_order_formula_gives_the_slope_of_the_second_moment(name):
    found = first_order_slope(name)
    exact = length_slope(name, 1.0).value / second_moment(name, 1.0).value
    assert abs(found.value - exact) <= found.error
    assert found.error < 1e-3


def test_the_first_order_formula_is_the_derivative_of_the_scaled_norm():
    # E tanh(gamma X)^2 / E tanh(X)^2 grows by twice the slope
    step = 1e-4
    up, down = (second_moment("tanh", (1 + s) ** 2).value for s in (step, -step))
    change = (up - down) / (2 * step) / second_moment("tanh", 1.0).value
    assert abs(2 * first_order_slope("tanh").value - change) < 1e-7
    # x^2, where the misprinted factor 4 would give 16 / 3 instead of 12 / 3
    assert abs(2 * first_order_slope("quadratic").value - 4.0) < 1e-12


def test_a_linear_activation_has_a_line_of_fixed_points_and_none_alone():
    assert norm_stability("linear").points == ()


def test_points_without_variance_solve_phi_of_mu_equal_mu():
    point = norm_stability("sigmoid").points[0]
    mu = point.mean.value
    assert point.variance.value == 0.0
    assert abs(1.0 / (1.0 + np.exp(-mu)) - mu) < 1e-11
    assert point.stability == "attracts"


def test_basins_agree_with_iterating_from_single_points():
    found = basins("selu", means=[-0.6, 0.0, 0.5], variances=[0.3, 1.5])
    points = norm_stability("selu").points
    for i, nu0 in enumerate((0.3, 1.5)):
        for j, mu0 in enumerate((-0.6, 0.0, 0.5)):
            mu, nu = mu0, nu0
            for _ in range(150):
                mean, variance = pair("selu", mu, max(nu, 1e-12))
                mu, nu = float(mean[0]), float(variance[0])
                if abs(mu) > 4 or nu > 30 or nu < 1e-6:
                    break
            reached = [
                k
                for k, p in enumerate(points)
                if np.hypot(mu - p.mean.value, nu - p.variance.value) < 0.02
            ]
            assert found.target[i, j] == (reached[0] if reached else -1)
    assert set(np.unique(found.target)) == {-1, 0}


def test_jumps_and_bad_variances_are_refused():
    with pytest.raises(ValueError, match="jumps"):
        norm_stability("step")
    with pytest.raises(ValueError, match="variances must be above 0"):
        basins("tanh", variances=[0.0, 1.0])
    with pytest.raises(ValueError, match="variance must be above 0"):
        norm_map("tanh", [0.0], -1.0)


def test_point_masses_at_kinks_off_the_axis_are_in_the_jacobian():
    # clip(x, -1, 1) scaled to variance 1: the kinks lie where phi is not zero
    phi = normalizing_affine("hardtanh")
    point = next(p for p in norm_stability(phi).points if abs(p.variance.value - 1.0) < 1e-9)
    step, columns = 1e-4, []
    for dm, dv in ((step, 0.0), (0.0, step)):
        up, down = (
            np.concatenate(pair(phi, point.mean.value + s * dm, point.variance.value + s * dv))
            for s in (1.0, -1.0)
        )
        columns.append((up - down) / (2 * step))
    assert np.allclose(np.stack(columns, axis=1), point.jacobian, atol=1e-7)


@pytest.mark.parametrize("nu", [1e-3, 0.7, 30.0])
def test_the_errors_of_the_norm_map_cover_what_mpmath_finds(nu):
    means = [-3.7, -0.4, 0.0, 2.2]
    with mp.workdps(30):
        exact = []
        for mu in means:
            s = mp.sqrt(nu)
            first, second = (
                mp.quad(
                    lambda z, p=p, mu=mu, s=s: mp.tanh(mu + s * z) ** p * mp.npdf(z),
                    [-13, -6, -3, -1, 0, 1, 3, 6, 13],
                )
                for p in (1, 2)
            )
            exact.append((first, second - first**2))
        whole = norm_map("tanh", means, nu)
        for k, (first, second) in enumerate(exact):
            assert abs(whole.mean.value[k] - first) <= whole.mean.error[k] < 1e-12
            assert abs(whole.variance.value[k] - second) <= whole.variance.error[k] < 1e-12
        for m, (first, second) in zip(means, exact, strict=True):
            one = norm_map("tanh", [m], nu)
            assert abs(one.mean.value[0] - first) <= one.mean.error[0] < 1e-12
            assert abs(one.variance.value[0] - second) <= one.variance.error[0] < 1e-12
