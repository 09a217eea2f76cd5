"""What is set besides affine maps: tables, norms, heads of attention, recurrent cells."""

from __future__ import annotations

import math

import torch

from chione.torch.capture.nodes import Node
from chione.torch.initialisation.choices import branch_share, output_length
from chione.torch.initialisation.draft import Draft
from chione.torch.initialisation.laws import Axes, Law
from chione.torch.initialisation.lengths import STATE, Lengths
from chione.torch.initialisation.plan import Entry
from chione.torch.initialisation.targets import Target
from chione.torch.initialisation.uses import Use
from chione.torch.layers.entering import Embedding
from chione.torch.layers.joins import Sum
from chione.torch.layers.recurrent import Cells
from chione.torch.layers.tensors import Affine, Heads, Table

_ZEROS = Law("zeros")
# A branch that ends in a normalisation does not grow with its stream: R of them make it 1 + R times
# as long, and gradients shrink by as much, not exponentially (De & Smith 2020). e^3 of it is half
# of what plain gradient descent bears.
_GROWTH = 20.0


class Tables:
    """Embeddings: those that are added to each other share mean square 1."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._together = _together(draft)
        self._heads = {
            draft.names.get(id(use.node.weight.weight)): use
            for use in draft.around.uses.values()
            if use.node.weight is not None
        }

    def decide(self, node: Node) -> float | None:
        """The mean square that leaves an embedding that is set; None if it is left."""
        draft = self._draft
        table = node.tensors
        if not isinstance(table, Table):
            return None
        name = draft.names.get(id(table.weight))
        if name is None:
            draft.plan.leave(node.name, "its table is computed from other parameters")
            return None
        entry = draft.plan.entries.get(name)
        if entry is None:
            target = _plain(draft, name)
            reason = draft.reason_to_leave(name, target)
            if reason:
                draft.plan.leave(name, reason)
                return None
            draft.add(self._entry(node, name, table.weight))
            entry = draft.plan.entries.get(name)
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
            rows = self._draft.parameters[tied[0]].shape[0]
            std, share = _tied_std(self._draft, self._heads[tied[0]], rows, width, std)
            why = "embedding that is the output too: logits start beside a uniform guess"
            if name not in tied:
                why = "embedding: as long as the one it is added to"
        law = Law(
            "normal" if "orthogonal" in self._draft.options.law else (self._draft.options.law),
            std,
        )
        role = "tied" if tied else "fixed"
        return Entry(
            name, node.name, law, Axes(), std, length=std**2, role=role, share=share, reason=why
        )


def _tied_std(draft: Draft, use: Use, classes: int, width: int, most: float) -> tuple[float, float]:
    """Entries of a table that is the output too, and the power of them that logits grow with."""
    graph, wanted = draft.graph, output_length(classes) / width
    before = graph.seen_through(graph.nodes[use.node.parents[0]])
    if before.is_norm:
        return min(most, math.sqrt(wanted)), 1.0
    if isinstance(before.layer, Cells):
        return min(most, math.sqrt(wanted / STATE)), 1.0
    return min(most, (wanted / 2.0) ** 0.25), 2.0  # what enters has about twice their mean square


def _together(draft: Draft) -> dict[int, tuple[int, float, tuple[str, ...]]]:
    """For each embedding how many are summed with it, the factor on the sum, their names."""
    graph = draft.graph
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
                draft.names[id(t.weight)]
                for t in (graph.nodes[i].tensors for i in members[node.index])
                if isinstance(t, Table) and id(t.weight) in draft.names
            )
            factor = out[index][1] if index in out else 1.0
            if node.kind == "scale":
                factor *= node.layer.factor if factor == 1.0 else 1.0  # type: ignore[union-attr]
            out[index] = (len(members[node.index]), factor or 1.0, names)
    return out


def norm(draft: Draft, node: Node) -> float | None:
    """Gain 1 and no shift; less where more than ``_GROWTH`` residual branches end in one."""
    affine = node.tensors
    assert isinstance(affine, Affine)
    branch = draft.around.branches.get(node.index)
    name = affine.parameter
    if name is None or name not in draft.parameters:
        if branch is not None:
            draft.plan.leave(node.name, "a normalisation without gain ends a residual branch")
        return None
    gain, target = draft.parameters[name], _plain(draft, name)
    sums = max(draft.around.sums, 1)
    value = min(1.0, math.sqrt(_GROWTH / sums)) if branch is not None else 1.0
    why = (
        "gain of a normalisation"
        if branch is None
        else (f"gain of the normalisation that ends a branch, 1 of {sums}")
    )
    if name in draft.plan.entries:
        return value**2
    reason = draft.reason_to_leave(name, target)
    if not reason and branch is not None and not bool((gain.detach() + affine.offset).any()):
        reason = "zero on purpose: the residual branch starts as nothing"
    if reason:
        draft.plan.leave(name, reason)
        return float((gain.detach().double() + affine.offset).square().mean())
    shift = None if affine.shift is None else draft.names.get(id(affine.shift))
    held = float((gain.detach().double() + affine.offset - value).abs().max()) > 1e-6
    off = shift is not None and bool(draft.parameters[shift].detach().any())
    if held or off:
        law, bias = Law("constant", value - affine.offset), shift if off else None
        draft.add(
            Entry(name, node.name, law, Axes(), value, bias=bias, bias_law=_ZEROS, reason=why)
        )
    return value**2


def heads(draft: Draft, lengths: Lengths, node: Node, q: float) -> float:
    """Projections of ``multi_head_attention``: scores of mean square 1, values as they come."""
    found = node.tensors
    assert isinstance(found, Heads)
    entered = [lengths[p] for p in node.parents]
    branch, sums = draft.around.branches.get(node.index), max(draft.around.sums, 1)
    values = entered[-1]
    last, why = 1.0, "attention, output"
    if branch is not None:
        share = min(1.0, branch_share(sums, branch) / branch.factor**2) if branch.factor else 1.0
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
        _head(draft, node, name, sigma_w, blocks, why if end else "attention, input", end)
    for name in found.biases:
        _zero_bias(draft, node, name)
    return last**2 * values * (wanted[-1][1] ** 2 if joint else 1.0)


def _head(
    draft: Draft, node: Node, name: str, sigma_w: float, blocks: int, why: str, end: bool
) -> None:
    if name in draft.plan.entries:
        return
    target = _plain(draft, name)
    reason = draft.reason_to_leave(name, target)
    if not reason and end and target.is_zero and node.index in draft.around.branches:
        reason = "zero on purpose: the residual branch starts as nothing"
    if reason:
        draft.plan.leave(name, reason)
        return
    kind = draft.options.law
    kind = "orthogonal" if kind == "delta_orthogonal" else kind
    std = sigma_w / math.sqrt(draft.parameters[name].shape[1])
    draft.add(Entry(name, node.name, Law(kind, std), Axes(blocks=blocks), sigma_w, reason=why))


def _zero_bias(draft: Draft, node: Node, name: str) -> None:
    if draft.reason_to_leave_bias(name) or not bool(draft.parameters[name].detach().any()):
        return
    draft.add(Entry(name, node.name, _ZEROS, Axes(), 0.0, reason="bias of an attention"))


def _plain(draft: Draft, name: str) -> Target:
    path, _, leaf = name.rpartition(".")
    target = Target(draft.model.get_submodule(path), leaf, "plain")
    draft.targets.setdefault(name, target)
    return target


# ---- recurrent cells, and the rest ------------------------------------------------------------


def finish(draft: Draft) -> None:
    """Recurrent layers, and a note for each weight that nothing was said of."""
    for path, module in draft.model.named_modules():
        if isinstance(module, (torch.nn.RNNBase, torch.nn.RNNCellBase)):
            _recurrent(draft, path, module)
    _note_the_rest(draft)


def forget(bias: torch.Tensor) -> None:
    """One for the forget gate of an LSTM, so that cells remember; else zero."""
    size = bias.shape[0] // 4
    bias.zero_()
    bias[size : 2 * size] = 1.0


def _recurrent(draft: Draft, path: str, module: torch.nn.Module) -> None:
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
        name = draft.names.get(id(draft.parameters.get(name)), name)
        if name in draft.plan.entries or name not in draft.parameters:
            continue
        target = _plain(draft, name)
        reason = draft.reason_to_leave(name, target)
        if reason:
            draft.plan.leave(name, reason)
            continue
        p = draft.parameters[name]
        if leaf.startswith("bias"):
            first = lstm and leaf.startswith("bias_ih")
            law = Law("own", 0.0, forget) if first else _ZEROS
            why = forget.__doc__.rstrip(".") if first and forget.__doc__ else "recurrent bias"
            draft.add(Entry(name, path, law, Axes(), 0.0, reason=why))
            continue
        states = leaf.startswith(("weight_hh", "weight_hr"))
        if states:
            sigma_w, why = 1.0, "each gate an isometry of the state"
            kind, blocks = "orthogonal", 1 if leaf.startswith("weight_hr") else gates
        else:
            q = draft.entering.get(path, 1.0) if _is_first(leaf) else 1.0
            sigma_w, why = 1.0 / math.sqrt(q), "brings the input of each gate to mean square 1"
            kind, blocks = draft.options.law, gates
            kind = "orthogonal" if kind == "delta_orthogonal" else kind
        if relu and not states:
            why = "brings the input to mean square 1"
        std = sigma_w / math.sqrt(p.shape[1])
        draft.add(Entry(name, path, Law(kind, std), Axes(blocks=blocks), sigma_w, reason=why))


def _is_first(leaf: str) -> bool:
    return leaf == "weight_ih" or leaf.startswith("weight_ih_l0")


def _note_the_rest(draft: Draft) -> None:
    plan = draft.plan
    done = {id(draft.parameters[n]) for n in plan.entries if n in draft.parameters}
    for name in plan.entries:
        target = draft.targets.get(name)
        if target is not None:
            done |= {id(p) for p in target.parameters}
    for entry in plan.entries.values():
        if entry.bias is not None:
            done.add(id(draft.parameters[entry.bias]))
    told = {name for name, _ in plan.left}
    for path, module in draft.model.named_modules():
        for leaf, p in module._parameters.items():
            name = f"{path}.{leaf}".lstrip(".")
            if p is None or id(p) in done or path in told or name in told:
                continue
            if not p.requires_grad:
                plan.leave(name, "it takes no gradient (requires_grad is False)")
            elif p.dim() >= 2:
                plan.leave(name, f"no rule for {type(module).__name__}, or it did not run")
