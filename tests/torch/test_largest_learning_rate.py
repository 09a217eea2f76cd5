"""The largest stable learning rate, against dense matrices, quadratics and training."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.torch import largest_learning_rate  # noqa: E402 - needs torch
from chione.torch.steps.krylov import extremes  # noqa: E402
from chione.torch.steps.line_search import crossing  # noqa: E402

nn = torch.nn
X = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
Y = torch.randint(3, (6,), generator=torch.Generator().manual_seed(2))


def mse(out):
    return (out - nn.functional.one_hot(Y, 3)).square().mean()


def cross_entropy(out):
    return nn.functional.cross_entropy(out, Y)


def small(act=nn.Tanh, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), act(), nn.Linear(7, 4), act(), nn.Linear(4, 3)).double()


def flat_function(model):
    """The loss and the output as functions of one flat vector, without chione."""
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    shapes = [model.get_parameter(n).shape for n in names]

    def output(theta):
        parts = torch.split(theta, [s.numel() for s in shapes])
        values = {n: v.reshape(s) for n, v, s in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(model, values, (X,))

    return output, torch.cat([model.get_parameter(n).detach().reshape(-1) for n in names])


def dense_gauss_newton(model, loss):
    output, theta = flat_function(model)
    j = torch.autograd.functional.jacobian(output, theta).reshape(-1, len(theta))
    out = output(theta).detach()
    h = torch.autograd.functional.hessian(lambda y: loss(y.reshape(out.shape)), out.reshape(-1))
    return j.T @ h @ j


def softplus_loss(out):
    """Neither squared nor a likelihood, and not convex."""
    return (out.sin() + nn.functional.softplus(out)).mean()


@pytest.mark.parametrize("loss", [mse, cross_entropy, softplus_loss])
@pytest.mark.parametrize("act", [nn.ReLU, pytest.param(nn.SiLU, marks=pytest.mark.slow)])
def test_the_sharpness_is_that_of_the_dense_matrix_within_its_error(act, loss):
    for seed in range(2 if act is nn.SiLU else 1):
        model = small(act, seed)
        exact = torch.linalg.eigvalsh(dense_gauss_newton(model, loss))
        for rtol in (1e-1, 1e-3, 1e-9):
            found = largest_learning_rate(model, X, loss, rtol=rtol, seed=seed)
            off = abs(float(found.sharpness.value) - float(exact[-1]))
            assert off <= float(found.sharpness.error) <= rtol * float(exact[-1])
            rate = 2.0 / float(exact[-1])
            off = abs(float(found.learning_rate.value) - rate)
            assert off <= float(found.learning_rate.error) <= 1.2 * rtol * rate
    concave = float(exact[0]) < -0.1 * float(exact[-1])
    assert ("not convex in the output" in " ".join(found.notes)) == concave


def test_the_parameters_are_the_shorter_side_where_outputs_are_many():
    torch.manual_seed(0)
    model = nn.Linear(5, 3).double()
    exact = torch.linalg.eigvalsh(dense_gauss_newton(model, mse))[-1]
    for batch in (X, X.repeat(9, 1)):  # 18 outputs for 18 parameters, then 162

        def loss(out):
            return sum(mse(part) for part in out.split(6)) / (len(out) / 6)

        found = largest_learning_rate(model, batch, loss, rtol=1e-9)
        assert float(found.sharpness.value) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("act", [nn.Tanh, nn.SiLU])
def test_the_ends_of_the_hessian_are_those_of_the_dense_one(act):
    model = small(act)
    output, theta = flat_function(model)
    h = torch.autograd.functional.hessian(lambda t: cross_entropy(output(t)), theta)
    exact = torch.linalg.eigvalsh(h)[[0, -1]].numpy()
    found = largest_learning_rate(model, X, cross_entropy, hessian=True, rtol=1e-6)
    assert np.all(np.abs(found.hessian.value - exact) <= found.hessian.error)
    assert np.all(found.hessian.error < 0.05 * exact[1])


def test_frozen_parameters_and_dead_precision_are_respected():
    model = small()
    model[0].weight.requires_grad_(False)
    exact = float(torch.linalg.eigvalsh(dense_gauss_newton(model, mse))[-1])
    found = largest_learning_rate(model, X, mse, rtol=1e-6)
    assert float(found.sharpness.value) == pytest.approx(exact, rel=1e-6)
    assert found.parameters == sum(p.numel() for p in model.parameters()) - 35
    single = largest_learning_rate(model.float(), X.float(), mse, rtol=1e-3)
    assert abs(float(single.sharpness.value) - exact) <= float(single.sharpness.error)


class Several(nn.Module):
    """Returns hidden states, of which the output is made, and two outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = (nn.Linear(n, m).double() for n, m in ((5, 7), (7, 3), (7, 3)))

    def forward(self, x):
        h = torch.tanh(self.a(x))
        return {"hidden": h, "one": self.b(h), "two": self.c(h)}


def test_outputs_of_several_tensors_count_as_the_loss_reads_them():
    model = Several()

    def loss(out):
        return mse(out["one"] * out["two"]) + out["two"].square().mean()

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            out = self.inner(x)
            return torch.cat([out["one"], out["two"]], dim=1)

    def joined(y):
        return loss({"one": y[:, :3], "two": y[:, 3:]})

    exact = float(torch.linalg.eigvalsh(dense_gauss_newton(Joined(), joined))[-1])
    found = largest_learning_rate(model, X, loss, rtol=1e-8)
    assert float(found.sharpness.value) == pytest.approx(exact, rel=1e-7)


def test_a_loss_that_the_model_computes_is_taken_at_its_logits():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = small()

        def forward(self, x):
            logits = self.body(x)
            return {"loss": cross_entropy(logits), "logits": logits}

    exact = float(torch.linalg.eigvalsh(dense_gauss_newton(small(), cross_entropy))[-1])
    found = largest_learning_rate(Own(), X, lambda out: out["loss"], rtol=1e-8)
    assert float(found.sharpness.value) == pytest.approx(exact, rel=1e-7)


# ---- quadratic losses ---------------------------------------------------------------------------


class Quadratic(nn.Module):
    """L = sum a_i theta_i^2 / 2 with f = theta."""

    curvatures = torch.tensor([7.0, 2.0, 0.5, 0.01], dtype=torch.float64)

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.3, -1.0, 2.0, 1.0], dtype=torch.float64))

    def forward(self, x):
        return self.theta * x[:1]


def energy(out):
    return 0.5 * (Quadratic.curvatures * out.square()).sum()


ONE = torch.ones(1, 4, dtype=torch.float64)
SGD = torch.optim.SGD
RULES = {
    "sgd": lambda p, lr: SGD(p, lr),
    "heavy ball": lambda p, lr: SGD(p, lr, momentum=0.8),
    "dampened": lambda p, lr: SGD(p, lr, momentum=0.5, dampening=0.5),
    "nesterov": lambda p, lr: SGD(p, lr, momentum=0.9, nesterov=True),
    "decay": lambda p, lr: SGD(p, lr, weight_decay=0.7),
}


@pytest.mark.parametrize("name", RULES)
def test_on_a_quadratic_the_limit_parts_runs_that_converge_from_runs_that_diverge(name):
    found = largest_learning_rate(Quadratic(), ONE, energy, lambda p: RULES[name](p, 0.01))
    rate = float(found.learning_rate.value)
    for factor, diverges in ((0.99, False), (1.01, True)):
        model = Quadratic()
        optimizer = RULES[name](model.parameters(), factor * rate)
        start = float(energy(model(ONE)).detach())
        for _ in range(3000):
            optimizer.zero_grad()
            value = energy(model(ONE))
            value.backward()
            optimizer.step()
        assert (float(value.detach()) > start) == diverges, (name, factor, float(value.detach()))


def test_groups_keep_the_ratio_of_their_rates():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))

        def forward(self, x):
            return torch.cat([self.a, self.b])

    def loss(out):
        return 0.5 * (torch.tensor([3.0, 1.0]) * out.square()).sum()

    model = Two()
    groups = [{"params": [model.a], "lr": 0.01}, {"params": [model.b], "lr": 0.1}]
    found = largest_learning_rate(model, ONE, loss, SGD(groups, lr=1.0))
    assert float(found.learning_rate.value) == pytest.approx(2.0 / max(3.0, 10.0 * 1.0), rel=1e-6)
    critical = 2.0 * (3.0**2 + 10.0) / (3.0**3 + 100.0)  # 2 g D g / (g D A D g), g = (3, 1)
    assert float(found.critical.value) == pytest.approx(critical, abs=float(found.critical.error))


def test_adam_in_the_middle_of_training_has_the_preconditioner_of_its_state():
    """Its next steps with v held are those of a quadratic, whose limit is found by running them."""
    model = Quadratic()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.8, 1.0 - 1e-9))
    for _ in range(4):
        optimizer.zero_grad()
        energy(model(ONE)).backward()
        optimizer.step()
    found = largest_learning_rate(model, ONE, energy, optimizer)
    g = Quadratic.curvatures * model.theta.detach()
    state = optimizer.state[model.theta]
    v = (state["exp_avg_sq"] * (1 - 1e-9) + 1e-9 * g**2) / (1.0 - (1.0 - 1e-9) ** 5)
    sharp = float((Quadratic.curvatures / (v.sqrt() + 1e-8)).max())
    assert float(found.sharpness.value) == pytest.approx(sharp, rel=1e-6)
    rate = float(found.learning_rate.value)
    for factor, diverges in ((0.99, False), (1.01, True)):
        theta, m = 1.0, 0.0
        for _ in range(2000):  # the sharpest direction alone
            m = 0.8 * m + 0.2 * sharp * theta
            theta -= factor * rate * m
        assert (abs(theta) > 1.0) == diverges


def test_the_critical_rate_of_a_quadratic_is_known_and_takes_few_forward_passes():
    a, theta = Quadratic.curvatures, Quadratic().theta.detach()
    g = a * theta
    exact = float(2.0 * (g @ g) / (g @ (a * g)))
    for first in (1e-6, 0.01, 10.0):
        found = largest_learning_rate(Quadratic(), ONE, energy, lambda p, lr=first: SGD(p, lr))
        assert abs(float(found.critical.value) - exact) <= float(found.critical.error) < 0.1 * exact
        assert found.forwards <= 9
        assert exact >= float(found.learning_rate.value)
    assert found.critical_sharpness == pytest.approx(2.0 / exact, rel=0.05)


# ---- training -----------------------------------------------------------------------------------


def mlp(width=128, act=nn.Tanh, depth=3, seed=1):
    torch.manual_seed(seed)
    layers = [nn.Linear(8, width), act()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), act()]
    model = nn.Sequential(*layers, nn.Linear(width, 2))
    gain = 2.0 if act is nn.ReLU else 1.2
    for m in model:
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=math.sqrt(gain / m.in_features))
            nn.init.zeros_(m.bias)
    return model


INPUTS = torch.randn(24, 8, generator=torch.Generator().manual_seed(3))
TARGETS = torch.randn(24, 2, generator=torch.Generator().manual_seed(4))


def squared(out):
    return (out - TARGETS).square().mean()


@pytest.mark.parametrize(("act", "depth"), [(nn.Tanh, 2), (nn.ReLU, 3)])
def test_training_falls_at_half_the_limit_and_jumps_at_twice_it(act, depth):
    model = mlp(act=act, depth=depth)
    found = largest_learning_rate(model, INPUTS, squared)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for factor, falls in ((0.5, True), (2.0, False)):
        model.load_state_dict(state)
        optimizer = SGD(model.parameters(), factor * float(found.learning_rate.value))
        losses = []
        for _ in range(15):
            optimizer.zero_grad()
            value = squared(model(INPUTS))
            losses.append(float(value.detach()))
            value.backward()
            optimizer.step()
        assert all(b <= a for a, b in pairwise(losses)) == falls
    assert float(found.critical.value) > float(found.learning_rate.value)


@pytest.mark.parametrize("make", [lambda p, lr: SGD(p, lr), lambda p, lr: torch.optim.Adam(p, lr)])
def test_a_rehearsal_is_what_training_by_hand_comes_to(make):
    model = mlp(32)
    found = largest_learning_rate(
        model, INPUTS, squared, lambda p: make(p, 0.01), rehearse=6, rtol=1e-4
    )
    half = 0.5 * float((found.critical if found.adaptive else found.learning_rate).value)
    optimizer = make(model.parameters(), half)
    for _ in range(6):
        optimizer.zero_grad()
        squared(model(INPUTS)).backward()
        optimizer.step()
    again = largest_learning_rate(model, INPUTS, squared, optimizer, rtol=1e-4)
    assert float(found.later.value) == pytest.approx(float(again.learning_rate.value), rel=1e-2)
    assert abs(float(found.later.value / found.learning_rate.value) - 1.0) > 0.05
    assert f"After 6 steps at a learning rate of {half:.3g}" in " ".join(str(found).split())


def test_theory_is_the_limit_of_wide_networks():
    def off(width, seeds):
        found = [largest_learning_rate(mlp(width, seed=k), INPUTS, squared) for k in range(seeds)]
        return np.mean([float(f.theory.value / f.learning_rate.value) - 1.0 for f in found])

    wide = off(1024, 2)
    assert abs(wide) < 0.04
    assert off(24, 8) > 2.0 * abs(wide)  # the largest eigenvalue of a narrow one is larger


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a, self.b = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))


def test_theory_knows_residual_networks_and_biases_that_start_at_zero():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 512), Block(512), Block(512), nn.Linear(512, 2))
    for p in model.parameters():
        if p.dim() == 1:
            nn.init.zeros_(p)
    found = largest_learning_rate(model, INPUTS, squared)
    assert float(found.theory.value) == pytest.approx(float(found.learning_rate.value), rel=0.08)


def test_the_weights_of_one_layer_have_the_kernel_of_its_inputs():
    """A linear model: theta = n K + 1, whatever the width."""
    model = nn.Linear(8, 2)
    found = largest_learning_rate(model, INPUTS, squared)
    kernel = INPUTS.double() @ INPUTS.double().T + 1.0
    exact = 2.0 / (2.0 / 48.0 * float(torch.linalg.eigvalsh(kernel)[-1]))
    assert abs(float(found.theory.value) - exact) <= float(found.theory.error) < 1e-4 * exact
    assert float(found.learning_rate.value) == pytest.approx(exact, rel=1e-3)


# ---- where curvature says nothing ---------------------------------------------------------------


def test_a_piecewise_linear_loss_has_no_curvature_but_a_critical_rate():
    model = small()
    found = largest_learning_rate(model, X, lambda out: (out - 1.0).abs().mean())
    assert "piecewise linear in the output" in " ".join(found.notes)
    assert math.isnan(found.learning_rate.value)
    assert 0.0 < float(found.critical.value) < math.inf
    assert str(found).count("not known") == 2


def test_an_optimizer_without_a_rule_has_a_critical_rate():
    found = largest_learning_rate(small(), X, mse, "rmsprop")
    assert "not for this RMSprop" in found.notes[0]
    assert math.isnan(found.limit)
    assert math.isfinite(found.critical.value)
    assert math.isfinite(found.sharpness.value)


def test_a_search_that_ends_too_early_gives_a_lower_bound():
    def falling(t):  # until 1e9
        return 1.0 / (1.0 + t) if t < 1e9 else 2.0

    found = crossing(falling, 1.0, -1.0, rtol=0.05, most=4)
    assert 1.0 < found.value < 1e9
    assert math.isinf(found.error)
    assert crossing(falling, 1.0, -1.0, rtol=0.05, most=60).value == pytest.approx(1e9, rel=0.05)


def test_a_loss_that_falls_for_ever_has_no_critical_rate():
    found = largest_learning_rate(nn.Linear(5, 1).double(), X, lambda out: out.mean())
    assert math.isinf(found.critical.value)
    assert "does not rise again" in str(found)


def test_adam_at_the_start_is_no_forecast_and_the_report_draws(tmp_path):
    found = largest_learning_rate(small(), X, cross_entropy, "adam", hessian=True)
    assert found.adaptive
    assert "this is no forecast" in " ".join(str(found).split())
    found.plot(str(tmp_path / "rate.png"))
    assert len(found.rates) == len(found.losses) == found.forwards
    assert np.all(np.diff(found.rates) > 0.0)


def test_attention_is_differentiated_twice():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, dtype=torch.float64)
    model = nn.Sequential(nn.Unflatten(1, (1, 5)), nn.Linear(5, 8).double(), layer)
    found = largest_learning_rate(model, X, lambda out: out[:, 0, :3].square().mean())
    assert 0.0 < float(found.sharpness.value) < math.inf


def test_an_operation_without_second_derivative_is_named():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    class Square(nn.Linear):
        def forward(self, x):
            return Once.apply(super().forward(x))

    found = largest_learning_rate(Square(5, 3).double(), X, mse)
    assert "cannot be differentiated twice" in found.notes[0]
    assert math.isfinite(found.critical.value)


# ---- the parts alone ----------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 3, 40])
def test_lanczos_finds_both_ends_in_any_inner_product(rank):
    rng = np.random.default_rng(rank)
    a = rng.standard_normal((40, rank))
    m = torch.from_numpy(a @ a.T)
    b = rng.standard_normal((40, 40))
    k = torch.from_numpy(b + b.T)
    root = torch.from_numpy(a)
    exact = torch.linalg.eigvalsh(root.T @ k @ root)  # the other eigenvalues are zero
    start = torch.from_numpy(rng.standard_normal(40))
    for steps in (4, 60):
        top, bottom = extremes(
            lambda v: k @ v, lambda v: m @ v, start, steps=steps, rtol=1e-12, eps=1e-16
        )
        assert abs(top.value - float(exact[-1])) <= top.error + 1e-9 * float(exact.abs().max())
        if steps == 60:
            zero = 0.0 if rank < 40 else float(exact[0])  # K M has those that M does not see too
            assert min(abs(bottom.value - x) for x in (float(exact[0]), zero)) <= 1e-9
            assert max(top.error, bottom.error) <= 1e-8 * float(exact.abs().max())


@pytest.mark.parametrize(
    ("f", "slope", "root"),
    [
        (lambda t: 1.0 - 3e-5 * t + 1e-7 * t * t, -3e-5, 300.0),
        (lambda t: 1.0 - 300.0 * t + 2e6 * t * t, -300.0, 1.5e-4),
        (lambda t: math.cosh(3.0 * t - 1.0), -3.0 * math.sinh(1.0), 2.0 / 3.0),
        (lambda t: 1.0 - t + t**6, -1.0, 1.0),
        (lambda t: 1.0 - t if t < 7.0 else math.nan, -1.0, 7.0),
        (lambda t: abs(1.0 - t), -1.0, 2.0),
    ],
)
def test_the_line_search_brackets_the_crossing(f, slope, root):
    found = crossing(f, f(0.0), slope, rtol=0.05, most=12)
    assert abs(found.value - root) <= found.error * (1 + 1e-9) + 1e-12
    assert found.error <= 0.1 * root
    for first in (0.3, 7.0):
        again = crossing(f, f(0.0), slope, rtol=0.05, most=20, first=first)
        assert abs(again.value - root) <= again.error * (1 + 1e-9) + 1e-12
    if root == 300.0:  # at once by the parabola, then on both sides of it
        assert found.evaluations <= 4
