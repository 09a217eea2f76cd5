"""Simulated networks of described layers: places, moments, tangent kernel, doors."""

import numpy as np
import pytest
from booked import Book, BookedDraws
from layer_cases import composition

import chione as ch
from chione.networks import (
    Convolution,
    Dense,
    Dropout,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Pooling,
    Repeat,
    Residual,
    resnet,
)
from chione.simulation import simulate_network
from chione.simulation.frames import frame
from chione.simulation.layers import chain
from chione.simulation.network_result import QUANTITIES
from chione.simulation.rows import measure
from chione.simulation.streams import Purpose, stream

PAIR = ((1.0, 0.3), (0.3, 2.0))
LINE = ((1.0, 0.5, 0.1), (0.5, 2.0, 0.2), (0.1, 0.2, 0.7))


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_frame_has_exactly_its_second_moments_and_no_means(replicas):
    entering = Input(40, (3,), PAIR, LINE)
    x = frame(entering, replicas, seed=2, network=5).reshape(6 * replicas, 40)
    expected = np.kron(np.eye(replicas), np.kron(np.array(PAIR), np.array(LINE)))
    np.testing.assert_allclose(x @ x.T / 40, expected, atol=1e-13)
    np.testing.assert_allclose(x.mean(axis=1), 0.0, atol=1e-14)


def test_equal_inputs_need_few_channels_and_independent_ones_are_refused_with_the_width():
    alike = Input(4, inputs=((1.0, 1.0), (1.0, 1.0)))
    x = frame(alike, 2, 0, 0)
    np.testing.assert_allclose(x[:, 0], x[:, 1], atol=1e-14)
    with pytest.raises(ValueError, match=r"need 9 channels or more, but width is 8"):
        simulate_network(Network([Norm(), Dense()], Input(8, (4,))))
    with pytest.raises(ValueError, match="need 5 channels or more, but width is 4"):
        simulate_network(Network([Norm(), Dense()], Input(4)), replicas=2)


def test_every_place_and_every_repetition_has_a_row():
    run = simulate_network(resnet(depth=2, width=8), n_networks=2)
    assert run.places[:5] == ("input", "layers[0]", "layers[1]", "layers[1]#0",
                              "layers[1]#0.layers[0]")  # fmt: skip
    last, block = run.row("layers[1]#1"), run.row("layers[1]")
    assert np.array_equal(last.second_moments, block.second_moments)
    assert np.array_equal(last.iid, block.iid)
    inside = run.row("layers[1]#1.layers[0].branch[3]")
    assert (inside.kind, inside.width, inside.positions) == ("dense", 8, 1)
    with pytest.raises(ValueError, match=r"place must be one of input, .*'layers\[9\]'"):
        run.row("layers[9]")


def test_moments_are_those_of_the_signals_of_one_network_written_out():
    """One dense layer and tanh by hand: signals, means, both kinds of gradients."""
    x = np.random.default_rng(0).standard_normal((2, 3, 5))
    net = Network([Nonlinearity("tanh"), Pooling("average")], Input(5, (3,)))
    run = simulate_network(net, x, n_networks=1)
    rows = np.tanh(x).reshape(6, 5)
    np.testing.assert_allclose(run.row("layers[0]").second_moments, rows @ rows.T / 5)
    np.testing.assert_allclose(run.row("layers[0]").channel_means, rows.mean(axis=1))
    np.testing.assert_allclose(run.row("layers[1]").shared, np.ones((2, 2)))
    # the pool hands a third of the same gradient to all its positions
    iid = run.row("layers[1]").iid
    np.testing.assert_allclose(run.row("layers[0]").iid, np.kron(iid, np.ones((3, 3))) / 9.0)


def test_the_tangent_kernel_is_the_gram_matrix_of_slopes_for_every_parameter():
    """That of the network drawn again with one of its normal numbers moved at a time."""
    branch = (Norm("batch", eps=0.1), Dense(1.2, 0.3, out=6), Nonlinearity("tanh"), Dense(0.9))
    block = Residual((*branch, Dense(0.9, out=4)), 0.8, 0.7, (Dense(1.1, out=4),))
    net = Network([Repeat(2, (block,)), Convolution(2, 1.1, 0.2, out=3)], Input(4, (3,)))
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 4))
    run = simulate_network(net, x[0], n_networks=1, seed=5, ntk=True)
    v = stream(5, 0, 0, Purpose.PROBES).standard_normal(3)
    v /= np.linalg.norm(v)

    def value(move, by):
        book = Book(move, by)
        steps = chain(net.layers, net.input.shape, BookedDraws(5, 0, (1, 2), book=book), "layers")
        return steps.forward(x)[0, :, 0] @ v, book.count

    _, count = value(None, 0.0)
    h = 1e-6
    slopes = np.array([(value(i, h)[0] - value(i, -h)[0]) / (2.0 * h) for i in range(count)])
    assert slopes.shape == (2 * (4 * 6 + 6 + 6 * 6 + 6 * 4 + 4 * 4) + 2 * 4 * 3 + 3, 2)
    np.testing.assert_allclose(run.ntk, slopes.T @ slopes, rtol=1e-6)


def test_replicas_average_over_copies_that_are_normalised_one_by_one():
    net = Network([Dense(1.3), Norm("batch"), Dropout(0.7, "all")], Input(32, inputs=PAIR))
    many = simulate_network(net, n_networks=3, replicas=4)
    assert many.replicas == 4
    assert many.row("layers[1]").second_moments.shape == (2, 2)
    # batch norm over two inputs: plus and minus one, whatever the other copies hold
    np.testing.assert_allclose(
        many.row("layers[1]").second_moments, [[1.0, -1.0], [-1.0, 1.0]], atol=1e-12
    )


def test_means_and_errors_are_those_of_networks_measured_one_by_one():
    """Network k has inputs, weights and cotangents of its own, however many run."""
    net = resnet("tanh", depth=2, width=8)
    run = simulate_network(net, n_networks=4, seed=3, ntk=True, replicas=2)
    alone = [measure(net, frame(net.input, 2, 3, k), 3, k, ntk=True)[0] for k in range(4)]
    for row in run.rows:
        for name in QUANTITIES:
            every = np.array([measured[row.place, name] for measured in alone])
            np.testing.assert_allclose(getattr(row, name), every.mean(axis=0), atol=1e-13)
            error = every.std(axis=0, ddof=1) / 2.0
            np.testing.assert_allclose(row.stderr[name], error, rtol=1e-9, atol=1e-15)
    every = np.array([measured["", "ntk"] for measured in alone])
    np.testing.assert_allclose(run.ntk, every.mean(axis=0))
    np.testing.assert_allclose(run.ntk_stderr, every.std(axis=0, ddof=1) / 2.0)
    one = simulate_network(net, n_networks=1)
    assert one.warnings == ("A single network has no standard error; use n_networks of 2 or more.",)


def test_an_interrupt_leaves_the_networks_that_were_finished():
    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    run = simulate_network(resnet(depth=1, width=8), n_networks=10, progress=stop)
    assert (run.n_networks, run.requested, run.interrupted) == (3, 10, True)
    whole = simulate_network(resnet(depth=1, width=8), n_networks=3)
    assert run.rows == whole.rows
    assert run.warnings == ("Interrupted: the means hold 3 of 10 networks.",)


def test_an_overflow_is_a_result_and_said():
    run = simulate_network(resnet(depth=900, width=6, sigma_w=9.0), n_networks=1, seed=1)
    assert any("not finite" in sentence for sentence in run.warnings)
    assert len(str(run)) < 20_000


def test_the_door_takes_any_network_and_keeps_the_fast_way_for_perceptrons():
    mlp = ch.MLP("tanh", 1.5, 0.1, depth=3, width=12)
    by_tree, plain = (ch.simulate(net, n_networks=2) for net in (mlp.network(), mlp))
    assert by_tree == plain
    far = ch.simulate(mlp.network(PAIR), n_networks=2)
    np.testing.assert_allclose(far.input_gram, PAIR, rtol=1e-12)
    run = ch.simulate(resnet(depth=1, width=8), n_networks=2, ntk=True, seed=4)
    assert run == simulate_network(resnet(depth=1, width=8), n_networks=2, ntk=True, seed=4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: ch.simulate(net, observe=("ntk",), workers=2), "observe cannot"),
        (lambda net: ch.simulate(ch.MLP("tanh", 1.0), ntk=True), "ntk cannot be chosen for perce"),
        (lambda net: simulate_network(net, n_networks=0), "n_networks must be at least 1"),
        (lambda net: simulate_network(net, replicas=0), "replicas must be at least 1"),
        (lambda net: simulate_network(net, np.ones((2, 3))), r"shape \(number of inputs, 8\)"),
        (lambda net: simulate_network(net, np.ones((2, 8)), replicas=2), "replicas are copies"),
        (lambda net: simulate_network(net, seed=-1), "seed must be at least 0"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call(resnet(depth=1, width=8))
    with pytest.raises(TypeError, match=r"network must be a chione\.networks\.Network"):
        simulate_network(ch.MLP("tanh", 1.0))


@pytest.mark.parametrize(
    "net",
    [
        resnet(depth=2**53, width=8),
        resnet(depth=2, width=10**6),
        Network([Norm(), Repeat(2**40, (Repeat(2**40, (Dense(),)),))], Input(8)),
        Network([Norm(), Dense()], Input(8, (10**5,), positions=1.0)),
        Network([Norm(), Dense()], Input(10**12)),
    ],
)
def test_what_would_take_too_long_is_refused_before_it_begins(net):
    with pytest.raises(ch.CostError, match="above the limit of 60 s and 4 GB"):
        simulate_network(net)


def test_random_networks_run_and_all_their_numbers_are_finite():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        entering = Input(8, (3,), PAIR, positions=1.0)
        layers, _ = composition(rng, entering.shape, 4)
        run = simulate_network(Network(layers, entering), n_networks=2, seed=seed, ntk=True)
        for row in run.rows:
            assert np.all(np.isfinite(row.second_moments))
            assert np.all(np.isfinite(row.iid))
            assert row.second_moments.shape == (2 * row.positions, 2 * row.positions)
        assert np.all(np.linalg.eigvalsh(run.ntk) > -1e-9 * np.trace(run.ntk))


def test_a_few_positions_are_measured_where_all_would_be_too_many():
    net = Network([Convolution(3, 1.2), Nonlinearity("tanh")], Input(64, (7,), PAIR))
    whole, few = (simulate_network(net, n_networks=2, positions=p) for p in (None, 3))
    row = few.row("layers[1]")
    assert row.measured == (0, 3, 6)
    assert row.positions == 7
    at = [0, 3, 6, 7, 10, 13]  # of two inputs
    for name in ("second_moments", "iid", "shared"):
        expected = getattr(whole.row("layers[1]"), name)[np.ix_(at, at)]
        # the same networks; products of other shapes are summed in another order
        np.testing.assert_allclose(
            getattr(row, name), expected, rtol=0.0, atol=1e-15 * expected.max()
        )
        assert row.stderr[name].shape == (6, 6)
    np.testing.assert_array_equal(row.channel_means, whole.row("layers[1]").channel_means[at])
    far = Network([Repeat(8, (Convolution(3, out=16),))], Input(8, (32, 32), positions=1.0))
    with pytest.raises(ch.CostError, match=r"or fewer positions="):
        simulate_network(far, n_networks=1)
    assert len(simulate_network(far, n_networks=1, positions=5).rows) == 18
