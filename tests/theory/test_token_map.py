"""Blocks as maps of exchangeable tokens, against closed forms and long iteration."""

import math

import numpy as np
import pytest

import chione as ch
from chione.base import UnsupportedLayerError
from chione.networks import Attention, Dense, Nonlinearity, Norm, Residual, transformer
from chione.networks.layer import ShapeError
from chione.theory.meanfield.token_map import TokenMap

ALPHA, T = 0.6, 16
SKIP = math.sqrt(1.0 - ALPHA**2)


def block(sigma_w, *, score=0.0, alpha=ALPHA):
    """The block of Cowsik et al.: both branches behind an rms norm, lengths settle."""
    skip, root = math.sqrt(1.0 - alpha**2), math.sqrt(score)
    attend = [Norm("rms"), Attention(8, sigma_q=root, sigma_k=root)]
    within = [Norm("rms"), Dense(sigma_w), Nonlinearity("tanh"), Dense(1.0)]
    return [Residual(attend, skip, alpha), Residual(within, skip, alpha)]


def settled_lengths(sigma_w, alpha=ALPHA):
    """q* behind the block and q between its branches where all tokens are one; tanh moments."""
    a2, q = alpha**2, sigma_w**2
    moment = float(ch.second_moment("tanh", q).value)
    slope = q * float(ch.derivative_second_moment("tanh", q).value)
    star = ((1.0 - a2) * a2 + a2 * moment) / (1.0 - (1.0 - a2) ** 2)
    return star, (1.0 - a2) * star + a2, slope


def test_uniform_attention_averages_over_tokens():
    """Rows are all alike: q k (1 + (T - 1) c) / T is added to every pair."""
    c, q, found = 0.3, 2.0, TokenMap([Residual([Attention(8, sigma_q=0.0)])], tokens=T)
    step = found.through(q, 1.0 - c)
    common = q * (1.0 + (T - 1) * c) / T
    assert float(step.length.value) == pytest.approx(q + common, rel=1e-13)
    assert float(step.gap.value) == pytest.approx(q * (1.0 - c) / (q + common), rel=1e-13)


def test_gradients_come_back_from_all_rows():
    """P of a pair gets the mean of P over all pairs of rows, beside its own through the skip."""
    found = TokenMap([Residual([Attention(8, sigma_q=0.0)])], tokens=T)
    own, pair = 1.0 / T, (T - 1.0) / T
    expected = np.eye(2) + np.array([[own, pair], [own, pair]])
    assert found.through(1.0, 0.5, backward=True).backward == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("sigma_w", [0.5, 1.5, 3.0, pytest.param(6.0, marks=pytest.mark.slow)])
def test_the_collapse_exponent_is_the_closed_one(sigma_w):
    """Attention keeps nothing of a small difference, the dense branch its slope."""
    a2 = ALPHA**2
    q, between, slope = settled_lengths(sigma_w)
    gap = (1.0 - a2) * q / between
    expected = math.log(gap * ((1.0 - a2) * between + a2 * slope) / q)
    found = TokenMap(block(sigma_w), tokens=T).exponents()
    assert float(found.collapsed_length.value) == pytest.approx(q, rel=1e-9)
    error = abs(float(found.collapse_exponent.value) - expected)
    assert error <= float(found.collapse_exponent.error)
    assert (found.phase == "collapsed") == (expected < 0.0)


def test_the_gradient_exponent_of_collapsed_tokens_is_that_of_their_mean():
    """The mean over tokens passes attention whole; in both branches norms divide by q."""
    a2, sigma_w = ALPHA**2, 1.5
    q, between, slope = settled_lengths(sigma_w)
    expected = math.log(((1.0 - a2) + a2 / q) * ((1.0 - a2) + a2 * slope / between))
    found = TokenMap(block(sigma_w), tokens=T).exponents()
    assert found.phase == "collapsed"
    error = abs(float(found.gradient_exponent.value) - expected)
    assert error <= float(found.gradient_exponent.error) < 1e-8


@pytest.mark.parametrize("score", [0.0, 2.0])
def test_tokens_stay_where_they_settle_and_come_back(score):
    token_map = TokenMap(block(7.0, score=score), tokens=6)
    found = token_map.exponents()
    assert found.phase == "spread"
    star, q = float(found.one_minus_c_star.value), float(found.q_star.value)
    step = token_map.through(q, star)
    assert abs(float(step.length.value) - q) <= float(found.q_star.error)
    assert abs(float(step.gap.value) - star) <= float(found.one_minus_c_star.error)
    moved = float(token_map.through(q, 1.0001 * star).gap.value) - star
    assert math.log(moved / (1e-4 * star)) == pytest.approx(
        float(found.angle_exponent.value), abs=1e-3
    )
    gap = 1.3 * star
    for _ in range(12):
        step = token_map.through(q, gap)
        q, before, gap = float(step.length.value), gap, float(step.gap.value)
        assert star < gap < before  # they come back
    assert float(found.collapse_exponent.value) > 0.0 > float(found.angle_exponent.value)


def test_lengths_without_an_end_are_told():
    """A pre-norm block adds the same at each step."""
    grows = [Residual([Norm("rms"), Attention(8, sigma_q=0.0)])]
    assert TokenMap(grows, tokens=T).exponents().phase == "growing"
    for init in ("gpt2", "ds", "xavier"):  # by ever so little a block
        (block_of,) = transformer(24, 64, 4, init=init, tokens=T, positions="none").layers[:1]
        found = TokenMap(block_of.layers, tokens=T, width=64).exponents()
        assert found.phase == "growing", init


def test_tokens_that_differ_are_refused():
    with pytest.raises(UnsupportedLayerError, match="tell them apart"):
        TokenMap([Residual([Attention(8, mask="causal")])], tokens=4).through(1.0, 0.5)
    with pytest.raises(UnsupportedLayerError, match="not Gaussian"):
        TokenMap([Nonlinearity("relu")], tokens=4).through(1.0, 0.5)
    with pytest.raises(ShapeError, match="must keep its shape"):
        TokenMap([Dense(out=7)], tokens=4)
    with pytest.raises(ValueError, match="tokens must be at least 2"):
        TokenMap([Dense()], tokens=1)
