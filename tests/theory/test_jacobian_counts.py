"""What a Jacobian's spectrum asks of the law of phi'^2: counts, and parts that nobody reads."""

import numpy as np
import pytest

from chione.freeprob import GaussianSquare, poles
from chione.theory.spectra import derivative_law, jacobian_spectrum
from chione.theory.spectra.jacobian_measure import JacobianLaw

NAMES = ["hardtanh", "relu", "leaky_relu(0.1)", "tanh", "erf", "gelu", "softplus"]


@pytest.fixture
def asked(monkeypatch):
    """Number of points of each call of the law, by the name of the method."""
    calls: dict[str, list[int]] = {"resolvent": [], "mean_log": [], "mean_angle": [], "refined": []}
    for name, sizes in calls.items():
        method = getattr(GaussianSquare, name)

        def counted(law, *points, method=method, sizes=sizes):
            sizes.append(int(np.size(points[0])) if points else 0)
            return method(law, *points)

        monkeypatch.setattr(GaussianSquare, name, counted)
    return calls


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", NAMES)
def test_a_curve_asks_the_law_a_bounded_number_of_times(name, weights, asked):
    spectrum = jacobian_spectrum(name, depth=16, q_star=1.0, weights=weights)
    spectrum.solver.equation.law.finer  # kept with the law
    for sizes in asked.values():
        sizes.clear()
    spectrum.curve()
    assert len(asked["resolvent"]) <= 28
    assert sum(asked["resolvent"]) <= 1400
    assert sum(asked["mean_angle"]) <= 300
    assert asked["mean_log"] == [] and asked["refined"] == []


@pytest.mark.parametrize(
    "how",
    [{"depth": 3}, {"depth": 1, "weights": "orthogonal"}, {"depth": 2, "widths": [5, 4, 3]}],
)
def test_a_transform_finds_mean_logarithms_and_errors_when_they_are_read(how, asked):
    law = JacobianLaw(jacobian_spectrum("tanh", q_star=0.5, **how).solver)
    z = np.array([0.3 + 0.2j, 1.0 - 0.1j, 2.0 + 1.0j])
    law.stieltjes(z)
    for sizes in asked.values():
        sizes.clear()
    _, t = law.transform(z)
    assert sum(asked["mean_log"]) == 0
    points = sum(asked["resolvent"])
    u = t.mean_log
    assert sum(asked["mean_log"]) >= z.size
    assert t.mean_log is u and sum(asked["resolvent"]) == points
    assert np.all(t.error < 1e-11)
    # The derivative of the mean logarithm is G, and both are conjugate below the axis.
    step = 1e-5
    ends = law.mean_log(z + step) - law.mean_log(z - step)
    assert np.allclose(ends / (2.0 * step), law.stieltjes(z), rtol=1e-8)


@pytest.mark.parametrize("name", [*NAMES, "sin"])
def test_the_mean_angle_is_the_imaginary_part_of_the_mean_logarithm(name):
    law = derivative_law(name, 1.3)
    r = np.geomspace(1e-8, 3.0, 40)
    w = np.concatenate([r * np.exp(1j * a) for a in (0.0, 1e-12, 1e-3, 0.7, 3.0)])
    assert np.array_equal(law.mean_angle(w), law.mean_log(w).imag)
    assert law.mean_angle(w.reshape(5, 40)).shape == (5, 40)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("depth", [2, 40])
@pytest.mark.parametrize("name", [*NAMES, "sin"])
def test_bands_end_where_log_z_turns(name, depth, weights):
    eq = jacobian_spectrum(name, depth=depth, q_star=0.7, weights=weights).solver.equation
    spectrum = jacobian_spectrum(name, depth=depth, q_star=0.7, weights=weights).solver
    ends = [
        (r, 1.0 if k else -1.0)
        for band in spectrum.bands
        for k, (r, hard) in enumerate(zip(band.log_r, band.hard, strict=True))
        if hard
    ]
    top = spectrum.bands[-1]
    assert top.hard[1] or weights == "orthogonal" or np.isinf(top.log_r[1])
    for r, side in ends:
        inside, outside = eq.at(np.array([r - side * 1e-7 + 0j, r + side * 1e-7 + 0j])).slope.real
        assert inside < 0.0 < outside


def test_roots_are_found_where_the_derivative_falls_like_an_exponential():
    q = 1.0
    law = derivative_law("erf", q)
    t = np.geomspace(1e-13, 1e-3, 60)
    w = t * np.exp(1e-3j)
    found = poles.find(law.finder, w)
    assert set(found.point) == set(range(w.size))
    # erf'(h)^2 = 4/pi exp(-2 h^2)
    h = np.sqrt(-0.5 * np.log(w * np.pi / 4.0))
    k = law.finder.index[found.row]
    own = law.rest.center[k] + law.rest.half[k] * found.s
    assert np.allclose(own, h[found.point], rtol=1e-6)
