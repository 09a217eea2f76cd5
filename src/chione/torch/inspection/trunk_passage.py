"""Where on the trunk it goes wrong, and what happens there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from chione.theory.depth.passage import Passage
from chione.theory.depth.trainability import CAREFUL, Trainability
from chione.torch.capture.nodes import Graph
from chione.torch.capture.trunk import trunk
from chione.torch.expected.layer_report import LayerReport
from chione.torch.inspection.reasons import rows_of
from chione.torch.layers.tensors import Affine

_ENOUGH = 8  # units from which 1 - c is that of the layer and not of a few numbers
_NOTHING = -745.0  # log of the smallest positive double: stands for the log of zero


@dataclass(frozen=True)
class TrunkRow:
    """A row on the trunk with the scale by which its gradient is judged."""

    layer: LayerReport
    relative: bool  # whether a normalisation follows on every path
    units: int = _ENOUGH  # numbers for each input
    output: bool = False  # whether the model returns it

    @property
    def tells_apart(self) -> bool:
        """Whether its correlations tell how well inputs can be told apart.

        Those of one unit are all +-1, and a bias on the output is no loss: nothing reads it but the
        loss, which sees differences.
        """
        return self.units >= _ENOUGH and not self.output


def zero_rows(
    graph: Graph, parameters: Mapping[str, torch.nn.Parameter]
) -> dict[str, torch.nn.Parameter]:
    """Weights and gains on the trunk that are exactly zero, of any kind of layer."""
    on_trunk, out = trunk(graph), {}
    gains = {n.tensors.parameter for n in graph.rows() if isinstance(n.tensors, Affine)}
    for name, parameter in parameters.items():
        if (parameter.dim() < 2 and name not in gains) or bool(parameter.any()):
            continue
        if any(node.index in on_trunk for node in rows_of(name, graph)):
            out[name] = parameter
    return out


def passage(rows: list[TrunkRow], input_one_minus_c: float) -> Passage:
    """What was measured along the trunk, in the terms of the rule."""
    first, at = _first_gap(rows, input_one_minus_c)
    last = _last_gap(rows[at:])
    told = first > 0.0 and math.isfinite(last)
    whole = _passage(rows, log_of(last / first) if told else math.nan)
    inner = [row for row in rows if row.tells_apart]
    if not inner or math.isnan(whole.gradient):
        return whole
    # The size of a few numbers is a matter of chance, and that of the output one of its bias.
    part = _passage(inner, math.nan)
    return replace(whole, relative=part.relative, length=part.length)


def _passage(rows: list[TrunkRow], difference: float) -> Passage:
    return Passage.of(
        [log_of(math.prod(row.layer.shape) * row.layer.gradient) for row in rows],
        [log_of(row.layer.mean_square) for row in rows],
        difference,
        normalised=[row.relative for row in rows],
    )


def locate(
    found: Trainability, way: Passage, rows: list[TrunkRow], start: float
) -> tuple[LayerReport, str]:
    """The layer to blame for what the rule has found, and what happens there."""
    if found.problem == "collapsed inputs":
        return _collapse(rows, start)
    inner = [row for row in rows if row.tells_apart] or rows
    if found.problem.endswith("signal"):
        return _signal(inner)
    relative = found.size == way.relative
    return _gradient(inner if relative else rows, relative=relative)


def _logs(rows: list[TrunkRow], *, relative: bool) -> list[float]:
    """Log G_l along the trunk, or log G_l q_l where the gradient is judged by the signal."""
    out = []
    for row in rows:
        layer = row.layer
        value = math.prod(layer.shape) * layer.gradient
        value *= layer.mean_square if relative or row.relative else 1.0
        out.append(log_of(value))
    return out


def _gradient(rows: list[TrunkRow], *, relative: bool) -> tuple[LayerReport, str]:
    logs = _logs(rows, relative=relative)
    spans = [value - logs[-1] for value in logs]
    worst = int(np.argmax(spans if relative else np.abs(spans)))
    part = rows[worst:]
    steps = [a - b for a, b in zip(logs[worst:-1], logs[worst + 1 :], strict=True)]
    sums = _by_sums(part, steps)
    if sums is not None:
        layer, count, rate = sums
        return layer, (
            f"The stream of the residual sums does it: each of {count} sums multiplies the "
            f"mean-square gradient by {rate:.3g} on its way back, {_exp(spans[worst])} in all, "
            "since each branch adds that much to the stream."
        )
    k = _culprit(steps)
    if k is not None:
        layer = _blame(part, k)
        return layer, (
            f"This one step multiplies the mean-square gradient by {_exp(steps[k])}"
            f"{_describe(layer)}."
        )
    rate = math.exp((logs[worst] - logs[-1]) / max(len(steps), 1))
    return part[0].layer, (
        f"From here on each layer multiplies the mean-square gradient by {rate:.3g} on its way "
        f"back, so after {len(steps)} layers {_exp(spans[worst])} of it arrives"
        f"{_describe(_typical(part))}."
    )


def _signal(rows: list[TrunkRow]) -> tuple[LayerReport, str]:
    free = [row for row in rows if not row.relative]
    logs = [log_of(row.layer.mean_square) for row in free]
    worst = max(range(len(logs)), key=lambda i: abs(logs[i] - logs[0]))
    steps = [b - a for a, b in pairwise(logs)][:worst]
    sums = _by_sums(free[: worst + 1], steps)
    if sums is not None:
        layer, count, rate = sums
        return layer, (
            f"The stream of the residual sums does it: each of {count} sums multiplies its mean "
            f"square by {rate:.3g}, {_exp(logs[worst] - logs[0])} in all, since each branch adds "
            "that much to it."
        )
    k = _culprit(steps)
    layer = free[k + 1 if k is not None else 0].layer
    return layer, (
        f"The mean square of the signal changes by {_exp(logs[worst] - logs[0])} from "
        f"{free[0].layer.name!r} to {free[worst].layer.name!r}{_describe(layer)}."
    )


def _by_sums(rows: list[TrunkRow], steps: list[float]) -> tuple[LayerReport, int, float] | None:
    """The first residual sum, their number and mean factor, if they make most of the change."""
    at = [i + 1 for i in range(len(steps)) if rows[i + 1].layer.residual]
    whole, theirs = sum(steps), sum(steps[i - 1] for i in at)
    if len(at) < 2 or theirs * whole <= 0.0 or abs(theirs) < 0.5 * abs(whole):
        return None
    return rows[at[0]].layer, len(at), math.exp(theirs / len(at))


def _collapse(rows: list[TrunkRow], start: float) -> tuple[LayerReport, str]:
    first, at = _first_gap(rows, start)
    known = [r.layer for r in rows[at:] if r.tells_apart and r.layer.one_minus_c >= 0.0]
    layer = next((x for x in known if log_of(x.one_minus_c / first) < -CAREFUL), known[-1])
    return layer, (
        f"1 - c falls from {first:.3g} to {known[-1].one_minus_c:.3g} at {known[-1].name!r}"
        f"{_describe(layer)}."
    )


def _first_gap(rows: list[TrunkRow], start: float) -> tuple[float, int]:
    """1 - c at the input, or at the first row that has one."""
    if math.isfinite(start) and start > 0.0:
        return start, 0
    for i, row in enumerate(rows):
        if row.tells_apart and row.layer.one_minus_c > 0.0:
            return row.layer.one_minus_c, i
    return math.nan, 0


def _last_gap(rows: list[TrunkRow]) -> float:
    """1 - c of the last row that tells inputs apart."""
    found = [r.layer.one_minus_c for r in rows if r.tells_apart]
    return next((x for x in reversed(found) if math.isfinite(x)), math.nan)


def _culprit(steps: list[float]) -> int | None:
    """The one step that makes more than half of the whole, if there are others beside it."""
    if len(steps) < 2:
        return 0 if steps else None
    total = sum(steps)
    k = max(range(len(steps)), key=lambda i: steps[i] if total > 0 else -steps[i])
    return k if abs(steps[k]) > 0.5 * abs(total) else None


def _blame(rows: list[TrunkRow], k: int) -> LayerReport:
    """A step from row k + 1 back to row k: the weights of k + 1, or the saturation of k."""
    here, after = rows[k].layer, rows[k + 1].layer
    if math.isfinite(here.saturation) and here.saturation > 0.9:
        return here
    return after


def _typical(rows: list[TrunkRow]) -> LayerReport:
    """An affine row from the middle, to quote its sigma_w and chi_perp."""
    affine = [row.layer for row in rows if row.layer.sigma_w is not None]
    return affine[len(affine) // 2] if affine else rows[0].layer


def _describe(layer: LayerReport) -> str:
    """What is known of a layer, as the end of a sentence."""
    parts = []
    if layer.sigma_w is not None:
        parts.append(f"sigma_w = {layer.sigma_w:.3g}, sigma_b = {layer.sigma_b or 0.0:.3g}")
    if math.isfinite(layer.expected.chi_perp):
        parts.append(f"chi_perp = {layer.expected.chi_perp:.3g}")
    if math.isfinite(layer.saturation) and layer.saturation > 0.9:
        parts.append(f"{layer.saturation:.0%} of its units saturated")
    if layer.activation:
        parts.append(f"then {layer.activation}")
    return f" ({', '.join(parts)})" if parts else ""


def log_of(x: float) -> float:
    """The natural logarithm, of zero a large negative number."""
    return math.log(x) if x > 0.0 else _NOTHING


def _exp(x: float) -> str:
    return f"10^{x / math.log(10.0):.1f}" if abs(x) > 20 else f"{math.exp(x):.3g}"


def _short(x: float | None) -> str:
    return "none" if x is None else f"{x:.3g}"
