"""A model that `initialize_` has set trains at least as well as it did: checked by training."""

import math
import statistics

import pytest

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")

from chione.torch import initialize_  # noqa: E402 - needs torch

nn = torch.nn
F = torch.nn.functional

X, Y = datasets.load_digits(return_X_y=True)
X = torch.tensor((X - X.mean()) / X.std(), dtype=torch.float32)
Y = torch.tensor(Y)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def trained(model, rate, steps, seed, task=None):
    """Mean loss over the last fifth of the steps; infinite if it was ever not finite."""
    optimiser = torch.optim.Adam(model.parameters(), rate)
    generator, late = seeded(seed), []
    for step in range(steps):
        if task is None:
            at = torch.randint(len(X), (64,), generator=generator)
            loss = F.cross_entropy(model(X[at]), Y[at])
        else:
            loss = task(model, generator)
        if not math.isfinite(loss.item()):
            return math.inf
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step >= 0.8 * steps:
            late.append(loss.item())
    return statistics.fmean(late)


def compared(make, batch, *, rates, steps, seeds, task=None):
    """Losses over the seeds, each way at the best of the learning rates: default, ours."""
    out = []
    for ours in (False, True):
        best = None
        for rate in rates:
            losses = []
            for seed in range(seeds):
                torch.manual_seed(seed)
                model = make()
                if ours:
                    done = initialize_(model, batch, generator=seeded(seed))
                    assert done.written
                losses.append(trained(model, rate, steps, seed, task))
            if best is None or statistics.fmean(losses) < statistics.fmean(best):
                best = losses
        out.append(best)
    return out


def not_worse(default, ours):
    """Within twice the standard error of the difference of the means."""
    noise = math.hypot(*(statistics.stdev(v) / math.sqrt(len(v)) for v in (default, ours)))
    return statistics.fmean(ours) <= statistics.fmean(default) + 2.0 * noise


def mlp(act, depth, width=48):
    layers, size = [], 64
    for _ in range(depth):
        layers += [nn.Linear(size, width), act()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, 10))


class Siren(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 48), nn.Linear(48, 48), nn.Linear(48, 48)])
        self.out = nn.Linear(48, 1)

    def forward(self, x):
        for layer in self.layers:
            x = torch.sin(30.0 * layer(x))
        return self.out(x)


LINE = torch.linspace(-1, 1, 24)
GRID = torch.stack(torch.meshgrid(LINE, LINE, indexing="ij"), dim=-1).reshape(-1, 2)
IMAGE = torch.sin(9.0 * GRID[:, :1] * GRID[:, 1:]) + 0.5 * torch.sign(GRID[:, :1] - GRID[:, 1:])


def picture(model, generator):
    return F.mse_loss(model(GRID), IMAGE)


def test_thirty_layers_of_silu_start_at_a_guess_and_train_where_the_default_does_not():
    batch, losses = X[:128], []
    for ours in (False, True):
        torch.manual_seed(1)
        model = mlp(nn.SiLU, 30)
        if ours:
            initialize_(model, batch, generator=seeded(1))
        losses.append(trained(model, 1e-3, 60, 0))
    assert losses[0] > 2.2
    assert losses[1] < 0.8
    torch.manual_seed(0)
    model = mlp(nn.SiLU, 30)
    initialize_(model, batch, generator=seeded())
    start = float(F.cross_entropy(model(X[500:]), Y[500:]).detach())
    assert start == pytest.approx(math.log(10.0), rel=0.05)
    first = model[0](X[500:]).detach()
    assert float(first.square().mean()) < 4.0


def test_a_siren_learns_a_picture_as_one_with_its_own_initialisation_does():
    losses = []
    for own in (True, False):
        torch.manual_seed(0)
        model = Siren()
        if own:  # Sitzmann et al. 2020
            for i, layer in enumerate((*model.layers, model.out)):
                bound = 0.5 if i == 0 else math.sqrt(6 / 48) / 30
                nn.init.uniform_(layer.weight, -bound, bound)
        else:
            initialize_(model, GRID, generator=seeded())
        losses.append(trained(model, 1e-3, 200, 0, picture))
    assert losses[1] < 2.0 * losses[0] + 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("depth", [3, 12])
@pytest.mark.parametrize("act", [nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU])
def test_plain_networks_train_no_worse(act, depth):
    default, ours = compared(
        lambda: mlp(act, depth), X[:128], rates=(1e-3, 3e-3, 1e-2), steps=150, seeds=5
    )
    assert not_worse(default, ours)
    if depth > 3:
        assert statistics.fmean(ours) < statistics.fmean(default)


class Rows(nn.Module):
    """Reads a digit row by row."""

    def __init__(self, cell):
        super().__init__()
        self.cell, self.head = cell(8, 48, batch_first=True), nn.Linear(48, 10)

    def forward(self, x):
        return self.head(self.cell(x.reshape(-1, 8, 8))[0][:, -1])


class Patches(nn.Module):
    """Sixteen patches of a digit through blocks, attention or a mixer."""

    def __init__(self, mixer, n=32, blocks=3):
        super().__init__()
        self.start = nn.Linear(4, n)
        self.mixer = mixer
        self.one = nn.ModuleList(nn.LayerNorm(n) for _ in range(blocks))
        self.two = nn.ModuleList(nn.LayerNorm(n) for _ in range(blocks))
        self.across = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
            if mixer
            else nn.MultiheadAttention(n, 4, batch_first=True)
            for _ in range(blocks)
        )
        self.along = nn.ModuleList(
            nn.Sequential(nn.Linear(n, 2 * n), nn.GELU(), nn.Linear(2 * n, n))
            for _ in range(blocks)
        )
        self.norm, self.head = nn.LayerNorm(n), nn.Linear(n, 10)

    def forward(self, x):
        x = x.reshape(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
        x = self.start(x)
        for one, two, across, along in zip(
            self.one, self.two, self.across, self.along, strict=True
        ):
            h = one(x)
            x = x + (
                across(h.transpose(1, 2)).transpose(1, 2)
                if self.mixer
                else across(h, h, h, need_weights=False)[0]
            )
            x = x + along(two(x))
        return self.head(self.norm(x).mean(dim=1))


class Images(nn.Module):
    """A small residual network with batch norm."""

    def __init__(self, n=12, blocks=3):
        super().__init__()

        def convolution(a):
            return nn.Sequential(nn.Conv2d(a, n, 3, padding=1, bias=False), nn.BatchNorm2d(n))

        self.start, self.head = convolution(1), nn.Linear(n, 10)
        self.one = nn.ModuleList(convolution(n) for _ in range(blocks))
        self.two = nn.ModuleList(convolution(n) for _ in range(blocks))

    def forward(self, x):
        x = F.relu(self.start(x.reshape(-1, 1, 8, 8)))
        for one, two in zip(self.one, self.two, strict=True):
            x = F.relu(x + two(F.relu(one(x))))
        return self.head(x.mean(dim=(2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: Rows(nn.LSTM),
        lambda: Rows(nn.GRU),
        lambda: Patches(mixer=True),
        lambda: Patches(mixer=False),
        Images,
    ],
    ids=["lstm", "gru", "mixer", "vit", "resnet"],
)
def test_networks_with_structure_train_no_worse(make):
    default, ours = compared(make, X[:128], rates=(3e-3, 1e-2), steps=150, seeds=5)
    assert not_worse(default, ours)


@pytest.mark.slow
def test_a_siren_trains_no_worse_than_with_the_default_of_linear():
    default, ours = compared(Siren, GRID, rates=(3e-4, 1e-3), steps=150, seeds=5, task=picture)
    assert not_worse(default, ours)


class Gated(nn.Module):
    """A language model with the parts of Llama: RMS norms, gates, no biases."""

    def __init__(self, tied, n=48, vocabulary=40, blocks=2):
        super().__init__()
        self.table = nn.Embedding(vocabulary, n)
        self.places = nn.Embedding(24, n)
        self.norms = nn.ModuleList(nn.RMSNorm(n) for _ in range(2 * blocks + 1))
        self.attention = nn.ModuleList(
            nn.MultiheadAttention(n, 4, bias=False, batch_first=True) for _ in range(blocks)
        )
        self.gates = nn.ModuleList(nn.Linear(n, 96, bias=False) for _ in range(blocks))
        self.values = nn.ModuleList(nn.Linear(n, 96, bias=False) for _ in range(blocks))
        self.downs = nn.ModuleList(nn.Linear(96, n, bias=False) for _ in range(blocks))
        self.head = nn.Linear(n, vocabulary, bias=False)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, ids):
        t = ids.shape[1]
        x = self.table(ids) + self.places(torch.arange(t))
        mask = torch.ones(t, t, dtype=torch.bool).triu(1)
        for i, attention in enumerate(self.attention):
            h = self.norms[2 * i](x)
            x = x + attention(h, h, h, attn_mask=mask, need_weights=False)[0]
            h = self.norms[2 * i + 1](x)
            x = x + self.downs[i](F.silu(self.gates[i](h)) * self.values[i](h))
        return self.head(self.norms[-1](x))


def copies(generator):
    """Sequences whose second half repeats the first."""
    half = torch.randint(40, (32, 12), generator=generator)
    return torch.cat([half, half], dim=1)


def copying(model, generator):
    ids = copies(generator)
    logits = model(ids)[:, 11:-1]
    return F.cross_entropy(logits.reshape(-1, 40), ids[:, 12:].reshape(-1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "tied",
    [
        pytest.param(
            False,
            marks=pytest.mark.xfail(
                strict=True,
                reason="slower than N(0, 1) tables at these rates: 2.55 against 1.93 after 60, "
                "0.0061 against 0.0056 after 250 steps",
            ),
        ),
        True,
    ],
)
def test_gated_language_models_train_no_worse(tied):
    default, ours = compared(
        lambda: Gated(tied), copies(seeded(9)), rates=(1e-3, 3e-3), steps=250, seeds=5, task=copying
    )
    assert not_worse(default, ours)
