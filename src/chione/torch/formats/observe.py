"""Run a model once, forward and backward, and count the entries of everything it makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from chione.base import Array
from chione.torch.capture import batches
from chione.torch.capture.gradients import Arriving, arriving
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.statistics import Moments, by_input, lazy_moments, moments
from chione.torch.capture.tracing import trace
from chione.torch.formats.counting import Counts, count
from chione.torch.formats.floats import Format
from chione.torch.layers.joins import AbstractJoin, Product, Sum

Loss = Callable[[Any], torch.Tensor]
_GROUPS = 16  # of inputs with squared gradients of about one size


@dataclass
class Observed:
    """Counts of all tensors of one step.

    `signals` and `gradients` by node index, `weights` and `weight_gradients` by name; `profile`
    says how the squared gradient at the output is shared among inputs, of mean 1.
    """

    graph: Graph
    dtype: torch.dtype = torch.float32
    loss: float = math.nan
    found: Arriving | None = None
    measured: dict[int, Moments] = field(default_factory=dict)
    sent: dict[int, Moments] = field(default_factory=dict)
    inputs: list[Counts] = field(default_factory=list)
    signals: dict[int, Counts] = field(default_factory=dict)
    gradients: dict[int, Counts] = field(default_factory=dict)
    weights: dict[str, Counts] = field(default_factory=dict)
    kurtosis: dict[str, float] = field(default_factory=dict)
    weight_gradients: dict[str, Counts] = field(default_factory=dict)
    profile: Array = field(default_factory=lambda: np.ones(1))


def observe(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss | None,
    formats: Sequence[Format],
    generator: torch.Generator,
) -> Observed:
    """One forward pass, one backward pass of the loss, and two of random projections."""
    size = batches.batch_size(batch)
    signals: dict[int, Counts] = {}
    gradients: dict[int, Counts] = {}
    sent: dict[int, torch.Tensor] = {}
    listening = [False]

    def watch(node: Node, tensor: torch.Tensor) -> None:
        if isinstance(node.layer, AbstractJoin) and not isinstance(node.layer, (Sum, Product)):
            return  # the same entries in another shape
        signals[node.index] = count(tensor, formats)
        if tensor.requires_grad:
            tensor.register_hook(partial(arrived, node.index))  # type: ignore[no-untyped-call, unused-ignore]

    def arrived(index: int, g: torch.Tensor) -> None:
        if not listening[0]:
            return
        gradients[index] = count(g, formats)
        sent[index] = lazy_moments(g, size)
        if index == graph.output:
            seen.profile = _profile(g, size)

    graph, out = trace(model, batch, size, on_tensor=watch)
    seen = Observed(graph, dtype=next(p.dtype for p in model.parameters() if p.is_floating_point()))
    seen.signals, seen.gradients = signals, gradients
    entered = [t for t in batches.tensors(batch) if t.is_floating_point()]
    seen.inputs = [count(t, formats) for t in entered]
    for name, p in model.named_parameters():
        if p.is_floating_point():
            seen.weights[name] = count(p, formats)
            seen.kurtosis[name] = _kurtosis(p)
    scalar = _loss_of(loss, out)
    output = batches.output_tensor(out)
    if scalar is not None:
        seen.loss = float(scalar.detach())
        listening[0] = True
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        got = torch.autograd.grad(
            scalar, [p for _, p in named], retain_graph=True, allow_unused=True
        )
        listening[0] = False
        for (name, _), g in zip(named, got, strict=True):
            if g is not None:
                seen.weight_gradients[name] = count(
                    g.coalesce().values() if g.is_sparse else g, formats
                )
    seen.measured = {
        n.index: moments(n.numbers.tolist()) for n in graph.nodes if n.numbers is not None
    }
    seen.sent = {index: moments(numbers.tolist()) for index, numbers in sent.items()}
    projected = arriving(graph, output, None, projections=2, generator=generator)
    squares = {index: m.mean_square for index, m in seen.sent.items()}
    seen.found = Arriving(squares, projected.projected, projected.output_entries)
    return seen


def _loss_of(loss: Loss | None, out: Any) -> torch.Tensor | None:
    """The loss as a tensor of one number; that which the model itself returns, if any."""
    if loss is None:
        value = out.get("loss") if isinstance(out, Mapping) else None
        if value is None:
            single = isinstance(out, torch.Tensor) and out.numel() == 1
            value = out if single else None
    else:
        value = loss(out)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(
                f"loss must return one number, but it returned {shape}; take its mean."
            )
    if value is not None and not bool(torch.isfinite(value)):
        raise ValueError(f"loss must be finite, but it is {value.item()}; look at the labels.")
    if value is None or not value.requires_grad:
        return None
    return value.reshape(())


def _profile(g: torch.Tensor, size: int) -> Array:
    """Squared gradient of each input relative to their mean."""
    rows = by_input(g.detach().double(), size)
    if rows is None or size < 2:
        return np.ones(1)
    squares: Array = (rows * rows).mean(dim=1).cpu().numpy()
    mean = float(squares.mean())
    if not mean > 0.0:
        return np.ones(1)
    ordered = np.sort(squares) / mean
    if size <= _GROUPS:
        return ordered
    ranks = (np.arange(_GROUPS * size) // _GROUPS).reshape(_GROUPS, size)  # equal shares
    return np.asarray(ordered[ranks].mean(axis=1))


def _kurtosis(p: torch.Tensor) -> float:
    """E x^4 / (E x^2)^2 about the mean: 3 for normal entries, 9/5 for uniform ones."""
    x = p.detach().double()
    x = x - x.mean()
    square = float((x * x).mean())
    return float((x**4).mean()) / square**2 if square > 0.0 else math.nan
