"""Every kind has a sampler; its way back is the derivative of its way forth."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from booked import Book, BookedDraws
from layer_cases import CASES, LINE, composition

from chione.base import UnsupportedLayerError
from chione.networks import KINDS, Dense, Input, Network, Repeat, Shape
from chione.networks.layer import AbstractLayer
from chione.simulation import layers
from chione.simulation.layers import Draws, chain, draw, leaves

BATCH = (2, 2)  # replicas, inputs


def drawn(layer, shape, seed=1):
    return draw(layer, shape, Draws(seed, 0, BATCH, place="layers[0]"))


def check_backward(step, shape, rng):
    """<g, J dx> by central differences, against <J^T g, dx>, for three cotangents at once."""
    x = rng.standard_normal((*BATCH, shape.positions, shape.width))
    y = step.forward(x)
    g = rng.standard_normal((3, *y.shape))
    back = step.backward(g)
    dx, h = rng.standard_normal(x.shape), 1e-6
    assert back.shape == (3, *x.shape)
    slope = (step.forward(x + h * dx) - step.forward(x - h * dx)) / (2.0 * h)
    expected = np.sum(g * slope, axis=(1, 2, 3, 4))
    found = np.sum(back * dx, axis=(1, 2, 3, 4))
    size = np.sqrt(np.sum(g**2, axis=(1, 2, 3, 4)) * np.sum(slope**2))
    assert np.all(np.abs(found - expected) < 1e-7 * size)


def test_every_kind_has_a_file_of_its_name_with_its_sampler():
    for kind in KINDS:
        module = import_module(f"chione.simulation.layers.{kind.word}")
        assert Path(module.__file__).stem == import_module(kind.__module__).__name__.split(".")[-1]
        sampler = draw.dispatch(kind)
        assert sampler.__module__ == module.__name__
    assert {kind.word for kind in KINDS} == {name.split()[0] for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_each_kind_is_that_of_finite_differences(name):
    layer, shape = CASES[name]
    step = drawn(layer, shape)
    check_backward(step, shape, np.random.default_rng(3))
    after = layer.after(shape, "layers[0]")
    x = np.ones((*BATCH, shape.positions, shape.width))
    assert step.forward(x).shape == (*BATCH, after.positions, after.width)


@pytest.mark.parametrize("seed", range(40))
def test_the_gradient_of_random_compositions_is_that_of_finite_differences(seed):
    rng = np.random.default_rng(seed)
    shape = Shape(int(rng.integers(2, 5)) * 2, [(), (3,), (3, 2), (4,)][seed % 4])
    tree, _ = composition(rng, shape, int(rng.integers(2, 7)))
    check_backward(chain(tree, shape, Draws(seed, 0, BATCH), "layers"), shape, rng)


def parameter_slopes(layer, shape, x, g):
    """d<g, y>/d parameter, one after the other, by drawing the whole network again."""

    def value(move, by):
        book = Book(move, by)
        step = draw(layer, shape, BookedDraws(5, 0, BATCH, place="layers[0]", book=book))
        # a sum over inputs, positions and channels, one number for each copy
        return np.sum(g * step.forward(x), axis=(-3, -2, -1)), book.count

    _, count = value(None, 0.0)
    h = 1e-6
    slopes = [(value(i, h)[0] - value(i, -h)[0]) / (2.0 * h) for i in range(count)]
    return np.array(slopes).reshape(count, BATCH[0])


NORMAL_PARAMETERS = [
    name
    for name in CASES
    if name.split()[-1] not in ("orthogonal", "uniform", "truncated", "delta", "scale")
]


@pytest.mark.parametrize("name", NORMAL_PARAMETERS)
@pytest.mark.sampled(4)
def test_parameter_gradients_are_those_of_networks_drawn_with_one_parameter_moved(name):
    layer, shape = CASES[name]
    rng = np.random.default_rng(7)
    x = rng.standard_normal((*BATCH, shape.positions, shape.width))
    step = drawn(layer, shape, seed=5)
    g = rng.standard_normal(step.forward(x).shape)
    step.backward(g)
    expected = parameter_slopes(layer, shape, x, g)  # (parameters, copies)
    found = [a.reshape(BATCH[0], -1) for a in step.parameter_gradients()]
    gram = sum((a @ a.T for a in found), np.zeros((2, 2)))
    np.testing.assert_allclose(gram, expected.T @ expected, rtol=1e-5, atol=1e-7)
    assert sum(a.shape[1] for a in found) == len(expected)
    # each copy on its own: sums of parameters, whose order is free within a layer
    every = np.concatenate([np.zeros((2, 0)), *found], axis=1)
    np.testing.assert_allclose(np.sort(every), np.sort(expected.T), rtol=1e-5, atol=1e-7)


def test_parameters_of_fixed_laws_are_their_entries_in_units_of_their_size():
    for law in ("orthogonal", "uniform", "truncated", "delta"):
        step = drawn(Dense(1.3, 0.0, 4, law), LINE)
        x, g = np.ones((*BATCH, 3, 6)), np.ones((*BATCH, 3, 4))
        step.forward(x)
        step.backward(g)
        (found,) = step.parameter_gradients()
        np.testing.assert_allclose(found, 6.0 * 1.3 / np.sqrt(6.0))  # 2 inputs, 3 positions


def test_a_network_does_not_depend_on_how_many_are_drawn_and_repetitions_are_fresh():
    def output(network):
        tree = (Repeat(2, (Dense(1.2, 0.3),)),)
        return chain(tree, LINE, Draws(4, network, BATCH), "layers").forward(
            np.ones((*BATCH, 3, 6))
        )

    assert np.array_equal(output(3), output(3))
    assert not np.array_equal(output(3), output(4))
    block = chain((Repeat(2, (Dense(1.2),)),), LINE, Draws(4, 0, BATCH), "layers")
    first, second = (step._weight for step in leaves(block))
    assert not np.allclose(first, second)


def test_places_are_those_of_the_network_with_the_repetition():
    draws = Draws(0, 0, BATCH)
    tree = (Dense(), Repeat(2, (CASES["residual shortcut"][0], Dense(out=6))))
    chain(tree, LINE, draws, "layers")
    places = [row.place for row in draws.rows]
    assert places[:4] == [
        "layers[0]", "layers[1]", "layers[1]#0", "layers[1]#0.layers[0]",
    ]  # fmt: skip
    assert "layers[1]#1.layers[0].shortcut[0]" in places
    said = [place for place, *_ in Network(tree, Input(6, (3,))).rows()]
    assert said == [p.replace("#0", "") for p in places if "#1" not in p and not p.endswith("#0")]


def test_an_unknown_kind_is_refused_with_its_place():
    class Unknown(AbstractLayer, word="unknown"):
        def after(self, shape, place):
            return shape

    with pytest.raises(UnsupportedLayerError, match=r"layers\[1\]: there is no sampler.*unknown"):
        chain((Dense(), Unknown()), LINE, Draws(0, 0, BATCH), "layers")
    assert layers.work(Unknown(), LINE, {}) == (0.0, 0.0, 0.0)
