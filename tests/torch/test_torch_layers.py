"""The module of each kind is recognised as that layer of `networks`, with its tensors."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.activations import activation  # noqa: E402
from chione.networks import (  # noqa: E402
    KINDS,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Input,
    Network,
    Nonlinearity,
    Norm,
    Pooling,
    Scale,
)
from chione.theory.layers.stream import from_moments  # noqa: E402
from chione.theory.layers.walk import propagate  # noqa: E402
from chione.torch.expected.walk import Walk  # noqa: E402
from chione.torch.inspection.inspection import measured_moments, trace  # noqa: E402
from chione.torch.layers.entering import Attention, Embedding  # noqa: E402
from chione.torch.layers.joins import Concat, Product, Sum, View  # noqa: E402
from chione.torch.layers.nonlinearity import Applied  # noqa: E402
from chione.torch.layers.norm import Frozen  # noqa: E402
from chione.torch.layers.tensors import Weight  # noqa: E402

nn = torch.nn


def graph_of(model, x, **options):
    with torch.no_grad():
        return trace(model, x, len(x), **options)[0]


def layers(model, x):
    """Layers of the nodes, without what only shows a tensor in another shape."""
    nodes = graph_of(model, x).nodes
    found = [node.layer for node in nodes[1:]]
    return [
        layer.layer if isinstance(layer, Applied) else layer
        for layer in found
        if not (isinstance(layer, View) and layer.part is None)
    ]


def sigmas(module, fan_in):
    """Measured in NumPy."""
    w = module.weight.detach().double().numpy()
    b = np.zeros(1) if module.bias is None else module.bias.detach().double().numpy()
    return math.sqrt(fan_in * np.mean(w**2)), math.sqrt(np.mean(b**2))


def same(layer, wanted):
    """Fields agree, numbers to a rounding."""
    assert type(layer) is type(wanted)
    for name, value in vars(wanted).items():
        found = getattr(layer, name)
        if isinstance(value, float):
            assert found == pytest.approx(value, rel=1e-6), name
        else:
            assert found == value, name


def test_a_linear_module_is_a_dense_layer():
    module = nn.Linear(7, 12)
    (found,) = layers(module, torch.randn(3, 7))
    same(found, Dense(*sigmas(module, 7), out=12))


CONVOLUTIONS = [
    # module, input, fan-in, fields
    (nn.Conv1d(4, 6, 3, padding=1), (4, 9), 12, {"kernel": (3,), "out": 6}),
    (nn.Conv2d(4, 6, (3, 5), padding=(1, 2)), (4, 9, 8), 60, {"kernel": (3, 5), "out": 6}),
    (
        nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, bias=False), (4, 9, 8), 36,
        {"kernel": (3, 3), "out": 6, "stride": (2, 2), "dilation": (2, 2)},
    ),
    (
        nn.Conv2d(4, 6, 3, padding="same", groups=2), (4, 9, 8), 18,
        {"kernel": (3, 3), "out": 6, "groups": 2},
    ),
    (
        nn.Conv1d(4, 4, 3, padding=1, groups=4), (4, 9), 3,
        {"kernel": (3,), "out": 4, "depthwise": True},
    ),
    (
        nn.ConvTranspose1d(4, 6, 4, stride=2), (4, 9), 8,
        {"kernel": (4,), "out": 6, "stride": (2,), "transposed": True},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("module", "shape", "fan_in", "fields"), CONVOLUTIONS)
def test_convolutions_are_recognised(module, shape, fan_in, fields):
    (found,) = layers(module, torch.randn(3, *shape))
    sigma_w, sigma_b = sigmas(module, fan_in)
    wanted = {"stride": (1,) * (len(shape) - 1), "dilation": (1,) * (len(shape) - 1), **fields}
    if fields.get("transposed"):
        wanted["dilation"] = 1
    same(found, Convolution(sigma_w=sigma_w, sigma_b=sigma_b, **wanted))


def test_circular_padding_is_seen():
    module = nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular")
    found = layers(module, torch.randn(3, 4, 9, 8))[-1]
    assert isinstance(found, Convolution)
    assert found.padding == "circular"


def affine(module):
    with torch.no_grad():
        module.weight.copy_(torch.linspace(0.5, 1.5, module.weight.numel()))
        if getattr(module, "bias", None) is not None:
            module.bias.copy_(torch.linspace(-0.2, 0.1, module.bias.numel()))
    weight = module.weight.detach().numpy()
    bias = getattr(module, "bias", None)
    shift = 0.0 if bias is None else math.sqrt(np.mean(bias.detach().numpy() ** 2))
    return module, math.sqrt(np.mean(weight**2)), shift


@pytest.mark.parametrize(
    ("module", "shape", "form", "groups", "eps"),
    [
        (nn.LayerNorm(8), (5, 8), "layer", 1, 1e-5),
        (nn.RMSNorm(8, eps=1e-3), (5, 8), "rms", 1, 1e-3),
        (nn.GroupNorm(4, 8), (8, 6), "group", 4, 1e-5),
        (nn.BatchNorm1d(8, eps=1e-4), (8,), "batch", 1, 1e-4),
        (nn.BatchNorm2d(8), (8, 3, 3), "batch", 1, 1e-5),
    ],
)
def test_norms_are_recognised(module, shape, form, groups, eps):
    module, gain, shift = affine(module)
    (found,) = layers(module, torch.randn(6, *shape))
    same(found, Norm(form, gain, shift, eps, groups))


def test_batch_norm_in_evaluation_is_a_constant_map():
    module, gain, shift = affine(nn.BatchNorm1d(8))
    module.running_var.fill_(4.0)
    (found,) = layers(module.eval(), torch.randn(6, 8))
    same(found, Frozen(gain / math.sqrt(4.0 + 1e-5), shift))


@pytest.mark.parametrize(
    ("module", "shape", "wanted"),
    [
        (nn.Dropout(0.3), (8,), Dropout(0.7)),
        (nn.Dropout1d(0.3), (8, 5), Dropout(0.7, "positions")),
        (nn.Dropout2d(0.4), (8, 5, 5), Dropout(0.6, "positions")),
        (nn.Dropout(0.3).eval(), (8,), Dropout(1.0)),
        (nn.Dropout(1.0), (8,), Scale(0.0)),
        (nn.AvgPool2d(2), (8, 6, 6), Pooling("average", 2, 2)),
        (nn.MaxPool1d(3, stride=2), (8, 7), Pooling("max", 3, 2)),
        (nn.AdaptiveAvgPool2d(1), (8, 6, 6), Pooling()),
        (nn.Flatten(), (8, 6, 6), Flatten()),
    ],
)
def test_maps_without_weights_are_recognised(module, shape, wanted):
    first = nn.Conv2d(8, 8, 1) if len(shape) == 3 else nn.Conv1d(8, 8, 1)
    model = nn.Sequential(*((first,) if len(shape) > 1 else (nn.Linear(8, 8),)), module)
    model.train(module.training)
    same(layers(model, torch.randn(4, *shape))[-1], wanted)


def test_a_mean_over_all_positions_is_a_global_pool():
    class Mean(nn.Module):
        def __init__(self, axes, first):
            super().__init__()
            self.axes, self.first = axes, first

        def forward(self, x):
            return self.first(x).mean(dim=self.axes)

    for model, shape in (
        (Mean((2, 3), nn.Conv2d(4, 4, 1)), (4, 5, 5)),
        (Mean(1, nn.Linear(4, 4)), (7, 4)),
    ):
        same(layers(model, torch.randn(3, *shape))[-1], Pooling())


@pytest.mark.parametrize(
    ("module", "name"),
    [(nn.Tanh(), "tanh"), (nn.GELU(), "gelu"), (nn.ReLU(), "relu"), (nn.SELU(), "selu")],
)
def test_activations_are_recognised(module, name):
    found = layers(nn.Sequential(nn.Linear(4, 4), module), torch.randn(3, 4))
    assert found[-1] == Nonlinearity(activation(name))


class Block(nn.Module):
    """A gate by chunk, a residual sum, a scale, a concatenation."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(6, 16), nn.Linear(8, 6)

    def forward(self, x):
        a, b = self.up(x).chunk(2, dim=-1)
        y = x + 0.5 * self.down(nn.functional.silu(a) * b)
        return torch.cat([x, y], dim=-1)


def test_gates_sums_scales_and_concatenations_are_recognised():
    found = layers(nn.Sequential(nn.Linear(6, 6), Block()), torch.randn(5, 6))
    kinds = [type(layer) for layer in found]
    assert kinds == [Dense, Dense, View, View, Nonlinearity, Product, Dense, Scale, Sum, Concat]
    assert (found[2].part, found[3].part) == ((0, 8), (8, 8))
    assert found[7] == Scale(0.5)
    assert found[8] == Sum(residual=True)
    assert found[9] == Concat(channels=True)


def test_tables_and_attention_are_recognised():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.mix = (
                nn.Embedding(10, 8),
                nn.MultiheadAttention(8, 2, batch_first=True),
            )

        def forward(self, x):
            h = self.table(x)
            return self.mix(h, h, h)[0]

    model = Model()
    graph = graph_of(model, torch.arange(12).reshape(3, 4) % 10)
    found = [node.layer for node in graph.nodes if not isinstance(node.layer, View)]
    weight = model.table.weight.detach().numpy()
    assert found[0].sigma == pytest.approx(math.sqrt(np.mean(weight**2)), rel=1e-6)
    assert [type(layer) for layer in found] == [Embedding, Attention]


def test_kinds_that_torch_has_no_module_for_are_few():
    seen = {Dense, Convolution, Norm, Nonlinearity, Dropout, Pooling, Flatten, Scale}
    spelled = {"residual", "parallel", "repeat", "noise", "gate", "maxout", "position"}
    spelled |= {"attention", "recurrent"}  # calls with weights of their own, seen as a whole
    assert {kind.word for kind in KINDS} == spelled | {kind.word for kind in seen}


@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_the_walk_along_a_graph_is_that_of_the_described_network(padding):
    torch.manual_seed(3)
    first = nn.Conv1d(5, 40, 3, padding=1, padding_mode=padding)
    second = nn.Conv1d(40, 30, 3, padding=1, stride=2)
    last = nn.Linear(30 * 3, 8)
    model = nn.Sequential(first, nn.GELU(), second, nn.ReLU(), nn.Flatten(), last).double()
    x = torch.randn(4, 5, 6, dtype=torch.float64)
    graph = graph_of(model, x)
    walk = Walk(graph, measured_moments(graph))
    described = Network(
        (
            Convolution((3,), *sigmas(first, 15), out=40, padding=padding.removesuffix("s")),
            Nonlinearity("gelu"),
            Convolution((3,), *sigmas(second, 120), out=30, stride=2),
            Nonlinearity("relu"),
            Flatten(),
            Dense(*sigmas(last, 90), out=8),
        ),
        Input(5, (6,)),
    )
    sites = x.transpose(1, 2).reshape(24, 5).numpy()
    there = propagate(described, from_moments(sites @ sites.T / 5, Input(5, (6,)).shape))
    rows = list(graph.rows())
    for node, place in zip(rows, ("layers[0]", "layers[2]", "layers[5]"), strict=True):
        found, wanted = (s.second_moments().value for s in (
            walk.expected[node.index].stream, there.streams[place]
        ))  # fmt: skip
        assert np.allclose(found, wanted, rtol=1e-6, atol=1e-9)
    assert all(isinstance(node.tensors, Weight) for node in rows)
