"""Stacked trainings against torch loops with the same weights and batches."""

from dataclasses import replace

import numpy as np
import pytest

from chione.activations import activation
from chione.sweeps.bundle import batches, train
from chione.sweeps.initial import draw
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training


def untimed(outcome):
    """All words of an outcome but the seconds, NaN made equal to itself."""
    return repr(replace(outcome, seconds=0.0))


TASK = load_task("synthetic")
SMALL = Training("tanh", 1.3, 0.1, 4, 24, data="synthetic", steps=25, batch=16, dtype="float64")


def torch_losses(training, function):
    """Cross-entropy of each step of a loop that torch differentiates and steps."""
    torch = pytest.importorskip("torch")
    drawn = draw(training, activation(training.activation), TASK)
    dtype = torch.float64 if training.dtype == "float64" else torch.float32
    ws = [torch.tensor(w, dtype=dtype, requires_grad=True) for w in drawn.matrices]
    bs = [torch.tensor(b, dtype=dtype, requires_grad=True) for b in drawn.biases]
    rate = training.rate
    opt = {
        "sgd": lambda p: torch.optim.SGD(p, lr=rate),
        "momentum": lambda p: torch.optim.SGD(p, lr=rate, momentum=0.9),
        "adam": lambda p: torch.optim.Adam(p, lr=rate),
    }[training.optimizer]([*ws, *bs])
    x = torch.tensor(TASK.x_train, dtype=dtype)
    y = torch.tensor(TASK.y_train)
    out = []
    for index in batches(training, len(x)):
        h = x[index]
        for layer, (w, b) in enumerate(zip(ws, bs, strict=True)):
            h = torch.nn.functional.linear(h if layer == 0 else function(torch)(h), w, b)
        loss = torch.nn.functional.cross_entropy(h, y[index])
        opt.zero_grad()
        loss.backward()
        opt.step()
        out.append(loss.item())
    return np.array(out)


FUNCTIONS = {
    "tanh": lambda torch: torch.tanh,
    "relu": lambda torch: torch.relu,
    "gelu": lambda torch: torch.nn.functional.gelu,
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.1), ("momentum", 0.05), ("adam", 0.003)])
def test_losses_in_float64_are_those_of_a_torch_loop(name, optimizer, rate):
    training = replace(SMALL, activation=name, optimizer=optimizer, rate=rate)
    (got,) = train([training], TASK)
    np.testing.assert_allclose(got.losses, torch_losses(training, FUNCTIONS[name]), rtol=1e-11)


@pytest.mark.parametrize("name", list(FUNCTIONS))
@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.1), ("momentum", 0.05), ("adam", 0.003)])
def test_losses_in_float32_are_those_of_a_torch_loop(name, optimizer, rate):
    training = replace(SMALL, activation=name, optimizer=optimizer, rate=rate, dtype="float32")
    exact = replace(training, dtype="float64")
    (got,) = train([training], TASK)
    np.testing.assert_allclose(got.losses, torch_losses(exact, FUNCTIONS[name]), rtol=1e-6)


def test_a_member_is_the_same_bit_for_bit_whatever_its_neighbours():
    base = replace(SMALL, activation="relu", dtype="float32")
    bundle = [
        replace(base, seed=seed, rate=rate, sigma_w=sigma)
        for seed, rate, sigma in [(0, 0.05, 1.0), (1, 1e30, 3.0), (2, 0.1, 2.0), (3, 0.5, 0.5)] * 2
    ][:7]
    together = train(bundle, TASK)
    assert together[1].status == "diverged"
    backwards = train(bundle[::-1], TASK)[::-1]
    for k, t in enumerate(bundle):
        (alone,) = train([t], TASK)
        assert untimed(together[k]) == untimed(alone) == untimed(backwards[k])
