"""The walk of :mod:`chione.theory.layers` along a traced graph, forward and backward.

At each node stands a stream over a few inputs and positions of the real batch. The rules are those
of the theory, found by the node's layer; where one is missing, or does not close, the walk starts
again from what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch

from chione.base import Array, ConvergenceError, UnsupportedLayerError
from chione.networks import Pooling, ShapeError
from chione.theory.layers.stream import Gradient, new_source
from chione.theory.layers.walk import Walk as LayerWalk
from chione.theory.moments.quick_pairs import QuickPrepared
from chione.torch.capture.gradients import Arriving
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.samples import Sample, arranged
from chione.torch.capture.statistics import Moments
from chione.torch.expected import crossings_alone, crossings_joins, crossings_sequence
from chione.torch.expected.crossings import Crossing, cross
from chione.torch.expected.crossings_image import stateless
from chione.torch.expected.states import State, from_numbers, from_sample, total_square, uniform
from chione.torch.layers.entering import Entering
from chione.torch.layers.joins import Concat, Sum
from chione.torch.layers.pooling import Windows
from chione.torch.layers.tensors import Table

_SHARE = 0.1  # of the population that theory draws: 2 % of a mean square
# where the rules register themselves
_RULES = (crossings_alone, crossings_joins, crossings_sequence)
Flow: TypeAlias = Gradient | float  # over the sites of a node's state, or its total square


@dataclass(frozen=True)
class Total:
    """Total squared gradient at a row, and the bound on its error."""

    value: float
    error: float


class Walk:
    """States at all nodes of a graph; `expected` holds those of rows that theory computed.

    `on_affine` is called with each affine node and the mean square that enters it (NaN where it is
    not known) before the node is evaluated: an initialisation sets the weights there, and returns
    the sigma_w^2 and sigma_b^2 to go on with, or None for those that the weights have.
    """

    def __init__(
        self,
        graph: Graph,
        measured: dict[int, Moments],
        on_affine: Callable[[Walk, Node, float], tuple[float, float] | None] | None = None,
    ) -> None:
        self.graph = graph
        self.measured = measured
        self.on_affine = on_affine
        self.rules = LayerWalk(share=_SHARE, stated=False)
        self.batch = graph.batch
        self.states: dict[int, State] = {}
        self.expected: dict[int, State] = {}
        self._entered: dict[int, tuple[State | None, ...]] = {}
        self._crossed: dict[int, Crossing] = {}
        self._given: dict[int, tuple[float, float]] = {}
        self._reused = graph.reused()
        self._flows: dict[int, Flow | None] = {}
        self._profiles: dict[int, Array] = {}  # of gradients over the positions of large images
        self._sent: dict[int, float] = {}  # total square at each node
        self._returned: dict[int, float] = {}  # the same, where one node alone sends it
        self._parts: dict[int, list[tuple[int, int, frozenset[int]]]] = {}
        for node in graph.nodes:
            self._visit(node)

    # ---- forward --------------------------------------------------------------------------

    def _visit(self, node: Node) -> None:
        entered = tuple(self._entering(node, p) for p in node.parents)
        self._entered[node.index] = entered
        if node.is_affine and self.on_affine is not None:
            q = entered[0].length if entered and entered[0] else math.nan
            if entered and entered[0] and entered[0].patches and node.weight is not None:
                q /= node.weight.coverage  # of what is there
            given = self.on_affine(self, node, q)
            if given is not None:
                self._given[node.index] = given
        crossed = self._try(node, entered)
        if crossed is not None:
            noise = max((s.noise for s in entered if s is not None), default=0.0)
            noise = math.hypot(noise, crossed.noise())
            if noise > 0.0:
                crossed = replace(crossed, state=replace(crossed.state, noise=noise))
            self._crossed[node.index] = crossed
            if node.row:
                self.expected[node.index] = crossed.state
        state = self._again(node) if crossed is None else crossed.state
        if state is not None:
            self.states[node.index] = state

    def _try(self, node: Node, entered: tuple[State | None, ...]) -> Crossing | None:
        """Across the node by theory, or None where it cannot follow."""
        states = tuple(s for s in entered if s is not None)
        if len(states) < len(entered) or not entered:
            return None
        if self.on_affine is None and node.index in self._reused:
            return None  # its output depends on what the weight did before
        act = node.activation
        if act is not None:
            self.rules.memo.setdefault(act, QuickPrepared.of(act))
        self.rules.place = node.name
        try:
            crossed = cross(node.layer, node, states, self)
        except (UnsupportedLayerError, ConvergenceError, ShapeError):
            return None
        return crossed if crossed.state.finite() else None

    def _entering(self, node: Node, parent: int) -> State | None:
        """What enters from a parent: by theory, else as measured."""
        source = self.graph.nodes[parent]
        if source.held is not None and isinstance(source.tensors, Table):
            return self._fixed(source.tensors.weight, node)
        if node.wide is not None and node.wide[0] == parent:
            wide = node.wide[1]
            return None if wide is None else from_sample(wide, source.gaussian)
        state = self.states.get(parent)
        if node.patches is not None and (state is None or isinstance(source.layer, Entering)):
            return from_sample(node.patches, source.gaussian)
        arriving = node.arriving
        if arriving is not None and (state is None or state.axes != arriving.axes):
            return from_sample(arriving, source.gaussian)
        return state

    def _fixed(self, parameter: torch.Tensor, node: Node) -> State | None:
        """A parameter that meets a signal: the same for all inputs."""
        if isinstance(node.layer, Concat):
            sample = Sample.of(parameter.detach(), node.axes, self.batch)
            return None if sample is None else from_sample(sample, True)
        if len(node.parents) < 2 or not node.axes:
            return None
        try:
            wide = parameter.detach().expand(node.shape)
        except RuntimeError:
            return None
        sample = Sample.of(wide, node.axes, self.batch)
        return None if sample is None else from_sample(sample, True)

    def _again(self, node: Node) -> State | None:
        """A state from what was measured at a node."""
        here = self.measured.get(node.index)
        if here is None or not here.finite:
            return None
        if node.sample is not None:
            return from_sample(node.sample, node.gaussian)
        at = arranged(node.shape, node.axes, self.batch)
        return None if at is None else from_numbers(here, at, node.axes, node.gaussian)

    def given(self, node: Node) -> tuple[float, float] | None:
        """sigma_w^2, padding counted, and sigma_b^2 of an affine map that is to be set."""
        return self._given.get(node.index)

    def part(self, node: Node, first: int, count: int) -> frozenset[int] | None:
        """Sources of a share of channels: its own where no other share overlaps."""
        taken = self._parts.setdefault(node.parents[0], [])
        for start, stop, source in taken:
            if (first, first + count) == (start, stop):
                return source
            if first < stop and start < first + count:
                return None
        source = new_source()
        taken.append((first, first + count, source))
        return source

    def length(self, index: int) -> float:
        """Mean square at a node, NaN where it is not known."""
        state = self.states.get(index)
        return math.nan if state is None else state.length

    # ---- backward -------------------------------------------------------------------------

    def backward(self, found: Arriving) -> dict[int, Total]:
        """Total squared gradient of random projections at the rows that theory knows."""
        output = self.graph.output
        if output is None:
            return {}
        children, noise = self.graph.children(), 0.0
        if self.rules.population is not None:
            self.rules.population.sent_back()
        reach = self.graph.nodes[output].ancestors | (1 << output)
        known: dict[int, Total] = {}
        for node in reversed(self.graph.nodes):
            if not reach >> node.index & 1:
                continue
            readers = sorted({c for c in children[node.index] if reach >> c & 1})
            flow: Flow | None = float(found.output_entries) if node.index == output else 0.0
            for child in readers:
                arrived = self._home(self.graph.nodes[child], node, self._flows[child])
                flow = None if arrived is None or flow is None else self._plus(node, flow, arrived)
            total = None if flow is None else self._total(node, flow)
            if total is None or not math.isfinite(total.value):
                flow = total = None
            elif len(readers) == 1 and node.index != output:
                self._returned[node.index] = total.value
            if node.index in self._crossed:
                noise = math.hypot(noise, self._crossed[node.index].noise())
            if node.row and total is not None:
                error = total.error + 3.0 * noise * total.value
                known[node.index] = Total(total.value, error)
            if flow is None and node.row and found.projected.get(node.index):
                values = found.projected[node.index]
                flow = sum(values) / len(values) * node.numel
                total = Total(flow, 0.0)
            self._flows[node.index] = flow
            self._sent[node.index] = 0.0 if total is None else total.value
        return known

    def _home(self, child: Node, parent: Node, flow: Flow | None) -> Flow | None:
        """What arrives at a parent of what is at a node."""
        if flow is None:
            return None
        crossed = self._crossed.get(child.index)
        if crossed is None:
            if isinstance(child.layer, Sum) and None not in self._entered[child.index]:
                return None  # terms that are known to depend on each other
            factor = stateless(child, parent.index, parent.numel)
            if factor is not None and child.open is not None:
                factor *= self._opened(child, parent)
            return None if factor is None else factor * self._total(child, flow).value
        if isinstance(flow, float):
            flow = uniform(crossed.state, flow, child.numel)
        arrived = crossed.home[parent.index](flow)
        if crossed.reads is not None:
            seen, profile = crossed.reads.backward(self._profiles.get(child.index))
            arrived = arrived.scaled(seen / crossed.seen)
            self._profiles.setdefault(parent.index, profile)
        elif child.index in self._profiles and child.shape[2:] == parent.shape[2:]:
            self._profiles.setdefault(parent.index, self._profiles[child.index])
        entered = self._entered[child.index][child.parents.index(parent.index)]
        if entered is self.states.get(parent.index):
            return arrived
        if entered is None:
            return None
        # other sites than those of the parent, which may be the same for all inputs
        numel = self.batch * entered.positions * entered.stream.shape.width
        return total_square(arrived, entered.shares, numel)[0]

    def _opened(self, pool: Node, parent: Node) -> float:
        """How much more a ReLU passes on of what the largest of its values get.

        They are those that are not zero, as often as was measured.
        """
        act, crossed = parent.activation, self._crossed.get(parent.index)
        maximum = isinstance(pool.layer, (Pooling, Windows)) and pool.layer.reduce == "max"
        if not maximum or act is None or act.name != "relu" or crossed is None:
            return 1.0
        before = crossed.home[parent.parents[0]](uniform(crossed.state, 1.0, 1))
        passed = before.p.value[before.orbits.diagonal].mean()
        return float(pool.open or 0.0) / passed if passed > 0.0 else 1.0

    def _plus(self, node: Node, one: Flow, two: Flow) -> Flow:
        if isinstance(one, float) and one == 0.0:
            return two
        if isinstance(one, float) and isinstance(two, float):
            return one + two
        state = self.states.get(node.index)
        if state is None:
            return self._total(node, one).value + self._total(node, two).value
        a, b = (uniform(state, f, node.numel) if isinstance(f, float) else f for f in (one, two))
        return a.plus(b)

    def _total(self, node: Node, flow: Flow) -> Total:
        if isinstance(flow, float):
            return Total(flow, 0.0)
        return Total(*total_square(flow, self.states[node.index].shares, node.numel))

    def chi_perp(self, node: Node) -> float:
        """Factor on the total squared gradient from an affine row to the row before it."""
        if not node.is_affine:
            return math.nan
        out = 1.0
        while node.parents:
            parent = self.graph.nodes[node.parents[0]]
            out *= self._factor(node, parent)
            node = parent
            if not (node.looked_through or node.applied is not None):
                break
        return out

    def _factor(self, child: Node, parent: Node) -> float:
        """Of the gradient that came back, else of one that is the same everywhere."""
        back, sent = self._returned.get(parent.index), self._sent.get(child.index, 0.0)
        if back is not None and sent > 0.0:
            return back / sent
        flow = self._home(child, parent, 1.0)
        return math.nan if flow is None else self._total(parent, flow).value
