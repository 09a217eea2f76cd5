"""Quantiles of Jacobian spectra: closed forms, round trips, atoms, gaps, narrow bulks, tails."""

import numpy as np
import pytest
from scipy.special import ndtri

from chione import Status, jacobian_spectrum

P = np.array([1e-6, 1e-3, 0.1, 0.25, 0.5, 0.7, 0.9, 0.999, 1.0 - 1e-6])


def test_one_converged_quantile_does_not_stop_the_others():
    s = jacobian_spectrum("erf_scaled", depth=16, q_star=0.1, weights="orthogonal")
    together = s.log_quantile(P)
    assert np.all(together.status == Status.OK)
    for p, x, error in zip(P, together.value, together.error, strict=True):
        alone = s.log_quantile(p)
        assert abs(alone.value - x) <= alone.error + error
        v = s.solver.values(np.array([x]))
        assert abs(v.cdf[0] - p) <= 1e-13 + v.cdf_error[0]


def test_quantiles_of_the_arcsine_law_are_right_within_their_error():
    # Two orthogonal relu layers: half the mass at 0, half arcsine on (0, 4).
    s = jacobian_spectrum("relu", depth=2, q_star=1.0, weights="orthogonal")
    p = np.array([0.5 + 1e-9, 0.50001, 0.6, 0.75, 0.9, 0.999999, 1.0 - 1e-12])
    exact = 4.0 * np.sin(np.pi * (p - 0.5)) ** 2
    q = s.log_quantile(p)
    assert np.all(abs(q.value - np.log(exact)) <= q.error + 4e-16 / (p - 0.5))
    assert np.all(q.error[2:5] < 1e-12)


def test_p_at_atoms_and_ends_has_the_atom_and_the_ends():
    s = jacobian_spectrum("hardtanh", depth=3, q_star=1.0, weights="orthogonal")
    (_, zero), (place, mass) = s.solver.atoms
    top = s.log_support[-1][1]
    q = s.log_quantile([0.0, 0.5 * zero, zero, 1.0 - 0.5 * mass, 1.0]).value
    assert np.all(np.isneginf(q[:3])) and np.all(q[3:] == place)
    # The level of the gap between the band and the atom: its lower end, on both sides of rounding.
    level = 1.0 - mass
    for p in (level, np.nextafter(level, 0.0), np.nextafter(level, 1.0)):
        q = s.log_quantile(p)
        assert q.status == Status.OK and abs(q.value - top) <= q.error + 1e-9


@pytest.mark.parametrize(
    ("name", "depth", "q"),
    [
        *(("silu", 50, 1e-8), ("softplus", 2, 1e-4), ("tanh", 1000, 1e-12), ("erf", 2, 1e-4)),
        *(
            pytest.param(name, *case, marks=pytest.mark.slow)
            for case in ((50, 1e-8), (2, 1e-4), (1000, 1e-12))
            for name in ("silu", "softplus", "tanh", "erf")
        ),
    ],
)
def test_a_narrow_bulk_is_resolved(name, depth, q):
    s = jacobian_spectrum(name, depth=depth, q_star=q, weights="orthogonal")
    c = s.curve(400)
    assert np.all(np.diff(c.log_lambda) > 0.0) and np.all(np.diff(c.cdf) >= 0.0)
    x, mass = 0.5 * (c.log_lambda[1:] + c.log_lambda[:-1]), np.diff(c.cdf)
    assert mass.sum() == pytest.approx(1.0, abs=1e-3)
    # The curve has the exact mean and variance of lambda.
    excess = np.expm1(x)
    noise = 5e-3 * np.sqrt(s.variance) + float(c.density_error.max()) * 1e-3
    assert abs(np.sum(mass * excess)) <= noise
    assert np.sum(mass * excess**2) == pytest.approx(s.variance, rel=4e-2)
    quantile = s.log_quantile(P)
    known = quantile.status == Status.OK
    # the millionth may drown in the rounding of this processor, and then says so
    assert np.all(known[P >= 1e-3]) and np.all(np.isnan(quantile.value[~known]))
    assert np.all(np.diff(quantile.value[known]) > 0.0)


def test_a_narrow_bulk_of_many_layers_is_a_semicircle_in_log_lambda():
    s = jacobian_spectrum("silu", depth=1000, q_star=1e-8, weights="orthogonal")
    t, weight = s.law.nodes
    log_t = np.log(t)
    mean = float(weight @ log_t)
    deviation = np.sqrt(1000 * float(weight @ (log_t - mean) ** 2))
    y = np.array([-0.9, -0.5, 0.0, 0.3, 0.8])  # of the radius, two deviations
    p = 0.5 + (y * np.sqrt(1.0 - y * y) + np.arcsin(y)) / np.pi
    middle = s.log_quantile(0.5).value
    got = (s.log_quantile(p).value - middle) / (2.0 * deviation)
    assert np.allclose(got, y, atol=5e-4)  # the fourth cumulant is of the relative size 1/L


@pytest.mark.parametrize(
    ("depth", "weights"), [(1, "gaussian"), (3, "gaussian"), (3, "orthogonal")]
)
def test_far_tails_are_followed_in_log_lambda_beyond_the_range_of_the_derivative(depth, weights):
    # gelu at q = 1000: phi' ~ |h| exp(-h^2 / 2) for h < 0, below 1e-300 for a tenth of the units.
    # With t spread over thousands of logarithms all kernels of free probability are steps in log t.
    s = jacobian_spectrum("gelu", depth=depth, q_star=1e3, weights=weights)
    p = np.array([1e-3, 0.01, 0.05, 0.1, 0.2, 0.3])
    h = np.sqrt(1e3) * ndtri(p)
    mills = (1.0 - 1.0 / h**2 + 3.0 / h**4) / abs(h)  # Phi(h) over the density at h
    log_v = -0.5 * h * h - 0.5 * np.log(2.0 * np.pi) + np.log(abs(h) - mills)
    log_p = np.log(p) if weights == "gaussian" else -(depth - 1) * np.log(p)
    log_t = 2.0 * (log_v + np.log(s.sigma_w))
    exact = depth * log_t + (depth - 1) * np.log1p(-p) + log_p
    got = s.log_quantile(p)
    assert np.all(got.status == Status.OK)
    assert np.all(abs(got.value - exact) <= got.error)
    assert np.all(got.error <= 1e-3 * abs(exact))
    assert np.all(s.quantile(p[:3]).value == 0.0)
    # The curve and the samples hold the tail, too.
    assert s.curve().cdf[0] < 2e-3
    x = s.sample_log(4000, seed=2)
    assert np.mean(x < exact[3]) == pytest.approx(0.1, abs=0.02)


def test_a_tail_that_is_a_power_goes_on_as_one():
    # tanhshrink: t = tanh(h)^4 ~ h^4, so that cdf ~ lambda^(1/13) at L = 4 with orthogonal weights:
    # S_t ~ x^-3 at x = -1 + ..., and z ~ w^4 P^-3 with P ~ w^(1/4).
    s = jacobian_spectrum("tanhshrink", depth=4, q_star=0.3, weights="orthogonal")
    p = np.array([1e-12, 1e-9, 1e-6])
    x = s.log_quantile(p)
    assert np.all(x.status == Status.OK)
    assert np.allclose(np.diff(x.value), 13.0 * np.log(1e3), rtol=1e-4)


def test_quantiles_rise_with_p_over_activations_and_depths():
    p = np.linspace(0.02, 0.98, 25)
    for name in ("erf", "tanh", "relu", "gelu", "hardtanh", "leaky_relu(0.1)", "softplus"):
        for depth, q in ((2, 1e-12), (1_000_000, 1e-12), (30, 1.0)):
            for weights in ("gaussian", "orthogonal"):
                s = jacobian_spectrum(name, depth=depth, q_star=q, weights=weights)
                x = s.log_quantile(p)
                assert np.all(x.status == Status.OK)
                finite = np.isfinite(x.value)
                assert np.all(np.diff(x.value[finite]) >= 0.0), (name, depth, q, weights)
                c = s.curve()
                assert np.all(np.diff(c.cdf) >= 0.0) and np.all(np.diff(c.log_lambda) > 0.0)


def test_bands_are_ordered_and_disjoint():
    for name in ("tanhshrink", "tanh", "erf", "leaky_relu(0.1)", "hardtanh", "gelu", "elu"):
        for depth, q in ((1, 30.0), (2, 1e-4), (50, 30.0), (1000, 1e-8)):
            for weights in ("gaussian", "orthogonal"):
                s = jacobian_spectrum(name, depth=depth, q_star=q, weights=weights)
                ends = [x for band in s.log_support for x in band]
                assert np.all(np.diff(ends) >= 0.0), (name, depth, q, weights)
                assert all(b > a for a, b in s.log_support)
