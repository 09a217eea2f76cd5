"""The kernel of one layer and the correlation map, for arrays of correlations."""

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

_Q, _SIGMA_W, _SIGMA_B = 1.3, 1.5, 0.1
_MANY = 64  # arrays of other numbers, so that no result of an earlier call serves again


def arrays(count: int) -> list[Any]:
    """Correlations from -1 to 1, a little others each time."""
    return [np.linspace(-1.0, 1.0 - 1e-7 * k, count) for k in range(_MANY)]


def few(c: Any) -> Any:
    """Places of the values that are checked."""
    return np.linspace(0, len(c) - 1, 21).astype(int)


def _kernel(name: str, slope: bool, count: int, part: float, quick: bool) -> list[Way]:
    count = min(count, 50) if quick else count
    c, phi = arrays(count), chione.activation(written(name))
    ours = chione.derivative_kernel if slope else chione.kernel
    f = FORMULAS[name].slope if slope else FORMULAS[name].value
    places = few(c[0])

    def error(pick: Callable[[Any], Any], found: Any) -> float:
        exact = [references.double(f, _Q, _Q, rho, FORMULAS[name].kinks) for rho in c[0][places]]
        scale = references.double(f, _Q, _Q, 1.0, FORMULAS[name].kinks)
        return float(np.max(np.abs(pick(found) - exact)) / scale)

    share = 1 if part == 1.0 else max(1, round(1.0 / part))
    theirs = [a[places] if share > 1 else a for a in c]

    def by_grid(k: int) -> Any:
        return by_hand.kernel(f, _Q, _Q, theirs[k % _MANY])

    return [
        Way(
            "chione",
            lambda k: ours(phi, _Q, _Q, c[k % _MANY]),
            partial(error, lambda found: found.value[places]),
        ),
        Way(
            "NumPy, Gauss-Hermite 100 x 100",
            by_grid,
            partial(error, lambda found: found if share > 1 else found[places]),
            part=len(theirs[0]) / count,
        ),
    ]


def _correlation_map(name: str, quick: bool) -> list[Way]:
    c, phi = arrays(101), chione.activation(written(name))
    formula, places = FORMULAS[name], few(arrays(101)[0])
    q = [_Q * (1.0 + 1e-6 * k) for k in range(_MANY)]

    def ours(k: int) -> Any:
        i = k % _MANY
        return chione.correlation_map(phi, c[i], q=q[i], sigma_w=_SIGMA_W, sigma_b=_SIGMA_B)

    def theirs(k: int) -> Any:
        i = k % _MANY
        value = _SIGMA_W**2 * by_hand.kernel(formula.value, q[i], q[i], c[i]) + _SIGMA_B**2
        top = _SIGMA_W**2 * by_hand.moment(lambda h: formula.value(h) ** 2, q[i]) + _SIGMA_B**2
        return value / top

    def error(found: Any) -> float:
        pairs = [references.double(formula.value, _Q, _Q, r, formula.kinks) for r in c[0][places]]
        equal = references.single(lambda h: formula.value(h) ** 2, _Q, formula.kinks)
        exact = (_SIGMA_W**2 * np.array(pairs) + _SIGMA_B**2) / (_SIGMA_W**2 * equal + _SIGMA_B**2)
        return float(np.max(np.abs(found[places] - exact)))

    return [
        Way("chione", ours, lambda found: error(found.value)),
        Way("NumPy, Gauss-Hermite 100 x 100", theirs, error),
    ]


def _said(name: str) -> str:
    return "a user's leaky relu" if name == "leaky" else name


CASES = [
    *(
        Case(
            f"kernel-{name}",
            f"kernel(phi, q, q, c) of {_said(name)} for 10,000 correlations",
            partial(_kernel, name, False, 10_000, 0.01),
            unit="value",
            count=10_000,
            goal=1e-6,
        )
        for name in ("tanh", "silu", "softplus", "mish", "leaky", "relu", "gelu")
    ),
    Case(
        "derivative-kernel-tanh",
        "derivative_kernel(phi, q, q, c) of tanh for 10,000 correlations",
        partial(_kernel, "tanh", True, 10_000, 0.01),
        unit="value",
        count=10_000,
        goal=1e-6,
    ),
    Case(
        "kernel-tanh-50",
        "kernel(phi, q, q, c) of tanh for 50 correlations",
        partial(_kernel, "tanh", False, 50, 1.0),
        unit="value",
        count=50,
    ),
    *(
        Case(
            f"correlation-map-{name}",
            f"correlation_map of {_said(name)}, 101 correlations at a new q",
            partial(_correlation_map, name),
            goal=0.02,
        )
        for name in ("tanh", "selu", "silu", "leaky", "gelu")
    ),
]
