"""The verdict of theory and the verdict on a real model of the same network are one."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import chione  # noqa: E402
from chione.diagnosis.verdict import passage  # noqa: E402
from chione.theory import trajectory  # noqa: E402
from chione.theory.depth.passage import Passage  # noqa: E402
from chione.theory.depth.trainability import trainability  # noqa: E402
from chione.torch import inspect  # noqa: E402

nn = torch.nn
WIDTH = 192


class Erf(nn.Module):
    def forward(self, x):
        return torch.erf(x)


MODULES = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "erf": Erf, "silu": nn.SiLU,
    "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "softplus": nn.Softplus,
}  # fmt: skip
# (relu, 1.7, 0.1, 40) had two verdicts: here it is first.
FEW = [
    ("relu", 1.7, 0.1, 40), ("relu", 1.2, 0.1, 40), ("relu", math.sqrt(2.0), 0.0, 30),
    ("tanh", 0.7, 0.0, 20), ("tanh", 3.0, 0.05, 40), ("tanh", 1.1, 0.1, 15),
    ("gelu", 1.5, 0.1, 10), ("gelu", 0.577, 0.03, 40), ("erf", 1.8, 0.05, 40),
    ("erf", 0.7, 0.3, 30),
]  # fmt: skip
MANY = [
    (name, sigma_w, sigma_b, depth)
    for name in MODULES
    for sigma_w in (0.5, 0.8, 1.1, 1.5, 3.0)
    for sigma_b in (0.0, 0.2)
    for depth in (6, 36)
]


def model(name, sigma_w, sigma_b, depth):
    """A real network of that many layers with a linear read-out on top."""
    generator = torch.Generator().manual_seed(0)
    layers = []
    for n in range(depth + 1):
        layer = nn.Linear(WIDTH, WIDTH)
        with torch.no_grad():
            layer.weight.normal_(0.0, sigma_w / WIDTH**0.5, generator=generator)
            layer.bias.copy_(sigma_b * torch.randn(WIDTH, generator=generator))
        layers += [layer] + ([MODULES[name]()] if n < depth else [])
    return nn.Sequential(*layers).double()


def measured(network):
    x = torch.randn(8, WIDTH, generator=torch.Generator().manual_seed(1)).double()
    return inspect(model(*network), x / x.square().mean(1, keepdim=True).sqrt()).verdict


def settled_answer(network):
    """The answer of theory if it is the same for all passages that finite width may give."""
    name, sigma_w, sigma_b, depth = network
    curves = trajectory(name, sigma_w=sigma_w, sigma_b=sigma_b, depth=depth, c0=0.0)
    if not np.all(np.isfinite(curves.q)):
        return None
    logs = np.log(curves.chi)
    gradient = np.append(np.cumsum(logs[::-1])[::-1], 0.0)
    lengths = np.append(np.log(curves.q), np.log(curves.q[-1]))
    way = Passage.of(gradient, lengths, float(np.log(curves.one_minus_c[-1])))
    names = [f.name for f in fields(way) if not isinstance(getattr(way, f.name), str)]
    values = [getattr(way, name) for name in names]
    answers = set()
    for sign in (-1.0, 1.0):
        near = [x + sign * (1.5 + 0.1 * abs(x)) for x in values]
        answers.add(trainability(Passage(**dict(zip(names, near, strict=True)))).answer)
        far = [x + math.copysign(sign, x) * (1.5 + 0.1 * abs(x)) for x in values]
        answers.add(trainability(Passage(**dict(zip(names, far, strict=True)))).answer)
    return answers.pop() if len(answers) == 1 else None


@pytest.mark.parametrize(
    "network",
    [n if n[0] == "relu" else pytest.param(n, marks=pytest.mark.slow) for n in FEW],
    ids=str,
)
def test_theory_and_a_real_model_give_one_verdict(network):
    # the same rule on the same four numbers; width and optimiser make theory's answer finer
    name, sigma_w, sigma_b, depth = network
    found = chione.analyze(name, sigma_w, sigma_b, depth=depth, width=WIDTH, simulate=False)
    told = trainability(
        passage(found.network.activation, found.curves, sigma_w=sigma_w, sigma_b=sigma_b)
    )
    seen = measured(network)
    assert settled_answer(network) in (None, told.answer)
    assert (seen.trains, seen.problem) == (told.answer, told.problem)
    assert {seen.trains, found.verdict.trains} != {"yes", "no"}
    if seen.trains == found.verdict.trains:
        assert seen.problem == found.verdict.problem


@pytest.mark.sweep
@pytest.mark.parametrize("name", MODULES)
def test_over_a_grid_they_differ_only_within_the_noise_of_finite_width(name):
    compared, answers = 0, set()
    for network in (n for n in MANY if n[0] == name):
        expected = settled_answer(network)
        if expected is None:
            continue
        assert measured(network).trains == expected, network
        answers.add(expected)
        compared += 1
    assert compared > 8 and len(answers) >= 2
