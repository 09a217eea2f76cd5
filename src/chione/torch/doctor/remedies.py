"""What may help a model that does not train, as changes that can be made to a copy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from chione.activations import AbstractActivation
from chione.base import SpecError
from chione.theory.critical.affine_solutions import AffineSolution, critical_affine
from chione.theory.moments.moments import moments
from chione.torch.capture.elementwise import is_elementwise
from chione.torch.capture.identify import looked_up
from chione.torch.expected.layer_report import LayerReport
from chione.torch.initialisation.changes import InitializationReport, LayerChange
from chione.torch.initialisation.initialize import initialize_
from chione.torch.initialisation.tensors import normal_
from chione.torch.inspection.report import InspectionReport
from chione.torch.recommendation.gains import as_activation
from chione.torch.recommendation.recipes import recipe

_APART = 3.0  # a layer is unlike the others if its sigma is off by this factor
_SMALL = 0.05  # a relative change of sigma_w that is not worth a word


@dataclass(frozen=True)
class Remedy:
    """Something to do about a model.

    Parameters
    ----------
    words : str
        What is done, as the subject of a sentence.
    apply : callable
        Does it to a copy of the model; returns what there is to add, such as ": it sets ... and".
    name : str
        What it is called where it did not help.
    """

    words: str
    apply: Callable[[torch.nn.Module], str]
    name: str


def remedies(report: InspectionReport, batch: Any, seed: int) -> list[Remedy]:
    """What to try, the smallest change first."""
    new = [initialised(report, batch, seed), *normalised(report), *replaced(report, seed)]
    return [*one_layer(report), *unbiased(report), *new]


def initialised(report: InspectionReport | None, batch: Any, seed: int) -> Remedy:
    """A new initialisation of the whole model."""

    def apply(model: torch.nn.Module) -> str:
        done = initialize_(model, batch, generator=torch.Generator().manual_seed(seed))
        return "" if report is None else _set(report, done)

    return Remedy("chione.torch.initialize_(model, batch)", apply, "chione.torch.initialize_")


def _set(report: InspectionReport, done: InitializationReport) -> str:
    """Where the new sigmas differ most from those that were there."""
    before = {layer.name: layer for layer in report.layers}
    groups: dict[tuple[str, str | None], list[tuple[LayerReport, LayerChange]]] = {}
    for change in done.changes:
        found = before.get(change.name)
        if found is not None and found.sigma_w:
            key = change.reason.partition(",")[0], change.activation
            groups.setdefault(key, []).append((found, change))
    if not groups:
        return ""

    def gap(group: list[tuple[LayerReport, LayerChange]]) -> float:
        return sum(
            abs(math.log(max(change.sigma_w, 1e-300) / (found.sigma_w or 1.0)))
            for found, change in group
        )

    (reason, activation), group = max(groups.items(), key=lambda item: gap(item[1]))
    sigma_w = statistics.median(change.sigma_w for _, change in group)
    sigma_b = statistics.median(change.sigma_b for _, change in group)
    if activation is not None and "branch" not in reason:
        return f": for {activation} it sets sigma_w = {sigma_w:.4g}, sigma_b = {sigma_b:.3g}, and"
    count = f"in {len(group)} layers" if len(group) > 1 else f"in {group[0][1].name!r}"
    found_w = statistics.median(found.sigma_w or 0.0 for found, _ in group)
    found_b = statistics.median(found.sigma_b or 0.0 for found, _ in group)
    change_said = f"sigma_w = {sigma_w:.3g} in place of {found_w:.3g}"
    if gap(group) < _SMALL * len(group):
        change_said = f"sigma_b = {sigma_b:.3g} in place of {found_b:.3g}"
    return f": {count} it sets {change_said} ({reason}), and"


def one_layer(report: InspectionReport) -> list[Remedy]:
    """Scale the layer that is blamed to what the others have."""
    blamed = next((x for x in report.layers if x.name == report.verdict.layer), None)
    if blamed is None or blamed.sigma_w is None:
        return []
    out = []
    usual = _usual(report, blamed)
    if usual and blamed.sigma_w and not 1.0 / _APART < blamed.sigma_w / usual < _APART:
        factor = usual / blamed.sigma_w
        words = (
            f"Multiplying the weights of {blamed.name!r} by {factor:.3g}, which gives them the "
            f"sigma_w = {usual:.3g} that is usual here,"
        )
        out.append(Remedy(words, _scaling(blamed.name, factor), f"scaling {blamed.name!r}"))
    return out


def unbiased(report: InspectionReport) -> list[Remedy]:
    """Take away the biases of layers whose units they hold where nothing passes."""
    names = [
        x.name for x in report.layers if x.sigma_b and (x.dead > 0.25 or x.saturation > 0.9)
    ]  # fmt: skip
    if not names:
        return []

    def apply(model: torch.nn.Module) -> str:
        with torch.no_grad():
            for name in names:
                _parameter(model, name, "bias").zero_()
        return ""

    where = (
        f"of {names[0]!r}" if len(names) == 1 else f"of {len(names)} layers from {names[0]!r} on"
    )
    return [Remedy(f"Taking away the biases {where}", apply, f"no biases {where}")]


def _usual(report: InspectionReport, blamed: LayerReport) -> float:
    """The median sigma_w of the other layers of its kind; 0 without any."""
    others = [
        x.sigma_w
        for x in report.layers
        if x is not blamed and x.kind == blamed.kind and x.sigma_w
    ]  # fmt: skip
    return statistics.median(others) if others else 0.0


def _scaling(name: str, factor: float) -> Callable[[torch.nn.Module], str]:
    def apply(model: torch.nn.Module) -> str:
        with torch.no_grad():
            _parameter(model, name, "weight").mul_(factor)
        return ""

    return apply


def _parameter(model: torch.nn.Module, name: str, leaf: str) -> torch.nn.Parameter:
    """A parameter of the module of a row; LookupError where the row is no module with one."""
    found = dict(model.named_parameters(remove_duplicate=False))
    for full in (f"{name.partition(' (')[0]}.{leaf}", leaf if name == "affine" else name):
        if full in found:
            return found[full]
    raise LookupError(full)


def normalised(report: InspectionReport) -> list[Remedy]:
    """A normalisation between each affine map and its activation, where none stands."""
    names = [x.name for x in report.layers if x.kind == "affine" and x.activation is not None]
    if not names or any(x.kind == "norm" for x in report.layers):
        return []

    def apply(model: torch.nn.Module) -> str:
        modules = dict(model.named_modules())
        for name in names:
            modules[name].register_forward_hook(_norm)  # KeyError where the row is no module
        return ""

    return [
        Remedy("A normalisation before each activation (such as LayerNorm)", apply, "normalisation")
    ]


def _norm(module: torch.nn.Module, args: Any, out: torch.Tensor) -> torch.Tensor:
    if isinstance(module, torch.nn.modules.conv._ConvNd):
        return torch.nn.functional.group_norm(out, 1)
    return torch.nn.functional.layer_norm(out, out.shape[-1:])


def main_activation(report: InspectionReport) -> str | None:
    """The activation that most layers have."""
    names = [layer.activation for layer in report.layers if layer.activation]
    return statistics.mode(names) if names else None


def replaced(report: InspectionReport, seed: int) -> list[Remedy]:
    """An affine change of an activation that no initialisation helps, with its own sigmas."""
    phi = _activation(main_activation(report))
    if phi is None or recipe(phi, 50).exists or moments(phi).has_jumps:
        return []
    rows = [x.name for x in report.layers if x.sigma_w is not None and x.activation == phi.name]
    return [_replacement(phi, found, rows, seed) for found in critical_affine(phi)[:1]]


def _replacement(
    phi: AbstractActivation, found: AffineSolution, rows: list[str], seed: int
) -> Remedy:
    def apply(model: torch.nn.Module) -> str:
        generator = torch.Generator().manual_seed(seed)
        for name in rows:
            normal_(_parameter(model, name, "weight").data, found.sigma_w, generator=generator)
            with torch.no_grad():
                _parameter(model, name, "bias").normal_(0.0, found.sigma_b, generator=generator)
        changed = [m for m in model.modules() if not list(m.children()) and _is(m, phi)]
        for module in changed:
            module.register_forward_pre_hook(lambda m, args: (args[0] + found.shift,))
            module.register_forward_hook(lambda m, args, out: found.scale * out + found.offset)
        if not changed:
            raise LookupError(phi.name)
        return ""

    words = (
        f"Replacing {phi} by {found.scale:.6g} * {phi}(x {found.shift:+.6g}) {found.offset:+.6g}, "
        f"with weights of sigma_w = {found.sigma_w:.4g} and biases of sigma_b = {found.sigma_b:.3g}"
        " before it,"
    )
    return Remedy(words, apply, f"an affine change of {phi}")


def _is(module: torch.nn.Module, phi: AbstractActivation) -> bool:
    if not is_elementwise(module):
        return False
    found = looked_up(module.forward)[0]
    return found is not None and found.name == phi.name


def no_recipe(report: InspectionReport) -> str:
    """That no initialisation helps an activation, in theory; empty where one does."""
    phi = _activation(main_activation(report))
    if phi is None or recipe(phi, 50).exists:
        return ""
    return f"No initialisation keeps both signals and gradients through many layers of {phi}."


def _activation(name: str | None) -> AbstractActivation | None:
    try:
        return None if name is None else as_activation(name)
    except (SpecError, ValueError):  # a name that was read off a module
        return None
