"""Mean squares on the way through a graph by simple rules, for weights that are not drawn yet.

A first guess, exact for wide plain networks; a pass with the batch corrects what it leaves open
(pooling, averages of attention, states of recurrent cells).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from chione.networks import Dropout, Scale
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.statistics import moments
from chione.torch.layers.entering import Attention, Embedding, Entering
from chione.torch.layers.joins import Concat, Product, Sum
from chione.torch.layers.nonlinearity import Applied
from chione.torch.layers.recurrent import Cells

_POINTS = 512
# At 512 midpoints of equal probability the mean square of a Gaussian is 0.996.
_NORMAL = torch.special.ndtri((torch.arange(_POINTS, dtype=torch.float64) + 0.5) / _POINTS)
_NORMAL = _NORMAL / _NORMAL.square().mean().sqrt()
_SIGMOID = Applied(torch.sigmoid, "sigmoid")
STATE = 0.2  # mean square of the states of recurrent cells, within a factor of two


def mean_square_behind(call: Applied, q: float) -> float:
    r"""E phi(sqrt(q) z)^2 over a Gaussian z, also for functions that theory does not know."""
    if not (0.0 <= q < math.inf):
        return math.nan
    with torch.no_grad():
        y = call.function(math.sqrt(q) * _NORMAL.clone())
    value = float(y.square().mean()) if y.shape == _NORMAL.shape else math.nan
    return value if math.isfinite(value) else math.nan


def entering_length(call: Applied, wanted: float) -> float:
    """The largest mean square up to 1 whose image has at most the wanted mean square."""
    if mean_square_behind(call, 1.0) <= wanted:
        return 1.0
    low, high = -20.0, 0.0  # logarithms; 40 halvings leave 2e-11
    for _ in range(40):
        middle = 0.5 * (low + high)
        if mean_square_behind(call, math.exp(middle)) > wanted:
            high = middle
        else:
            low = middle
    return math.exp(low)


class Lengths:
    """Mean square at each node.

    Parameters
    ----------
    graph : Graph
        The traced model.
    decide : callable
        From the lengths so far, a node with weights and the mean square that enters it to the mean
        square that leaves it; None where the weights stay as they are.
    """

    def __init__(
        self, graph: Graph, decide: Callable[[Lengths, Node, float], float | None]
    ) -> None:
        self.graph, self.at = graph, dict[int, float]()
        for node in graph.nodes:
            entered = [self.at[p] for p in node.parents]
            q = next((v for v in entered if math.isfinite(v)), 1.0)
            told = decide(self, node, q)
            self.at[node.index] = self._by_rule(node, entered, q) if told is None else told

    def __getitem__(self, index: int) -> float:
        """Mean square at a node; 1 where it is zero or not known."""
        q = self.at.get(index, math.nan)
        return q if 0.0 < q < math.inf else 1.0

    def _by_rule(self, node: Node, entered: list[float], q: float) -> float:
        layer = node.layer
        if isinstance(layer, Entering):
            here = None if node.numbers is None else moments(node.numbers.tolist())
            return here.mean_square if here is not None and here.finite else 1.0
        if node.held is not None:
            return node.held.mean_square
        if isinstance(layer, Embedding):
            return layer.sigma**2
        if node.weight is not None:
            return node.weight.sigma_w2 * q + node.weight.bias_spread.mean_square
        if node.is_norm:
            return 1.0
        if isinstance(layer, Applied):
            return mean_square_behind(layer, q)
        if isinstance(layer, Sum):
            return math.fsum(v for v in entered if math.isfinite(v))
        if isinstance(layer, Product):
            return math.prod(v for v in entered if math.isfinite(v))
        if node.operation == "glu":
            return q * mean_square_behind(_SIGMOID, q)
        if isinstance(layer, Scale):
            return layer.factor**2 * q
        if isinstance(layer, Dropout):
            return q / layer.keep
        if isinstance(layer, Concat):
            return self._joined(node)
        if isinstance(layer, Attention):
            return entered[-1] if entered and math.isfinite(entered[-1]) else 1.0
        if isinstance(layer, Cells):
            return STATE
        return q

    def _joined(self, node: Node) -> float:
        parts = [(self.at[p], self.graph.nodes[p].numel) for p in node.parents]
        parts = [(v, n) for v, n in parts if math.isfinite(v)]
        total = sum(n for _, n in parts)
        return sum(v * n for v, n in parts) / total if total else 1.0
