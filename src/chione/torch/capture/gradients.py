"""Backward passes: the gradient that arrives at each row, without touching any ``.grad``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.statistics import mean_square


@dataclass(frozen=True)
class Arriving:
    """Mean squares per row, keyed by node index.

    `gradient` is that of the loss, `projected` has one number for each random projection.
    """

    gradient: dict[int, float]
    projected: dict[int, list[float]]
    output_entries: int


def arriving(
    graph: Graph,
    output: torch.Tensor,
    loss: torch.Tensor | None,
    *,
    projections: int,
    generator: torch.Generator,
) -> Arriving:
    r"""Mean square of the gradient at each row.

    With independent :math:`v \sim N(0, 1)` for each entry of the output,
    :math:`E |J^\top v|^2 = \|J\|_F^2`. Without a loss the gradient is that of such a random
    projection, so that it has mean square 1 at the output.
    """
    rows = [node for node in graph.rows() if node.edge is not None]
    projected: dict[int, list[float]] = {node.index: [] for node in rows}
    has_loss = loss is not None and loss.requires_grad
    if not rows or not output.requires_grad:
        return Arriving({}, projected, output.numel())
    for k in range(projections):
        v = torch.randn(output.shape, generator=generator, device=generator.device)
        v = v.to(device=output.device, dtype=output.dtype)
        # A random projection in low precision would round; its exact size is divided out.
        size = float(mean_square(v))
        retain = has_loss or k + 1 < projections
        for node, value in zip(rows, _sweep(rows, output, v, retain), strict=True):
            projected[node.index].append(value / size if size else math.nan)
    if has_loss:
        values = _sweep(rows, loss, None, False)
        gradient = {node.index: v for node, v in zip(rows, values, strict=True)}
    else:
        gradient = {i: sum(v) / len(v) for i, v in projected.items() if v}
    return Arriving(gradient, projected, output.numel())


def _sweep(rows: list[Node], y: Any, v: torch.Tensor | None, retain: bool) -> list[float]:
    edges = [node.edge for node in rows]
    grads = torch.autograd.grad(y, edges, v, retain_graph=retain, allow_unused=True)
    numbers = [torch.zeros((), dtype=torch.float64) if g is None else mean_square(g) for g in grads]
    return [float(n) for n in numbers]


def jacobian_norm(node: Node, found: Arriving) -> tuple[float, float]:
    """Partial-Jacobian norm from a row to the output and its standard error."""
    values = found.projected.get(node.index, [])
    if not values:
        return math.nan, math.nan
    scale = node.numel / found.output_entries
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean * scale, math.nan
    spread = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return mean * scale, math.sqrt(spread / len(values)) * scale
