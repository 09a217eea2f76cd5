"""Disk arithmetic holds what it says, against complex arithmetic and, for roundings, mpmath.

The ladder: the functions themselves at random complex places of the disk; 40 digits; a kink is
only known on panels that end at it.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from scipy import special

from chione.base import EPS
from chione.gaussian.disk_rules import RULES
from chione.gaussian.disks import Choice, Disk

CENTRES = np.array([-7.3, -3.0, -1.1, -0.4, 0.02, 0.3, 0.9, 2.1, 4.7, 11.0])
RADII = np.array([0.01, 0.2, 0.7, 1.3, 3.1])

# the same text runs on disks, on complex numbers, and (m) on numbers of 40 digits
SMOOTH = {
    "sum": lambda x, m: x + 2.0 * x - 3.0,
    "product": lambda x, m: (x - 1.0) * (0.5 - x) * x,
    "power": lambda x, m: x**3 - 2 * x**5,
    "quotient": lambda x, m: (1.0 + x) / (4.0 + x * x),
    "inverse power": lambda x, m: (3.0 + x * x) ** -2,
    "root": lambda x, m: (2.0 + x * x) ** 0.5,
    "exp": lambda x, m: m.exp(-x * x) + m.exp(0.3 * x),
    "power of a constant": lambda x, m: 1.7**x,
    "log": lambda x, m: m.log(3.0 + x * x),
    "softplus": lambda x, m: m.log(1.0 + m.exp(x)),
    "logistic": lambda x, m: 1.0 / (1.0 + m.exp(-x)),
    "silu": lambda x, m: x / (1.0 + m.exp(-x)),
    "mish": lambda x, m: x * m.tanh(m.log(1.0 + m.exp(x))),
    "tanh": lambda x, m: m.tanh(1.3 * x),
    "sin": lambda x, m: m.sin(2.0 * x) + 0.5,
    "cos": lambda x, m: m.cos(x - 0.3),
    "tan": lambda x, m: m.tan(0.3 * x),
    "sinh": lambda x, m: m.sinh(x),
    "cosh": lambda x, m: m.cosh(x),
    "two exponentials": lambda x, m: m.exp(x) + 3.0 * m.exp(-2.0 * x),
    "difference": lambda x, m: m.exp(x) - m.exp(0.9 * x),
    "cancelling": lambda x, m: (1.0 - m.cos(x)) / (x * x),
}
WITH_OTHER_NAMES = {
    "arctan": (np.arctan, np.arctan, mpmath.atan),
    "arcsinh": (np.arcsinh, np.arcsinh, mpmath.asinh),
    "log1p": (lambda x: np.log1p(x * x), lambda z: np.log1p(z * z), lambda x: mpmath.log1p(x * x)),
    "expm1": (np.expm1, np.expm1, mpmath.expm1),
    "erf": (special.erf, special.erf, mpmath.erf),
    "erfc": (special.erfc, lambda z: 1.0 - special.erf(z), mpmath.erfc),
    "ndtr": (special.ndtr, special.ndtr, mpmath.ncdf),
    "expit": (special.expit, lambda z: 1 / (1 + np.exp(-z)), lambda x: 1 / (1 + mpmath.exp(-x))),
    "logaddexp": (
        lambda x: np.logaddexp(0.0, x),
        lambda z: np.log(1.0 + np.exp(z)),
        lambda x: mpmath.log(1 + mpmath.exp(x)),
    ),
    "sqrt": (lambda x: np.sqrt(x + 20.0), lambda z: np.sqrt(z + 20.0), lambda x: (x + 20) ** 0.5),
    "exp2": (np.exp2, np.exp2, lambda x: mpmath.mpf(2) ** x),
    "log10": (lambda x: np.log10(9 + x), lambda z: np.log10(9 + z), lambda x: mpmath.log10(9 + x)),
    "log2": (lambda x: np.log2(9 + x), lambda z: np.log2(9 + z), lambda x: mpmath.log(9 + x, 2)),
    "reciprocal": (
        lambda x: np.reciprocal(1.0 + np.square(x)),
        lambda z: 1.0 / (1.0 + z * z),
        lambda x: 1 / (1 + x * x),
    ),
}
FUNCTIONS = {
    name: (lambda x, f=f: f(x, np), lambda z, f=f: f(z, np), lambda x, f=f: f(x, mpmath))
    for name, f in SMOOTH.items()
} | WITH_OTHER_NAMES


def disk(centre, radius):
    centre, radius = np.broadcast_arrays(centre, radius)
    c, r = centre.ravel().astype(float), radius.ravel().astype(float)
    return Disk(np.concatenate([c, c]), r, EPS * np.abs(np.concatenate([c, c])), [])


@pytest.mark.filterwarnings("ignore:invalid value|overflow|divide by zero:RuntimeWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_place_of_the_disk_is_farther_than_the_radius_says(name):
    on_disks, on_complex, _ = FUNCTIONS[name]
    x = disk(CENTRES[:, None], RADII)
    with np.errstate(all="ignore"):
        f = on_disks(x)
        known = np.isfinite(f.radius)
        assert known.sum() >= 12  # a bound that is always infinite would pass as well
        rng = np.random.default_rng(5)
        turn = np.exp(2j * np.pi * rng.uniform(size=400))
        z = x.centre[:, None] + x.radius[:, None] * turn * rng.uniform(size=400) ** 0.1
        value, at_centre = on_complex(z), on_complex(x.centre + 0j)
        room = 1e-9 * np.abs(at_centre)[:, None] + 1e-12 * np.abs(value)
        off = np.abs(value - at_centre[:, None]) - room
        assert np.all((off <= f.radius[:, None])[known])
        if f.log is not None:
            positive = np.isfinite(f.log)
            ratio = np.abs(np.log(np.abs(value / at_centre[:, None])))
            assert np.all((ratio <= f.log[:, None] + 1e-9)[positive])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_roundings_are_within_the_noise(name):
    on_disks, _, exact = FUNCTIONS[name]
    x = disk(np.linspace(-6.01, 6.03, 31), 0.001)
    with np.errstate(all="ignore"):
        f = on_disks(x)
    with mpmath.workdps(40):
        for value, noise, c in zip(f.centre, f.noise, x.centre, strict=False):
            assert abs(value - exact(mpmath.mpf(float(c)))) <= noise
    assert np.median(f.noise[:31] / np.maximum(np.abs(f.centre), 0.1)) < 1e-14


KINKED = {
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0.0),
    "smaller": lambda x: np.minimum(0.5 * x, 0.0),
    "clip": lambda x: np.clip(x, 0.0, None),
    "where": lambda x: np.where(x > 0.0, x, np.expm1(x)),
    "product with a condition": lambda x: x * (x >= 0.0),
    "sign": lambda x: np.sign(x) * np.cos(x),
    "step": lambda x: np.heaviside(x, 0.5) + x,
    "two conditions": lambda x: np.where((x > 0.0) & (x < 5.0), x, 0.0),
    "not": lambda x: np.where(~(x > 0.0) | (x > 5.0), 0.0, x),
}


@pytest.mark.filterwarnings("ignore:divide by zero|invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", KINKED)
def test_a_kink_is_known_on_panels_that_end_at_it_and_on_no_other(name):
    f = KINKED[name]
    beside = f(disk(np.array([-0.5, 0.25, 1.0]), np.array([1.0, 0.5, 2.0])))
    assert np.all(np.isfinite(beside.radius))
    across = disk(np.array([-0.499, 0.24, 0.01]), np.array([1.0, 0.5, 0.1]))
    assert not np.any(np.isfinite(f(across).radius))
    assert across.book and across.book[0][0].shape == (3,)
    assert np.array_equal(f(across).value, f(across.value))


def test_a_spike_between_the_nodes_has_no_finite_bound():
    with np.errstate(all="ignore"):
        f = np.exp(-(((disk(0.5, 1.0) - 0.7) / 1e-3) ** 2))
    assert not np.isfinite(f.radius[0])


def test_what_has_no_rule_is_refused_and_not_guessed():
    x = disk(0.5, 0.1)
    for f in (
        np.floor,
        lambda h: np.sin(h, out=h),
        lambda h: h @ h,
        lambda h: np.where(h.value > 0, h, 0.0),
        lambda h: h + np.ones(2),
        lambda h: (-2.0) ** h,
        lambda h: h**h,
        np.sum,
        lambda h: np.heaviside(h, np.nan),
    ):
        with pytest.raises(TypeError):
            f(x)


@pytest.mark.filterwarnings("ignore:divide by zero|invalid value:RuntimeWarning")
def test_a_condition_is_a_number_where_it_is_used_as_one():
    x = disk(np.array([-1.0, 2.0]), 0.5)
    for f in (
        lambda h: (h > 0.0) + 1.0,
        lambda h: 2.0 - (h > 0.0),
        lambda h: (h > 0.0) * (h > 1.0),
        lambda h: (h > 0.0).astype(float) * h,
        lambda h: np.logical_not(h > 0.0) * h,
        lambda h: np.multiply(h, h <= 0.0),
        lambda h: np.logical_or(h > 0.0, h < -2.0) * 1.0,
    ):
        assert np.array_equal(f(x).value, np.asarray(f(x.value), dtype=float))
        assert np.all(f(x).radius <= 3.0 * x.radius)
    assert isinstance(x > 0.0, Choice) and len(RULES) > 40
