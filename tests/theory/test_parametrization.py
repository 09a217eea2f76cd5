"""Names and regimes of parametrisations, as Yang & Hu 2021 have them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chione as ch

THREE = {  # a, b, c for three hidden layers; r, name, regime, slopes of dh, of f and df
    "standard, lr O(1)": (
        ([0] * 4, [0, 0.5, 0.5, 0.5], 0), -1, "standard", "unstable", (-0.5, 0.5, 0.5), (0, 1),
    ),
    "standard, lr 1/n": (
        ([0] * 4, [0, 0.5, 0.5, 0.5], 1), 0.5, "standard", "kernel", (-1.5, -0.5, -0.5), (0, 0),
    ),
    "NTK": (([0, 0.5, 0.5, 0.5], [0] * 4, 0), 0.5, "NTK", "kernel", (-0.5, -0.5, -0.5), (0, 0)),
    "muP": (
        ([-0.5, 0, 0, 0.5], [0.5] * 4, 0), 0, "muP", "feature learning", (0, 0, 0), (-0.5, 0),
    ),
    "1/n everywhere": (
        ([0, 1, 1, 1], [0] * 4, -1), 0, "mean-field", "trivial", (math.nan,) * 3, (math.nan,) * 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", THREE)
def test_the_table_of_usual_schemes(case):
    abc, r, name, regime, updates, output = THREE[case]
    found = ch.parametrization(*abc)
    assert (found.r, found.name, found.regime) == (r, name, regime)
    assert np.array_equal(found.update_slopes, updates, equal_nan=True)
    assert np.array_equal(found.output_slopes, output, equal_nan=True)
    assert found.stable == (regime in ("kernel", "feature learning"))
    assert bool(found.reasons) == (not found.stable)


def test_mean_field_of_one_hidden_layer_learns_features():
    found = ch.parametrization([0, 1], [0, 0], -1)
    assert (found.name, found.r, found.regime) == ("mean-field", 0, "feature learning")
    assert ch.parametrization([-0.5, 0.5], [0.5, 0.5], 0).name == "mean-field"  # muP is the same


@pytest.mark.parametrize("shift", [-0.5, 0.25, 1.0])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_a_multiplier_takes_from_the_weights_changes_nothing(shift, optimizer):
    """(a, b, c) -> (a + t, b - t, c - 2 t) is the same training by SGD, c - t by Adam."""
    rng = np.random.default_rng(3)
    back = 2.0 if optimizer == "sgd" else 1.0
    for _ in range(50):
        a, b, c = (rng.integers(-2, 3, 4) / 2 for _ in range(3))
        one = ch.parametrization(a, b, c, optimizer=optimizer)
        two = ch.parametrization(a + shift, b - shift, c - back * shift, optimizer=optimizer)
        assert (one.name, one.r, one.regime, one.reasons) == (
            two.name,
            two.r,
            two.regime,
            two.reasons,
        )


def test_r_and_stability_are_those_of_the_paper_for_random_exponents():
    """The conditions of theorem 3.2 and definition 3.2, written out again layer by layer."""
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(4000):
        near = rng.random(4) < 0.9
        s = np.where(near, [0, 0.5, 0.5, rng.choice([0.5, 1.0])], rng.integers(0, 4, 4) / 2)
        a, c = rng.integers(-1, 3, 4) / 2, float(rng.integers(-2, 3)) / 2
        found = ch.parametrization(a, s - a, c)
        r = min(s[3], 2 * a[3] + c) + c - 1 + min(2 * a[0] + 1, 2 * a[1], 2 * a[2])
        starts = s[0] == 0 and s[1] == s[2] == 0.5 and s[3] >= 0.5
        stable = starts and r >= 0 and 2 * a[3] + c >= 1 and s[3] + r >= 1
        moves = 2 * a[3] + c == 1 or s[3] + r == 1
        assert found.r == r
        assert found.stable == stable
        if stable:
            wanted = ("feature learning" if r == 0 else "kernel") if moves else "trivial"
            assert found.regime == wanted
            seen.add(wanted)
    assert seen == {"feature learning", "kernel", "trivial"}


def test_adam_learns_features_with_rates_of_one_over_fan_in():
    """Tensor Programs V, table 3: hidden and output rates 1/n, input O(1), output weights 1/n."""
    found = ch.parametrization([0] * 4, [0, 0.5, 0.5, 1], [0, 1, 1, 1], optimizer="adam")
    assert (found.name, found.regime, found.r) == ("muP", "feature learning", 0)
    standard = ch.parametrization([0] * 4, [0, 0.5, 0.5, 0.5], 1, optimizer="adam")
    assert (standard.name, standard.regime) == ("standard", "unstable")
    assert standard.reasons == ("What features move changes the output by n^0.5 in a step.",)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"shapes are \(2,\) and \(3,\)"):
        ch.parametrization([0, 0], [0, 0, 0], 0)
    with pytest.raises(ValueError, match=r"c must be one exponent or 2, .* shape is \(3,\)"):
        ch.parametrization([0, 0], [0, 0], [0, 0, 0])
