"""`initialize_` on weights that run often, are frozen, zero, gated, tied, computed or recurrent."""

import math
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from chione.torch import initialize_, inspect  # noqa: E402 - needs torch

nn = torch.nn
F = torch.nn.functional


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sigma(weight):
    """sqrt(n_in <W^2>), by hand."""
    w = weight.detach().double()
    return math.sqrt(float(w.square().mean()) * w[0].numel())


def by_parameter(done):
    return {c.parameter: c for c in done.changes}


def change(model, batch, **options):
    return initialize_(model, batch, generator=seeded(1), **options)


# ---- one layer that runs many times -----------------------------------------------------------


class Repeated(nn.Module):
    def __init__(self, act, times=30, n=128):
        super().__init__()
        self.start, self.layer, self.end = nn.Linear(20, n), nn.Linear(n, n), nn.Linear(n, 5)
        self.act, self.times = act, times

    def forward(self, x):
        x = self.act(self.start(x))
        for _ in range(self.times):
            x = self.act(self.layer(x))
        return self.end(x)


@pytest.mark.parametrize("act", [torch.tanh, F.relu, F.gelu], ids=["tanh", "relu", "gelu"])
def test_a_layer_that_runs_thirty_times_is_set_once_and_signals_pass_it(act):
    torch.manual_seed(0)
    model, x = Repeated(act), torch.randn(24, 20, generator=seeded())
    done = change(model, x)
    assert 0.7 < sigma(model.layer.weight) < 2.2
    assert [c.parameter for c in done.changes] == ["start.weight", "layer.weight", "end.weight"]
    rows = [row for row in inspect(model, x).layers if row.name.startswith("layer")]
    lengths = [row.mean_square for row in rows]
    gradients = [row.gradient for row in rows]
    assert max(lengths) / min(lengths) < 30.0
    assert 1 / 30 < gradients[0] / gradients[-1] < 30.0


# ---- frozen weights, LoRA, zeros --------------------------------------------------------------


class LoRA(nn.Module):
    def __init__(self, base, rank=4):
        super().__init__()
        self.base = base
        base.requires_grad_(False)
        self.a = nn.Linear(base.in_features, rank, bias=False)
        self.b = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x):
        return self.base(x) + 2.0 * self.b(self.a(x))


def adapted():
    torch.manual_seed(0)
    return nn.Sequential(
        LoRA(nn.Linear(12, 24)), nn.ReLU(), LoRA(nn.Linear(24, 24)), nn.ReLU(), nn.Linear(24, 3)
    )


def test_frozen_weights_and_zero_ends_of_lora_are_left_and_listed():
    model, x = adapted(), torch.randn(16, 12, generator=seeded())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    done = change(model, x)
    left = dict(done.left)
    for name in ("0.base.weight", "0.base.bias", "2.base.weight"):
        assert "takes no gradient" in left[name]
        assert torch.equal(model.state_dict()[name], before[name])
    for name in ("0.b.weight", "2.b.weight"):
        assert "zero on purpose" in left[name]
        assert not model.state_dict()[name].any()
    assert sigma(model[0].a.weight) == pytest.approx(1.0, rel=0.3)
    assert {c.parameter for c in done.changes} == {"0.a.weight", "2.a.weight", "4.weight"}


def test_of_two_zero_factors_in_a_row_the_first_is_replaced():
    model, x = adapted(), torch.randn(16, 12, generator=seeded())
    nn.init.zeros_(model[0].a.weight)
    done = change(model, x)
    assert "two zero factors in a row" in by_parameter(done)["0.a.weight"].reason
    assert model[0].a.weight.any()
    assert not model[0].b.weight.any()


class Blocks(nn.Module):
    """Residual blocks whose ends are zero (Fixup), or multiplied by zero (ReZero)."""

    def __init__(self, how, blocks=4, n=32):
        super().__init__()
        self.start = nn.Linear(10, n)
        self.inner = nn.ModuleList(nn.Linear(n, n) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(n, n) for _ in range(blocks))
        value = {"rezero": torch.zeros(1), "layerscale": torch.full((n,), 1e-3)}.get(how)
        self.scales = nn.ParameterList(
            nn.Parameter(torch.ones(1) if value is None else value.clone()) for _ in range(blocks)
        )
        self.head = nn.Linear(n, 5)
        for layer in self.outer:
            if how == "fixup":
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        if how == "head":
            nn.init.zeros_(self.head.weight)

    def forward(self, x):
        x = self.start(x)
        for a, b, s in zip(self.inner, self.outer, self.scales, strict=True):
            x = x + s * b(F.relu(a(x)))
        return self.head(x)


def test_zero_ends_and_zero_heads_stay_zero():
    x = torch.randn(16, 10, generator=seeded())
    model = Blocks("fixup")
    left = dict(change(model, x).left)
    assert all("residual branch starts as nothing" in left[f"outer.{i}.weight"] for i in range(4))
    assert not any(layer.weight.any() for layer in model.outer)
    model = Blocks("head")
    assert "output starts at zero" in dict(change(model, x).left)["head.weight"]
    assert not model.head.weight.any()


@pytest.mark.parametrize("how", ["rezero", "layerscale"])
def test_a_small_factor_at_the_end_of_a_branch_stays_and_the_end_is_not_made_small_again(how):
    torch.manual_seed(0)
    model, x = Blocks(how), torch.randn(16, 10, generator=seeded())
    before = [s.detach().clone() for s in model.scales]
    change(model, x)
    assert all(torch.equal(a, b) for a, b in zip(before, model.scales, strict=True))
    h = model.start(x)
    branch = model.outer[0](F.relu(model.inner[0](h)))
    ratio = float(branch.detach().square().mean() / h.detach().square().mean())
    assert ratio == pytest.approx(1.0, rel=0.02)


def test_zeros_that_let_nothing_through_are_replaced():
    model = nn.Sequential(
        nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 4)
    )
    nn.init.zeros_(model[2].weight)
    done = change(model, torch.randn(9, 8, generator=seeded()))
    assert "zeros are replaced: nothing passed" in by_parameter(done)["2.weight"].reason
    assert model[2].weight.any()


# ---- factors before an activation -------------------------------------------------------------


class Scaled(nn.Module):
    def __init__(self, factor, act, learnt=False, depth=6, n=200):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, n) for _ in range(depth))
        self.factor = nn.Parameter(torch.tensor(factor)) if learnt else factor
        self.act = act

    def forward(self, x):
        for layer in self.layers:
            x = self.act(self.factor * layer(x))
        return x


@pytest.mark.parametrize("learnt", [False, True])
@pytest.mark.parametrize("factor", [30.0, 0.1])
def test_a_factor_between_layer_and_activation_is_divided_out(factor, learnt):
    torch.manual_seed(0)
    x = torch.randn(30, 200, generator=seeded())
    model, plain = Scaled(factor, torch.tanh, learnt), Scaled(1.0, torch.tanh)
    change(model, x)
    change(plain, x)
    for a, b in zip(model.layers, plain.layers, strict=True):
        assert sigma(a.weight) * factor == pytest.approx(sigma(b.weight), rel=1e-3)
        assert float((a.bias * factor - b.bias).detach().abs().max()) < 1e-4


class Siren(nn.Module):
    def __init__(self, inputs=2, n=128, depth=4, omega=30.0):
        super().__init__()
        sizes = [inputs, *[n] * depth]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.out, self.omega = nn.Linear(n, 1), omega

    def forward(self, x):
        for layer in self.layers:
            x = torch.sin(self.omega * layer(x))
        return self.out(x)


def test_a_siren_gets_the_frequencies_that_its_factor_asks_for_and_critical_layers_behind():
    torch.manual_seed(0)
    model, x = Siren(), torch.rand(200, 2, generator=seeded()) * 2 - 1
    done = change(model, x)
    # Uniform between -1 / n and 1 / n (Sitzmann et al. 2020, section 3.2).
    w = model.layers[0].weight.detach()
    assert float(w.abs().max()) <= 0.5
    assert float(w.std()) == pytest.approx(0.5 / math.sqrt(3), rel=0.1)
    assert "first layer of waves" in done.changes[0].reason
    for layer in model.layers[1:]:
        assert sigma(layer.weight) * 30.0 == pytest.approx(1.35, rel=0.1)  # theirs: sqrt 2
    rows = inspect(model, x).layers
    assert 1 / 3 < rows[0].gradient / rows[3].gradient < 3


@pytest.mark.parametrize(("times", "waves"), [(0.6, False), (1.7, True)])
def test_waves_are_meant_where_the_phases_are_longer_than_the_critical_length(times, waves):
    x = torch.randn(400, 8, generator=seeded())
    plain = change(Siren(inputs=8, omega=0.01), x)  # a factor that asks for no waves
    length = plain.changes[0].length * 0.01**2
    # Weights between -1 / n and 1 / n give phases of mean square omega^2 q / 3 n.
    omega = math.sqrt(times * length * 3 * 8 / float(x.square().mean()))
    done = change(Siren(inputs=8, omega=omega), x)
    assert ("first layer of waves" in done.changes[0].reason) is waves


# ---- gated products ---------------------------------------------------------------------------


class Gated(nn.Module):
    def __init__(self, act, fused, blocks=4, n=48, hidden=96):
        super().__init__()
        self.start, self.act, self.fused = nn.Linear(10, n), act, fused
        self.norms = nn.ModuleList(nn.LayerNorm(n) for _ in range(blocks))
        wide = 2 * hidden if fused else hidden
        self.gates = nn.ModuleList(nn.Linear(n, wide, bias=False) for _ in range(blocks))
        self.values = nn.ModuleList(nn.Linear(n, hidden, bias=False) for _ in range(blocks))
        self.downs = nn.ModuleList(nn.Linear(hidden, n, bias=False) for _ in range(blocks))

    def forward(self, x):
        x = self.start(x)
        for norm, gate, value, down in zip(
            self.norms, self.gates, self.values, self.downs, strict=True
        ):
            h = norm(x)
            g, v = gate(h).chunk(2, dim=-1) if self.fused else (gate(h), value(h))
            x = x + down(self.act(g) * v)
        return x


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("act", [F.silu, F.gelu, torch.sigmoid, F.relu])
def test_both_factors_of_a_gated_product_get_mean_square_one_and_the_stream_stays_bounded(
    act, fused
):
    torch.manual_seed(0)
    model, x = Gated(act, fused), torch.randn(40, 10, generator=seeded())
    change(model, x)
    h = model.norms[0](model.start(x))
    g = model.gates[0](h).detach()
    assert float(g.square().mean()) == pytest.approx(1.0, rel=0.02)
    if not fused:
        assert float(model.values[0](h).detach().square().mean()) == pytest.approx(1.0, rel=0.02)
    start, end = (float(t.detach().square().mean()) for t in (model.start(x), model(x)))
    assert 1.5 < end / start < math.exp(1.5) * 1.2
    rows = inspect(model, x).layers
    # A product of two factors has twice the gradient of its own share: (1 + 3 / R)^R < e^3.
    assert 0.5 < rows[0].gradient / rows[-1].gradient < math.exp(3.0) * 1.3


# ---- embeddings and outputs -------------------------------------------------------------------


class Language(nn.Module):
    def __init__(self, tied, vocabulary=90, n=64, positions=True, norm=True):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, n, padding_idx=0)
        self.places = nn.Embedding(16, n) if positions else None
        layer = nn.TransformerEncoderLayer(
            n, 4, 128, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(n) if norm else nn.Identity()
        self.head = nn.Linear(n, vocabulary, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids):
        x = self.tokens(ids)
        if self.places is not None:
            x = x + self.places(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.body(x)))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_a_language_model_starts_within_five_percent_of_a_uniform_guess(tied, positions, norm):
    torch.manual_seed(0)
    model = Language(tied, positions=positions, norm=norm)
    ids = torch.randint(1, 90, (16, 16), generator=seeded())
    done = change(model, ids)
    others = torch.randint(1, 90, (16, 16), generator=seeded(4))
    logits = model(others).detach()
    labels = torch.randint(1, 90, (16, 16), generator=seeded(5))
    loss = float(F.cross_entropy(logits.reshape(-1, 90), labels.reshape(-1)))
    assert math.log(90) * 0.99 < loss < math.log(90) * 1.05
    assert done.loss_above_guess < 0.05 * math.log(90)
    assert float(logits.std()) > 0.05
    assert not model.tokens.weight[0].any()  # padding
    assert "tokens.weight" in by_parameter(done)


@pytest.mark.parametrize(("classes", "low"), [(1, 0.2), (2, 0.2), (10, 0.2), (1000, 0.4)])
def test_outputs_start_beside_a_guess_and_are_not_tiny(classes, low):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(30, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, classes)
    )
    x = torch.randn(200, 30, generator=seeded())
    change(model, x)
    out = model(x).detach()
    assert low < float(out.square().mean().sqrt()) < 1.0
    labels = torch.randint(max(classes, 2), (200,), generator=seeded(3))
    if classes == 1:
        loss, guess = F.binary_cross_entropy_with_logits(out[:, 0], labels.float()), math.log(2)
    else:
        loss, guess = F.cross_entropy(out, labels), math.log(classes)
    assert 0.95 * guess < float(loss) < 1.05 * guess


def test_correcting_the_gradients_of_a_chain_does_not_make_the_outputs_longer_again():
    torch.manual_seed(0)
    layers = [m for _ in range(6) for m in (nn.Linear(64, 64), nn.SiLU())]
    model, x = nn.Sequential(*layers, nn.Linear(64, 10)), torch.randn(32, 64, generator=seeded())
    done = change(model, x, overrides={"0.weight": 1.0})
    z = model(x).detach().double()
    above = float((torch.logsumexp(z, dim=1) - z.mean(dim=1)).mean()) - math.log(10)
    assert above < 0.04 * math.log(10)
    assert done.loss_above_guess == pytest.approx(above, rel=0.2)


# ---- computed weights -------------------------------------------------------------------------


def network(wrap):
    torch.manual_seed(0)
    return nn.Sequential(
        wrap(nn.Linear(20, 60)), nn.ReLU(), wrap(nn.Linear(60, 60)), nn.ReLU(), nn.Linear(60, 3)
    )


def old_weight_norm(layer):
    with pytest.warns(FutureWarning, match="deprecated"):
        return nn.utils.weight_norm(layer)


@pytest.mark.parametrize("wrap", [nn.utils.parametrizations.weight_norm, old_weight_norm])
def test_weight_norm_is_written_so_that_the_weight_is_the_planned_one(wrap):
    model, x = network(wrap), torch.randn(50, 20, generator=seeded())
    done = change(model, x)
    model(x)  # the older kind computes its weight when it runs
    for i in (0, 2):
        out = model[: i + 1](x).detach()
        length = by_parameter(done)[f"{i}.weight"].length
        assert float(out.square().mean()) == pytest.approx(length, rel=1e-4)
    assert sigma(model[2].weight) == pytest.approx(math.sqrt(2.0), rel=0.15)
    assert done.left == ()


def test_norms_that_hold_the_scale_are_drawn_and_said_so():
    x = torch.randn(50, 20, generator=seeded())
    for wrap in (nn.utils.parametrizations.spectral_norm, nn.utils.parametrizations.orthogonal):
        model = network(wrap)
        before = model[2].weight.detach().clone()
        done = change(model, x)
        assert not torch.equal(before, model[2].weight)
        assert "parametrisation holds the scale" in by_parameter(done)["2.weight"].reason
        assert by_parameter(done)["2.weight"].sigma_w == pytest.approx(
            sigma(model[2].weight), rel=0.02
        )


class Doubled(nn.Module):
    """A parametrisation without an inverse."""

    def forward(self, w):
        return 2.0 * w


def test_a_parametrisation_without_an_inverse_is_left_with_the_reason():
    model = network(lambda layer: layer)
    nn.utils.parametrize.register_parametrization(model[2], "weight", Doubled())
    before = model[2].weight.detach().clone()
    done = change(model, torch.randn(50, 20, generator=seeded()))
    assert "cannot be inverted" in dict(done.left)["2.weight"]
    assert torch.equal(before, model[2].weight)


# ---- recurrent cells --------------------------------------------------------------------------


class Reader(nn.Module):
    def __init__(self, cell, **options):
        super().__init__()
        self.cell = cell(8, 32, batch_first=True, **options)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


@pytest.mark.parametrize(("cell", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_cells_get_an_isometry_for_each_gate_and_lstms_a_forget_bias(cell, gates):
    torch.manual_seed(0)
    model = Reader(cell, num_layers=2)
    x = 3.0 * torch.randn(12, 20, 8, generator=seeded())
    done = change(model, x)
    for leaf in ("weight_hh_l0", "weight_hh_l1"):
        for w in getattr(model.cell, leaf).detach().chunk(gates):
            assert torch.allclose(w @ w.T, torch.eye(32), atol=1e-5)
    inputs = x @ model.cell.weight_ih_l0.detach().T
    assert float(inputs.square().mean()) == pytest.approx(1.0, rel=0.3)
    bias = model.cell.bias_ih_l0.detach() + model.cell.bias_hh_l0.detach()
    if cell is nn.LSTM:
        assert torch.equal(bias.reshape(4, 32)[1], torch.ones(32))
        assert float(bias.abs().sum()) == 32.0
    else:
        assert not bias.any()
    assert not any("RNN" in reason or "LSTM" in reason for _, reason in done.left)


# ---- sums of many kinds -----------------------------------------------------------------------


class Skips(nn.Module):
    """Residual blocks whose skip has a factor (DeepNorm writes alpha * x)."""

    def __init__(self, blocks=6, n=48, factor=1.0):
        super().__init__()
        self.start, self.factor = nn.Linear(10, n), factor
        self.inner = nn.ModuleList(nn.Linear(n, 2 * n) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(2 * n, n) for _ in range(blocks))

    def forward(self, x):
        x = self.start(x)
        for a, b in zip(self.inner, self.outer, strict=True):
            x = self.factor * x + b(F.gelu(a(x)))
        return x


@pytest.mark.parametrize("factor", [1.0, 1.2])
def test_a_skip_with_a_factor_is_a_residual_stream_too(factor):
    torch.manual_seed(0)
    model, x = Skips(factor=factor), torch.randn(30, 10, generator=seeded())
    done = change(model, x)
    assert done.residual_sums == 6
    h = model.start(x)
    for a, b in zip(model.inner, model.outer, strict=True):
        branch, stream = b(F.gelu(a(h))), factor * h
        share = float((branch.square().mean() / stream.square().mean()).detach())
        # The stream is the sum of its terms up to their overlap, 2 sqrt(share / n) = 0.12.
        assert share == pytest.approx(1 / 6, rel=0.12)
        h = stream + branch


class Gates(nn.Module):
    def __init__(self, depth=10, n=64):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, 2 * n) for _ in range(depth))

    def forward(self, x):
        for layer in self.layers:
            x = F.glu(layer(x))
        return x


def test_gated_linear_units_in_one_call_keep_their_length():
    torch.manual_seed(0)
    model, x = Gates(), torch.randn(50, 64, generator=seeded())
    assert float(model(x).detach().square().mean()) < 1e-2
    change(model, x)
    # A product of independent factors of mean square 1, one through a sigmoid: E sigmoid(z)^2.
    z = torch.randn(10**6, generator=seeded(), dtype=torch.float64)
    wanted = float(torch.sigmoid(z).square().mean())
    assert float(model(x).detach().square().mean()) == pytest.approx(wanted, rel=0.2)
