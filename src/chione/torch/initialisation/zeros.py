"""Weights that are zero on purpose, and weights whose zeros nobody can want."""

from __future__ import annotations

from collections.abc import Callable

from chione.torch.capture.nodes import Graph, Node
from chione.torch.initialisation.targets import Target
from chione.torch.initialisation.uses import Surroundings, Use
from chione.torch.layers.joins import Product, Sum


class Zeros:
    """Which affine maps of a graph have zero weights, and whether they may keep them.

    A map of zeros is meant to be one where the signal reaches the output without it (the end of a
    residual branch, the second matrix of LoRA, a modulation), or where it is the output. It is
    replaced where nothing would get through, and where two of them follow each other, since then
    neither has a gradient.
    """

    def __init__(
        self, graph: Graph, around: Surroundings, target_at: Callable[[int], Target | None]
    ) -> None:
        self._graph, self._uses = graph, around.uses
        self._zero: set[int] = set()
        for index in around.uses:
            target = target_at(index)
            if target is not None and target.is_zero:
                self._zero.add(index)
        self._passes = not self._zero or self._gets_through()

    def is_zero(self, index: int) -> bool:
        """Whether the weights of a node are all zero."""
        return index in self._zero

    def reason_to_keep(self, uses: list[Use]) -> str:
        """Why zeros stay; empty where they do not, or there are none."""
        use = uses[0]
        if use.node.index not in self._zero or self._again(use) or self._closed(use):
            return ""
        if use.output:
            return "zero on purpose: the output starts at zero"
        if use.branch is not None:
            return "zero on purpose: the residual branch starts as nothing"
        if self._passes or self._is_added(use.node):
            return "zero on purpose: the signal passes beside it"
        return ""

    def why_replaced(self, uses: list[Use]) -> str:
        """Why zeros do not stay."""
        if self._again(uses[0]) or self._closed(uses[0]):
            return "its zeros are replaced: two zero factors in a row have no gradient"
        return "its zeros are replaced: nothing passed them"

    def _again(self, use: Use) -> bool:
        """Whether another map of zeros reads this one."""
        return any(
            i in self._zero and self._graph.nodes[i].ancestors >> use.node.index & 1
            and self._next_weights(i) == use.node.index
            for i in self._zero
        )  # fmt: skip

    def _closed(self, use: Use) -> bool:
        """Whether the branch that it ends is multiplied by zero anyway."""
        return use.branch is not None and use.branch.factor == 0.0

    def _next_weights(self, index: int) -> int:
        """The affine map before a node, over activations and views; -1 where others come first."""
        node = self._graph.nodes[self._graph.nodes[index].parents[0]]
        while (node.looked_through or node.applied is not None) and node.parents:
            node = self._graph.nodes[node.parents[0]]
        return node.index if node.is_affine else -1

    def _is_added(self, node: Node) -> bool:
        return any(
            isinstance(other.layer, Sum) and node.index in other.parents
            for other in self._graph.nodes
        )

    def _gets_through(self) -> bool:
        """Whether the output depends on the input with these zeros in place."""
        alive: list[bool] = []
        for node in self._graph.nodes:
            parents = [alive[p] for p in node.parents if self._graph.nodes[p].held is None]
            some = any(parents) or (not node.parents and node.held is None)
            if isinstance(node.layer, Product):
                some = all(parents)
            use = self._uses.get(node.index)
            if node.index in self._zero and use is not None and not use.output:
                some = False
            alive.append(some)
        return self._graph.output is None or alive[self._graph.output]
