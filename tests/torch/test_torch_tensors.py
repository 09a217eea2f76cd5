"""Single-tensor initialisers, tested through real modules."""

import math

import pytest

torch = pytest.importorskip("torch")

from chione.torch.capture.layouts import layout_of  # noqa: E402 - needs torch
from chione.torch.initialisation.tensors import (  # noqa: E402
    critical_normal_,
    critical_uniform_,
    delta_orthogonal_,
    haar,
    normal_,
    orthogonal_,
)

nn = torch.nn


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ratio(module, weight_initialiser, shape, inner=None, **options):
    """Mean square out over mean square in, for white inputs; `inner` crops the borders."""
    with torch.no_grad():
        weight_initialiser(module.weight, 1.3, generator=generator(), **options)
        module.bias.zero_()
        x = torch.randn(shape, generator=generator(1))
        y = module(x)
        if inner is not None:
            y = y[..., inner:-inner, inner:-inner]
    return float(y.square().mean() / x.square().mean())


@pytest.mark.parametrize("sizes", [(128, 512), (512, 128), (67, 67)])
@pytest.mark.parametrize("initialiser", [orthogonal_, delta_orthogonal_, normal_])
def test_dense_layers_keep_the_mean_square_whatever_their_shape(sizes, initialiser):
    found = ratio(nn.Linear(*sizes), initialiser, (400, sizes[0]))
    # 400 inputs of n entries: the standard error is below 1 % for an isometry.
    assert abs(found / 1.3**2 - 1.0) < 0.03


@pytest.mark.parametrize(("fan_in", "fan_out"), [(128, 512), (512, 128)])
def test_the_mean_square_of_orthogonal_weights_is_exact(fan_in, fan_out):
    w = torch.empty(fan_out, fan_in, dtype=torch.float64)
    orthogonal_(w, 0.7, generator=generator())
    assert abs(float(w.square().mean()) * fan_in - 0.49) < 1e-13
    small = w @ w.T if fan_out < fan_in else w.T @ w
    off = small - torch.diag(torch.diagonal(small))
    assert float(off.abs().max()) < 1e-13


@pytest.mark.parametrize("channels", [(6, 24), (24, 6)])
def test_convolutions_keep_the_mean_square_away_from_the_border(channels):
    conv = nn.Conv2d(*channels, 3, padding=1)
    assert abs(ratio(conv, orthogonal_, (20, channels[0], 24, 24), inner=1) / 1.69 - 1) < 0.05
    assert abs(ratio(conv, normal_, (20, channels[0], 24, 24), inner=1) / 1.69 - 1) < 0.15


def test_a_delta_orthogonal_convolution_is_an_isometry_up_to_the_border():
    conv = nn.Conv2d(8, 20, 5, padding=2, padding_mode="zeros", bias=False)
    delta_orthogonal_(conv.weight, 1.0, generator=generator())
    x = torch.randn(3, 8, 9, 9, generator=generator(2))
    y = conv(x)
    expected = x.square().sum(dim=1) * 20 / 8
    assert torch.allclose(y.square().sum(dim=1), expected, rtol=1e-5)


def test_grouped_convolutions_get_a_block_for_each_group():
    conv = nn.Conv1d(12, 18, 3, groups=3, bias=False)
    orthogonal_(conv.weight, 1.0, groups=3, generator=generator())
    for block in conv.weight.detach().double().reshape(3, 6, 12).unbind():
        assert torch.allclose(block @ block.T, torch.eye(6).double(), atol=1e-6)


@pytest.mark.parametrize("initialiser", [orthogonal_, delta_orthogonal_, normal_])
@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolutions_keep_the_mean_square_with_and_without_stride(initialiser, stride):
    conv = nn.ConvTranspose2d(16, 40, 4, stride=stride, padding=2)
    options = {"transposed": True, "stride": stride}
    found = ratio(conv, initialiser, (60, 16, 20, 20), inner=4, **options)
    assert abs(found / 1.69 - 1.0) < 0.1


def test_a_weight_with_the_input_axis_first_is_the_transpose():
    a, b = torch.empty(7, 31), torch.empty(31, 7)
    orthogonal_(a, generator=generator(3))
    orthogonal_(b, transposed=True, generator=generator(3))
    assert torch.equal(a, b.T)
    assert layout_of(b, transposed=True).fan_in == 31


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_weights_are_rounded_from_an_isometry_in_float32(dtype):
    low, exact = torch.empty(40, 90, dtype=dtype), torch.empty(40, 90)
    orthogonal_(low, generator=generator(5))
    orthogonal_(exact, generator=generator(5))
    assert torch.equal(low, exact.to(dtype))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-6), (torch.float64, 1e-14)])
def test_isometries_hold_to_the_rounding_of_their_own_precision(dtype, error):
    w = orthogonal_(torch.empty(200, 300, dtype=dtype), generator=generator(5)).double()
    assert float((w @ w.T - torch.eye(200).double()).abs().max()) < error


def test_the_isometries_have_the_moments_of_haar_measure():
    traces = torch.tensor([float(torch.trace(haar(5, 5, generator(s)))) for s in range(2000)])
    # E tr Q = 0 and E (tr Q)^2 = 1 for the orthogonal group; without the sign rule E tr Q < 0.
    assert abs(float(traces.mean())) < 4 / math.sqrt(2000)
    assert abs(float(traces.square().mean()) - 1.0) < 4 * math.sqrt(2.0 / 2000)


def test_the_same_generator_state_gives_the_same_weights_and_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    for initialiser in (
        orthogonal_,
        delta_orthogonal_,
        normal_,
        critical_normal_,
        critical_uniform_,
    ):
        a, b = torch.empty(9, 14), torch.empty(9, 14)
        initialiser(a, generator=generator(8))
        initialiser(b, generator=generator(8))
        assert torch.equal(a, b)
    assert torch.equal(before, torch.get_rng_state())


def test_critical_weights_have_the_critical_variance():
    w = torch.empty(600, 300)
    critical_normal_(w, "relu", generator=generator())
    assert abs(float(w.square().mean()) * 300 - 2.0) < 0.03
    critical_uniform_(w, "relu", generator=generator())
    assert abs(float(w.square().mean()) * 300 - 2.0) < 0.03
    assert float(w.abs().max()) <= math.sqrt(6.0 / 300)


@pytest.mark.parametrize("initialiser", [orthogonal_, delta_orthogonal_, normal_, critical_normal_])
def test_a_bias_is_refused_with_what_to_do(initialiser):
    with pytest.raises(ValueError, match=r"at least two axes.*torch\.nn\.init\.normal_"):
        initialiser(torch.empty(5))


def test_groups_that_do_not_divide_and_negative_sigma_are_refused():
    with pytest.raises(ValueError, match="2 does not divide 9"):
        orthogonal_(torch.empty(9, 3, 3), groups=2)
    with pytest.raises(ValueError, match="sigma_w must be 0 or above"):
        orthogonal_(torch.empty(9, 3), -1.0)
