"""Arrays of kernels and correlation maps: read off the layer's map, right as single values are."""

from __future__ import annotations

import numpy as np
import pytest
from pair_oracle import pair_integral

from chione.activations import activation
from chione.base import Status
from chione.theory import (
    correlation_map,
    derivative_kernel,
    kernel,
    one_minus_correlation_map,
    second_moment,
)
from chione.theory.meanfield import correlation_map as of_correlations
from chione.theory.moments import layer_map, pair_kernels


def _leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0.0, x, 0.17 * x)


def _steps(x: np.ndarray) -> np.ndarray:
    return np.clip(np.tanh(x), -0.3, 0.6) + 0.1 * x


ACTIVATIONS = ("tanh", "silu", "mish", "hardtanh", "selu", "softsign", "hardshrink", _leaky, _steps)
CORRELATIONS = np.concatenate([[-1.0, 1.0, 0.0, 0.999, -0.9999], np.linspace(-0.98, 0.97, 31)])


@pytest.mark.parametrize("phi", ACTIVATIONS)
@pytest.mark.parametrize("quantity", [kernel, derivative_kernel])
@pytest.mark.parametrize("lengths", [(1.3, 1.3), (0.4, 2.2), (3e-5, 40.0)], ids=str)
@pytest.mark.sampled(5)
def test_an_array_says_what_single_values_say(
    phi: object, quantity: object, lengths: tuple[float, float]
) -> None:
    many = quantity(phi, *lengths, CORRELATIONS)
    for i in (0, 1, 2, 3, 4, 9, 23):
        one = quantity(phi, *lengths, float(CORRELATIONS[i]))
        if many.status[i] > Status.INEXACT or one.status > Status.INEXACT:
            assert many.status[i] == one.status and np.isnan(many.value[i])
        else:
            assert abs(many.value[i] - one.value) <= many.error[i] + one.error


@pytest.mark.parametrize("phi", ["tanh", "hardtanh", "selu", _steps])
def test_an_array_is_right_within_its_error(phi: object) -> None:
    act, q = activation(phi), (0.7, 2.4)
    many = kernel(act, *q, CORRELATIONS)
    size = float(np.sqrt(second_moment(act, q[0]).value * second_moment(act, q[1]).value))
    for i in (3, 4, 8, 22, 33):
        c = float(CORRELATIONS[i])
        gap = 1.0 - abs(c)
        expected = pair_integral(act.value, act.kinks, q, gap, float(np.sign(c)))
        assert many.error[i] <= 1e-12 * size
        assert abs(many.value[i] - expected) <= many.error[i] + 2e-14 * size


@pytest.mark.parametrize("phi", ["tanh", "softplus", "hardtanh", "hardswish", "selu", _leaky])
def test_a_hundred_correlations_take_no_double_integral(
    phi: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a double integral")

    monkeypatch.setattr(pair_kernels, "bivariate", refuse)
    c = np.linspace(-0.99, 0.99, 101)
    assert np.all(correlation_map(phi, c, q=1.1, sigma_w=1.5, sigma_b=0.1).status == Status.OK)
    one_minus_correlation_map(phi, np.geomspace(1e-12, 1.9, 101), q=1.1, sigma_w=1.5)


@pytest.mark.parametrize("phi", ["tanh", "mish", "hardtanh", "elu", "relu", "gelu", _leaky])
def test_arrays_of_drops_keep_their_digits_next_to_one(phi: object) -> None:
    gap = np.concatenate([[0.0], np.geomspace(1e-13, 2.0, 60)])
    many = one_minus_correlation_map(phi, gap, q=0.8, sigma_w=1.3, sigma_b=0.2)
    assert many.value[0] == 0.0
    assert np.all(many.error[1:] <= 1e-12 * many.value[1:])
    for i in (1, 20, 45, 57, 60):
        one = one_minus_correlation_map(phi, float(gap[i]), q=0.8, sigma_w=1.3, sigma_b=0.2)
        assert abs(many.value[i] - one.value) <= many.error[i] + one.error


def test_many_lengths_at_once_are_right_pair_by_pair() -> None:
    rng = np.random.default_rng(2)
    q1, q2 = np.exp(rng.uniform(-1.0, 1.0, (2, 6000)))
    c = rng.uniform(-1.0, 1.0, 6000)
    many = kernel("selu", q1, q2, c)
    table = kernel("selu", q1[:80, None], q2[None, :60], c[:60])
    assert many.value.shape == (6000,) and table.value.shape == (80, 60)
    for i in (0, 59, 5999):
        one = kernel("selu", q1[i], q2[i], c[i])
        assert abs(many.value[i] - one.value) <= many.error[i] + one.error
    one = kernel("selu", q1[7], q2[11], c[11])
    assert abs(table.value[7, 11] - one.value) <= table.error[7, 11] + one.error


def test_pairs_with_a_length_of_zero_are_exact_among_others() -> None:
    q = np.concatenate([[0.0, 0.0], np.full(40, 1.2)])
    many = kernel("softplus", q, 1.2, 0.3)
    one = kernel("softplus", 0.0, 1.2, 0.3)
    assert many.value[0] == many.value[1] == one.value
    assert abs(many.value[5] - kernel("softplus", 1.2, 1.2, 0.3).value) < 1e-13


def test_single_values_are_left_to_the_integrals(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a map for one value")

    monkeypatch.setattr(pair_kernels, "many_pairs", refuse)
    assert kernel("tanh", 1.0, 1.0, 0.5).status == Status.OK
    assert kernel("tanh", 1.0, 1.0, np.linspace(0.1, 0.4, 3)).value.shape == (3,)


def test_maps_that_are_kept_are_bounded_and_know_their_activation() -> None:
    for kept in (layer_map.layer_map, layer_map.layer_map_at):
        assert kept.cache_info().maxsize is not None

    def scaled(a: float) -> object:
        return lambda x: np.tanh(a * x)

    c = np.linspace(-0.9, 0.9, 40)
    one, two = (kernel(scaled(a), 1.0, 1.0, c).value for a in (1.0, 1.5))
    assert np.max(np.abs(one - two)) > 0.05
    assert of_correlations.MANY == pair_kernels.MANY
