"""A user's own functions: NumPy callables and torch modules."""

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import special

from chione.activations import activation, from_callable
from chione.base import SpecError

Z = np.concatenate([np.linspace(-8.0, 8.0, 41) + 1e-3, [-100.3, 99.1, 1000.2, -1000.4]])

NUMPY = {
    "tanh": (np.tanh, "jets"),
    "relu": (lambda x: np.maximum(x, 0), "jets"),
    "elu": (lambda x: np.where(x > 0, x, np.exp(x) - 1), "jets"),
    "silu": (lambda x: x / (1 + np.exp(-x)), "jets"),
    "gelu": (lambda x: x * special.ndtr(x), "jets"),
    "step": (lambda x: x > 0, "jets"),
    "softsign": (lambda x: x / (1 + abs(x)), "jets"),
    "hardtanh": (lambda x: np.clip(x, -1, 1), "jets"),
}


@pytest.mark.parametrize("name", sorted(NUMPY))
def test_numpy_functions_get_exact_derivatives_and_kinks(name):
    f, method = NUMPY[name]
    phi, reference = from_callable(f), activation(name)
    assert phi.method == method
    assert phi.derivative_error == 0.0
    assert phi.kinks == pytest.approx(reference.kinks, abs=1e-10)
    np.testing.assert_allclose(phi.value(Z), reference.value(Z), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(phi.derivative(Z), reference.derivative(Z), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        phi.second_derivative(Z), reference.second_derivative(Z), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (np.vectorize(math.tanh, otypes=[float]), "tanh"),
        (lambda x: np.array([math.tanh(v) for v in x]), "tanh"),
        (lambda x: np.array([max(v, 0.0) for v in x]), "relu"),
        (lambda x: np.array([v if v > 0 else math.expm1(v) for v in x]), "elu"),
    ],
)
def test_what_jets_cannot_read_is_interpolated_within_the_stated_error(f, name):
    phi, reference = from_callable(f), activation(name)
    assert phi.method == "interpolation"
    assert 0.0 < phi.derivative_error < 1e-6
    z = np.linspace(-12.0, 12.0, 241) + 1e-3
    for ours, exact in (
        (phi.derivative(z), reference.derivative(z)),
        (phi.second_derivative(z), reference.second_derivative(z)),
    ):
        assert np.max(np.abs(ours - exact)) <= phi.derivative_error * np.max(np.abs(exact) + 1e-3)


@pytest.mark.parametrize(
    ("f", "match"),
    [
        (math.tanh, "cannot be applied to a float64 array .*np.where"),
        (lambda x: x if x > 0 else 0.0, "cannot be applied to a float64 array .*np.where"),
        (lambda x: np.sqrt(x), "returns NaN at -29"),
        (lambda x: 1 / x, "is infinite at 0"),
        (lambda x: x + 1j, "complex"),
        (lambda x: x.astype(np.float32), "returns float32"),
        (lambda x: x.sum(), r"shape \(128,\) into one of shape \(\)"),
        (lambda x: x[:5], r"shape \(128,\) into one of shape \(5,\)"),
        (lambda x: x / np.linalg.norm(x), "does not act on each number alone"),
        (np.sort, "does not act on each number alone"),
        (lambda x: None, "returns object"),
        (lambda x: ["a"] * len(x), "returns <U1"),
    ],
)
def test_functions_that_are_no_activations_are_refused_in_one_sentence(f, match):
    with pytest.raises(SpecError, match=match) as info:
        activation(f)
    assert "\n" not in str(info.value)


def test_a_random_function_is_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(SpecError, match="other values when it is called again"):
        activation(lambda x: x + rng.standard_normal(x.shape))


def test_a_function_that_writes_into_its_argument_does_no_harm():
    def double(x):
        x *= 2.0
        return x

    z = np.array([1.0, 2.0])
    phi = activation(double)
    assert phi.value(z).tolist() == [2.0, 4.0]
    assert phi.derivative(z).tolist() == [2.0, 2.0]
    assert z.tolist() == [1.0, 2.0]


def test_given_derivatives_are_used_and_checked():
    phi = from_callable(np.tanh, name="mine", derivative=lambda x: 1 / np.cosh(x) ** 2)
    z = np.array([0.3, -2.0])
    assert (phi.name, phi.method) == ("mine", "given")
    np.testing.assert_allclose(phi.derivative(z), 1 / np.cosh(z) ** 2)
    exact = activation("tanh").second_derivative(z)
    np.testing.assert_allclose(phi.second_derivative(z), exact, rtol=1e-8)
    with pytest.raises(SpecError, match="contradicts its values at"):
        from_callable(np.tanh, derivative=lambda x: 1 - np.tanh(x))
    with pytest.raises(SpecError, match="needs the first one"):
        from_callable(np.tanh, second_derivative=np.tanh)
    assert from_callable(np.abs, kinks=[0.0]).kinks == (0.0,)


def test_results_are_cached_by_identity_and_hashable():
    f = NUMPY["elu"][0]
    assert activation(f) is activation(f)
    assert activation(f) == activation(f)
    assert activation(f) != activation(lambda x: f(x))
    assert len({activation(f), activation(f)}) == 1


def test_a_function_in_single_precision_inside_has_no_trusted_derivative():
    phi = activation(lambda x: np.tanh(x.astype(np.float32)).astype(np.float64))
    assert not phi.piecewise_smooth
    assert phi.derivative_error == np.inf


def test_importing_activations_imports_no_framework():
    code = (
        "import sys, numpy as np, chione.activations as a; a.activation(np.tanh);"
        "a.activation('x*tanh(x)');"
        "sys.exit(any(m in sys.modules for m in ('torch', 'jax', 'matplotlib', 'click')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestTorch:
    torch = None

    @pytest.fixture(autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")
        self.nn = self.torch.nn

    @pytest.mark.parametrize(
        ("name", "make"),
        [
            ("tanh", "Tanh()"),
            ("gelu", "GELU()"),
            ("gelu_tanh", "GELU('tanh')"),
            ("mish", "Mish()"),
            ("silu", "SiLU()"),
            ("relu6", "ReLU6()"),
            ("hardtanh", "Hardtanh()"),
            ("hardswish", "Hardswish()"),
            ("hardsigmoid", "Hardsigmoid()"),
            ("selu", "SELU()"),
            ("celu", "CELU()"),
            ("prelu", "PReLU()"),
            ("leaky_relu(0.2)", "LeakyReLU(0.2)"),
            ("softsign", "Softsign()"),
            ("hardshrink", "Hardshrink()"),
            ("tanhshrink", "Tanhshrink()"),
        ],
    )
    @pytest.mark.sampled(3)
    def test_modules_agree_with_the_catalogue(self, name, make):
        module = eval(f"nn.{make}", {"nn": self.nn})
        phi, reference = activation(module), activation(name)
        # torch keeps the 1/6 of Hardsigmoid's gradient in single precision: noticed, replaced
        assert phi.method == ("interpolation" if name == "hardsigmoid" else "autograd")
        assert phi.kinks == pytest.approx(reference.kinks, abs=1e-10)
        for method, tolerance in (
            ("value", 1e-12),
            ("derivative", 1e-10),
            ("second_derivative", 1e-8 if name == "hardsigmoid" else 1e-11),
        ):
            ours, exact = getattr(phi, method)(Z), getattr(reference, method)(Z)
            np.testing.assert_allclose(ours, exact, rtol=tolerance, atol=tolerance)

    def test_the_users_module_stays_as_it_was(self):
        module = self.nn.PReLU()
        module.train()
        before = module.weight.detach().clone()
        phi = activation(module)
        phi.derivative(np.array([-1.0]))
        assert module.training
        assert module.weight.dtype == self.torch.float32
        assert module.weight.requires_grad
        assert module.weight.grad is None
        assert self.torch.equal(before, module.weight)

    def test_a_module_that_changed_is_looked_at_again(self):
        module = self.nn.PReLU()
        first = activation(module)
        assert activation(module) is first
        with self.torch.no_grad():
            module.weight.fill_(0.5)
        assert activation(module).derivative(np.array([-1.0]))[0] == 0.5
        assert first.derivative(np.array([-1.0]))[0] == 0.25

    def test_softplus_of_torch_jumps_at_its_threshold(self):
        phi = activation(self.nn.Softplus())
        assert phi.kinks == (20.0,)
        assert phi.jump(0, 20.0) == pytest.approx(-2.0611536e-9, rel=1e-5)

    def test_overflowing_branches_do_not_poison_the_derivative(self):
        torch = self.torch
        phi = activation(lambda t: torch.where(t > 0, t, torch.exp(t) - 1))
        assert phi.derivative(np.array([1000.0]))[0] == pytest.approx(1.0, abs=1e-9)

    def test_layers_that_are_no_activations_are_refused(self):
        for module in (self.nn.Softmax(0), self.nn.LayerNorm(128)):
            with pytest.raises(SpecError, match="does not act on each number alone"):
                activation(module)
        with pytest.raises(SpecError, match="cannot be applied"):
            activation(self.nn.Linear(3, 2))

    def test_a_straight_through_gradient_is_refused(self):
        torch = self.torch

        class Through(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return torch.sign(x)

            @staticmethod
            def backward(ctx, g):
                return g

        with pytest.raises(SpecError, match="straight-through"):
            activation(Through.apply)
