"""Networks whose output other networks read: order, places, gradients, tangent kernel, refusals."""

import numpy as np
import pytest
from booked import Book, BookedDraws

import chione as ch
from chione.networks import (
    Attention,
    Dense,
    Input,
    Network,
    Nonlinearity,
    Recurrent,
    Repeat,
    Residual,
    ShapeError,
)
from chione.simulation import simulate_network
from chione.simulation.drawn import Drawn
from chione.simulation.layers import Draws
from chione.simulation.streams import Purpose, stream

PAIR = ((1.0, 0.3), (0.3, 2.0))
ENCODER = Network([Dense(1.2, 0.1, out=6), Nonlinearity("tanh")], Input(18, (4,), PAIR))
CROSS = Residual((Attention(2, 3, 1.4, memory="encoder", out=5),))
DECODER = Network(
    [Dense(1.1, out=5), Repeat(2, (CROSS,)), Dense(out=3)],
    Input(9, (3,), PAIR, positions=1.0),
    memory={"encoder": ENCODER},
)


def test_a_memory_has_rows_of_its_own_before_the_layers():
    run = simulate_network(DECODER, n_networks=2)
    assert run.places[:5] == (
        "input", "memory.encoder.input", "memory.encoder.layers[0]", "memory.encoder.layers[1]",
        "layers[0]",
    )  # fmt: skip
    row = run.row("memory.encoder.input")
    assert (row.kind, row.width, row.grid) == ("input", 18, (4,))
    np.testing.assert_allclose(row.second_moments, np.kron(PAIR, np.eye(4)), atol=1e-13)
    assert np.all(np.diag(run.row("memory.encoder.layers[1]").iid) > 0.0)


def test_memories_inside_memories_run_first():
    inner = Network([Dense()], Input(8, (2,), PAIR))
    middle = Network([Attention(2, memory="inner")], Input(8, (3,), PAIR), {"inner": inner})
    outer = Network([Attention(2, memory="middle")], Input(8, (2,), PAIR), {"middle": middle})
    run = simulate_network(outer, n_networks=2, ntk=True)
    assert run.places == (
        "input", "memory.middle.input", "memory.middle.memory.inner.input",
        "memory.middle.memory.inner.layers[0]", "memory.middle.layers[0]", "layers[0]",
    )  # fmt: skip
    assert np.all(np.diag(run.row("memory.middle.memory.inner.input").iid) > 0.0)


def test_gradients_reach_the_inputs_of_a_memory():
    """<g, y> by central differences along what enters the memory, two readers in a row."""
    drawn = Drawn(DECODER, Draws(3, 0, (2, 2)))
    x = np.random.default_rng(1).standard_normal((2, 2, 3, 9))
    (memory,) = drawn._remembered
    seen = {}

    class Watch:
        def forward(self, place, x):
            pass

        def backward(self, place, g):
            seen[place] = g

    memory._watch = Watch()
    y = drawn.forward(x)
    g = np.random.default_rng(2).standard_normal((3, *y.shape))
    drawn.backward(g)
    back = seen["memory.encoder.input"]
    d, h, start = np.random.default_rng(4).standard_normal(memory._x.shape), 1e-6, memory._x
    values = []
    for sign in (1.0, -1.0):
        memory._x = start + sign * h * d
        values.append(np.sum(g * drawn.forward(x), axis=(1, 2, 3, 4)))
    slope = (values[0] - values[1]) / (2.0 * h)
    np.testing.assert_allclose(np.sum(back * d, axis=(1, 2, 3, 4)), slope, rtol=1e-7)


def test_the_tangent_kernel_counts_the_parameters_of_a_memory():
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 9))
    run = simulate_network(DECODER, x[0], n_networks=1, seed=5, ntk=True)
    v = stream(5, 0, 0, Purpose.PROBES).standard_normal(3)
    v /= np.linalg.norm(v)

    def value(move, by):
        book = Book(move, by)
        return Drawn(DECODER, BookedDraws(5, 0, (1, 2), book=book)).forward(x)[0, :, 0] @ v, book

    count, h = value(None, 0.0)[1].count, 1e-6
    slopes = [(value(i, h)[0] - value(i, -h)[0]) / (2.0 * h) for i in range(count)]
    assert count == (18 + 1) * 6 + 9 * 5 + 2 * (5 * 6 + 2 * 6 * 6 + 6 * 5) + 5 * 3
    np.testing.assert_allclose(run.ntk, np.array(slopes).T @ np.array(slopes), rtol=1e-6)


def test_a_network_without_memories_draws_as_ever():
    """Memories come before the layers, and nothing else moves when there are none."""
    net = Network([Dense(1.3), Attention(2)], Input(8, (3,), PAIR, positions=1.0))
    one, two = (simulate_network(net, n_networks=2, seed=9) for _ in range(2))
    assert one.rows == two.rows
    idle = Network(net.layers, net.input, {"idle": ENCODER})
    rows = simulate_network(idle, n_networks=2, seed=9)
    assert not np.any(rows.row("memory.idle.layers[0]").iid)  # nobody reads it


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simulate_network(DECODER, np.ones((3, 3, 9))), "memories of the network have 2"),
        (
            lambda: simulate_network(
                Network(DECODER.layers, DECODER.input,
                        {"encoder": Network((), Input(4, (4,), PAIR))})
            ),
            "need 9 channels or more, but width is 4",
        ),
        (
            lambda: simulate_network(
                Network([Attention(2, visible=(1, 2))], Input(8, (2,))), np.ones((3, 2, 8))
            ),
            "visible has 2 entries, but 3 inputs",
        ),
        (
            lambda: simulate_network(
                Network([Recurrent(start=PAIR)], Input(8, (2,))), np.ones((3, 2, 8))
            ),
            "start has second moments of 2 initial states, but 3 inputs",
        ),
        (lambda: Network(DECODER.layers, DECODER.input), "there is no memory 'encoder'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(call, message):
    with pytest.raises((ValueError, ShapeError), match=message):
        call()


@pytest.mark.parametrize(
    "net",
    [
        Network([Attention(2, 2)], Input(8, (50_000,), positions=1.0)),
        Network([Recurrent(size=10**5)], Input(8, (3,))),
        Network([Recurrent(tied=False)], Input(2000, (500,), positions=1.0)),
        Network([Attention(2, memory="far")], Input(8, (2,)),
                {"far": Network((), Input(8, (10**7,), positions=1.0))}),
    ],
)  # fmt: skip
def test_what_would_take_too_long_is_refused_before_it_begins(net):
    with pytest.raises(ch.CostError, match="above the limit of 60 s and 4 GB"):
        simulate_network(net, positions=2)
