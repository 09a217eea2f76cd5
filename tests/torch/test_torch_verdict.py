"""The verdict names the layer, the cause and the fix."""

import re

import pytest

torch = pytest.importorskip("torch")

from chione.torch import initialize_, inspect  # noqa: E402 - needs torch

nn = torch.nn


def chain(activation, depth, width=64, *, sigma_w=1.0, sigma_b=0.0):
    generator = torch.Generator().manual_seed(0)
    layers = []
    for _ in range(depth):
        layer = nn.Linear(width, width)
        with torch.no_grad():
            layer.weight.copy_(
                sigma_w / width**0.5 * torch.randn(width, width, generator=generator)
            )
            layer.bias.copy_(sigma_b * torch.randn(width, generator=generator))
        layers += [layer, activation()]
    return nn.Sequential(*layers)


def inputs(width=64, batch=12):
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("broken", [2, 10, 18])
def test_one_layer_with_tiny_weights_is_named(broken):
    model = chain(nn.Tanh, 12)
    with torch.no_grad():
        model[broken].weight.mul_(1e-4)
    verdict = inspect(model, inputs()).verdict
    assert verdict.trains == "doubtful"  # it does train: see benchmarks/bench_training.py --broken
    assert verdict.layer == str(broken)
    assert verdict.problem == "vanishing gradient"
    assert float(re.search("sigma_w = ([^,]*),", verdict.cause)[1]) == pytest.approx(1e-4, rel=0.1)


def test_one_layer_with_huge_weights_is_named():
    model = chain(nn.ReLU, 12, sigma_w=2**0.5)
    with torch.no_grad():
        model[8].weight.mul_(1e4)
    verdict = inspect(model, inputs()).verdict
    assert verdict.layer == "8"
    assert verdict.problem == "exploding gradient"


def test_one_saturated_layer_is_named_and_not_the_next():
    model = chain(nn.Tanh, 10)
    with torch.no_grad():
        model[8].bias.fill_(12.0)
    verdict = inspect(model, inputs()).verdict
    assert verdict.layer == "8"
    assert "100% of its units saturated" in verdict.cause


def test_a_zero_layer_that_never_wakes_is_named_as_the_place_where_the_gradient_ends():
    model = chain(nn.ReLU, 6)  # relu(0) has no slope, so nothing moves the layer from zero
    with torch.no_grad():
        model[4].weight.zero_()
    verdict = inspect(model, inputs()).verdict
    assert (verdict.trains, verdict.problem, verdict.layer) == ("no", "no gradient", "4")
    assert {"0.weight", "2.weight", "4.weight", "6.weight"} <= set(verdict.parameters)


def test_a_zero_layer_that_wakes_is_no_fault():
    model = chain(nn.GELU, 6)  # gelu(0) has slope 1/2: the layer itself gets a gradient at once
    with torch.no_grad():
        model[4].weight.zero_()
    verdict = inspect(model, inputs()).verdict
    assert verdict.trainable
    assert "Identity at the start" in verdict.notes[0]


def test_depth_alone_is_told_by_its_rate_with_theorys_chi():
    report = inspect(chain(nn.Tanh, 50, sigma_w=0.7), inputs())
    verdict = report.verdict
    assert verdict.problem == "vanishing gradient"
    assert verdict.layer == "0"
    assert "chi_perp = 0.4" in verdict.cause  # sigma_w^2 = 0.49 at small q
    assert "initialize_(model, batch): for tanh it sets sigma_w = 1." in verdict.fix


def test_chaos_is_an_exploding_gradient():
    verdict = inspect(chain(nn.Tanh, 50, sigma_w=3.0), inputs()).verdict
    assert verdict.problem == "exploding gradient"


def test_inputs_that_become_alike_are_found_where_gradients_are_fine():
    verdict = inspect(chain(nn.Identity, 10, sigma_b=2e3), inputs()).verdict
    assert (verdict.problem, verdict.layer) == ("collapsed inputs", "0")


def test_softplus_is_told_that_no_initialisation_helps_and_what_does():
    torch.manual_seed(0)
    layers = [m for _ in range(50) for m in (nn.Linear(64, 64), nn.Softplus())]
    report = inspect(nn.Sequential(*layers), inputs())
    assert report.layers[0].gradient / report.layers[-1].gradient < 1e-18
    assert report.layers[-1].one_minus_c < 1e-6
    assert not report.verdict.trainable
    assert "softplus" in report.verdict.fix
    assert "initialize_(model" not in report.verdict.fix


def test_a_detached_output_has_no_gradient():
    class Detached(nn.Linear):
        def forward(self, x):
            return super().forward(x).detach()

    verdict = inspect(Detached(4, 3), torch.randn(5, 4)).verdict
    assert verdict.problem == "no gradient"


def test_scale_does_not_matter_before_a_normalisation():
    layers = [m for _ in range(30) for m in (nn.Linear(64, 64), nn.LayerNorm(64), nn.Tanh())]
    model = nn.Sequential(*layers)
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(1e-3)
                layer.bias.zero_()
                layer.weight.mul_(10.0 ** torch.randint(-2, 3, ()).item())
    model.double()
    for module in model:
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-20
    report = inspect(model, inputs().double())
    assert "vanishing signal" not in report.verdict.problem
    assert report.verdict.problem != "exploding gradient"


def test_branches_that_start_at_zero_are_no_fault():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = nn.Linear(32, 64), nn.Linear(64, 32)
            nn.init.zeros_(self.outer.weight)
            nn.init.zeros_(self.outer.bias)

        def forward(self, x):
            return x + self.outer(torch.relu(self.inner(x)))

    model = nn.Sequential(nn.Linear(64, 32), *[Block() for _ in range(5)])
    report = inspect(model, inputs())
    assert report["1.inner"].gradient == 0.0
    assert report.verdict.trainable


def test_assert_trainable_raises_with_the_verdict():
    model = chain(nn.Sigmoid, 40)
    with pytest.raises(AssertionError, match="Not trainable, vanishing gradient at layer '0'"):
        inspect(model, inputs()).assert_trainable()
    initialize_(model, inputs(), generator=torch.Generator().manual_seed(0))
    inspect(model, inputs()).assert_trainable()


def test_many_dead_units_are_a_warning():
    model = chain(nn.ReLU, 3, sigma_w=2**0.5)
    with torch.no_grad():
        model[2].bias[:40] = -100.0
    verdict = inspect(model, inputs()).verdict
    assert verdict.trainable
    assert any("'2' let no gradient through" in w for w in verdict.warnings)
