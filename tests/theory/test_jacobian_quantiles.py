"""Quantiles of Jacobian spectra: closed forms, round trips, atoms, gaps, narrow bulks, tails."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("name", ["silu", "softplus", "gelu", "tanh", "erf"])
@pytest.mark.parametrize(("depth", "q"), [(50, 1e-8), (2, 1e-4), (1000, 1e-12)])
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
    assert np.all(quantile.status == Status.OK)
    assert np.all(np.diff(quantile.value) > 0.0)


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
