"""Activations as they are trained, against the formulas of the catalogue in float64."""

import numpy as np
import pytest

from chione.activations import activation
from chione.activations.registry import catalogue
from chione.sweeps.float32_forms import pointwise
from chione.sweeps.pointwise import formula_dtype

NAMES = [
    *catalogue(),
    "leaky_relu(0.3)",
    "celu(0.5)",
    "elu(1.7)",
    "silu(beta=2)",
    "erf(0.7)",
    "gaussian(2)",
    "affine(gelu, scale=1.5, shift=0.1, offset=-0.2)",
    "x*tanh(softplus(x))",
    "max(x, 0) - 0.1*abs(x - 1)",
]
SIZES = np.concatenate([10.0 ** np.arange(-18.0, -1.0), np.linspace(0.011, 40.0, 4001)])


def both(name, z, dtype="float32"):
    """Value and derivative, from arrays that have neighbours in memory."""
    act = activation(name)
    form = pointwise(act, dtype)
    out = np.full((2, z.size + 1), 7.0, dtype)
    h = np.stack([z, z]).astype(dtype)
    form.apply(h, out[:, :-1], True)
    assert np.all(out[:, -1] == 7.0)
    alone = np.empty((1, z.size), dtype)
    form.apply(z.astype(dtype)[None], alone, False)
    np.testing.assert_array_equal(alone[0], out[1, :-1])
    np.testing.assert_array_equal(h[0], h[1])
    return out[1, :-1], h[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_values_and_slopes_in_float32_are_right_relative_to_what_lies_nearer_to_zero(name, sign):
    act = activation(name)
    z = (sign * SIZES).astype(np.float32)
    with np.errstate(all="ignore"):
        found = both(name, z)
        exact = act.value(z.astype(float)), act.derivative(z.astype(float))
    for got, right in zip(found, exact, strict=True):
        scale = np.maximum.accumulate(np.abs(right))
        error = np.abs(got - right) / np.maximum(scale, 1e-36)  # smaller ones are denormal
        error = np.where(np.abs(right) < 3e38, error, 0.0)
        assert np.all(error[SIZES < 3.0] <= 5e-7)
        assert np.all(error <= 3e-6)  # in the tails, where 1 + tanh cancels


@pytest.mark.parametrize("name", [n for n, a in catalogue().items() if a.kinks])
def test_beside_and_on_a_kink_values_and_slopes_are_those_of_the_formula(name):
    act = activation(name)
    at = np.array(act.kinks, np.float32)
    z = np.concatenate([at, np.nextafter(at, np.float32(99)), np.nextafter(at, np.float32(-99))])
    value, slope = both(name, z)
    np.testing.assert_allclose(value, act.value(z.astype(float)), rtol=3e-7, atol=1e-37)
    np.testing.assert_allclose(slope, act.derivative(z.astype(float)), rtol=3e-7)


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "selu", "mish"])
def test_float64_uses_the_formulas_themselves(name):
    act, z = activation(name), np.linspace(-4.0, 4.0, 41)
    value, slope = both(name, z, "float64")
    np.testing.assert_allclose(value, act.value(z), rtol=1e-15)
    np.testing.assert_allclose(slope, act.derivative(z), rtol=1e-13, atol=1e-15)


def test_formulas_that_lose_their_digits_in_float32_are_computed_in_float64():
    assert formula_dtype(activation("siren")) == "float64"
    assert formula_dtype(activation("arctan")) == "float32"


@pytest.mark.parametrize("name", [n for n in catalogue() if n not in ("step", "hardshrink")])
def test_what_is_no_number_stays_none_and_takes_no_neighbour_along(name):
    form = pointwise(activation(name), "float32")
    h = np.array([[np.nan, 1.0]], np.float32)
    out = np.empty_like(h)
    with np.errstate(all="ignore"):
        form.apply(h, out, True)
    assert np.isnan(out[0, 0])
    assert np.all(np.isfinite([out[0, 1], h[0, 1]]))
