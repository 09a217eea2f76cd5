"""The critical line. Rungs: closed forms, the scalar theory, the diagram."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import brentq

from chione.activations import AbstractActivation, activation
from chione.theory import critical_line, criticality, mean_field, phase_diagram


@dataclass(frozen=True)
class Scaled(AbstractActivation):
    """a * phi(k x) of a smooth phi, exactly."""

    inner: str
    a: float
    k: float

    @property
    def name(self):
        return f"{self.a!r}*{self.inner}({self.k!r}*x)"

    def value(self, z):
        return self.a * activation(self.inner).value(self.k * z)

    def derivative(self, z):
        return self.a * self.k * activation(self.inner).derivative(self.k * z)

    def second_derivative(self, z):
        return self.a * self.k**2 * activation(self.inner).second_derivative(self.k * z)


def test_homogeneous_activations_have_one_critical_point():
    line = critical_line("relu")
    assert line.q.size == 1
    assert abs(line.sigma_w[0] - np.sqrt(2.0)) <= line.error_w[0]
    assert line.sigma_b[0] == 0.0
    assert abs(line.chi_parallel[0] - 1.0) <= line.error_parallel[0]


def test_erf_follows_its_closed_form():
    q = np.geomspace(1e-3, 1e3, 31)
    line = critical_line("erf", q=q)
    w2 = np.pi / 4 * np.sqrt(1 + 4 * q)
    b2 = q - w2 * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q))
    assert np.all(np.abs(line.sigma_w - np.sqrt(w2)) <= line.error_w)
    np.testing.assert_allclose(line.sigma_b**2, b2, rtol=1e-13, atol=1e-15)
    # d/dq of (2 / pi) asin(2 q / (1 + 2 q))
    slope = 4 / np.pi / ((1 + 2 * q) * np.sqrt(1 + 4 * q))
    np.testing.assert_allclose(line.chi_parallel, w2 * slope, rtol=1e-13)


@pytest.mark.parametrize("name", ["tanh", "gelu", "hardtanh", "sigmoid", "cos", "elu"])
def test_points_of_the_line_are_critical(name):
    line = critical_line(name, q=[0.3, 2.0, 60.0])
    for w, b, q, chi in zip(line.sigma_w, line.sigma_b, line.q, line.chi_parallel, strict=True):
        if chi < 1.0 and b > 0.0:
            m = mean_field(name, sigma_w=float(w), sigma_b=float(b))
            stay = [p for p in m.fixed_points.points if abs(p.q.value - q) < 1e-9 * q]
            assert abs(stay[0].chi_perp.value - 1.0) < 1e-12
            assert abs(stay[0].chi_parallel.value - chi) < 1e-11


def test_the_line_separates_the_phases_of_the_diagram():
    line = critical_line("tanh", q=np.geomspace(0.01, 2.0, 5))
    for w, b in zip(line.sigma_w, line.sigma_b, strict=True):
        d = phase_diagram("tanh", sigma_w=[w - 1e-6, w + 1e-6], sigma_b=b)
        assert d.phase[0].tolist() == ["ordered", "chaotic"]


def test_the_line_of_tanh_starts_at_one_and_zero():
    line = critical_line("tanh")
    assert (line.q[0], line.sigma_w[0], line.sigma_b[0]) == (0.0, 1.0, 0.0)
    assert np.all(np.diff(line.sigma_w) >= 0.0)
    assert np.all(np.diff(line.sigma_b) >= 0.0)


def test_the_line_of_sigmoid_ends_where_sigma_b_is_zero():
    line = critical_line("sigmoid")
    assert line.sigma_b[0] == 0.0
    m = mean_field("sigmoid", sigma_w=float(line.sigma_w[0]))
    assert abs(m.q_star.value / line.q[0] - 1.0) < 1e-12
    assert m.phase == "critical"


@pytest.mark.parametrize("name", ["softplus", "step", "sign"])
def test_where_no_line_exists_a_sentence_says_why(name):
    line = critical_line(name)
    assert line.sigma_w.size == line.sigma_b.size == line.q.size == 0
    assert ("negative" if name == "softplus" else "jumps") in line.sentence


@pytest.mark.parametrize(("q", "message"), [([0.0, 1.0], "holds 0.0"), ([], "it is empty")])
def test_lengths_must_be_above_zero(q, message):
    with pytest.raises(ValueError, match=message):
        critical_line("tanh", q=q)


def test_every_number_of_the_line_of_erf_is_within_its_error():
    # E erf^2 = (2 / pi) asin(2 q / (1 + 2 q)), E erf'^2 = (4 / pi) / sqrt(1 + 4 q)
    q = np.geomspace(1e-3, 1e3, 25)
    line = critical_line("erf", q=q)
    with mp.workdps(40):
        for k, x in enumerate(mp.mpf(float(v)) for v in line.q):
            w2 = mp.pi * mp.sqrt(1 + 4 * x) / 4
            held = 2 / mp.pi * mp.asin(2 * x / (1 + 2 * x))
            for ours, error, exact in (
                (line.sigma_w[k], line.error_w[k], mp.sqrt(w2)),
                (line.sigma_b[k], line.error_b[k], mp.sqrt(x - w2 * held)),
            ):
                assert abs(mp.mpf(float(ours)) - exact) <= error
            slope = w2 * 4 / mp.pi / (1 + 2 * x) / mp.sqrt(1 + 4 * x)
            assert abs(mp.mpf(float(line.chi_parallel[k])) - slope) <= line.error_parallel[k]
    assert np.all(line.error_q == 0.0)


def test_the_end_of_the_line_of_sigmoid_is_within_its_error():
    line = critical_line("sigmoid")
    with mp.workdps(25):

        def mean(f, q):
            s = mp.sqrt(q)
            return mp.quad(lambda z: f(s * z) * mp.npdf(z), [-12, -4, -1, 0, 1, 4, 12])

        def sigmoid(x):
            return 1 / (1 + mp.exp(-x))

        def bias(q):
            slope = mean(lambda x: (sigmoid(x) * sigmoid(-x)) ** 2, q)
            return q - mean(lambda x: sigmoid(x) ** 2, q) / slope

        k = int(np.flatnonzero(line.error_q > 0.0)[0])
        exact = mp.findroot(bias, (float(line.q[k]), float(line.q[k]) * 1.001), solver="secant")
        assert abs(mp.mpf(float(line.q[k])) - exact) <= line.error_q[k] < 1e-9 * line.q[k]


@pytest.mark.parametrize(("a", "k"), [(1e7, 1e-7), (1e-7, 1e7), (1e-9, 1.0), (3e5, 2e4)])
def test_the_line_of_a_scaled_erf_is_found_on_its_own_scale(a, k):
    line = critical_line(Scaled("erf", a, k))
    inside = line.q > 0.0
    q = line.q[inside] * k**2  # lengths in units of erf
    assert q.min() < 1e-5
    assert q.max() > 1e2
    exact = np.sqrt(np.pi * np.sqrt(1 + 4 * q) / 4) / (a * k)
    assert np.all(np.abs(line.sigma_w[inside] - exact) <= line.error_w[inside] + 1e-13 * exact)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_a_scaled_gelu_keeps_its_half_stable_point(unit):
    # K* = (3 + sqrt 17) / 2 in units of gelu, with the same sigma_w
    point = criticality(Scaled("gelu", unit, 1 / unit)).best
    plain = criticality("gelu").best
    assert point.universality == plain.universality
    assert abs(point.k_star.value / unit**2 - (3 + 17**0.5) / 2) < 1e-8
    assert abs(point.weight_variance.value / plain.weight_variance.value - 1) < 1e-9
    assert abs(point.bias_variance.value / unit**2 / plain.bias_variance.value - 1) < 1e-7


GROWING = {  # E phi'^2 and E phi^2 / E phi'^2 at variance q
    "exp": (lambda q: np.exp(2 * q), lambda q: 1.0),
    "exp(-x)": (lambda q: np.exp(2 * q), lambda q: 1.0),
    "1e-3*exp(2*x)": (lambda q: 4e-6 * np.exp(8 * q), lambda q: 0.25),
    "cosh(x)": (lambda q: np.expm1(2 * q) / 2, lambda q: 1 / np.tanh(q)),
    "sinh(x)": (lambda q: (np.exp(2 * q) + 1) / 2, np.tanh),
    "x**8": (lambda q: 64 * 135135 * q**7, lambda q: 15 * q / 64),
}


@pytest.mark.parametrize("name", GROWING)
def test_slopes_that_outgrow_float64_leave_the_line_below(name):
    slope, ratio = GROWING[name]
    line = critical_line(name)
    q, w, b = line.q, line.sigma_w, line.sigma_b
    if name == "x**8":
        assert q[0] < 1e-2
    else:  # the first q with q = E phi^2 / E phi'^2; the sinh starts at 0
        start = brentq(lambda q: q - ratio(q), 1e-3, 4.0) if name != "sinh(x)" else 0.0
        assert abs(q[0] - start) <= line.error_q[0] + 1e-14
    assert q[-1] > 10.0 * max(q[1], 0.1)
    assert np.all(np.diff(q) > 0.0)
    right = 1.0 / np.sqrt(slope(q))
    # in the tails of exponents rounding of q itself is 2 q eps
    assert np.all(np.abs(w - right) <= line.error_w + 4e-16 * (1.0 + 8.0 * q) * right)
    inside = b > 0.0
    away = np.abs(b**2 - (q - ratio(q)))[inside]
    assert np.all(away <= (2.0 * b * line.error_b)[inside] + 1e-14 * q[inside])
    assert np.all(line.error_w <= 1e-9 * w)
