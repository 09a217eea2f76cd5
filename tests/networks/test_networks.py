"""The door of networks: what they accept, what they refuse, and that no other object passes."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

import chione as ch
from chione.activations import AbstractActivation
from chione.base import ChioneError
from chione.networks import MLP, as_network
from chione.theory import kernel_diagonal, kernel_layers, mean_square_variance


def _cube(x):
    return x**3


@pytest.mark.parametrize("spec", ["tanh", "x*tanh(x)", "leaky_relu(0.2)", np.sin, _cube])
def test_a_network_resolves_whatever_describes_an_activation(spec):
    net = MLP(spec, 1.2, depth=3, width=8)
    assert isinstance(net.activation, AbstractActivation)
    h = np.array([0.3, -1.2])
    assert np.array_equal(net.activation.value(h), ch.activation(spec).value(h))
    same = MLP(ch.activation(spec), 1.2, depth=3, width=8)
    assert net == same
    assert hash(net) == hash(same)
    assert repr(net) == repr(same)
    assert replace(net, depth=4).activation == net.activation


def test_a_torch_module_describes_an_activation_too():
    torch = pytest.importorskip("torch")
    module = torch.nn.Tanh()
    net = MLP(module, 1.2)
    assert net.activation == ch.activation(module)
    assert np.allclose(net.activation.value(np.array([0.3])), np.tanh(0.3), rtol=1e-15)


def test_networks_from_names_are_pickled_and_compare_equal():
    net = MLP("gelu", 1.4, 0.1, depth=2, width=[3, 5])
    assert pickle.loads(pickle.dumps(net)) == net
    assert net.widths == (3, 3, 5)


@pytest.mark.parametrize(
    "width", [[4, 6], (4, 6), np.array([4, 6]), (n for n in (4, 6)), range(4, 8, 2)]
)
def test_widths_come_in_any_sequence(width):
    assert MLP("relu", 1.0, depth=2, width=width).widths == (4, 4, 6)


def test_numbers_are_kept_in_one_type():
    net = MLP("relu", np.float32(1.5), 1, depth=3.0, width=np.int64(7), input_width=2.0)
    assert [type(x) for x in (net.sigma_w, net.sigma_b, net.depth, net.width)] == [
        float,
        float,
        int,
        int,
    ]
    assert net.widths == (2, 7, 7, 7)


def test_a_network_of_a_billion_layers_is_described_at_once():
    assert MLP("tanh", 1.5, depth=10**9, width=10**6).depth == 10**9


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"activation": 3.0}, ChioneError, "must be a name, a formula or a function"),
        ({"activation": "tahn"}, ChioneError, "tanh"),
        ({"activation": None}, ChioneError, "must be a name, a formula or a function"),
        ({"depth": -5}, ValueError, "depth must be at least 1, but it is -5"),
        ({"depth": 0}, ValueError, "depth must be at least 1"),
        ({"depth": 2.5}, TypeError, "depth must be an integer"),
        ({"depth": True}, TypeError, "depth must be an integer"),
        ({"depth": 99999999999999999999}, ValueError, r"depth must be at most 2\^53"),
        ({"depth": float("inf")}, TypeError, "depth must be an integer"),
        ({"width": 1e20}, ValueError, r"width must be at most 2\^53"),
        ({"width": -1}, ValueError, "width must be at least 1"),
        ({"width": 2.5}, TypeError, "width must be an integer"),
        ({"width": "512"}, TypeError, "width must be an integer"),
        ({"width": (3, 2.5, 4)}, TypeError, "width must be an integer"),
        ({"width": (3, 4)}, ValueError, "one for each of the 3 layers"),
        ({"input_width": 0}, ValueError, "input_width must be at least 1"),
        ({"input_width": 1e300}, ValueError, r"input_width must be at most 2\^53"),
        ({"sigma_w": -1.0}, ValueError, "sigma_w must be 0 or above"),
        ({"sigma_b": float("nan")}, ValueError, "sigma_b must be finite"),
        ({"weights": "cauchy"}, ValueError, "weights must be one of"),
    ],
)
def test_arguments_of_a_network_are_refused_by_name(arguments, error, message):
    given = {"activation": "tanh", "sigma_w": 1.2, "depth": 3, "width": 8, **arguments}
    with pytest.raises(error, match=message):
        MLP(**given)


X = np.ones((2, 3))
ENTRIES = {
    "nngp": lambda n: ch.nngp(n, X),
    "ntk": lambda n: ch.ntk(n, X),
    "kernel_layers": lambda n: kernel_layers(n),
    "kernel_diagonal": lambda n: kernel_diagonal(n, [1.0]),
    "backward": lambda n: ch.backward(n),
    "process_kernel": lambda n: ch.process_kernel(n),
    "mean_square_variance": lambda n: mean_square_variance(n),
    "great_circle": lambda n: ch.simulation.great_circle(n),
    "gaussian_limit": lambda n: ch.simulation.gaussian_limit(n, X, kernel=np.eye(2)),
    "simulate": lambda n: ch.simulate(n),
    "simulate_spectrum": lambda n: ch.simulate_spectrum(n),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("wrong", ["tanh", None, 3, np.eye(2), MLP])
def test_what_is_no_network_is_refused_in_a_sentence(entry, wrong):
    with pytest.raises(TypeError, match=r"network must be a chione\.MLP, but it is of type"):
        ENTRIES[entry](wrong)


def test_a_comparison_of_no_simulation_is_refused_in_a_sentence():
    for wrong in (MLP("tanh", 1.2), "tanh", None):
        with pytest.raises(TypeError, match=r"result must be what chione\.simulate returned"):
            ch.compare(wrong)


def test_a_network_passes_its_own_check():
    net = MLP("tanh", 1.2)
    assert as_network(net) is net
