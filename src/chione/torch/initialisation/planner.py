"""Decide for each weight on the way through the graph; nothing is written here."""

from __future__ import annotations

import math
from collections import Counter

import torch

from chione.activations import AbstractActivation
from chione.torch.capture.nodes import Graph, Node
from chione.torch.initialisation import others
from chione.torch.initialisation.choices import Choice, Chooser
from chione.torch.initialisation.draft import Draft
from chione.torch.initialisation.laws import Axes, Law
from chione.torch.initialisation.lengths import Lengths
from chione.torch.initialisation.options import Options
from chione.torch.initialisation.plan import Entry
from chione.torch.initialisation.targets import Target, target_of
from chione.torch.initialisation.uses import Use
from chione.torch.initialisation.zeros import Zeros
from chione.torch.layers.entering import Embedding
from chione.torch.layers.recurrent import Cells
from chione.torch.layers.tensors import Affine, Heads, Weight


class Planner(Draft):
    """Walk along the graph and decide each weight when it is reached.

    Parameters
    ----------
    model : Module
        The model; only read.
    graph : Graph
        How it ran.
    options : Options
        What is asked for.
    """

    def __init__(self, model: torch.nn.Module, graph: Graph, options: Options) -> None:
        super().__init__(model, graph, options)
        self.places: dict[int, str] = {}  # affine nodes -> full name of the weight
        self.uses = self._by_weight()
        self.zeros = Zeros(graph, self.around, self._target_at)
        self.chooser = Chooser(self.around, self.options, self._chained(), self.plan)
        self.tables = others.Tables(self)
        self.lengths = Lengths(graph, self._decide)
        others.finish(self)

    # ---- weights and their uses -----------------------------------------------------------

    def _by_weight(self) -> dict[str, list[Use]]:
        """All uses of each weight: one that runs often is decided for all of them at once."""
        out: dict[str, list[Use]] = {}
        for index, use in self.around.uses.items():
            weight = use.node.weight
            if weight is None:
                continue
            name, target = target_of(self.model, weight.parameter, use.node.name)
            name = self.names.get(id(self.parameters.get(name)), name)
            self.places[index] = name
            if target is not None:
                self.targets.setdefault(name, target)
            out.setdefault(name, []).append(use)
        return out

    def _target_at(self, index: int) -> Target | None:
        return self.targets.get(self.places.get(index, ""))

    def _chained(self) -> Counter[AbstractActivation]:
        """How often each activation stands on both sides of a weight."""
        out: Counter[AbstractActivation] = Counter()
        for use in self.around.uses.values():
            here, before = use.place.activation, use.place.before
            if here is None or before is None or use.branch or use.place.normalised:
                continue
            phi = here.activation
            if phi is not None and phi == before.activation and not use.product:
                out[phi] += 1
        return out

    # ---- one node after the other ---------------------------------------------------------

    def _decide(self, lengths: Lengths, node: Node, q: float) -> float | None:
        if isinstance(node.layer, Embedding):
            return self.tables.decide(node)
        if isinstance(node.tensors, Affine):
            return others.norm(self, node)
        if isinstance(node.tensors, Heads):
            return others.heads(self, lengths, node, q)
        if isinstance(node.layer, Cells):
            self.entering.setdefault(node.name.partition(" (")[0], q)
            return None
        if node.weight is None or node.index not in self.places:
            return None
        return self._affine(lengths, node, node.weight, q)

    def _affine(self, lengths: Lengths, node: Node, weight: Weight, q: float) -> float | None:
        name = self.places[node.index]
        covered = 1.0 if self.options.law == "delta_orthogonal" else weight.coverage
        entry = self.plan.entries.get(name)
        if entry is None:
            uses = self.uses[name]
            use = self.chooser.typical(uses)
            target = self.targets.get(name)
            reason = self.reason_to_leave(name, target) or self.zeros.reason_to_keep(uses)
            if reason or target is None:
                self.plan.leave(name, reason or "its weight is computed from other parameters")
                return None
            arriving = q if use.node is node else lengths[use.node.parents[0]]
            choice = self.chooser.choose(use, weight, arriving, covered, lengths)
            if self.zeros.is_zero(node.index):
                choice = choice.because(self.zeros.why_replaced(uses))
            entry = self._entry(name, use, weight, choice)
            self.add(entry)
        w2 = entry.sigma_w**2 * covered
        return w2 * q + entry.sigma_b**2

    def _entry(self, name: str, use: Use, weight: Weight, choice: Choice) -> Entry:
        axes = Axes(weight.groups, weight.transposed, weight.stride)
        law = choice.law or Law(
            self._kind(weight, self.options.law), choice.sigma_w / math.sqrt(weight.fan_in)
        )
        bias, sigma_b, reason = weight.bias_parameter, choice.sigma_b, choice.reason
        if bias is None or self.reason_to_leave_bias(bias):
            if sigma_b > 0.0:
                reason += f"; it has no bias, so sigma_b = {sigma_b:.3g} is missing"
            bias, sigma_b = None, 0.0
        phi = None if use.place.activation is None else use.place.activation.activation
        called = None if use.place.activation is None else use.place.activation.applied
        label = phi.name if phi is not None else (None if called is None else called.name)
        return Entry(
            name, use.node.name, law, axes, choice.sigma_w, sigma_b, bias, None, choice.length,
            label, choice.role, choice.stream, choice.share, 1.0, reason,
        )  # fmt: skip

    def _kind(self, weight: Weight, law: str) -> str:
        return "orthogonal" if law == "delta_orthogonal" and weight.operation == "bilinear" else law
