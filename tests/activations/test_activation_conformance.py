"""One suite that every activation passes: the catalogue, parametrised ones, changed ones, own."""

import pickle

import numpy as np
import pytest

from chione.activations import (
    Affine,
    ClosedForms,
    HardTanh,
    LeakyReLU,
    activation,
    catalogue,
    from_callable,
    from_expression,
)
from chione.activations.kinks import find_kinks
from chione.base import Status

CATALOGUE = list(catalogue().values())
CHANGED = [
    activation("leaky_relu(0.2)"),
    activation("prelu(slope=-0.5)"),
    activation("siren(w0=10)"),
    activation("silu(beta=1.5)"),
    activation("silu(beta=-0.6)"),
    activation("erf(0.7)"),
    activation("elu(alpha=0.3)"),
    activation("celu(2.5)"),
    activation("hardtanh(-0.5, 2)"),
    activation("gaussian(scale=0.8)"),
    activation("shifted_relu(-0.7)"),
    activation("softshrink(0.25)"),
    Affine(activation("gelu"), scale=1.7, shift=0.3, offset=-0.2),
    Affine(activation("relu6"), scale=-0.5, shift=0.1),
    Affine(activation("hardshrink"), shift=-0.7, offset=0.5),
]
OWN = [
    from_expression("x*tanh(softplus(x))"),
    from_expression("where(x > 1, 2*x - 1, x**2)"),
    from_callable(lambda x: np.where(x > 0, x, np.exp(x) - 1)),
    from_callable(np.tanh),
]
EVERY = [*CATALOGUE, *CHANGED, *OWN]
METHODS = ("value", "derivative", "second_derivative")


@pytest.mark.parametrize("phi", EVERY, ids=str)
def test_any_shape_comes_back_as_float64_of_that_shape(phi):
    rng = np.random.default_rng(3)
    for shape in ((), (1,), (7,), (2, 3, 5), (0,)):
        z = 3.0 * rng.standard_normal(shape)
        z = np.asarray(z)
        kept = z.copy()
        for method in METHODS:
            y = getattr(phi, method)(z)
            assert np.asarray(y).dtype == np.float64
            assert np.shape(y) == shape
        assert np.array_equal(z, kept), "the argument must not be written to"


@pytest.mark.parametrize("phi", EVERY, ids=str)
def test_an_array_is_a_loop_over_its_numbers(phi):
    z = np.concatenate([np.linspace(-7.3, 8.1, 23), [-1e6, 1e-12, 300.7]])
    for method in METHODS:
        f = getattr(phi, method)
        whole = f(z)
        single = np.array([f(np.array([x]))[0] for x in z])
        np.testing.assert_allclose(whole, single, rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("phi", [*CATALOGUE, *CHANGED], ids=str)
def test_equality_hash_name_and_pickle_agree(phi):
    again = activation(phi.name)
    assert again == phi
    assert hash(again) == hash(phi)
    assert str(phi) == phi.name
    assert pickle.loads(pickle.dumps(phi)) == phi
    assert len({phi, again}) == 1


def test_no_two_names_mean_the_same_activation():
    assert len(set(CATALOGUE)) == len(CATALOGUE)
    assert [phi.name for phi in CATALOGUE] == list(catalogue())


@pytest.mark.parametrize("phi", EVERY, ids=str)
def test_the_derivatives_are_those_of_the_value(phi):
    # Richardson from central differences: no code of the library beside phi.value
    z = np.linspace(-6.37, 6.41, 41)
    if phi.kinks:
        z = z[np.min(np.abs(z[:, None] - np.array(phi.kinks)), axis=1) > 0.02]
    fast = 30.0 if "siren" in phi.name else 1.0
    h = 2e-3 / fast

    def central(f, step):
        return (f(z + step) - f(z - step)) / (2.0 * step)

    for f, df in ((phi.value, phi.derivative), (phi.derivative, phi.second_derivative)):
        rough, fine = central(f, h), central(f, h / 2)
        numeric = (4.0 * fine - rough) / 3.0
        size = 1.0 + np.abs(numeric) + np.max(np.abs(f(z)))
        assert np.max(np.abs(df(z) - numeric) / size) < 1e-7 * fast


@pytest.mark.parametrize("phi", [*CATALOGUE, *CHANGED], ids=str)
def test_the_kink_finder_finds_the_declared_kinks_and_no_others(phi):
    search = find_kinks(phi.value)
    assert search.smooth
    found = [k.at for k in search.kinks]
    assert len(found) == len(phi.kinks)
    np.testing.assert_allclose(found, phi.kinks, rtol=0, atol=1e-10)
    assert list(phi.kinks) == sorted(phi.kinks)


@pytest.mark.parametrize("phi", EVERY, ids=str)
def test_something_jumps_at_every_kink_and_nothing_beside_it(phi):
    for k in phi.kinks:
        jumps = [abs(phi.jump(order, k)) for order in (0, 1, 2)]
        assert max(jumps) > 1e-3
        beside = [abs(phi.jump(order, k + 0.0137)) for order in (0, 1, 2)]
        assert max(beside) < 1e-9


@pytest.mark.parametrize(
    ("name", "at", "jumps"),
    [
        ("step", 0.0, (1.0, 0.0, 0.0)),
        ("sign", 0.0, (2.0, 0.0, 0.0)),
        ("relu", 0.0, (0.0, 1.0, 0.0)),
        ("hardshrink", 0.5, (0.5, 1.0, 0.0)),
        ("hardswish", 3.0, (0.0, -0.5, -1.0 / 3.0)),
        ("elu", 0.0, (0.0, 0.0, -1.0)),
        ("softsign", 0.0, (0.0, 0.0, -4.0)),
        ("squared_relu", 0.0, (0.0, 0.0, 2.0)),
        ("affine(relu6, scale=-0.5, shift=0.1)", 5.9, (0.0, 0.5, 0.0)),
        ("affine(hardtanh, scale=2, shift=-7.97, offset=3)", 1.0 + 7.97, (0.0, -2.0, 0.0)),
    ],
)
def test_jumps_have_the_right_size_and_sign(name, at, jumps):
    phi = activation(name)
    for order, expected in enumerate(jumps):
        assert phi.jump(order, at) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("phi", [*CATALOGUE, *CHANGED[:10]], ids=str)
@pytest.mark.sampled(3)
def test_the_formula_is_a_formula_for_the_same_function(phi):
    text = phi.formula
    for key in ("slope", "alpha", "bound", "threshold", "low", "high", "w0", "beta", "scale"):
        if hasattr(phi, key):
            text = text.replace(key, f"({getattr(phi, key)!r})")
    parsed = from_expression(text)
    z = np.linspace(-8.03, 8.11, 37)
    tolerance = 1e-5 if phi.name == "selu" else 1e-10  # selu's formula is rounded for the reader
    np.testing.assert_allclose(parsed.value(z), phi.value(z), rtol=tolerance, atol=1e-11)
    np.testing.assert_allclose(parsed.derivative(z), phi.derivative(z), rtol=1e-5, atol=1e-10)


def test_affine_is_the_affine_change():
    z = np.linspace(-3.0, 3.0, 13)
    phi = Affine(LeakyReLU(0.2), scale=1.5, shift=0.4, offset=-0.3)
    inner = LeakyReLU(0.2)
    np.testing.assert_allclose(phi.value(z), 1.5 * inner.value(z + 0.4) - 0.3)
    np.testing.assert_allclose(phi.derivative(z), 1.5 * inner.derivative(z + 0.4))
    assert phi.kinks == (-0.4,)
    assert phi.name == "affine(leaky_relu(slope=0.2), scale=1.5, shift=0.4, offset=-0.3)"
    assert phi.closed_forms == ClosedForms()


def test_affine_scales_closed_forms_by_the_right_power():
    q, c = np.array([0.7]), np.array([0.3])
    inner = activation("gelu").closed_forms
    forms = Affine(activation("gelu"), scale=-3.0).closed_forms
    assert forms.mean(q) == pytest.approx(-3.0 * inner.mean(q))
    assert forms.mean_square(q) == pytest.approx(9.0 * inner.mean_square(q))
    assert forms.length_slope(q) == pytest.approx(9.0 * inner.length_slope(q))
    assert forms.kernel(q, q, c) == pytest.approx(9.0 * inner.kernel(q, q, c))
    assert forms.derivative_kernel(q, q, c) == pytest.approx(9.0 * inner.derivative_kernel(q, q, c))
    offset = Affine(activation("gelu"), offset=0.1).closed_forms
    assert offset.mean_square is None
    assert offset.derivative_mean_square(q) == pytest.approx(inner.derivative_mean_square(q))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: LeakyReLU(float("nan")), "slope must be finite"),
        (lambda: HardTanh(1.0, -1.0), "low must lie below high"),
        (lambda: activation("celu(-1)"), "alpha must be above 0"),
        (lambda: activation("siren(0)"), "w0 must not be 0"),
        (lambda: Affine("gelu"), "Affine changes an activation"),
    ],
)
def test_parameters_without_meaning_are_refused(make, match):
    with pytest.raises((ValueError, TypeError), match=match):
        make()


def test_statuses_are_not_shadowed_by_activation_names():
    assert not {s.word for s in Status} & set(catalogue())
