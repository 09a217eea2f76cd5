"""One pair of sigmas, and grids of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import chione
from benchmarks.speed import by_hand, references
from benchmarks.speed.case import Case, Way
from benchmarks.speed.formulas import FORMULAS

_LOOP = 12  # cells of the loop that is measured


def _axes(n: int, k: int = 0) -> tuple[Any, Any]:
    return np.linspace(0.5, 4.0 + 1e-6 * k, n), np.linspace(0.05, 2.0, n)


def _residual(name: str, sigma_w: Any, sigma_b: Any, q: Any) -> float:
    """Largest relative error of lengths that claim to be fixed points (NaN ones claim nothing)."""
    f, kinks = FORMULAS[name].value, FORMULAS[name].kinks
    worst = 0.0
    for w, b, length in zip(sigma_w, sigma_b, q, strict=True):
        if not np.isfinite(length) or length == 0.0:
            continue

        def mapped(x: float, w: float = w, b: float = b) -> float:
            return float(w**2 * references.single(lambda h: f(h) ** 2, x, kinks) + b**2)

        slope = (mapped(length * (1 + 1e-4)) - mapped(length * (1 - 1e-4))) / (2e-4 * length)
        worst = max(worst, abs((mapped(length) - length) / (1.0 - slope)) / length)
    return worst


def _grid(name: str, n: int, peers: tuple[str, ...], quick: bool) -> list[Way]:
    n = min(n, 10) if quick else n
    f = FORMULAS[name]
    rows, columns = (g.ravel() for g in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    some = np.linspace(0, n * n - 1, 15).astype(int)

    def ours(k: int) -> Any:
        sigma_w, sigma_b = _axes(n, k)
        return chione.phase_diagram(name, sigma_w=sigma_w, sigma_b=sigma_b)

    def error(q: Any) -> float:
        sigma_w, sigma_b = _axes(n)
        return _residual(name, sigma_w[columns[some]], sigma_b[rows[some]], q.ravel()[some])

    def by_grid(k: int) -> Any:
        return by_hand.hermite_diagram(f.value, f.slope, *_axes(n, k))

    def by_loop(k: int) -> Any:
        cells = [(1.3 + 0.1 * i + 1e-6 * k, 0.2 + 0.05 * i) for i in range(_LOOP)]
        return [(*cell, by_hand.student_cell(*cell)[0]) for cell in cells]

    made = {
        "hermite": lambda: Way(
            "NumPy, Gauss-Hermite 50, q* and chi only", by_grid, lambda found: error(found[0])
        ),
        "loop": lambda: Way(
            "scipy loop, q* and chi only",
            by_loop,
            lambda found: _residual(name, *np.array(found).T),
            part=_LOOP / n**2,
        ),
    }
    first = Way("chione", ours, lambda found: error(np.asarray(found.q_star)))
    return [first, *(made[peer]() for peer in peers)]


def _one(name: str, quick: bool) -> list[Way]:
    def theirs(k: int) -> Any:
        return by_hand.student_cell(1.5 + 1e-6 * k, 0.1)

    def error(q: float) -> float:
        return _residual(name, [1.5], [0.1], [q])

    return [
        Way(
            "chione",
            lambda k: chione.mean_field(name, 1.5 + 1e-6 * k, 0.1),
            lambda found: error(float(found.q_star.value)),
        ),
        Way("scipy quad and fixed_point, q* and chi only", theirs, lambda found: error(found[0])),
    ]


CASES = [
    Case("mean-field-tanh", "mean_field of tanh at new sigmas", partial(_one, "tanh")),
    Case(
        "diagram-tanh-20",
        "phase_diagram of tanh, 20 x 20",
        partial(_grid, "tanh", 20, ("hermite", "loop")),
        goal=0.02,
    ),
    Case(
        "diagram-gelu-20",
        "phase_diagram of gelu, 20 x 20",
        partial(_grid, "gelu", 20, ()),
        goal=0.02,
    ),
    Case(
        "diagram-tanh-200",
        "phase_diagram of tanh, 200 x 200",
        partial(_grid, "tanh", 200, ("hermite", "loop")),
    ),
    Case(
        "diagram-tanh-2000",
        "phase_diagram of tanh, 2000 x 2000",
        partial(_grid, "tanh", 2000, ("loop",)),
        memory=True,
    ),
]
