"""The compiled map of one layer against nested integrals that share no code with it."""

from __future__ import annotations

import numpy as np
import pytest
from pair_oracle import pair_integral

from chione.activations import activation
from chione.base import ConvergenceError
from chione.theory import second_moment
from chione.theory.moments import layer_map as layer_maps
from chione.theory.moments.layer_map import layer_map

BROKEN = ("hardtanh", "selu", "elu", "hardswish", "relu6", "hardshrink", "step")
SMOOTH = ("tanh", "softplus", "mish", "sin", "cubic", "exp")
LENGTHS = (0.3, 4.0)


def _leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0.0, x, 0.17 * x)


def _plateaus(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -0.4, 1.3) + 0.2 * np.abs(x - 0.7)


USERS = (_leaky, _plateaus)


def _pairs(seed: int) -> list[tuple[tuple[float, float], float, float]]:
    """Lengths, 1 - |c| and signs, some of them nearly one input twice."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(4):
        q1, q2 = np.exp(rng.uniform(*np.log(LENGTHS), 2))
        gap = float(10.0 ** rng.uniform(-5.0, 0.0))
        if rng.random() < 0.5:
            q2 = float(np.clip(q1 * (1.0 + np.sqrt(gap) * rng.normal()), *LENGTHS))
        out.append(((float(q1), float(q2)), gap, float(rng.choice([-1.0, 1.0]))))
    return out


@pytest.mark.parametrize("phi", [*BROKEN, *SMOOTH, *USERS])
@pytest.mark.sampled(4)
def test_products_are_those_of_nested_integrals_within_the_stated_error(
    phi: object,
) -> None:
    act = activation(phi)
    compiled = layer_map(act, *LENGTHS)
    assert compiled.product_error < 1e-11
    for q, gap, sign in _pairs(3):
        expected = pair_integral(act.value, act.kinks, q, gap, sign)
        found = float(compiled.product(q[0], q[1], gap, sign))
        size = np.sqrt(np.prod([second_moment(act, x).value for x in q]))
        error = float(compiled.errors(gap)[0])
        assert abs(found - expected) <= (error + 4e-14) * size


@pytest.mark.parametrize("phi", ["hardtanh", "selu", "hardswish", "tanh", "mish", _plateaus])
def test_slopes_are_the_derivative_of_the_product(phi: object) -> None:
    act = activation(phi)
    compiled = layer_map(act, *LENGTHS)
    for q, gap, sign in _pairs(5):
        expected = pair_integral(act.derivative, act.kinks, q, gap, sign)
        found = float(compiled.slope(q[0], q[1], gap, sign))
        error = float(compiled.errors(gap)[1])
        assert error < 2e-9
        assert abs(found - expected) <= 2.0 * error + 1e-13


def test_what_the_map_does_not_hold_is_not_a_number() -> None:
    compiled = layer_map(activation("tanh"), 5.0, 100.0)
    gap = np.array([1e-7, 0.4])
    assert compiled.resolved(gap).tolist() == [False, True]
    value, slope = compiled.both(50.0, 60.0, gap)
    assert np.isnan(slope[0]) and np.all(np.isfinite([value[1], slope[1]]))


def test_a_jump_has_no_slope_where_the_inputs_are_one() -> None:
    value, slope = layer_map(activation("step"), *LENGTHS).both(1.0, 1.0, np.array([0.0, 1e-4]))
    assert np.isnan(slope[0]) and np.isfinite(slope[1])
    assert abs(value[0] - 0.5) < 1e-13


@pytest.mark.parametrize("q", [(0.1, 1.0), (1.0, 5.0), (0.0, 1.0)], ids=str)
def test_lengths_beyond_the_map_are_refused(q: tuple[float, float]) -> None:
    with pytest.raises(ConvergenceError, match="this map holds for lengths"):
        layer_map(activation("tanh"), *LENGTHS).product(*q, 0.5)


def test_an_activation_that_outgrows_the_gaussian_has_no_map() -> None:
    with pytest.raises(ConvergenceError):
        layer_map(activation(lambda x: np.exp(0.2 * x * x)), *LENGTHS)


def test_a_matrix_is_summed_in_parts_as_its_rows_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    q = np.exp(rng.uniform(*np.log(LENGTHS), 40))
    gap = 10.0 ** rng.uniform(-8.0, 0.0, (40, 40))
    for phi in ("tanh", "hardtanh", "selu"):
        compiled = layer_map(activation(phi), *LENGTHS)
        whole = compiled.both(q[:, None], q[None, :], gap, -1.0)
        with monkeypatch.context() as inside:
            inside.setattr(layer_maps, "_LARGE", 100)
            parts = compiled.both(q[:, None], q[None, :], gap, -1.0)
        single = compiled.both(q[3], q[17], gap[3, 17], -1.0)
        for one, two, three in zip(whole, parts, single, strict=True):
            assert np.allclose(one, two, rtol=0.0, atol=1e-13 * np.abs(one).max())
            assert abs(one[3, 17] - three) <= 1e-13 * np.abs(one).max()
