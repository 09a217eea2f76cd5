"""From numbers to a verdict: can it train, where does it go wrong, why, and what to do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chione.theory.depth.trainability import YES, trainability
from chione.torch.expected.layer_report import LayerReport
from chione.torch.inspection.copies import Copies
from chione.torch.inspection.parameter_report import ParameterReport
from chione.torch.inspection.remedies import remedy
from chione.torch.inspection.report import Verdict
from chione.torch.inspection.trunk_passage import TrunkRow, locate, passage
from chione.torch.inspection.verdict_copies import copied
from chione.torch.inspection.verdict_parameters import FIXES, no_gradient, parameter_notes

# Of 119 models of benchmarks/zoo those up to a swing of 1.2e3 train, those from 4e10 on do not.
_SWING, _INNER = 1e10, 1e4
_NEARLY_ALL = 0.9  # of the units of a layer


@dataclass(frozen=True)
class Known:
    """What is known of a model beside its rows.

    Parameters
    ----------
    parameters : tuple of ParameterReport
    awake : tuple of TrunkRow or None
        The trunk once layers that are zero at the start are not so any more; None if none is.
    copies : Copies
        Units and layers that are the same.
    swing : float
        Mean square by which the output differs between inputs.
    """

    parameters: tuple[ParameterReport, ...]
    awake: tuple[TrunkRow, ...] | None
    copies: Copies
    swing: float = math.nan


def judge(
    layers: tuple[LayerReport, ...],
    rows: tuple[TrunkRow, ...],
    input_one_minus_c: float,
    known: Known,
) -> Verdict:
    r"""The verdict on a network.

    First the parameters: each trainable one has to get a gradient, now or once others have moved.
    Then copies of units, which training cannot tell apart. Then the rule of
    :mod:`chione.theory.depth.trainability` along the trunk, with :math:`G_l = n_l g_l` the squared
    gradient of all units of a layer (times :math:`q_l` where a normalisation follows on every
    path). What is added here is the layer where it goes wrong, why, and what to do.
    """
    found = (
        no_gradient(known.parameters, layers)
        or copied(known.copies, layers, rows)
        or _sized(_trunk(layers, known.awake or rows, input_one_minus_c), layers, rows, known.swing)
        or no_gradient(known.parameters, layers, certain=False)
        or Verdict(YES)
    )
    warnings, notes = parameter_notes(known.parameters)
    warnings = (*_unit_warnings(layers), *warnings, *known.copies.warnings())
    return replace(
        found,
        warnings=(*found.warnings, *warnings),
        notes=(*found.notes, *notes, *known.copies.notes()),
    )


def _trunk(
    layers: Sequence[LayerReport], rows: Sequence[TrunkRow], input_one_minus_c: float
) -> Verdict | None:
    """What the rule says about the trunk, if it is not "yes"."""
    usable = [row for row in rows if math.isfinite(row.layer.gradient)]
    if not usable:
        if any(math.isfinite(layer.gradient) for layer in layers):
            return None
        return Verdict(
            "no",
            "no gradient",
            layers[0].name if layers else None,
            "No gradient reaches any layer: the output is detached from them.",
            "Remove no_grad or detach between the layers and the output.",
        )
    zero = _zero_signal(usable)
    if zero is not None:
        return zero
    way = passage(usable, input_one_minus_c)
    found = trainability(way)
    if found.answer == YES:
        return None
    layer, cause = locate(found, way, usable, input_one_minus_c)
    why = f"{found.reason} {cause}"
    if layer.dead > _NEARLY_ALL:
        why = (
            f"{layer.dead:.0%} of the units behind {layer.name!r} let no gradient through for any "
            f"input of the batch. {cause}"
        )
        return Verdict(found.answer, "dead units", layer.name, why, FIXES["dead units"])
    return Verdict(found.answer, found.problem, layer.name, why, remedy(found.problem, layers))


def _sized(
    found: Verdict | None,
    layers: Sequence[LayerReport],
    rows: Sequence[TrunkRow],
    swing: float,
) -> Verdict | None:
    """The verdict on the trunk, or that the output is too large for any learning rate.

    With n units of size h in front of the output, a step of Adam with learning rate r moves the
    output by n r h, which for r = 1e-4 has to be small beside 1.
    """
    if found is not None and found.trains == "no":
        return found
    rest = [row.layer for row in rows if not row.output and not row.relative]
    # Where several paths lead to the output, its size comes from what follows the last norm.
    norms = [i for i, layer in enumerate(layers) if layer.kind == "norm"]
    rest += layers[norms[-1] + 1 if norms else 0 : -1]
    inner = max((layer.mean_square for layer in rest), default=math.nan)
    if not (swing > _SWING and inner > _INNER):
        return found
    size = f"The output differs by {math.sqrt(swing):.1e} from input to input"
    if found is not None:
        cause = f"{found.cause} {size}: a small step of any optimiser moves it by more than 1."
        return replace(found, trains="no", cause=cause)
    worst = next(layer for layer in rest if layer.mean_square > _INNER)
    cause = (
        f"{size}, and the mean square of the signal is {worst.mean_square:.1e} here and "
        f"{inner:.1e} at most: a small step of any optimiser moves the output by more than 1."
    )
    problem = "exploding signal"
    return Verdict("no", problem, worst.name, cause, remedy(problem, layers))


def _zero_signal(rows: Sequence[TrunkRow]) -> Verdict | None:
    for row in rows:
        if row.layer.mean_square == 0.0:
            s = row.layer.sigma_w
            return Verdict(
                "no",
                "vanishing signal",
                row.layer.name,
                f"Its output is exactly zero (sigma_w = {'none' if s is None else f'{s:.3g}'}).",
                "Draw its weights again, for example with chione.torch.initialize_(model).",
            )
    return None


def _unit_warnings(layers: Sequence[LayerReport]) -> tuple[str, ...]:
    dead = [layer for layer in layers if math.isfinite(layer.dead) and layer.dead > 0.25]
    if not dead:
        return ()
    worst = max(dead, key=lambda layer: layer.dead)
    return (
        f"{worst.dead:.0%} of the units behind {worst.name!r} let no gradient through for any "
        f"input of the batch ({len(dead)} such layers).",
    )
