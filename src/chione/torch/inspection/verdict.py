"""From numbers to a verdict: can it train, where does it go wrong, why, and what to do."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chione.theory.depth.trainability import CAREFUL, YES, Passage, Trainability, trainability
from chione.torch.expected.layer_report import LayerReport
from chione.torch.inspection.report import Verdict
from chione.torch.recommendation.gains import advice

_NOTHING = -745.0  # log of the smallest positive double: stands for the log of zero


@dataclass(frozen=True)
class TrunkRow:
    """A row on the trunk with the scale by which its gradient is judged."""

    layer: LayerReport
    relative: bool  # whether a normalisation follows on every path


def judge(
    layers: tuple[LayerReport, ...],
    rows: tuple[TrunkRow, ...],
    input_one_minus_c: float,
) -> Verdict:
    r"""The verdict on a network, by the rule of :mod:`chione.theory.depth.trainability`.

    Along the trunk, with :math:`G_l = n_l g_l` the squared gradient of all units of a layer
    (times :math:`q_l` where a normalisation follows on every path). What is added here is the layer
    where it goes wrong, why, and what to do.
    """
    usable = [row for row in rows if math.isfinite(row.layer.gradient)]
    if len(usable) == 0:
        if not any(math.isfinite(layer.gradient) for layer in layers):
            return Verdict(
                "no",
                "no gradient",
                layers[0].name if layers else None,
                "No gradient reaches any layer: the output is detached from them.",
                "Remove no_grad or detach between the layers and the output.",
            )
        return Verdict(YES, warnings=_unit_warnings(layers))
    zero = _zero_signal(usable)
    if zero is not None:
        return zero
    way = passage(usable, input_one_minus_c)
    found = trainability(way)
    if found.answer == YES:
        return Verdict(YES, warnings=_unit_warnings(layers))
    layer, cause = _locate(found, way, usable, input_one_minus_c)
    remedy = advice(_main_activation(layers))
    why = f"{found.reason} {cause}"
    return Verdict(found.answer, found.problem, layer.name, why, remedy, _unit_warnings(layers))


def passage(rows: list[TrunkRow], input_one_minus_c: float) -> Passage:
    """What was measured along the trunk, in the terms of the rule."""
    first, _ = _first_gap(rows, input_one_minus_c)
    last = rows[-1].layer.one_minus_c
    told = first > 0.0 and math.isfinite(last)
    return Passage.of(
        [_log(math.prod(row.layer.shape) * row.layer.gradient) for row in rows],
        [_log(row.layer.mean_square) for row in rows],
        _log(last / first) if told else math.nan,
        normalised=[row.relative for row in rows],
    )


def _locate(
    found: Trainability, way: Passage, rows: list[TrunkRow], start: float
) -> tuple[LayerReport, str]:
    """The layer to blame for what the rule has found, and what happens there."""
    if found.problem == "collapsed inputs":
        return _collapse(rows, start)
    if found.problem.endswith("signal"):
        return _signal(rows)
    return _gradient(rows, relative=found.size == way.relative)


def _zero_signal(rows: list[TrunkRow]) -> Verdict | None:
    for row in rows:
        if row.layer.mean_square == 0.0:
            return Verdict(
                "no",
                "vanishing signal",
                row.layer.name,
                f"Its output is exactly zero (sigma_w = {_short(row.layer.sigma_w)}).",
                "Draw its weights again, for example with chione.torch.initialize_(model).",
            )
    return None


def _logs(rows: list[TrunkRow], *, relative: bool) -> list[float]:
    """Log G_l along the trunk, or log G_l q_l where the gradient is judged by the signal."""
    out = []
    for row in rows:
        layer = row.layer
        value = math.prod(layer.shape) * layer.gradient
        value *= layer.mean_square if relative or row.relative else 1.0
        out.append(_log(value))
    return out


def _gradient(rows: list[TrunkRow], *, relative: bool) -> tuple[LayerReport, str]:
    logs = _logs(rows, relative=relative)
    spans = [value - logs[-1] for value in logs]
    worst = int(np.argmax(spans if relative else np.abs(spans)))
    part = rows[worst:]
    steps = [a - b for a, b in zip(logs[worst:-1], logs[worst + 1 :], strict=True)]
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
    logs = [_log(row.layer.mean_square) for row in free]
    worst = max(range(len(logs)), key=lambda i: abs(logs[i] - logs[0]))
    k = _culprit([b - a for a, b in pairwise(logs)][:worst])
    layer = free[k + 1 if k is not None else 0].layer
    return layer, (
        f"The mean square of the signal changes by {_exp(logs[worst] - logs[0])} from "
        f"{free[0].layer.name!r} to {free[worst].layer.name!r}{_describe(layer)}."
    )


def _collapse(rows: list[TrunkRow], start: float) -> tuple[LayerReport, str]:
    first, at = _first_gap(rows, start)
    last = rows[-1].layer
    known = (row.layer for row in rows[at:] if row.layer.one_minus_c >= 0.0)
    layer = next((x for x in known if _log(x.one_minus_c / first) < -CAREFUL), last)
    return layer, (
        f"1 - c falls from {first:.3g} to {last.one_minus_c:.3g} at the end{_describe(layer)}."
    )


def _first_gap(rows: list[TrunkRow], start: float) -> tuple[float, int]:
    """1 - c at the input, or at the first row that has one."""
    if math.isfinite(start) and start > 0.0:
        return start, 0
    for i, row in enumerate(rows):
        if row.layer.one_minus_c > 0.0:
            return row.layer.one_minus_c, i
    return math.nan, 0


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


def _main_activation(layers: tuple[LayerReport, ...]) -> str | None:
    counted = Counter(layer.activation for layer in layers if layer.activation)
    return counted.most_common(1)[0][0] if counted else None


def _unit_warnings(layers: tuple[LayerReport, ...]) -> tuple[str, ...]:
    dead = [layer for layer in layers if math.isfinite(layer.dead) and layer.dead > 0.25]
    if not dead:
        return ()
    worst = max(dead, key=lambda layer: layer.dead)
    return (
        f"{worst.dead:.0%} of the units behind {worst.name!r} let no gradient through for any "
        f"input of the batch ({len(dead)} such layers).",
    )


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else _NOTHING


def _exp(x: float) -> str:
    return f"10^{x / math.log(10.0):.1f}" if abs(x) > 20 else f"{math.exp(x):.3g}"


def _short(x: float | None) -> str:
    return "none" if x is None else f"{x:.3g}"
