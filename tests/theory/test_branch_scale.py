"""The branch scale that keeps lengths and gradients of a residual stack in a band."""

import math

import pytest
from block_oracle import pre_norm

from chione.networks import Dense, Input, Network, Nonlinearity, Norm, Repeat, Residual
from chione.theory import branch_scale
from chione.theory.layers.walk import propagate


def walked(found):
    """q_L / q_0 and P_0 / P_L of the whole network, block by block."""
    network = Network([Repeat(found.depth, found.block.layers)], Input(512))
    passed = propagate(network)
    q = [passed.streams[p].second_moments().value[0, 0] for p in ("input", "layers[0]")]
    return q[1] / q[0], passed.backward()["input"].second_moments().value[0, 0]


@pytest.mark.parametrize("v", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("depth", [12, 1000, 20000])
@pytest.mark.sampled(4)
def test_relu_branches_get_one_over_the_root_of_the_depth(v, depth):
    found = branch_scale([Residual([Nonlinearity("relu"), Dense(math.sqrt(2.0 * v))])], depth)
    # (1 + b^2 v)^L = e
    exact = math.sqrt(math.expm1(1.0 / depth) / v)
    assert abs(found.scale.value - exact) <= found.scale.error < 1e-9
    assert found.scale.value == pytest.approx(1.0 / math.sqrt(v * depth), rel=1.0 / depth)


@pytest.mark.parametrize(
    "block",
    [
        [pre_norm("gelu", 1.6, 1.4)],
        [Residual([Nonlinearity("tanh"), Dense(1.9, 0.2)])],
        [pre_norm("silu", 2.0, 1.2), pre_norm("relu", 1.0, 1.0, scale=0.5)],
        [Residual([Dense(2.4), Nonlinearity("gelu"), Dense(1.4)]), Norm("layer")],
    ],
)
def test_the_whole_network_stays_in_its_band_and_touches_it(block):
    found = branch_scale(block, 64, band=1.5)
    lengths, gradients = walked(found)
    for mine, theirs in ((found.length_ratio, lengths), (found.gradient_ratio, gradients)):
        assert abs(mine.value - theirs) <= mine.error + 1e-12 * theirs
        assert mine.error < 1e-8
    farthest = max(abs(math.log(lengths)), abs(math.log(gradients)))
    if found.limited_by == "nothing":
        assert farthest <= math.log(1.5)
    else:
        assert farthest == pytest.approx(math.log(1.5), rel=1e-9)
        larger = "lengths" if abs(math.log(lengths)) >= farthest else "gradients"
        # relu-like blocks change both alike
        assert found.limited_by == larger or lengths == pytest.approx(gradients, rel=1e-9)


def test_stacks_that_stay_in_the_band_are_left_alone():
    found = branch_scale([Residual([Nonlinearity("relu"), Dense(0.1)])], 20)
    assert (found.scale.value, found.limited_by) == (1.0, "nothing")
    assert "no scale is needed" in found.reason


def test_factors_that_branches_have_already_are_multiplied():
    block = [pre_norm("silu", 2.0, 1.2), pre_norm("relu", 1.0, 1.0, scale=0.5)]
    found = branch_scale(block, 64)
    one, two = found.block.layers
    assert one.scale == found.scale.value
    assert two.scale == 0.5 * found.scale.value


def test_a_block_without_skip_or_with_one_that_shrinks_is_refused():
    with pytest.raises(ValueError, match="residual connection"):
        branch_scale([Dense(1.0), Nonlinearity("tanh")], 10)
    with pytest.raises(ValueError, match="without the branches"):
        branch_scale([Residual([Nonlinearity("tanh"), Dense(1.0)], skip=0.5)], 10)
    with pytest.raises(ValueError, match="band must be above 1"):
        branch_scale([Residual([Dense(1.0)])], 10, band=1.0)
