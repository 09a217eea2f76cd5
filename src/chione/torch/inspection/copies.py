"""Units that are copies of each other, and layers that are: training treats copies alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from chione.torch.capture.gradients import Gradients
from chione.torch.capture.nodes import Graph
from chione.torch.layers.tensors import spread

_FIRST = 8  # entries that tell most rows and tensors apart
_EQUAL = 1e-5  # relative difference below which two rows are the same in float32
_SHOWN = 3


@dataclass(frozen=True)
class CopiedUnits:
    """A layer whose units are copies.

    Parameters
    ----------
    name : str
        Its weight.
    units, different : int
        Number of its units, and of those that differ.
    """

    name: str
    units: int
    different: int


@dataclass(frozen=True)
class Copies:
    """What is the same.

    Parameters
    ----------
    units : tuple of CopiedUnits
    layers : tuple of tuple of str
        Groups of modules that hold the same weights in tensors of their own.
    """

    units: tuple[CopiedUnits, ...] = ()
    layers: tuple[tuple[str, ...], ...] = ()

    def later(self, after: Copies) -> Copies:
        """The layers that are the same now, the units that still are after some steps."""
        return Copies(after.units, self.layers)

    def notes(self) -> tuple[str, ...]:
        """What follows of layers that are copies."""
        return tuple(
            f"{_list(group)} are copies of each other: they start with the same weights. Theory "
            "assumes independent weights, so what was measured differs from it; training moves "
            "them apart."
            for group in self.layers
        )

    def warnings(self) -> tuple[str, ...]:
        """What follows of units of which some are copies."""
        return tuple(
            f"Of {c.units} units of {c.name!r} only {c.different} differ; copies get the same "
            "gradient and stay copies."
            for c in self.units
            if c.different > 1
        )


def _list(names: tuple[str, ...]) -> str:
    shown = ", ".join(repr(n) for n in names[:_SHOWN])
    rest = len(names) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def copies(
    parameters: Mapping[str, torch.nn.Parameter], gradients: Gradients, graph: Graph
) -> Copies:
    """Find both kinds among the parameters that were used.

    Units are copies where their weights, their biases and the gradients of these are the same: two
    units with equal weights that are read by different ones move apart.
    """
    used = {n: p for n, p in parameters.items() if id(p) in graph.cuts.used}
    swapped, biases = _kinds(graph)
    units = []
    for name, parameter in used.items():
        found = _copied_units(
            parameter, gradients.get(name), used.get(biases.get(name, "")), name in swapped
        )
        if found is not None:
            units.append(CopiedUnits(name, *found))
    return Copies(tuple(units), _copied_layers(used))


def _kinds(graph: Graph) -> tuple[set[str], dict[str, str]]:
    """Weights whose units stand on the second axis, and the biases that belong to weights."""
    swapped, biases = set(), {}
    for node in graph.nodes:
        weight = node.weight
        if weight is None or weight.parameter is None:
            continue
        if weight.transposed:
            swapped.add(weight.parameter)
        if weight.bias_parameter is not None:
            biases[weight.parameter] = weight.bias_parameter
    return swapped, biases


def _copied_units(
    weight: torch.Tensor, gradient: torch.Tensor | None, bias: torch.Tensor | None, swapped: bool
) -> tuple[int, int] | None:
    """Number of units, and of those that differ, if some are copies."""
    if weight.dim() < 2 or gradient is None or gradient.is_sparse or weight.is_complex():
        return None
    w, g = _rows(weight, swapped), _rows(gradient, swapped)
    if len(w) < 2 or len(w) != len(g) or _differ_at_once(w) or not bool((g != 0).any()):
        return None
    marks = [_mark(w)]
    if bias is not None and bias.numel() == len(w):
        marks.append(bias.detach().double())
    if len(_different(marks)) == len(w):
        return None
    different = _different([*marks, _mark(g)])
    return None if len(different) == len(w) else (len(w), len(different))


def _rows(x: torch.Tensor, swapped: bool) -> torch.Tensor:
    x = x.detach()
    return (x.transpose(0, 1) if swapped else x).reshape(x.shape[1 if swapped else 0], -1)


def _differ_at_once(rows: torch.Tensor) -> bool:
    """Whether the first two entries tell all rows apart, as nearly always: no more is read then."""
    first = rows[:, :2].double()
    steps = (first / first.abs().max().clamp_min(1e-300) / _EQUAL).round().long()
    keys = steps @ torch.tensor([round(4.0 / _EQUAL), 1][: steps.shape[1]], device=rows.device)
    return len(torch.unique(keys)) == len(rows)


def _mark(rows: torch.Tensor) -> torch.Tensor:
    """One number for each row, the same for equal rows and different for others."""
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(rows.shape[1], generator=generator).to(rows.device).double()
    return rows.double() @ v


def _different(marks: list[torch.Tensor]) -> torch.Tensor:
    """The distinct rows of some marks, each relative to the largest of its kind."""
    columns = [m / m.abs().max().clamp_min(1e-300) for m in marks]
    out: torch.Tensor = torch.unique(torch.stack(columns, dim=1).div(_EQUAL).round(), dim=0)
    return out


def _copied_layers(used: Mapping[str, torch.nn.Parameter]) -> tuple[tuple[str, ...], ...]:
    """Modules that hold equal weights which are not constant."""
    by_start: dict[tuple[object, ...], list[str]] = {}
    for name, parameter in used.items():
        if parameter.dim() < 2 or parameter.numel() < 4 or parameter.is_complex():
            continue
        start = parameter.detach().flatten()[:_FIRST].tolist()
        by_start.setdefault((tuple(parameter.shape), *start), []).append(name)
    groups: dict[tuple[str, ...], None] = {}
    for names in by_start.values():
        if len(names) < 2:
            continue
        found = spread(used[names[0]].detach())
        if found.std <= _EQUAL * math.sqrt(found.mean_square):
            continue  # constant: zeros, ones
        same = [n for n in names if torch.equal(used[n], used[names[0]])]
        if len(same) > 1:
            groups[_modules(same)] = None
    return tuple(groups)


def _modules(names: list[str]) -> tuple[str, ...]:
    """The modules of parameters with one role: their names without the end that is the same."""
    parts = [name.split(".") for name in names]
    while all(len(p) > 1 for p in parts) and len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    return tuple(".".join(p) for p in parts)
