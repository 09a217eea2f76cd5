"""Kinks, jumps and singular points of functions that nobody has declared."""

import numpy as np
import pytest

from chione.activations.chebyshev import refine, subject
from chione.activations.kinks import NARROWEST, _clusters, _near_edges, find_kinks

EIGHTH = 1.0 / 8.0
PLACES = {
    "kink at pi/7": (lambda x: np.abs(x - np.pi / 7), [(np.pi / 7, 1)]),
    "two kinks 0.01 apart": (
        lambda x: np.maximum(x, 0) + np.maximum(x - 0.01, 0),
        [(0.0, 1), (0.01, 1)],
    ),
    "third derivative at 0": (lambda x: np.maximum(x, 0) ** 3, [(0.0, 3)]),
    "third derivative elsewhere": (
        lambda x: np.maximum(x - 1.3, 0) ** 3 + np.cos(x),
        [(1.3, 3)],
    ),
    "second derivative": (
        lambda x: np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5),
        [(-1.0, 2), (1.0, 2)],
    ),
    "second derivative at no short decimal": (
        lambda x: np.where(x > 0.3 * np.e, x - 0.3 * np.e, np.expm1(x - 0.3 * np.e)),
        [(0.3 * np.e, 2)],
    ),
    "jump": (lambda x: np.where(x > 1, x, np.tanh(x)), [(1.0, 0)]),
    "tiny jump far out": (
        lambda x: np.where(x > 20, x, np.log1p(np.exp(x))),
        [(20.0, 0)],
    ),
    "tiny jump on a large function": (lambda x: np.tanh(x) + 1e-9 * (x > 0.3), [(0.3, 0)]),
    "quantiser": (
        lambda x: np.round(np.clip(x, -4, 4) * 4) / 4,
        [(k / 4 + EIGHTH, 0) for k in range(-16, 16)],
    ),
    "beyond the thorough range": (lambda x: np.clip(x, -100, 100), [(-100.0, 1), (100.0, 1)]),
    "power 3/2": (lambda x: np.abs(x) ** 1.5, [(0.0, -1)]),
    "square root": (lambda x: np.sqrt(np.abs(x)), [(0.0, -1)]),
    "logarithm": (lambda x: np.log(np.abs(x)), [(0.0, -1)]),
}
SMOOTH = {
    "tanh(50 x)": lambda x: np.tanh(50 * x),
    "sin(20 x)": lambda x: np.sin(20 * x),
    "exp(x^2)": lambda x: np.exp(x * x),
    "naive swish": lambda x: x / (1 + np.exp(-x)),
    "naive gelu with rounding steps": lambda x: (
        0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    ),
    "x^5": lambda x: x**5,
}


@pytest.mark.parametrize("case", sorted(PLACES))
@np.errstate(all="ignore")
def test_places_and_orders_are_found(case):
    f, expected = PLACES[case]
    search = find_kinks(f)
    assert search.smooth
    assert [k.order for k in search.kinks] == [order for _, order in expected]
    for kink, (at, _) in zip(search.kinks, expected, strict=True):
        assert abs(kink.at - at) <= 1e-10
        assert abs(kink.at - at) <= kink.error + 4e-16 * abs(at)


@pytest.mark.parametrize("offset", np.linspace(-3.0, 3.0, 23) + 0.000731)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_no_offset_hides_a_kink(offset, order):
    def f(x):
        return np.sin(x) + np.where(x > offset, (x - offset) ** order, 0.0)

    search = find_kinks(f)
    assert [k.order for k in search.kinks] == [order]
    assert abs(search.kinks[0].at - offset) <= 1e-10
    assert abs(search.kinks[0].at - offset) <= search.kinks[0].error + 1e-15


@pytest.mark.parametrize("beside", [0.0, 1e-9, -3e-5])
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_the_edge_of_a_panel_hides_nothing(order, beside):
    # no panel sees what lies between its last node and its edge
    for edge in _near_edges()[[101, 125, 140]]:
        at = float(edge + beside)

        def f(x, at=at):
            return np.sin(x) + 0.3 * np.where(x > at, (x - at) ** order, 0.0)

        search = find_kinks(f)
        assert [k.order for k in search.kinks] == [order]
        assert abs(search.kinks[0].at - at) <= max(1e-10, search.kinks[0].error)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_one_set_of_panels_notices_a_break_at_its_own_edge(order):
    at = float(_near_edges()[125])
    f = subject(lambda x: np.sin(x) + 0.3 * np.where(x > at, (x - at) ** order, 0.0))
    leaves = refine(f, _near_edges(), narrowest=NARROWEST, most=6000)
    clusters = _clusters(leaves)
    assert len(clusters) == 1
    assert clusters[0][0] < at < clusters[0][1]


def test_the_second_set_of_panels_sees_what_the_first_one_hides():
    # a weak jump of the third derivative, within 1.6 % of an edge of the first set
    at = float(_near_edges()[127]) - 0.008116753726241878
    search = find_kinks(lambda x: np.sin(x) + 0.05 * np.tanh(np.maximum(x - at, 0.0)) ** 3)
    assert [k.order for k in search.kinks] == [3]
    assert abs(search.kinks[0].at - at) <= search.kinks[0].error


def test_a_jump_is_found_to_neighbouring_floats():
    at = np.pi / 7

    def f(x):
        return np.where(x > at, 1.0, 0.0)

    (kink,) = find_kinks(f).kinks
    assert f(np.nextafter(kink.at, -9.0)) == 0.0
    assert f(np.nextafter(kink.at, 9.0)) == 1.0


@pytest.mark.parametrize("case", sorted(SMOOTH))
@np.errstate(all="ignore")
def test_smooth_functions_have_no_kinks(case):
    search = find_kinks(SMOOTH[case])
    assert search.smooth
    assert search.kinks == ()


def test_functions_beyond_the_resolution_are_reported_not_guessed():
    coarse = find_kinks(lambda x: np.tanh(x.astype(np.float32)).astype(np.float64))
    fast = find_kinks(lambda x: np.sin(3000 * x))
    assert not coarse.smooth
    assert not fast.smooth
    assert coarse.kinks == () and fast.kinks == ()
