"""Tracy-Widom laws against Painleve II, which shares no code with the determinants, and tables.

q'' = s q + 2 q^3, q ~ Ai(s) for large s; F_2 = exp(-int_s^inf (x - s) q^2), and
F_1 = exp(-1/2 int_s^inf q) sqrt(F_2). Means and variances: Bornemann, arXiv:0904.1581, table.
"""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import airy

from chione.freeprob import TracyWidom

TABLE = {
    1: (-1.2065335745820, 1.6077810345810),
    2: (-1.7710868074116, 0.8131947928329),
    # Bornemann's beta = 4 is ours times 2^(1/6): -2.306884893, 0.5177237207
    4: (-2.306884893241 * 2 ** (-1 / 6), 0.5177237207726 * 2 ** (-1 / 3)),
}


def painleve(points):
    """F_1 and F_2 at descending points; the state is q, q', log F_2, its slope, int q."""
    start = 6.0
    ai, aip = airy(start)[:2]
    slope = aip**2 - start * ai**2  # int_s^inf Ai^2
    total = (2 * start**2 * ai**2 - 2 * start * aip**2 - ai * aip) / 3  # int (x - s) Ai^2
    tail = quad(lambda x: airy(x)[0], start, 30.0, epsabs=1e-18)[0]

    def flow(s, y):
        return [y[1], s * y[0] + 2 * y[0] ** 3, y[3], -(y[0] ** 2), -y[0]]

    y0 = [ai, aip, -total, slope, tail]
    out = solve_ivp(
        flow, (start, points[-1]), y0, t_eval=points, method="DOP853", rtol=1e-13, atol=1e-15
    )
    f2 = np.exp(out.y[2])
    return np.exp(-0.5 * out.y[4]) * np.sqrt(f2), f2


def test_distributions_meet_painleve_ii():
    s = np.linspace(4.0, -4.0, 17)
    f1, f2 = painleve(s)
    assert np.allclose(TracyWidom(1).cdf(s).value, f1, rtol=0, atol=1e-9)
    assert np.allclose(TracyWidom(2).cdf(s).value, f2, rtol=0, atol=1e-9)
    f4 = 0.5 * (f1 + f2 / f1)
    assert np.allclose(TracyWidom(4).cdf(2 ** (-2 / 3) * s).value, f4, rtol=0, atol=1e-9)


@pytest.mark.parametrize("beta", [1, 2, 4])
def test_moments_meet_the_tables(beta):
    law = TracyWidom(beta)
    mean, variance = TABLE[beta]
    digits = 1e-12 if beta < 4 else 1e-9  # how many the table has
    assert abs(law.mean.value - mean) <= law.mean.error + digits
    assert abs(law.variance.value - variance) <= law.variance.error + digits


def test_a_value_to_fifteen_digits_lies_within_the_error():
    # Bornemann: F_2(-2) = 0.41322 41425 05120 6
    f = TracyWidom(2).cdf(-2.0)
    assert abs(f.value - 0.413224142505120) <= f.error <= 1e-12


@pytest.mark.parametrize("beta", [1, 2, 4])
def test_quantiles_invert_and_densities_are_slopes(beta):
    law = TracyWidom(beta)
    for p in (0.001, 0.3, 0.5, 0.95, 0.999):
        q = law.quantile(p)
        assert abs(law.cdf(q.value).value - p) < 1e-12
    s, h = np.array([-4.0, -1.3, 0.2, 1.5]), 1e-4
    slope = (law.cdf(s + h).value - law.cdf(s - h).value) / (2 * h)
    assert np.allclose(law.density(s).value, slope, atol=1e-8)
    assert law.density(s).shape == law.cdf(s).shape == (4,)


def test_far_out_the_distribution_is_zero_or_one():
    f = TracyWidom(1).cdf(np.array([-1e3, -20.0, 20.0, 1e3])).value
    assert np.allclose(f, [0.0, 0.0, 1.0, 1.0], atol=1e-13)


def test_other_betas_and_probabilities_are_refused():
    with pytest.raises(ValueError, match="beta must be 1"):
        TracyWidom(3)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        TracyWidom(1).quantile(1.0)
