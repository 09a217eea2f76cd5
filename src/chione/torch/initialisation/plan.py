"""Sigmas for each layer of a real model by theory, set on the way through its graph."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.statistics import moments
from chione.torch.capture.structure import Place, branch_ends, places, residual_sums
from chione.torch.capture.tracing import shared_parameters
from chione.torch.expected.walk import Walk
from chione.torch.initialisation import tensors
from chione.torch.initialisation.changes import LayerChange
from chione.torch.layers.entering import Entering
from chione.torch.layers.tensors import Affine, Heads, Weight
from chione.torch.recommendation.recipes import Recipe, recipe


@dataclass(frozen=True)
class Choice:
    """Weights and biases for one layer, and why."""

    sigma_w: float
    sigma_b: float
    reason: str


class Plan:
    """Walk along the graph by theory and set each affine map when it is reached."""

    def __init__(
        self,
        model: torch.nn.Module,
        graph: Graph,
        weights: str,
        target: str,
        generator: torch.Generator | None,
    ) -> None:
        self.weights, self.target, self.generator = weights, target, generator
        self.changes: dict[str, LayerChange] = {}
        self.left: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.sums = len(residual_sums(graph))
        self.lengths: dict[str, float] = {}  # parameter -> mean square its output should have
        self.chained: set[str] = set()  # weights between two layers of one activation
        self.stable: set[str] = set()  # of these, where lengths return by themselves
        self._graph, self._places = graph, places(graph)
        self.parameters = dict(model.named_parameters(remove_duplicate=False))
        self._shared = {n: names for names in shared_parameters(model) for n in names}
        self._tables = {
            f"{path}.weight".lstrip(".")
            for path, m in model.named_modules()
            if isinstance(m, (torch.nn.Embedding, torch.nn.EmbeddingBag))
        }
        self._end_norms()
        self._heads()
        measured = {
            n.index: moments(n.numbers.tolist())
            for n in graph.nodes
            if isinstance(n.layer, Entering) and n.numbers is not None
        }
        self.walk = Walk(graph, measured, self._set)
        self._note_what_is_left(model)

    # ---- which sigmas ---------------------------------------------------------------------

    def _recipe(self, node: Node | None) -> Recipe | None:
        """The recommendation for the activation of a node; its depth counts such layers."""
        if node is None or self.target == "forward":
            return None
        phi = node.activation
        if phi is None:
            return None
        same = 0
        for place in self._places.values():
            other = place.activation
            same += other is not None and other.activation == phi
        found = recipe(phi, max(same, 2))
        if not found.exists and found.sentence not in self.notes:
            self.notes.append(found.sentence)
        return found

    def _choose(self, walk: Walk, node: Node, weight: Weight, place: Place, q: float) -> Choice:
        arriving = q if q > 0.0 else 1.0
        weigh = math.sqrt(self._coverage(weight))
        if place.branch and not place.normalised:
            stream = self._stream(walk, node)
            sigma = math.sqrt(stream / max(self.sums, 1) / arriving) / weigh
            return Choice(sigma, 0.0, f"end of a residual branch, 1 of {self.sums}")
        if place.normalised:
            return Choice(1.0 / weigh, 0.0, "a normalisation follows, so the scale is free")
        here, before = self._recipe(place.activation), self._recipe(place.before)
        if here is not None and here.exists:
            same = before is not None and before.activation == here.activation
            if same:
                self.chained.add(str(weight.parameter))
                if here.target == "edge":
                    self.stable.add(str(weight.parameter))
                return Choice(
                    here.sigma_w / weigh, here.sigma_b, f"{here.target}, {here.activation}"
                )
            w2 = (here.length - here.sigma_b**2) / arriving
            reason = f"brings the signal to the length of {here.activation}"
            if w2 > 0.0:
                return Choice(math.sqrt(w2) / weigh, here.sigma_b, reason)
        if place.activation is not None:
            reason = "mean square 1: nothing keeps the gradients of this activation"
            if self.target == "forward":
                reason = "mean square 1, as asked"
            return Choice(1.0 / math.sqrt(arriving) / weigh, 0.0, reason)
        if before is not None and before.exists:
            reason = f"keeps the gradient behind {before.activation}"
            return Choice(before.sigma_w / weigh, 0.0, reason)
        return Choice(1.0 / weigh, 0.0, "linear")

    def _stream(self, walk: Walk, node: Node) -> float:
        """Mean square of the stream that the branch ending in `node` is added to."""
        for total in residual_sums(self._graph):
            parents = [self._graph.nodes[p] for p in total.parents]
            for branch, stream in (parents, parents[::-1]):
                inside = branch.index == node.index or branch.ancestors >> node.index & 1
                if inside and not stream.ancestors >> node.index & 1 and stream is not node:
                    q = walk.length(stream.index)
                    return q if q > 0.0 else 1.0
        return 1.0

    # ---- setting --------------------------------------------------------------------------

    def _set(self, walk: Walk, node: Node, q: float) -> tuple[float, float] | None:
        """Set the weights of a node that mean square q enters, NaN where it is not known.

        Returns the variances that theory goes on with.
        """
        detail = node.weight
        assert detail is not None  # called for affine maps
        name = detail.parameter
        reason = self._reason_to_leave(name)
        if name is None or reason:
            self._leave(node.name, reason)
            return None
        if name in self.changes:
            return None  # a shared layer is set for its first use
        place = self._places[node.index]
        choice = self._choose(walk, node, detail, place, q)
        self._fill(name, detail, choice.sigma_w)
        reason, sigma_b = choice.reason, choice.sigma_b
        if detail.bias_parameter is not None:
            self._fill_bias(self.parameters[detail.bias_parameter], sigma_b)
        elif sigma_b > 0.0:
            reason += f"; it has no bias, so sigma_b = {sigma_b:.3g} is missing"
            sigma_b = 0.0
        w2 = choice.sigma_w**2 * self._coverage(detail)
        self.lengths[name] = w2 * (1.0 if math.isnan(q) else q) + sigma_b**2
        phi = None if place.activation is None else place.activation.activation
        self.changes[name] = LayerChange(
            name=node.name,
            parameter=name,
            activation=None if phi is None else phi.name,
            sigma_w=choice.sigma_w,
            sigma_b=sigma_b,
            length=math.nan if math.isnan(q) else self.lengths[name],
            factor=1.0,
            reason=reason,
        )
        return w2, sigma_b**2

    def _reason_to_leave(self, name: str | None) -> str:
        """Why a weight is not touched; empty if it is."""
        if name is None:
            return "its weight is computed from other parameters"
        if self._tables.intersection((name, *self._shared.get(name, ()))):
            return "its weight is shared with an embedding"
        if not self.parameters[name].is_floating_point():
            return "its weight is not floating-point"
        return ""

    def _coverage(self, detail: Weight) -> float:
        """Fraction of the products that padding leaves; the centre of a kernel is never on it."""
        return 1.0 if self.weights == "delta_orthogonal" else detail.coverage

    def _fill(self, name: str, detail: Weight, sigma_w: float) -> None:
        fill = {
            "gaussian": tensors.normal_,
            "orthogonal": tensors.orthogonal_,
            "delta_orthogonal": tensors.delta_orthogonal_,
        }[self.weights]
        if detail.operation == "bilinear" and self.weights == "delta_orthogonal":
            fill = tensors.orthogonal_  # its third axis is no kernel
        fill(
            self.parameters[name],
            sigma_w,
            groups=detail.groups,
            transposed=detail.transposed,
            stride=detail.stride,
            generator=self.generator,
        )

    def _fill_bias(self, bias: torch.Tensor, sigma_b: float) -> None:
        device = torch.device("cpu") if self.generator is None else self.generator.device
        draw = torch.randn(bias.shape, generator=self.generator, device=device)
        bias.copy_(sigma_b * draw)

    def _end_norms(self) -> None:
        """Give the normalisations at the end of residual branches the gain 1 / sqrt(R)."""
        for node in self._graph.nodes:
            if isinstance(node.tensors, Affine) and self._places[node.index].branch:
                name = node.tensors.parameter
                gain = None if name is None else self.parameters[name]
                if gain is None or name is None:
                    self._leave(node.name, "a normalisation without gain ends a residual branch")
                    continue
                value = 1.0 / math.sqrt(max(self.sums, 1))
                gain.fill_(value - node.tensors.offset)
                self.changes[name] = LayerChange(
                    name=node.name,
                    parameter=name,
                    activation=None,
                    sigma_w=value,
                    sigma_b=0.0,
                    length=math.nan,
                    factor=1.0,
                    reason=f"gain of the normalisation that ends a branch, 1 of {self.sums}",
                )

    def _heads(self) -> None:
        """Projections of multi-head attention: queries, keys and values keep the mean square."""
        ends = branch_ends(self._graph)
        for node in self._graph.nodes:
            heads = node.tensors
            if not isinstance(heads, Heads):
                continue
            last = 1.0 / math.sqrt(max(self.sums, 1)) if node.index in ends else 1.0
            why = f"end of a residual branch, 1 of {self.sums}" if last < 1.0 else "linear"
            projections = [(name, 1.0, "attention, input") for name in heads.inputs]
            for name, sigma_w, reason in (*projections, (heads.output, last, why)):
                if name in self.changes:
                    continue
                weight = self.parameters[name]
                # Stacked queries, keys and values are three maps, each with its own isometry.
                blocks = weight.chunk(3) if name.endswith("in_proj_weight") else (weight,)
                for block in blocks:
                    fill = tensors.normal_ if self.weights == "gaussian" else tensors.orthogonal_
                    fill(block, sigma_w, generator=self.generator)
                self.changes[name] = LayerChange(
                    node.name, name, None, sigma_w, 0.0, math.nan, 1.0, reason
                )
            for name in heads.biases:
                self.parameters[name].zero_()

    def _leave(self, name: str, reason: str) -> None:
        if (name, reason) not in self.left:
            self.left.append((name, reason))

    def _note_what_is_left(self, model: torch.nn.Module) -> None:
        done = {n for name in self.changes for n in (name, *self._shared.get(name, ()))}
        told = {name for name, _ in self.left}
        for path, module in model.named_modules():
            for leaf, p in module._parameters.items():
                name = f"{path}.{leaf}".lstrip(".")
                if p is None or p.dim() < 2 or name in done or path in told or name in told:
                    continue
                kind = type(module).__name__
                self._leave(name, f"no rule for {kind}, or it did not run")
