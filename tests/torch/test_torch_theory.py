"""The theory that stands beside measured values: fields, recipes, graphs with branches."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.activations import activation  # noqa: E402
from chione.networks import Dropout, Nonlinearity, Norm, Shape  # noqa: E402
from chione.theory.layers.bounded import Bounded  # noqa: E402
from chione.theory.layers.channels import product, total  # noqa: E402
from chione.theory.layers.rule import forward  # noqa: E402
from chione.theory.layers.stream import from_moments  # noqa: E402
from chione.theory.layers.walk import Walk as LayerWalk  # noqa: E402
from chione.theory.moments.moments import (  # noqa: E402
    derivative_second_moment,
    mean,
    second_moment,
)
from chione.theory.moments.pair_kernels import kernel  # noqa: E402
from chione.theory.moments.quick_pairs import QuickPrepared  # noqa: E402
from chione.torch import inspect  # noqa: E402 - needs torch
from chione.torch.capture.identify import identify  # noqa: E402
from chione.torch.recommendation.recipes import recipe  # noqa: E402

nn = torch.nn


def pair(q, c, n=400_000, seed=0):
    """Two correlated Gaussian inputs of mean square q."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n))
    return math.sqrt(q) * a, math.sqrt(q) * (c * a + math.sqrt(1 - c * c) * b)


@pytest.mark.parametrize(
    ("name", "rtol"),
    [("tanh", 1e-9), ("gelu", 1e-9), ("relu", 1e-10), ("elu", 1e-9), ("hardtanh", 2e-6)],
)
@pytest.mark.parametrize("q", [0.05, 1.3])
def test_the_distance_in_a_walk_is_that_of_the_exact_kernel(name, rtol, q):
    phi = activation(name)
    for gap in (1.4, 0.35):
        exact = float(second_moment(phi, q)) - float(kernel(phi, q, q, 1.0 - gap))
        after = layer(Nonlinearity(phi), stream(q, q * (1.0 - gap)))
        assert 0.5 * off(after.d) == pytest.approx(exact, rel=rtol)


def test_the_distance_in_a_walk_keeps_its_digits_near_one():
    phi = activation("tanh")
    # D / 2 -> q (1 - c) E phi'^2 as c -> 1
    limit = 0.7 * float(derivative_second_moment(phi, 0.7))
    near = refined(stream(0.7, 0.7))
    near = near.with_(d=Bounded.exact(2.0 * 0.7 * 1e-12 * near.orbits.apart))
    assert 0.5 * off(layer(Nonlinearity(phi), near).d) / 1e-12 == pytest.approx(limit, rel=1e-9)


def stream(q, k, mean=0.0):
    """Two inputs of mean square q, second moment k and this mean over channels."""
    found = from_moments(np.array([[q, k], [k, q]]), Shape(100))
    return found.with_(mean=Bounded.exact(np.full(2, mean)))


def refined(s):
    """With the pair in a class of its own."""
    return s.refined(*s.orbits.split("apart", lambda: ~np.eye(2, dtype=bool)))


def layer(described, entering):
    """Through one layer as a walk along a traced graph takes it."""
    rules = LayerWalk()
    if isinstance(described, Nonlinearity):
        rules.memo[described.activation] = QuickPrepared.of(described.activation)
    return forward(described, entering, rules)[0]


def length(s):
    return float(s.second_moments().value[0, 0])


def other(s):
    return float(s.second_moments().value[0, 1])


def off(d):
    return float(d.value.max())


def test_rules_in_a_walk_are_those_of_sampled_gaussians():
    phi = activation("gelu")
    u, v = pair(1.7, 0.6)
    n = 4 / math.sqrt(400_000)
    a, b = stream(1.7, 1.7 * 0.6), stream(0.8, 0.8 * -0.3)
    after = layer(Nonlinearity(phi), a)
    x, y = phi.value(u), phi.value(v)
    assert length(after) == pytest.approx(np.mean(x * x), rel=4 * n)
    assert other(after) == pytest.approx(np.mean(x * y), rel=4 * n)
    assert float(after.mean.value[0]) == pytest.approx(np.mean(x), rel=4 * n)
    assert float(after.mean.value[0]) == pytest.approx(float(mean(phi, 1.7)), rel=1e-12)

    p, r = pair(0.8, -0.3, seed=1)
    both = product(a, b)
    assert length(both) == pytest.approx(np.mean((u * p) ** 2), rel=6 * n)
    assert other(both) == pytest.approx(np.mean(u * p * v * r), abs=6 * n)
    sums = total(a, b)
    assert length(sums) == pytest.approx(np.mean((u + p) ** 2), rel=4 * n)
    assert other(sums) == pytest.approx(np.mean((u + p) * (v + r)), rel=6 * n)

    sums = total(stream(1.95, 1.7 * 0.6 + 0.25, 0.5), stream(0.89, 0.8 * -0.3 + 0.09, 0.3))
    assert length(sums) == pytest.approx(np.mean((u + 0.5 + p + 0.3) ** 2), rel=4 * n)
    assert float(sums.mean.value[0]) == pytest.approx(0.8)

    rng = np.random.default_rng(2)
    k, m = (rng.random((2, u.size)) > 0.25) / 0.75
    loose = layer(Dropout(0.75), a)
    assert length(loose) == pytest.approx(np.mean((k * u) ** 2), rel=4 * n)
    assert other(loose) == pytest.approx(np.mean(k * u * m * v), rel=6 * n)

    shifted = stream(1.95, 1.7 * 0.6 + 0.25, 0.5)  # entries u + 1/2
    scaled = layer(Norm("layer", gain=2.0, bias=0.3, eps=1e-12), shifted)
    assert length(scaled) == pytest.approx(4.09)
    assert 0.5 * off(scaled.d) / length(scaled) == pytest.approx(4.0 * 0.4 / 4.09)


class Stream(nn.Module):
    """Pre-norm residual blocks, a gate, a scaled branch and a concatenation."""

    def __init__(self, width, norm):
        super().__init__()
        self.norms = nn.ModuleList(norm(width) for _ in range(3))
        self.up = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(3))
        self.gate = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(3))
        self.down = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(3))
        self.scale = nn.Parameter(torch.full((width,), 0.7))
        self.head = nn.Linear(2 * width, width)

    def forward(self, x):
        first = x
        for norm, up, gate, down in zip(self.norms, self.up, self.gate, self.down, strict=True):
            h = norm(x)
            x = x + 2.0 * down(nn.functional.silu(gate(h)) * up(h)) * self.scale
        return self.head(torch.cat([x, first], dim=-1))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_theory_follows_branches_gates_scales_and_concatenations(norm):
    torch.manual_seed(0)
    model = Stream(400, norm)
    for p in model.parameters():
        if p.dim() == 2:
            nn.init.normal_(p, std=1.2 / math.sqrt(p.shape[1]))
    start = nn.Linear(100, 400)
    report = inspect(nn.Sequential(start, model), torch.randn(12, 100), projections=6)
    for layer in report.layers:
        e = layer.expected
        assert layer.mean_square == pytest.approx(e.mean_square, rel=0.15), layer.name
        assert layer.correlation == pytest.approx(e.correlation, abs=0.05), layer.name
        assert layer.gradient == pytest.approx(e.gradient, rel=0.2), layer.name
        assert layer.jacobian == pytest.approx(e.jacobian, rel=0.2), layer.name


def test_chi_perp_is_the_factor_between_neighbouring_rows():
    torch.manual_seed(1)
    layers = [m for _ in range(6) for m in (nn.Linear(600, 600), nn.GELU())]
    report = inspect(nn.Sequential(*layers), torch.randn(6, 600), projections=8)
    for before, layer in zip(report.layers[1:-1], report.layers[2:], strict=True):
        measured = before.gradient / layer.gradient
        assert measured == pytest.approx(layer.expected.chi_perp, rel=0.2)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.ELU(0.5), "elu(alpha=0.5)"),
        (nn.CELU(0.4), "celu(alpha=0.4)"),
        (nn.LeakyReLU(0.2), "leaky_relu(slope=0.2)"),
        (nn.Hardswish(), "hardswish"),
        (nn.Softplus(), "softplus"),
        (nn.GELU(approximate="tanh"), "gelu_tanh"),
        (nn.Softsign(), "softsign"),
    ],
)
def test_functions_are_recognised_by_their_values(module, name):
    assert identify(module.forward).name == name


def test_a_function_nobody_knows_becomes_an_activation_of_its_own():
    phi = identify(lambda h: torch.tanh(h) + 0.1 * h)
    assert float(second_moment(phi, 1.0)) == pytest.approx(
        float(np.mean((np.tanh(pair(1.0, 0.0)[0]) + 0.1 * pair(1.0, 0.0)[0]) ** 2)), rel=0.02
    )


def test_functions_of_more_than_one_entry_are_no_activations():
    for function in (
        lambda h: h.sum() * h,
        lambda h: torch.softmax(h, 0),
        lambda h: h[:3],
        lambda h: torch.log(h),
    ):
        assert identify(function) is None


@pytest.mark.parametrize("name", ["tanh", "gelu", "silu", "selu", "mish", "elu", "sin", "sigmoid"])
def test_a_recipe_holds_length_and_gradient_from_its_first_length_on(name):
    phi = activation(name)
    best = recipe(phi, 50)
    q, gradient = best.length, 1.0
    for _ in range(49):
        gradient *= best.sigma_w**2 * float(derivative_second_moment(phi, q))
        q = best.sigma_w**2 * float(second_moment(phi, q)) + best.sigma_b**2
    assert 0.45 <= gradient <= 1 / 0.45
    assert q > 0.3 * best.length


def test_where_lengths_fade_the_first_one_depends_on_the_depth():
    phi = activation("hardtanh")
    shallow, deep = recipe(phi, 4), recipe(phi, 400)
    assert shallow.exists
    assert deep.exists
    assert deep.length < shallow.length


def test_every_expected_number_has_a_small_error_beside_it():
    torch.manual_seed(2)
    blocks = [m for _ in range(8) for m in (nn.Linear(100, 100), nn.Hardtanh())]
    report = inspect(nn.Sequential(*blocks, nn.Linear(100, 20)), torch.randn(10, 100))
    for found in report.layers:
        e = found.expected
        assert 0.0 <= e.mean_square_error < 1e-3 * e.mean_square
        assert 0.0 <= e.correlation_error < 0.02
        assert 0.0 <= e.gradient_error < 1e-2 * e.gradient
        assert 0.0 <= e.jacobian_error < 1e-2 * e.jacobian
    assert report.layers[-1].expected.mean_square_error > 0.0


class TwoTerms(nn.Module):
    """A sum of two positive terms, or their difference."""

    def __init__(self, sign):
        super().__init__()
        self.first, self.second, self.last = (
            nn.Linear(50, 500),
            nn.Linear(50, 500),
            nn.Linear(500, 9),
        )
        self.sign = sign

    def forward(self, x):
        a, b = torch.relu(self.first(x)), torch.relu(self.second(x))
        return self.last(a + b if self.sign > 0 else a - b)


@pytest.mark.parametrize("sign", [1, -1])
def test_means_add_in_a_sum_and_cancel_in_a_difference(sign):
    torch.manual_seed(4)
    report = inspect(TwoTerms(sign), torch.randn(12, 50))
    met = next(layer for layer in report.layers if layer.operation == "sum")
    # q (1 + 1 / pi) for a sum of two ReLUs and q (1 - 1 / pi) for their difference
    assert met.mean_square == pytest.approx(met.expected.mean_square, rel=0.06)


@pytest.mark.parametrize("position", [0, -1, 4])
@pytest.mark.parametrize("tokens", [6, 14, 40])
def test_a_picked_token_keeps_its_own_moments_and_takes_the_whole_gradient(tokens, position):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.down = nn.Linear(40, 400), nn.Linear(400, 400)

        def forward(self, x):
            return self.down(torch.nn.functional.gelu(self.up(x))[:, position])

    torch.manual_seed(5)
    model = First()
    for p in model.parameters():
        if p.dim() == 2:
            nn.init.normal_(p, std=1.4 / math.sqrt(p.shape[1]))
    x = torch.randn(8, tokens, 40)
    x[:, position] *= 3.0
    report = inspect(model, x, projections=8)
    up, down = report["up"], report["down"]
    assert down.mean_square == pytest.approx(down.expected.mean_square, rel=0.15)
    assert up.mean_square == pytest.approx(up.expected.mean_square, rel=0.1)
    if position == 4 and tokens == 40:  # a position that no site stands for: none, not a wrong one
        assert math.isnan(up.expected.gradient)
    else:
        assert up.gradient == pytest.approx(up.expected.gradient, rel=0.15)


def test_the_gradient_of_terms_that_depend_on_each_other_is_that_of_their_channels():
    class Back(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(6, 60), nn.Linear(60, 60)

        def forward(self, x):
            h = self.first(x)
            return self.last(2.0 * h - h)

    torch.manual_seed(7)
    report = inspect(Back(), torch.randn(5, 6), projections=64)
    # 2 h - h is h: sampled channels know, sums of squares would say five times as much
    first = report["first"]
    assert first.expected.gradient == pytest.approx(first.gradient, rel=0.25)
