"""`Monitor`: numbers against plain reads, trainings in real trouble, and no trace of itself.

Ladder: the same quantities computed in the test's own loop; bitwise equality of trainings with and
without it; for each kind of trouble a training that really has it.
"""

import copy
import math
import pickle
import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")

from test_torch_state import snapshot  # noqa: E402

from chione.torch import (  # noqa: E402 - needs torch
    Monitor,
    MonitorBands,
    TrainingWarning,
    read_record,
)

nn, F = torch.nn, torch.nn.functional


def digits():
    x, y = load_digits(return_X_y=True)
    return torch.tensor((x - x.mean()) / x.std()).float(), torch.tensor(y)


DIGITS = digits()


def mlp(activation=nn.ReLU, depth=3, n=64, seed=0):
    torch.manual_seed(seed)
    sizes = (64, *[n] * depth)
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers, nn.Linear(n, 10))


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(16), nn.Linear(16, 10)

    def forward(self, x):
        x = F.relu(self.one(x.reshape(-1, 1, 8, 8)))
        return self.head(F.relu(self.norm(self.two(x))).mean((2, 3)))


class Attention(nn.Module):
    """Eight tokens of eight pixels, with dropout: random states matter."""

    def __init__(self, n=32, dropout=0.1):
        super().__init__()
        self.embed, self.heads = nn.Linear(8, n), 4
        self.norm, self.qkv, self.out = nn.LayerNorm(n), nn.Linear(n, 3 * n), nn.Linear(n, n)
        self.mlp = nn.Sequential(
            nn.LayerNorm(n), nn.Linear(n, 4 * n), nn.GELU(), nn.Linear(4 * n, n)
        )
        self.drop, self.head = nn.Dropout(dropout), nn.Linear(n, 10)

    def forward(self, x):
        x = self.embed(x.reshape(-1, 8, 8))
        b, t, n = x.shape
        q, k, v = (
            y.reshape(b, t, self.heads, -1).transpose(1, 2)
            for y in self.qkv(self.norm(x)).chunk(3, dim=-1)
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, n)
        x = x + self.drop(self.out(y))
        return self.head((x + self.drop(self.mlp(x))).mean(1))


class Adapted(nn.Module):
    """A frozen network with adapters that begin at zero."""

    def __init__(self):
        super().__init__()
        self.base = mlp().requires_grad_(False)
        self.down = nn.Linear(64, 8, bias=False)
        self.up = nn.Linear(8, 64, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.base(x + self.up(self.down(x)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTM(8, 32, 2, batch_first=True), nn.Linear(32, 10)

    def forward(self, x):
        return self.head(self.cell(x.reshape(-1, 8, 8))[0][:, -1])


MODELS = {
    "mlp": mlp, "convolutions": Convolutions, "attention": Attention, "adapted": Adapted,
    "recurrent": Recurrent,
}  # fmt: skip


def steps_of(net, optimizer, count, *, batch=64, each=None):
    """A plain loop; returns its losses."""
    x, y = DIGITS
    losses = []
    for k in range(count):
        i = torch.randint(len(x), (batch,))
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x[i]), y[i])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if each is not None:
            each(k)
    return losses


def watched(make, count=30, every=10, seed=0, optimizer=None, **options):
    """A training with a monitor: losses, its record, the model."""
    torch.manual_seed(seed)
    net = make()
    optimizer = (optimizer or (lambda p: torch.optim.Adam(p, lr=1e-3)))(net.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("error" if options.pop("strict", True) else "ignore")
        with Monitor(net, every=every, **options) as monitor:
            losses = steps_of(net, optimizer, count)
    return losses, monitor.record, net


def plain(make, count=30, seed=0, optimizer=None):
    torch.manual_seed(seed)
    net = make()
    optimizer = (optimizer or (lambda p: torch.optim.Adam(p, lr=1e-3)))(net.parameters())
    return steps_of(net, optimizer, count), net


def hooks(net):
    return [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
        for m in net.modules()
    ]


NONE = (0, 0, 0)

# ---- no trace -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_losses_weights_and_random_states_are_bitwise_those_without_it(name):
    alone, bare = plain(MODELS[name])
    state = torch.get_rng_state()
    losses, record, net = watched(MODELS[name])
    assert losses == alone
    assert torch.equal(state, torch.get_rng_state())
    for a, b in zip(bare.state_dict().values(), net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert [s.step for s in record.steps] == [0, 10, 20] and record.expected


def test_there_are_no_hooks_between_measured_steps():
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    armed = []
    with Monitor(net, every=5):
        armed.append(any(h != NONE for h in hooks(net)))
        steps_of(
            net, optimizer, 11, each=lambda k: armed.append(any(h != NONE for h in hooks(net)))
        )
    assert [k for k, yes in enumerate(armed) if yes] == [0, 5, 10]
    assert all(h == NONE for h in hooks(net))


def test_everything_is_gone_after_an_exception_in_the_loop_or_the_model():
    net = mlp()
    before = snapshot(net)
    registry = sys.modules["torch.optim.optimizer"]._global_optimizer_post_hooks
    n_hooks = len(registry)
    for bad in (torch.zeros(3, 5), None):
        with pytest.raises((RuntimeError, ZeroDivisionError)), Monitor(net, every=1):
            if bad is not None:
                net(bad)
            raise ZeroDivisionError
    assert snapshot(net)["hooks"] == before["hooks"]
    assert len(registry) == n_hooks
    assert not torch.overrides._get_current_function_mode_stack()


def test_an_exception_in_the_model_does_not_end_the_measurement():
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with Monitor(net, every=1, theory=False) as monitor:
        with pytest.raises(RuntimeError):
            net(torch.zeros(3, 5))
        steps_of(net, optimizer, 2)
    assert [len(s.layers) for s in monitor.record.steps] == [8, 8]


def test_a_copy_or_a_file_of_the_model_holds_nothing_of_it():
    net = mlp()
    with Monitor(net, every=1, theory=False) as monitor:
        twin = copy.deepcopy(net)
        stored = pickle.loads(pickle.dumps(net))
        for other in (twin, stored):
            other(DIGITS[0][:40]).sum().backward()
        steps_of(net, torch.optim.SGD(net.parameters(), lr=0.01), 1)
    assert len(monitor.record.steps[0].layers) == 8
    assert monitor.record.steps[0].layers[0].gradient > 0.0


def test_a_validation_between_steps_is_not_measured():
    net = mlp()
    x, y = DIGITS
    with Monitor(net, every=1, theory=False) as monitor:
        with torch.no_grad():
            net(100.0 * x)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    seen = monitor.record.steps[0].layer("0").mean_square
    assert seen == pytest.approx(float(net[0](x).detach().square().mean()), rel=1e-5)


# ---- numbers ------------------------------------------------------------------------------------


def test_numbers_are_those_of_a_plain_read():
    torch.manual_seed(0)
    net = mlp(nn.Tanh)
    x, y = (t[:96] for t in DIGITS)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    old = {n: p.detach().clone() for n, p in net.named_parameters()}
    with Monitor(net, every=1) as monitor:
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    step = monitor.record.steps[0]
    with torch.no_grad():
        for n, p in net.named_parameters():
            p.copy_(old[n])
    h, outs = x, {}
    for k, m in enumerate(net):
        h = m(h)
        h.retain_grad()
        outs[str(k)] = h
    net.zero_grad()
    F.cross_entropy(h, y).backward()
    for name, t in outs.items():
        seen, d = step.layer(name), t.detach().double()
        assert seen.mean_square == pytest.approx(float(d.square().mean()), rel=1e-5)
        assert seen.mean == pytest.approx(float(d.mean()), abs=1e-5)
        assert seen.gradient == pytest.approx(float(t.grad.double().square().mean()), rel=1e-5)
        u = d / d.norm(dim=1, keepdim=True)
        c = (u @ u.T).sum() - len(u)
        assert 1.0 - seen.one_minus_c == pytest.approx(float(c) / (len(u) * (len(u) - 1)), abs=1e-5)
    for n, p in net.named_parameters():
        seen = step.parameter(n)
        root = math.sqrt(p.numel())
        assert seen.weight == pytest.approx(float(old[n].norm()) / root, rel=1e-5)
        assert seen.gradient == pytest.approx(float(p.grad.norm()) / root, rel=1e-5)
        assert seen.update == pytest.approx(0.5 * seen.gradient, rel=1e-3)
        assert seen.ratio == pytest.approx(seen.update / seen.weight)
    assert step.softmax and step.layer("(output)").size == 960


def test_dead_channels_are_counted():
    net = mlp(depth=1)
    with torch.no_grad():
        net[0].bias[:16] = -1e3
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    with Monitor(net, every=1, theory=False) as monitor:
        steps_of(net, optimizer, 1, batch=200)
    assert monitor.record.steps[0].layer("0").dead == 16 / 64


def test_entropies_of_attention_are_those_of_its_weights():
    torch.manual_seed(0)
    net = Attention(dropout=0.0)
    x, y = (t[:4] for t in DIGITS)
    with Monitor(net, every=1) as monitor:
        F.cross_entropy(net(x), y).backward()
        torch.optim.SGD(net.parameters(), lr=0.0).step()
    ((_, seen),) = monitor.record.steps[0].entropy
    with torch.no_grad():
        h = net.norm(net.embed(x.reshape(-1, 8, 8)))
        q, k, _ = (t.reshape(4, 8, 4, 8).transpose(1, 2) for t in net.qkv(h).chunk(3, -1))
        w = (q @ k.transpose(-1, -2) / math.sqrt(8.0)).softmax(-1)
        exact = float((-(w * w.log()).sum(-1) / math.log(8.0)).mean())
    assert seen == pytest.approx(exact, rel=1e-5)


def test_theory_stands_beside_the_first_measurement():
    _, record, _ = watched(lambda: mlp(nn.Tanh, n=256), count=1)
    for e in record.expected:
        assert 0.5 < e.measured / e.mean_square < 2.0
    assert [e.name for e in record.expected] == ["0", "2", "4", "6"]


# ---- ways to train ------------------------------------------------------------------------------


def test_gradients_that_are_accumulated_are_one_step():
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    x, y = DIGITS
    with Monitor(net, every=2) as monitor:
        for k in range(12):
            F.cross_entropy(net(x[k * 64 : k * 64 + 64]), y[k * 64 : k * 64 + 64]).backward()
            if k % 3 == 2:
                optimizer.step()
                optimizer.zero_grad()
    assert [s.step for s in monitor.record.steps] == [0, 2]


@pytest.mark.parametrize("given", [True, False])
def test_several_optimizers_make_one_step(given):
    net = mlp()
    one = torch.optim.SGD(net[:4].parameters(), lr=0.01)
    two = torch.optim.Adam(net[4:].parameters(), lr=1e-3)
    other = mlp(seed=1)  # a model that is not watched
    third = torch.optim.SGD(other.parameters(), lr=0.1)
    x, y = (t[:64] for t in DIGITS)
    with Monitor(net, every=2, optimizer=[one, two] if given else None) as monitor:
        for _ in range(5):
            F.cross_entropy(other(x), y).backward()
            third.step()
            F.cross_entropy(net(x), y).backward()
            one.step()
            two.step()
            for o in (one, two, third):
                o.zero_grad()
    record = monitor.record
    assert [s.step for s in record.steps] == [0, 2, 4]
    for s in record.steps:
        assert len(s.parameters) == 8 and all(p.update > 0.0 for p in s.parameters)


def test_parameters_that_no_optimizer_holds_do_not_stop_the_count():
    net = mlp()
    optimizer = torch.optim.SGD(net[2:].parameters(), lr=0.01)
    with Monitor(net, every=2) as monitor:
        steps_of(net, optimizer, 7)
    assert [s.step for s in monitor.record.steps] == [0, 2, 4, 6]
    assert monitor.record.steps[1].layers


def test_a_loss_scale_is_divided_out_of_both_gradients():
    x, y = (t[:64] for t in DIGITS)
    norms = []
    for scale in (None, 1024.0):
        net = mlp()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        scaler = None if scale is None else torch.amp.GradScaler("cpu", init_scale=scale)
        with Monitor(net, every=1, scaler=scaler) as monitor:
            loss = F.cross_entropy(net(x), y)
            if scaler is None:
                loss.backward()
                optimizer.step()
            else:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
        step = monitor.record.steps[0]
        norms.append((step.layer("0").gradient, step.parameter("0.weight").gradient))
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-4)


def test_a_step_that_a_scaler_skips_does_not_count():
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    x, y = (t[:64] for t in DIGITS)
    with Monitor(net, every=2, scaler=scaler, warn=False) as monitor:
        for k in range(6):
            optimizer.zero_grad()
            factor = math.inf if k == 1 else 1.0
            scaler.scale(F.cross_entropy(net(x), y) * factor).backward()
            scaler.step(optimizer)
            scaler.update()
    assert [s.step for s in monitor.record.steps] == [0, 2, 4]


def test_autocast_in_bfloat16_is_followed():
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    x, y = (t[:64] for t in DIGITS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Monitor(net, every=1) as monitor:
            for _ in range(3):
                optimizer.zero_grad()
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
    assert len(monitor.record.steps) == 3 and not monitor.record.notes


def test_an_optimizer_with_a_closure_is_followed():
    net = mlp(depth=1)
    optimizer = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=2)
    x, y = (t[:64] for t in DIGITS)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    with Monitor(net, every=1, warn=False) as monitor:
        for _ in range(3):
            optimizer.step(closure)
    assert [len(s.layers) for s in monitor.record.steps] == [4, 4, 4]
    assert all(p.gradient > 0.0 for s in monitor.record.steps for p in s.parameters)


def test_steps_without_an_optimizer_are_told_by_hand():
    net = mlp()
    x, y = (t[:64] for t in DIGITS)
    with Monitor(net, every=2) as monitor:
        for _ in range(5):
            net.zero_grad()
            F.cross_entropy(net(x), y).backward()
            with torch.no_grad():
                for p in net.parameters():
                    p -= 0.01 * p.grad
            monitor.step()
    assert [s.step for s in monitor.record.steps] == [0, 2, 4]
    assert all(s.parameters and s.layers for s in monitor.record.steps)
    for s in monitor.record.steps[1:]:
        for p in s.parameters:
            assert p.update == pytest.approx(0.01 * p.gradient, rel=1e-3)


def test_a_wrapped_model_has_the_names_of_the_model():
    net = mlp()
    parallel = nn.DataParallel(net)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0.01)
    with Monitor(parallel, every=1) as monitor:
        steps_of(parallel, optimizer, 1)
    assert monitor.record.steps[0].layer("0").gradient > 0.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("way", ["wrapper", "in place"])
def test_a_compiled_model_runs_eagerly_in_measured_steps_alone(way):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(64, 32), nn.Linear(32, 10)

        def forward(self, x):
            return self.two(torch.tanh(self.one(x)))

    net = Two()
    compiled_calls = []

    def backend(graph, inputs):
        def run(*args):
            compiled_calls.append(1)
            return graph.forward(*args)

        return run

    if way == "wrapper":
        model = torch.compile(net, backend=backend)
    else:
        net.compile(backend=backend)
        model = net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    counts = []
    with Monitor(model, every=3, theory=False) as monitor:
        steps_of(model, optimizer, 6, each=lambda k: counts.append(len(compiled_calls)))
    assert [len(s.layers) for s in monitor.record.steps] == [3, 3]
    assert np.diff([0, *counts]).tolist() == [0, 1, 1, 0, 1, 1]


def test_checkpointed_layers_are_measured_once():
    class Checked(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(64, 32), nn.Linear(32, 10)

        def forward(self, x):
            use = torch.utils.checkpoint.checkpoint
            return self.two(use(lambda h: torch.relu(self.one(h)), x, use_reentrant=False))

    net = Checked()
    with Monitor(net, every=1, theory=False) as monitor:
        steps_of(net, torch.optim.SGD(net.parameters(), lr=0.01), 1)
    assert monitor.record.steps[0].layer("one").gradient > 0.0


# ---- trouble ------------------------------------------------------------------------------------


def problems(record):
    return {r.problem for r in record.remarks}


HEALTHY = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
}


@pytest.mark.parametrize("optimizer", HEALTHY)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [31, pytest.param(131, marks=pytest.mark.slow)])
def test_nothing_is_said_of_healthy_trainings(name, optimizer, count):
    for seed in (1,) if count < 100 else (1, 2):
        losses, record, _ = watched(
            MODELS[name], count, 10 if count < 100 else 40, seed, HEALTHY[optimizer], strict=False
        )
        assert min(losses[-5:]) < losses[0]
        assert record.remarks == ()


def test_nothing_is_said_when_a_training_has_converged_and_its_rate_has_decayed():
    torch.manual_seed(0)
    net = mlp(n=128)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, y = (t[:64] for t in DIGITS)
    with Monitor(net, every=50) as monitor:
        for k in range(400):
            optimizer.param_groups[0]["lr"] = 1e-3 * (1e-4 if k > 300 else 1.0)
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
    assert loss.item() < 1e-2 and monitor.record.remarks == ()


def test_a_branch_that_begins_at_zero_is_no_trouble():
    class Zero(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
            nn.init.zeros_(self.down.weight)
            nn.init.zeros_(self.down.bias)

        def forward(self, x):
            return self.head(x + self.down(F.relu(self.up(x))))

    _, record, _ = watched(Zero, 12, 3, strict=False)
    assert record.remarks == ()


def test_a_learning_rate_that_kills_units_is_told():
    _, record, net = watched(
        lambda: mlp(n=128), 41, 20, 0, lambda p: torch.optim.Adam(p, lr=0.1), strict=False
    )
    assert "dead units" in problems(record)
    said = next(r for r in record.remarks if r.problem == "dead units")
    with torch.no_grad():
        h = DIGITS[0]
        for k, m in enumerate(net):
            h = m(h)
            if str(k) == said.name:
                assert float((h <= 0).all(dim=0).float().mean()) > 0.3


def test_gradients_that_vanish_at_the_start_are_told_at_the_first_step():
    _, record, _ = watched(lambda: mlp(nn.Sigmoid, depth=12), 1, 1, strict=False)
    (said,) = [r for r in record.remarks if r.problem == "vanishing gradient"]
    assert said.step == 0 and said.name == "0"


def test_gradients_that_explode_through_depth_are_told():
    def chaos():
        net = mlp(nn.Tanh, depth=20)
        for m in net[:-1:2]:
            nn.init.normal_(m.weight, std=4.0 / 8.0)
        return net

    _, record, _ = watched(chaos, 1, 1, strict=False)
    assert "exploding gradient" in problems(record)


def test_a_training_that_runs_away_is_told_before_it_is_not_finite():
    losses, record, _ = watched(
        lambda: mlp(nn.ReLU, depth=6), 8, 1, 0, lambda p: torch.optim.SGD(p, lr=30.0), strict=False
    )
    kinds = [r.problem for r in record.remarks]
    assert "not finite" in kinds and not math.isfinite(losses[-1])
    assert {"exploding gradient", "large updates"} & set(kinds[: kinds.index("not finite")])


def test_what_is_not_finite_is_told_with_the_place():
    class Logarithm(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(64, 64), nn.Linear(64, 10)

        def forward(self, x):
            return self.two(torch.log(self.one(x)))

    _, record, _ = watched(Logarithm, 1, 1, strict=False)
    assert [(r.problem, r.name) for r in record.remarks] == [("not finite", "two")]


def test_a_learning_rate_that_is_too_small_is_told():
    _, record, _ = watched(mlp, 31, 10, 0, lambda p: torch.optim.Adam(p, lr=1e-8), strict=False)
    assert problems(record) == {"small updates"}
    assert "the learning rate is too small" in record.remarks[0].sentence


def test_one_layer_that_hardly_moves_is_told_by_name():
    def groups(p):
        p = list(p)
        return torch.optim.Adam([{"params": p[:2], "lr": 1e-9}, {"params": p[2:], "lr": 1e-3}])

    _, record, _ = watched(mlp, 31, 10, 0, groups, strict=False)
    assert [(r.problem, r.name) for r in record.remarks] == [("small updates", "0.weight")]


def test_a_learning_rate_that_is_too_large_is_told():
    _, record, _ = watched(mlp, 3, 1, 0, lambda p: torch.optim.Adam(p, lr=0.3), strict=False)
    assert "large updates" in problems(record)


def test_logits_that_grow_are_told():
    _, record, net = watched(
        lambda: nn.Linear(64, 10), 101, 50, 0, lambda p: torch.optim.Adam(p, lr=1.0), strict=False
    )
    assert "growing logits" in problems(record)
    assert float(net(DIGITS[0]).detach().square().mean().sqrt()) > 30.0


def test_a_large_output_without_a_softmax_is_no_trouble():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    x = DIGITS[0][:128]
    target = 200.0 + 50.0 * x[:, 20:23]
    with Monitor(net, every=100) as monitor:
        for _ in range(501):
            optimizer.zero_grad()
            F.mse_loss(net(x), target).backward()
            optimizer.step()
    assert monitor.record.steps[-1].layer("(output)").mean_square > 900.0
    assert monitor.record.remarks == ()


def test_a_model_that_ignores_its_input_is_told():
    net = mlp(nn.ReLU, depth=2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    with Monitor(net, every=1, warn=False) as monitor:
        steps_of(net, optimizer, 1)
        with torch.no_grad():
            net[-1].weight.mul_(1e-9)
            net[-1].bias.fill_(1.0)
        steps_of(net, optimizer, 1)
    assert "collapsed inputs" in problems(monitor.record)


def test_attention_that_collapses_is_told():
    net = Attention(dropout=0.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with Monitor(net, every=1, warn=False) as monitor:
        steps_of(net, optimizer, 1)
        with torch.no_grad():
            net.qkv.weight[:64].mul_(60.0)
        steps_of(net, optimizer, 1)
    assert problems(monitor.record) == {"attention entropy"}


def test_weights_that_are_not_independent_are_told_against_theory():
    def copies():
        net = mlp(nn.Tanh, n=128)
        with torch.no_grad():
            net[2].weight.copy_(net[2].weight[:1].expand(128, 128))  # units are copies
            net[4].weight.copy_(0.3 * torch.ones(128, 128) / 8)
        return net

    _, record, _ = watched(copies, 1, 1, strict=False)
    assert "off theory" in problems(record)


def test_each_trouble_is_said_once_and_as_a_warning_of_its_own_class():
    net = mlp(nn.Sigmoid, depth=12)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Monitor(net, every=1) as monitor:
            steps_of(net, optimizer, 5)
    told = [str(w.message) for w in caught if w.category is TrainingWarning]
    assert len(told) == len(monitor.record.remarks) == len(set(told))
    assert sum("vanishing" in r.problem for r in monitor.record.remarks) == 1


def test_bands_can_be_set():
    bands = MonitorBands(update=(1e-7, 1e-6))
    _, record, _ = watched(mlp, 25, 10, bands=bands, strict=False)
    assert problems(record) == {"large updates"}
    assert record.remarks[0].step == 20  # only what stays is told


# ---- files and loggers --------------------------------------------------------------------------


def test_the_file_gives_the_record_back(tmp_path):
    path = tmp_path / "run.jsonl"
    _, record, _ = watched(lambda: mlp(nn.Sigmoid, depth=12), 21, 10, path=path, strict=False)
    assert record.remarks and read_record(path) == record


def test_a_run_that_is_cut_off_keeps_what_was_written(tmp_path):
    path = tmp_path / "run.jsonl"
    _, record, _ = watched(mlp, 21, 10, path=path)
    text = path.read_text()
    path.write_text(text[: len(text) - 300])
    found = read_record(path)
    assert [s.step for s in found.steps] == [0, 10] and found.steps == record.steps[:2]
    _, again, _ = watched(mlp, 11, 10, path=path)  # goes on behind the broken line
    assert read_record(path) == again


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("hello\n")
    with pytest.raises(ValueError, match="holds no run"):
        read_record(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="does not exist"):
        Monitor(mlp(), path=tmp_path / "no" / "a.jsonl").start()


def test_loggers_get_numbers_by_tag_and_step():
    class Board:
        def __init__(self):
            self.seen = {}

        def add_scalar(self, tag, value, step):
            self.seen.setdefault(tag, []).append((step, value))

    class Wandb:
        def __init__(self):
            self.seen = []

        def log(self, values, step=None):
            self.seen.append((step, values))

    board, wandb, called = Board(), Wandb(), []
    for logger in (board, wandb, lambda values, step: called.append((step, values))):
        _, record, _ = watched(mlp, 11, 10, logger=logger)
    tag = "chione/mean_square/2"
    expected = [(s.step, s.layer("2").mean_square) for s in record.steps]
    assert board.seen[tag] == expected
    assert [(s, v[tag]) for s, v in wandb.seen] == [(s, v[tag]) for s, v in called] == expected


def test_tensorboard_takes_it(tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        with SummaryWriter(str(tmp_path)) as logger:
            watched(mlp, 11, 10, logger=logger, strict=False)
    assert any(p.stat().st_size > 1000 for p in tmp_path.iterdir())


# ---- the door -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Monitor(nn.ReLU()), ValueError, "has no parameters"),
        (lambda: Monitor(lambda x: x), TypeError, "torch.nn.Module"),
        (lambda: Monitor(mlp(), every=0), ValueError, "every"),
        (lambda: Monitor(mlp(), logger=3), TypeError, "add_scalar"),
        (lambda: Monitor(mlp(), optimizer=3), TypeError, r"monitor\.step\(\)"),
    ],
)
def test_bad_input_gets_one_sentence(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_it_cannot_be_started_twice_but_goes_on_after_a_stop():
    net = mlp()
    monitor = Monitor(net, every=2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with monitor:
        with pytest.raises(RuntimeError, match="running already"):
            monitor.start()
        steps_of(net, optimizer, 3)
    steps_of(net, optimizer, 3)
    with monitor:
        steps_of(net, optimizer, 2)
    assert [s.step for s in monitor.record.steps] == [0, 2, 4]


@pytest.mark.parametrize("field", [None, "signals", "gradients", "updates", "dead"])
def test_the_record_prints_and_draws_itself(field, tmp_path):
    import matplotlib.pyplot as plt

    _, record, _ = watched(mlp, 21, 10)
    assert "No warnings." in str(record)
    figure = record.plot(str(tmp_path / "a.png"), field=field)
    assert (tmp_path / "a.png").stat().st_size > 5000
    plt.close(figure)
