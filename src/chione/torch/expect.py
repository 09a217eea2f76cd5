r"""What the theory of wide networks expects of each row, along the graph that was executed.

Forward, fields (mean square and correlation) follow the graph; backward, the total squared
gradient :math:`G = \sum (\partial y / \partial h)^2` does: an affine map passes
:math:`\sigma_w^2 G`, an activation :math:`E \phi'^2\, G`, and a tensor that is read twice gets the
sum. Where a step has no rule the theory starts again from what was measured behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from chione.activations import AbstractActivation
from chione.torch import fields
from chione.torch.fields import Field
from chione.torch.gradients import Arriving
from chione.torch.identify import identify
from chione.torch.layer_report import Expected
from chione.torch.nodes import Applied, Graph, Kind, Node, Norm, Weight, spread
from chione.torch.statistics import Moments, moments

_NOTHING = Field(math.nan, math.nan, math.nan)


def expect(graph: Graph, measured: dict[int, Moments], found: Arriving) -> dict[int, Expected]:
    """Expected values of the rows that theory knows, by node index."""
    walk = Walk(graph, measured)
    total = walk.backward(found)
    at_output = _gradient_at_output(graph, found)
    out: dict[int, Expected] = {}
    for node in graph.rows():
        field = walk.expected.get(node.index)
        if field is None and node.index not in total:
            continue
        field = field or _NOTHING
        jacobian = total.get(node.index, math.nan) / found.output_entries
        gradient = jacobian * found.output_entries / max(node.numel, 1) * at_output
        one_minus_c = field.one_minus_c if graph.batch > 1 else math.nan
        out[node.index] = Expected(
            mean_square=field.q,
            correlation=1.0 - one_minus_c,
            gradient=gradient,
            jacobian=jacobian,
            chi_perp=walk.chi_perp(node),
        )
    return out


def _gradient_at_output(graph: Graph, found: Arriving) -> float:
    """Mean square of the gradient at the output: 1 for random projections.

    For a loss it is read off the last row before the output, by the ratio of the loss gradient to
    the projected one there.
    """
    for node in reversed(list(graph.rows())):
        values = found.projected.get(node.index)
        if values and node.index in found.gradient:
            projected = sum(values) / len(values)
            return found.gradient[node.index] / projected if projected > 0.0 else math.nan
    return 1.0


class Walk:
    """Fields at all nodes of a graph; `expected` holds those of rows that theory computed.

    `on_affine` is called with each affine node and the field that enters it before the node is
    evaluated: an initialisation sets the weights there, and returns the sigma_w^2 and sigma_b^2 to
    go on with, or None for those that the weights have.
    """

    def __init__(
        self,
        graph: Graph,
        measured: dict[int, Moments],
        on_affine: Callable[[Walk, Node, Field | None], tuple[float, float] | None] | None = None,
    ) -> None:
        self.graph = graph
        self.measured = measured
        self.on_affine = on_affine
        self.field: dict[int, Field | None] = {}
        self.expected: dict[int, Field] = {}
        self.phi: dict[int, AbstractActivation | None] = {}
        self.mixed: set[int] = set()  # positions of unlike kinds (class token and patches)
        for node in graph.nodes:
            self._visit(node)

    def _visit(self, node: Node) -> None:
        if _mixes(node, self.graph) or (
            node.kind is not Kind.NORM and any(p in self.mixed for p in node.parents)
        ):
            self.mixed.add(node.index)
        rule = _FORWARD.get(node.kind)
        field = None if rule is None else rule(self, node)
        if field is not None and not math.isfinite(field.q):
            field = None
        here = self.measured.get(node.index)
        if field is not None and node.row:
            self.expected[node.index] = field
        if here is not None and here.finite:
            restart = Field(here.mean_square, here.mean_square * here.one_minus_c, here.mean)
            if field is None:
                field = restart
            elif math.isnan(field.gap):
                field = Field(field.q, field.q * here.one_minus_c, field.mean)
        self.field[node.index] = field

    def source(self, node: Node) -> Field | None:
        """The field that enters a node with one parent: by theory, else as measured."""
        field = self.field.get(node.parents[0]) if node.parents else None
        if field is None and node.arriving is not None:
            m = moments(node.arriving.tolist())
            field = Field(m.mean_square, m.mean_square * m.one_minus_c, m.mean)
        return field

    def is_gaussian(self, index: int) -> bool:
        """Whether entries are Gaussian and of one variance."""
        return self.graph.nodes[index].gaussian and index not in self.mixed

    def activation(self, node: Node) -> AbstractActivation | None:
        """The activation that a node applies."""
        if node.index not in self.phi:
            detail: Applied = node.detail
            self.phi[node.index] = identify(detail.function)
        return self.phi[node.index]

    def chi_perp(self, node: Node) -> float:
        """Factor on the total squared gradient from an affine row to the row before it."""
        if node.kind is not Kind.AFFINE:
            return math.nan
        factor = sigma_w2(node.detail)
        parent = self.graph.nodes[node.parents[0]]
        while parent.kind in (Kind.VIEW, Kind.DROPOUT, Kind.ACTIVATION, Kind.SCALE):
            passed = self._passed(parent, parent.parents[0])
            factor *= math.nan if passed is None else passed
            parent = self.graph.nodes[parent.parents[0]]
        return factor

    # ---- backward -------------------------------------------------------------------------

    def backward(self, found: Arriving) -> dict[int, float]:
        """Total squared gradient of random projections at the rows that theory knows."""
        children = self.graph.children()
        output = self.graph.output
        total: dict[int, float | None] = {}
        known: dict[int, float] = {}
        if output is None:
            return known
        reach = self.graph.nodes[output].ancestors | (1 << output)
        for node in reversed(self.graph.nodes):
            if not reach >> node.index & 1:
                continue
            value: float | None = float(found.output_entries) if node.index == output else 0.0
            for child in set(children[node.index]):
                if value is None or not reach >> child & 1:
                    continue
                factor, after = self._passed(self.graph.nodes[child], node.index), total[child]
                value = None if factor is None or after is None else value + factor * after
            if value is not None and not math.isfinite(value):
                value = None
            if node.row and value is not None:
                known[node.index] = value
            if value is None and node.row and found.projected.get(node.index):
                values = found.projected[node.index]
                value = sum(values) / len(values) * node.numel
            total[node.index] = value
        return known

    def _passed(self, child: Node, parent: int) -> float | None:
        """Factor on the total squared gradient from a node to one of its parents."""
        rule = _BACKWARD.get(child.kind)
        factor = None if rule is None else rule(self, child, parent)
        if factor is None or not math.isfinite(factor):
            return None
        return factor * child.parents.count(parent) ** 2  # x + x doubles the gradient


def _mixes(node: Node, graph: Graph) -> bool:
    """Whether a concatenation is along positions and not along channels."""
    if node.kind is not Kind.CONCAT or len(node.shape) < 3:
        return False
    last = len(node.shape) - 1
    for p in node.parents:
        shape = graph.nodes[p].shape
        if len(shape) != len(node.shape):
            return False  # stacked along a new axis
        along = [i for i, (a, b) in enumerate(zip(shape, node.shape, strict=True)) if a != b]
        if along and along[0] != last and not (along[0] == 1 and last > 2):
            return True
    return False


def sigma_w2(weights: Weight) -> float:
    """n_in <W^2>, times the fraction of products that padding leaves."""
    return weights.fan_in * weights.spread.mean_square * weights.coverage


def _mean_square(tensor: torch.Tensor | None, default: float) -> float:
    return default if tensor is None else spread(tensor).mean_square


# ---- rules: forward -----------------------------------------------------------------------


def _forward_affine(walk: Walk, node: Node) -> Field | None:
    field = walk.source(node)
    given = None if walk.on_affine is None else walk.on_affine(walk, node, field)
    if field is None:
        return None
    if given is not None:
        return fields.affine(field, *given)
    return fields.affine(field, sigma_w2(node.detail), node.detail.bias_spread.mean_square)


def _forward_norm(walk: Walk, node: Node) -> Field | None:
    field, norm = walk.source(node), node.detail
    if field is None or norm.uses_batch or norm.operation == "instance_norm":
        return None
    gain2, shift2 = _mean_square(norm.gain, 1.0), _mean_square(norm.shift, 0.0)
    if norm.operation == "frozen batch_norm":
        return fields.affine(field, gain2 * norm.frozen, shift2)
    centred = norm.operation != "rms_norm"
    out = fields.normalised(field, gain2, shift2, norm.eps, centred=centred)
    # Each position is normalised on its own, so a mean over unlike ones gives no correlation.
    return Field(out.q, math.nan) if node.parents[0] in walk.mixed else out


def _forward_activation(walk: Walk, node: Node) -> Field | None:
    field = walk.field.get(node.parents[0])
    if field is None or not walk.is_gaussian(node.parents[0]):
        return None
    phi = walk.activation(node)
    return None if phi is None else fields.activated(field, phi)


def _forward_add(walk: Walk, node: Node) -> Field | None:
    a, b = (walk.field.get(p) for p in node.parents)
    if a is None or b is None:
        return None
    if node.parents[0] == node.parents[1]:
        return fields.scaled(a, 4.0)
    # A term without a batch axis (positions) is the same for all inputs: it has no gap.
    a, b = (
        f if walk.graph.nodes[p].shape == node.shape else Field(f.q, 0.0, f.mean)
        for f, p in zip((a, b), node.parents, strict=True)
    )
    return fields.added(a, b)


def _forward_product(walk: Walk, node: Node) -> Field | None:
    a, b = (walk.field.get(p) for p in node.parents)
    same = node.parents[0] == node.parents[1]
    return None if a is None or b is None or same else fields.multiplied(a, b)


def _forward_concat(walk: Walk, node: Node) -> Field | None:
    parts = [(walk.field.get(p), walk.graph.nodes[p].numel) for p in node.parents]
    total = sum(n for _, n in parts)
    q = gap = mean = 0.0
    for field, n in parts:
        if field is None:
            return None
        q, gap, mean = (q + field.q * n, gap + field.gap * n, mean + field.mean * n)
    return Field(q / total, gap / total, mean / total)


def _forward_same(walk: Walk, node: Node) -> Field | None:
    field = walk.field.get(node.parents[0])
    if field is None:
        return None
    if node.kind is Kind.SCALE:
        return fields.scaled(field, node.factor)
    return fields.dropped(field, node.factor) if node.kind is Kind.DROPOUT else field


def _forward_embedding(walk: Walk, node: Node) -> Field:
    return Field(_mean_square(node.detail, 0.0), math.nan)


def _forward_parameter(walk: Walk, node: Node) -> Field | None:
    square = node.factor if node.parents == () else math.nan
    return Field(square, 0.0, 0.0)


_FORWARD: dict[Kind, Callable[[Walk, Node], Field | None]] = {
    Kind.PARAMETER: _forward_parameter,
    Kind.AFFINE: _forward_affine,
    Kind.NORM: _forward_norm,
    Kind.ACTIVATION: _forward_activation,
    Kind.ADD: _forward_add,
    Kind.PRODUCT: _forward_product,
    Kind.CONCAT: _forward_concat,
    Kind.SCALE: _forward_same,
    Kind.DROPOUT: _forward_same,
    Kind.VIEW: _forward_same,
    Kind.EMBEDDING: _forward_embedding,
}

# ---- rules: backward ----------------------------------------------------------------------


def _backward_affine(walk: Walk, node: Node, parent: int) -> float | None:
    return sigma_w2(node.detail)


def _backward_norm(walk: Walk, node: Node, parent: int) -> float | None:
    norm: Norm = node.detail
    gain2 = _mean_square(norm.gain, 1.0)
    if norm.operation == "frozen batch_norm":
        return gain2 * norm.frozen
    field = walk.source(node)
    if field is None or norm.uses_batch or norm.operation == "instance_norm":
        return None
    if parent in walk.mixed:
        return None
    centred = norm.operation != "rms_norm"
    variance = field.q - (field.mean**2 if centred else 0.0) + norm.eps
    # The directions of the signal and, if centred, of the mean are projected out.
    units = max(node.shape[-1] if node.shape else 1, 1)
    lost = (2 if centred else 1) / units
    return gain2 / variance * max(1.0 - lost, 0.0) if variance > 0.0 else None


def _backward_activation(walk: Walk, node: Node, parent: int) -> float | None:
    field = walk.field.get(parent)
    if field is None or not walk.is_gaussian(parent):
        return None
    phi = walk.activation(node)
    return None if phi is None else fields.slope_square(phi, field.q)


def _backward_product(walk: Walk, node: Node, parent: int) -> float | None:
    others = [p for p in node.parents if p != parent]
    field = walk.field.get(others[0]) if others else None
    return None if field is None else field.q


def _backward_concat(walk: Walk, node: Node, parent: int) -> float | None:
    return walk.graph.nodes[parent].numel / max(node.numel, 1)


def _backward_same(walk: Walk, node: Node, parent: int) -> float | None:
    if node.kind is Kind.SCALE:
        return node.factor
    if node.kind is Kind.DROPOUT:
        return 1.0 / (1.0 - node.factor) if node.factor < 1.0 else 0.0
    return 1.0


def _backward_add(walk: Walk, node: Node, parent: int) -> float | None:
    return 1.0


_BACKWARD: dict[Kind, Callable[[Walk, Node, int], float | None]] = {
    Kind.AFFINE: _backward_affine,
    Kind.NORM: _backward_norm,
    Kind.ACTIVATION: _backward_activation,
    Kind.ADD: _backward_add,
    Kind.PRODUCT: _backward_product,
    Kind.CONCAT: _backward_concat,
    Kind.SCALE: _backward_same,
    Kind.DROPOUT: _backward_same,
    Kind.VIEW: _backward_same,
}
