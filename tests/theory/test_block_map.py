"""A block of layers as a map: values, slopes, gradients and gaps, and their errors."""

import mpmath as mp
import numpy as np
import pytest
from block_oracle import MP_FORMS, expectation, pre_norm, within

import chione as ch
from chione.base import UnsupportedLayerError
from chione.networks import (
    Convolution,
    Dense,
    Dropout,
    Gate,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Parallel,
    Repeat,
    Residual,
)
from chione.networks.layer import ShapeError
from chione.theory.layers.block import BlockMap
from chione.theory.layers.walk import propagate


@pytest.mark.parametrize("phi", ["tanh", "gelu", "silu", "relu"])
@pytest.mark.parametrize("q", [0.03, 1.7, 40.0])
@pytest.mark.sampled(5)
def test_value_slope_and_gradient_of_a_residual_block_are_those_of_mpmath(phi, q):
    w1, b1, w2, scale = 1.3, 0.2, 0.9, 0.7
    block = BlockMap([Residual([Dense(w1, b1), Nonlinearity(phi), Dense(w2)], scale=scale)])
    f = MP_FORMS[phi]
    with mp.workdps(30):
        gain = mp.mpf(scale) ** 2 * mp.mpf(w2) ** 2

        def v(q):
            inner = mp.mpf(w1) ** 2 * mp.mpf(q) + mp.mpf(b1) ** 2
            return q + gain * expectation(lambda h: f(h) ** 2, inner)

        inner = mp.mpf(w1) ** 2 * mp.mpf(q) + mp.mpf(b1) ** 2

        def prime(h):
            return mp.mpf(h > 0) if phi == "relu" else mp.diff(f, h)

        with mp.workdps(20):
            steep = expectation(lambda h: prime(h) ** 2, inner)
        step = mp.mpf(q) / 10**6
        slope = (v(mp.mpf(q) + step) - v(mp.mpf(q) - step)) / (2 * step)
        assert within(block.value(q), v(mp.mpf(q)))
        # the difference is right to the square of the step, 1e-12
        assert abs(block.slope(q).value - slope) <= block.slope(q).error + 2e-12
        assert within(block.gradient(q), 1 + gain * mp.mpf(w1) ** 2 * steep, factor=1.0)
    for e in (block.value(q), block.slope(q), block.gradient(q)):
        assert e.error <= 2e-11 * max(abs(e.value), 1.0)


def test_the_gap_of_relu_residuals_keeps_its_relative_accuracy_down_to_tiny_ones():
    v = 0.7
    block = BlockMap([Residual([Nonlinearity("relu"), Dense(np.sqrt(2.0 * v))])])
    gaps = np.array([1e-15, 1e-10, 1e-6, 1e-3, 0.1, 0.9, 1.0, 1.4, 1.999])
    found = block.gap(2.3, gaps)
    with mp.workdps(40):
        for i, gap in enumerate(gaps):
            e = mp.mpf(float(gap))
            c, w = 1 - e, mp.mpf(float(np.sqrt(2.0 * v))) ** 2 / 2
            angle = mp.acos(c)
            f = (mp.sqrt(1 - c * c) + (mp.pi - angle) * c) / mp.pi
            exact = (e + w * (1 - f)) / (1 + w)
            assert within(found[i], exact)
            assert found.error[i] <= 1e-11 * float(exact)


def test_slopes_of_the_correlation_map_are_its_differences():
    for layers in (
        [pre_norm("gelu", 1.2, 1.1)],
        [Nonlinearity("tanh"), Dropout(0.8), Dense(1.3, 0.2)],
        [Gate("silu", sigma_u=1.3, sigma_v=0.8), Dense(0.9)],
        [Residual([Dense(1.2), Nonlinearity("relu"), Dense(1.1)]), Norm("rms")],
        [Parallel([[Dense(1.0), Nonlinearity("erf"), Dense(1.0)], [Dense(0.5)]], "sum")],
    ):
        block = BlockMap(layers)
        for q, gap in ((0.8, 0.3), (1.0, 1e-3), (3.0, 1.2)):
            step = 1e-4 * gap
            pair = block.gap(np.full(2, q), np.array([gap - step, gap + step])).value
            difference = (pair[1] - pair[0]) / (2.0 * step)
            assert block.correlation_slope(q, gap).value == pytest.approx(difference, rel=3e-7)


def test_one_walk_over_many_lengths_equals_many_walks_over_one():
    block = BlockMap([pre_norm("silu", 1.2, 1.1), pre_norm("gelu", 0.8, 1.3, norm="rms")])
    q, gap = np.geomspace(1e-3, 1e3, 40), np.linspace(1e-6, 1.9, 40)
    for name in ("value", "gradient", "gap", "correlation_slope"):
        args = (q, gap) if name in ("gap", "correlation_slope") else (q,)
        together = getattr(block, name)(*args)
        for i in (0, 13, 39):
            alone = getattr(block, name)(*(a[i] for a in args))
            assert abs(together.value[i] - alone.value) <= together.error[i] + alone.error


def test_a_block_is_the_walk_through_its_layers():
    layers = (pre_norm("gelu", 1.2, 1.1), Residual([Dense(0.7), Nonlinearity("tanh"), Dense(1.0)]))
    block, q, c = BlockMap(layers), 1.7, 0.4
    network = Network(layers, Input(512, inputs=((q, q * c), (q * c, q))))
    walked = propagate(network)
    k, d = walked.output.second_moments().value, block.gap(q, 1.0 - c)
    assert block.value(q).value == pytest.approx(k[0, 0], rel=1e-14)
    assert d.value == pytest.approx(1.0 - k[0, 1] / k[0, 0], rel=1e-12)
    home = walked.backward("shared")["input"].second_moments().value
    assert block.gradient(q).value == pytest.approx(home[0, 0], rel=1e-14)
    assert block.covariance_slope(q, 1.0 - c).value == pytest.approx(home[0, 1], rel=1e-13)


def test_width_ratios_inside_a_block_cancel():
    def block(hidden):
        return BlockMap([Residual([Norm(), Dense(1.2, 0.1, hidden), Nonlinearity("gelu"),
                                   Dense(1.1, 0.0, 512)])])  # fmt: skip

    for name in ("value", "gradient"):
        narrow, wide = (getattr(block(n), name)(2.0).value for n in (128, 4096))
        assert narrow == pytest.approx(wide, rel=1e-14)


def test_dense_then_activation_is_read_where_it_is_gaussian():
    one = BlockMap([Dense(1.3, 0.3), Nonlinearity("tanh")])
    two = BlockMap([Nonlinearity("tanh"), Dense(1.3, 0.3)])
    assert (one.start, two.start) == (1, 0)
    assert one.value(0.6) == two.value(0.6)


@pytest.mark.parametrize("phi", ["tanh", "gelu", "relu", "erf", "silu", "sin", "softsign"])
def test_a_plain_block_is_the_plain_maps_at_random_sigmas(phi):
    rng = np.random.default_rng([7, sum(map(ord, phi))])
    for _ in range(4):
        w, b, q = rng.uniform(0.3, 2.5), rng.uniform(0.0, 0.6), float(np.exp(rng.uniform(-4, 4)))
        block = BlockMap([Dense(w, b), Nonlinearity(phi)])
        for mine, theirs in (
            (block.value(q), ch.theory.length_map(phi, q, sigma_w=w, sigma_b=b)),
            (block.slope(q), ch.theory.chi_parallel(phi, q, sigma_w=w)),
            (block.gradient(q), ch.theory.chi_perp(phi, q, sigma_w=w)),
        ):
            assert abs(mine.value - theirs.value) <= mine.error + theirs.error


def test_a_circular_convolution_is_a_dense_layer_where_positions_are_alike():
    conv = BlockMap([Convolution(3, 1.2, 0.1, padding="circular"), Nonlinearity("tanh")], grid=(7,))
    dense = BlockMap([Dense(1.2, 0.1), Nonlinearity("tanh")])
    for name, args in (("value", (0.5,)), ("gradient", (0.5,)), ("gap", (0.5, 0.3))):
        assert getattr(conv, name)(*args).value == pytest.approx(
            getattr(dense, name)(*args).value, rel=1e-13
        )
    assert conv.covariance_slope(0.5, 0.3).value == pytest.approx(
        dense.covariance_slope(0.5, 0.3).value, rel=1e-13
    )


def test_zero_padding_has_no_one_length():
    with pytest.raises(UnsupportedLayerError, match="positions differ"):
        BlockMap([Convolution(3, 1.2), Nonlinearity("tanh")], grid=(7,)).value(1.0)


@pytest.mark.parametrize("batch", [6, 16])
def test_linear_batch_norm_layers_explode_by_b_minus_2_over_b_minus_3(batch):
    block = BlockMap([Dense(1.3), Norm("batch")], batch=batch)
    q = block.value(0.7, 0.4).value
    assert q == pytest.approx(1.3**2, rel=1e-12)
    found = block.gradient(q, batch / (batch - 1))
    assert found.value == pytest.approx((batch - 2) / (batch - 3), rel=1e-10)
    assert abs(found.value - (batch - 2) / (batch - 3)) <= found.error


@pytest.mark.parametrize(
    ("phi", "exact"), [("relu", mp.pi / (mp.pi - 1)), ("tanh", None), ("gelu", None)]
)
def test_large_batches_give_the_factor_of_yang_whatever_the_weights(phi, exact):
    f = MP_FORMS[phi]
    if exact is None:
        with mp.workdps(20):
            steep = expectation(lambda h: mp.diff(f, h) ** 2, 1)
            spread = expectation(lambda h: f(h) ** 2, 1) - expectation(f, 1) ** 2
            exact = steep / spread
    for w in (0.6, 2.0):
        block = BlockMap([Dense(w), Norm("batch"), Nonlinearity(phi)])
        q = block.value(1.0).value
        gap = block.gap(1.0, 0.5).value
        found = block.gradient(q, gap)
        assert abs(found.value - float(exact)) <= found.error + 1e-12
        assert found.error < 1e-11
    if phi == "tanh":
        assert float(exact) == pytest.approx(1.1778, abs=5e-5)


def test_what_second_moments_do_not_determine_is_refused_with_the_reason():
    with pytest.raises(UnsupportedLayerError, match=r"Gaussian|mean"):
        BlockMap([Residual([Dense(1.0), Nonlinearity("relu")]), Nonlinearity("tanh")])
    with pytest.raises(ShapeError, match="must keep its shape"):
        BlockMap([Dense(1.0, 0.0, 64)])
    with pytest.raises(ValueError, match="at least one layer"):
        BlockMap([])
    with pytest.raises(ValueError, match="one_minus_c must be from 0 to 2"):
        BlockMap([Dense(1.0)]).gap(1.0, 2.5)
    with pytest.raises(ValueError, match="q must be zero or above"):
        BlockMap([Dense(1.0)]).value(-1.0)


def test_repeats_inside_a_block_compose():
    once = BlockMap([pre_norm("gelu", 1.2, 1.1)])
    thrice = BlockMap([Repeat(3, [pre_norm("gelu", 1.2, 1.1)])])
    q = 1.0
    for _ in range(3):
        q = once.value(q).value
    assert thrice.value(1.0).value == pytest.approx(q, rel=1e-14)
