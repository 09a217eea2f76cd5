"""`initialize_` on plain, convolutional, residual and normalised models."""

import copy
import math

import pytest

torch = pytest.importorskip("torch")

import chione.torch  # noqa: E402 - needs torch
from chione.activations import activation  # noqa: E402
from chione.torch import calculate_gain, initialize_, inspect  # noqa: E402
from chione.torch.recommendation.gains import recommended  # noqa: E402
from chione.torch.recommendation.recipes import recipe  # noqa: E402

nn = torch.nn
F = torch.nn.functional

ACTIVATIONS = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "selu": nn.SELU,
    "elu": nn.ELU, "softplus": nn.Softplus, "sigmoid": nn.Sigmoid, "mish": nn.Mish,
}  # fmt: skip


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(activation, depth=50, width=256, inputs=256):
    torch.manual_seed(0)
    layers = []
    for i in range(depth):
        layers += [nn.Linear(inputs if i == 0 else width, width), activation()]
    return nn.Sequential(*layers)


def ratio(model, x):
    """Mean-square gradient at the first layer over that at the last, and the report."""
    report = inspect(model, x, projections=2)
    return report.layers[0].gradient / report.layers[-1].gradient, report


BATCH = torch.randn(32, 256, generator=seeded(7))


# ---- the demonstration: 50 layers of 256 ------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [n if n in ("relu", "gelu") else pytest.param(n, marks=pytest.mark.slow) for n in ACTIVATIONS],
)
def test_under_the_default_of_torch_no_activation_survives_fifty_layers(name):
    found, report = ratio(mlp(ACTIVATIONS[name]), BATCH)
    assert found < 1e-8 or report.layers[-1].one_minus_c < 1e-6
    assert not report.verdict.trainable


def test_gains_of_torch_hold_for_relu_only():
    for name, low, high in (("relu", 0.1, 10.0), ("tanh", 30.0, 1e9), ("sigmoid", 0.0, 1e-20)):
        model = mlp(ACTIVATIONS[name])
        for layer in model[::2]:
            gain = nn.init.calculate_gain(name)
            nn.init.normal_(layer.weight, std=gain / 16.0, generator=seeded())
            nn.init.zeros_(layer.bias)
        found, _ = ratio(model, BATCH)
        assert low <= found <= high, name


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "softplus"])
def test_initialised_gradients_stay_within_a_factor_three_over_fifty_layers(name, weights):
    model = mlp(ACTIVATIONS[name])
    initialize_(model, BATCH, weights=weights, generator=seeded(3))
    found, report = ratio(model, BATCH)
    assert 1 / 3 <= found <= 3
    assert report.verdict.trainable
    assert report.layers[-1].one_minus_c > 1e-3


def test_softplus_is_said_to_have_no_solution_and_offered_what_theory_offers():
    done = initialize_(mlp(nn.Softplus), BATCH, generator=seeded())
    assert "softplus" in done.note
    assert "Replace softplus by" in done.note
    assert "nothing keeps the gradients" in done.changes[5].reason


# ---- without a batch, by theory alone ---------------------------------------------------------


def test_without_a_batch_the_sigmas_are_those_of_theory():
    model = mlp(nn.GELU, depth=12, width=300, inputs=200)
    done = initialize_(model, generator=seeded())
    best = recipe(activation("gelu"), 12, 300)
    for layer, change in zip(model[2::2], done.changes[1:], strict=True):
        sigma_w = float(layer.weight.detach().square().mean().sqrt()) * math.sqrt(300)
        assert sigma_w == pytest.approx(best.sigma_w, rel=0.02)
        assert float(layer.bias.detach().std()) == pytest.approx(best.sigma_b, rel=0.2)
        assert (change.sigma_w, change.sigma_b) == (best.sigma_w, best.sigma_b)
        assert change.factor == 1.0


def test_the_first_layer_brings_any_input_to_the_wanted_length():
    best = recipe(activation("silu"), 6, 256)
    assert best.length > 0.0
    for scale in (0.01, 30.0):
        model = mlp(nn.SiLU, depth=6)
        x = scale * BATCH
        initialize_(model, x, generator=seeded())
        assert inspect(model, x).layers[0].mean_square == pytest.approx(best.length, rel=1e-3)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(20, 90), nn.Linear(90, 70), nn.Linear(70, 3)

    def forward(self, x):
        return self.c(F.relu(self.b(F.relu(self.a(x)))))


def test_functional_activations_are_seen_without_a_batch():
    done = initialize_(Functional(), generator=seeded())
    assert [c.activation for c in done.changes] == ["relu", "relu", None]
    assert done.note == ""
    assert done.changes[1].sigma_w == pytest.approx(math.sqrt(2.0))
    assert "starts beside a uniform guess" in done.changes[2].reason


class Stubborn(nn.Sequential):
    """Takes only what nobody guesses."""

    def forward(self, x, key):
        if key != "open":
            raise RuntimeError("closed")
        return super().forward(x)


def test_a_model_that_cannot_be_run_is_read_in_the_order_of_registration_and_says_so():
    model = Stubborn(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 40), nn.Tanh(), nn.Linear(40, 5))
    done = initialize_(model, generator=seeded())
    assert "order in which its modules are registered" in done.note
    assert [c.activation for c in done.changes] == ["tanh", "tanh", None]


# ---- properties of the act --------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal", "delta_orthogonal"])
def test_one_generator_seed_gives_one_network_and_global_randomness_is_left_alone(weights):
    models = [mlp(nn.GELU, depth=5, width=20, inputs=9) for _ in range(2)]
    x = torch.randn(8, 9, generator=seeded(1))
    before = torch.get_rng_state()
    for model in models:
        initialize_(model, x, weights=weights, generator=seeded(5))
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_nothing_but_weights_and_biases_changes():
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)
    )
    model[0].weight.requires_grad_(False)
    model[4].weight.grad = torch.ones(3, 8)
    model[3].eval()
    buffers = {k: b.clone() for k, b in model.named_buffers()}
    initialize_(model, torch.randn(10, 6), generator=seeded())
    assert not model[0].weight.requires_grad
    assert model[4].weight.requires_grad
    assert torch.equal(model[4].weight.grad, torch.ones(3, 8))
    assert not model[3].training
    assert model[1].training
    assert all(torch.equal(b, buffers[k]) for k, b in model.named_buffers())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_other_precisions_are_initialised_in_float32_or_better(dtype, weights):
    model = mlp(nn.Tanh, depth=8, width=64, inputs=64).to(dtype)
    initialize_(model, torch.randn(8, 64).to(dtype), weights=weights, generator=seeded())
    w = model[4].weight.detach()
    assert w.dtype == dtype
    if weights == "orthogonal":
        gram = w.double() @ w.double().T
        scale = gram.diagonal().mean()
        assert float((gram / scale - torch.eye(64)).abs().max()) < 0.05


def test_a_frozen_or_reused_layer_is_set_once():
    layer = nn.Linear(16, 16)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh(), nn.Linear(16, 2))
    done = initialize_(model, torch.randn(9, 16), generator=seeded())
    assert [c.parameter for c in done.changes] == ["0.weight", "4.weight"]


# ---- convolutions -----------------------------------------------------------------------------


def convnet(depth=12):
    layers = [nn.Conv2d(3, 24, 3, padding=1), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(24, 24, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal", "delta_orthogonal"])
def test_deep_convolutional_networks_keep_lengths_and_gradients(weights):
    model, x = convnet(), torch.randn(6, 3, 14, 14, generator=seeded())
    initialize_(model, x, weights=weights, generator=seeded(2))
    report = inspect(model, x)
    convolutions = [layer for layer in report.layers if layer.operation == "convolution"]
    sizes = [layer.mean_square for layer in convolutions]
    assert max(sizes) / min(sizes) < 3.0
    assert 1 / 5 < convolutions[0].gradient / convolutions[-1].gradient < 5
    if weights == "delta_orthogonal":
        w = model[4].weight.detach()
        assert float(w[:, :, 1, 1].abs().sum()) == pytest.approx(float(w.abs().sum()))


# ---- residual streams and normalisations ------------------------------------------------------


class Residual(nn.Module):
    def __init__(self, blocks, norm):
        super().__init__()
        self.start = nn.Linear(40, 64)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(64) if norm else nn.Identity(),
                    "inner": nn.Linear(64, 128),
                    "outer": nn.Linear(128, 64),
                }
            )
            for _ in range(blocks)
        )

    def forward(self, x):
        x = self.start(x)
        for b in self.blocks:
            x = x + b["outer"](F.gelu(b["inner"](b["norm"](x))))
        return x


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("blocks", [4, 40])
def test_the_stream_stays_bounded_over_any_number_of_residual_blocks(norm, blocks):
    torch.manual_seed(0)
    model, x = Residual(blocks, norm), torch.randn(16, 40, generator=seeded())
    done = initialize_(model, x, generator=seeded(1))
    report = inspect(model, x)
    stream = [layer.mean_square for layer in report.layers if layer.residual]
    assert done.residual_sums == blocks
    growth = math.exp(3.0 if norm else 1.0) * 1.3
    assert 0.5 < stream[-1] / report["start"].mean_square < growth
    assert 0.1 < report["start"].gradient / report.layers[-1].gradient < max(growth, 10.0)
    ends = [c for c in done.changes if "end of a residual branch" in c.reason]
    assert len(ends) == blocks


@pytest.mark.parametrize(("blocks", "gain"), [(3, 1.0), (80, 0.5)])
def test_branches_that_end_in_a_normalisation_get_its_gain_smaller_if_they_are_many(blocks, gain):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.na, self.nb = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
            nn.init.constant_(self.nb.weight, 3.0)

        def forward(self, x):
            return F.relu(x + self.nb(self.b(F.relu(self.na(self.a(x))))))

    model = nn.Sequential(nn.Conv2d(3, 8, 3), *(Block() for _ in range(blocks)))
    initialize_(model, torch.randn(5, 3, 5, 5), generator=seeded())
    for block in model[1:]:
        assert torch.allclose(block.nb.weight, torch.tensor(gain))
        assert torch.equal(block.na.weight, torch.ones(8))


def test_a_layer_before_a_normalisation_gets_unit_scale_and_no_bias():
    model = nn.Sequential(nn.Linear(30, 50), nn.LayerNorm(50), nn.GELU(), nn.Linear(50, 4))
    done = initialize_(model, torch.randn(64, 30), generator=seeded())
    assert done.changes[0].sigma_b == 0.0
    assert done.changes[0].sigma_w == pytest.approx(1.0, rel=0.1)
    assert "normalisation follows" in done.changes[0].reason
    assert torch.equal(model[1].weight, torch.ones(50))


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_the_projections_of_multi_head_attention_are_set(weights):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
    model = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
    x = torch.randn(8, 10, 48, generator=seeded())
    done = initialize_(model, x, weights=weights, generator=seeded(1))
    assert done.residual_sums == 12
    assert done.left == ()
    attention = model.layers[3].self_attn
    q, k, v = attention.in_proj_weight.detach().double().chunk(3)
    for w in (q, k, v):
        assert float(w.square().mean()) * 48 == pytest.approx(1.0, rel=0.1)
    out = attention.out_proj.weight.detach().double()
    # Of the stream that it is added to, which six sums have made (1 + 3 / 12)^6 times as long.
    stream = (15 / 12) ** 6
    assert float(out.square().mean()) * 48 == pytest.approx(stream * 3 / 12, rel=0.1)
    if weights == "orthogonal":
        assert torch.allclose(q @ q.T, torch.eye(48).double(), atol=1e-5)
    assert float(attention.in_proj_bias.detach().abs().sum()) == 0.0
    report = inspect(model, x)
    report.assert_trainable()
    sums = [row.mean_square for row in report.layers if row.residual]
    assert max(sums) < math.exp(3.0) * 1.2


def test_a_missing_bias_is_said_where_the_recommendation_has_one():
    model = nn.Sequential(
        *[m for _ in range(6) for m in (nn.Linear(40, 40, bias=False), nn.GELU())]
    )
    done = initialize_(model, torch.randn(8, 40), generator=seeded())
    assert any("it has no bias" in c.reason for c in done.changes)
    assert inspect(model, torch.randn(8, 40)).verdict.trainable


def test_target_forward_gives_mean_square_one_everywhere():
    model = mlp(nn.Softplus, depth=6)
    initialize_(model, BATCH, target="forward", generator=seeded())
    for layer in inspect(model, BATCH).layers:
        assert layer.mean_square == pytest.approx(1.0, rel=1e-3)


def test_reports_are_plain_data():
    done = initialize_(copy.deepcopy(Functional()), generator=seeded())
    assert done.to_dict()["changes"][0]["name"] == "a"
    assert str(done).splitlines()[0].startswith("layer")


def test_bad_options_are_refused():
    with pytest.raises(
        ValueError, match="weights must be one of auto, gaussian, normal, truncated"
    ):
        initialize_(nn.Linear(3, 3), weights="he")
    with pytest.raises(ValueError, match="target must be one of auto, forward"):
        initialize_(nn.Linear(3, 3), target="critical")
    with pytest.raises(ValueError, match="has no parameters"):
        initialize_(nn.ReLU())
    with pytest.raises(ValueError, match="rejects the batch in layer '0'"):
        initialize_(nn.Sequential(nn.Linear(3, 4)), torch.randn(5, 7))


# ---- gains ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "param"), [("relu", None), ("linear", None), ("conv2d", None), ("leaky_relu", 0.2)]
)
def test_the_gain_is_that_of_torch_where_torchs_is_right(name, param):
    assert calculate_gain(name, param) == pytest.approx(nn.init.calculate_gain(name, param))


def test_gains_of_names_modules_and_functions_agree():
    for name, module, function in (
        ("gelu", nn.GELU(), F.gelu),
        ("tanh", nn.Tanh(), torch.tanh),
        ("silu", nn.SiLU(), lambda h: h * torch.sigmoid(h)),
        ("leaky_relu(0.3)", nn.LeakyReLU(0.3), lambda h: F.leaky_relu(h, 0.3)),
        ("leaky_relu(0.25)", nn.PReLU(), nn.LeakyReLU(0.25)),
        ("gelu_tanh", nn.GELU(approximate="tanh"), lambda h: F.gelu(h, approximate="tanh")),
    ):
        expected = calculate_gain(name)
        assert calculate_gain(module) == pytest.approx(expected, rel=1e-12)
        assert calculate_gain(function) == pytest.approx(expected, rel=1e-12)


def test_the_gelu_gain_is_the_critical_one_where_the_depth_allows():
    # C_W = 1.98305826 at K* = (3 + sqrt 17) / 2, which holds lengths from below only
    assert calculate_gain("gelu", depth=10) ** 2 == pytest.approx(1.98305826, rel=1e-8)
    slope = float(chione.theory.derivative_second_moment("gelu", recommended("gelu").length))
    assert calculate_gain("gelu") ** 2 * slope == pytest.approx(1.0, rel=1e-9)


def test_the_gain_keeps_the_mean_square_gradient_of_each_layer():
    for name in ("tanh", "selu", "mish", "sigmoid"):
        best = recommended(name)
        slope = chione.theory.derivative_second_moment(
            chione.torch.recommendation.gains.as_activation(name), best.length
        )
        assert best.sigma_w**2 * float(slope) == pytest.approx(1.0, rel=1e-6)


def test_gains_that_do_not_exist_and_nonsense_are_refused_with_a_remedy():
    with pytest.raises(chione.base.ConvergenceError, match=r"softplus.*Replace softplus by"):
        calculate_gain("softplus")
    with pytest.raises(chione.base.SpecError, match="param belongs to leaky_relu"):
        calculate_gain("tanh", 0.2)
    with pytest.raises(chione.base.SpecError, match="activation"):
        calculate_gain("no such thing")
    with pytest.raises(ValueError, match="depth must be at least 1"):
        calculate_gain("tanh", depth=0)
