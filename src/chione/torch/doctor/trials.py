"""Try remedies on copies of a model, judge again, and say what each has brought."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch

from chione.base import ChioneError
from chione.torch.capture.state import preserved
from chione.torch.doctor.remedies import Remedy, initialised, no_recipe, remedies
from chione.torch.inspection.inspection import Loss, examine
from chione.torch.inspection.report import InspectionReport

_RANK = {"no": 0, "doubtful": 1, "yes": 2}
_WORDS = {"doubtful": "doubtful", "yes": "trainable"}


def remedy_of(
    model: torch.nn.Module, batch: Any, loss: Loss | None, report: InspectionReport, seed: int
) -> str:
    """What helps a model that does not train, in a sentence; or that nothing did."""
    rank, said, vain = _RANK[report.verdict.trains], "", []
    for remedy in remedies(report, batch, seed):
        found = _tried(model, batch, loss, remedy, seed)
        if found is None:
            continue
        after, more = found
        if _RANK[after.verdict.trains] <= rank:
            vain.append(remedy.name)
            continue
        rank = _RANK[after.verdict.trains]
        said = (
            f"{remedy.words}{more} {_change(report, after)}makes it {_WORDS[after.verdict.trains]}:"
            " tried on a copy."
        )
        if rank == _RANK["yes"]:
            break
    if not said:
        said = "No remedy could be tried on a copy."
        if vain:
            said = f"Tried on a copy without help: {', '.join(vain)}."
    return f"{no_recipe(report)} {said}".strip()


def rescue(model: torch.nn.Module, batch: Any, loss: Loss | None, seed: int) -> str:
    """Whether a new initialisation helps a model whose signals are not finite."""
    remedy = initialised(None, batch, seed)
    found = _tried(model, batch, loss, remedy, seed)
    if found is None or not found[0].verdict.trainable:
        return f"Tried on a copy without help: {remedy.name}."
    words = _WORDS[found[0].verdict.trains]
    return f"{remedy.words} makes it {words}: tried on a copy."


def _tried(
    model: torch.nn.Module, batch: Any, loss: Loss | None, remedy: Remedy, seed: int
) -> tuple[InspectionReport, str] | None:
    """The report on a copy with the remedy, and what it says; None where it cannot be tried."""
    with preserved(model):
        try:
            other = copy.deepcopy(model)
            more = remedy.apply(other)
            return examine(other, batch, loss, projections=1, seed=seed), more
        # Models that cannot be copied, or not be initialised, raise what they like.
        except (
            ChioneError, RuntimeError, ValueError, TypeError, LookupError, AttributeError,
            ArithmeticError,
        ):  # fmt: skip
            return None


def _change(before: InspectionReport, after: InspectionReport) -> str:
    """The quantity that was wrong, before and after."""
    problem, names = before.verdict.problem, {layer.name: layer for layer in after.layers}
    if problem.endswith("gradient") and problem != "no gradient":
        rows = [x for x in before.layers if x.gradient >= 0.0 and x.name in names]
        if len(rows) > 1:
            worst = max(rows, key=lambda x: abs(_log(x.gradient)))
            return _from_to(
                f"the mean-square gradient at {worst.name!r}",
                worst.gradient,
                names[worst.name].gradient,
            )
    elif problem.endswith("signal"):
        rows = [x for x in before.layers if x.name in names]
        worst = max(rows, key=lambda x: abs(_log(x.mean_square)))
        return _from_to(
            f"the mean square at {worst.name!r}", worst.mean_square, names[worst.name].mean_square
        )
    elif problem == "collapsed inputs":
        rows = [x for x in before.layers if x.name in names and math.isfinite(x.one_minus_c)]
        last = rows[-1]
        return _from_to(f"1 - c at {last.name!r}", last.one_minus_c, names[last.name].one_minus_c)
    return ""


def _from_to(what: str, before: float, after: float) -> str:
    return f"brings {what} from {before:.2g} to {after:.2g} and "


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -745.0
