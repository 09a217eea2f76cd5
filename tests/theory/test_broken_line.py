"""Slope kernels of broken lines: against Gaussian integrals in 20 digits, which condition on one
input, and against quadrature in two dimensions.
"""

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation
from chione.theory.moments.broken_line import BrokenLine, is_broken_line
from chione.theory.moments.compiled_kernel import kernel_map
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import slope_at, slope_quadrature

NAMES = ("hardtanh", "relu6", "softshrink", "hardsigmoid", "shifted_relu", "prelu")


def by_conditioning(phi, q, theta):
    """E phi'(u1) E[phi'(u2) | u1], the inner mean being a sum of error functions."""
    kinks = [mp.mpf(k) / mp.sqrt(q) for k in phi.kinks]
    places = [phi.kinks[0] - 1, *(0.5 * np.array(phi.kinks[1:]) + 0.5 * np.array(phi.kinks[:-1]))]
    slopes = [mp.mpf(float(s)) for s in phi.derivative(np.array([*places, phi.kinks[-1] + 1]))]
    with mp.workdps(20):
        c, s = mp.cos(mp.mpf(theta)), mp.sin(mp.mpf(theta))

        def inner(x):
            ends = [mp.mpf(0), *(mp.ncdf((k - c * x) / s) for k in kinks), mp.mpf(1)]
            return sum(p * (b - a) for p, a, b in zip(slopes, ends, ends[1:], strict=False))

        ends = [-mp.mpf(12), *kinks, mp.mpf(12)]
        total = mp.mpf(0)
        for slope, a, b in zip(slopes, ends, ends[1:], strict=False):
            bends = sorted(x for k in kinks for x in _around(k / c, s) if a < x < b)
            total += slope * mp.quad(lambda x: mp.npdf(x) * inner(x), [a, *bends, b])
        return total


def _around(place, width):
    return [place + n * width for n in (-8, -4, -2, 0, 2, 4, 8)]


@pytest.mark.parametrize(
    ("name", "q"), list(zip(NAMES, (1e4, 1e4, 0.03, 40.0, 3.0, 1.0), strict=True))
)
def test_the_kernel_is_that_of_conditioning_on_one_input(name, q):
    phi = activation(name)
    line, top = BrokenLine(phi, q), float(moments(phi).derivative_square(q).value)
    angles = np.array([0.02, 0.9, 3.11])
    found = line.slope(angles)
    for theta, value in zip(angles, found, strict=True):
        assert abs(value - float(by_conditioning(phi, q, theta))) <= line.error + 2e-16 * top
    assert line.error <= 1e-14 * top


@pytest.mark.parametrize("name", NAMES)
def test_quadrature_agrees_on_both_sides_and_next_to_opposite_inputs(name):
    phi = activation(name)
    for theta in (1e-4, 0.5, 2.0, 3.1415):
        gap, plus = 2.0 * np.sin(0.5 * theta) ** 2, 2.0 * np.cos(0.5 * theta) ** 2
        line = slope_at(phi, 7.0, gap, plus)
        plane = slope_quadrature(phi, 7.0, 7.0, 1.0 - gap, gap, plus)
        assert abs(line.value - plane.value) <= line.error + plane.error
        assert plane.error <= 1e-12


def test_smooth_activations_keep_their_digits_next_to_opposite_inputs():
    phi, plus = activation("tanh"), 1e-9  # for odd phi R is even in c
    here = slope_quadrature(phi, 3.0, 3.0, plus - 1.0, 2.0 - plus, plus)
    mirrored = slope_quadrature(phi, 3.0, 3.0, 1.0 - plus, plus, 2.0 - plus)
    assert abs(here.value - mirrored.value) <= here.error + mirrored.error <= 1e-12


def test_what_bends_or_jumps_is_no_broken_line():
    lines = [name for name in NAMES if is_broken_line(activation(name))]
    assert lines == list(NAMES)
    for name in ("tanh", "elu", "hardswish", "squared_relu", "step", "hardshrink", "linear"):
        assert not is_broken_line(activation(name))


@pytest.mark.parametrize("name", ["hardtanh", "relu6"])
def test_the_map_of_a_layer_holds_at_large_lengths(name):
    phi, q = activation(name), 1e4
    compiled, line = kernel_map(phi, q), BrokenLine(phi, q)
    theta = np.geomspace(1e-5, 3.1, 40)
    top = float(moments(phi).derivative_square(q).value)
    off = np.abs(compiled.slope(theta) - line.slope(theta))
    assert np.all(off <= compiled.error * top + line.error)
    assert compiled.error <= 1e-12
