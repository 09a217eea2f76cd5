"""Measure a real model: signals, correlations, gradients, layer by layer, beside the theory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from chione.base import ChioneError, checks
from chione.theory.depth.trainability import YES
from chione.torch.capture import batches
from chione.torch.capture.followers import followers
from chione.torch.capture.gradients import Arriving, arriving, jacobian_norm
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.state import preserved
from chione.torch.capture.statistics import Moments, by_input, moments
from chione.torch.capture.tracing import check_model, shared_parameters, trace
from chione.torch.capture.trunk import behind_norm, trunk
from chione.torch.expected.expect import expect
from chione.torch.expected.layer_report import Expected, LayerReport
from chione.torch.inspection.ahead import fill, moved
from chione.torch.inspection.awareness import Trial, parameter_reports
from chione.torch.inspection.data import data_of, replaced
from chione.torch.inspection.not_followed import sharp_attention, unseen, without_rule
from chione.torch.inspection.parameter_report import REACHED, WAITS
from chione.torch.inspection.report import InspectionReport, Verdict
from chione.torch.inspection.trunk_passage import TrunkRow, zero_rows
from chione.torch.inspection.verdict import Known, judge
from chione.torch.inspection.verdict_batch import with_batch
from chione.torch.layers.entering import Embedding, Entering
from chione.torch.layers.tensors import Heads, Table, Weight, spread

Loss = Callable[[Any], torch.Tensor]


class NonFiniteError(ChioneError, ValueError):
    """A layer produces NaN or infinite values; the message names the first one."""


def examine(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    projections: int | None = None,
    seed: int = 0,
) -> InspectionReport:
    """Measure and judge a model, without trying remedies.

    Parameters, result and errors are those of :func:`chione.torch.inspect`, which adds to the
    verdict what helps.
    """
    model = check_model(model)
    size = batches.batch_size(batch)
    projections = None if projections is None else checks.integer("projections", projections)
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, minimum=0))
    if loss is not None and not callable(loss):
        raise TypeError(
            f"loss must be a function of what the model returns, but it is {type(loss).__name__}; "
            "pass for example lambda out: cross_entropy(out, labels)."
        )
    frozen = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
    with preserved(model), torch.inference_mode(False), torch.enable_grad():
        trial = Trial(model, batch, loss, frozen, generator)
        seen = measure(trial, size, projections)
        known = known_of(trial, seen)
        report = _report(model, seen, known, loss, seed)
        data = data_of(model, batch, seen.graph)
        faults = () if data is None else data.faults()
        sound = None
        if data is not None and report.verdict.trains != YES and any(f.decisive for f in faults):
            trial = replace(trial, batch=replaced(batch, data.tensor, data.sound(generator)))
            sound = _verdict_on(trial, size)
    return replace(report, verdict=with_batch(report.verdict, faults, sound))


def _verdict_on(trial: Trial, size: int) -> Verdict | None:
    """The verdict on the same model with other data; None where it cannot take them."""
    try:
        seen = measure(trial, size, 1)
        layers = _layers(seen, {})
        _, start = entering_distance(seen)
        return judge(layers, trunk_rows(seen, layers), start, known_of(trial, seen))
    except (ValueError, RuntimeError, IndexError):
        return None


@dataclass(frozen=True)
class Seen:
    """One pass over a model, and what was measured on the way."""

    graph: Graph
    out: Any
    output: torch.Tensor
    measured: dict[int, Moments]
    found: Arriving


def measure(
    trial: Trial, size: int, projections: int | None, *, check: bool = True, parameters: bool = True
) -> Seen:
    """Run the model forwards and backwards; frozen parameters too let gradients through.

    To be called where what it changes is restored.
    """
    for parameter in trial.model.parameters():
        parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())
        parameter.grad = None
    graph, out = trace(trial.model, trial.batch, size)
    output = batches.output_tensor(out)
    measured = measured_moments(graph)
    if check:
        _check_finite(graph, measured)
    scalar = None if trial.loss is None else _loss_value(trial.loss, out)
    found = arriving(
        graph, output, scalar, projections=projections, generator=trial.generator,
        parameters=trial.trainable if parameters else None,
    )  # fmt: skip
    return Seen(graph, out, output, measured, found)


def known_of(trial: Trial, seen: Seen) -> Known:
    """What the gradients of the parameters show, and the trunk once it is awake."""
    reports, same = parameter_reports(
        trial, seen.graph, seen.out, seen.output, seen.found.parameters
    )
    asleep = zero_rows(seen.graph, trial.trainable)
    waking = asleep.keys() <= {p.name for p in reports if p.status in (REACHED, WAITS)}
    awake = _awake(trial, seen.graph.batch, asleep) if asleep and waking else None
    return Known(reports, awake, same, swing(seen))


def _awake(
    trial: Trial, size: int, asleep: Mapping[str, torch.nn.Parameter]
) -> tuple[TrunkRow, ...] | None:
    """The trunk with random weights in place of zeros; None where it leaves the numbers."""
    with moved(asleep.values()):
        fill(asleep.values(), trial.generator)
        try:
            again = measure(trial, size, 1)
        except NonFiniteError:
            return None
        return trunk_rows(again, _layers(again, {}))


def _layers(seen: Seen, theory: Mapping[int, Expected]) -> tuple[LayerReport, ...]:
    follow = followers(seen.graph)
    return tuple(
        layer_report(node, seen.measured[node.index], seen.found, follow, theory.get(node.index))
        for node in seen.graph.rows()
    )


def swing(seen: Seen) -> float:
    """Mean square by which the output differs between inputs; NaN for one input."""
    y = by_input(seen.output.detach(), seen.graph.batch)
    if y is None or len(y) < 2:
        return math.nan
    y = y.double()
    return float((y - y.mean(dim=0)).square().mean())


def trunk_rows(seen: Seen, layers: Sequence[LayerReport]) -> tuple[TrunkRow, ...]:
    """The rows that every path passes."""
    graph = seen.graph
    on_trunk, relative = trunk(graph), behind_norm(graph)
    last = None if graph.output is None else graph.seen_through(graph.nodes[graph.output]).index
    return tuple(
        TrunkRow(
            layer,
            node.index in relative,
            units=node.numel // max(graph.batch, 1),
            output=node.index == last,
        )
        for node, layer in zip(graph.rows(), layers, strict=True)
        if node.index in on_trunk
    )


def entering_distance(seen: Seen) -> tuple[float, float]:
    """1 - c of the inputs, and the same where it says something: of one number c is +-1."""
    entering = [n for n in seen.graph.nodes if isinstance(n.layer, Entering)]
    if not entering:
        return math.nan, math.nan
    first = entering[0]
    one_minus_c = seen.measured[first.index].one_minus_c
    return one_minus_c, one_minus_c if first.numel > seen.graph.batch else math.nan


def measured_moments(graph: Graph) -> dict[int, Moments]:
    """Statistics of all nodes that were measured, by index."""
    return {n.index: moments(n.numbers.tolist()) for n in graph.nodes if n.numbers is not None}


def _check_finite(graph: Graph, measured: dict[int, Moments]) -> None:
    before = None
    for node in graph.rows():
        here = measured[node.index]
        if not here.finite:
            broken = weight_problem(node)
            cause = f" because its {broken} holds NaN or infinite values" if broken else ""
            grown = "" if before is None else f" (mean square {before:.3g} one layer earlier)"
            raise NonFiniteError(
                f"layer {node.name!r} is the first to produce NaN or infinite values{cause}{grown}."
            )
        before = here.mean_square


def weight_problem(node: Node) -> str:
    """Which of the tensors of an affine row is not finite."""
    if isinstance(node.tensors, Weight):
        for label, tensor in (("weight", node.tensors.weight), ("bias", node.tensors.bias)):
            if tensor is not None and not bool(torch.isfinite(tensor).all()):
                return label
    return ""


def _loss_value(loss: Loss, out: Any) -> torch.Tensor:
    value = loss(out)
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ValueError(f"loss must return one number, but it returned {shape}; take its mean.")
    if not bool(torch.isfinite(value)):
        raise ValueError(f"loss must be finite, but it is {value.item()}; look at the labels.")
    return value


def _report(
    model: torch.nn.Module,
    seen: Seen,
    known: Known,
    loss: Loss | None,
    seed: int,
) -> InspectionReport:
    graph, measured, found = seen.graph, seen.measured, seen.found
    layers = _layers(seen, expect(graph, measured, found))
    one_minus_c, start = entering_distance(seen)
    notes = []
    if graph.batch < 2:
        notes.append("One input only: correlations between inputs need at least two.")
    notes += [*unseen(model, graph), *sharp_attention(layers)]
    if loss is None:
        notes += without_rule(model, layers, seen.out, seen.output)
    lost = [n.name for n in graph.rows() if n.edge is None]
    if lost:
        notes.append(f"No gradient is recorded at {', '.join(lost[:5])} (no_grad or integers).")
    for name in dict.fromkeys(graph.reused().values()):
        notes.append(
            f"weight {name!r} is used twice: what it gives the second time is not that of fresh "
            "weights, so theory starts again from what was measured there."
        )
    return InspectionReport(
        layers=layers,
        verdict=judge(layers, trunk_rows(seen, layers), start, known),
        model=type(model).__name__,
        batch=graph.batch,
        output_shape=tuple(seen.output.shape),
        loss="random projections of the output" if loss is None else "the given loss",
        projections=max((len(v) for v in found.projected.values()), default=0),
        seed=seed,
        training=model.training,
        input_one_minus_c=one_minus_c,
        shared=shared_parameters(model),
        notes=tuple(notes),
        parameters=known.parameters,
    )


def layer_report(
    node: Node,
    here: Moments,
    found: Arriving,
    follow: dict[int, Node],
    theory: Expected | None,
) -> LayerReport:
    """Put together what is known of one row."""
    jacobian, error = jacobian_norm(node, found)
    activation = follow.get(node.index)
    applied = None if activation is None else activation.applied
    sat = None if activation is None else activation.saturation
    saturated, dead = (math.nan, math.nan) if sat is None else sat.tolist()
    entropy = math.nan
    if node.focus is not None:
        saturated, entropy = node.focus.tolist()
    weight_std = bias_std = sigma_w = sigma_b = fan_in = fan_out = None
    weights = node.tensors
    if isinstance(weights, Weight):
        fan_in, fan_out = weights.fan_in, int(_fan_out(weights))
        weight_std = weights.spread.std
        sigma_w = math.sqrt(weights.spread.mean_square * fan_in)
        bias_std = None if weights.bias is None else weights.bias_spread.std
        sigma_b = math.sqrt(weights.bias_spread.mean_square)
    elif isinstance(weights, Heads):
        fan_in, fan_out = float(weights.weight.shape[1]), node.shape[-1]
        found_w = spread(weights.weight)
        weight_std, sigma_w = found_w.std, math.sqrt(found_w.mean_square * fan_in)
        if weights.bias is not None:
            found_b = spread(weights.bias)
            bias_std, sigma_b = found_b.std, math.sqrt(found_b.mean_square)
    elif isinstance(node.layer, Embedding) and isinstance(weights, Table):
        table = spread(weights.weight)
        weight_std, sigma_w = table.std, math.sqrt(table.mean_square)
    return LayerReport(
        name=node.name,
        kind=node.kind,
        operation=node.operation or node.kind,
        shape=node.shape,
        fan_in=fan_in,
        fan_out=fan_out,
        mean=here.mean,
        mean_square=here.mean_square,
        one_minus_c=here.one_minus_c,
        gradient=found.gradient.get(node.index, math.nan),
        jacobian=jacobian,
        jacobian_error=error,
        weight_std=weight_std,
        bias_std=bias_std,
        sigma_w=sigma_w,
        sigma_b=sigma_b,
        activation=None if applied is None else applied.name,
        saturation=saturated,
        dead=dead,
        known=theory is not None,
        expected=theory or Expected(),
        residual=node.is_residual,
        entropy=entropy,
    )


def _fan_out(weights: Weight) -> float:
    w = weights.weight
    if weights.operation == "linear" and not weights.transposed:
        return float(w.shape[0])
    if "convolution" in weights.operation:
        return float(w.shape[1] * weights.groups if weights.transposed else w.shape[0])
    return float(w.numel() / weights.fan_in)
