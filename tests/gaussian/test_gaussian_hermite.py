"""Hermite coefficients against closed forms; theorems of addition and multiplication."""

import math

import flint_oracle as oracle
import numpy as np
import pytest
from flint import arb, ctx

from chione.activations import catalogue
from chione.base import Status
from chione.gaussian import bivariate, expectation, hermite_expansion


def _expand(name, q, n):
    phi = catalogue()[name]
    return hermite_expansion(phi.value, q, n, breakpoints=phi.kinks)


@pytest.mark.parametrize("q", [1e-6, 0.5, 9.0])
def test_exponential_has_the_coefficients_of_its_generating_function(q):
    e = hermite_expansion(np.exp, q, 20)
    exact = np.array(
        [math.exp(q / 2) * q ** (k / 2) / math.sqrt(math.factorial(k)) for k in range(20)]
    )
    assert np.all(np.abs(e.coefficients - exact) <= e.error + 4e-16 * exact)
    assert np.all(np.abs(e.coefficients - exact) <= 1e-12 * math.exp(q))


@pytest.mark.parametrize("q", [1e-8, 1.0, 1e8])
def test_sign_has_its_known_coefficients(q):
    e = _expand("sign", q, 60)
    exact = np.zeros(60)
    for k in range(1, 60, 2):  # 2 he_{k-1}(0) / sqrt(2 pi k)
        m = (k - 1) // 2
        at_zero = (-1) ** m * math.sqrt(math.factorial(2 * m)) / (2**m * math.factorial(m))
        exact[k] = 2.0 * at_zero / math.sqrt(2.0 * math.pi * k)
    assert np.all(np.abs(e.coefficients - exact) <= e.error + 2e-16 * np.abs(exact))
    assert np.all(np.abs(e.coefficients - exact) <= 1e-12)
    assert abs(e.tail.value - (1.0 - exact @ exact)) <= e.tail.error + 1e-15


@pytest.mark.parametrize("name", ["tanh", "gelu", "hardtanh", "selu"])
@pytest.mark.parametrize("q", [1e-4, 1.3, 300.0])
@pytest.mark.sampled(5)
def test_coefficients_against_ball_arithmetic(name, q):
    e = _expand(name, q, 41)
    before, ctx.prec = ctx.prec, oracle.PRECISION
    try:
        for k in (0, 1, 2, 5, 13, 40):
            he = _he(k, q)
            base = oracle.CATALOGUE[name]
            product = oracle.Piecewise(
                base.knots,
                tuple(lambda z, an, p=p, he=he: p(z, an) * he(z) for p in base.pieces),
                (),
            )
            distance = float(abs(arb(e.coefficients[k]) - oracle.expectation(product, q)))
            assert distance <= e.error[k] + 1e-60
            assert distance <= 1e-12 * math.sqrt(float(e.coefficients @ e.coefficients))
    finally:
        ctx.prec = before


def _he(k, q):
    def he(z):
        t = z / arb(q).sqrt()
        a, b = t * 0 + 1, t
        for j in range(1, k):
            a, b = b, t * b - j * a
        return (a if k == 0 else b) / arb(math.factorial(k)).sqrt()

    return he


@pytest.mark.parametrize("c", [-0.8, 0.0, 0.4, 0.7])
@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
def test_series_of_the_kernel_is_the_kernel(name, c):
    phi = catalogue()[name]
    series = _expand(name, 1.5, 60).kernel(c)
    nested = bivariate(
        phi.value, phi.value, 1.5, 1.5, c, breakpoints_f=phi.kinks, breakpoints_g=phi.kinks
    )
    assert abs(series.value - nested.value) <= series.error + nested.error


def test_derivative_lowers_the_degree():
    e, d = _expand("tanh", 0.8, 30), catalogue()["tanh"].derivative
    direct = hermite_expansion(d, 0.8, 29)
    lowered = e.derivative()
    assert np.all(
        np.abs(lowered.coefficients - direct.coefficients) <= lowered.error + direct.error
    )
    assert lowered.tail.status == Status.NOT_COMPUTED


@pytest.mark.parametrize("mu", [-0.7, 0.0, 1.3])
def test_addition_theorem(mu):
    e = hermite_expansion(lambda x: x**5 - 2.0 * x**2, 0.7, 8)
    direct = hermite_expansion(
        lambda x: (x + mu * 0.7**0.5) ** 5 - 2.0 * (x + mu * 0.7**0.5) ** 2, 0.7, 8
    )
    moved = e.shift(mu)
    assert np.allclose(moved.coefficients, direct.coefficients, rtol=0.0, atol=2e-13)
    assert np.all(np.abs(moved.coefficients - direct.coefficients) <= moved.error + direct.error)


@pytest.mark.parametrize("gamma", [0.5, 1.0, -1.4])
def test_multiplication_theorem(gamma):
    e = hermite_expansion(lambda x: x**5 - 2.0 * x**2, 0.7, 8)
    direct = hermite_expansion(lambda x: (gamma * x) ** 5 - 2.0 * (gamma * x) ** 2, 0.7, 8)
    scaled = e.rescale(gamma)
    assert np.allclose(scaled.coefficients, direct.coefficients, rtol=0.0, atol=2e-13)
    assert np.all(np.abs(scaled.coefficients - direct.coefficients) <= scaled.error + direct.error)


def test_the_series_evaluates_to_the_function():
    e = _expand("tanh", 0.1, 60)
    z = np.linspace(-2.0, 2.0, 9)
    assert np.allclose(e(z), np.tanh(np.sqrt(0.1) * z), rtol=0.0, atol=1e-7)


def test_tail_decays_at_the_rate_of_the_kink():
    tails = [_expand("relu", 1.0, n).tail.value for n in (50, 200)]
    assert tails[0] / tails[1] == pytest.approx(4.0**1.5, rel=0.05)
    assert expectation(np.abs, 1.0, breakpoints=(0.0,)).ok
