"""Histograms of what flows through each layer, as in figures 6 and 7 of Glorot & Bengio (2010)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from chione.base import Array
from chione.simulation.normals import FloatArray
from chione.simulation.observables import Observable
from chione.simulation.passes import Pass, Snapshot

BINS = 101  # odd, so that a pile at zero has a bin of its own
_MARGIN = 1.25  # other networks reach a little further than the first

_Signal = Callable[[Snapshot], FloatArray | None]
SIGNALS: dict[str, tuple[bool, _Signal, str, str]] = {
    "preactivation_histogram": (False, lambda s: s.h, "p(h)", "density of the pre-activations"),
    "activation_histogram": (False, lambda s: s.x, "p(x)", "density of the activations"),
    "gradient_histogram": (
        True, lambda s: s.delta, "p(delta)", "density of the back-propagated gradients",
    ),
}  # fmt: skip


def edges_of(
    names: Sequence[str], run: Pass, seed: int, inputs: FloatArray, bins: int
) -> dict[str, Array]:
    """Edges (L, bins + 1) of each histogram, from a first look at network number 0.

    The bins of a layer are equal, symmetric about zero and a quarter wider than the largest value
    seen. What falls outside in other networks is counted in the total but in no bin, so the
    densities integrate to one minus that share.
    """
    reach: dict[str, list[float]] = {name: [] for name in names}
    for shot in run.forward(seed, 0, inputs):
        for name in names:
            if not SIGNALS[name][0]:
                reach[name].append(_reach(SIGNALS[name][1](shot)))
    if any(SIGNALS[name][0] for name in names):
        for shot in run.backward():
            for name in names:
                if SIGNALS[name][0]:
                    reach[name].insert(0, _reach(SIGNALS[name][1](shot)))
    grid = np.linspace(-1.0, 1.0, bins + 1)
    return {name: np.outer(r, grid) for name, r in reach.items()}


def _reach(values: FloatArray | None) -> float:
    assert values is not None
    largest = float(np.max(np.abs(values)))
    return _MARGIN * largest if 0.0 < largest < np.inf else 1.0


def observable(name: str, edges: Array) -> Observable:
    """A histogram with the edges of its bins."""
    backward, signal, symbol, words = SIGNALS[name]
    return Observable(name, ("bin",), backward, partial(_density, edges, signal), symbol, words)


def _density(edges: Array, signal: _Signal, shot: Snapshot) -> Array:
    values = signal(shot)
    assert values is not None
    steps = edges[shot.layer - 1]
    bins = len(steps) - 1
    width = (steps[-1] - steps[0]) / bins
    place = np.floor((np.asarray(values, np.float64).ravel() - steps[0]) / width)
    inside = place[(place >= 0) & (place < bins)].astype(np.intp)
    return np.asarray(np.bincount(inside, minlength=bins) / (values.size * width))
