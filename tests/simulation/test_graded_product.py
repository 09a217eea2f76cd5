"""Products held in graded form: all logarithms against many digits, below their stated errors."""

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation
from chione.networks import MLP
from chione.simulation import graded_product as graded
from chione.simulation.graded_product import GradedProduct, graded_product
from chione.simulation.spectra import jacobian_factors, log_singular_values, simulate_spectrum


def exact_logs(factors, digits):
    with mp.workdps(digits):
        product = mp.matrix(factors[0].tolist())
        for a in factors[1:]:
            product = mp.matrix(a.tolist()) * product
        if product.rows > product.cols:
            product = product.T
        values = mp.eigsy(product * product.T, eigvals_only=True)
        zero = max(values) * mp.mpf(10) ** (-0.9 * digits)
        logs = (float(mp.log(v) / 2) if v > zero else -np.inf for v in values)
        return np.array(sorted(logs, reverse=True))


def network(name, weights, sigma_w, depth, width, seed=1):
    model = MLP(activation(name), sigma_w, 0.1, depth=depth, width=width, weights=weights)
    return list(jacobian_factors(model, seed=seed))


def made(kind, seed):
    rng = np.random.default_rng(seed)
    n = 9
    square = [rng.standard_normal((n, n)) for _ in range(6)]
    turns = [np.linalg.qr(a)[0] for a in square]
    falling = np.diag(10.0 ** np.linspace(0.0, -4.0, n))
    sizes = [7, 12, 5, 9, 6, 14, 8]
    return {
        "rows of many sizes": [np.diag(10.0 ** rng.uniform(-30, 0, n)) @ q for q in turns],
        "columns of many sizes": [q @ np.diag(10.0 ** rng.uniform(-4, 0, n)) for q in turns],
        "unequal widths": [rng.standard_normal(s[::-1]) for s in zip(sizes, sizes[1:])],  # noqa: B905, RUF007
        "undone in the end": [falling @ q for q in turns[:3]]
        + [q.T @ np.linalg.inv(falling) for q in turns[2::-1]],
        "undone by accident": square + [np.linalg.inv(a) for a in square[::-1][:3]],
        "lognormal": [np.exp(3.0 * a) * np.sign(b) for a, b in zip(square, turns, strict=True)],
        "units that are off": [np.where(rng.random((n, 1)) < 0.8, a, 0.0) for a in square[:4]],
        "one factor": square[:1],
    }[kind]


CASES = {
    **{kind: (lambda kind=kind: made(kind, 3), 400) for kind in (
        "rows of many sizes", "columns of many sizes", "unequal widths", "undone in the end",
        "undone by accident", "lognormal", "units that are off", "one factor",
    )},
    "deep tanh": (lambda: network("tanh", "gaussian", 1.3, 200, 7), 900),
    "saturated tanh": (lambda: network("tanh", "gaussian", 8.0, 12, 10), 600),
    "orthogonal gelu": (lambda: network("gelu", "orthogonal", 1.3, 60, 9), 400),
    "relu": (lambda: network("relu", "gaussian", 1.4, 5, 16), 100),
    "shallow": (lambda: network("erf", "orthogonal", 1.0, 2, 16), 60),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_logarithm_is_within_its_stated_error(name):
    make, digits = CASES[name]
    factors = make()
    exact = exact_logs(factors, digits)
    before = [a.copy() for a in factors]
    found, errors = graded_product(iter(factors)).log_values_and_errors()
    assert all(np.array_equal(a, b) for a, b in zip(factors, before, strict=True))
    zero = np.isneginf(exact)
    assert np.array_equal(np.isneginf(found), zero)
    assert np.all(errors[zero] == 0.0)
    assert np.all(abs(found[~zero] - exact[~zero]) <= errors[~zero])
    assert np.all(errors[~zero] < (1.0 if name.startswith("undone") else 1e-8))


def test_what_is_undone_below_rounding_is_not_claimed():
    rng = np.random.default_rng(0)
    n = 8
    turns = [np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(8)]
    falling = 10.0 ** np.linspace(0.0, -5.0, n)
    pairs = list(zip(turns[::2], turns[1::2], strict=True))
    there = [(p * falling) @ q for p, q in pairs]  # sizes 1 to 1e-20, then back: all values are 1
    back = [(q.T / falling) @ p.T for p, q in pairs[::-1]]
    found, errors = graded_product([*there, *back]).log_values_and_errors()
    wrong = abs(found) > 1e-3
    assert wrong.any()
    assert np.all(errors[wrong] > 1e-3)


def test_factors_share_a_decomposition_only_where_their_digits_allow_it(monkeypatch):
    counts = []
    absorbed = GradedProduct._absorbed

    def counted(self, *arguments):
        counts.append(1)
        return absorbed(self, *arguments)

    monkeypatch.setattr(GradedProduct, "_absorbed", counted)
    mild = network("tanh", "orthogonal", 1.05, 40, 60)
    alone = GradedProduct.start(mild[0])
    for a in mild[1:]:
        alone = alone.times(a)
    counts.clear()
    found, errors = graded_product(mild).log_values_and_errors()
    assert len(counts) <= 15
    assert np.max(abs(found - alone.log_singular_values())) < np.max(errors) < 1e-11
    counts.clear()
    graded_product(network("tanh", "gaussian", 1.5, 40, 60))
    assert len(counts) >= 30


def test_values_do_not_depend_on_how_many_factors_share_a_decomposition(monkeypatch):
    factors = network("tanh", "gaussian", 1.5, 24, 12)
    exact = exact_logs(factors, 250)
    monkeypatch.setattr(graded, "_TOGETHER", 1e7)
    loose, errors = graded_product(factors).log_values_and_errors()
    assert np.all(abs(loose - exact) <= errors)


def test_units_that_are_off_make_the_product_cheaper_not_wrong():
    factors = network("relu", "gaussian", 1.41, 20, 60)
    product = graded_product(factors)
    assert product.reflectors.shape[0] < 45
    values, errors = product.log_values_and_errors()
    plain = log_singular_values(factors)
    known = np.isfinite(values) & (plain > plain[0] - 20.0)
    assert known.sum() > 5
    assert np.max(abs(values[known] - plain[known])) < 1e-5
    assert np.all(errors[np.isfinite(values)] < 1e-8)


def test_a_product_that_is_zero_has_zeros_only():
    a = np.diag([1.0, 0.0, 2.0])
    product = graded_product([a, np.diag([0.0, 3.0, 0.0]), a, a])
    values, errors = product.log_values_and_errors()
    assert np.all(np.isneginf(values))
    assert np.all(errors == 0.0)
    assert product.u.shape == (3, 0)


@pytest.mark.parametrize("method", ["plain", "stabilised"])
@pytest.mark.parametrize(("name", "sigma_w"), [("tanh", 1.5), ("relu", 1.4)])
def test_sampled_spectra_state_errors_that_hold(name, sigma_w, method):
    sampled = simulate_spectrum(
        MLP(activation(name), sigma_w, 0.1, depth=20, width=14), seed=4, method=method
    )
    exact = exact_logs(network(name, "gaussian", sigma_w, 20, 14, seed=4), 150)
    ok = sampled.resolved[0]
    assert np.all(abs(sampled.log_singular_values[0][ok] - exact[ok]) <= sampled.errors[0][ok])
    assert sampled.errors[0][0] < 1e-11
    assert ok.sum() == np.isfinite(exact).sum() or method == "plain"
    assert np.all(np.isposinf(sampled.errors[0][~ok]) | np.isneginf(exact[~ok]))
