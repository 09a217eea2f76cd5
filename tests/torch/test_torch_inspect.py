"""`inspect` against plain hooks, explicit Jacobians and the theory, on models of many kinds."""

import math
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from torch.utils.checkpoint import checkpoint  # noqa: E402 - needs torch

from chione.torch import inspect  # noqa: E402

nn = torch.nn
F = torch.nn.functional


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(activation, depth=6, width=48, inputs=17):
    layers = []
    for i in range(depth):
        layers += [nn.Linear(inputs if i == 0 else width, width), activation()]
    return nn.Sequential(*layers)


def by_hooks(model, modules, run, projections=1, seed=0):
    """Outputs of modules and gradients arriving there, by plain hooks written for the test."""
    outputs = {}
    handles = [
        module.register_forward_hook(
            lambda m, a, out, name=name: outputs.__setitem__(name, _keep(out))
        )
        for name, module in modules.items()
    ]
    out = run(model)
    for handle in handles:
        handle.remove()
    generator = seeded(seed)
    totals = dict.fromkeys(outputs, 0.0)
    for _ in range(projections):
        v = torch.randn(out.shape, generator=generator)
        size = float(v.double().square().mean())
        grads = torch.autograd.grad(out, list(outputs.values()), v, retain_graph=True)
        for name, g in zip(outputs, grads, strict=True):
            totals[name] += float(g.double().square().mean()) / size / projections
    return {name: (h.detach().double(), totals[name]) for name, h in outputs.items()}


def _keep(out):
    return out


def correlation(h):
    """Mean over pairs, by the plain double loop."""
    rows = h.reshape(len(h), -1)
    pairs = [
        float(rows[a] @ rows[b] / (rows[a].norm() * rows[b].norm()))
        for a in range(len(rows))
        for b in range(a)
    ]
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.GELU, nn.Softplus])
def test_measured_values_are_those_of_plain_hooks(activation):
    torch.manual_seed(1)
    model, x = mlp(activation), torch.randn(11, 17)
    linear = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    expected = by_hooks(model, linear, lambda m: m(x), projections=3)
    report = inspect(model, x, projections=3)
    assert [layer.name for layer in report.layers] == list(linear)
    for layer in report.layers:
        h, gradient = expected[layer.name]
        assert layer.mean == pytest.approx(float(h.mean()), rel=1e-4, abs=1e-7)
        assert layer.mean_square == pytest.approx(float(h.square().mean()), rel=1e-5)
        assert layer.correlation == pytest.approx(correlation(h), rel=1e-4, abs=1e-6)
        assert layer.gradient == pytest.approx(gradient, rel=1e-4)
        w, b = linear[layer.name].weight.detach(), linear[layer.name].bias.detach()
        assert layer.weight_std == pytest.approx(float(w.double().std(correction=0)), rel=1e-6)
        rms = float(w.double().square().mean().sqrt())
        assert layer.sigma_w == pytest.approx(rms * math.sqrt(w.shape[1]), rel=1e-6)
        assert layer.sigma_b == pytest.approx(float(b.double().square().mean().sqrt()), rel=1e-6)
        assert layer.known


def test_the_partial_jacobian_norm_covers_the_exact_one_within_four_standard_errors():
    torch.manual_seed(2)
    sizes = (6, 10, 12, 9, 4)
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
    model, x = nn.Sequential(*layers).double(), torch.randn(3, 6).double()
    report = inspect(model, x, projections=60)
    for layer, start in zip(report.layers, (1, 3, 5, 7), strict=True):
        tail = model[start:]
        h = model[:start](x)
        norms = [
            float(torch.autograd.functional.jacobian(tail, h[i]).square().sum()) for i in range(3)
        ]
        exact = sum(norms) / (3 * 4)
        assert abs(layer.jacobian - exact) <= 4 * layer.jacobian_error
        assert layer.jacobian_error < 0.3 * exact


def test_the_gradient_of_a_given_loss_is_that_of_autograd():
    torch.manual_seed(3)
    model, x = mlp(nn.SiLU, depth=3, width=9, inputs=5), torch.randn(7, 5)
    y = torch.arange(7) % 9

    def loss(out):
        return F.cross_entropy(out, y)

    report = inspect(model, x, loss)
    h = model[0](x).detach().requires_grad_()
    (g,) = torch.autograd.grad(loss(model[1:](h)), h)
    assert report["0"].gradient == pytest.approx(float(g.square().mean()), rel=1e-4)
    assert report.loss == "the given loss"


def test_theory_stands_beside_every_layer_of_a_wide_network():
    torch.manual_seed(4)
    for activation in (nn.Tanh, nn.ReLU, nn.GELU, nn.ELU):
        report = inspect(mlp(activation, depth=8, width=700, inputs=300), torch.randn(8, 300))
        for layer in report.layers:
            e = layer.expected
            # sqrt(depth / width) = 0.1; three of it, since kurtosis enters as well.
            assert layer.mean_square == pytest.approx(e.mean_square, rel=0.3)
            assert layer.gradient == pytest.approx(e.gradient, rel=0.3)
            assert layer.correlation == pytest.approx(e.correlation, abs=0.06)


class Functional(nn.Module):
    """Functional activations, in-place ones, a residual sum, weights applied by hand."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 12), nn.Linear(12, 12)
        self.c = nn.Parameter(torch.randn(12, 5) / 4)

    def forward(self, x):
        h = self.a(x)
        h = F.relu(h, inplace=True)
        h = h + self.b(h) * torch.sigmoid(self.b(h))
        return torch.addmm(torch.zeros(5), h, self.c)


def test_functions_in_place_operations_and_bare_parameters_are_followed():
    torch.manual_seed(5)
    model, x = Functional(), torch.randn(9, 6)
    report = inspect(model, x)
    names = [layer.name for layer in report.layers]
    assert names == ["a", "b", "b (2)", "sum", "c"]
    assert report["a"].activation == "relu"
    assert report["b (2)"].activation == "sigmoid"
    assert report["sum"].residual
    # in-place relu must not hide the pre-activation, nor its gradient
    h = model.a(x).detach()
    assert report["a"].mean_square == pytest.approx(float(h.square().mean()), rel=1e-5)
    assert report["a"].saturation == pytest.approx(float((h <= 0).float().mean()), abs=1e-6)
    assert report["c"].sigma_w == pytest.approx(
        float(model.c.detach().square().mean().sqrt() * math.sqrt(12)), rel=1e-5
    )
    h = h.requires_grad_()
    r = torch.relu(h)
    z = model.b(r)
    out = (r + z * torch.sigmoid(z)) @ model.c
    v = torch.randn(out.shape, generator=seeded())
    (g,) = torch.autograd.grad(out, h, v)
    first = inspect(model, x, projections=1)["a"].gradient
    assert first == pytest.approx(float(g.square().mean()) / float(v.square().mean()), rel=1e-4)


def test_a_gate_written_by_hand_is_recognised_as_silu():
    class Hand(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(30, 300), nn.Linear(300, 20)

        def forward(self, x):
            h = self.a(x)
            return self.b(h * torch.sigmoid(h))

    torch.manual_seed(6)
    report = inspect(Hand(), torch.randn(12, 30))
    assert report["a"].activation == "silu"
    assert report["b"].expected.mean_square == pytest.approx(report["b"].mean_square, rel=0.3)


def test_dead_and_saturated_units_are_counted():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh())
    with torch.no_grad():
        model[0].bias[:3] = -1e3
        model[2].weight.zero_()
        model[2].bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 9.0, -9.0]))
    report = inspect(model, torch.randn(50, 4, generator=seeded()))
    assert report["0"].dead == pytest.approx(3 / 8)
    assert report["2"].saturation == pytest.approx(2 / 6)
    assert report["2"].dead == pytest.approx(2 / 6)


def test_units_of_a_convolution_are_its_channels():
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 1))
    with torch.no_grad():
        model[0].bias[0] = -1e3
    report = inspect(model, torch.randn(9, 2, 7, 7, generator=seeded()))
    assert report["0"].dead == pytest.approx(1 / 6)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(3, 4)

    def forward(self, a, b, scale=1.0):
        return {"other": 3, "logits": (self.left(a) + self.right(b)) * scale}


class TakesList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 4)

    def forward(self, xs):
        return self.layer(xs[0] + xs[1]), None


def test_batches_come_as_tuples_lists_and_dictionaries():
    a, b = torch.randn(6, 5), torch.randn(6, 3)
    by_name = inspect(Named(), {"a": a, "b": b})
    assert by_name.batch == 6
    assert by_name.output_shape == (6, 4)
    assert len(inspect(Named(), (a, b)).layers) == 3
    assert len(inspect(Named(), [a, b]).layers) == 3
    assert inspect(TakesList(), [a, a]).layers[0].name == "layer"


def test_shared_weights_are_reported_for_each_use():
    layer = nn.Linear(6, 6)
    model = nn.Sequential(layer, nn.Tanh(), layer, nn.Tanh())
    report = inspect(model, torch.randn(5, 6))
    assert [row.name for row in report.layers] == ["0", "0 (2)"]
    assert ("0.weight", "2.weight") in report.shared


class Odd(nn.Module):
    """A recurrent layer, a custom function, einsum with a parameter: no rule for any of them."""

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 7, batch_first=True)
        self.mix = nn.Parameter(torch.randn(7, 3))

    def forward(self, x):
        return torch.einsum("bti,ij->bjt", self.Twice.apply(self.rnn(x)[0]), self.mix)


def test_an_unknown_layer_is_marked_measured_and_never_raises():
    report = inspect(Odd(), torch.randn(5, 6, 4))
    assert [layer.operation for layer in report.layers] == ["GRU", "einsum"]
    rnn, odd = report.layers
    assert rnn.mean_square == pytest.approx(rnn.expected.mean_square, rel=0.5)  # 7 channels
    assert math.isnan(odd.expected.mean_square)
    assert odd.mean_square > 0.0
    assert odd.gradient > 0.0
    assert " ? " in str(report)


@pytest.mark.parametrize(
    ("module", "shape", "operation"),
    [
        (nn.Conv1d(4, 6, 3, padding=1), (5, 4, 9), "convolution"),
        (nn.Conv2d(4, 6, 3, groups=2), (5, 4, 9, 8), "convolution"),
        (nn.Conv3d(2, 6, 3, stride=2), (5, 2, 7, 7, 7), "convolution"),
        (nn.ConvTranspose1d(4, 6, 3), (5, 4, 9), "transposed convolution"),
        (nn.ConvTranspose2d(4, 6, 4, stride=2, groups=2), (5, 4, 9, 8), "transposed convolution"),
        (nn.LayerNorm(12), (5, 12), "layer_norm"),
        (nn.RMSNorm(12), (5, 12), "rms_norm"),
        (nn.GroupNorm(2, 8), (5, 8, 6), "group_norm"),
        (nn.BatchNorm1d(7), (5, 7), "batch_norm"),
        (nn.InstanceNorm1d(7, affine=True), (5, 7, 9), "instance_norm"),
        (nn.LSTM(4, 6), (5, 3, 4), "LSTM"),
    ],
)
def test_each_kind_of_layer_is_known_by_its_operation(module, shape, operation):
    x = torch.randn(shape, generator=seeded())
    (layer,) = inspect(module, x).layers
    assert layer.operation == operation
    out = module(x)
    out = out[0] if isinstance(out, tuple) else out
    assert layer.mean_square == pytest.approx(float(out.detach().square().mean()), rel=1e-4)


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (nn.Conv2d(16, 300, 3, padding=1), (40, 16, 6, 5)),
        (nn.ConvTranspose2d(40, 200, 4, stride=2, padding=1), (40, 40, 12, 12)),
        (nn.ConvTranspose2d(80, 200, 4, stride=2, padding=1, groups=2), (40, 80, 12, 12)),
        (nn.Linear(100, 400), (40, 100)),
    ],
)
def test_the_theory_of_one_layer_knows_fan_in_padding_and_stride(module, inputs):
    nn.init.normal_(module.weight, std=0.1)
    nn.init.normal_(module.bias, std=0.5)
    x = torch.randn(inputs, generator=seeded())
    (layer,) = inspect(module, x).layers
    tolerance = 0.12 if "Transpose" in type(module).__name__ else 0.04  # its border is left out
    assert layer.mean_square == pytest.approx(layer.expected.mean_square, rel=tolerance)


def test_bilinear_embeddings_and_attention_are_followed():
    torch.manual_seed(7)
    (layer,) = inspect(nn.Bilinear(40, 50, 60), (torch.randn(30, 40), torch.randn(30, 50))).layers
    assert layer.operation == "bilinear"
    assert layer.fan_in == 2000
    assert layer.mean_square == pytest.approx(layer.expected.mean_square, rel=0.1)
    (table,) = inspect(nn.Embedding(500, 60), torch.randint(500, (30, 9))).layers
    assert table.mean_square == pytest.approx(table.expected.mean_square, rel=0.1)
    x = torch.randn(6, 5, 16)
    (row,) = inspect(nn.MultiheadAttention(16, 4, batch_first=True), (x, x, x)).layers
    assert row.operation == "attention"
    assert row.sigma_w == pytest.approx(2**-0.5, rel=0.1)  # xavier_uniform_ of (48, 16)
    assert not math.isnan(row.gradient)


def test_a_transformer_layer_of_torch_is_seen_in_full_also_in_eval_mode():
    encoder = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    for mode in (True, False):
        encoder.train(mode)
        report = inspect(encoder, torch.randn(5, 7, 16))
        kinds = [layer.operation for layer in report.layers]
        assert kinds == [
            "attention", "residual sum", "layer_norm", "linear", "linear", "residual sum",
            "layer_norm",
        ]  # fmt: skip


def test_dropout_spreads_the_signal_as_theory_says():
    torch.manual_seed(8)
    model = nn.Sequential(nn.Linear(50, 900), nn.Dropout(0.4), nn.Linear(900, 500))
    layer = inspect(model, torch.randn(12, 50))["2"]
    assert layer.mean_square == pytest.approx(layer.expected.mean_square, rel=0.15)
    assert layer.correlation == pytest.approx(layer.expected.correlation, abs=0.05)
    model.eval()
    assert inspect(model, torch.randn(12, 50))["2"].expected.mean_square < (
        0.8 * layer.expected.mean_square
    )


def test_checkpointed_parts_are_measured_and_recomputed_without_complaint():
    class Saving(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            h = checkpoint(lambda t: torch.tanh(self.a(t)), x, use_reentrant=False)
            return self.b(h)

    report = inspect(Saving(), torch.randn(6, 4))
    assert report["a"].gradient > 0.0
    assert report["a"].activation == "tanh"


def test_computed_weights_and_compiled_modules_do_not_disturb():
    model = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 6)),
        nn.PReLU(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3)),
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    report = inspect(model, torch.randn(5, 4))
    assert [layer.name for layer in report.layers] == ["0", "2"]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_measured_in_their_own(dtype):
    model = nn.Sequential(nn.Linear(8, 20), nn.SiLU(), nn.Linear(20, 4)).to(dtype)
    x = torch.randn(6, 8, generator=seeded()).to(dtype)
    report = inspect(model, x)
    h = model[0](x).detach().double()
    assert report["0"].mean_square == pytest.approx(float(h.square().mean()), rel=1e-3)
    assert report["0"].weight_std is not None


def test_signals_far_below_the_square_root_of_the_smallest_float_are_measured():
    model = nn.Sequential(*[nn.Linear(20, 20, bias=False) for _ in range(3)])
    with torch.no_grad():
        for layer in model:
            layer.weight.mul_(1e-8)
    report = inspect(model, torch.randn(5, 20, generator=seeded()))
    assert 1e-60 < report["2"].mean_square < 1e-45
    assert math.isfinite(report["2"].correlation)


def test_the_report_reads_as_a_table_a_dictionary_and_a_picture(tmp_path):
    report = inspect(mlp(nn.Tanh, depth=3), torch.randn(6, 17))
    assert "Trainable" in str(report)
    assert "sigma_w" in str(report).splitlines()[2]
    plain = report.to_dict()
    assert plain["layers"][0]["expected"]["mean_square"] > 0.0
    assert plain["verdict"]["trainable"] is True
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    report.plot(str(first))
    report.plot(str(second))
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(KeyError, match="no layer named 'x'; the layers are 0, 2, 4"):
        report["x"]


def test_the_seed_makes_the_report_reproducible():
    torch.manual_seed(9)
    model, x = mlp(nn.GELU, depth=3), torch.randn(6, 17)
    first, again, other = (inspect(model, x, seed=s) for s in (4, 4, 5))
    assert first == again
    assert first.layers[0].gradient != other.layers[0].gradient


BAD = [
    (nn.ReLU(), torch.randn(3, 4), ValueError, "ReLU has no parameters"),
    (torch.tanh, torch.randn(3, 4), TypeError, "must be a torch.nn.Module, but it is builtin"),
    (nn.Linear(4, 2), torch.randn(3, 5), ValueError, "rejects the batch in .*3x5 and 4x2"),
    (nn.Linear(4, 2, device="meta"), torch.randn(3, 4), ValueError, "'weight' is on the meta"),
    (nn.Linear(4, 2), torch.full((3, 4), math.nan), ValueError, "batch holds NaN"),
    (nn.Linear(4, 2), torch.empty(0, 4), ValueError, "empty tensor of shape"),
    (nn.Linear(4, 2), "text", ValueError, "at least one tensor"),
    (nn.LazyLinear(2), torch.randn(3, 4), ValueError, "'weight' is lazy"),
]


@pytest.mark.parametrize(("model", "batch", "error", "message"), BAD)
def test_bad_input_is_refused_in_one_sentence(model, batch, error, message):
    with pytest.raises(error, match=message) as caught:
        inspect(model, batch)
    assert "\n" not in str(caught.value)


def test_the_rejecting_layer_is_named_and_its_own_error_attached():
    model = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.Tanh(), nn.Linear(6, 2)))
    with pytest.raises(ValueError, match=r"layer '1\.1' \(RuntimeError") as caught:
        inspect(model, torch.randn(3, 4))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_the_first_layer_with_nan_is_named_with_the_cause():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6), nn.Linear(6, 2))
    with torch.no_grad():
        model[2].weight[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"layer '2' is the first .* its weight holds NaN"):
        inspect(model, torch.randn(3, 4))


def test_overflow_is_named_with_what_it_grew_from():
    model = nn.Sequential(*[nn.Linear(6, 6) for _ in range(4)])
    with torch.no_grad():
        for layer in model:
            layer.weight.fill_(1e13)
    with pytest.raises(ValueError, match=r"layer '2' is the first.*mean square .* earlier"):
        inspect(model, torch.ones(3, 6))


def test_integer_models_and_integer_outputs_are_refused():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(4, 2, dtype=torch.int64), requires_grad=False)

        def forward(self, x):
            return x @ self.w

    with pytest.raises(ValueError, match="only integer parameters"):
        inspect(Counts(), torch.ones(3, 4, dtype=torch.int64))

    class Rounds(nn.Linear):
        def forward(self, x):
            return super().forward(x).round().long()

    with pytest.raises(ValueError, match=r"must return a floating-point tensor.*int64"):
        inspect(Rounds(4, 2), torch.randn(3, 4))


def test_a_loss_that_is_no_number_or_not_finite_is_refused():
    model, x = nn.Linear(4, 2), torch.randn(3, 4)
    with pytest.raises(ValueError, match=r"loss must return one number.*\(3, 2\)"):
        inspect(model, x, lambda out: out)
    with pytest.raises(ValueError, match="loss must be finite, but it is nan"):
        inspect(model, x, lambda out: out.mean() * math.nan)
    with pytest.raises(TypeError, match="loss must be a function"):
        inspect(model, x, "cross_entropy")


@pytest.mark.slow
def test_a_compiled_model_is_looked_at_without_compiling_it():
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    report = inspect(torch.compile(model, backend="eager"), torch.randn(5, 4))
    assert [layer.name for layer in report.layers] == ["0", "2"]
