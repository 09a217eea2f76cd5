"""The verdict on parameters: who gets no gradient, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

from chione.torch.expected.layer_report import LayerReport
from chione.torch.inspection.parameter_report import ParameterReport
from chione.torch.inspection.report import Verdict

_SHOWN = 4  # names in a sentence; all of them are in the fields
_MUCH = 0.1  # share of what is trainable without which a model is not what is trained

_PASS = "Let the gradient pass there, or freeze these parameters if that is meant."
_SLOPE = "Use a function with a slope there, or pass the gradient straight through."
FIXES = {
    "detached": _PASS,
    "no_grad": _PASS,
    "no derivative": _SLOPE,
    "derivative zero": _SLOPE,
    "reentrant checkpoint": "Pass use_reentrant=False to torch.utils.checkpoint.checkpoint.",
    "zero product": "Draw one factor of each product anew, so that it is not zero.",
    "dead units": "Draw the weights of that layer anew, or raise its biases.",
    "frozen": "Set requires_grad on what is to be trained.",
}


def no_gradient(
    parameters: Sequence[ParameterReport], layers: Sequence[LayerReport], *, certain: bool = True
) -> Verdict | None:
    """The verdict where trainable parameters get no gradient and never will.

    `certain` asks only for those whose reason was found: a gradient that is too small for the
    numbers is told by the layers on its way.
    """
    if parameters and all(p.status == "frozen" for p in parameters):
        return Verdict(
            "no", "no gradient", None,
            "All parameters are frozen (requires_grad is False), so nothing can be trained.",
            FIXES["frozen"],
        )  # fmt: skip
    trainable = [p for p in parameters if p.trainable]
    lost = [p for p in trainable if p.status in ("cut", "stuck")]
    if certain:
        lost = [p for p in lost if p.status == "cut" or p.cause != "unknown"]
    if not lost:
        return None
    share = sum(p.numel for p in lost) / max(sum(p.numel for p in trainable), 1)
    first = lost[0]
    cause = (
        f"No gradient ever reaches {_names([p.name for p in lost])} ({share:.0%} of what is to be "
        f"trained). Of {first.name!r}: {first.reason}."
    )
    return Verdict(
        "no" if share >= _MUCH else "doubtful",
        "dead units" if first.cause == "dead units" else "no gradient",
        first.place or _layer_of(first, layers),
        cause,
        FIXES.get(first.cause, "Look at what stands between these parameters and the output."),
        parameters=tuple(p.name for p in lost),
    )


def parameter_notes(
    parameters: Sequence[ParameterReport],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Warnings and notes on parameters that are no obstacle."""
    by: dict[str, list[str]] = {}
    for p in parameters:
        by.setdefault(p.status, []).append(p.name)
    warnings, notes = [], []
    if "unused" in by:
        warnings.append(f"Not used in this forward pass: {_names(by['unused'])}.")
    if "no effect" in by:
        reasons = {p.name: p.reason for p in parameters if p.status == "no effect"}
        for reason in dict.fromkeys(reasons.values()):
            names = [n for n in by["no effect"] if reasons[n] == reason]
            warnings.append(f"No gradient for {_names(names)}: {reason}.")
    if "waits" in by:
        waits = [p for p in parameters if p.status == "waits"]
        steps = max((p.steps for p in waits), default=1)
        notes.append(
            f"Identity at the start: {_names(by['waits'])} get no gradient yet, since what they "
            f"are multiplied by is zero; looking ahead, all of them do after {steps} "
            f"step{'s' if steps > 1 else ''}."
        )
    if "frozen" in by and len(by["frozen"]) < len(parameters):
        size = sum(p.numel for p in parameters if p.status == "frozen")
        whole = sum(p.numel for p in parameters)
        notes.append(
            f"Frozen, and judged as such: {len(by['frozen'])} parameters ({size / whole:.0%} of "
            "all entries)."
        )
    return tuple(warnings), tuple(notes)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:_SHOWN])
    rest = len(names) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def _layer_of(parameter: ParameterReport, layers: Sequence[LayerReport]) -> str | None:
    module = parameter.name.rpartition(".")[0]
    names = [layer.name for layer in layers]
    return module if module in names else (module or parameter.name)
