"""Theory beside the networks that an independent simulation measured."""

from __future__ import annotations

import numpy as np
import pytest
from grammar import examples, predict, reference, stored

CLOSED = list(examples())


def entries(run, kind, tap, matrix):
    """Theory, mean and standard error of the stored entries."""
    inputs, positions, _ = run["shapes"][tap]
    at = stored(inputs, positions)
    given = run[kind][tap]
    return np.array([matrix[i, j] for i, j in at]), np.array(given["mean"]), np.array(given["se"])


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.sampled(3)
def test_second_moments_and_gradients_are_those_of_the_reference(name):
    found = predict(examples()[name])
    small, large = reference()[name]
    n1, n2 = small["N"], large["N"]
    for kind in ("K", "iid", "shared"):
        taps = set(large[kind]) & set(found[kind])
        assert len(taps) >= len(large[kind]) - 1
        for tap in taps:
            theory, value, se = entries(large, kind, tap, found[kind][tap])
            _, other, other_se = entries(small, kind, tap, found[kind][tap])
            assert np.all(np.abs(theory - value) <= 4 * se + 0.02 * np.abs(value)), (kind, tap)
            limit = (n2 * value - n1 * other) / (n2 - n1)
            limit_se = np.hypot(n2 * se, n1 * other_se) / (n2 - n1)
            assert np.all(np.abs(theory - limit) <= 4 * limit_se + 0.005), (kind, tap)


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.sampled(3)
def test_channel_means_and_tangent_kernels_are_those_of_the_reference(name):
    found = predict(examples()[name])
    run = reference()[name][-1]
    for tap in set(run["m"]) & set(found["m"]):
        mean, se = (np.array(run["m"][tap][key]) for key in ("mean", "se"))
        theory = found["m"][tap]
        assert np.all(np.abs(theory - mean) <= 4 * se + 0.02 * np.abs(mean)), tap
    if "ntk" in run:
        mean, se = (np.array(run["ntk"]["ntk"][key]) for key in ("mean", "se"))
        assert np.all(np.abs(np.array(found["ntk"]) - mean) <= 4 * se + 0.02 * mean)


def test_a_slip_of_two_per_cent_in_a_branch_would_show():
    """The comparison above has the power that it needs: a wrong branch scale is seen."""
    description = examples()["swiglu_prenorm"]
    for block in description["layers"]:
        for layer in block.get("layers", ()):
            if layer["op"] == "residual":
                layer["b"] = 1.03
    found = predict(description)
    small, large = reference()["swiglu_prenorm"]
    theory, value, se = entries(large, "K", "0.3:block", found["K"]["0.3:block"])
    _, other, other_se = entries(small, "K", "0.3:block", found["K"]["0.3:block"])
    limit = (large["N"] * value - small["N"] * other) / (large["N"] - small["N"])
    limit_se = np.hypot(large["N"] * se, small["N"] * other_se) / (large["N"] - small["N"])
    assert np.any(np.abs(theory - limit) > 4 * limit_se + 0.005)


def test_what_does_not_close_has_the_values_before_it():
    description = examples()["bn_relu_B16"]
    masks = {"op": "dropout", "keep": 0.5, "share": "path"}
    description["layers"][0]["layers"].insert(2, masks)
    found = predict(description)
    assert "does not average over them" in found["unclosed"]
    before = {"input", "0.0:block/0:dense", "0.0:block/1:batchnorm"}
    assert set(found["K"]) == before | {"0.0:block/2:dropout"}
    found["K"] = {tap: found["K"][tap] for tap in before}
    run = reference()["bn_relu_B16"][-1]
    for tap in found["K"]:
        theory, value, se = entries(run, "K", tap, found["K"][tap])
        assert np.all(np.abs(theory - value) <= 4 * se + 0.005)
