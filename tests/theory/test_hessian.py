"""The Hessian model against sampled matrices, closed forms and roots."""

import numpy as np
import pytest
from scipy.integrate import quad

from chione.freeprob import Semicircle, free_sum, marchenko_pastur
from chione.simulation.hessian import sample_model_hessian
from chione.theory.spectra.hessian import (
    HessianSpectrum,
    critical_amplitude,
    critical_energy,
    hessian_spectrum,
)

CASES = [(0.25, 0.3), (0.5, 0.02), (0.9, 1e-3), (1.0, 0.1), (2.0, 0.5), (2.0, 1e-3)]


@pytest.mark.parametrize(("ratio", "energy"), CASES)
def test_density_meets_the_free_sum_of_its_parts(ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy)
    other = free_sum(marchenko_pastur(ratio), Semicircle(2 * energy))
    x = np.concatenate([np.linspace(a, b, 7)[1:-1] for a, b in s.support])
    found = s.density(x)
    assert np.allclose(found.value, other.density(x).value, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("ratio", "energy"), CASES)
def test_mass_and_moments(ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy)
    total = np.zeros(4)
    nodes, weights = np.polynomial.legendre.leggauss(300)
    for a, b in s.support:
        u = np.pi / 4 * (nodes + 1)
        x = a + (b - a) * np.sin(u) ** 2
        f = s.density(x).value * (b - a) * np.sin(2 * u) * np.pi / 4 * weights
        total += [np.sum(f * x**k) for k in range(4)]
    assert np.allclose(total, [1.0, *s.moments(3)], rtol=1e-8)


@pytest.mark.parametrize(("ratio", "energy"), CASES)
def test_distribution_function_is_the_integral_of_the_density(ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy)
    a, b = s.support[-1]
    x0, x1 = a + 0.2 * (b - a), a + 0.7 * (b - a)
    area = quad(lambda x: float(s.density(x).value), x0, x1, epsabs=1e-12)[0]
    assert abs(s.cdf(x1).value - s.cdf(x0).value - area) < 1e-10
    assert s.cdf(b + 1).value == 1.0
    assert s.cdf(s.edges[0] - 1).value == 0.0


@pytest.mark.parametrize(("ratio", "energy"), [(0.25, 0.3), (2.0, 1e-3)])
def test_sampled_matrices_follow_the_law(ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy)
    ev = sample_model_hessian(ratio=ratio, energy=energy, size=600, seed=5)
    x = np.linspace(ev[0], ev[-1], 200)
    distance = np.max(abs(np.searchsorted(ev, x) / ev.size - s.cdf(x).value))
    assert distance < 3.0 / ev.size**0.9  # rigid: far below the 1 / sqrt(n) of independent draws
    assert abs(np.mean(ev < 0) - s.negative_fraction.value) < 3.0 / ev.size


@pytest.mark.parametrize("ratio", [1e-3, 0.1, 0.5, 0.9, 0.999])
def test_critical_energy_is_where_the_lower_edge_touches_zero(ratio):
    closed = critical_energy(ratio)
    printed = (1 - 20 * ratio - 8 * ratio**2 + (1 + 8 * ratio) ** 1.5) / 16
    assert np.isclose(closed.value, printed, atol=1e-14)
    assert np.isclose(closed.value, critical_energy(ratio, method="root").value, rtol=1e-10)
    assert HessianSpectrum(ratio, closed.value * 0.999).negative_fraction.value == 0.0
    assert HessianSpectrum(ratio, closed.value * 1.001).negative_fraction.value > 0.0


def test_beyond_ratio_one_any_energy_makes_negative_eigenvalues():
    assert np.all(critical_energy(np.array([1.0, 3.0])).value == 0.0)
    assert hessian_spectrum(ratio=1.5, energy=1e-6).negative_fraction.value > 0.1


@pytest.mark.parametrize("ratio", [0.1, 0.6])
def test_negative_share_grows_with_the_power_three_halves(ratio):
    e = critical_energy(ratio).value
    amplitude = critical_amplitude(ratio).value
    for d, tolerance in ((1e-2, 2e-2), (1e-3, 2e-3)):
        share = HessianSpectrum(ratio, e * (1 + d)).negative_fraction.value
        assert abs(share / (amplitude * d**1.5) - 1) < tolerance


def test_at_energy_zero_it_is_the_law_of_marchenko_and_pastur():
    s = hessian_spectrum(ratio=2.5, energy=0.0)
    assert np.allclose(s.atoms, [(0.0, 0.6)])
    x = np.array([0.5, 2.0, 5.0])
    assert np.allclose(s.density(x).value, marchenko_pastur(2.5).density(x).value, rtol=1e-12)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="ratio must be above 0"):
        hessian_spectrum(ratio=0.0, energy=1.0)
    with pytest.raises(ValueError, match="energy must be 0 or above"):
        hessian_spectrum(ratio=1.0, energy=-1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        critical_amplitude(1.5)
