"""Growth of functions against their formulas, and the expectations that rest on it.

Ladder: closed form (the growth is written in the formula), independent method (Arb).
"""

import flint_oracle as oracle
import numpy as np
import pytest
from flint import arb, ctx

import chione as ch
from chione.base import Status
from chione.gaussian import expectation
from chione.gaussian.growth import growth


@pytest.fixture(autouse=True)
def _quiet():
    before, ctx.prec = ctx.prec, oracle.PRECISION
    with np.errstate(all="ignore"):
        yield
    ctx.prec = before


SLOPES = (1e-6, 3.7e-3, 0.4, 1.0, 1.556, 30.0, 1e6)
NEVER_INFINITE = {
    "softplus": lambda a: lambda x: np.log1p(np.exp(a * x)),
    "scaled softplus": lambda a: lambda x: 1.3 * np.log1p(np.exp(a * x)),
    "derivative of softplus": lambda a: lambda x: a * np.exp(a * x) / (1 + np.exp(a * x)),
    "constant that overflows on the way": lambda a: lambda x: a + 0.0 * np.exp(a * x),
    "parabola that overflows on the way": lambda a: (
        lambda x: 1 + (1e-4 * a * x) ** 2 + 0 * np.exp(a * x)
    ),
    "reciprocal": lambda a: lambda x: x * np.exp(-a * x) / (1 + np.exp(-a * x)),
    "exp": lambda a: lambda x: np.exp(a * x),
    "tiny exp": lambda a: lambda x: 1e-200 * np.exp(a * x),
    "sinh": lambda a: lambda x: np.sinh(a * x),
}


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("name", NEVER_INFINITE)
def test_what_grows_no_faster_than_exp_is_never_called_infinite(name, slope):
    f = NEVER_INFINITE[name](slope)
    for side in (-1, 1):
        assert growth(f, side).infinite_from(4) == np.inf


@pytest.mark.parametrize("a", [1e-6, 0.01, 1.0, 70.0])
@pytest.mark.parametrize(
    "dress",
    [
        lambda e, x, a: e(a * x * x),
        lambda e, x, a: 1e-200 * e(a * x * x),
        lambda e, x, a: x**8 * e(a * x * x),
        lambda e, x, a: e(a * x * x - 5 * np.sqrt(a) * x),
        lambda e, x, a: np.cosh(a * x * x),
    ],
    ids=["plain", "tiny", "times a power", "shifted", "cosh"],
)
def test_the_rate_of_a_growing_gaussian_is_read_off_to_many_digits(a, dress):
    g = growth(lambda x: dress(np.exp, x, a), 1)
    assert g.order == 2.0
    assert abs(g.coefficient / a - 1.0) < 1e-8
    assert abs(g.infinite_from(2) * 4.0 * a - 1.0) < 1e-8


@pytest.mark.parametrize("order", [2.1, 3.0, 4.0, 6.0])
def test_faster_growth_than_a_gaussian_is_infinite_at_once(order):
    g = growth(lambda x: np.exp(np.abs(x) ** order), 1)
    assert abs(g.order - order) < 0.02 and g.infinite_from(1) == 0.0


def test_a_shifted_growing_gaussian_has_a_mean_below_its_limit():
    q = 0.3
    res = expectation(lambda x: np.exp((x - 3.0) ** 2), q)
    q, shift = arb(q), arb(3)
    exact = (shift**2 / (1 - 2 * q)).exp() / (1 - 2 * q).sqrt()
    assert res.status == Status.OK
    assert float(abs(arb(res.value) - exact)) <= res.error <= 1e-11 * res.value
    assert expectation(lambda x: np.exp((x - 3.0) ** 2), 0.51).status == Status.INFINITE


@pytest.mark.parametrize(("a", "scale"), [(1.556, 1.0), (1.0, 1.3), (0.2, 5.0), (40.0, 0.02)])
def test_the_slope_of_a_scaled_softplus_has_a_mean_square(a, scale):
    def slope(z, _):
        z = a * z
        u = (-z).exp() if z.real.mid() > 0 else z.exp()
        return scale * arb(a) * (1 / (1 + u) if z.real.mid() > 0 else u / (1 + u))

    curve = oracle.Piecewise((), (slope,), (slope,))
    for q in (1e-4, 0.0946, 3.0):
        res = expectation(lambda x: scale * a * np.exp(a * x) / (1 + np.exp(a * x)), q, power=2)
        exact = oracle.expectation(curve, q, power=2)
        assert res.status == Status.OK
        assert float(abs(arb(res.value) - exact)) <= res.error <= 1e-12 * res.value


@pytest.mark.parametrize(
    ("text", "sigma_w"), [("log1p(exp(1.556*x))", 0.4043), ("1.3*log1p(exp(x))", 0.4)]
)
def test_a_softplus_of_another_slope_is_ordered(text, sigma_w):
    field = ch.mean_field(text, sigma_w=sigma_w)
    assert field.phase == "ordered"
    assert np.isfinite(field.chi_perp.value) and np.isfinite(field.chi_perp.error)
