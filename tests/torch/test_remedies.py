"""A verdict recommends only what was tried on a copy and helped, as training agrees."""

import copy
import re

import pytest

torch = pytest.importorskip("torch")

from chione.torch import initialize_, inspect  # noqa: E402 - needs torch
from chione.torch.inspection.inspection import examine  # noqa: E402

nn = torch.nn
WIDTH = 64


def inputs(batch=16):
    return torch.randn(batch, WIDTH, generator=torch.Generator().manual_seed(1))


def chain(activation, depth, sigma_w, *, outputs=None):
    """Layers of fixed weights, each with its activation."""
    generator = torch.Generator().manual_seed(0)
    layers = []
    for _ in range(depth):
        layer = nn.Linear(WIDTH, WIDTH)
        with torch.no_grad():
            layer.weight.normal_(0.0, sigma_w / WIDTH**0.5, generator=generator)
            layer.bias.zero_()
        layers += [layer, activation()]
    return nn.Sequential(*layers, *([nn.Linear(WIDTH, outputs)] if outputs else []))


class Residual(nn.Module):
    """x + W relu(V x) with the weights of He."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        for layer in (self.inner, self.outer):
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, x):
        return x + self.outer(torch.relu(self.inner(x)))


def residual(blocks=60):
    torch.manual_seed(0)
    return nn.Sequential(*[Residual() for _ in range(blocks)], nn.Linear(WIDTH, 4))


def learned(model, steps=100, rate=1e-2):
    """Loss after plain gradient descent on four classes told by the first inputs."""
    x = inputs(128)
    y = x[:, :4].argmax(dim=1)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x), y)
        if not torch.isfinite(loss.detach()):
            return float("inf")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


@pytest.mark.slow
def test_a_residual_net_of_he_is_told_its_branches_and_then_trains():
    model = residual()
    verdict = inspect(model, inputs()).verdict
    assert verdict.trains != "yes"
    assert "end of a residual branch" in verdict.fix
    assert "tried on a copy" in verdict.fix
    assert learned(copy.deepcopy(model)) > 1.0
    initialize_(model, inputs(), generator=torch.Generator().manual_seed(0))
    assert learned(model) < 1.0


@pytest.mark.parametrize(("layer", "factor"), [(10, 1e-4), (16, 1e-5), (8, 1e4)])
def test_one_layer_that_is_unlike_the_others_is_scaled_and_nothing_else(layer, factor):
    model = chain(nn.ReLU, 12, 2**0.5)
    with torch.no_grad():
        model[layer].weight.mul_(factor)
    fix = inspect(model, inputs()).verdict.fix
    told = re.search(r"Multiplying the weights of '(\d+)' by ([^,]*),", fix)
    assert int(told[1]) == layer
    assert float(told[2]) * factor == pytest.approx(1.0, rel=0.1)
    with torch.no_grad():
        model[layer].weight.mul_(float(told[2]))
    assert inspect(model, inputs()).verdict.trains == "yes"


def test_dead_units_by_their_biases_are_told_to_lose_them():
    model = chain(nn.ReLU, 8, 2**0.5)
    with torch.no_grad():
        model[8].bias.fill_(-30.0)
    verdict = inspect(model, inputs()).verdict
    assert verdict.trains == "no"
    assert "the biases of '8'" in verdict.fix
    with torch.no_grad():
        model[8].bias.zero_()
    assert inspect(model, inputs()).verdict.trains == "yes"


def test_softplus_is_offered_the_affine_change_that_was_tried():
    torch.manual_seed(0)
    model = nn.Sequential(*[m for _ in range(50) for m in (nn.Linear(64, 64), nn.Softplus())])
    fix = inspect(model, inputs()).verdict.fix
    found = re.search(r"by (\S+) \* softplus\(x (\S+)\) ([+-][\d.]+),", fix)
    scale, shift, offset = (float(found[i]) for i in (1, 2, 3))
    # The change has slope 1 and curvature 0 on the mean at q = 1: E phi'^2 = 1, E phi^2 = 1.
    z = torch.linspace(-9.0, 9.0, 20001, dtype=torch.float64)
    weight = torch.exp(-z * z / 2) * (z[1] - z[0]) / (2 * torch.pi) ** 0.5
    value = scale * nn.functional.softplus(z + shift) + offset
    slope = scale * torch.sigmoid(z + shift)
    assert float((weight * value**2).sum()) == pytest.approx(1.0, abs=1e-4)
    assert float((weight * slope**2).sum()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.slow
def test_where_nothing_helps_it_says_so():
    class Hopeless(nn.Module):
        """The output forgets the input whatever the weights are."""

        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

        def forward(self, x):
            x = self.first(x)
            for _ in range(60):
                x = torch.sigmoid(0.1 * x)
            return self.last(x)

    fix = inspect(Hopeless(), inputs()).verdict.fix
    assert fix.startswith("Tried on a copy without help: ")
    assert "chione.torch.initialize_" in fix


def test_a_model_that_overflows_is_told_what_was_tried():
    model = chain(nn.ReLU, 6, 1e13)
    with pytest.raises(ValueError, match=r"initialize_\(model, batch\) makes it trainable: tried"):
        inspect(model, inputs())
    with pytest.raises(ValueError, match="NaN or infinite") as plain:
        inspect(model, inputs(), remedies=False)
    assert "initialize_" not in str(plain.value)


def test_the_model_and_the_random_state_are_as_before_when_remedies_were_tried():
    model = chain(nn.Tanh, 30, 0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    versions = [p._version for p in model.parameters()]
    state = torch.get_rng_state()
    assert "tried on a copy" in inspect(model, inputs()).verdict.fix
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert versions == [p._version for p in model.parameters()]
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


def test_nothing_is_tried_where_nothing_is_wrong_or_where_it_is_not_wanted():
    model = chain(nn.Tanh, 30, 0.5)
    plain = inspect(model, inputs(), remedies=False)
    assert plain.verdict.fix == ""
    assert examine(model, inputs()).layers == plain.layers
    assert inspect(chain(nn.ReLU, 5, 2**0.5), inputs()).verdict.fix == ""
