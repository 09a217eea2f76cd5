"""Which activations are alike: correlation of their values under a standard normal."""

from __future__ import annotations

import numpy as np
from numpy.polynomial.legendre import leggauss

from atlas.words import row_table
from chione.activations import AbstractActivation

# 200 panels of 8 nodes over ten deviations: kinks between nodes cost 1e-5 of a correlation at most,
# and three places are shown.
_PANELS, _NODES, _REACH = 200, 8, 10.0
NEAREST = 4


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a standard normal."""
    x, w = leggauss(_NODES)
    edges = np.linspace(-_REACH, _REACH, _PANELS + 1)
    half = 0.5 * np.diff(edges)[:, None]
    z = (edges[:-1, None] + half + half * x).ravel()
    weight = (half * w).ravel() * np.exp(-0.5 * z * z)
    return z, weight / weight.sum()


def standard_values(phi: AbstractActivation) -> np.ndarray:
    """Values at the nodes, centred and of unit variance, times the root of the weights."""
    z, weight = grid()
    value = np.asarray(phi.value(z), dtype=np.float64)
    value = value - np.sum(weight * value)
    return np.sqrt(weight) * value / np.sqrt(np.sum(weight * value * value))


def nearest(values: dict[str, np.ndarray]) -> dict[str, list[tuple[str, float]]]:
    """For each name the others with the largest absolute correlation, nearest first."""
    names = list(values)
    table = np.array([values[name] for name in names])
    gram = table @ table.T
    found = {}
    for i, name in enumerate(names):
        order = [j for j in np.argsort(-np.abs(gram[i]), kind="stable") if j != i][:NEAREST]
        found[name] = [(names[j], float(gram[i, j])) for j in order]
    return found


def words(near: list[tuple[str, float]], titles: dict[str, str]) -> str:
    """What a page says of its neighbours."""
    rows = [(f"[{titles[slug]}]({slug}.md)", f"{r:+.3f}") for slug, r in near]
    lines = [
        "The activations whose values are most alike, up to a factor and an offset: their "
        "correlation under a standard normal.",
        "",
        *row_table(("", "correlation"), rows),
    ]
    return "\n".join(lines)
