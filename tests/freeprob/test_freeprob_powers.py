"""Free powers and compression against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from chione.base import SpecError
from chione.freeprob import Arcsine, FreePoisson, PointMasses, Semicircle
from chione.freeprob.convolution import (
    FreeCompression,
    FreeMultiplicativePower,
    FreePower,
    FreeProduct,
    FreeSum,
)
from chione.freeprob.dilation import dilated

COIN = PointMasses((-1.0, 1.0), (0.5, 0.5))
BIT = PointMasses((0.0, 1.0), (0.5, 0.5))


@pytest.mark.parametrize("t", [1.0, 1.25, 2.0, 3.7, 50.0])
def test_power_of_a_coin_is_the_law_of_kesten_at_real_degree(t):
    law = FreePower(COIN, t)
    x = 2.0 * np.sqrt(max(t - 1.0, 0.01)) * np.array([-0.99, -0.3, 0.0, 0.6])
    root = np.sqrt(np.maximum(4.0 * (t - 1.0) - x * x, 0.0))
    assert np.allclose(law.density(x), t * root / (2 * np.pi * (t * t - x * x)), rtol=1e-10)
    # atoms at +-t of mass t/2 - (t - 1) while that is positive
    mass = t / 2.0 - (t - 1.0)
    assert np.allclose(law.atoms, [(-t, mass), (t, mass)] if mass > 0.0 else [])


def test_whole_powers_are_repeated_sums_and_products():
    x = np.linspace(0.05, 4.0, 7)
    law = PointMasses((0.2, 1.0, 1.5), (0.3, 0.3, 0.4))
    assert np.array_equal(FreePower(law, 3.0).density(x), FreeSum((law,) * 3).density(x))
    power = FreeMultiplicativePower(law, 3.0)
    assert np.array_equal(power.density(x), FreeProduct((law,) * 3).density(x))


def test_powers_of_powers_multiply_and_are_opened_in_sums():
    law = FreePower(FreePower(COIN, 1.5), 2.0)
    x = np.linspace(-2.0, 2.0, 5)
    assert np.allclose(law.density(x), FreePower(COIN, 3.0).density(x), rtol=1e-13)
    total = FreeSum((FreePower(COIN, 1.5), COIN))
    assert total.system.laws == (COIN,)
    assert total.system.times == (2.5,)


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0, 7.5])
def test_divisible_laws_have_every_power_in_closed_form(t):
    assert FreePower(Semicircle(2.0, 0.5), t).answer == Semicircle(2.0 * t, 0.5 * t)
    assert FreePower(FreePoisson(0.8, 2.0), t).answer == FreePoisson(0.8 * t, 2.0)
    moved = FreePower(dilated(FreePoisson(0.8, 1.0), -2.0, 3.0), t).answer
    assert moved == dilated(FreePoisson(0.8 * t, 1.0), -2.0, 3.0 * t)
    assert FreePower(PointMasses((3.0,), (1.0,)), t).atoms == ((3.0 * t, 1.0),)


def test_multiplicative_powers_of_constants_and_projections():
    assert np.allclose(
        FreeMultiplicativePower(PointMasses((9.0,), (1.0,)), 0.5).atoms, [(3.0, 1.0)]
    )
    # S of a projection of trace p is (1 + x)/(p + x): at power t, z = (1 + x)/x ((p + x)/(1 + x))^t
    t, p = 1.5, 0.8
    law = FreeMultiplicativePower(PointMasses((0.0, 1.0), (1.0 - p, p)), t)
    z = np.array([0.3 + 0.2j, 0.7 + 1e-4j, 2.0 + 0.1j])
    x = z * law.stieltjes(z) - 1.0
    assert np.allclose((1 + x) / x * ((p + x) / (1 + x)) ** t, z, rtol=1e-12)
    assert np.allclose(law.atoms, [(0.0, 1.0 - p), (1.0, t * p - (t - 1.0))])


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.8, 1.0])
def test_compression_of_a_projection_has_the_law_of_jacobi(alpha):
    # blocks of a random projection of trace p: beta matrices
    p = 0.5
    law = FreeCompression(PointMasses((0.0, 1.0), (1.0 - p, p)), alpha)
    if alpha < 1.0:
        a, b = (np.sqrt(alpha * (1 - p)) + s * np.sqrt(p * (1 - alpha)) for s in (-1.0, 1.0))
        low, high = a**2, b**2
        x = low + (high - low) * np.array([0.01, 0.4, 0.9])
        exact = np.sqrt((x - low) * (high - x)) / (2 * np.pi * alpha * x * (1 - x))
        assert np.allclose(law.density(x), exact, rtol=1e-11)
    mass = max((1.0 - p - (1.0 - alpha)) / alpha, 0.0)
    assert np.allclose(law.atoms, [(0.0, mass), (1.0, mass)] if mass > 0.0 else [])


def test_compression_of_semicircle_and_free_poisson_shrinks_them():
    assert FreeCompression(Semicircle(2.0), 0.25).answer == Semicircle(0.5)
    half = FreeCompression(FreePoisson(0.6, 2.0), 0.5)
    assert half.answer == FreePoisson(1.2, 1.0)
    kappa = FreeCompression(COIN, 0.4).free_cumulants(6)
    assert np.allclose(kappa, COIN.free_cumulants(6) * 0.4 ** np.arange(6.0), atol=1e-14)


def test_compression_meets_the_corner_of_a_random_matrix():
    rng = np.random.default_rng(5)
    n, alpha = 600, 0.4
    a = np.repeat([0.0, 1.0, 3.0], n // 3)
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    q = q * np.sign(np.diag(r))
    k = int(alpha * n)
    x = np.linalg.eigvalsh(((q * a) @ q.T)[:k, :k])
    law = FreeCompression(PointMasses((0.0, 1.0, 3.0), (1 / 3, 1 / 3, 1 - 2 / 3)), alpha)
    rank = (np.arange(k) + 0.5) / k
    assert np.max(abs(law.cdf(np.sort(x)) - rank)) < 0.01


def test_powers_that_do_not_exist_are_refused_in_one_sentence():
    with pytest.raises(SpecError, match=r"t >= 1, but t is 0\.5"):
        FreePower(COIN, 0.5)
    with pytest.raises(SpecError, match=r"t >= 1, but t is 0\.5"):
        FreeMultiplicativePower(BIT, 0.5)
    with pytest.raises(SpecError, match=r"at most 1, but it is 1\.5"):
        FreeCompression(Arcsine(1.0), 1.5)
    with pytest.raises(ValueError, match=r"needs measures on \[0, inf\)"):
        FreeMultiplicativePower(COIN, 2.0)
    with pytest.raises(ValueError, match="point mass at 0"):
        FreeProduct((BIT, PointMasses((0.0,), (1.0,))))
    with pytest.raises(ValueError, match="at least one measure"):
        FreeSum(())
    with pytest.raises(ValueError, match="one multiplicity of at least 1"):
        FreeSum((COIN, BIT), (1.0, 0.5))
