"""Who gets no gradient, why, and who wakes later; each as 100 steps of training say."""

import copy

import pytest

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")

from torch.utils.checkpoint import checkpoint  # noqa: E402

from chione.torch.inspection.inspection import examine as inspect  # noqa: E402 - no remedies

nn = torch.nn
N = 64
RATES = {torch.optim.SGD: (0.01, 0.1, 0.5), torch.optim.Adam: (1e-4, 1e-3, 1e-2)}


class Adapted(nn.Module):
    """A frozen linear map and a product of two small ones."""

    def __init__(self, base, a=1.0, b=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(a * torch.randn(4, base.in_features) / base.in_features**0.5)
        self.B = nn.Parameter(b * torch.randn(base.out_features, 4))

    def forward(self, x):
        return self.base(x) + x @ self.A.t() @ self.B.t()


class Apply(nn.Module):
    def __init__(self, function, inner=None):
        super().__init__()
        self.function, self.inner = function, inner

    def forward(self, x):
        return self.function(x) if self.inner is None else self.function(self.inner, x)


class Branch(nn.Module):
    """A residual block whose branch is nothing at the start."""

    def __init__(self, how):
        super().__init__()
        self.a, self.b = nn.Linear(N, N), nn.Linear(N, N)
        self.alpha = nn.Parameter(torch.zeros(())) if how == "rezero" else 1.0
        self.norm = nn.BatchNorm1d(N) if how == "zero gamma" else nn.Identity()
        if how == "zero gamma":
            nn.init.zeros_(self.norm.weight)
        if how in ("fixup", "two zeros"):
            zero(self.b)
        if how == "two zeros":
            zero(self.a)

    def forward(self, x):
        return x + self.alpha * self.norm(self.b(torch.relu(self.a(x))))


def zero(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(*middle, head=None):
    inside = middle or (nn.Linear(N, N), nn.ReLU())
    return nn.Sequential(nn.Linear(N, N), nn.ReLU(), *inside, head or nn.Linear(N, 10))


def blocks(how, head=None):
    return nn.Sequential(
        nn.Linear(N, N), *(Branch(how) for _ in range(4)), head or nn.Linear(N, 10)
    )


def lora(a, b):
    layers = [Adapted(nn.Linear(N, n), a, b) for n in (N, N, 10)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def reentrant(module, x):
    return checkpoint(module, x, use_reentrant=True)


def recomputed(module, x):
    return checkpoint(module, x, use_reentrant=False)


WAKING = {
    "zero head": lambda: mlp(head=zero(nn.Linear(N, 10))),
    "zero head on tanh": lambda: nn.Sequential(
        *[m for _ in range(5) for m in (nn.Linear(N, N), nn.Tanh())], zero(nn.Linear(N, 10))
    ),
    "fixup": lambda: blocks("fixup", zero(nn.Linear(N, 10))),
    "rezero": lambda: blocks("rezero"),
    "zero gamma": lambda: blocks("zero gamma"),
    "projections and head": lambda: nn.Sequential(
        nn.Linear(N, N),
        *(Branch("fixup") for _ in range(3)),
        nn.LayerNorm(N),
        zero(nn.Linear(N, 10)),
    ),
    "lora": lambda: lora(1.0, 0.0),
}
STUCK = {
    "lora of zeros": (lambda: lora(0.0, 0.0), "zero", {"0.A", "0.B", "2.A", "2.B", "4.A", "4.B"}),
    "two zeros": (lambda: blocks("two zeros"), "zero", {"1.a.weight", "1.b.weight"}),
    "comparison": (
        lambda: mlp(nn.Linear(N, N), Apply(lambda h: (h > 0).float())), "'gt'", {"0.weight"}
    ),
    "argmax": (
        lambda: mlp(Apply(lambda h: nn.functional.one_hot(h.argmax(-1), N).float())),
        "'argmax'", {"0.weight"},
    ),
    "sign": (lambda: mlp(nn.Linear(N, N), Apply(torch.sign)), "'sign'", {"0.weight"}),
    "round": (lambda: mlp(Apply(lambda h: torch.round(4 * h))), "'round'", {"0.weight"}),
    "detach": (lambda: mlp(Apply(lambda h: h.detach())), "detached in '2'", {"0.weight"}),
    "data": (lambda: mlp(Apply(lambda h: h.data)), "detached in '2'", {"0.weight"}),
    "no_grad": (
        lambda: mlp(Apply(torch.no_grad()(lambda m, h: m(h)), nn.Linear(N, N))),
        "under no_grad in '2", {"0.weight", "2.inner.weight"},
    ),
    "reentrant checkpoint": (
        lambda: nn.Sequential(
            Apply(reentrant, nn.Sequential(nn.Linear(N, N), nn.ReLU())), nn.Linear(N, 10)
        ),
        "reentrant checkpoint", {"0.inner.0.weight", "0.inner.0.bias"},
    ),
    "checkpoint behind what is frozen": (
        lambda: nn.Sequential(
            nn.Linear(N, N).requires_grad_(False),
            Apply(reentrant, nn.Sequential(nn.Linear(N, N), nn.ReLU())), nn.Linear(N, 10),
        ),
        "reentrant checkpoint", {"1.inner.0.weight", "1.inner.0.bias"},
    ),
}  # fmt: skip


def digits():
    found = datasets.load_digits()
    x = torch.tensor(found.data, dtype=torch.float32)
    return (x - x.mean(0)) / (x.std(0) + 1e-3), torch.tensor(found.target)


X, Y = digits()


def made(make):
    torch.manual_seed(0)
    return make()


def accuracy(model, steps=100):
    """The best of both optimisers and three learning rates, and names that never got a gradient."""
    best, idle = 0.0, {n for n, p in model.named_parameters() if p.requires_grad}
    for optimiser, rates in RATES.items():
        for rate in rates:
            trial = copy.deepcopy(model)
            named = {n: p for n, p in trial.named_parameters() if p.requires_grad}
            step = optimiser(named.values(), lr=rate)
            generator = torch.Generator().manual_seed(0)
            for _ in range(steps):
                at = torch.randint(len(X), (128,), generator=generator)
                loss = nn.functional.cross_entropy(trial(X[at]), Y[at])
                step.zero_grad()
                loss.backward()
                idle -= {n for n, p in named.items() if p.grad is not None and bool(p.grad.any())}
                step.step()
            with torch.no_grad():
                right = (trial(X).argmax(1) == Y).float().mean()
            best = max(best, float(right))
    return best, idle


@pytest.mark.parametrize("name", WAKING)
def test_what_is_identity_at_the_start_and_wakes_is_trainable_with_a_note(name):
    verdict = inspect(made(WAKING[name]), X[:64]).verdict
    assert verdict.trains != "no" and not verdict.parameters
    assert any(note.startswith("Identity at the start") for note in verdict.notes)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAKING)
def test_what_wakes_does_train(name):
    best, idle = accuracy(made(WAKING[name]))
    assert best > 0.9 and not idle


@pytest.mark.parametrize("name", STUCK)
@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_what_never_gets_a_gradient_is_named_with_the_reason(name):
    make, reason, some = STUCK[name]
    report = inspect(made(make), X[:64])
    verdict = report.verdict
    assert (verdict.trains, verdict.problem) == ("no", "no gradient")
    assert some <= set(verdict.parameters)
    assert reason in verdict.cause
    assert "10^" not in verdict.sentence and "initialize_" not in verdict.sentence
    gone = {p.name for p in report.parameters if p.status in ("cut", "stuck")}
    assert gone == set(verdict.parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUCK)
@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_training_leaves_without_gradient_just_what_was_named(name):
    model = made(STUCK[name][0])
    assert accuracy(model)[1] == set(inspect(model, X[:64]).verdict.parameters)


def test_a_checkpoint_that_works_is_measured_in_both_forms():
    torch.manual_seed(0)
    part = nn.Sequential(nn.Linear(N, N), nn.ReLU())
    first, last = nn.Linear(N, N), nn.Linear(N, 10)
    plain = inspect(nn.Sequential(first, Apply(lambda m, x: m(x), part), last), X[:64], seed=1)
    for form in (reentrant, recomputed):
        model = nn.Sequential(first, Apply(form, part), last)
        report = inspect(model, X[:64], seed=1)
        assert report.verdict.trains == "yes"
        assert all(p.grad is None for p in model.parameters())
        for a, b in zip(report.parameters, plain.parameters, strict=True):
            assert a.gradient == pytest.approx(b.gradient, rel=1e-5)


def test_gradients_of_parameters_are_those_of_the_loss():
    model = made(mlp)
    labels = Y[:64]

    def loss(out):
        return nn.functional.cross_entropy(out, labels)

    report = inspect(model, X[:64], loss)
    loss(model(X[:64])).backward()
    for p in report.parameters:
        true = dict(model.named_parameters())[p.name]
        assert p.gradient == pytest.approx(float(true.grad.square().mean().sqrt()), rel=1e-5)
        assert p.weight == pytest.approx(float(true.detach().square().mean().sqrt()), rel=1e-5)
        assert p.status == "gets a gradient" and p.trainable
        assert 0.0 < p.reached <= 1.0


def test_frozen_parameters_are_respected_and_what_lies_before_them_is_measured():
    model = made(mlp)
    model[0].requires_grad_(False)
    report = inspect(model, X[:64])
    assert report.verdict.trains == "yes"
    assert [p.status for p in report.parameters[:2]] == ["frozen", "frozen"]
    assert report["0"].gradient > 0.0
    assert [p.requires_grad for p in model.parameters()][:3] == [False, False, True]


def test_a_model_that_is_frozen_as_a_whole_cannot_train():
    verdict = inspect(made(mlp).requires_grad_(False), X[:64]).verdict
    assert (verdict.trains, verdict.problem) == ("no", "no gradient")
    assert "requires_grad" in verdict.sentence


def test_what_is_not_used_or_only_feeds_another_output_is_a_warning():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(N, N), nn.Linear(N, 10)
            self.other, self.spare = nn.Linear(N, 3), nn.Linear(N, 3)

        def forward(self, x):
            h = torch.relu(self.body(x))
            return self.head(h), self.other(h)

    report = inspect(made(Two), X[:64])
    assert report.verdict.trains == "yes"
    status = {p.name: p.status for p in report.parameters}
    assert status["spare.weight"] == "unused"
    assert status["other.weight"] == "no effect"
    assert any("'spare.weight'" in w and "Not used" in w for w in report.verdict.warnings)


def test_a_statistic_that_is_detached_on_the_side_is_no_cut():
    class Logging(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(N, N), nn.Linear(N, 10)

        def forward(self, x):
            h = torch.relu(self.a(x))
            self.seen = (h.detach() > 0).float().mean()
            with torch.no_grad():
                h.norm()
            return self.b(h)

    assert inspect(made(Logging), X[:64]).verdict.trains == "yes"


@pytest.mark.parametrize("fail", [False, True])
def test_looking_ahead_leaves_weights_gradients_and_version_counters_alone(fail):
    model = made(WAKING["projections and head"])
    model[0].weight.grad = torch.ones_like(model[0].weight)
    calls = []

    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            calls.append(1)
            if fail and len(calls) == 3:
                raise RuntimeError("in the middle of a look ahead")
            return self.inner(x)

    before = {
        n: (p.data_ptr(), p._version, p.detach().clone()) for n, p in model.named_parameters()
    }
    if fail:
        with pytest.raises(RuntimeError, match="look ahead"):
            inspect(Failing(), X[:64])
    else:
        inspect(Failing(), X[:64])
    assert len(calls) >= 3
    for name, p in model.named_parameters():
        pointer, version, value = before[name]
        assert (p.data_ptr(), p._version) == (pointer, version)
        assert torch.equal(p, value) and p.requires_grad
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))


def test_an_ordinary_model_runs_once():
    runs = []
    model = made(mlp)
    model.register_forward_hook(lambda *_: runs.append(1))
    inspect(model, X[:64])
    assert len(runs) == 1
