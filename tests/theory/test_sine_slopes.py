"""Depth scales of sines, whose slopes are below any float64. Oracle: mpmath at 40 digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import chione
from chione.theory import mean_field, phase_diagram
from chione.theory.moments.sine_slopes import as_sine

SINES = [  # spec, a, omega, theta, b
    ("siren(w0=30)", 1.0, 30.0, 0.0, 0.0),
    ("siren(w0=17)", 1.0, 17.0, 0.0, 0.0),
    ("sin(40*x)", 1.0, 40.0, 0.0, 0.0),
    ("0.5*cos(60*x)", 0.5, 60.0, np.pi / 2, 0.0),
    ("sin(35*x+0.3)+0.2", 1.0, 35.0, 0.3, 0.2),
]


def lengths(a, omega, theta, b, w, sb):
    """q*, by iteration from the constant part: the length map is nearly constant."""
    a, omega, theta, b, w, sb = (mp.mpf(x) for x in (a, omega, theta, b, w, sb))

    def square(q):
        p = omega**2 * q
        second = (1 - mp.cos(2 * theta) * mp.exp(-2 * p)) / 2
        return a**2 * second + 2 * a * b * mp.sin(theta) * mp.exp(-p / 2) + b**2

    q = w**2 * (a**2 / 2 + b**2) + sb**2
    for _ in range(60):
        q = w**2 * square(q) + sb**2
    with mp.workdps(4000):  # the derivative of a nearly constant function
        slope = mp.diff(square, q, h=mp.mpf(10) ** -300)
    return q, w**2 * slope


def correlations(a, omega, theta, b, w, sb, q):
    """1 - c* and the slope of the correlation map there."""
    a, omega, theta, b, w, sb = (mp.mpf(x) for x in (a, omega, theta, b, w, sb))

    def image(c):
        p = omega**2 * q
        even = mp.cos(2 * theta) * mp.exp(-p * (1 + c))
        pair = a**2 * (mp.exp(-p * (1 - c)) - even) / 2
        pair += 2 * a * b * mp.sin(theta) * mp.exp(-p / 2) + b**2
        return (w**2 * pair + sb**2) / q

    c = image(mp.mpf(0))
    for _ in range(80):
        c = image(c)
    p = omega**2 * q
    slope = a**2 * omega**2 * w**2 / 2
    slope *= mp.exp(-p * (1 - c)) + mp.cos(2 * theta) * mp.exp(-p * (1 + c))
    return 1 - c, slope


@mp.workdps(60)
@pytest.mark.parametrize(("spec", "a", "omega", "theta", "b"), SINES[:2])
@pytest.mark.parametrize(("w", "sb"), [(2.781, 0.05), (1.1, 0.6)])
def test_depth_scales_of_sines_are_those_of_their_logarithms(spec, a, omega, theta, b, w, sb):
    q, chi = lengths(a, omega, theta, b, w, sb)
    _, slope = correlations(a, omega, theta, b, w, sb, q)
    exact = {"xi_q": -1 / mp.log(abs(chi)), "xi_c": -1 / mp.log(abs(slope))}
    one = mean_field(spec, sigma_w=w, sigma_b=sb, q0=0.1)
    many = phase_diagram(spec, sigma_w=[w], sigma_b=[sb], q0=0.1)
    for name, xi in exact.items():
        e = getattr(one, name)
        assert abs(mp.mpf(e.value) - xi) <= e.error, name
        assert e.error <= 1e-6 * xi, name
        value, error = float(getattr(many, name)[0, 0]), float(many.errors[name][0, 0])
        assert abs(mp.mpf(value) - xi) <= error <= 1e-6 * xi, name


def test_the_siren_of_the_issue_has_its_depth_scale():
    d = phase_diagram("siren(w0=30)", sigma_w=[2.781], sigma_b=[0.05], q0=0.1)
    assert abs(d.xi_c[0, 0] - 2.9e-4) < 5e-6


@pytest.mark.parametrize("spec", ["tanh", "x*sin(x)", "x", "exp(-x*x)", "sin(x)+0.01*x", "relu"])
def test_what_is_no_sine_is_not_taken_for_one(spec):
    assert as_sine(chione.activation(spec)) is None


@mp.workdps(60)
@pytest.mark.parametrize(("spec", "a", "omega", "theta", "b"), SINES)
@pytest.mark.parametrize(("q", "gap"), [(0.01, 0.3), (2.0, 0.999), (7.0, 1e-3)])
def test_the_logarithms_of_the_slopes_of_any_sine(spec, a, omega, theta, b, q, gap):
    sine = as_sine(chione.activation(spec))
    p, t = mp.mpf(omega) ** 2 * mp.mpf(q), 2 * mp.mpf(theta)
    kernel = mp.exp(-p * mp.mpf(gap)) + mp.cos(t) * mp.exp(-p * (2 - mp.mpf(gap)))
    kernel *= (mp.mpf(a) * omega) ** 2 / 2
    slope = mp.mpf(a) ** 2 * mp.cos(t) * mp.exp(-2 * p)
    slope -= mp.mpf(a) * b * mp.sin(theta) * mp.exp(-p / 2)
    at, zero = np.array(q), np.array(0.0)
    logs = sine.log_slope_kernel(at, np.array(gap)), sine.log_length_slope(at)
    errors = (sine.error(at, np.array(x), zero, zero) for x in (gap, 2.0))
    for log, error, exact in zip(logs, errors, (kernel, slope * omega**2), strict=True):
        assert abs(mp.mpf(float(log)) - mp.log(abs(exact))) <= float(error) < 1e-9
