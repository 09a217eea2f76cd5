"""What passes the rows of a model before a step, and how far it has moved behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from chione.torch.capture.nodes import Graph, Node
from chione.torch.layers.tensors import Affine, Heads, Table, Weight
from chione.torch.steps.bench import Bench


@dataclass
class Look:
    """A forward pass: copies of what left each row, and of the weight that made it, by row."""

    graph: Graph
    out: Any
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


def look(bench: Bench) -> Look:
    """Before a step."""
    values: dict[str, torch.Tensor] = {}
    weights: dict[str, torch.Tensor] = {}

    def watch(node: Node, out: torch.Tensor) -> None:
        values[node.name] = out.detach().clone()  # something may overwrite it
        w = weight_of(node)
        if w is not None:
            weights[node.name] = w.detach().clone()

    graph, out = bench.traced(watch)
    return Look(graph, out, values, weights)


def moved(bench: Bench, before: Look) -> tuple[dict[str, Moved], Any]:
    """Behind a step: how far each row is from where it was, and the output."""
    found: dict[str, Moved] = {}

    def watch(node: Node, out: torch.Tensor) -> None:
        old = before.values.get(node.name)
        if old is None or old.shape != out.shape:
            return
        w, was = weight_of(node), before.weights.get(node.name)
        sizes = (math.nan, math.nan)
        if w is not None and was is not None and was.shape == w.shape:
            sizes = rms(was), rms(w.detach() - was)
        found[node.name] = Moved(rms(old), rms(out.detach() - old), *sizes)

    with torch.no_grad():
        _, out = bench.traced(watch)
    return found, out


def weight_of(node: Node) -> torch.Tensor | None:
    """The weight that made a row, as it was applied: parametrisations and products are done."""
    made = node.tensors
    if isinstance(made, (Weight, Heads, Table)):
        return made.weight
    return made.gain if isinstance(made, Affine) else None


def rms(x: torch.Tensor) -> float:
    """Root mean square in float64."""
    norm = torch.linalg.vector_norm(x.detach(), dtype=torch.float64)
    return float(norm) / math.sqrt(max(x.numel(), 1))
