"""Limit laws, universality classes and isometric initialisations."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad

from chione.base import ConvergenceError
from chione.theory.spectra.jacobian import jacobian_spectrum
from chione.theory.spectra.jacobian_isometry import dynamical_isometry, q_star_for_variance
from chione.theory.spectra.jacobian_limits import LimitLaw, distance_to_limit, universality_class


@pytest.mark.parametrize("s", [0.25, 0.9, 3.0])
def test_smooth_limit_has_unit_mean_variance_s_and_its_edges(s):
    law = LimitLaw("smooth", s)
    a, b = law.support
    u = np.pi / 2 * (np.polynomial.legendre.leggauss(200)[0] + 1) / 2
    w = np.pi / 4 * np.polynomial.legendre.leggauss(200)[1]
    x = a + (b - a) * np.sin(u) ** 2
    f = law.density(x).value * (b - a) * np.sin(2 * u) * w
    assert np.allclose([f.sum(), (f * x).sum(), (f * x * x).sum()], [1, 1, 1 + s], rtol=1e-10)
    root = np.array([-1.0, 1.0]) * np.sqrt(1 + 4 / s)
    x_edge = 0.5 * (-1 + root)
    assert np.allclose(law.support, (1 + x_edge) / x_edge * np.exp(s * x_edge), rtol=1e-13)


@pytest.mark.parametrize("s", [0.25, 0.9, 3.0])
def test_bernoulli_limit_has_unit_mean_variance_s_and_an_atom(s):
    law = LimitLaw("bernoulli", s)
    top = law.support[1]
    assert np.isclose(top, np.e * s)
    moments = [
        quad(
            lambda v, k=k: (
                float(law.density(top * v**4).value) * top ** (k + 1) * v ** (4 * k) * 4 * v**3
            ),
            0,
            1,
            limit=300,
        )[0]
        for k in (1, 2)
    ]
    for place, mass in law.atoms:
        moments = [m + mass * place**k for k, m in zip((1, 2), moments, strict=True)]
    assert np.allclose(moments, [1.0, 1.0 + s], rtol=1e-6)
    assert law.atoms == (((np.exp(s), 1 - s),) if s < 1 else ())


@pytest.mark.parametrize("kind", ["smooth", "bernoulli"])
def test_distribution_function_of_a_limit_is_the_integral_of_its_density(kind):
    law = LimitLaw(kind, 0.5)
    a, b = 0.4, 1.1
    area = quad(lambda x: float(law.density(x).value), a, b, epsabs=1e-12)[0]
    assert abs(float(law.cdf(b).value) - float(law.cdf(a).value) - area) < 1e-10


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tanh", "smooth"), ("erf", "smooth"), ("gelu", "smooth"), ("elu", "smooth"),
        ("softplus", "smooth"), ("hardtanh", "bernoulli"), ("shifted_relu", "bernoulli"),
        ("relu", "none"), ("leaky_relu", "none"), ("linear", "none"),
    ],
)  # fmt: skip
def test_universality_classes(name, kind):
    found = universality_class(name)
    assert found.kind == kind
    assert (found.limit(0.25) is None) == (kind == "none")


@pytest.mark.parametrize(
    ("name", "rate"), [pytest.param("erf_scaled", 0.5, marks=pytest.mark.slow), ("hardtanh", 1.0)]
)
def test_finite_depths_approach_their_limit_at_the_known_rate(name, rate):
    limit = universality_class(name).limit(0.25)
    distances = []
    for depth in (512, 8192):
        q = q_star_for_variance(name, depth, 0.25).q_star
        s = jacobian_spectrum(name, q_star=q, depth=depth, weights="orthogonal")
        distances.append(distance_to_limit(s, limit))
    slope = np.log(distances[0] / distances[1]) / np.log(16)
    assert distances[1] < 0.01
    assert abs(slope - rate) < 0.12


def test_q_star_for_variance_holds_the_variance_and_meets_its_asymptotic_form():
    found = q_star_for_variance("erf_scaled", 10**6, 0.25)
    assert np.isclose(found.q_star * 1e3, 0.225238, atol=1e-6)
    assert np.isclose(found.asymptotic_q * 1e3, np.sqrt(0.5) / np.pi, rtol=1e-4)
    s = jacobian_spectrum("erf_scaled", q_star=found.q_star, depth=10**6, weights="orthogonal")
    assert np.isclose(s.variance, 0.25, rtol=1e-9)


@pytest.mark.parametrize(("depth", "variance"), [(10, 0.25), (1000, 0.05), (10**6, 0.25)])
def test_errors_of_an_isometric_initialisation_cover_the_closed_form(depth, variance):
    # E phi'^4 / (E phi'^2)^2 of erf(h): (4/pi)^2 (1 + 8q)^(-1/2) over (4/pi)^2 / (1 + 4q)
    found = q_star_for_variance("erf", depth, variance)
    with mpmath.workdps(40):
        target = 1 + mpmath.mpf(variance) / depth
        q = mpmath.findroot(lambda x: (1 + 4 * x) / mpmath.sqrt(1 + 8 * x) - target, found.q_star)
        w = mpmath.sqrt(mpmath.pi / 4 * mpmath.sqrt(1 + 4 * q))
        second = 2 / mpmath.pi * mpmath.asin(2 * q / (1 + 2 * q))
        b = mpmath.sqrt(q - w * w * second)
        left = 1 - 4 * q / (mpmath.pi * (1 + 2 * q)) / second
        right = {"q_star": q, "sigma_w": w, "sigma_b": b, "nonlinearity": left}
        for name, value in {**right, "variance": variance}.items():
            error = found.errors[name]
            assert abs(getattr(found, name) - value) <= error <= 1e-3 * value, name


def test_gaussian_weights_and_relu_cannot_hold_the_variance_and_say_why():
    with pytest.raises(ValueError, match="at least L for every q_star"):
        q_star_for_variance("tanh", 10, 0.25, weights="gaussian")
    with pytest.raises(ConvergenceError, match="no q_star gives relu"):
        q_star_for_variance("relu", 10, 0.25)


def test_isometry_is_paid_for_with_linearity():
    loose, _ = dynamical_isometry("tanh", 64, variance=1.0)
    tight, spectrum = dynamical_isometry("tanh", 64, variance=0.05)
    assert 0 < tight.nonlinearity < loose.nonlinearity < 0.2
    assert tight.sigma_w < loose.sigma_w
    assert spectrum.spread(0.9) < 3.0
    # the share that no line explains, from E phi^2 and E h phi by plain sums
    h = np.linspace(-12, 12, 20001) * np.sqrt(tight.q_star)
    p = np.exp(-h * h / (2 * tight.q_star))
    p /= p.sum()
    x = np.tanh(h)
    direct = 1 - (p @ (h * x)) ** 2 / (tight.q_star * (p @ (x * x)))
    assert np.isclose(tight.nonlinearity, direct, rtol=1e-6)


@pytest.mark.parametrize("x", [-480.0, -535.0, -900.0])
def test_the_tail_of_a_cube_is_that_of_twenty_digits(x):
    mp = mpmath.mp
    depth, w2, q = 13, mp.mpf("1.3") ** 2, mp.mpf("0.8")
    with mp.workdps(20):

        def mean(g, w):  # over t = 9 h^4
            near = (abs(w) / 9) ** mp.mpf("0.25")
            ends = sorted({mp.mpf(0), *(near * 4**k for k in range(-1, 4)), 0.2, 1, 2, 4, 8, 11})
            return mp.quad(lambda h: 2 * mp.npdf(h, 0, mp.sqrt(q)) * g(9 * h**4), ends)

        def parts(log_w):
            w = mp.exp(log_w)
            p = mean(lambda t: w / (w - t), w)
            m = p - 1
            log_m = mp.log(abs(m)) - 1j * abs(mp.arg(m))
            return w, p, m, log_m, depth * (mp.log(w2) + log_w) + (depth - 1) * log_m + mp.log(p)

        start = mp.mpc(x / (depth + 0.25) - mp.log(w2), 0.05)
        log_w = mp.findroot(lambda u: parts(u)[4] - x, start, tol=1e-24, verify=False)
        w, p, m, log_m, log_z = parts(log_w)
        assert abs(log_z - x) < 1e-10
        assert 0 < log_w.imag < mp.pi
        above = depth * mean(lambda t: mp.log(w - t), w) + (depth - 1) * log_m + depth * m
        right = (float(1 - above.imag / mp.pi), float(-p.imag / mp.pi))
    law = jacobian_spectrum("cubic", sigma_w=1.3, q_star=0.8, depth=depth)
    for found, value in zip((law.cdf_of_log(x), law.density_of_log(x)), right, strict=True):
        assert abs(found.value - value) <= found.error <= 1e-4 * value
