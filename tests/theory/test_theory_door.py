"""Every public function of theory refuses bad arguments at the door, in a sentence."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import chione
from chione import theory
from chione.base import ChioneError
from chione.networks import Dense, Nonlinearity, Residual, transformer

NET = chione.MLP("tanh", 1.2, 0.1, depth=3, width=5)
# one valid call of each function
CALLS = {
    "basins": ("tanh", {"means": [0.0], "variances": [1.0], "n_steps": 3}),
    "block_phase": (
        [Dense(1.2, 0.1), Nonlinearity("tanh")],
        {"q0": 1.0, "width": 5, "grid": ()},
    ),
    "branch_scale": (
        [Residual([Nonlinearity("tanh"), Dense(1.2, 0.1)])],
        5,
        {"band": 2.0, "q0": 1.0, "width": 5},
    ),
    "chi_parallel": ("tanh", 1.0, {"sigma_w": 1.0}),
    "chi_perp": ("tanh", 1.0, {"sigma_w": 1.0}),
    "critical_affine": ("tanh", {"k": 1.0}),
    "critical_line": ("tanh", {"q": [1.0]}),
    "criticality": ("tanh", {}),
    "derivative_second_moment": ("tanh", 1.0, {}),
    "describe_scheme": (
        "tanh",
        "he",
        {"depth": 3, "fan_in": 5, "fan_out": 7, "q0": 1.0},
    ),
    "feature_update": (
        NET,
        {
            "learning_rate": 0.1,
            "optimizer": "sgd",
            "parameters": "standard",
            "output_gradient": 1.0,
        },
    ),
    "finite_width": (
        "tanh",
        {"sigma_w": 1.2, "sigma_b": 0.1, "depth": 3, "q0": 1.0, "weights": "gaussian"},
    ),
    "first_order_slope": ("tanh", {"terms": 40}),
    "fixed_points": ("tanh", {"sigma_w": 1.2, "sigma_b": 0.1}),
    "fourth_moment": ("tanh", 1.0, {}),
    "gain": ("tanh", {"depth": 3, "width": 5, "weights": "gaussian", "q0": 1.0}),
    "iterate_lengths": ("tanh", {"sigma_w": 1.2, "sigma_b": 0.1, "depth": 3, "q0": 1.0}),
    "large_depth": ("tanh", {}),
    "length_map": ("tanh", 1.0, {"sigma_w": 1.2, "sigma_b": 0.1, "method": "auto"}),
    "length_slope": ("tanh", 1.0, {}),
    "mean": ("tanh", 1.0, {}),
    "mean_field": ("tanh", {"sigma_w": 0.9, "sigma_b": 0.1, "q0": 1.0}),
    "mean_square_variance": (NET, {"q0": 1.0}),
    "norm_map": ("tanh", [0.0], 1.0, {}),
    "norm_stability": ("tanh", {}),
    "normalized_slope": ("tanh", {}),
    "normalizing_affine": ("tanh", {"mean": 0.0, "variance": 1.0, "shift": 0.0}),
    "network_theory": (NET, {}),
    "parametrization": ([0, 0], [0, 0.5], 0.0, {"optimizer": "sgd"}),
    "phase_diagram": ("tanh", {"sigma_w": [0.9], "sigma_b": [0.1], "q0": 1.0}),
    "propagate": (NET, {}),
    "second_moment": ("tanh", 1.0, {}),
    "tradeoff": ("tanh", {"q": 1.0}),
    "deep_trajectory": (
        "tanh",
        {"sigma_w": 0.9, "sigma_b": 0.1, "depth": 3, "q0": 1.0, "c0": 0.5},
    ),
    "settling": ("tanh", 1.5, 0.1, {"q0": 1.0, "c0": 0.5, "share": 0.01}),
    "trajectory": (
        "tanh",
        {"sigma_w": 0.9, "sigma_b": 0.1, "depth": 3, "q0": 1.0, "c0": 0.5},
    ),
    "transformer_phase": (
        transformer(1, 8, 2, tokens=2),
        {"attention_scale": [1.0], "residual_scale": [1.0]},
    ),
    "trust": (
        "tanh",
        {"sigma_w": 0.9, "sigma_b": 0.1, "depth": 3, "width": 5, "q0": 1.0},
    ),
    "backward": (NET, {"q0": (1.0, 2.0), "c0": 0.5, "targets": (0.0, 0.0, 0.0)}),
}
HOSTILE = (
    -5,
    0,
    2.5,
    -1e-300,
    5e-324,
    1e308,
    float("inf"),
    float("nan"),
    10**30,
    10**400,
    "5",
    b"5",
    None,
    True,
    1j,
    [],
    [1.0, "x"],
    [[1.0, 2.0], [3.0]],
    {},
    object(),
    np.zeros((2, 2, 2)),
    np.array([np.nan]),
)
NOT_HERE = {  # rooms with a door of their own
    "correlation_map",
    "derivative_kernel",
    "kernel",
    "kernel_diagonal",
    "kernel_layers",
    "kernel_map",
    "kernel_matrix",
    "metric_covariance",
    "nngp",
    "ntk",
    "one_minus_correlation_map",
    "process_kernel",
}


def test_the_table_has_every_public_function():
    functions = {n for n in theory.__all__ if inspect.isfunction(getattr(theory, n))}
    special = {"depth_scale", "normalizing_parameter"}  # tried below
    assert functions - NOT_HERE - special == set(CALLS)


def arguments():
    for name, call in CALLS.items():
        *positional, keywords = call
        for i in range(1, len(positional)):
            yield name, i
        for key in keywords:
            yield name, key


@pytest.mark.parametrize(("name", "which"), list(arguments()), ids=str)
def test_hostile_arguments_are_refused_in_a_sentence_or_answered(name, which):
    *positional, keywords = CALLS[name]
    refused = 0
    for bad in HOSTILE:
        args, kwargs = list(positional), dict(keywords)
        if isinstance(which, int):
            args[which] = bad
        else:
            kwargs[which] = bad
        try:
            getattr(theory, name)(*args, **kwargs)
        except (ValueError, TypeError, ChioneError) as err:
            refused += 1
            message = str(err)
            assert 10 < len(message) < 500, (bad, message)
            assert message.rstrip().endswith((".", "?")), (bad, message)
            assert "unpack" not in message, (bad, message)
            assert "not supported between" not in message, (bad, message)
    assert refused >= 5


@pytest.mark.parametrize("scheme", ["xavier", "he", "lecun", "pytorch", "calculate_gain"])
@pytest.mark.parametrize("depth", [-5, 0, 2.5, True, "50", None])
def test_a_scheme_is_described_for_whole_numbers_of_layers_only(scheme, depth):
    with pytest.raises((ValueError, TypeError), match="depth must be"):
        theory.describe_scheme("tanh", scheme, depth=depth)


@pytest.mark.parametrize("sigma", [1e120, 1e308])
@pytest.mark.parametrize("name", ["mean_field", "fixed_points", "trajectory", "iterate_lengths"])
def test_a_sigma_whose_square_leaves_float64_is_refused(name, sigma):
    *positional, keywords = CALLS[name]
    for key in ("sigma_w", "sigma_b"):
        with pytest.raises(ValueError, match=f"{key} must be at most"):
            getattr(theory, name)(*positional, **{**keywords, key: sigma})


def test_a_bracket_has_two_ends_and_a_family_can_be_called():
    with pytest.raises(ValueError, match="bracket must hold two values"):
        theory.normalizing_parameter(lambda a: "tanh", bracket=(1.0,))
    with pytest.raises(TypeError, match="family must take alpha"):
        theory.normalizing_parameter("elu", bracket=(1.0, 2.0))


@pytest.mark.parametrize("depth", [10**9, 99999999999999999999, 10**250])
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_a_recommendation_for_any_depth_needs_no_loop_over_the_layers(name, depth, monkeypatch):
    from chione.theory.meanfield import iterated_maps

    steps = 0
    one = iterated_maps.Walk.step

    def counted(self, log_q, log_gap):
        nonlocal steps
        steps += 1
        return one(self, log_q, log_gap)

    monkeypatch.setattr(iterated_maps.Walk, "step", counted)
    made = theory.describe_scheme(name, "he", depth=depth)
    assert steps < 20_000
    # he keeps relu; tanh under it is chaotic: its gradient grows by chi_perp(q*) a layer
    if name == "relu":
        assert abs(made.log10_gradient) < 1e-9
    else:
        exact = np.log10(chione.mean_field(name, sigma_w=2**0.5).chi_perp.value) * float(depth)
        assert abs(made.log10_gradient - exact) <= 1e-5 * abs(exact)
