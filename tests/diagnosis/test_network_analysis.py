"""Any network at a glance, beside its simulated twin, and the doors that take one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import chione as ch
from chione.base import CostError, UnsupportedLayerError
from chione.diagnosis.network_changes import _normalised_after, gradients, trunk
from chione.networks import (
    Convolution,
    Dense,
    Flatten,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Pooling,
    Repeat,
    Residual,
    Shape,
    convnet,
    mlp,
    resnet,
    transformer,
)
from chione.networks.layer import AbstractLayer
from chione.simulation.layers import Draws, draw


def test_a_residual_network_without_a_norm_is_told_what_to_change():
    found = ch.analyze(resnet("relu", depth=30, width=64), simulate=False)
    assert found.trains == "doubtful"
    assert found.log10_gradient == pytest.approx(30 * np.log10(2.0), abs=1e-9)
    stable = found.changes[0]
    assert "sqrt" in stable.words
    assert stable.trains == "yes"
    assert stable.log10_gradient == pytest.approx(30 * np.log10(1 + 1 / 30), abs=1e-9)
    normalised = found.changes[1]
    assert normalised.log10_length == pytest.approx(np.log10(31.0), abs=1e-9)


def test_a_chain_is_given_the_gain_that_keeps_its_gradients():
    found = ch.analyze(mlp("relu", 1.0, 0.0, depth=40, width=32), simulate=False)
    assert found.trains != "yes"
    (change,) = found.changes
    assert float(change.words.split()[-1]) == pytest.approx(np.sqrt(2.0), rel=2e-3)
    assert abs(change.log10_gradient) < 0.02


def test_a_network_that_trains_is_left_alone():
    found = ch.analyze(resnet("relu", depth=30, width=64, norm="layer"), simulate=False)
    assert found.trains == "yes"
    assert found.changes == ()


def test_the_simulated_twin_lies_on_the_theory():
    net = resnet("tanh", depth=5, width=200, norm="layer")
    found = ch.analyze(net, n_networks=12)
    q = np.asarray(found.theory.q.value)
    mean, error = found.simulated["q"].T
    assert np.all(np.abs(mean - q) <= 5.0 * error + 0.02 * q)
    assert ch.compare(found.simulation).agrees


def test_a_wrong_theory_is_contradicted(monkeypatch):
    run = ch.simulate(resnet("tanh", depth=4, width=150), n_networks=40, seed=3)
    comparison = ch.compare(run)
    assert comparison.agrees
    assert comparison.n_comparisons > 100
    wrong = Network((Dense(1.2, out=150), *run.network.layers[1:]), run.network.input)
    object.__setattr__(run, "network", wrong)
    assert not ch.compare(run).agrees


@dataclass(frozen=True)
class Untold(AbstractLayer, word="untold"):
    """A relu that theory has not heard of."""

    def after(self, shape, place):
        return shape


@draw.register
def _(layer: Untold, shape: Shape, draws: Draws):
    return draw(Nonlinearity("relu"), shape, draws)


def test_where_a_rule_is_missing_the_theory_goes_on_from_what_was_measured():
    blocks = Repeat(3, (Dense(1.4), Untold()))
    net = Network((Dense(1.0, out=100), blocks, Dense(1.2)), Input(60))
    with pytest.raises(UnsupportedLayerError, match=r"layers\[1\]#0.layers\[1\]"):
        ch.analyze(net, simulate=False)
    found = ch.analyze(net, n_networks=10)
    theory = found.theory
    measured = [place for place, rule in zip(theory.places, theory.rules, strict=True)
                if rule == "measured"]  # fmt: skip
    assert list(theory.reasons) == [f"layers[1]#{k}.layers[1]" for k in range(3)]
    # and the row of a repetition, whose stream it is
    assert measured[:2] == ["layers[1]#0.layers[1]", "layers[1]#0"]
    assert "Measured at 3 places" in str(found)
    assert "m: measured on the simulated networks; all else by the closed rules" in str(found)
    row = theory.index("layers[2]")
    assert theory.q.error[row] > 1e-3  # the error of a measurement is carried along
    mean, error = found.simulated["gradient"][0]
    assert abs(theory.gradient.value[0] - mean) <= 5.0 * error + 0.2 * mean


def test_the_page_says_which_law_answered_where():
    net = resnet("relu", depth=4, width=100, placement="post")
    found = ch.analyze(net, n_networks=20, seed=2)
    by_place = dict(zip(found.theory.places, found.theory.rules, strict=True))
    sampled = [place for place, rule in by_place.items() if rule == "population"]
    assert {f"layers[1]#{k}.layers[1]" for k in range(1, 4)} < set(sampled)
    assert by_place["layers[1]#3"] == "population"  # which ends in such a layer
    assert by_place["layers[1]#3.layers[0]"] == "closed"
    assert "population" in str(found) and "Measured" not in str(found)
    for name in ("q", "gradient"):
        mean, error = found.simulated[name].T
        expected = getattr(found.theory, name)
        value, bound = np.asarray(expected.value), np.asarray(expected.error)
        assert np.all(np.abs(mean - value) <= 5.0 * error + bound + 0.03 * value), name
    assert ch.compare(found.simulation).agrees


def test_images_of_three_channels_are_drawn_and_start_from_their_own_moments():
    found = ch.analyze(convnet(depth=3, width=40, grid=(5, 5)), n_networks=4)
    assert "3 channels" in found.notes[-1]
    mean, error = found.simulated["q"].T
    q = np.asarray(found.theory.q.value)
    assert np.all(np.abs(mean - q) <= 6.0 * error + 0.05 * q)


def test_the_page_folds_repetitions():
    page = str(ch.analyze(resnet("relu", depth=50, width=16), simulate=False))
    assert "[1]#0 repeat" in page
    assert "[1]#49 repeat" in page
    assert "#7" not in page
    assert len(page.splitlines()) < 40


def test_trunks_have_every_outer_layer_and_repetition_once():
    net = Network(
        [Dense(1.0), Repeat(3, [Residual([Nonlinearity("relu"), Dense(1.0)])]), Norm()], Input(8)
    )
    theory = ch.network_theory(net)
    assert [theory.places[row] for row in trunk(theory)] == [
        "layers[0]", "layers[1]#0", "layers[1]#1", "layers[1]#2", "layers[2]",
    ]  # fmt: skip


def test_an_mlp_takes_the_place_of_its_numbers():
    by_network = ch.analyze(ch.MLP("tanh", 1.5, 0.1, depth=6, width=16), n_networks=3)
    by_numbers = ch.analyze("tanh", 1.5, 0.1, depth=6, width=16, n_networks=3)
    assert by_network == by_numbers
    with pytest.raises(TypeError, match="depth cannot be given beside a MLP"):
        ch.analyze(ch.MLP("tanh", 1.5), depth=3)


# ---- kernels ------------------------------------------------------------------------------------


def test_kernels_of_a_chain_are_those_of_the_mlp():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 7)), rng.standard_normal((3, 7))
    plain = ch.MLP("gelu", 1.4, 0.2, depth=4, width=9, input_width=7)
    layers = plain.layers[:-1]  # the MLP's kernel is that of its last pre-activations
    net = Network(layers, Input(7))
    for door in (ch.nngp, ch.ntk):
        wanted, found = door(plain, x, y), door(net, x, y)
        assert np.all(np.abs(found.value - wanted.value) <= found.error + wanted.error)
        itself = door(net, x)
        assert np.allclose(itself.value, door(plain, x).value, rtol=1e-12)


def test_inputs_that_differ_in_their_channel_means_alone_are_told_apart():
    """Unit vectors and one of another sign: equal lengths and products, but not after a norm."""
    x = np.zeros((4, 8))
    x[[0, 1, 2, 3], [0, 1, 2, 0]] = 1.0, 1.0, -1.0, -1.0
    k = ch.nngp(Network([Norm("layer"), Dense(1.0)], Input(8)), x).value
    y = x - x.mean(axis=1, keepdims=True)
    y /= np.sqrt((y**2).mean(axis=1, keepdims=True))
    assert np.allclose(k, y @ y.T / 8, rtol=1e-13)


def test_kernels_of_images_are_those_of_a_pool_of_pixels():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 4, 4, 5))
    net = Network([Convolution(1, 1.3, 0.1), Pooling(), Dense(1.1)], Input(5, (4, 4)))
    k = ch.nngp(net, x).value
    pooled = x.mean(axis=(1, 2))
    wanted = 1.1**2 * (1.3**2 * pooled @ pooled.T / 5 + 0.1**2)
    assert np.allclose(k, wanted, rtol=1e-12)


def test_kernels_have_positions_where_positions_leave():
    x = np.random.default_rng(2).standard_normal((2, 6, 5))
    net = Network([Convolution(3, 1.3, padding="circular")], Input(5, (6,)))
    assert ch.nngp(net, x).shape == (2, 6, 2, 6)


def test_the_tangent_kernel_of_a_residual_network_is_that_of_autograd():
    torch = pytest.importorskip("torch")
    width, n = 1500, 4
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 6))
    block = Residual([Nonlinearity("tanh"), Dense(1.2)], scale=0.7)
    net = Network([Dense(1.1, out=width), block, Norm("layer"), Dense(0.9, 0.3, 1)], Input(6))
    wanted = ch.ntk(net, x).value
    found = np.zeros((2, 2))
    for seed in range(n):
        torch.manual_seed(seed)
        sizes = ((width, 6, 1.1), (width, width, 1.2), (1, width, 0.9))
        w = [torch.randn(a, b, dtype=torch.float64, requires_grad=True) for a, b, _ in sizes]
        bias = torch.randn(1, dtype=torch.float64, requires_grad=True)
        rows = []
        for one in torch.tensor(x):
            h = 1.1 / 6**0.5 * w[0] @ one
            h = h + 0.7 * 1.2 / width**0.5 * w[1] @ torch.tanh(h)
            h = (h - h.mean()) / h.std(correction=0)
            out = 0.9 / width**0.5 * w[2] @ h + 0.3 * bias
            grads = torch.autograd.grad(out[0], [*w, bias])
            rows.append(torch.cat([g.reshape(-1) for g in grads]))
        j = torch.stack(rows)
        found += (j @ j.T).numpy() / n
    assert np.allclose(found, wanted, rtol=0.08)


@pytest.mark.parametrize("bad", [np.zeros((2, 6)), np.zeros((2, 6, 4)), np.zeros((0, 6, 5))])
def test_inputs_of_another_shape_are_refused(bad):
    net = Network([Convolution(3, 1.3)], Input(5, (6,)))
    with pytest.raises(ValueError, match=r"x1 must have the shape \(n, 6, 5\)"):
        ch.nngp(net, bad)


def test_a_network_without_layers_has_nothing_to_tell():
    with pytest.raises(ValueError, match="no layers"):
        ch.analyze(Network([]))


@pytest.mark.parametrize("given", [Dense(1.4), [Dense(1.4)], (Dense(1.4),)])
def test_layers_that_are_no_network_are_told_how_to_become_one(given):
    with pytest.raises(TypeError, match=r"chione\.networks\.Network\(\[Dense"):
        ch.analyze(given)


def test_a_network_as_plain_data_is_told_how_to_be_read():
    with pytest.raises(TypeError, match=r"Network\.from_dict"):
        ch.analyze(resnet(depth=1, width=4).to_dict())


def test_a_batch_in_which_nothing_differs_does_not_close():
    for inputs in (((1.0,),), ((1.0, 1.0), (1.0, 1.0))):
        network = Network([Dense(1.4), Norm("batch"), Dense()], Input(64, inputs=inputs))
        with pytest.raises(UnsupportedLayerError, match=r"layers\[1\]: .* nothing differs"):
            ch.analyze(network, simulate=False)


@pytest.mark.parametrize(
    "network",
    [
        Network([Dense()], Input(4, (10**6, 10**6))),
        Network([Repeat(2**53, [Dense(), Nonlinearity("relu")])]),
        Network([Repeat(2**53, [Repeat(2**53, [Norm(), Dense()])])]),
    ],
)
def test_a_network_beyond_all_limits_is_refused_before_it_begins(network):
    with pytest.raises(CostError, match="above the limit"):
        ch.analyze(network)


def test_one_input_of_one_channel_is_no_plural():
    network = Network([Dense()], Input(1, inputs=((1.0,),)))
    assert "1 input of 1 channel" in str(ch.analyze(network, simulate=False))


def test_a_network_draws_itself():
    figure = ch.plot(resnet(depth=3, width=16))
    assert figure.axes[0].get_ylabel() == "mean square $q$"


def test_moments_beyond_all_numbers_are_told_and_not_shown():
    net = Network([Dense(1e150), Dense(1e150), Dense(1e150)], Input(8))
    theory = ch.network_theory(net)
    assert not np.isfinite(theory.q.value[-1])
    assert not theory.q.error[-1] < np.inf
    with pytest.raises(
        ch.base.ConvergenceError, match=r"layers\[3\]: the mean squares that enter have no value"
    ):
        ch.network_theory(Network([*net.layers, Nonlinearity("relu"), Dense(1.0)], Input(8)))


def test_whole_gradients_count_channels_and_positions():
    """Flattening moves channels about and changes no gradient; the total stays the same."""
    net = Network(
        [Convolution(3, 1.2, out=8), Flatten(), Dense(1.0, out=20), Dense(1.1, out=5)],
        Input(6, (7,)),
    )
    theory = ch.network_theory(net)
    convolved, flat, dense, last = gradients(theory)
    assert last == pytest.approx(5.0)
    assert dense == pytest.approx(last * 1.1**2)
    assert flat == pytest.approx(dense)
    assert convolved == pytest.approx(flat)


def test_what_a_finite_width_shifts_is_no_contradiction():
    """Five units and many networks show the first correction in 1 / width, which is allowed for."""
    layers = [Repeat(5, [Dense(1.8, out=5), Nonlinearity("tanh")]), Dense(1.0, out=5)]
    run = ch.simulate(Network(layers, Input(5)), n_networks=2500, seed=2)
    comparison = ch.compare(run)
    beyond = np.abs(comparison.z["second_moments"]).max()
    assert beyond > 6.0  # a deviation that chance does not make
    assert comparison.agrees


def test_the_scale_of_a_stream_that_norms_alone_read_is_no_obstacle():
    """Small embeddings make gradients large and nothing else: GPT-2 trains."""
    options = {"tokens": 8, "positions": "none", "head_size": 512}
    small = transformer(12, 64, 4, norm="pre", init="gpt2", **options)
    found = ch.analyze(small, simulate=False)
    assert (found.trains, found.problem) == ("yes", "none")
    assert found.log10_gradient > 2.6  # told all the same
    ends = transformer(12, 64, 4, norm="pre", init="gpt2", final_norm=False, **options)
    assert not _normalised_after(ends)["layers[0]"]
    assert _normalised_after(small) == {"layers[0]": True, "layers[1]": False}
