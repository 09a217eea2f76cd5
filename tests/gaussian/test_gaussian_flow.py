"""Pair integrals whose inner Gaussian means come from one grid, against closed forms."""

import math

import mpmath as mp
import numpy as np
import pytest
from scipy import special

from chione.activations import activation
from chione.gaussian import bivariate
from chione.gaussian.flow import grid_of, heat
from chione.gaussian.resolution import Resolution, resolve
from chione.theory.moments.kernel_drop import kernel_drop
from chione.theory.moments.pair_kernels import kernel


def _sines(w, q1, q2, c):
    """E sin(w u1) sin(w u2)."""
    with mp.workdps(60):
        w, q1, q2, c = (mp.mpf(x) for x in (w, q1, q2, c))
        cross = c * mp.sqrt(q1 * q2)
        up, down = (mp.exp(-(w**2) * (q1 + q2 + s * cross) / 2) for s in (-2, 2))
        return (up - down) / 2


def _bumps(width, centre, q1, q2, c):
    """E exp(-((u1 - m) / w)^2) exp(-((u2 - m) / w)^2), a Gaussian integral."""
    with mp.workdps(60):
        q1, q2, c, m = (mp.mpf(x) for x in (q1, q2, c, centre))
        a = 1 / mp.mpf(width) ** 2
        cross = c * mp.sqrt(q1 * q2)
        inverse = mp.matrix([[q1, cross], [cross, q2]]) ** -1
        form = inverse + 2 * a * mp.eye(2)
        shift = 2 * a * m * mp.matrix([1, 1])
        exponent = (shift.T * form**-1 * shift)[0] / 2 - 2 * a * m**2
        return mp.exp(exponent) * mp.sqrt(mp.det(inverse) / mp.det(form))


def _steps(w, at, q1, q2, c):
    """E erf(w (u1 - m)) erf(w (u2 - m)), by quadrature of the outer variable alone.

    Given u1 the other one is N(r u1, v), and E erf(w (u2 - m)) is an error function again.
    """
    with mp.workdps(40):
        w, m, q1, q2, c = (mp.mpf(x) for x in (w, at, q1, q2, c))
        r, v = c * mp.sqrt(q2 / q1), q2 * (1 - c) * (1 + c)
        inner = w / mp.sqrt(1 + 2 * w * w * v)

        def both(x):
            return mp.erf(w * (x - m)) * mp.erf(inner * (r * x - m)) * mp.npdf(x, 0, mp.sqrt(q1))

        sigma = mp.sqrt(q1)
        cuts = [k * sigma for k in (-14, -7, -3, -1, 0, 1, 3, 7, 14)]
        cuts += [m + k / w for k in (-6, -1, 0, 1, 6)]
        if r:
            cuts += [(m + k / inner) / r for k in (-6, -1, 0, 1, 6)]
        cuts = sorted(x for x in set(cuts) if abs(x) <= 14 * sigma)
        return mp.quad(both, cuts)


CORRELATIONS = [-0.9, 0.3, 0.9999]
LENGTHS = [(1.0, 1.0), (0.3, 2.0), (7.0, 0.01), (1e3, 1e-3)]


@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize(("q1", "q2"), LENGTHS)
@pytest.mark.parametrize("w", [1.0, 40.0])
@pytest.mark.sampled(5)
def test_pairs_of_sines_err_by_less_than_is_stated(w, q1, q2, c):
    found = kernel(f"sin({w}*x)", q1, q2, c, method="quadrature")
    assert abs(found.value - _sines(w, q1, q2, c)) <= found.error
    assert found.error < 3e-13 * max(1.0, w * math.sqrt(max(q1, q2)) / 40.0)


@pytest.mark.parametrize("c", [-0.9, 0.3, 0.9999, 1.0 - 1e-12])
@pytest.mark.parametrize(("q1", "q2"), [(1.0, 1.0), (7.0, 0.01)])
@pytest.mark.parametrize("at", [0.0, 0.05])
@pytest.mark.sampled(5)
def test_pairs_of_steps_two_hundred_times_steeper_than_one_err_by_less_than_is_stated(
    at, q1, q2, c
):
    found = kernel(lambda x: special.erf(200.0 * (x - at)), q1, q2, c)
    expected = _steps(200.0, at, q1, q2, c)
    assert abs(mp.mpf(found.value) - expected) <= found.error
    assert found.error < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize(("q1", "q2"), [(1.0, 1.0), (7.0, 0.01), (0.3, 2.0)])
@pytest.mark.parametrize("width", [1e-3, 0.2])
def test_pairs_of_bumps_err_by_less_than_is_stated(width, q1, q2, c):
    f = activation(f"exp(-((x-0.7)/{width})**2)").value
    found = bivariate(f, f, q1, q2, c)
    expected = _bumps(width, 0.7, q1, q2, c)
    assert abs(found.value - expected) <= found.error + 5e-324  # one is 1e-664
    assert found.error < 1e-9 * abs(expected) + 1e-14


def test_a_heat_flow_is_that_of_a_sine_wherever_its_centres_lie():
    f = activation("sin(5*x)").value
    for v in (4.0, 0.3, 1e-3, 1e-7):
        centres = np.r_[np.linspace(-9.0, 9.0, 37), 0.5 + np.linspace(0.0, 1e-3, 100)]
        grid = grid_of(f, resolve(f, (), 1.0, 85.0), 1.0, v)
        around = grid if not hasattr(grid, "around") else grid.around(centres, v)
        found = heat(around, centres, v)
        exact = np.exp(-12.5 * v) * np.sin(5.0 * centres)
        assert np.all(np.abs(found.mean - exact) <= found.error + 4e-16 * np.abs(centres) * 5.0)
        assert np.all(found.error < 3e-13)


@pytest.mark.parametrize("gap", [1e-4, 1e-7, 1e-11, 1e-14, 2.0 - 1e-9, 1.7])
@pytest.mark.parametrize("w", [3.0, 40.0])
@pytest.mark.sampled(5)
def test_drops_of_fast_sines_are_right_next_to_one(w, gap):
    found = kernel_drop(activation(f"sin({w}*x)"), 1.0, gap)
    with mp.workdps(60):
        a, g = mp.mpf(w) ** 2, mp.mpf(gap)
        exact = (-mp.expm1(-a * g) + mp.exp(-a * (2 - g)) - mp.exp(-2 * a)) / 2
    assert abs(found.value - exact) <= found.error
    assert found.error <= 1e-9 * found.value


def test_a_fast_sine_is_evaluated_at_few_points():
    """4 million evaluations a pair before the grid was shared by all centres."""
    points = 0
    f = activation("sin(40*x)").value

    def counted(x):
        nonlocal points
        points += x.size
        return f(x)

    bivariate(counted, counted, 1.0, 1.0, 0.9)
    assert points < 600_000


@pytest.mark.parametrize("rate", [5.0, 6.0])
@pytest.mark.parametrize("rough", [False, True])
def test_what_the_panels_of_a_heat_flow_do_not_resolve_is_in_its_error(rate, rough):
    f = activation(f"sin({rate}*x)").value
    coarse = Resolution(np.array([-85.0, 3.0, 85.0]), np.array([rough, rough]), ())
    centres = np.linspace(-4.0, 4.0, 17)
    found = heat(grid_of(f, coarse, 1.0, 4.0), centres, 4.0)
    off = np.abs(found.mean - math.exp(-2.0 * rate * rate) * np.sin(rate * centres))
    assert off.max() > 1e-9  # else nothing is tested
    assert np.all(off <= found.error)
    assert rough or found.error.max() < 5.0
