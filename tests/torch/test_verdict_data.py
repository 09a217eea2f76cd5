"""Distances, copies, dead units, degenerate batches: what is a fault of the model, what is not."""

import copy
import math

import pytest

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")

from chione.torch.inspection.inspection import examine as inspect  # noqa: E402 - no remedies

nn = torch.nn


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(30.0 * x)


def siren():
    model = nn.Sequential(
        nn.Linear(2, 64),
        Sine(),
        nn.Linear(64, 64),
        Sine(),
        nn.Linear(64, 64),
        Sine(),
        nn.Linear(64, 1),
    )
    with torch.no_grad():
        model[0].weight.uniform_(-0.5, 0.5)
        for layer in (model[2], model[4], model[6]):
            bound = (6.0 / 64) ** 0.5 / 30.0
            layer.weight.uniform_(-bound, bound)
    return model


def mlp(n_in, n_out, phi=nn.ReLU, depth=2, width=64, last=None):
    layers = [nn.Linear(n_in, width), phi()]
    layers += [m for _ in range(depth - 1) for m in (nn.Linear(width, width), phi())]
    return nn.Sequential(*layers, nn.Linear(width, n_out), *([] if last is None else [last]))


def biased(model, bias):
    model[-1].bias.data += bias
    return model


FEW_OUTPUTS = {
    "critic": (lambda: mlp(20, 1), lambda: torch.rand(64, 20)),
    "critic of tanh": (lambda: mlp(20, 1, nn.Tanh), lambda: torch.rand(64, 20)),
    "deeper critic": (lambda: mlp(20, 1, depth=5), lambda: torch.rand(64, 20)),
    "probability": (lambda: mlp(8, 1, last=nn.Sigmoid()), lambda: torch.rand(64, 8)),
    "distance": (lambda: mlp(3, 1, lambda: nn.Softplus(beta=10), 4), lambda: torch.rand(64, 3)),
    "curve": (lambda: mlp(1, 1, nn.Tanh), lambda: torch.rand(64, 1)),
    "siren": (siren, lambda: 2.0 * torch.rand(64, 2) - 1.0),
    "large bias on one output": (lambda: biased(mlp(20, 1), 100.0), lambda: torch.rand(64, 20)),
    "large bias on ten": (lambda: biased(mlp(20, 10), 100.0), lambda: torch.randn(64, 20)),
}


@pytest.mark.parametrize("name", FEW_OUTPUTS)
def test_few_outputs_and_their_bias_are_no_collapse(name):
    make, inputs = FEW_OUTPUTS[name]
    for seed in range(3):
        torch.manual_seed(seed)
        verdict = inspect(make(), inputs()).verdict
        assert verdict.trainable
        assert verdict.problem not in ("collapsed inputs", "exploding signal", "vanishing signal")


@pytest.mark.slow
def test_the_critic_is_trainable_for_fifty_seeds():
    make, inputs = FEW_OUTPUTS["critic"]
    for seed in range(50):
        torch.manual_seed(seed)
        assert inspect(make(), inputs()).verdict.trains == "yes"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["critic", "deeper critic", "distance", "curve", "siren"])
def test_few_outputs_do_learn_a_smooth_function(name):
    make, inputs = FEW_OUTPUTS[name]
    torch.manual_seed(0)
    model, x = make(), torch.cat([inputs() for _ in range(8)])
    along = x.sum(dim=1, keepdim=True)
    y = torch.sin(2.0 * (along - along.mean()) / along.std())
    losses = []
    for rate in (1e-4, 1e-3, 1e-2):
        trial = copy.deepcopy(model)
        step = torch.optim.Adam(trial.parameters(), lr=rate)
        for _ in range(100):
            loss = (trial(x) - y).square().mean()
            step.zero_grad()
            loss.backward()
            step.step()
        losses.append(loss.item())
    assert min(losses) < 0.3 * float(y.var())


def test_inputs_that_can_no_longer_be_told_apart_are_found_behind_one_output_too():
    torch.manual_seed(0)
    model = mlp(20, 1, nn.Identity, depth=6)
    with torch.no_grad():
        for layer in model[2:12:2]:
            nn.init.orthogonal_(layer.weight)
            layer.bias.normal_(0.0, 3e4)
    verdict = inspect(model, torch.randn(64, 20)).verdict
    assert verdict.problem == "collapsed inputs" and verdict.trains == "no"


# ---- copies -----------------------------------------------------------------------------------


def constant(model, value):
    for p in model.parameters():
        nn.init.constant_(p, value)
    return model


@pytest.mark.parametrize("phi", [nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("value", [0.01, 0.1])
def test_units_of_constant_weights_are_copies_by_name(phi, value):
    verdict = inspect(constant(mlp(20, 5, phi, 3), value), torch.randn(32, 20)).verdict
    assert (verdict.trains, verdict.problem) == ("no", "copied units")
    assert "'0.weight', '2.weight', '4.weight'" in verdict.cause and "'6" not in verdict.cause


def test_zero_weights_before_a_sigmoid_wake_as_copies():
    verdict = inspect(constant(mlp(20, 5, nn.Sigmoid, 3), 0.0), torch.randn(32, 20)).verdict
    assert (verdict.trains, verdict.problem) == ("no", "copied units")


def test_channels_and_units_stored_the_other_way_are_copies_too():
    torch.manual_seed(0)
    images = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Tanh(), nn.ConvTranspose2d(8, 6, 3), nn.Tanh(), nn.Flatten(),
        nn.Linear(6 * 100, 4),
    )  # fmt: skip
    for layer in images[0:4:2]:
        nn.init.constant_(layer.weight, 0.05)
        nn.init.constant_(layer.bias, 0.0)
    nn.init.constant_(images[-1].weight, 0.05)
    cause = inspect(images, torch.randn(8, 3, 10, 10)).verdict.cause
    assert "'0.weight', '2.weight'" in cause


def test_a_few_copies_among_many_units_are_a_warning():
    torch.manual_seed(0)
    model = mlp(20, 5)
    with torch.no_grad():
        model[0].weight[32:] = model[0].weight[:32]
        model[0].bias[32:] = model[0].bias[:32]
        model[2].weight[:, 32:] = model[2].weight[:, :32]
    verdict = inspect(model, torch.randn(32, 20)).verdict
    assert verdict.trains == "yes"
    assert any("Of 64 units of '0.weight' only 32 differ" in w for w in verdict.warnings)
    with torch.no_grad():
        model[2].weight[:, 32:].neg_()  # read differently, they move apart
    assert not any("differ" in w for w in inspect(model, torch.randn(32, 20)).verdict.warnings)


def test_zero_weights_that_wake_differently_are_no_copies():
    torch.manual_seed(0)
    model = mlp(20, 5, nn.Tanh, 3)
    for p in model[-1].parameters():
        nn.init.zeros_(p)
    nn.init.zeros_(model[2].weight)
    verdict = inspect(model, torch.randn(32, 20)).verdict
    assert verdict.problem != "copied units"


def test_cloned_layers_are_named_in_a_note():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    verdict = inspect(encoder, torch.randn(8, 6, 32)).verdict
    assert verdict.trains == "yes"
    (note,) = [n for n in verdict.notes if "copies" in n]
    assert "'layers.0', 'layers.1', 'layers.2' are copies" in note and "differs" in note
    separate = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))
    assert not inspect(separate, torch.randn(8, 8)).verdict.notes


# ---- dead units and residual streams ----------------------------------------------------------


def test_a_layer_that_is_dead_as_a_whole_is_the_problem_and_named():
    torch.manual_seed(0)
    model = mlp(20, 5, depth=3)
    model[2].bias.data -= 100.0
    verdict = inspect(model, torch.randn(32, 20)).verdict
    assert (verdict.trains, verdict.problem, verdict.layer) == ("no", "dead units", "2")
    assert {"0.weight", "0.bias", "2.weight", "2.bias", "4.weight"} == set(verdict.parameters)
    model[2].bias.data[0] += 100.0
    verdict = inspect(model, torch.randn(32, 20)).verdict
    assert (verdict.trains, verdict.problem, verdict.layer) == ("doubtful", "dead units", "2")


def test_in_a_residual_network_the_sums_are_named_and_not_the_head():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
            for layer in (self.a, self.b):
                nn.init.kaiming_normal_(layer.weight)

        def forward(self, x):
            return x + self.b(torch.relu(self.a(x)))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 64), *(Block() for _ in range(16)), nn.Linear(64, 10))
    verdict = inspect(model, torch.randn(32, 20)).verdict
    assert verdict.trains == "doubtful" and verdict.layer == "1.sum"
    rate = float(verdict.cause.split("mean-square gradient by ")[1].split()[0])
    assert math.log(rate) == pytest.approx(math.log(3.0), abs=0.15)  # 1 + sigma_w^4 / 2 = 3


# ---- batches ----------------------------------------------------------------------------------

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(5))
BATCHES = {
    "same": (X[:1].repeat(64, 1), "All 64 inputs of the batch are the same"),
    "zero": (torch.zeros(64, 20), "All inputs of the batch are zero: pass real ones."),
    "raw": (torch.arange(1280).reshape(64, 20).float() % 256, "not scaled (from 0 to 255"),
    "shifted": (X + 500.0, "differ by only 0.2% of their size"),
    "tiny": (1e-6 * X, "are not scaled"),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_degenerate_batch_is_told_and_a_good_model_not_blamed(name):
    batch, sentence = BATCHES[name]
    torch.manual_seed(0)
    verdict = inspect(mlp(20, 5, nn.Tanh, 3), batch).verdict
    assert any(sentence in w for w in verdict.warnings)
    assert verdict.trains == "yes" or verdict.problem == "degenerate batch"
    assert verdict.trainable


@pytest.mark.parametrize("name", BATCHES)
def test_a_bad_model_is_blamed_on_a_degenerate_batch_too(name):
    batch, sentence = BATCHES[name]
    torch.manual_seed(0)
    verdict = inspect(mlp(20, 5, nn.Sigmoid, 25), batch).verdict
    assert (verdict.trains, verdict.problem) == ("no", "vanishing gradient")
    assert any(sentence in w for w in verdict.warnings)


def test_a_good_batch_has_no_word_said_about_it():
    torch.manual_seed(0)
    assert inspect(mlp(20, 5), X).verdict.warnings == ()


class Words(nn.Module):
    def __init__(self, padding=None):
        super().__init__()
        self.table = nn.Embedding(50, 32, padding_idx=padding)
        self.body = nn.GRU(32, 32, batch_first=True)
        self.head = nn.Linear(32, 50)

    def forward(self, ids, mask=None):
        return self.head(self.body(self.table(ids))[0])


IDS = torch.randint(1, 50, (16, 9), generator=torch.Generator().manual_seed(6))


def put(ids, where, value):
    ids = ids.clone()
    ids[where] = value
    return ids


TOKENS = {
    "one token": (torch.zeros(16, 9, dtype=torch.long), "All tokens of the batch are 0 (padding)"),
    "same": (IDS[:1].repeat(16, 1), "All 16 sequences of the batch are the same"),
    "mostly": (
        put(IDS, (slice(None), slice(1, None)), 7),
        "of the tokens of the batch are 7: pass real",
    ),
    "padding first": (put(IDS, (slice(None), 0), 0), "begin with token 0, the padding"),
    "a row of padding": (put(IDS, 3, 0), "Sequence 3 of the batch holds nothing but token 0"),
}


@pytest.mark.parametrize("name", TOKENS)
def test_tokens_that_tell_nothing_are_told(name):
    ids, sentence = TOKENS[name]
    torch.manual_seed(0)
    model = Words(0)
    batch = {"ids": ids, "mask": torch.ones_like(ids)}
    verdict = inspect(model, batch).verdict
    assert verdict.trainable
    assert any(sentence in w for w in verdict.warnings)
    good = inspect(model, {"ids": IDS, "mask": torch.ones_like(IDS)}).verdict
    assert not any("batch" in w and "pass" in w for w in good.warnings)


@pytest.mark.slow
def test_the_loss_of_an_output_of_enormous_size_stays_above_that_of_a_guess():
    found = datasets.load_digits()
    x, y = torch.tensor(found.data, dtype=torch.float32), torch.tensor(found.target)
    x = (x - x.mean(0)) / (x.std(0) + 1e-3)
    torch.manual_seed(0)
    model = mlp(64, 10, depth=4)
    with torch.no_grad():
        for layer in model[::2]:
            layer.weight.mul_(40.0)
    verdict = inspect(model, x[:64]).verdict
    assert verdict.trains == "no" and "The output differs by" in verdict.cause
    for make in (torch.optim.SGD, torch.optim.Adam):
        for rate in (1e-4, 1e-3, 1e-2):
            trial, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
            step, losses = make(trial.parameters(), lr=rate), []
            for _ in range(100):
                at = torch.randint(len(x), (64,), generator=generator)
                loss = nn.functional.cross_entropy(trial(x[at]), y[at])
                step.zero_grad()
                loss.backward()
                step.step()
                losses.append(loss.item())
            assert not sum(losses[-10:]) / 10 < math.log(10.0)
