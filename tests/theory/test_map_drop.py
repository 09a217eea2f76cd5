"""The drop below c = 1 from coefficients that serve a range of lengths, against three strangers.

Rungs of the ladder: closed forms, integrals of one variable, the adaptive rules.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import special

import chione
from chione.theory.moments.kernel_drop import kernel_drop
from chione.theory.moments.map_drop import SHARP, jump_drop, quick_drop, series_drop, slopes_drop

LENGTHS = (0.003, 0.7, 1.0, 3.9, 4.0, 55.0)
GAPS = (2.0, 1.3, 1.0, 0.4, 0.06, 0.012, 1e-3, 1e-7)
# places of kinks and jumps of the slope there
PIECES = {
    "hardtanh": ((-1.0, 1.0), (1.0, -1.0)),
    "relu6": ((0.0, 6.0), (1.0, -1.0)),
    "shifted_relu": ((-1.0,), (1.0,)),
    "softshrink": ((-0.5, 0.5), (-1.0, 1.0)),
    "hardsigmoid": ((-3.0, 3.0), (1.0 / 6.0, -1.0 / 6.0)),
}


@pytest.mark.parametrize("name", ["erf", "sin", "cos", "gelu", "relu", "squared_relu", "sign"])
def test_closed_forms_are_met_within_the_stated_error(name):
    phi, found = chione.activation(name), 0
    for q, gap in itertools.product(LENGTHS, GAPS):
        drop = series_drop(phi, q, gap)
        if drop is None:
            continue
        exact, own = closed_drop(phi.closed_forms, q, gap)
        assert abs(drop.value - exact) <= drop.error + own, (q, gap)
        assert drop.error <= SHARP * drop.value
        found += 1
    assert found >= len(LENGTHS) * 3 - 1


def closed_drop(forms, q, gap):
    twice = float(forms.difference(*(np.array(x) for x in (q, q, 0.0, gap))))
    if gap < 1.0 and math.isfinite(twice):
        return 0.5 * twice, 4e-15 * twice
    square, other = forms.mean_square(np.array(q)), forms.kernel(*np.array([q, q, 1.0 - gap]))
    return float(square - other), 8e-15 * float(square)


def piecewise_linear_drop(name, q, gap):
    r"""K(1) - K(c) = q [(1 - c) R(1) - int_c^1 (c' - c) R'(c') dc'] with R' = sum J J' density.

    R(1) = E phi'^2 by the normal distribution function.
    """
    places, jumps = PIECES[name]
    slopes = np.cumsum([1.0 if name == "softshrink" else 0.0, *jumps])
    edges = special.ndtr(np.array([-math.inf, *places, math.inf]) / math.sqrt(q))
    top = float(slopes**2 @ np.diff(edges))
    theta = 2.0 * math.asin(math.sqrt(0.5 * gap))
    x, w = np.polynomial.legendre.leggauss(40)
    ends = theta * 2.0 ** -np.arange(0.0, 30.0, 0.5)  # graded: two kinks meet at an angle of zero
    half = 0.5 * (ends - np.append(ends[1:], 0.0))[:, None]
    t = ends[:, None] - half + half * x
    # c - (1 - gap) = 2 sin((theta - t)/2) sin((theta + t)/2); the sine of dc' cancels the density's
    distance = 2.0 * np.sin(0.5 * (theta - t)) * np.sin(0.5 * (theta + t))
    below = 0.0
    for (a, i), (b, j) in itertools.product(zip(places, jumps, strict=True), repeat=2):
        square = (a - b) ** 2 + 4.0 * a * b * np.sin(0.5 * t) ** 2
        density = np.exp(-0.5 * square / (q * np.sin(t) ** 2)) / math.tau
        below += i * j * float(np.sum(half * w * density * distance))
    return q * gap * top - q * below


@pytest.mark.parametrize("name", PIECES)
def test_kinks_are_met_within_the_stated_error(name):
    phi, ways = chione.activation(name), set()
    for q, gap in itertools.product((0.7, 17.0), (1.0, 0.4, 0.06, 0.02, 1e-3, 1e-7)):
        exact = piecewise_linear_drop(name, q, gap)
        for way in (series_drop, slopes_drop, quick_drop):
            drop = way(phi, q, gap)
            if drop is not None:
                ways.add(way)
                assert abs(drop.value - exact) <= drop.error + 1e-15 * exact, (way, q, gap)
                assert drop.error <= (1e-11 if way is quick_drop else SHARP) * drop.value
    assert len(ways) == 3


@pytest.mark.parametrize(
    "name", ["tanh", "softplus", "mish", "elu", "softsign", "hardswish", "hardshrink", "sigmoid"]
)
def test_the_adaptive_rules_agree(name):
    phi = chione.activation(name)
    for q, gap in ((0.3, 0.35), (2.2, 0.5), (30.0, 0.8)):
        slow, quick = kernel_drop(phi, q, gap), quick_drop(phi, q, gap)
        assert abs(quick.value - slow.value) <= quick.error + slow.error


@pytest.mark.parametrize("gap", [1e-28, 1e-40, 1e-163, 1e-290])
def test_inputs_that_only_a_jump_parts(gap):
    angle = 2.0 * math.asin(math.sqrt(0.5 * gap))
    for q in (0.01, 1.0, 700.0):
        drop = jump_drop(chione.activation("sign"), q, gap)
        assert abs(drop.value - 2.0 * angle / math.pi) <= drop.error
        # E u1 sign(u2) = c sqrt(2 q / pi)
        exact = q * gap + 4.0 * gap * math.sqrt(q / math.tau) + 2.0 * angle / math.pi
        drop = jump_drop(chione.activation("x + sign(x)"), q, gap)
        assert abs(drop.value - exact) <= drop.error <= SHARP * exact


def test_jumps_far_out_part_inputs_as_the_adaptive_rules_say():
    phi, q = chione.activation("hardshrink"), 0.01
    for gap in (1e-28, 1e-80):
        slow, quick = kernel_drop(phi, q, gap), jump_drop(phi, q, gap)
        assert abs(quick.value - slow.value) <= quick.error + slow.error
    assert jump_drop(phi, 0.01, 1e-20) is None
    assert jump_drop(chione.activation("hardtanh"), 0.01, 1e-30) is None


def test_lengths_in_one_octave_share_their_work(monkeypatch):
    import chione.theory.moments.map_drop as ways

    made = []
    real = ways.row_table
    monkeypatch.setattr(ways, "row_table", lambda *a: made.append(a) or real(*a))
    ways._table.cache_clear()
    phi = chione.activation("silu")
    for q in np.linspace(1.0, 3.9, 30):
        assert quick_drop(phi, float(q), 0.2) is not None
    assert len(made) == 1


@pytest.mark.parametrize("expression", ["exp(x**2/8)", "sin(300*x)", "x*exp(x**2)"])
def test_what_has_no_short_series_is_left_to_others(expression):
    phi = chione.activation(expression)
    for q, gap in itertools.product((1.0, 20.0), (0.3, 1e-5)):
        drop = quick_drop(phi, q, gap)
        assert drop is None or abs(drop.value - kernel_drop(phi, q, gap).value) <= drop.error * 2.0


def test_lengths_beyond_float64_are_left_to_others():
    phi = chione.activation("tanh")
    for q in (1e-300, 5e-324, 1e300):
        drop = quick_drop(phi, q, 0.3)
        assert drop is None or math.isfinite(drop.value)
