"""How far features move in one step: real steps of finite networks, and the trace formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

import chione as ch
from chione.base import UnsupportedLayerError
from chione.networks import Dense, Input, Network, Nonlinearity, Norm, Repeat, Residual, Scale

RELU, TANH = Nonlinearity("relu"), Nonlinearity("tanh")
Q0, RATE, SIZE = 1.3, 0.7, 0.6


def branch(n, first, second):
    return Residual([first, Dense(1.5, 0.1, n), second, Dense(1.1, 0.2, n)], skip=0.9, scale=0.8)


def networks(n):
    return {
        "tanh": [Dense(1.5, 0.2), TANH, Dense(1.4, 0.3), TANH, Dense(1.3), TANH, Dense(1.2, 0.2)],
        "relu of unequal widths": [
            Dense(1.4, 0.2, 3 * n // 2), RELU, Dense(1.4, 0.0, 3 * n // 4), Scale(-0.7), RELU,
            Scale(1.3), Dense(1.4, 0.1, 5 * n // 4), RELU,
        ],
        "residual": [
            Dense(1.2, 0.1), branch(n, TANH, RELU), branch(n, TANH, RELU), RELU, Dense(1.0, 0.1)
        ],
        "pre-norm": [
            Dense(1.2, 0.1), branch(n, Norm("rms"), RELU), branch(n, Norm("rms"), TANH),
            Norm("rms", gain=1.3), Dense(1.0),
        ],
    }  # fmt: skip


def network(name, n):
    return Network(networks(n)[name], Input(n, inputs=((Q0,),)))


# ---- finite networks, by automatic differentiation ----------------------------------------------


class Drawn:
    """A finite network in float64, with its parameters and what they are multiplied by."""

    def __init__(self, torch, net, rng, ntk):
        self.torch, self.rng, self.ntk = torch, rng, ntk
        self.parameters = []
        self.weights = self.drawn(net.layers, net.input.width)[0]
        self.layers = net.layers

    def drawn(self, layers, n):
        out = []
        for layer in layers:
            if isinstance(layer, Dense):
                m = layer.out or n
                sigmas = layer.sigma_w / np.sqrt(n), layer.sigma_b
                inside, outside = ((1.0, 1.0), sigmas) if self.ntk else (sigmas, (1.0, 1.0))
                shapes = (m, n), (m,)
                pair = [
                    self.torch.from_numpy(s * self.rng.standard_normal(shape)).requires_grad_()
                    for s, shape in zip(inside, shapes, strict=True)
                ]
                self.parameters += pair if layer.sigma_b else pair[:1]
                out.append((*pair, *outside))
                n = m
            else:
                inner = layer.branch if isinstance(layer, Residual) else ()
                out.append(self.drawn(inner, n)[0])
        return out, n

    def __call__(self, x):
        """Features by place."""
        self.found = {}
        self.passed(self.layers, self.weights, x, "layers")
        return self.found

    def passed(self, layers, weights, x, place):
        for i, (layer, w) in enumerate(zip(layers, weights, strict=True)):
            here = f"{place}[{i}]"
            if isinstance(layer, Dense):
                x = w[2] * (w[0] @ x) + w[3] * w[1]
            elif isinstance(layer, Residual):
                inner = self.passed(layer.branch, w, x, f"{here}.branch")
                x = layer.skip * x + layer.scale * inner
            elif isinstance(layer, Norm):
                x = layer.gain * x / (x**2).mean().sqrt()
            elif isinstance(layer, Scale):
                x = layer.factor * x
            else:
                x = self.torch.tanh(x) if layer == TANH else self.torch.relu(x)
            self.found[here] = x
        return x


def measured(net, optimizer, parameters, seeds, epsilon=1e-7):
    """Mean squares of dx over the learning rate, and their standard errors, by place."""
    torch = pytest.importorskip("torch")
    rows = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        drawn = Drawn(torch, net, rng, parameters == "ntk")
        x = rng.standard_normal(net.input.width)
        x = torch.from_numpy(x * np.sqrt(Q0 * len(x)) / np.linalg.norm(x))
        before = drawn(x)
        out = list(before.values())[-1]
        cotangent = torch.from_numpy(SIZE * rng.standard_normal(len(out)))
        gradients = torch.autograd.grad((out * cotangent).sum(), drawn.parameters)
        with torch.no_grad():
            for p, g in zip(drawn.parameters, gradients, strict=True):
                p -= epsilon * RATE * (g if optimizer == "sgd" else torch.sign(g))
            after = drawn(x)
            rows.append({k: float(((after[k] - before[k]) ** 2).mean()) for k in before})
    table = {k: np.array([row[k] for row in rows]) / epsilon**2 for k in rows[0]}
    return {k: (v.mean(), v.std(ddof=1) / np.sqrt(seeds)) for k, v in table.items()}


def compare(name, n, seeds, optimizer, parameters, slack):
    net = network(name, n)
    found = ch.feature_update(
        net, learning_rate=RATE, optimizer=optimizer, parameters=parameters, output_gradient=SIZE
    )
    theory = dict(zip(found.places, found.update.value**2, strict=True))
    real = measured(net, optimizer, parameters, seeds)
    assert set(real) == set(theory) - {"input"}
    for place, (value, se) in real.items():
        assert abs(theory[place] - value) <= 4.0 * se + slack * value, (place, theory[place], value)


CASES = [(name, "sgd") for name in networks(8)] + [(name, "adam") for name in list(networks(8))[:2]]


@pytest.mark.parametrize("parameters", ["standard", "ntk"])
@pytest.mark.parametrize(("name", "optimizer"), CASES)
@pytest.mark.sampled(5)
def test_a_real_step_moves_features_as_far_as_theory_says(name, optimizer, parameters):
    compare(name, 128, 40, optimizer, parameters, slack=0.04)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "optimizer"), CASES)
def test_wide_networks_come_within_a_per_cent(name, optimizer):
    compare(name, 1024, 30, optimizer, "standard", slack=0.01)


# ---- the trace formula --------------------------------------------------------------------------


def moment(f, q):
    s = np.sqrt(q)
    return quad(lambda z: f(s * z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi), -12, 12,
                epsabs=1e-13, epsrel=1e-13, limit=200)[0]  # fmt: skip


def test_the_square_is_that_of_the_tangent_kernel_matrix():
    r"""T2 = tr M^2 / n by its own recursion; Theta^2 alone falls short by a factor of three."""
    sw2, sb2, q = 2.25, 0.04, 1.3
    net = Network([Repeat(4, [Dense(1.5, 0.2), TANH]), Dense(1.5, 0.2)], Input(64, inputs=((q,),)))
    found = ch.feature_update(net, learning_rate=0.1, parameters="ntk")
    slope = lambda h: 1 - np.tanh(h) ** 2  # noqa: E731
    k = theta = sw2 * q + sb2
    square = theta**2
    for i in range(5):
        at = found.places.index(f"layers[0]#{i}.layers[0]" if i < 4 else "layers[1]")
        value, error = found.update.value[at], found.update.error[at]
        wanted = 0.1 * np.sqrt(square * found.gradient.value[at])
        assert abs(value - wanted) <= error + 1e-10 * wanted
        assert error <= 1e-10 * wanted
        assert abs(found.relative.value[at] - wanted / np.sqrt(k)) <= 1e-10
        m1, m2 = (moment(lambda h, j=j: slope(h) ** (2 * j), k) for j in (1, 2))
        k = sw2 * moment(lambda h: np.tanh(h) ** 2, k) + sb2
        square = (
            k**2 + 2 * k * sw2 * m1 * theta
            + sw2**2 * (m2 * theta**2 + m1**2 * (square - theta**2) + (m1 * theta) ** 2)
        )  # fmt: skip
        before, theta = theta, k + sw2 * m1 * theta
    assert square > 3.0 * theta**2
    assert before < theta


def test_a_linear_residual_block_has_the_trace_of_its_matrix():
    r"""M' = b^2 k' + A M A^T with A = a + b W: tr (A A^T)^2 / n = a^4 + 4 a^2 b^2 s^2 + 2 b^4 s^4,
    twice over, since a second block is free of the first."""
    a2, b2, s2, q = 0.81, 0.64, 1.21, 1.3
    block = Residual([Dense(1.1)], skip=0.9, scale=0.8)
    net = Network([Dense(1.5), block, block], Input(32, inputs=((q,),)))
    found = ch.feature_update(net, learning_rate=1.0, parameters="ntk")
    theta = k = 2.25 * q
    square = theta**2
    one, two = a2 + b2 * s2, a2**2 + 4 * a2 * b2 * s2 + 2 * b2**2 * s2**2
    for place in ("layers[1]", "layers[2]"):
        own = b2 * s2 * k
        # tr (A M A^T)^2 of free factors: t2 m1^2 + m2 theta^2 - m1^2 theta^2
        moved = square * one**2 + (two - one**2) * theta**2
        square = own**2 + 2 * own * one * theta + moved
        k, theta = one * k, own + one * theta
        value = found.update.value[found.places.index(place)] ** 2
        wanted = square * found.gradient.value[found.places.index(place)]
        assert abs(value - wanted) <= 1e-12 * wanted, place


def test_ntk_and_standard_parameters_agree_where_their_rates_do():
    """W = sigma w / sqrt(n): a rate in w is sigma^2 / n times that in W."""
    net = Network([Dense(1.5), TANH, Dense(1.5), TANH, Dense(1.5)], Input(64, inputs=((1.0,),)))
    one = ch.feature_update(net, learning_rate=0.3, parameters="ntk")
    two = ch.feature_update(net, learning_rate=0.3 * 2.25 / 64)
    assert np.allclose(one.update.value, two.update.value, rtol=1e-12)


def test_adam_moves_a_first_layer_by_the_sum_of_absolute_inputs():
    """lr n E|x| in every channel that has a gradient: half of those of a relu."""
    net = Network([Dense(1.5), RELU], Input(64, inputs=((2.0,),)))
    found = ch.feature_update(net, learning_rate=0.01, optimizer="adam")
    wanted = 0.01 * 64 * np.sqrt(2 * 2.0 / np.pi) * np.sqrt(0.5)
    for value in found.update.value[1:]:
        assert abs(value - wanted) <= 1e-12 * wanted


@pytest.mark.parametrize(
    ("layers", "optimizer", "message"),
    [
        ([Dense(), TANH, TANH, Dense()], "sgd", "a nonlinearity behind another|not Gaussian"),
        ([Dense(weights="orthogonal")], "sgd", "a dense of orthogonal weights"),
        ([branch(8, TANH, RELU)], "adam", "a residual under Adam"),
        ([Dense(), RELU, Norm("layer"), Dense()], "sgd", "a norm of channels that are not Gauss"),
        ([Residual([TANH])], "sgd", "a residual whose branch does not end in a dense layer"),
    ],
)
def test_what_the_recursion_does_not_know_is_refused_with_its_place(layers, optimizer, message):
    net = Network(layers, Input(8, inputs=((1.0,),)))
    with pytest.raises(UnsupportedLayerError, match=message):
        ch.feature_update(net, learning_rate=0.1, optimizer=optimizer)


def test_networks_with_positions_are_refused():
    with pytest.raises(ValueError, match="must be vectors, but it has the grid"):
        ch.feature_update(Network([Dense()], Input(8, (3,))), learning_rate=0.1)
