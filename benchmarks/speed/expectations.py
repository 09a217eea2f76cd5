"""One Gaussian expectation of a function that is used once, kept, or of two variables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import integrate

import chione
from benchmarks.speed import by_hand, references
from benchmarks.speed.case import Case, Way
from chione.gaussian import Integrator

_Q = 1.3

Maker = Callable[[], tuple[Callable[[Any], Any], tuple[float, ...]]]

# Each makes a new function, as a script does that asks for one integral and goes on.
_FUNCTIONS: dict[str, tuple[str, Maker]] = {
    "smooth": ("tanh(h)^2", lambda: (lambda h: np.tanh(h) ** 2, ())),
    "kink": ("max(h - 0.3, 0)", lambda: (lambda h: np.maximum(h - 0.3, 0.0), (0.3,))),
    "sigmoid": ("1 / (1 + exp(-h))^2", lambda: (lambda h: (1.0 + np.exp(-h)) ** -2.0, ())),
    "peak": ("1 / (1 + 100 h^2)", lambda: (lambda h: 1.0 / (1.0 + 100.0 * h * h), ())),
    "waves": ("cos(5 h) exp(h / 2)", lambda: (lambda h: np.cos(5.0 * h) * np.exp(0.5 * h), ())),
}


def _once(kind: str, quick: bool) -> list[Way]:
    make = _FUNCTIONS[kind][1]
    exact = references.single(make()[0], _Q, make()[1])

    def error(value: Any) -> float:
        return references.relative(value, exact)

    def q(k: int) -> float:
        return _Q * (1.0 + 1e-6 * k)

    return [
        Way(
            "chione",
            lambda k: chione.expectation(make()[0], q(k)),
            lambda found: error(found.value),
        ),
        Way("scipy quad", lambda k: by_hand.quad(make()[0], q(k)), error),
        Way("NumPy, Gauss-Hermite 100", lambda k: by_hand.moment(make()[0], np.array(q(k))), error),
    ]


def _kept(quick: bool) -> list[Way]:
    integrator = Integrator(lambda h: np.tanh(h) ** 2)
    z, w = by_hand.hermite(100)
    exact = references.single(lambda h: np.tanh(h) ** 2, _Q)

    def error(value: Any) -> float:
        return references.relative(value, exact)

    def q(k: int) -> float:
        return _Q * (1.0 + 1e-6 * k)

    return [
        Way("chione", lambda k: integrator(q(k)), lambda found: error(found.value)),
        Way("NumPy, nodes kept", lambda k: np.tanh(np.sqrt(q(k)) * z) ** 2 @ w, error),
    ]


def _pair(quick: bool) -> list[Way]:
    c = 0.4
    exact = references.double(np.tanh, _Q, _Q, c)

    def error(value: Any) -> float:
        return references.relative(value, exact)

    def ours(k: int) -> Any:
        f: Callable[[Any], Any] = lambda h: np.tanh(h)  # noqa: E731 - a new function each time
        return chione.bivariate(f, f, _Q * (1.0 + 1e-6 * k), _Q, c)

    def theirs(k: int) -> float:
        a, b, rest = np.sqrt(_Q * (1.0 + 1e-6 * k)), np.sqrt(_Q), np.sqrt(1.0 - c * c)

        def integrand(y: float, x: float) -> float:
            return np.tanh(a * x) * np.tanh(b * (c * x + rest * y)) * np.exp(-0.5 * (x * x + y * y))

        return integrate.dblquad(integrand, -8.0, 8.0, -8.0, 8.0)[0] / (2.0 * np.pi)

    return [
        Way("chione", ours, lambda found: error(found.value)),
        Way("scipy dblquad", theirs, error),
        Way(
            "NumPy, Gauss-Hermite 100 x 100",
            lambda k: by_hand.kernel(np.tanh, _Q * (1.0 + 1e-6 * k), _Q, np.array([c]))[0],
            error,
        ),
    ]


CASES = [
    *(
        Case(
            f"expectation-{kind}",
            f"expectation(f, q) of a function used once, f = {formula}",
            partial(_once, kind),
            goal=60e-6,
        )
        for kind, (formula, _) in _FUNCTIONS.items()
    ),
    Case("expectation-kept", "a kept Integrator of tanh(h)^2 at a new q", _kept),
    Case("bivariate", "bivariate(f, g, q1, q2, c) of tanh, used once", _pair),
]
