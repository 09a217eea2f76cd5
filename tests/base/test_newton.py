"""Newton's method in brackets, against roots that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from chione.base import EPS
from chione.base.newton import bracketed_newton


def falling_power(roots, power):
    """f(x) = root^p - x^p, and a list that collects how many roots each call asks for."""
    asked = []

    def f(x, index):
        asked.append(index.size)
        value = roots[index] ** power - x**power
        return value, -power * x ** (power - 1.0), np.full_like(x, 0.0)

    return f, asked


@pytest.mark.parametrize("power", [0.1, 1.0, 3.0, 7.0])
def test_roots_of_all_sizes_are_found_to_rounding_in_few_steps(power):
    roots = np.geomspace(1e-20, 1e20, 41)
    f, asked = falling_power(roots, power)
    found = bracketed_newton(f, 0.9 * roots, 1.2 * roots, 1.1 * roots, logarithmic=True)
    assert np.all(np.abs(found / roots - 1.0) <= 8.0 * EPS)
    assert len(asked) <= 9


def test_a_guess_far_off_is_brought_back_into_its_bracket():
    roots = np.array([1e-6, 0.3, 0.7])

    def f(x, index):  # Newton's own steps run away from this one
        u = (roots[index] - x) * 1e3
        return np.arctan(u), -1e3 / (1.0 + u * u), np.full_like(x, 0.0)

    found = bracketed_newton(f, np.zeros(3), np.ones(3), np.array([1.0, 0.0, 0.99]))
    assert np.abs(found - roots).max() <= 4.0 * EPS


def test_without_a_slope_the_bracket_is_halved_to_the_root():
    root = np.array([np.pi])

    def f(x, index):
        return root[index] - x, np.full_like(x, np.nan), np.zeros_like(x)

    found = bracketed_newton(f, np.array([1.0]), np.array([8.0]), np.array([2.0]))
    assert abs(found[0] - np.pi) <= 8.0 * EPS


def test_a_root_that_has_settled_is_not_asked_for_again():
    roots = np.array([0.5, 0.5])
    starts = np.array([0.5, 1e-9])  # one is there already, one needs many steps
    f, asked = falling_power(roots, 9.0)
    found = bracketed_newton(f, np.full(2, 1e-12), np.full(2, 2.0), starts)
    assert np.abs(found - roots).max() <= 4.0 * EPS
    assert asked[0] == 2
    assert asked[-1] == 1


def test_where_the_function_is_rounding_the_search_ends():
    asked = []

    def f(x, index):  # a triple root under noise that has either sign
        asked.append(1)
        wobble = 1e-13 * np.sign(np.sin(1e15 * x))
        return (0.5 - x) ** 3 + wobble, -3.0 * (0.5 - x) ** 2, np.full_like(x, 3e-13)

    (found,) = bracketed_newton(f, np.zeros(1), np.ones(1), np.array([0.9]))
    assert abs(found - 0.5) <= 2e-4  # the cube root of the noise
    assert len(asked) <= 30


def test_nothing_to_find_is_nothing_found():
    none = np.empty(0)
    assert bracketed_newton(falling_power(none, 1.0)[0], none, none, none).size == 0
