"""Backward passes: the gradient that arrives at each row, without touching any ``.grad``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.statistics import by_input, mean_square
from chione.torch.layers.norm import uses_batch

_ENOUGH = 8  # independent inputs whose mean has an error that can be told
_FEW = 4  # projections where there are fewer

Gradients = dict[str, torch.Tensor | None]


@dataclass(frozen=True)
class Arriving:
    """Mean squares per row, keyed by node index.

    `gradient` is that of the loss, `projected` has one number for each random projection;
    `parameters` has the gradients of the parameters that were asked for, None where there is no
    way from the output to them. `within` has the standard error of the one projection, over the
    inputs, which are independent of one another.
    """

    gradient: dict[int, float]
    projected: dict[int, list[float]]
    output_entries: int
    parameters: Gradients = field(default_factory=dict)
    within: dict[int, float] = field(default_factory=dict)


def arriving(
    graph: Graph,
    output: torch.Tensor,
    loss: torch.Tensor | None,
    *,
    projections: int | None,
    generator: torch.Generator,
    parameters: Mapping[str, torch.Tensor] | None = None,
) -> Arriving:
    r"""Mean square of the gradient at each row.

    With independent :math:`v \sim N(0, 1)` for each entry of the output,
    :math:`E |J^\top v|^2 = \|J\|_F^2`. Without a loss the gradient is that of such a random
    projection, so that it has mean square 1 at the output. Gradients of `parameters` come from the
    last backward pass, that of the loss if there is one. Inputs that do not know of one another
    are projections of their own: one pass is enough for eight or more, and its error is that of
    their mean, which counts how much they differ as well.
    """
    asked = dict(parameters or {})
    rows = [node for node in graph.rows() if node.edge is not None]
    projected: dict[int, list[float]] = {node.index: [] for node in rows}
    has_loss = loss is not None and loss.requires_grad
    if not output.requires_grad or not (rows or asked):
        return Arriving({}, projected, output.numel(), dict.fromkeys(asked))
    coupled = any(uses_batch(node.layer) for node in graph.nodes)
    inside = graph.batch >= _ENOUGH and not coupled
    if projections is None:
        projections = 1 if inside else _FEW
    sweep = _Sweep(rows, graph.cuts.reentrant, graph.batch if inside else 0)
    found: Gradients = {}
    within: dict[int, float] = {}
    for k in range(projections):
        v = torch.randn(output.shape, generator=generator, device=generator.device)
        v = v.to(device=output.device, dtype=output.dtype)
        # A random projection in low precision would round; its exact size is divided out.
        size = float(mean_square(v))
        last = not has_loss and k + 1 == projections
        values, found = sweep(output, v, not last, asked if last else {})
        for node, value in zip(rows, values, strict=True):
            projected[node.index].append(value / size if size else math.nan)
        if inside and size and projections == 1:
            within = {
                node.index: error / size for node, error in zip(rows, sweep.errors, strict=True)
            }
    if has_loss:
        values, found = sweep(loss, None, False, asked)
        gradient = {node.index: v for node, v in zip(rows, values, strict=True)}
    else:
        gradient = {i: sum(v) / len(v) for i, v in projected.items() if v}
    return Arriving(gradient, projected, output.numel(), found, within)


@dataclass(frozen=True)
class _Sweep:
    """One backward pass from y with weights v: mean squares at the rows, and some gradients.

    A reentrant checkpoint refuses ``autograd.grad``; there the pass is that of training, which
    leaves its results in ``.grad``, and the rows are read by hooks.
    """

    rows: list[Node]
    reentrant: bool
    batch: int = 0  # inputs that are independent of one another, or 0
    errors: list[float] = field(default_factory=list)  # of the last pass, over the inputs

    def __call__(
        self, y: Any, v: torch.Tensor | None, retain: bool, asked: Mapping[str, torch.Tensor]
    ) -> tuple[list[float], Gradients]:
        if self.reentrant:
            return self._as_trained(y, v, retain, asked)
        edges = [node.edge for node in self.rows]
        inputs = [*edges, *asked.values()]
        grads = torch.autograd.grad(y, inputs, v, retain_graph=retain, allow_unused=True)
        n = len(edges)
        if self.batch:
            numbers, self.errors[:] = _over_inputs(grads[:n], self.batch)
        else:
            numbers = [0.0 if g is None else float(mean_square(g)) for g in grads[:n]]
        return numbers, dict(zip(asked, grads[n:], strict=True))

    def _as_trained(
        self, y: Any, v: torch.Tensor | None, retain: bool, asked: Mapping[str, torch.Tensor]
    ) -> tuple[list[float], Gradients]:
        numbers = [0.0] * len(self.rows)
        self.errors[:] = [math.nan] * len(self.rows)  # the hooks see no inputs apart

        def reader(i: int, at: int) -> Any:
            def read(grads: Any) -> None:
                if grads[at] is not None:
                    numbers[i] = float(mean_square(grads[at]))

            return read

        for parameter in asked.values():
            parameter.grad = None
        handles = [
            node.edge.node.register_prehook(reader(i, node.edge.output_nr))
            for i, node in enumerate(self.rows)
        ]
        try:
            torch.autograd.backward(y, v, retain_graph=retain)
        finally:
            for handle in handles:
                handle.remove()
        return numbers, {name: parameter.grad for name, parameter in asked.items()}


def _over_inputs(
    grads: Sequence[torch.Tensor | None], batch: int
) -> tuple[list[float], list[float]]:
    """Mean square of each gradient, and its standard error over the inputs (NaN if unknown)."""
    pairs = []
    for g in grads:
        rows = None if g is None else by_input(g.detach(), batch)
        if rows is None:
            square = torch.zeros((), dtype=torch.float64) if g is None else mean_square(g)
            pairs.append(torch.stack([square.cpu(), torch.full_like(square.cpu(), math.nan)]))
            continue
        wide = rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows
        scale = wide.abs().amax().clamp_min(torch.finfo(wide.dtype).tiny)
        each = torch.linalg.vector_norm(wide / scale, dim=1).double().square() / rows.shape[1]
        pair = torch.stack([each.mean(), each.std() / math.sqrt(batch)])
        pairs.append((pair * scale.double().square()).cpu())
    found = torch.stack(pairs).tolist() if pairs else []
    return [value for value, _ in found], [error for _, error in found]


def jacobian_norm(node: Node, found: Arriving) -> tuple[float, float]:
    """Partial-Jacobian norm from a row to the output and its standard error."""
    values = found.projected.get(node.index, [])
    if not values:
        return math.nan, math.nan
    scale = node.numel / found.output_entries
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean * scale, found.within.get(node.index, math.nan) * scale
    spread = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return mean * scale, math.sqrt(spread / len(values)) * scale
