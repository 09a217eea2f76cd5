"""Each rule of the jets against derivatives from mpmath, which shares no code with them."""

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import special

from chione.activations import jets
from chione.activations.jet_rules import BINARY, UNARY

mp.dps = 40


def _ndtr(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


EXACT = {
    "exp": mp.exp,
    "exp2": lambda x: mpf(2) ** x,
    "expm1": mp.expm1,
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": mp.log10,
    "log1p": mp.log1p,
    "sqrt": mp.sqrt,
    "cbrt": mp.cbrt,
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "arcsinh": mp.asinh,
    "arccosh": mp.acosh,
    "arctanh": mp.atanh,
    "absolute": abs,
    "fabs": abs,
    "negative": lambda x: -x,
    "positive": lambda x: x,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "erfcx": lambda x: mp.exp(x * x) * mp.erfc(x),
    "expit": lambda x: 1 / (1 + mp.exp(-x)),
    "log_expit": lambda x: -mp.log1p(mp.exp(-x)),
    "logit": lambda x: mp.log(x / (1 - x)),
    "ndtr": _ndtr,
    "log_ndtr": lambda x: mp.log(_ndtr(x)),
}
POSITIVE = (0.13, 0.9, 2.7, 11.0)
UNIT = (0.07, 0.31, 0.86)
ANY = (-7.3, -1.1, -0.2, 0.45, 1.9, 6.2)
DOMAIN = {
    **dict.fromkeys(["log", "log2", "log10", "log1p", "sqrt", "cbrt", "reciprocal"], POSITIVE),
    **dict.fromkeys(["arcsin", "arccos", "arctanh", "logit"], UNIT),
    "arccosh": (1.2, 3.4),
}
EXACT_BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "power": lambda a, b: a**b,
    "float_power": lambda a, b: a**b,
    "maximum": max,
    "minimum": min,
    "fmax": max,
    "fmin": min,
    "logaddexp": lambda a, b: mp.log(mp.exp(a) + mp.exp(b)),
    "hypot": lambda a, b: mp.sqrt(a * a + b * b),
    "arctan2": mp.atan2,
    "copysign": lambda a, b: abs(a) * mp.sign(b),
    "remainder": lambda a, b: a - b * mp.floor(a / b),
}


def test_every_rule_is_tested():
    assert set(EXACT) == set(UNARY)
    assert set(EXACT_BINARY) == set(BINARY)


def _check(jet, exact, points, tolerance=2e-13):
    for i, x in enumerate(points):
        for order, ours in enumerate((jet.value, jet.first, jet.second)):
            truth = mp.diff(exact, mpf(x), order)
            size = max(abs(truth), mpf("1e-3"))
            assert abs(ours[i] - truth) <= tolerance * size, (x, order, ours[i], truth)


@pytest.mark.parametrize("name", sorted(EXACT))
def test_unary_rules_hold_through_the_chain_rule(name):
    ufunc = getattr(np, name, None) or getattr(special, name)
    z = np.array(DOMAIN.get(name, ANY))
    # erfcx' = 2 v erfcx - 2/sqrt(pi) cancels: v^2 ulp are lost, twice
    tolerance = 5e-12 if name == "erfcx" else 2e-13
    with np.errstate(all="ignore"):
        _check(ufunc(jets.variable(z)), EXACT[name], z, tolerance)
        # inner function sin(z)/4 + z lies in the same domain here
        inner = z + 0.01 * z * z
        if name in ("arccos", "arcsin", "arctanh", "logit"):
            inner = z
        jet = ufunc(
            jets.variable(z) + (0.01 * np.square(jets.variable(z)) if inner is not z else 0)
        )
        _check(
            jet,
            (lambda t: EXACT[name](t + mpf(0.01) * t * t)) if inner is not z else EXACT[name],
            z,
            tolerance,
        )


@pytest.mark.parametrize("name", sorted(EXACT_BINARY))
def test_binary_rules_hold_when_both_arguments_vary(name):
    z = np.array([0.4, 1.3, 2.9])
    x = jets.variable(z)
    with np.errstate(all="ignore"):
        jet = getattr(np, name)(x * x + 0.3, 1.7 + np.sin(x))
    exact = EXACT_BINARY[name]
    _check(jet, lambda t: exact(t * t + mpf(0.3), mpf(1.7) + mp.sin(t)), z)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 2.5, -1, 0.5])
def test_constant_powers_hold_also_at_zero_where_they_exist(n):
    z = np.array([0.4, 1.3, 2.9])
    _check(jets.variable(z) ** n, lambda t: t ** mpf(n), z)
    if n in (0, 1, 2, 3):
        with np.errstate(all="ignore"):
            at_zero = jets.variable(np.array([0.0])) ** n
        assert at_zero.first[0] == (1.0 if n == 1 else 0.0)
        assert at_zero.second[0] == (2.0 if n == 2 else 0.0)


def test_array_functions_carry_derivatives():
    z = np.array([-2.0, -0.4, 0.3, 1.7])
    x = jets.variable(z)
    clipped = np.clip(x, -1, 1)
    assert clipped.first.tolist() == [0, 1, 1, 0]
    chosen = np.where(z > 0, x * x, -x)
    assert chosen.first.tolist() == [-1, -1, 0.6, 3.4]
    assert chosen.second.tolist() == [0, 0, 2, 2]
    selected = np.select([z < -1, z < 1], [x, 2 * x], default=3 * x)
    assert selected.first.tolist() == [1, 2, 2, 3]
    pieces = np.piecewise(x, [z < 0, z >= 0], [0.0, lambda t: t * t])
    assert pieces.first.tolist() == [0, 0, 0.6, 3.4]
    assert np.polyval([2.0, 0.0, 1.0], x).first.tolist() == (4.0 * z).tolist()
    written = x.copy()
    written[z < 0] = 0.0
    assert written.first.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "f", [np.sort, np.sum, np.asarray, lambda x: np.add.reduce(x), special.jv.__call__]
)
def test_what_has_no_rule_is_not_guessed(f):
    x = jets.variable(np.array([0.1, 0.2]))
    with pytest.raises((TypeError, ValueError)):
        jets.lift(f(x))


@pytest.mark.parametrize(
    "f", [np.exp, np.negative, lambda x: x + 1.0, lambda x: 2.0 - x, np.square]
)
def test_writing_into_a_result_changes_no_other_array(f):
    x = jets.variable(np.array([0.5, 2.0, 3.0]))
    y = f(x)
    rest = f(jets.variable(np.array([2.0, 3.0])))
    y[x > 2.5] = 7.0
    y[0] = 5.0
    assert y.derivative(0)[[0, 2]].tolist() == [5.0, 7.0]
    for order in (1, 2):
        assert y.derivative(order)[[0, 2]].tolist() == [0.0, 0.0]
    assert all(y.derivative(k)[1] == rest.derivative(k)[0] for k in range(3))
    assert x.value.tolist() == [0.5, 2.0, 3.0]
    assert x.first.tolist() == [1.0, 1.0, 1.0]
