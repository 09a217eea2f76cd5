"""A step on one example alone: how far its features move, measured and by theory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from chione.base import ChioneError, Estimate
from chione.theory.depth.feature_update import feature_update
from chione.torch.capture import batches
from chione.torch.capture.nodes import Graph
from chione.torch.steps.bench import Bench
from chione.torch.steps.description import Description, NoDescriptionError, describe, vectors
from chione.torch.steps.looks import rms
from chione.torch.steps.optimizers import stepped


@dataclass(frozen=True)
class Example:
    """The first input of the batch, and the gradient of the loss at its output.

    Parameters
    ----------
    bench : Bench
        The model on that input alone, under the loss that is linear in its output.
    theory : dict of str to Estimate
        Root mean square of dh at each row that theory knows.
    trained : frozenset of int
        Ids of the weights and biases of matrices; theory holds the gains of norms.
    """

    bench: Bench
    theory: dict[str, Estimate]
    trained: frozenset[int]


def example(bench: Bench, graph: Graph, cotangent: torch.Tensor) -> tuple[Example | None, str]:
    """The example that theory can be compared on; None, and why, where there is none."""
    try:
        kind, rate = _plain_step(bench)
        x = vectors(graph, bench.batch)
        described = describe(graph, x.shape[1], rms(x[0]) ** 2)
        trained = _trained(bench, graph)
    except ChioneError as err:
        return None, f"No theory for one example: {err}"
    g = cotangent[:1].detach().clone()
    size = rms(g)
    if size == 0.0:
        return None, "No theory for one example: the loss does not depend on its output."

    def linear(out: object) -> torch.Tensor:
        return (batches.output_tensor(out) * g).sum()

    try:
        theory = _theory(described, kind, rate, size)
    except (ChioneError, ValueError) as err:
        return None, f"No theory for one example: {err}"
    alone = Bench(bench.model, bench.batch[:1], linear, bench.optimizer, bench.seed)
    return Example(alone, theory, trained), ""


def _theory(described: Description, kind: str, rate: float, size: float) -> dict[str, Estimate]:
    """Root mean square of dh by row, for a gradient of root mean square `size` at the output."""
    found = feature_update(
        described.network, learning_rate=rate, optimizer=kind, output_gradient=size
    )
    values = found.update
    each = zip(found.places, values.value, values.error, values.status, strict=True)
    return {
        described.places[place]: Estimate(float(value), float(error), int(status))
        for place, value, error, status in each
        if place in described.places
    }


def _plain_step(bench: Bench) -> tuple[str, float]:
    """Kind and rate of an optimiser whose first step theory knows."""
    optimizer = bench.optimizer
    kinds = (
        (torch.optim.SGD, "sgd"), (torch.optim.Adam, "adam"), (torch.optim.AdamW, "adam"),
    )  # fmt: skip
    kind = next((word for cls, word in kinds if type(optimizer) is cls), None)
    if kind is None:
        raise NoDescriptionError("it is known for SGD, Adam and AdamW.")
    rates = {_first_rate(group) for group in optimizer.param_groups}
    if len(rates) > 1:
        raise NoDescriptionError("the parameters have several learning rates.")
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise NoDescriptionError("the optimizer maximises.")
    if stepped(optimizer):
        raise NoDescriptionError("the optimizer has taken steps before.")
    return kind, rates.pop()


def _first_rate(group: dict[str, Any]) -> float:
    """What the gradient is multiplied by in the first step, where its own momentum counts."""
    rate = float(group["lr"])
    return rate * (1.0 + float(group["momentum"])) if group.get("nesterov") else rate


def _trained(bench: Bench, graph: Graph) -> frozenset[int]:
    """The matrices and biases: theory trains all of them, or nothing."""
    moving = {id(p) for p in bench.parameters}
    named = dict(bench.model.named_parameters(remove_duplicate=False))
    found = set()
    for node in graph.nodes:
        if node.weight is None:
            continue
        for name in (node.weight.parameter, node.weight.bias_parameter):
            if name is not None:
                if id(named[name]) not in moving:
                    raise NoDescriptionError(f"{name!r} is not trained.")
                found.add(id(named[name]))
    return frozenset(found)
