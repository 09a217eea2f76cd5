"""Edges of the model Hessian's law against the roots of its quartic at 60 digits."""

import mpmath as mp
import numpy as np
import pytest

from chione.theory.spectra.hessian import critical_energy, hessian_spectrum


def edges_at_60_digits(ratio: float, energy: float) -> list:
    """z at the real roots of phi g^2 + 2 eps g^2 (1 - phi g)^2 = (1 - phi g)^2."""
    with mp.workdps(60):
        p, e = mp.mpf(ratio), mp.mpf(energy)
        coefficients = [2 * e * p * p, -4 * e * p, p + 2 * e - p * p, 2 * p, -1]
        roots = mp.polyroots(coefficients, maxsteps=400, extraprec=400)
        real = [g.real for g in roots if abs(g.imag) < mp.mpf(10) ** -30 * max(1, abs(g))]
        return sorted(1 / g + 1 / (1 - p * g) + 2 * e * g for g in real)


RANDOM = np.random.default_rng(5)
POINTS = [
    *zip(10.0 ** RANDOM.uniform(-8, 4, 60), 10.0 ** RANDOM.uniform(-16, 12, 60), strict=True),
    (1e-8, 1e4),  # two intervals were found where there is one
    (0.5, 1e12),
    (4.0, 1e-30),
    (8.0, 3.999999),  # the gap closes at 2 eps = phi (phi^(1/3) - 1)^3 = 8
    (8.0, 4.000001),
    (1.0, 1e-20),
]


@pytest.mark.parametrize(("ratio", "energy"), POINTS)
def test_edges_are_those_of_the_quartic(ratio, energy):
    found = [x for interval in hessian_spectrum(ratio=ratio, energy=energy).support
             for x in interval]  # fmt: skip
    exact = edges_at_60_digits(ratio, energy)
    assert len(found) == len(exact)
    size = max(abs(float(z)) for z in exact)
    assert max(abs(float(z - x)) for z, x in zip(exact, found, strict=True)) < 1e-13 * size


@pytest.mark.parametrize(
    ("ratio", "energy"),
    [(0.5, 1e-308), (0.5, 1e308), (5e-324, 0.5), (1e308, 0.5), (1e308, 0.0), (0.5, 5e-324)],
)
def test_what_double_precision_cannot_tell_is_refused_with_the_range(ratio, energy):
    with pytest.raises(ValueError, match=r"must be (0 or )?between 1e-\d+ and 1"):
        hessian_spectrum(ratio=ratio, energy=energy)


def test_the_critical_energy_is_zero_for_huge_ratios_without_a_warning():
    assert np.all(critical_energy([1.0, 2.0, 1e308]).value == 0.0)
