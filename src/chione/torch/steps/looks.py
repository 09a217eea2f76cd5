"""What passes the rows of a model before a step, and how far it has moved behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from chione.networks import Scale
from chione.torch.capture.nodes import Graph, Node
from chione.torch.layers.tensors import Affine, Heads, Table, Weight
from chione.torch.steps.bench import Bench


@dataclass
class Look:
    """A forward pass: copies of what left each row, and of the weight that made it, by row.

    With `scaled`, what leaves a matrix counts behind the constants that it is multiplied by.
    """

    graph: Graph
    out: Any
    scaled: bool
    values: dict[str, torch.Tensor] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Moved:
    """Root mean squares at a row: of its value and its change, and the same of its weight."""

    value: float
    change: float
    weight: float
    update: float


UNSEEN = Moved(math.nan, math.nan, math.nan, math.nan)


class _Seen:
    """What a pass shows: values and weights by the name of the row."""

    def __init__(self, scaled: bool) -> None:
        self.values: dict[str, torch.Tensor] = {}
        self.weights: dict[str, torch.Tensor] = {}
        self._scaled = scaled
        self._names: dict[int, str] = {}  # rows of matrices, and the scales behind them

    def __call__(self, node: Node, out: torch.Tensor) -> None:
        """Called by the tracer."""
        name = node.name
        if isinstance(node.layer, Scale):
            if not self._scaled or node.parents[0] not in self._names:
                return
            name = self._names[node.index] = self._names[node.parents[0]]
        elif node.is_affine:
            self._names[node.index] = name
        self.values[name] = out.detach().clone()
        w = weight_of(node)
        if w is not None:
            self.weights[name] = w.detach().clone()


def look(bench: Bench, *, scaled: bool = False) -> Look:
    """Before a step; copies, since something may overwrite what is shown."""
    seen = _Seen(scaled)
    graph, out = bench.traced(seen)
    return Look(graph, out, scaled, seen.values, seen.weights)


def moved(bench: Bench, before: Look) -> tuple[dict[str, Moved], Any]:
    """Behind a step: how far each row is from where it was, and the output."""
    seen = _Seen(before.scaled)
    with torch.no_grad():
        _, out = bench.traced(seen)
    found: dict[str, Moved] = {}
    for name, new in seen.values.items():
        old = before.values.get(name)
        if old is None or old.shape != new.shape:
            continue
        w, was = seen.weights.get(name), before.weights.get(name)
        sizes = (math.nan, math.nan)
        if w is not None and was is not None and was.shape == w.shape:
            sizes = rms(was), rms(w - was)
        found[name] = Moved(rms(old), rms(new - old), *sizes)
    return found, out


def weight_of(node: Node) -> torch.Tensor | None:
    """The weight that made a row, as it was applied: parametrisations and products are done."""
    made = node.tensors
    if isinstance(made, (Weight, Heads, Table)):
        return made.weight
    return made.gain if isinstance(made, Affine) else None


def rms(x: torch.Tensor) -> float:
    """Root mean square in float64."""
    entries = x.detach().coalesce().values() if x.is_sparse else x.detach()
    norm = torch.linalg.vector_norm(entries, dtype=torch.float64)
    return float(norm) / math.sqrt(max(x.numel(), 1))
