"""The first step, against the same step taken by hand, closed forms, and theory."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.torch import first_step  # noqa: E402 - needs torch

nn = torch.nn
X = torch.randn(12, 7, generator=torch.Generator().manual_seed(1))
Y = torch.randint(5, (12,), generator=torch.Generator().manual_seed(2))


def loss(out):
    return nn.functional.cross_entropy(out, Y)


def mlp(seed=0, width=32, act=nn.Tanh, depth=2):
    torch.manual_seed(seed)
    sizes = [7, *[width] * depth]
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), act())]
    return nn.Sequential(*layers, nn.Linear(width, 5))


def rms(x):
    return float(x.detach().double().square().mean().sqrt())


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.3),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3),
}


def by_hand(model, make, steps):
    """Pre-activations before and behind real training of a copy, and its parameters."""
    twin = copy.deepcopy(model)
    rows = {}
    for name, module in twin.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(
                lambda m, a, out, name=name: rows.setdefault(name, []).append(out.detach().clone())
            )
    optimizer = make(list(twin.parameters()))
    first = float(loss(twin(X)).detach())

    def closure():
        optimizer.zero_grad()
        value = loss(twin(X))
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)
    after = float(loss(twin(X)).detach())
    return {k: (v[0], v[-1]) for k, v in rows.items()}, dict(twin.named_parameters()), first, after


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_changes_are_those_of_training_by_hand(kind, steps):
    model = mlp()
    rows, parameters, first, after = by_hand(model, OPTIMIZERS[kind], steps)
    found = first_step(model, X, loss, OPTIMIZERS[kind], steps=steps, draws=0)
    assert found.loss == pytest.approx(first, rel=1e-6)
    assert found.loss_after == pytest.approx(after, rel=1e-6)
    for name, (old, new) in rows.items():
        assert found[name].signal == pytest.approx(rms(old), rel=1e-6)
        assert found[name].change == pytest.approx(rms(new - old), rel=1e-4)
    assert found.output_change == pytest.approx(rms(rows["4"][1] - rows["4"][0]), rel=1e-4)
    for p in found.parameters:
        old, new = model.get_parameter(p.name), parameters[p.name]
        assert p.value == pytest.approx(rms(old), rel=1e-6)
        assert p.update == pytest.approx(rms(new - old), rel=1e-4)
        assert p.state == "moved"


def test_the_first_order_change_of_sgd_is_minus_rate_times_squared_gradient():
    model = mlp().double()
    x = X.double()
    value = nn.functional.cross_entropy(model(x), Y)
    squares = sum(float(g.square().sum()) for g in torch.autograd.grad(value, model.parameters()))
    for rate in (1e-1, 1e-5):
        found = first_step(model, x, loss, "sgd", lr=rate, draws=0)
        assert found.predicted == pytest.approx(-rate * squares, rel=1e-12)
    assert found.loss_after - found.loss == pytest.approx(found.predicted, rel=1e-3)


def test_adam_moves_every_parameter_by_its_rate_and_sgd_by_the_gradient():
    model = mlp()
    adam = first_step(model, X, loss, "adam", lr=1e-3, draws=0)
    sgd = first_step(model, X, loss, "sgd", lr=0.25, draws=0)
    for a, s in zip(adam.parameters, sgd.parameters, strict=True):
        assert a.update == pytest.approx(1e-3, rel=1e-3)  # its epsilon is 1e-8
        assert s.update == pytest.approx(0.25 * s.gradient, rel=1e-4)
        assert a.gradient == s.gradient > 0.0


def test_an_optimizer_in_the_middle_of_training_goes_on_from_its_state_and_keeps_it():
    model = mlp()
    optimizer = torch.optim.Adam(
        [{"params": model[0].parameters(), "lr": 0.01}, {"params": model[2].parameters()}], lr=0.1
    )
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for _ in range(3):
        optimizer.zero_grad()
        loss(model(X)).backward()
        optimizer.step()
        scheduler.step()
    state, groups = optimizer.state, optimizer.param_groups
    kept = copy.deepcopy(optimizer.state_dict())
    found = first_step(model, X, loss, optimizer, draws=4)
    assert optimizer.state is state
    assert optimizer.param_groups is groups
    assert str(kept) == str(optimizer.state_dict())
    assert "taken steps before" in " ".join(found.notes)
    assert found.draws == 0
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer.zero_grad()
    loss(model(X)).backward()
    optimizer.step()
    for p in found.parameters:
        assert p.update == pytest.approx(
            rms(model.get_parameter(p.name) - before[p.name]), rel=1e-4
        )
    states = {p.name: p.state for p in found.parameters}
    assert states["4.weight"] == "not in the optimizer"


def test_frozen_detached_and_unused_parameters_are_told():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head, self.spare = nn.Linear(7, 9), nn.Linear(9, 5), nn.Linear(2, 2)
            self.lost = nn.Linear(7, 9)

        def forward(self, x):
            return self.head(torch.relu(self.body(x) + self.lost(x).detach()))

    torch.manual_seed(0)
    model = Net()
    model.head.bias.requires_grad_(False)
    found = first_step(model, X, loss, "sgd", lr=0.1)
    states = {p.name: p.state for p in found.parameters}
    assert states["head.bias"] == "frozen"
    assert states["lost.weight"] == states["spare.weight"] == "no gradient"
    assert states["body.weight"] == "moved"
    assert found["lost"].change == 0.0
    text = str(found)
    assert "Frozen: head.bias" in text
    assert "No gradient arrives, so these do not move: spare.weight" in text
    assert [p.requires_grad for p in model.head.parameters()] == [True, False]


def test_dropout_masks_are_those_of_the_seed_and_running_statistics_come_back():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(7, 40),
        nn.BatchNorm1d(40),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(40, 5),
    )
    still = first_step(model, X, loss, "sgd", lr=1e-12, draws=0)
    assert still["4"].change < 1e-5 * still["4"].signal  # other masks would change it by its size
    mean = model[1].running_mean.clone()
    first_step(model, X, loss, "sgd", lr=0.1)
    assert torch.equal(mean, model[1].running_mean)
    assert int(model[1].num_batches_tracked) == 0
    one, two, other = (
        first_step(model, X, loss, "sgd", lr=0.1, draws=0, seed=s) for s in (1, 1, 2)
    )
    assert one == two
    assert one.loss != other.loss


def test_the_weight_of_a_row_is_the_one_that_was_applied():
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(7, 16)), nn.Linear(16, 5))
    twin = copy.deepcopy(model)
    old = twin[0].weight.detach().clone()
    loss(twin(X)).backward()
    torch.optim.SGD(twin.parameters(), lr=0.5).step()
    found = first_step(model, X, loss, "sgd", lr=0.5, draws=0)
    assert found["0"].update == pytest.approx(rms(twin[0].weight - old), rel=1e-4)
    assert found["0"].weight == pytest.approx(rms(old), rel=1e-6)


MODELS = {
    "tanh": (lambda seed: mlp(seed, 96, depth=3), 1e-3, "sgd"),
    "relu": (lambda seed: mlp(seed, 96, depth=3, act=nn.ReLU), 1e-3, "sgd"),
    "adam": (lambda seed: mlp(seed, 96, depth=3), 1e-5, "adam"),
}


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a, self.b = nn.Linear(n, n), nn.Linear(n, n, bias=False)
        self.norm = nn.LayerNorm(n)

    def forward(self, x):
        return x + self.b(torch.tanh(self.a(self.norm(x))))


def residual(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(7, 96), Block(96), Block(96), nn.LayerNorm(96), nn.Linear(96, 5))


MODELS["residual"] = (residual, 1e-4, "sgd")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in ("tanh", "residual") else [pytest.mark.slow])
        for n in MODELS
    ],
)
def test_theory_of_one_example_is_the_mean_over_freshly_made_models(name):
    """Redrawn by another seed of the model's own code, not by permutations."""
    make, rate, kind = MODELS[name]
    squares: dict[str, list[float]] = {}
    for seed in range(16):
        model = make(seed)
        x, target = torch.randn(1, 7), torch.randn(1, 5)
        found = first_step(model, x, lambda out, t=target: (out * t).sum(), kind, lr=rate, draws=0)
        assert [e.name for e in found.example] == [layer.name for layer in found.layers]
        for e in found.example:
            squares.setdefault(e.name, []).append((e.change / float(e.theory.value)) ** 2)
            if name in ("tanh", "relu"):  # no gains of norms, and no E|x| of seven numbers
                assert e.change == pytest.approx(found[e.name].change, rel=1e-3)
    for row, values in squares.items():
        mean, error = np.mean(values), np.std(values, ddof=1) / math.sqrt(len(values))
        assert abs(mean - 1.0) <= 3.0 * error + 0.05, (row, mean, error)  # 5 %: of order 1 / width
        assert error < 0.12, (row, error)


@pytest.mark.slow
def test_the_noise_band_holds_models_of_other_seeds():
    inside = []
    for base in range(2):
        band = first_step(mlp(base, 48, depth=3), X, loss, "sgd", lr=0.05, draws=12)
        for seed in range(10, 20):
            found = first_step(mlp(seed, 48, depth=3), X, loss, "sgd", lr=0.05, draws=0)
            pairs = zip(found.layers, band.layers, strict=True)
            inside += [b.low <= a.change <= b.high for a, b in pairs]
    assert np.mean(inside) > 0.85  # two standard deviations, themselves with an error
    wider = first_step(mlp(0, 512, depth=3), X, loss, "sgd", lr=0.05, draws=12)
    for a, b in zip(wider.layers[1:], band.layers[1:], strict=True):
        assert a.high / a.low < b.high / b.low  # the band narrows with the width


def test_images_that_are_flattened_at_once_are_vectors_for_theory():
    plain, image = mlp(), nn.Sequential(nn.Flatten(), mlp())
    x = X[:, None, :, None]
    pairs = ((image, x), (plain, X))
    found, flat = (first_step(m, b, loss, "sgd", lr=0.1, draws=0) for m, b in pairs)
    assert [e.theory for e in found.example] == [e.theory for e in flat.example]
    assert len(found.example) == 3
    convolutional = nn.Sequential(nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Linear(14, 5))
    found = first_step(convolutional, X[:, None], loss, "sgd", lr=0.1, draws=0)
    assert "positions, which are not flattened" in found.notes[0]


@pytest.mark.parametrize(
    "kind", ["adagrad", "adamax", "nadam", "radam", "adadelta", "asgd", "rprop", "adafactor"]
)
def test_optimizers_of_torch_go_by_their_names_and_have_a_noise_band(kind):
    found = first_step(mlp(), X, loss, kind, lr=0.01, draws=3)
    assert found.draws == 3
    assert all(layer.low <= layer.high for layer in found.layers)


def test_sparse_gradients_and_tied_weights_are_stepped_as_by_hand():
    class Tied(nn.Module):
        def __init__(self, sparse):
            super().__init__()
            torch.manual_seed(0)
            self.table = nn.Embedding(11, 6, sparse=sparse)
            self.out = nn.Linear(6, 11, bias=False)
            if not sparse:
                self.out.weight = self.table.weight

        def forward(self, ids):
            return self.out(self.table(ids))

    ids = torch.tensor([[1, 2, 3], [3, 4, 9]])
    for sparse in (False, True):
        model = Tied(sparse)
        old = model.table.weight.detach().clone()
        found = first_step(model, ids, lambda out: out.square().mean(), "sgd", lr=0.5, draws=3)
        model(ids).square().mean().backward()
        torch.optim.SGD(model.parameters(), lr=0.5).step()
        (table,) = (p for p in found.parameters if p.name == "table.weight")
        assert table.update == pytest.approx(rms(model.table.weight - old), rel=1e-4)
        assert table.gradient == pytest.approx(2.0 * table.update, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: nn.Sequential(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.Linear(9, 5)), "batch_norm"),
        (lambda: nn.Sequential(nn.Linear(7, 9), nn.Dropout(), nn.Linear(9, 5)), "dropout"),
        (lambda: nn.Sequential(nn.Linear(7, 7), nn.Softmax(-1), nn.Linear(7, 5)), "softmax"),
    ],
)
def test_where_theory_cannot_follow_it_says_at_what(make, why):
    found = first_step(make(), X, loss, "sgd", lr=0.1, draws=0)
    assert found.example == ()
    assert found.notes[0].startswith("No theory for one example: ")
    assert why in found.notes[0].lower()


def test_orthogonal_weights_and_several_rates_have_no_theory():
    model = mlp()
    nn.init.orthogonal_(model[2].weight)
    assert "'2' is orthogonal" in first_step(model, X, loss, "sgd", lr=0.1, draws=0).notes[0]
    model = mlp()
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[2].parameters()}]
    found = first_step(model, X, loss, torch.optim.SGD(groups, lr=1.0), draws=0)
    assert "several learning rates" in found.notes[0]


def test_a_step_that_is_too_long_is_told():
    found = first_step(mlp(), X, loss, "sgd", lr=300.0, draws=0)
    assert found.loss_after > found.loss > found.loss + found.predicted
    assert "the step is longer than the curvature allows" in " ".join(str(found).split())


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((X, loss, "sgd"), ValueError, "'sgd' needs its learning rate"),
        ((X, loss, "sgdd"), ValueError, "optimizer must be one of sgd, adam"),
        ((X, loss, 3), TypeError, "a name .* but it is int"),
        ((X, loss, lambda p: p), TypeError, "a function that returned list"),
        ((X, loss, torch.optim.SGD(mlp().parameters(), 0.1)), ValueError, "holds no parameter of"),
        ((X, None, "sgd"), TypeError, "loss must be a function .* NoneType"),
        ((X, lambda out: out, "sgd"), ValueError, r"loss must return one number .*\(12, 5\)"),
        (
            (X, lambda out: out.argmax().double(), "sgd"),
            ValueError,
            "does not depend on a trainable",
        ),
        ((X, lambda out: out.sum() / 0.0, "sgd"), ValueError, "loss at the start is"),
        ((X[:, :3], loss, "sgd"), ValueError, "rejects the batch in layer '0'"),
    ],
)
def test_what_cannot_be_done_is_said(args, error, message):
    lr = None if not isinstance(args[2], str) or "needs" in message else 0.1
    with pytest.raises(error, match=message):
        first_step(mlp(), *args, lr=lr)
    with pytest.raises(ValueError, match="leave lr out"):
        first_step(mlp(), X, loss, lambda p: torch.optim.SGD(p, 0.1), lr=0.1)


def test_a_model_without_trainable_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameter of the model requires a gradient"):
        first_step(mlp().requires_grad_(False), X, loss, "sgd", lr=0.1)


def test_the_report_reads_well_and_draws(tmp_path):
    found = first_step(mlp(depth=3), X, loss, "sgd", lr=0.1)
    text = str(found)
    assert text.startswith("Sequential: one step of SGD(lr=0.1) on a batch of 12")
    assert "The loss goes from" in text
    assert "other draws" in text
    found.plot(str(tmp_path / "step.png"))
    assert len(found.plot().axes) == 3
    with pytest.raises(KeyError, match="no layer named 'x'; the layers are 0, 2, 4, 6"):
        found["x"]
