"""What training will reach: each trainable parameter's gradient, now and a few steps ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture import batches
from chione.torch.capture.gradients import Gradients
from chione.torch.capture.nodes import Graph
from chione.torch.inspection.ahead import drawn, fill, gradients_of, look_ahead, moved, start_size
from chione.torch.inspection.copies import Copies, copies
from chione.torch.inspection.parameter_report import ParameterReport, reached, root_mean_square
from chione.torch.inspection.reasons import Reason, why_missing, why_stuck

Loss = Callable[[Any], torch.Tensor]
Named = Mapping[str, torch.nn.Parameter]


@dataclass(frozen=True)
class Trial:
    """A model on a batch, with what is needed to run it again.

    Parameters
    ----------
    model, batch, loss
        As for ``inspect``.
    frozen : frozenset of str
        Names of the parameters that the optimiser may not change.
    generator : Generator
        For projections and changes.
    """

    model: torch.nn.Module
    batch: Any
    loss: Loss | None
    frozen: frozenset[str]
    generator: torch.Generator

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """All parameters that can have a gradient."""
        named = self.model.named_parameters()
        return {n: p for n, p in named if p.is_floating_point() or p.is_complex()}

    @property
    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """Those that the optimiser may change."""
        return {n: p for n, p in self.parameters.items() if n not in self.frozen}

    def as_trained(self) -> None:
        """Give the parameters the flags that they have in training."""
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(name not in self.frozen)


def parameter_reports(
    trial: Trial, graph: Graph, out: Any, output: torch.Tensor, gradients: Gradients
) -> tuple[tuple[ParameterReport, ...], Copies]:
    """One report for each parameter, with the reason where no gradient arrives; and copies.

    Gradients come from the pass that was measured. Only where some are zero or missing does the
    model run again.
    """
    trainable = trial.trainable
    if graph.cuts.reentrant and trial.frozen:
        # Whether a reentrant checkpoint records anything depends on what is frozen before it.
        trial.as_trained()
        gradients = gradients_of(trial.model, trial.batch, trial.loss, trainable, trial.generator)
    missing = [n for n in trainable if gradients.get(n) is None]
    same = copies(trainable, gradients, graph)
    reasons = why_missing(missing, trainable, graph, out, output)
    shares = {n: 0.0 if (g := gradients.get(n)) is None else reached(g) for n in trainable}
    still = [n for n in trainable if shares[n] == 0.0 and n not in reasons]
    if still:
        trial.as_trained()
        later: list[Copies] = []
        reasons |= _why_still(
            trial, graph, gradients, still,
            lambda now: later.append(copies(trainable, now, graph)),
        )  # fmt: skip
        if any(reasons[name].status == "waits" for name in still):
            same = same.later(later[0])
    cut = [n for n, reason in reasons.items() if reason.status == "cut"]
    for name in cut:
        if not _matters(trial, [name]):
            reasons[name] = Reason("no effect", "no change of it changes the output")
    reports = []
    for name, parameter in trial.model.named_parameters():
        reason = reasons.get(name)
        if name not in trainable:
            reason = Reason("frozen", "requires_grad is False")
        gradient = None if reason is not None else gradients.get(name)
        reports.append(
            ParameterReport(
                name=name,
                shape=tuple(parameter.shape),
                weight=root_mean_square(parameter),
                gradient=math.nan if gradient is None else root_mean_square(gradient),
                reached=shares.get(name, 0.0),
                status="gets a gradient" if reason is None else reason.status,
                cause="" if reason is None else reason.cause,
                reason="" if reason is None else reason.text,
                place=None if reason is None else reason.place,
                steps=0 if reason is None else reason.steps,
            )
        )
    return tuple(reports), same


def _why_still(
    trial: Trial,
    graph: Graph,
    gradients: Gradients,
    still: list[str],
    then: Callable[[Gradients], None],
) -> dict[str, Reason]:
    """Of parameters whose gradient is zero: which wake, and why the others do not."""
    trainable = trial.trainable
    ahead = look_ahead(
        trial.model, trial.batch, trial.loss, trainable, gradients,
        generator=trial.generator, then=then,
    )  # fmt: skip
    reasons = {}
    for name in still:
        n = ahead.woken.get(name)
        if n is not None:
            text = f"its gradient is zero now and comes after {n} step{'s' if n > 1 else ''}"
            reasons[name] = Reason("waits", text, steps=n)
    stuck = [n for n in still if n not in reasons]
    if not stuck:
        return reasons
    zero = _zero_factors(trial, graph)
    freed = _freed(trial, zero, stuck)
    for name in stuck:
        others = [z for z in zero if z != name]
        reason = why_stuck(name, trial.parameters, graph, zero=others, freed=name in freed)
        if reason is None and not _matters(trial, [name]):
            reason = Reason("no effect", "no change of it changes the output")
        reasons[name] = reason or Reason("stuck", "its gradient is zero", "unknown")
    return reasons


def _zero_factors(trial: Trial, graph: Graph) -> list[str]:
    """Parameters that multiply and are zero: biases only add."""
    biases = {n.weight.bias_parameter for n in graph.nodes if n.weight is not None}
    return [
        name
        for name, parameter in trial.parameters.items()
        if name not in biases and not name.endswith("bias") and not bool((parameter != 0).any())
    ]


def _freed(trial: Trial, zero: list[str], stuck: list[str]) -> set[str]:
    """Which parameters get a gradient once others are not zero any more."""
    if not zero:
        return set()
    parameters = {n: trial.parameters[n] for n in zero}
    with moved(parameters.values()):
        fill(parameters.values(), trial.generator)
        found = gradients_of(
            trial.model, trial.batch, trial.loss,
            {n: trial.trainable[n] for n in stuck}, trial.generator,
        )  # fmt: skip
    return {n for n, g in found.items() if g is not None and reached(g) > 0.0}


def _matters(trial: Trial, names: list[str]) -> bool:
    """Whether the output changes with some parameters, beyond rounding."""
    parameters = [trial.parameters[n] for n in names]
    before = _output(trial)
    with moved(parameters):
        for parameter in parameters:
            size = root_mean_square(parameter) or start_size(parameter)
            change = drawn(parameter, size, trial.generator)
            parameter.data = parameter.data + change
        after = _output(trial)
    scale = float(before.abs().max()) or 1.0
    rounding = 100.0 * torch.finfo(before.dtype).eps
    return not bool(((after - before).abs() <= rounding * scale).all())


def _output(trial: Trial) -> torch.Tensor:
    """The output with the same random numbers each time."""
    on = {p.device.index for p in trial.parameters.values() if p.device.type == "cuda"}
    with torch.no_grad(), torch.random.fork_rng(devices=sorted(on)):
        torch.manual_seed(0)
        out = batches.output_tensor(batches.call(trial.model, trial.batch)).detach()
    return out.clone()
