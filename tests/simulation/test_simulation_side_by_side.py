"""Networks that run side by side have, to the last bit, the numbers that each has alone.

Rungs of the ladder: NumPy's own seeding, and the pass of one network after another.
"""

import numpy as np
import pytest

import chione
from chione.simulation.matrix_free import SampledWeights
from chione.simulation.passes import Pass
from chione.simulation.seeded import measure_each
from chione.simulation.seeding import Streams
from chione.simulation.streams import Draw, Purpose, stream

NUMBERS = (0, 1, 99, 2**32 - 1)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**64 + 3, 2**128 - 1, 2**128, 2**200])
def test_streams_seeded_together_are_those_of_numpy(seed):
    streams = Streams([Draw(seed, n) for n in NUMBERS], 60)
    part = streams.part(1, 3)
    for place, n in enumerate(NUMBERS):
        for layer in (0, 1, 59, 60):
            for purpose in Purpose:
                alone = stream(seed, n, layer, purpose).bit_generator.state
                assert same_state(streams.of(place, layer, purpose), alone)
                if 1 <= place < 3:
                    assert same_state(part.of(place - 1, layer, purpose), alone)


def same_state(rng, expected):
    found = rng.bit_generator.state
    counters = ("has_uint32", "uinteger")
    words = np.array_equal(found["state"]["state"], expected["state"]["state"])
    return words and all(found[name] == expected[name] for name in counters)


def test_a_network_of_a_long_number_has_a_stream_too():
    streams = Streams([Draw(3, 2**40), Draw(3, 1)], 60)
    expected = stream(3, 2**40, 5, Purpose.BIASES).standard_normal(4)
    assert np.array_equal(streams.of(0, 5, Purpose.BIASES).standard_normal(4), expected)


def walk(run, shots):
    """Every array that observables see, layer by layer, forward and backward."""
    with np.errstate(all="ignore"):
        seen = [(s.layer, s.x_in, s.h, s.x) for s in shots]
        return seen + [(s.layer, s.x_in, s.h, s.x, s.delta) for s in run.backward()]


def both_ways(net, x, draws, keep=True):
    """Arrays of each network in turn: side by side, and alone."""
    run = Pass(net, SampledWeights(net, dtype=x.dtype, keep=keep), dtype=x.dtype, keep=keep)
    together = walk(run, run.together(Streams(draws, net.depth), x))
    run = Pass(net, SampledWeights(net, dtype=x.dtype), dtype=x.dtype, keep=True)
    for r, draw in enumerate(draws):
        alone = walk(run, run.forward(*draw, x))
        for (layer, *several), (expected, *one) in zip(together, alone, strict=True):
            assert layer == expected
            yield from ((a[r], b) for a, b in zip(several, one, strict=True))


@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("sigma_b", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("widths", "inputs"), [((30, 20, 25), 2), ((9, 3, 40), 5)])
def test_signals_and_errors_are_those_of_networks_alone(law, sigma_b, kind, keep, widths, inputs):
    phi = chione.activation("gelu")
    net = chione.MLP(phi, 1.4, sigma_b, len(widths), widths, law, 24)
    x = chione.simulation.correlated_inputs(24, 0.5 * np.eye(inputs) + 0.5).astype(kind)
    for several, alone in both_ways(net, x, [Draw(5, 0), Draw(5, 3), Draw(8, 1)], keep):
        assert several.dtype == alone.dtype
        assert np.array_equal(several, alone)


@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
def test_a_network_whose_signals_overflow_leaves_its_neighbours_alone(law):
    net = chione.MLP(chione.activation("quadratic"), 1.6, 0.0, 9, 12, law)
    x = chione.simulation.input_pair(12)
    finite = []
    for several, alone in both_ways(net, x, [Draw(1, n) for n in range(12)]):
        assert np.array_equal(several, alone, equal_nan=True)
        finite.append(bool(np.isfinite(alone).all()))
    share = np.reshape(finite, (12, -1)).all(axis=1)
    assert 0 < share.sum() < 12  # else nothing was shown


@pytest.mark.parametrize("law", ["gaussian", "orthogonal", "uniform"])
def test_the_networks_of_many_seeds_are_those_of_one_run_each(law):
    net = chione.MLP(chione.activation("tanh"), 1.3, 0.2, 3, 48, law)
    x = chione.simulation.correlated_inputs(48, np.eye(3) * 0.4 + 0.6)
    names, seeds = ("lengths", "angles", "gradients", "ntk"), [4, 2**40, 17, 5]
    found = measure_each(net, x, seeds, names, memory=2**20)
    for k, seed in enumerate(seeds):
        run = chione.simulate(net, x, n_networks=1, seed=seed, observe=names)
        for name in names:
            assert np.array_equal(found[name][k], run.mean[name])


def test_more_seeds_than_allowed_are_refused_before_anything_runs():
    net = chione.MLP(chione.activation("tanh"), 1.3, 0.2, 50, 5000)
    x = chione.simulation.input_pair(5000)
    with pytest.raises(chione.CostError, match="would take about"):
        measure_each(net, x, range(10**6), ["lengths"], memory=2**20)
