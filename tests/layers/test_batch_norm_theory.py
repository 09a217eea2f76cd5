"""Batch norm: its integrals against closed forms, and against sampled channels."""

from __future__ import annotations

import numpy as np
import pytest

from chione.base import UnsupportedLayerError
from chione.networks import Dense, Input, Network, Norm, Residual
from chione.theory.layers.walk import propagate


def batch(gram, *layers):
    return Network(layers or (Norm("batch"),), Input(8, (), np.asarray(gram).tolist()))


def matrix(bounded):
    return bounded.value, bounded.error


@pytest.mark.parametrize("size", [4, 6, 16, 64])
def test_independent_inputs_have_the_closed_forms(size):
    walked = propagate(batch(1.7 * np.eye(size)))
    k, error = matrix(walked.output.second_moments())
    wanted = (np.eye(size) * size - 1.0) / (size - 1.0)
    assert np.all(np.abs(k - wanted) <= error)
    assert error.max() < 1e-10
    p, error = matrix(walked.backward()["input"].second_moments())
    # |G h|^2 is a chi-square of size - 1 degrees, whose inverse has the mean 1 / (size - 3)
    assert np.all(np.abs(np.diagonal(p) - (size - 2) / (size - 3) / 1.7) <= np.diagonal(error))
    assert error.max() < 1e-9


@pytest.mark.parametrize("size", [5, 6, 16])
def test_gradients_of_independent_cotangents_must_first_become_centred(size):
    """(B - 1)(B - 2) / (B (B - 3)) behind another norm, then (B - 2) / (B - 3) for good."""
    gram = (size * np.eye(size) - 1.0) / (size - 1.0)
    p = propagate(batch(gram)).backward()["input"].second_moments().value
    wanted = (size - 1) * (size - 2) / (size * (size - 3))
    assert np.trace(p) / size == pytest.approx(wanted, rel=1e-11)


def test_gradients_that_are_centred_over_the_batch_grow_by_b_minus_2_over_b_minus_3():
    size, layers = 6, 12
    net = batch(
        np.eye(size), *[layer for _ in range(layers) for layer in (Dense(1.0), Norm("batch"))]
    )
    walked = propagate(net)
    found = walked.backward()
    places = [f"layers[{2 * i + 1}]" for i in range(layers)]
    traces = [np.trace(found[place].second_moments().value) for place in places]
    assert traces[2] / traces[3] == pytest.approx((size - 2) / (size - 3), rel=1e-9)


def test_any_batch_against_sampled_channels():
    rng = np.random.default_rng(4)
    size, n = 6, 400_000
    root = rng.standard_normal((size, size)) / np.sqrt(size)
    gram = root @ root.T + 0.3 * np.ones((size, size))
    gram = 0.5 * (gram + gram.T)
    gradient = rng.standard_normal((size, 2))
    p = gradient @ gradient.T
    for eps in (0.0, 0.4):
        walked = propagate(batch(gram, Norm("batch", gain=1.3, bias=0.2, eps=eps)))
        h = rng.multivariate_normal(np.zeros(size), gram, size=n)
        centred = h - h.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
        y = 1.3 * centred / spread
        close(walked.output.second_moments().value - 0.2**2, y, y)
        g = rng.standard_normal((n, 2)) @ gradient.T
        unit = centred / spread
        back = g - g.mean(axis=1, keepdims=True) - unit * (g * unit).mean(axis=1, keepdims=True)
        back = 1.3 * back / spread
        home = type(walked.backward()["input"]).of(p)
        close(walked._home(home).second_moments().value, back, back)


def close(theory, a, b):
    """Theory against a mean of products, in standard errors."""
    products = a[:, :, None] * b[:, None, :]
    mean, se = products.mean(axis=0), products.std(axis=0) / np.sqrt(len(a))
    assert np.all(np.abs(theory - mean) < 5.0 * se)
    assert np.all(se < 0.02 * np.abs(theory).max())


def test_a_batch_of_three_has_no_mean_square_gradient():
    with pytest.raises(UnsupportedLayerError, match="3 are needed"):
        propagate(batch(np.eye(3)))


def test_a_residual_branch_with_batch_norm_stays_gaussian():
    block = Residual([Norm("batch"), Dense(1.0)])
    out = propagate(batch(np.eye(8), block, block, block)).output
    assert out.law.gaussian
    assert np.allclose(np.diagonal(out.second_moments().value), 4.0, rtol=1e-9)
