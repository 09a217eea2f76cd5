"""Value, first and second derivative of the whole catalogue against mpmath with 30 digits.

The formulas are written out a second time here, in mpmath; derivatives of the reference come from
its Taylor arithmetic, never from ours.
"""

import numpy as np
import pytest
from mpmath import mp, mpf

from chione.activations import catalogue

mp.dps = 30
EPS = np.finfo(float).eps

SELU_A = mpf("1.6732632423543772848170429916717")
SELU_L = mpf("1.0507009873554804934193349852946")


def _normal(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _softplus(x):
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


def _sigmoid(x):
    return 1 / (1 + mp.exp(-x)) if x > 0 else mp.exp(x) / (1 + mp.exp(x))


def _clip(x, a, b):
    return min(max(x, mpf(a)), mpf(b))


REFERENCE = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, mpf(0)),
    "leaky_relu": lambda x: x if x > 0 else mpf(0.01) * x,
    "prelu": lambda x: x if x > 0 else x / 4,
    "abs": abs,
    "relu6": lambda x: _clip(x, 0, 6),
    "hardtanh": lambda x: _clip(x, -1, 1),
    "shifted_relu": lambda x: max(x, mpf(-1)),
    "squared_relu": lambda x: max(x, mpf(0)) ** 2,
    "tanh": mp.tanh,
    "erf": mp.erf,
    "erf_scaled": lambda x: mp.erf(mp.sqrt(mp.pi) / 2 * x),
    "sigmoid": _sigmoid,
    "hardsigmoid": lambda x: _clip((x + 3) / 6, 0, 1),
    "softplus": _softplus,
    "gelu": lambda x: x * _normal(x),
    "gelu_tanh": lambda x: x * _sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)),
    "quick_gelu": lambda x: x * _sigmoid(mpf("1.702") * x),
    "silu": lambda x: x * _sigmoid(x),
    "hardswish": lambda x: x * _clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * mp.tanh(_softplus(x)),
    "selu": lambda x: SELU_L * (x if x > 0 else SELU_A * mp.expm1(x)),
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "celu": lambda x: x if x > 0 else mp.expm1(x),
    "softsign": lambda x: x / (1 + abs(x)),
    "arctan": mp.atan,
    "arcsinh": mp.asinh,
    "sin": mp.sin,
    "cos": mp.cos,
    "siren": lambda x: mp.sin(30 * x),
    "gaussian": lambda x: mp.exp(-x * x),
    "exp": mp.exp,
    "quadratic": lambda x: x**2,
    "cubic": lambda x: x**3,
    "step": lambda x: mpf(1 if x > 0 else 0),
    "sign": mp.sign,
    "softshrink": lambda x: mp.sign(x) * max(abs(x) - mpf("0.5"), mpf(0)),
    "hardshrink": lambda x: x if abs(x) > mpf("0.5") else mpf(0),
    "tanhshrink": lambda x: x - mp.tanh(x),
    "logsigmoid": lambda x: -_softplus(-x),
}

MAGNITUDES = np.concatenate(
    [
        10.0 ** np.arange(-15.0, 8.0),
        [0.07, 0.31, 0.45, 0.55, 0.83, 0.97, 1.03, 1.3, 1.48, 1.52, 1.9, 2.7, 2.97, 3.03, 4.4],
        [5.9, 6.1, 8.3, 12.7, 17.3, 20.2, 25.5, 30.0, 36.6, 38.9, 87.7, 300.3, 700.1, 740.9],
    ]
)
GRID = np.sort(np.concatenate([-MAGNITUDES, MAGNITUDES]))


def test_every_catalogue_name_has_a_reference():
    assert set(REFERENCE) == set(catalogue())


def _exact_derivative(f, x, order):
    """Central difference in so many digits that nothing is left of its error."""
    with mp.workdps(800):
        h = mpf(10) ** -180
        if order == 1:
            return (f(x + h) - f(x - h)) / (2 * h)
        return (f(x + h) - 2 * f(x) + f(x - h)) / (h * h)


@pytest.mark.parametrize("name", sorted(REFERENCE))
@pytest.mark.parametrize("order", [0, 1, 2], ids=["value", "derivative", "second"])
@pytest.mark.sampled(7)
def test_catalogue_agrees_with_mpmath_over_22_decades(name, order):
    phi = catalogue()[name]
    grid = GRID[order % 2 :: 2] if order else GRID
    ours = (phi.value, phi.derivative, phi.second_derivative)[order](grid)
    assert ours.dtype == np.float64 and ours.shape == grid.shape
    for z, got in zip(grid, ours, strict=True):
        if (name == "exp" and z > 700) or (order and z in phi.kinks):
            continue
        x = mpf(float(z))
        if order == 0:
            with mp.workdps(60):
                exact = REFERENCE[name](x)
        else:
            exact = _exact_derivative(REFERENCE[name], x, order)
        if abs(exact) < 1e-300:
            assert abs(got) <= 2e-300, (z, got)
            continue
        bound = 1e-14
        if name in ("gelu_tanh", "quick_gelu"):  # the rounding of the exponent is left in
            bound += 2 * EPS * abs(mp.log(abs(exact)))
        slack = 2e-16 if 0.5 < abs(z) < 5.0 else 0.0  # zero crossings of the derivatives
        assert abs(got - exact) <= bound * abs(exact) + slack, (z, got, mp.nstr(exact, 20))
