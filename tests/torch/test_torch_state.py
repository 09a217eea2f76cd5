"""A model is left exactly as it was."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.torch import first_step, inspect, largest_learning_rate  # noqa: E402 - needs torch

nn = torch.nn


class Meddler(nn.Module):
    """Does everything a forward pass should not: changes weights, buffers, modes, random states."""

    def __init__(self, fail=False):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(8, 3)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("nothing", None)
        self.fail = fail

    def forward(self, x):
        self.count += 1
        self._buffers["count"] = self.count.clone()
        self.first.weight.data.mul_(1.5)
        self.last.eval()
        random.random()
        np.random.rand()  # noqa: NPY002 - the global state is what is tested
        x = self.drop(torch.relu(self.norm(self.first(x))))
        if self.fail:
            self.last(x[:, :5])
        return self.last(x)


def snapshot(model):
    return {
        "state": {k: v.clone() for k, v in model.state_dict().items()},
        "buffers": [id(b) for b in model.buffers()],
        "grads": [
            (id(p.grad), None if p.grad is None else p.grad.clone()) for p in model.parameters()
        ],
        "flags": [p.requires_grad for p in model.parameters()],
        "versions": [p._version for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
        "rng": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].copy(),  # noqa: NPY002
        "grad_mode": torch.is_grad_enabled(),
    }


def assert_same(a, b):
    for key, value in a["state"].items():
        assert torch.equal(value, b["state"][key]), key
    for (ida, va), (idb, vb) in zip(a["grads"], b["grads"], strict=True):
        assert ida == idb
        assert va is None or torch.equal(va, vb)
    for key in ("buffers", "flags", "modes", "hooks", "python", "grad_mode"):
        assert a[key] == b[key], key
    assert torch.equal(a["rng"], b["rng"])
    assert np.array_equal(a["numpy"], b["numpy"])


def prepared(fail):
    torch.manual_seed(3)
    model = Meddler(fail)
    model.norm.weight.requires_grad_(False)
    model.last.weight.grad = torch.ones_like(model.last.weight)
    model.drop.eval()
    model.first.register_forward_hook(lambda module, args, out: None)
    return model


def test_everything_a_forward_pass_can_change_is_put_back():
    model = prepared(False)
    before = snapshot(model)
    inspect(model, torch.randn(7, 6, generator=torch.Generator().manual_seed(0)))
    assert_same(before, snapshot(model))


def test_everything_is_put_back_after_an_exception_too():
    model = prepared(True)
    before = snapshot(model)
    with pytest.raises(ValueError, match="rejects the batch in layer 'last'"):
        inspect(model, torch.randn(7, 6, generator=torch.Generator().manual_seed(0)))
    assert_same(before, snapshot(model))


def test_weights_that_did_not_change_are_not_written():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    x = torch.randn(6, 4)
    loss = model(x).square().sum()  # a graph that must stay valid
    versions = [p._version for p in model.parameters()]
    inspect(model, x)
    assert versions == [p._version for p in model.parameters()]
    loss.backward()


def test_it_works_under_no_grad_and_leaves_no_grad_on():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    with torch.no_grad():
        report = inspect(model, torch.randn(6, 4))
        assert not torch.is_grad_enabled()
    assert report["0"].gradient > 0.0


def no_grad(change):
    def quietly(model):
        with torch.no_grad():
            change(model)

    return quietly


def one_step(model):
    optimiser = torch.optim.Adam(model.parameters())
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimiser.step()


WRITES = {
    "data": lambda m: m.w.data.mul_(2.0),
    "in place": no_grad(lambda m: m.w.add_(1.0)),
    "item": no_grad(lambda m: m.w.__setitem__(0, 9.0)),
    "view": no_grad(lambda m: m.w.view(-1)[3:5].fill_(0.0)),
    "out": no_grad(lambda m: torch.add(m.w, 1.0, out=m.w)),
    "nn.init": lambda m: nn.init.zeros_(m.w),
    "NumPy": lambda m: m.w.detach().numpy().fill(0.0),
    "renormalised rows": lambda m: nn.functional.embedding(
        torch.arange(7), m.table.weight, max_norm=0.1
    ),
    "optimiser": no_grad(one_step),
    "many at once": no_grad(lambda m: torch._foreach_mul_(list(m.parameters()), 2.0)),
    "state_dict": lambda m: m.load_state_dict({k: 2 * v for k, v in m.state_dict().items()}),
    "other memory": lambda m: setattr(m.w, "data", torch.zeros(6, 6)),
    "other parameter": lambda m: setattr(m, "w", nn.Parameter(torch.zeros(6, 6))),
    "swapped": lambda m: torch.utils.swap_tensors(m.w, nn.Parameter(torch.zeros(6, 6))),
}


@pytest.mark.parametrize("way", WRITES)
@pytest.mark.parametrize("fails", [False, True])
def test_weights_that_the_forward_pass_writes_come_back_however_it_writes_them(way, fails):
    class Writes(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(6, 6))
            self.table, self.last = nn.Embedding(7, 6), nn.Linear(6, 3)

        def forward(self, x):
            WRITES[way](self)
            if fails:
                raise RuntimeError("no")
            return self.last(x @ self.w)

    torch.manual_seed(0)
    model = Writes()
    before = {name: (id(p), p.detach().clone()) for name, p in model.named_parameters()}
    try:
        inspect(model, torch.randn(5, 6), remedies=False)
    except ValueError:
        assert fails or way in ("other memory", "renormalised rows")
    for name, p in model.named_parameters():
        assert before[name][0] == id(p)
        assert torch.equal(before[name][1], p.detach())


def test_no_weight_is_copied_that_nobody_writes():
    from torch.utils._python_dispatch import TorchDispatchMode

    model = nn.Sequential(*[nn.Linear(300, 300) for _ in range(4)])
    copied = []

    class Clones(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "clone" in str(func) and args[0].numel() == 300 * 300:
                copied.append(func)
            return func(*args, **(kwargs or {}))

    with Clones():
        inspect(model, torch.randn(4, 300), remedies=False)
    assert copied == []


def square(out):
    return out.square().mean()


def broken(out):
    raise ArithmeticError


LOOKS = {
    "first_step": first_step,
    "largest_learning_rate": lambda *args: largest_learning_rate(*args, hessian=True, rehearse=2),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    ("fail", "loss", "error"),
    [(False, square, None), (True, square, ValueError), (False, broken, ArithmeticError)],
    ids=["no exception", "in the model", "in the loss"],
)
def test_a_step_leaves_model_and_optimizer_as_they_were(look, fail, loss, error):
    model = prepared(fail)
    trained = [p for p in model.parameters() if p.requires_grad]
    foreign = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([*trained, foreign], lr=0.1, momentum=0.9)
    foreign.grad = torch.ones(3)
    optimizer.step()  # a state that has to stay
    state = {p: dict(s) for p, s in optimizer.state.items()}
    values = {p: s["momentum_buffer"].clone() for p, s in state.items()}
    groups, kept = optimizer.param_groups, [dict(g) for g in optimizer.param_groups]
    before, mine = snapshot(model), foreign.detach().clone()
    x = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    if error is None:
        LOOKS[look](model, x, loss, optimizer)
    else:
        with pytest.raises(error):
            LOOKS[look](model, x, loss, optimizer)
    assert_same(before, snapshot(model))
    assert torch.equal(foreign, mine)
    assert torch.equal(foreign.grad, torch.ones(3))
    assert optimizer.param_groups is groups
    assert [dict(g) for g in groups] == kept
    assert set(optimizer.state) == set(state)
    for p, held in optimizer.state.items():
        assert held["momentum_buffer"] is state[p]["momentum_buffer"]
        assert torch.equal(held["momentum_buffer"], values[p])
