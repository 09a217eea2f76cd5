"""The door of networks: what they accept, what they refuse, and that no other object passes."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

import chione as ch
from chione.activations import AbstractActivation
from chione.base import ChioneError
from chione.networks import (
    MLP,
    Dense,
    Input,
    Network,
    Nonlinearity,
    Parallel,
    Repeat,
    Scale,
    ShapeError,
    as_network,
    convnet,
    densenet,
    mixer,
    resnet,
    uniform,
)
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


# ---- what people write into files ---------------------------------------------------------------


def layers(*written):
    return {"layers": [*written]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (layers({"kind": "dense", "sigma_w": None}), r"layers\[0\]: sigma_w must be one real num"),
        (layers({"kind": "dense", "sigma_w": "1.4"}), "sigma_w must be one real number.* '1.4'"),
        (layers({"kind": "dense", "sigma_w": True}), "sigma_w must be one real number.* True"),
        (layers({"kind": "dense", "sigma_w": {}}), "sigma_w must be one real number"),
        (layers({"kind": "dense", "sigma_w": [1.4]}), "sigma_w must be one number"),
        (layers({"kind": "dense", "sigma_w": 1e200}), "sigma_w must be at most 1e.150 in size"),
        (layers({"kind": "scale", "factor": -1e308}), "factor must be at most 1e.150 in size"),
        (layers({"kind": "dense", "weights": ["gaussian"]}), r"but it is \['gaussian'\]"),
        (layers({"kind": "residual", "branch": [[]]}), r"layers\[0\].branch\[0\] must be a layer"),
        (layers({"kind": "convolution", "kernel": [[3]]}), r"kernel\[0\] .* but it is \[3\]"),
        (layers({"kind": "repeat", "times": 1e300, "layers": []}), "times .* of 301 digits"),
        ({"layers": [], "input": {"inputs": [[1, 2], [3]]}}, "2 rows, but row 1 has 1 entries"),
        (
            {"layers": [], "input": {"inputs": [[1, True], [True, 1]]}},
            r"inputs\[0\]\[1\] must be a",
        ),
        ({"layers": [], "input": {"inputs": [[None]]}}, r"inputs\[0\]\[0\] must be a number"),
        ({"layers": [], "input": {"inputs": None}}, "inputs must hold real numbers, .* None"),
        ({"layers": [], "input": {"grid": [2], "positions": True}}, "positions must be one real"),
        ({"layers": [], "input": {"grid": [2], "positions": "a"}}, "positions must be one real"),
        ({"layers": [], "input": {"grid": [2], "positions": 2}}, r"\[-1, 1\], but it holds 2.0"),
    ],
)
def test_a_wrong_value_in_a_file_is_shown_as_it_was_written(data, said):
    with pytest.raises(ChioneError, match=said):
        Network.from_dict(data)


@pytest.mark.parametrize(
    ("word", "proposed"), [("Dense", "dense"), ("dens", "dense"), ("norn", "norm")]
)
def test_a_kind_that_is_nearly_right_is_proposed(word, proposed):
    with pytest.raises(ChioneError, match=f"did you mean '{proposed}'"):
        Network.from_dict(layers({"kind": word}))


def test_a_kind_that_is_like_none_is_not_guessed():
    with pytest.raises(ChioneError, match=r"but it is 'embedding'\."):
        Network.from_dict(layers({"kind": "embedding"}))


def test_a_key_that_stands_twice_is_refused():
    text = '{"layers": [{"kind": "dense", "sigma_w": 1, "sigma_w": 2}]}'
    with pytest.raises(ChioneError, match=r"net\.json: the key 'sigma_w' stands twice .* 'dense'"):
        Network.from_json(text, "net.json")


@pytest.mark.parametrize("deep", [1000, 100_000])
def test_layers_inside_each_other_without_end_are_refused(deep):
    text = (
        '{"layers": '
        + '[{"kind": "repeat", "times": 1, "layers": ' * deep
        + "[]"
        + "}]" * deep
        + "}"
    )
    with pytest.raises(ChioneError, match="at most 200 layers may stand inside each other"):
        Network.from_json(text)


def test_a_number_of_thousands_of_digits_is_refused():
    text = '{"layers": [{"kind": "scale", "factor": ' + "1" * 5000 + "}]}"
    with pytest.raises(ChioneError, match="number that is too long"):
        Network.from_json(text)


def test_a_file_that_begins_with_a_mark_of_its_encoding_is_read():
    assert Network.from_json('\ufeff{"layers": []}') == Network([])


def test_sets_and_dictionaries_are_no_lists_of_layers():
    for wrong in ({Dense(), Scale(2.0)}, {"kind": "dense"}):
        with pytest.raises(TypeError, match="layers must be a list of layers"):
            Network(wrong)


def test_the_length_is_the_number_of_steps_and_needs_none():
    for network in (resnet(depth=3, width=4), convnet(depth=2), Network([])):
        assert network.length == len(list(network.steps()))
    assert Network([Repeat(2**53, [Dense(), Repeat(2**53, [Dense()])])]).length > 2**107


def test_blocks_that_grow_without_end_are_refused():
    doubled = Parallel(((), ()), "concat")
    with pytest.raises(ShapeError, match=r"more than 2\^53 channels"):
        Network([Repeat(10**6, [doubled])])
    grown = Parallel(((), (Dense(out=1),)), "concat")
    with pytest.raises(ShapeError, match="after 10,000 repetitions the shape still changes"):
        Network([Repeat(2**53, [grown])])
    assert Network([Repeat(10_000, [grown])], Input(1)).output.width == 10_001


def test_a_network_too_long_to_unfold_is_no_mlp():
    assert uniform(Network([Repeat(2**53, [Dense(), Nonlinearity("relu")])])) is None


def test_presets_name_the_option_that_is_wrong():
    for builder in (convnet, densenet, mixer, resnet):
        with pytest.raises(ValueError, match="depth must be at least 1"):
            builder(depth=0)
    with pytest.raises(TypeError, match="width must be an integer"):
        resnet(width=[3, 4])
    with pytest.raises(TypeError, match="expansion must be an integer"):
        mixer(expansion=1.5)


def test_one_channel_is_no_plural():
    assert str(Network([Dense()], Input(1)).output) == "1 channel"
