"""What is set besides affine maps: tables, norms, heads of attention, recurrent cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from chione.torch.capture.nodes import Node
from chione.torch.initialisation.choices import branch_share, output_length
from chione.torch.initialisation.laws import Axes, Law
from chione.torch.initialisation.lengths import STATE, Lengths
from chione.torch.initialisation.plan import Entry
from chione.torch.initialisation.targets import Target
from chione.torch.layers.entering import Embedding
from chione.torch.layers.joins import Sum
from chione.torch.layers.recurrent import Cells
from chione.torch.layers.tensors import Affine, Heads, Table

if TYPE_CHECKING:
    from chione.torch.initialisation.planner import Planner
    from chione.torch.initialisation.uses import Use

_ZEROS = Law("zeros")
# A branch that ends in a normalisation does not grow with its stream: R of them make it 1 + R times
# as long, and gradients shrink by as much, not exponentially (De & Smith 2020). e^3 of it is half
# of what plain gradient descent bears.
_GROWTH = 20.0


class Tables:
    """Embeddings: those that are added to each other share mean square 1."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._together = _together(planner)
        self._heads = {
            planner.names.get(id(use.node.weight.weight)): use
            for use in planner.around.uses.values()
            if use.node.weight is not None
        }

    def decide(self, node: Node) -> float | None:
        """The mean square that leaves an embedding that is set; None if it is left."""
        planner = self._planner
        table = node.tensors
        if not isinstance(table, Table):
            return None
        name = planner.names.get(id(table.weight))
        if name is None:
            planner.plan.leave(node.name, "its table is computed from other parameters")
            return None
        entry = planner.plan.entries.get(name)
        if entry is None:
            target = _plain(planner, name)
            reason = planner.reason_to_leave(name, target)
            if reason:
                planner.plan.leave(name, reason)
                return None
            planner.add(self._entry(node, name, table.weight))
            entry = planner.plan.entries.get(name)
        return None if entry is None else entry.law.scale**2

    def _entry(self, node: Node, name: str, weight: torch.Tensor) -> Entry:
        count = self._together[node.index]
        std, why = 1.0 / math.sqrt(count[0]) / count[1], "embedding: the stream starts at 1"
        if count[0] > 1:
            why += f", {count[0]} tables together"
        width = weight.shape[-1]
        tied = [n for n in (name, *count[2]) if n in self._heads]
        share = math.nan
        if tied:
            rows = self._planner.parameters[tied[0]].shape[0]
            std, share = _tied_std(self._planner, self._heads[tied[0]], rows, width, std)
            why = "embedding that is the output too: logits start beside a uniform guess"
            if name not in tied:
                why = "embedding: as long as the one it is added to"
        law = Law(
            "normal" if "orthogonal" in self._planner.options.law else (self._planner.options.law),
            std,
        )
        role = "tied" if tied else "fixed"
        return Entry(
            name, node.name, law, Axes(), std, length=std**2, role=role, share=share, reason=why
        )


def _tied_std(
    planner: Planner, use: Use, classes: int, width: int, most: float
) -> tuple[float, float]:
    """Entries of a table that is the output too, and the power of them that logits grow with."""
    graph, wanted = planner.graph, output_length(classes) / width
    before = graph.seen_through(graph.nodes[use.node.parents[0]])
    if before.is_norm:
        return min(most, math.sqrt(wanted)), 1.0
    if isinstance(before.layer, Cells):
        return min(most, math.sqrt(wanted / STATE)), 1.0
    return min(most, (wanted / 2.0) ** 0.25), 2.0  # what enters has about twice their mean square


def _together(planner: Planner) -> dict[int, tuple[int, float, tuple[str, ...]]]:
    """For each embedding how many are summed with it, the factor on the sum, their names."""
    graph = planner.graph
    members: dict[int, frozenset[int]] = {}
    out: dict[int, tuple[int, float, tuple[str, ...]]] = {}
    for node in graph.nodes:
        if isinstance(node.layer, Embedding):
            members[node.index] = frozenset([node.index])
        elif node.looked_through and node.parents and node.parents[0] in members:
            members[node.index] = members[node.parents[0]]
        elif isinstance(node.layer, Sum) and all(p in members for p in node.parents):
            members[node.index] = frozenset().union(*(members[p] for p in node.parents))
        else:
            continue
        for index in members[node.index]:
            names = tuple(
                planner.names[id(t.weight)]
                for t in (graph.nodes[i].tensors for i in members[node.index])
                if isinstance(t, Table) and id(t.weight) in planner.names
            )
            factor = out[index][1] if index in out else 1.0
            if node.kind == "scale":
                factor *= node.layer.factor if factor == 1.0 else 1.0  # type: ignore[union-attr]
            out[index] = (len(members[node.index]), factor or 1.0, names)
    return out


def norm(planner: Planner, node: Node) -> float | None:
    """Gain 1 and no shift; less where more than ``_GROWTH`` residual branches end in one."""
    affine = node.tensors
    assert isinstance(affine, Affine)
    branch = planner.around.branches.get(node.index)
    name = affine.parameter
    if name is None or name not in planner.parameters:
        if branch is not None:
            planner.plan.leave(node.name, "a normalisation without gain ends a residual branch")
        return None
    gain, target = planner.parameters[name], _plain(planner, name)
    sums = max(planner.around.sums, 1)
    value = min(1.0, math.sqrt(_GROWTH / sums)) if branch is not None else 1.0
    why = (
        "gain of a normalisation"
        if branch is None
        else (f"gain of the normalisation that ends a branch, 1 of {sums}")
    )
    if name in planner.plan.entries:
        return value**2
    reason = planner.reason_to_leave(name, target)
    if not reason and branch is not None and not bool((gain.detach() + affine.offset).any()):
        reason = "zero on purpose: the residual branch starts as nothing"
    if reason:
        planner.plan.leave(name, reason)
        return float((gain.detach().double() + affine.offset).square().mean())
    shift = None if affine.shift is None else planner.names.get(id(affine.shift))
    held = float((gain.detach().double() + affine.offset - value).abs().max()) > 1e-6
    off = shift is not None and bool(planner.parameters[shift].detach().any())
    if held or off:
        law, bias = Law("constant", value - affine.offset), shift if off else None
        planner.add(
            Entry(name, node.name, law, Axes(), value, bias=bias, bias_law=_ZEROS, reason=why)
        )
    return value**2


def heads(planner: Planner, lengths: Lengths, node: Node, q: float) -> float:
    """Projections of ``multi_head_attention``: scores of mean square 1, values as they come."""
    found = node.tensors
    assert isinstance(found, Heads)
    entered = [lengths[p] for p in node.parents]
    branch, sums = planner.around.branches.get(node.index), max(planner.around.sums, 1)
    values = entered[-1]
    last, why = 1.0, "attention, output"
    if branch is not None:
        share = min(1.0, branch_share(sums) / branch.factor**2) if branch.factor else 1.0
        last = math.sqrt(share * lengths[branch.stream] / values)
        why = f"end of a residual branch, 1 of {sums}"
    joint = len(found.inputs) == 1
    wanted = (
        [(found.inputs[0], 1.0 / math.sqrt(q) if abs(q - 1.0) > 0.5 else 1.0, 3)]
        if joint
        else [
            (name, 1.0 / math.sqrt(entered[min(i, 2)]) if i < 2 else 1.0, 1)
            for i, name in enumerate(found.inputs)
        ]
    )
    if joint:
        last *= 1.0 if wanted[0][1] == 1.0 else math.sqrt(q)
    for name, sigma_w, blocks in (*wanted, (found.output, last, 1)):
        end = name == found.output
        _head(planner, node, name, sigma_w, blocks, why if end else "attention, input", end)
    for name in found.biases:
        _zero_bias(planner, node, name)
    return last**2 * values * (wanted[-1][1] ** 2 if joint else 1.0)


def _head(
    planner: Planner, node: Node, name: str, sigma_w: float, blocks: int, why: str, end: bool
) -> None:
    if name in planner.plan.entries:
        return
    target = _plain(planner, name)
    reason = planner.reason_to_leave(name, target)
    if not reason and end and target.is_zero and node.index in planner.around.branches:
        reason = "zero on purpose: the residual branch starts as nothing"
    if reason:
        planner.plan.leave(name, reason)
        return
    kind = planner.options.law
    kind = "orthogonal" if kind == "delta_orthogonal" else kind
    std = sigma_w / math.sqrt(planner.parameters[name].shape[1])
    planner.add(Entry(name, node.name, Law(kind, std), Axes(blocks=blocks), sigma_w, reason=why))


def _zero_bias(planner: Planner, node: Node, name: str) -> None:
    if planner.reason_to_leave_bias(name) or not bool(planner.parameters[name].detach().any()):
        return
    planner.add(Entry(name, node.name, _ZEROS, Axes(), 0.0, reason="bias of an attention"))


def _plain(planner: Planner, name: str) -> Target:
    path, _, leaf = name.rpartition(".")
    target = Target(planner.model.get_submodule(path), leaf, "plain")
    planner.targets.setdefault(name, target)
    return target


# ---- recurrent cells, and the rest ------------------------------------------------------------


def finish(planner: Planner) -> None:
    """Recurrent layers, and a note for each weight that nothing was said of."""
    for path, module in planner.model.named_modules():
        if isinstance(module, (torch.nn.RNNBase, torch.nn.RNNCellBase)):
            _recurrent(planner, path, module)
    _note_the_rest(planner)


def forget(bias: torch.Tensor) -> None:
    """One for the forget gate of an LSTM, so that cells remember; else zero."""
    size = bias.shape[0] // 4
    bias.zero_()
    bias[size : 2 * size] = 1.0


def _recurrent(planner: Planner, path: str, module: torch.nn.Module) -> None:
    """Isometries for each gate on the state; inputs of mean square 1 for each gate."""
    lstm = isinstance(module, (torch.nn.LSTM, torch.nn.LSTMCell))
    gru = isinstance(module, (torch.nn.GRU, torch.nn.GRUCell))
    gates = 4 if lstm else 3 if gru else 1
    relu = (
        not lstm
        and not gru
        and getattr(module, "nonlinearity", getattr(module, "mode", "")) in ("relu", "RNN_RELU")
    )
    for leaf in module._parameters:
        name = f"{path}.{leaf}".lstrip(".")
        name = planner.names.get(id(planner.parameters.get(name)), name)
        if name in planner.plan.entries or name not in planner.parameters:
            continue
        target = _plain(planner, name)
        reason = planner.reason_to_leave(name, target)
        if reason:
            planner.plan.leave(name, reason)
            continue
        p = planner.parameters[name]
        if leaf.startswith("bias"):
            first = lstm and leaf.startswith("bias_ih")
            law = Law("own", 0.0, forget) if first else _ZEROS
            why = forget.__doc__.rstrip(".") if first and forget.__doc__ else "recurrent bias"
            planner.add(Entry(name, path, law, Axes(), 0.0, reason=why))
            continue
        states = leaf.startswith(("weight_hh", "weight_hr"))
        if states:
            sigma_w, why = 1.0, "each gate an isometry of the state"
            kind, blocks = "orthogonal", 1 if leaf.startswith("weight_hr") else gates
        else:
            q = planner.entering.get(path, 1.0) if _is_first(leaf) else 1.0
            sigma_w, why = 1.0 / math.sqrt(q), "brings the input of each gate to mean square 1"
            kind, blocks = planner.options.law, gates
            kind = "orthogonal" if kind == "delta_orthogonal" else kind
        if relu and not states:
            why = "brings the input to mean square 1"
        std = sigma_w / math.sqrt(p.shape[1])
        planner.add(Entry(name, path, Law(kind, std), Axes(blocks=blocks), sigma_w, reason=why))


def _is_first(leaf: str) -> bool:
    return leaf == "weight_ih" or leaf.startswith("weight_ih_l0")


def _note_the_rest(planner: Planner) -> None:
    plan = planner.plan
    done = {id(planner.parameters[n]) for n in plan.entries if n in planner.parameters}
    for name in plan.entries:
        target = planner.targets.get(name)
        if target is not None:
            done |= {id(p) for p in target.parameters}
    for entry in plan.entries.values():
        if entry.bias is not None:
            done.add(id(planner.parameters[entry.bias]))
    told = {name for name, _ in plan.left}
    for path, module in planner.model.named_modules():
        for leaf, p in module._parameters.items():
            name = f"{path}.{leaf}".lstrip(".")
            if p is None or id(p) in done or path in told or name in told:
                continue
            if not p.requires_grad:
                plan.leave(name, "it takes no gradient (requires_grad is False)")
            elif p.dim() >= 2:
                plan.leave(name, f"no rule for {type(module).__name__}, or it did not run")
