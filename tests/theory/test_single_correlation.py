"""c* of single cells and of tables, where 1 - c* is small and where lengths err. Oracle: mpmath."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation
from chione.base import Estimate
from chione.theory import mean_field, phase_diagram
from chione.theory.meanfield import single_correlation as single
from chione.theory.meanfield.single_correlation import single_correlation

LAMBDA = mp.mpf("0.5")  # of hardshrink, which is x beyond it and 0 within


def tail(x):
    return mp.erfc(x / mp.sqrt(2)) / 2


def pair_density(sign, q, gap):
    """Density of two Gaussians at (lambda, sign * lambda), correlation 1 - gap."""
    form = 2 * LAMBDA**2 / (q * (2 - gap if sign > 0 else gap))
    return mp.exp(-form / 2) / (2 * mp.pi * q * mp.sqrt(gap * (2 - gap)))


def shrink_slopes(q, gap):
    """E phi' phi' of hardshrink with its point masses, from bivariate normal integrals."""
    root = mp.sqrt(gap)
    moved = mp.quad(
        lambda x: 4 * x * q * (pair_density(1, q, x * x) - pair_density(-1, q, x * x)), [0, root]
    )
    both = 2 * tail(LAMBDA / mp.sqrt(q)) - moved  # both beyond lambda
    spread = mp.sqrt(q * gap * (2 - gap))
    beyond = tail(LAMBDA * gap / spread) + tail(LAMBDA * (2 - gap) / spread)
    density = mp.npdf(LAMBDA, 0, mp.sqrt(q))
    masses = 2 * (pair_density(1, q, gap) + pair_density(-1, q, gap))
    return both + 4 * LAMBDA * density * beyond + LAMBDA**2 * masses


def shrink_fixed_point(sigma_w, sigma_b, q, gap):
    """q* and 1 - c* from first guesses."""
    w2, b2 = mp.mpf(sigma_w) ** 2, mp.mpf(sigma_b) ** 2

    def square(q):
        a = LAMBDA / mp.sqrt(q)
        return 2 * q * (a * mp.npdf(a) + tail(a))

    def average(gap):
        x = mp.sqrt(gap)
        inner = mp.quad(lambda t: 2 * t * shrink_slopes(q, t * t), [0, x / 8, x / 2, x])
        return inner / gap

    q = mp.findroot(lambda q: w2 * square(q) + b2 - q, mp.mpf(q))
    guess = mp.mpf(gap)
    near = (guess, guess * (1 + mp.mpf("1e-6")))
    return q, mp.findroot(lambda g: w2 * average(g) - 1, near, solver="secant", tol=1e-22)


@mp.workdps(30)
@pytest.mark.slow
@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(0.147, 0.177), (3.806, 0.1)])
def test_a_jump_far_out_leaves_a_small_distance_that_is_right_to_its_error(sigma_w, sigma_b):
    # A is as small as the density at the jump, which an error of q changes many times over
    m = mean_field("hardshrink", sigma_w=sigma_w, sigma_b=sigma_b)
    found = m.one_minus_c_star
    q, gap = shrink_fixed_point(sigma_w, sigma_b, m.q_star.value, found.value)
    assert abs(m.q_star.value - q) <= m.q_star.error
    assert abs(found.value - gap) <= found.error <= 1e-12 * gap
    d = phase_diagram("hardshrink", sigma_w=sigma_w * np.array([0.99, 1.0, 1.01]), sigma_b=sigma_b)
    error = d.errors["one_minus_c_star"][0, 1]
    assert abs(d.one_minus_c_star[0, 1] - gap) <= error <= 1e-11 * gap


@mp.workdps(30)
@pytest.mark.parametrize("q", [0.3, 2.0, 30.0])
def test_an_error_of_the_length_is_carried_into_the_distance(q):
    # erf: w2 (2/pi) [asin(a) - asin(a c)] = q (1 - c) with a = 2q / (1 + 2q); a wrong q moves c*
    def gap_at(q, w2):
        a = 2 * q / (1 + 2 * q)
        f = lambda g: w2 * 2 / mp.pi * (mp.asin(a) - mp.asin(a * (1 - g))) / (q * g) - 1  # noqa: E731
        return mp.findroot(f, (mp.mpf("1e-6"), mp.mpf(1)), solver="anderson", tol=1e-25)

    w2 = 1.02 * np.pi / 4.0 * np.sqrt(1.0 + 4.0 * q)  # chi_perp = 1.02
    off = 1e-7 * q
    found = single_correlation(activation("erf"), q, off, w2, Estimate(1.02, 1e-15))
    for true in (gap_at(mp.mpf(q - off), mp.mpf(w2)), gap_at(mp.mpf(q + off), mp.mpf(w2))):
        moved = abs(found.gap - true)
        assert moved <= found.error <= 30.0 * moved


@mp.workdps(40)
@pytest.mark.parametrize("excess", [1e-2, 1e-5, 1e-8])
def test_next_to_criticality_the_distance_of_erf_is_right_to_its_error(excess):
    q = mp.mpf(0.7)
    w2 = float((1 + mp.mpf(excess)) * mp.pi / 4 * mp.sqrt(1 + 4 * q))
    chi = mp.mpf(w2) * 4 / mp.pi / mp.sqrt(1 + 4 * q)
    a = 2 * q / (1 + 2 * q)

    def f(g):
        return mp.mpf(w2) * 2 / mp.pi * (mp.asin(a) - mp.asin(a * (1 - g))) / (q * g) - 1

    # C''(1) = w2 q E phi''^2 sets the size: 2 (chi - 1) / C''
    first = 2 * (chi - 1) / (w2 * q * 16 / mp.pi / (1 + 4 * q) ** mp.mpf("1.5"))
    true = mp.findroot(f, (first * mp.mpf("0.9"), first), solver="secant", tol=1e-60)
    found = single_correlation(activation("erf"), 0.7, 0.0, w2, Estimate(float(chi), 4e-16))
    assert abs(found.gap - true) <= found.error <= 1e-12 / excess * true


@pytest.mark.parametrize("name", ["tanh", "hardtanh", "relu6", "x/(1+abs(x))", "sigmoid", "cos"])
def test_a_cell_takes_few_values_of_the_kernel(name, monkeypatch):
    asked = []
    plain = single.kernel_drop

    def counted(*args):
        asked.append(args)
        return plain(*args)

    monkeypatch.setattr(single, "kernel_drop", counted)
    m = mean_field(name, sigma_w=13.0, sigma_b=0.1)
    assert m.phase == "chaotic"
    assert len(asked) <= 10
