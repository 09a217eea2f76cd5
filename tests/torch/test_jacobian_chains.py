"""Stabilised Jacobians of chains of real modules: against many digits, below their errors."""

import copy
import math

import mpmath as mp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.base import Status, UnsupportedModuleError  # noqa: E402
from chione.torch import jacobian_spectrum  # noqa: E402 - needs torch

nn = torch.nn


def chain(sizes, activation=nn.Tanh, sigma_w=1.5, sigma_b=0.1, seed=0, last=True):
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for n, m in zip(sizes, sizes[1:]):  # noqa: B905, RUF007 - one shorter
        layer = nn.Linear(n, m).double()
        nn.init.normal_(layer.weight, 0.0, sigma_w / math.sqrt(n), generator=generator)
        nn.init.normal_(layer.bias, 0.0, sigma_b, generator=generator)
        layers += [layer, activation()]
    return nn.Sequential(*(layers if last else layers[:-1]))


def inputs(n, seed=5):
    return torch.randn(1, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SLOPES = {
    nn.Tanh: lambda h: (mp.tanh(h), 1 - mp.tanh(h) ** 2),
    nn.ReLU: lambda h: (h, mp.mpf(1)) if h > 0 else (mp.mpf(0), mp.mpf(0)),
    nn.GELU: lambda h: (h * mp.ncdf(h), mp.ncdf(h) + h * mp.npdf(h)),
    nn.Sigmoid: lambda h: (1 / (1 + mp.exp(-h)), mp.exp(-h) / (1 + mp.exp(-h)) ** 2),
}


def exact_logs(model, x, digits):
    """Logarithms of the singular values of the exact function of these weights."""
    with mp.workdps(digits):
        signal = [mp.mpf(float(v)) for v in x.reshape(-1)]
        product = mp.eye(len(signal))
        for layer in model:
            if isinstance(layer, nn.Linear):
                w = mp.matrix(layer.weight.detach().double().tolist())
                b = mp.matrix(layer.bias.detach().double().tolist())
                signal = list(w * mp.matrix(signal) + b)
                product = w * product
            else:
                both = [SLOPES[type(layer)](h) for h in signal]
                signal = [value for value, _ in both]
                product = mp.diag([slope for _, slope in both]) * product
        if product.rows > product.cols:
            product = product.T
        values = mp.eigsy(product * product.T, eigvals_only=True)
        zero = max(values) * mp.mpf(10) ** (-0.9 * digits)
        logs = (float(mp.log(v) / 2) if v > zero else -np.inf for v in values)
        return np.array(sorted(logs, reverse=True))


CASES = {
    "deep tanh": ([9] * 61, nn.Tanh, 1.5, 400),
    "chaotic tanh": ([8] * 41, nn.Tanh, 4.0, 500),
    "unequal widths": ([6, 11, 5, 12, 9, 7], nn.GELU, 1.4, 100),
    "relu": ([14] * 6, nn.ReLU, 1.4, 100),
    "sigmoid": ([8] * 31, nn.Sigmoid, 3.0, 400),
}


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_every_singular_value_of_a_chain_is_within_its_error(name, precision):
    sizes, activation, sigma_w, digits = CASES[name]
    model = chain(sizes, activation, sigma_w).to(precision)
    x = inputs(sizes[0]).to(precision)
    exact = exact_logs(model, x, digits)
    found = jacobian_spectrum(model, x, method="stabilised")
    logs, error = found.log_singular_values.value, found.log_singular_values.error
    zero = np.isneginf(exact)
    assert found.method == "stabilised"
    assert np.array_equal(np.isneginf(logs), zero)
    assert np.all(abs(logs[~zero] - exact[~zero]) <= error[~zero])
    assert np.all(error[~zero] < (1e-3 if name == "chaotic tanh" else 1e-9))
    assert np.all(found.log_singular_values.status == int(Status.OK))
    assert abs(found.largest.value - math.exp(exact[0])) <= found.largest.error
    moment = float(np.sum(np.exp(4.0 * exact))) / found.outputs
    assert abs(found.moments.value[1] - moment) <= found.moments.error[1]


def test_auto_takes_the_matrix_where_it_has_all_digits_and_the_product_where_not():
    shallow = jacobian_spectrum(chain([30] * 3, sigma_w=1.0), inputs(30))
    assert shallow.method == "dense"
    assert np.all(shallow.singular_values.status == int(Status.OK))
    deep = chain([30] * 40)
    found = jacobian_spectrum(deep, inputs(30))
    matrix = jacobian_spectrum(deep, inputs(30), method="dense")
    assert found.method == "stabilised"
    assert found.smallest.status is Status.OK
    assert matrix.smallest.status is Status.INEXACT
    assert "singular values lie below rounding" in matrix.note
    known = matrix.singular_values.status == int(Status.OK)
    assert 5 < known.sum() < 25
    gap = abs(matrix.singular_values.value - found.singular_values.value)
    assert np.all(gap <= matrix.singular_values.error)
    # an unresolved value is below its error: what is stated holds there, too
    assert np.all(found.singular_values.value[~known] <= 3.0 * matrix.singular_values.error[~known])


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize(("sigma_w", "depth"), [(1.5, 64), (3.0, 64), (1.5, 200), (1.0, 64)])
def test_the_rounding_of_chaotic_networks_is_in_the_stated_error(sigma_w, depth, precision):
    model = chain([60] * (depth + 1), sigma_w=sigma_w, seed=2).to(precision)
    x = inputs(60).to(precision)
    found = jacobian_spectrum(model, x, method="dense").singular_values
    if precision is torch.float32:
        # of the same weights in double, whose own rounding counts for little beside that of single
        double = jacobian_spectrum(copy.deepcopy(model).double(), x.double(), method="stabilised")
        exact = double.singular_values.value
    else:
        exact = jacobian_spectrum(model, x, method="stabilised").singular_values.value
    assert np.all(abs(found.value - exact) <= found.error)


def test_layers_before_behind_and_between_are_taken_in():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Tanh(), nn.Linear(8, 10), nn.Linear(10, 7), nn.GELU(), nn.Softplus(2.0),
        nn.Dropout(0.3), nn.Linear(7, 6, bias=False),
    ).double().eval()  # fmt: skip
    x = torch.randn(1, 2, 4).double()
    matrix = torch.autograd.functional.jacobian(model, x).reshape(6, 8)
    exact = torch.linalg.svdvals(matrix).numpy()
    found = jacobian_spectrum(model, x, method="stabilised").singular_values
    assert np.allclose(found.value, exact, rtol=1e-11)


def test_a_chain_behind_an_embedding_starts_at_its_output():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), *chain([12, 10, 8])).double()
    ids = torch.tensor([[1, 5, 2]])
    start = model[0](ids).detach()
    matrix = torch.autograd.functional.jacobian(model[1:], start).reshape(8, 12)
    found = jacobian_spectrum(model, ids, method="stabilised").singular_values
    assert np.allclose(found.value, torch.linalg.svdvals(matrix).numpy(), rtol=1e-11)


def test_the_matrix_of_a_chain_in_double_is_that_of_the_backward_pass():
    for activation in (nn.Tanh, nn.ReLU):
        model, x = chain([20, 30, 25, 40, 22], activation), inputs(20)
        matrix = torch.autograd.functional.jacobian(model, x).reshape(22, 20)
        found = jacobian_spectrum(model, x, method="dense")
        exact = torch.linalg.svdvals(matrix).numpy()
        assert np.all(abs(found.singular_values.value - exact) <= found.singular_values.error)
        assert found.products <= 2  # a backward pass each for the check


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 6).double()

    def forward(self, x):
        return x + self.inner(x)


class Changed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return 0.5 * g


class Halved(nn.Linear):
    """A layer whose gradient is not that of what it computes."""

    def __init__(self):
        super().__init__(6, 6)

    def forward(self, x):
        return super().forward(Changed.apply(x))


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (nn.Sequential(Skip(), nn.Tanh()), inputs(6)),
        (nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.Tanh()).double(), inputs(6)),
        (nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 6)).double(), inputs(6)),
        (chain([6, 6]), torch.cat([inputs(6), inputs(6, 8)])),
        (nn.Sequential(nn.Linear(6, 6), nn.Tanh(), Halved()).double(), inputs(6)),
    ],
    ids=["skip", "norm", "dropout", "two inputs", "another gradient"],
)
def test_what_is_no_chain_is_refused_in_a_sentence_and_auto_takes_the_matrix(model, x):
    with pytest.raises(UnsupportedModuleError, match="use method='dense'"):
        jacobian_spectrum(model, x, method="stabilised")
    assert jacobian_spectrum(model, x).method == "dense"
