"""Initial weights of every scheme, against torch's own functions and their defining equations."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from chione.activations import activation
from chione.base import SpecError
from chione.sweeps.initial import SCHEMES, draw, trained_activation
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training
from chione.theory.depth.initialization import gain

TASK = load_task("synthetic")  # 64 inputs, 10 classes
T = Training("tanh", 1.7, 0.3, 4, 200, data="synthetic", seed=3)


def drawn(scheme, **changes):
    training = replace(T, scheme=scheme, **changes)
    return draw(training, trained_activation(training), TASK)


def torch_weights(initialise, bias=None):
    """Weights and biases of modules of the same sizes under a function of torch.nn.init."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    sizes = [TASK.inputs, *[T.width] * T.depth, TASK.classes]
    out = []
    for layer, (a, b) in enumerate(pairwise(sizes)):
        module = torch.nn.Linear(a, b)
        if initialise is not None:
            initialise(torch.nn.init, module.weight, layer == T.depth)
            torch.nn.init.zeros_(module.bias)
        out.append((module.weight.detach().numpy(), module.bias.detach().numpy()))
    return out


def tanh_gain(init, last):
    return 1.0 if last else init.calculate_gain("tanh")


TORCH = {
    "pytorch": None,
    "xavier": lambda init, w, last: init.xavier_normal_(w),
    "he": lambda init, w, last: init.kaiming_normal_(w, nonlinearity="relu"),
    "calculate_gain": lambda init, w, last: init.kaiming_normal_(
        w, nonlinearity="linear" if last else "tanh"
    ),
    "orthogonal": lambda init, w, last: init.orthogonal_(w, gain=tanh_gain(init, last)),
}


@pytest.mark.parametrize("scheme", list(TORCH))
def test_schemes_of_torch_have_its_moments_in_every_layer(scheme):
    ours, theirs = drawn(scheme), torch_weights(TORCH[scheme])
    for w, b, (w_torch, b_torch) in zip(ours.matrices, ours.biases, theirs, strict=True):
        assert w.shape == w_torch.shape
        # both sides are samples: four standard errors of the difference of two deviations
        blur = 4.0 / math.sqrt(w.size)
        assert w.std() == pytest.approx(w_torch.std(), rel=blur)
        assert (w**4).mean() / w.var() ** 2 == pytest.approx(
            (w_torch**4).mean() / w_torch.var() ** 2, abs=20.0 * blur
        )
        assert abs(w.mean()) < blur * w.std()
        if scheme == "pytorch":
            assert b.std() == pytest.approx(b_torch.std(), rel=4.0 / math.sqrt(b.size))
            assert max(np.abs(w).max(), np.abs(b).max()) <= 1.0 / math.sqrt(w.shape[1])
        else:
            assert not b.any()
            assert not b_torch.any()


def test_uniform_weights_of_xavier_keep_the_bound_of_torch():
    for w in drawn("xavier", weights="uniform").matrices:
        bound = math.sqrt(6.0 / sum(w.shape))
        assert 0.98 * bound < np.abs(w).max() <= bound


@pytest.mark.parametrize(
    ("name", "word", "slope"),
    [
        ("tanh", "tanh", None),
        ("relu", "relu", None),
        ("selu", "selu", None),
        ("sigmoid", "sigmoid", None),
        ("leaky_relu(0.2)", "leaky_relu", 0.2),
        ("linear", "linear", None),
    ],
)
def test_calculate_gain_is_that_of_torch(name, word, slope):
    torch = pytest.importorskip("torch")
    right = torch.nn.init.calculate_gain(word, slope)
    w = drawn("orthogonal", activation=name).matrices[1]
    np.testing.assert_allclose(w @ w.T, right**2 * np.eye(T.width), atol=1e-12)


def test_calculate_gain_is_one_where_torch_knows_no_such_activation():
    w = drawn("orthogonal", activation="mish").matrices[1]
    np.testing.assert_allclose(w @ w.T, np.eye(T.width), atol=1e-12)


def test_orthogonal_layers_of_unequal_sizes_are_isometries_times_the_gain():
    first, *_, last = drawn("orthogonal").matrices
    np.testing.assert_allclose(first.T @ first, 25.0 / 9.0 * np.eye(TASK.inputs), atol=1e-12)
    np.testing.assert_allclose(last @ last.T, np.eye(TASK.classes), atol=1e-12)


@pytest.mark.parametrize("name", ["tanh", "gelu", "relu"])
@pytest.mark.parametrize("scheme", ["lsuv", "lsuv-gaussian"])
def test_lsuv_gives_every_layer_unit_variance_on_data(scheme, name):
    w = drawn(scheme, activation=name)
    phi = activation(name).value
    signal = TASK.x_train[:256]
    for layer, m in enumerate(w.matrices):
        h = (signal if layer == 0 else phi(signal)) @ m.T
        assert h.std() == pytest.approx(1.0, rel=1e-9)
        signal = h
        if scheme == "lsuv":
            small = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
            np.testing.assert_allclose(small, small[0, 0] * np.eye(len(small)), atol=1e-11)
    assert not any(b.any() for b in w.biases)


def test_sigmas_are_those_of_hidden_layers_and_the_read_out_has_variance_one_over_n():
    w = drawn("sigmas")
    for m, b in zip(w.matrices[:-1], w.biases[:-1], strict=True):
        assert m.std() * math.sqrt(m.shape[1]) == pytest.approx(1.7, rel=0.03)
        assert b.std() == pytest.approx(0.3, rel=0.2)
    assert w.matrices[-1].std() * math.sqrt(T.width) == pytest.approx(1.0, rel=0.06)
    assert not w.biases[-1].any()


def test_the_same_seed_draws_the_same_numbers_whatever_the_sigmas():
    a, b = drawn("sigmas"), drawn("sigmas", sigma_w=3.4, sigma_b=0.6)
    for l in range(T.depth):
        np.testing.assert_allclose(2.0 * a.matrices[l], b.matrices[l], rtol=1e-14)
        np.testing.assert_allclose(2.0 * a.biases[l], b.biases[l], rtol=1e-14)
    other = drawn("sigmas", seed=4)
    assert abs(np.corrcoef(a.matrices[1].ravel(), other.matrices[1].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "selu"])
def test_our_advice_has_its_sigmas_and_lengths_start_at_its_fixed_point(name):
    training = replace(T, activation=name, scheme="chione", depth=20, width=300)
    w = draw(training, trained_activation(training), TASK)
    advised = gain(name, depth=20, width=300, weights=training.weights)
    m, b = w.matrices[5], w.biases[5]
    assert m.std() * math.sqrt(300) == pytest.approx(advised.sigma_w, rel=0.01)
    assert b.std() == pytest.approx(advised.sigma_b, rel=0.2, abs=1e-12)
    h = TASK.x_train @ w.matrices[0].T + w.biases[0]
    assert (h**2).mean() == pytest.approx(advised.q_star.value, rel=0.15)


def test_every_scheme_draws_finite_weights_of_the_right_sizes():
    for scheme in SCHEMES:
        w = drawn(scheme)
        assert [m.shape for m in w.matrices] == [(200, 64), *[(200, 200)] * 3, (10, 200)]
        assert all(np.isfinite(m).all() for m in (*w.matrices, *w.biases))


def test_weights_without_a_task_are_refused_in_one_sentence():
    with pytest.raises(SpecError, match="drawn for a task"):
        draw(T)
