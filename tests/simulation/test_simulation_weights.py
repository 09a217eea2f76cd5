"""Weight laws: second moments, shapes and what makes each law itself."""

import math

import numpy as np
import pytest
from scipy import stats

from chione.networks import WEIGHT_LAWS, Matrix
from chione.simulation import normals
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import TRUNCATED_VARIANCE, dense_weights

SHAPES = [(90, 40), (40, 90), (61, 61)]


def draws(law, fan_in, fan_out, count, seed=0):
    layer = Matrix(fan_in, fan_out, 1.7, 0.0, law)
    return np.array(
        [dense_weights(layer, stream(seed, k, 1, Purpose.WEIGHTS)) for k in range(count)]
    )


@pytest.mark.parametrize("law", WEIGHT_LAWS)
@pytest.mark.parametrize(("fan_in", "fan_out"), SHAPES)
def test_second_moment_of_every_law_is_sigma_w_squared_over_fan_in(law, fan_in, fan_out):
    w = draws(law, fan_in, fan_out, 24)
    assert w.shape == (24, fan_out, fan_in)
    per_network = np.mean(w**2, axis=(1, 2)) * fan_in / 1.7**2
    spread = max(per_network.std(ddof=1) / math.sqrt(24), 1e-12)
    assert abs(per_network.mean() - 1.0) < 5.0 * spread
    assert abs(w.mean()) < 5.0 * w.std() / math.sqrt(w.size)


@pytest.mark.parametrize(("fan_in", "fan_out"), SHAPES)
def test_orthogonal_weights_are_scaled_isometries_or_co_isometries(fan_in, fan_out):
    w = draws("orthogonal", fan_in, fan_out, 1)[0]
    product = w.T @ w if fan_out >= fan_in else w @ w.T
    factor = 1.7**2 * max(fan_in, fan_out) / fan_in
    assert np.allclose(product, factor * np.eye(len(product)), atol=1e-12)


def test_orthogonal_weights_are_haar_and_not_the_q_of_lapack():
    traces = np.array([np.trace(w) / 1.7 for w in draws("orthogonal", 6, 6, 3000)])
    # Haar on O(n): the trace has mean 0 and variance exactly 1; LAPACK's own signs give mean < 0
    assert abs(traces.mean()) < 5.0 / math.sqrt(3000)
    assert abs(traces.var() - 1.0) < 5.0 * math.sqrt(2.0 / 3000)


def test_truncated_weights_stop_at_two_standard_deviations_before_rescaling():
    w = draws("truncated", 50, 70, 20) * math.sqrt(50) / 1.7
    assert np.abs(w).max() <= 2.0 / math.sqrt(TRUNCATED_VARIANCE)
    exact = stats.truncnorm(-2.0, 2.0)
    assert abs(exact.var() - TRUNCATED_VARIANCE) < 1e-12
    assert stats.kstest(w.ravel() * math.sqrt(TRUNCATED_VARIANCE), exact.cdf).pvalue > 1e-3


def test_uniform_and_delta_weights_have_their_shape():
    w = draws("uniform", 30, 20, 20) * math.sqrt(30) / 1.7
    assert stats.kstest(w.ravel(), stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).cdf).pvalue > 1e-3
    d = draws("delta", 30, 20, 20)
    assert np.all(np.count_nonzero(d, axis=2) == 1)
    assert set(np.abs(d[d != 0.0])) == {1.7}
    assert abs(np.sign(d[d != 0.0]).mean()) < 5.0 / math.sqrt(400)


@pytest.mark.parametrize("size", [1, 2, 7, 32768, 32769, 100_001])
def test_float32_normals_are_normal_whatever_their_number(size):
    rng = np.random.default_rng(3)
    out = np.full(size, np.nan, np.float32)
    normals.fill(rng, out)
    assert np.all(np.isfinite(out))
    if size > 1000:
        assert stats.kstest(out.astype(float), "norm").pvalue > 1e-3
        assert abs(np.corrcoef(out[:-1], out[1:])[0, 1]) < 5.0 / math.sqrt(size)


def test_streams_of_any_two_purposes_layers_or_networks_differ():
    names = [
        (s, n, l, p) for s in (0, 1) for n in (0, 1) for l in (1, 2) for p in (Purpose.WEIGHTS, 2)
    ]
    first = {float(stream(s, n, l, Purpose(p)).standard_normal()) for s, n, l, p in names}
    assert len(first) == len(names)
    again = stream(0, 1, 2, Purpose.BIASES).standard_normal(3)
    assert np.array_equal(again, stream(0, 1, 2, Purpose.BIASES).standard_normal(3))
