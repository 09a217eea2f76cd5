"""The data-driven passes: bring lengths, then gradients, to what theory wants on a real batch.

At finite width every network deviates from the limit, by a factor of about exp(sqrt(depth / width))
over its depth, and where theory has no rule (pooling, attention) it can say nothing at all.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from chione.torch.capture import batches
from chione.torch.capture.gradients import arriving
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.state import preserved
from chione.torch.capture.tracer import Tracer
from chione.torch.capture.tracing import trace
from chione.torch.initialisation.plan import Plan
from chione.torch.layers.tensors import Weight

_SHORT = 4  # chains with fewer steps are left as theory sets them
_PROJECTIONS = 4
_ROUNDS = 2  # the second takes out half of what the first left


def correct_lengths(model: torch.nn.Module, batch: Any, size: int, plan: Plan) -> None:
    """Run the model once; scale the weights of each layer to the length it should have."""
    _run(model, batch, size, plan, _scale_weights)


def correct_gradients(model: torch.nn.Module, batch: Any, size: int, plan: Plan) -> None:
    r"""Measure gradients along chains of equal layers and take out their trend.

    With :math:`T = \log (g_1 / g_n)` over n - 1 steps the weights get the factor
    :math:`e^{-T / 2 (n - 1)}` where lengths return by themselves (edge of chaos) or biases can hold
    them, which a further pass sees to. Elsewhere length and gradient pull at the same weights, and
    half of the trend is taken out in each of two rounds.
    """
    for _ in range(_ROUNDS):
        _gradient_round(model, batch, size, plan)


def _gradient_round(model: torch.nn.Module, batch: Any, size: int, plan: Plan) -> None:
    seed = int(torch.randint(2**31, (1,), generator=plan.generator, device=_device(plan)))
    generator = torch.Generator().manual_seed(seed)
    with preserved(model, weights=False), torch.inference_mode(False), torch.enable_grad():
        for parameter in model.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        graph, out = trace(model, batch, size)
        output = batches.output_tensor(out)
        found = arriving(graph, output, None, projections=_PROJECTIONS, generator=generator)
    with_bias = False
    with torch.no_grad():
        for chain in _chains(graph, plan):
            sizes = [found.gradient.get(n.index, math.nan) * n.numel for n in chain]
            if len(chain) <= _SHORT or not all(v > 0.0 and math.isfinite(v) for v in sizes):
                continue
            trend = math.log(sizes[0] / sizes[-1]) / (len(chain) - 1)
            for node in chain[1:]:
                name = _parameter(node)
                biased = plan.changes[name].sigma_b > 0.0
                with_bias |= biased
                free = biased or name in plan.stable
                factor = math.exp(-0.5 * trend if free else -0.25 * trend)
                _multiply(plan, name, factor)
    if with_bias:
        _run(model, batch, size, plan, _scale_biases)


def _run(model: torch.nn.Module, batch: Any, size: int, plan: Plan, rule: Any) -> None:
    """Run the model with `rule` applied to each layer of the plan when it first runs."""
    done: set[str] = set()

    def on_affine(node: Node, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        weight = node.weight
        name = _parameter(node)
        if weight is None or name in done or name not in plan.changes:
            return out
        done.add(name)
        result: torch.Tensor = rule(plan, name, weight, out)
        return result

    with preserved(model, weights=False), torch.no_grad():
        tracer = Tracer(model, size, measure=False, on_affine=on_affine)
        with tracer:
            tracer.feed(batch)
            batches.call(model, batch)


def _scale_weights(plan: Plan, name: str, detail: Weight, out: torch.Tensor) -> torch.Tensor:
    change = plan.changes[name]
    wanted = plan.lengths[name]
    bias = _broadcast(detail, out)
    product = out - bias
    found = float(product.double().square().mean())
    full = bias.double().expand_as(product)
    cross, rest = float((full * product).mean()), float(full.square().mean()) - wanted
    if not (found > 0.0 and math.isfinite(found) and rest < 0.0):
        plan.changes[name] = replace(change, reason=f"{change.reason}; nothing arrives here")
        return out
    # mean square of (s W x + b) = wanted, for s > 0
    factor = (-cross + math.sqrt(cross * cross - found * rest)) / found
    _multiply(plan, name, factor)
    return (product * factor + bias).to(out.dtype)


def _scale_biases(plan: Plan, name: str, detail: Weight, out: torch.Tensor) -> torch.Tensor:
    """Scale the bias b so that the mean square of (W x + s b) is as wanted; s >= 0."""
    change, wanted = plan.changes[name], plan.lengths[name]
    if change.sigma_b == 0.0 or name not in plan.chained:
        return out
    bias = _broadcast(detail, out)
    product = (out - bias).double()
    full = bias.double().expand_as(product)
    a, b = float(full.square().mean()), float((full * product).mean())
    c = float(product.square().mean()) - wanted
    if not (a > 0.0 and c < 0.0):  # the weights alone are too long: theory's bias stays
        return out
    scale = (-b + math.sqrt(b * b - a * c)) / a
    if detail.bias_parameter is not None:
        plan.parameters[detail.bias_parameter].mul_(scale)
        plan.changes[name] = replace(change, sigma_b=change.sigma_b * scale)
    return (product + scale * full).to(out.dtype)


def _multiply(plan: Plan, name: str, factor: float) -> None:
    change = plan.changes[name]
    plan.parameters[name].mul_(factor)
    plan.changes[name] = replace(
        change, factor=change.factor * factor, sigma_w=change.sigma_w * factor
    )


def _chains(graph: Graph, plan: Plan) -> list[list[Node]]:
    """Runs of layers between which only one activation acts, in order of execution."""
    chains: list[list[Node]] = []
    at: dict[int, list[Node]] = {}
    for node in graph.nodes:
        if not node.is_affine or _parameter(node) not in plan.changes:
            continue
        before = graph.nodes[node.parents[0]]
        while before.looked_through or before.applied is not None:
            before = graph.nodes[before.parents[0]]
        chain = at.get(before.index)
        if _parameter(node) in plan.chained and chain is not None and chain[-1] is before:
            chain.append(node)
        else:
            chain = [node]
            chains.append(chain)
        at[node.index] = chain
    return chains


def _parameter(node: Node) -> str:
    """Name of the parameter behind the weight; empty without any."""
    weight = node.weight
    return "" if weight is None or weight.parameter is None else weight.parameter


def _device(plan: Plan) -> torch.device:
    return torch.device("cpu") if plan.generator is None else plan.generator.device


def _broadcast(detail: Weight, out: torch.Tensor) -> torch.Tensor:
    """The bias in the shape of the output: channels are the second axis of a convolution."""
    if detail.bias is None:
        return out.new_zeros(())
    if "convolution" in detail.operation:
        return detail.bias.detach().reshape(-1, *(1,) * (detail.weight.dim() - 2))
    return detail.bias.detach()
