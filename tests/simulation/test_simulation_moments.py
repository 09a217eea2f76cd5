"""Running moments against NumPy on the whole stream."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from chione.simulation.moments import Moments


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(4, 40),
    seed=st.integers(0, 2**32 - 1),
    shift=st.sampled_from([0.0, 1.0, -1e6]),
)
def test_running_moments_equal_those_of_the_whole_stream(count, seed, shift):
    data = np.random.default_rng(seed).exponential(size=(count, 3, 2)) + shift
    m = Moments.empty((3, 2))
    for x in data:
        m = m.including(x)
    d = data - data.mean(axis=0)
    assert np.allclose(m.mean, data.mean(axis=0), rtol=1e-13)
    tight = {"rtol": 1e-9, "atol": 1e-9 * (1.0 + abs(shift) * 1e-3)}
    assert np.allclose(m.variance, data.var(axis=0, ddof=1), **tight)
    assert np.allclose(m.third_central, (d**3).mean(axis=0), **tight)
    assert np.allclose(m.m4, (d**4).sum(axis=0), **tight)
    assert np.allclose(m.stderr, data.std(axis=0, ddof=1) / np.sqrt(count), **tight)


def test_variance_of_the_variance_is_what_repetition_shows():
    rng = np.random.default_rng(5)
    variances, claims = [], []
    for _ in range(400):
        m = Moments.empty(())
        for x in rng.exponential(size=60):
            m = m.including(np.asarray(x))
        variances.append(float(m.variance))
        claims.append(float(m.variance_of_variance))
    exact = (9.0 - 57.0 / 59.0) / 60.0  # exponential law: mu_4 = 9, variance 1
    assert abs(np.var(variances) / exact - 1.0) < 0.5
    assert abs(np.mean(claims) / exact - 1.0) < 0.35


def test_one_value_has_no_standard_error():
    m = Moments.empty((2,))
    m = m.including(np.ones(2))
    assert np.all(np.isnan(m.stderr))
    assert np.all(np.isnan(m.variance_of_variance))
