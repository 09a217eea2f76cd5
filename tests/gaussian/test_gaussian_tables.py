"""When a table of a function of q asks the function itself again."""

import numpy as np

from chione.base import Estimate, Status
from chione.gaussian import Table


def watched(calls, error, status=Status.OK, value=np.sqrt):
    """sqrt q with a relative error that it states, and a list of how often it was asked."""

    def f(q):
        calls.append(q.size)
        v = value(q) * np.ones_like(q)
        return Estimate(v, error * np.abs(v), np.full(q.shape, status, dtype=np.int8))

    return f


Q = np.geomspace(1.1, 3.7, 5000)


def test_a_function_with_noise_of_its_own_is_compiled_and_its_noise_stated():
    calls = []
    table = Table(watched(calls, 1e-11))
    table(Q)
    built = sum(calls)
    value = table(Q)
    assert sum(calls) == built < Q.size
    assert np.all(np.abs(value / np.sqrt(Q) - 1.0) <= table.error(Q))
    assert np.all((table.error(Q) >= 1e-11) & (table.error(Q) <= 2e-11))


def test_a_function_that_a_polynomial_misses_is_asked_itself():
    calls = []
    rough = Table(watched(calls, 1e-11, value=lambda q: 2.0 + np.abs(np.sin(40.0 * q))))
    value = rough(Q)
    assert np.array_equal(value, 2.0 + np.abs(np.sin(40.0 * Q)))
    assert np.all(rough.error(Q) <= 1.01e-11)


def test_an_infinite_moment_is_not_asked_again():
    calls = []
    table = Table(watched(calls, 0.0, Status.INFINITE, lambda q: np.nan))
    assert np.isnan(table(Q)).all()
    built = sum(calls)
    value, slope = table.with_slope(Q)
    assert np.isnan(value).all()
    assert np.isnan(slope).all()
    assert np.isnan(table.error(Q)).all()
    assert sum(calls) == built < Q.size
