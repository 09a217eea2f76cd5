"""E phi^2, E phi'^2 and the maps made of them, for arrays of q."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import chione
from benchmarks.speed import by_hand, references
from benchmarks.speed.case import Case, Way
from benchmarks.speed.formulas import FORMULAS
from benchmarks.speed.kernels import written

_SIGMA_W, _SIGMA_B = 1.5, 0.1
_LOW, _HIGH = 1e-2, 1e2


def arrays(count: int) -> list[Any]:
    """Lengths over four decades; others each time."""
    many = 8 if count > 1000 else 64
    draws = (
        np.random.default_rng(k).uniform(np.log(_LOW), np.log(_HIGH), count) for k in range(many)
    )
    return [np.exp(u) for u in draws]


def _second(phi: Any, q: Any) -> Any:
    return chione.second_moment(phi, q)


def _derivative(phi: Any, q: Any) -> Any:
    return chione.derivative_second_moment(phi, q)


def _length_map(phi: Any, q: Any) -> Any:
    return chione.length_map(phi, q, sigma_w=_SIGMA_W, sigma_b=_SIGMA_B)


def _chi_perp(phi: Any, q: Any) -> Any:
    return chione.chi_perp(phi, q, sigma_w=_SIGMA_W)


# function -> call, whether the derivative is squared, factor and shift of the moment
_FUNCTIONS: dict[str, tuple[Callable[..., Any], bool, float, float]] = {
    "second_moment": (_second, False, 1.0, 0.0),
    "derivative_second_moment": (_derivative, True, 1.0, 0.0),
    "length_map": (_length_map, False, _SIGMA_W**2, _SIGMA_B**2),
    "chi_perp": (_chi_perp, True, _SIGMA_W**2, 0.0),
}


def _ways(name: str, function: str, count: int, quick: bool) -> list[Way]:
    q = arrays(min(count, 100) if quick else count)
    phi = chione.activation(written(name))
    call, slope, factor, shift = _FUNCTIONS[function]
    plain = FORMULAS[name].slope if slope else FORMULAS[name].value

    def square(h: Any) -> Any:
        return plain(h) ** 2

    places = np.argsort(q[0])[np.linspace(0, len(q[0]) - 1, 21).astype(int)]

    def error(found: Any) -> float:
        values = [references.single(square, v, FORMULAS[name].kinks) for v in q[0][places]]
        return references.relative(found[places], factor * np.array(values) + shift)

    table = by_hand.SplineTable(square, _LOW, _HIGH)

    def draw(k: int) -> Any:
        return q[k % len(q)]

    return [
        Way("chione", lambda k: call(phi, draw(k)), lambda found: error(found.value)),
        Way(
            "NumPy, Gauss-Hermite 100",
            lambda k: factor * by_hand.moment_in_blocks(square, draw(k)) + shift,
            error,
        ),
        Way(
            "scipy CubicSpline of 400 values",
            lambda k: factor * table(draw(k)) + shift,
            error,
            prepare=table.prepare,
        ),
    ]


def _case(name: str, function: str, count: int) -> Case:
    who = "a user's leaky relu" if name == "leaky" else name
    return Case(
        f"{function.replace('_', '-')}-{name}-{count}",
        f"{function} of {who}, array of {count:,}",
        partial(_ways, name, function, count),
        unit="value",
        count=count,
        goal=40e-9,
    )


CASES = [
    *(_case(name, "second_moment", 100_000) for name in ("tanh", "silu", "hardtanh", "leaky")),
    _case("gelu", "second_moment", 100_000),
    _case("tanh", "second_moment", 1000),
    _case("tanh", "second_moment", 50),
    _case("tanh", "derivative_second_moment", 100_000),
    _case("tanh", "length_map", 100_000),
    _case("mish", "length_map", 100_000),
    _case("tanh", "chi_perp", 100_000),
]
