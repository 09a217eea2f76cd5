"""The reader of the examples' grammar, and the reference networks against our own simulation."""

import dataclasses

import grammar
import numpy as np
import pytest
from scipy import stats

from chione.networks import (
    Attention,
    Convolution,
    Dense,
    Dropout,
    Gate,
    Input,
    Maxout,
    Network,
    Nonlinearity,
    Norm,
    Parallel,
    Pooling,
    Position,
    Recurrent,
    Repeat,
    Residual,
)
from chione.simulation import simulate_network
from chione.simulation.drawn import Drawn
from chione.simulation.layers import Draws

EXAMPLES, REFERENCE = grammar.examples(), grammar.reference()
SUPPORTED = list(EXAMPLES)
VECTOR = {"grid": [1], "inputs": [[1.0]], "positions": [[1.0]]}


def one(op, grid=(1,)):
    """The layer of one op at N = 8."""
    positions = np.eye(int(np.prod(grid))).tolist()
    entering = {"grid": list(grid), "inputs": [[1.0]], "positions": positions}
    network, taps = grammar.read({"input": entering, "layers": [op]}, 8)
    assert taps == {"input": "input", f"0:{op['op']}": "layers[0]"}
    return network.layers[0]


@pytest.mark.parametrize(
    ("op", "layer"),
    [
        ({"op": "dense", "sigma_w": 1.3, "sigma_b": 0.1, "out": 2}, Dense(1.3, 0.1, 16)),
        ({"op": "dense", "weights": "spectral"}, Dense(1.0, 0.0, 8, form="spectral_norm")),
        ({"op": "dense", "weights": "weightnorm"}, Dense(1.0, 0.0, 8, form="weight_norm")),
        ({"op": "dense", "weights": "orthogonal", "out": 0.5}, Dense(1.0, 0.0, 4, "orthogonal")),
        ({"op": "act", "fn": "leaky"}, Nonlinearity("leaky_relu(0.1)")),
        ({"op": "act", "fn": "relu2"}, Nonlinearity(lambda x: np.maximum(x, 0) ** 2)),
        ({"op": "layernorm"}, Norm("layer")),
        ({"op": "rmsnorm"}, Norm("rms")),
        ({"op": "batchnorm"}, Norm("batch")),
        ({"op": "groupnorm", "groups": 4}, Norm("group", groups=4)),
        ({"op": "groupnorm", "group": 4}, Norm("group", groups=2)),
        ({"op": "dropout", "keep": 0.8, "share": "all"}, Dropout(0.8, "all")),
        ({"op": "glu", "fn": "silu", "hidden": 2, "sigma_u": 1.5}, Gate("silu", 16, 1.5)),
        ({"op": "maxout", "k": 3, "sigma_w": 1.2}, Maxout(3, 1.2, 0.0, 8)),
        ({"op": "position", "sigma": 0.5}, Position("learned", 0.5)),
        ({"op": "position", "kind": "sinusoidal"}, Position("sinusoidal")),
        (
            {"op": "residual", "branch": [{"op": "dense"}], "a": 0.5, "b": 2.0,
             "shortcut": [{"op": "dense", "sigma_w": 1.1}]},
            Residual((Dense(out=8),), 0.5, 2.0, (Dense(1.1, out=8),)),
        ),
        (
            {"op": "parallel", "branches": [[], [{"op": "dense"}]], "combine": "mul"},
            Parallel(((), (Dense(out=8),)), "product"),
        ),
    ],
)  # fmt: skip
def test_each_op_is_the_layer_it_stands_for(op, layer):
    found = one(op)
    if op.get("fn") == "relu2":
        z = np.linspace(-2.0, 2.0, 9)
        assert np.array_equal(found.activation.value(z), layer.activation.value(z))
    else:
        assert found == layer


@pytest.mark.parametrize(
    ("op", "layer"),
    [
        ({"op": "conv", "k": 3, "sigma_w": 1.2}, Convolution(3, 1.2, out=8, padding="circular")),
        (
            {"op": "conv", "k": [3, 1], "padding": "zero", "stride": [2, 1], "dilation": 2},
            Convolution((3, 1), out=8, stride=(2, 1), dilation=2),
        ),
        (
            {"op": "conv", "depthwise": True, "out": 1},
            Convolution(padding="circular", depthwise=True),
        ),
        ({"op": "conv", "groups": 2, "out": 2}, Convolution(out=16, padding="circular", groups=2)),
        ({"op": "maxpool", "k": 2}, Pooling("max", 2, 2)),
        ({"op": "avgpool", "k": 3, "stride": 1}, Pooling("average", 3, 1)),
        ({"op": "gap"}, Pooling("average")),
    ],
)
def test_each_op_over_positions_is_the_layer_it_stands_for(op, layer):
    assert one(op, grid=(4, 4)) == layer


def test_a_transposed_convolution_has_its_length():
    layer = one({"op": "convtranspose", "k": 3, "stride": 2, "out": 2}, grid=(5,))
    assert layer == Convolution(3, out=16, stride=2, transposed=True)


def test_taps_name_the_rows_of_a_simulation():
    network, taps = grammar.read(EXAMPLES["preact_relu"], 16)
    assert taps["0.2:block"] == "layers[0]#2"
    assert taps["0.2:block/0:residual"] == "layers[0]#2.layers[0]"
    assert taps["1:dense"] == "layers[1]"
    assert set(taps.values()) <= set(simulate_network(network, n_networks=1).places)


def test_blocks_whose_repetitions_differ_are_written_one_by_one():
    grow = {"op": "parallel", "branches": [[], [{"op": "dense"}]], "combine": "concat"}
    block = {
        "op": "block", "repeat": 2, "taps": True, "layers": [{"op": "groupnorm", "group": 4}, grow],
    }  # fmt: skip
    network, taps = grammar.read({"input": VECTOR, "layers": [block, {"op": "dense"}]}, 8)
    assert [type(layer) for layer in network.layers] == [Repeat, Repeat, Dense]
    assert [layer.layers[0].groups for layer in network.layers[:2]] == [2, 4]
    assert taps["0.1:block/1:parallel"] == "layers[1]#0.layers[1]"
    assert taps["1:dense"] == "layers[2]"


@pytest.mark.parametrize(
    ("op", "layer"),
    [
        ({"heads": 4, "head_dim": 3}, Attention(4, 3, out=8)),
        (
            {"heads": 4, "sigma_q": 1.5, "sigma_k": 0.5, "sigma_v": 2.0, "sigma_o": 0.7, "out": 2},
            Attention(4, None, 1.5, 0.5, 2.0, 0.7, out=16),
        ),
        ({"heads": 2, "mask": "causal", "scale": "linear"},
         Attention(2, scale="linear", mask="causal", out=8)),
        ({"heads": 4, "rope": 500.0, "kv_heads": 2},
         Attention(4, rope=500.0, kv_heads=2, out=8)),
        ({"heads": 2, "qk_norm": True, "sigma_q": 3.0}, Attention(2, qk_norm=True, out=8)),
    ],
)  # fmt: skip
def test_attention_is_read_with_its_words(op, layer):
    assert one({"op": "attention", **op}, grid=(3,)) == layer


@pytest.mark.parametrize(
    ("op", "layer"),
    [
        ({"op": "rnn", "sigma_w": 1.2, "fn": "relu"}, Recurrent("rnn", 1.2, activation="relu")),
        ({"op": "gru", "h0": [[0.4]], "out": 2}, Recurrent("gru", size=16, start=[[0.4]])),
        ({"op": "lstm", "tied": False, "sigma_u": 0.5}, Recurrent("lstm", 1.0, 0.5, tied=False)),
    ],
)
def test_cells_are_read_and_their_states_are_taps(op, layer):
    entering = {"grid": [3], "inputs": [[1.0]], "positions": np.eye(3).tolist()}
    network, taps = grammar.read({"input": entering, "layers": [op]}, 8)
    assert network.layers[0] == dataclasses.replace(layer, size=layer.size or 8)
    name = f"0:{op['op']}"
    assert taps[f"{name}/h1"] == "layers[0].state[0]"
    assert taps[f"{name}/h3"] == "layers[0].state[2]"
    assert list(taps)[-1] == name


def test_a_memory_is_an_input_that_may_have_layers():
    entering = {"grid": [3], "inputs": [[1.0]], "positions": np.eye(3).tolist()}
    cross = {"op": "attention", "heads": 2, "cross": True}
    memory = entering | {"grid": [2], "positions": np.eye(2).tolist()}
    for given, layers in (
        (memory, ()),
        ({"input": memory, "layers": [{"op": "dense"}]}, (Dense(out=8),)),
    ):
        network, taps = grammar.read({"input": entering, "layers": [cross], "memory": given}, 8)
        assert network.layers[0].memory in network.memories
        encoder = Network(layers, Input(8, (2,), ((1.0,),), ((1.0, 0.0), (0.0, 1.0))))
        assert network.memories[grammar.MEMORY] == encoder
        assert list(taps) == ["input", "0:attention"]


def test_what_is_no_op_is_refused():
    with pytest.raises(ValueError, match="no op 'denser'"):
        one({"op": "denser"})


@pytest.mark.parametrize("name", SUPPORTED)
def test_the_shapes_of_the_reference_are_those_of_the_rows(name):
    for run in REFERENCE[name]:
        network, taps = grammar.read(EXAMPLES[name], run["N"])
        assert list(taps) == [tap for tap in run["shapes"] if not tap.endswith("/h0")]
        draws = Draws(0, 0, (1, network.input.count))
        Drawn(network, draws)
        shapes = {"input": network.input.shape} | {row.place: row.shape for row in draws.rows}
        for tap, place in taps.items():
            shape = shapes[place]
            assert [network.input.count, shape.positions, shape.width] == run["shapes"][tap]
            size = len(grammar.stored(network.input.count, shape.positions))
            assert len(run["K"][tap]["mean"]) == size


@pytest.mark.parametrize("name", SUPPORTED)
@pytest.mark.sampled(4)
def test_our_networks_have_the_moments_that_torch_measured(name):
    check_against_torch(name, run=0, n_networks=30)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUPPORTED)
def test_our_wider_networks_have_the_moments_that_torch_measured(name):
    check_against_torch(name, run=1, n_networks=100)


def check_against_torch(name, run, n_networks):
    """All taps, entries and quantities of the reference, by Student's t."""
    description, theirs = EXAMPLES[name], REFERENCE[name][run]
    network, taps = grammar.read(description, theirs["N"])
    ours = simulate_network(
        network,
        n_networks=n_networks,
        seed=12,
        replicas=description["replicas"],
        ntk=description.get("ntk", False),
        effort=10.0,
    )
    scores = []
    for tap, place in taps.items():
        row = ours.row(place)
        at = tuple(np.array(grammar.stored(network.input.count, row.positions)).T)
        for quantity, field in (("K", "second_moments"), ("iid", "iid"), ("shared", "shared")):
            found, error = getattr(row, field)[at], row.stderr[field][at]
            scores += _scores(theirs[quantity][tap], found, error, n_networks)
        first = slice(0, min(row.positions, 8))  # of input 0
        means, error = row.channel_means[first], row.stderr["channel_means"][first]
        scores += _scores(theirs["m"][tap], means, error, n_networks)
    if ours.ntk is not None:
        at = tuple(np.array([(0, 0), (0, 1), (1, 1)]).T)
        scores += _scores(theirs["ntk"]["ntk"], ours.ntk[at], ours.ntk_stderr[at], n_networks)
    assert np.max(np.abs(scores)) < 4.5
    assert np.mean(np.square(scores)) < 2.0  # entries of one network are correlated


def _scores(theirs, found, error, count):
    """Differences as normal scores of the same tail as Student's t."""
    mean, se = (np.array(theirs[key], dtype=float) for key in ("mean", "se"))
    rounding = 1e-5 * np.abs(mean) + 1e-9  # the reference has five digits
    t = (found - mean) / np.sqrt(se**2 + error**2 + rounding**2)
    return list(np.sign(t) * stats.norm.isf(stats.t.sf(np.abs(t), count - 1)))
