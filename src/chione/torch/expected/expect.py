"""What the theory of wide networks expects of each row, along the graph that was executed.

Numbers and the bounds on their errors are those of :class:`chione.torch.expected.walk.Walk`.
"""

from __future__ import annotations

import math

from chione.torch.capture.gradients import Arriving
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.statistics import Moments
from chione.torch.expected.layer_report import Expected
from chione.torch.expected.walk import Total, Walk
from chione.torch.layers.entering import Embedding

_UNKNOWN = Total(math.nan, math.nan)


def expect(graph: Graph, measured: dict[int, Moments], found: Arriving) -> dict[int, Expected]:
    """Expected values of the rows that theory knows, by node index."""
    walk = Walk(graph, measured)
    totals = walk.backward(found)
    at_output = _gradient_at_output(graph, found)
    out: dict[int, Expected] = {}
    for node in graph.rows():
        square, square_error, omc, omc_error = _signal(walk, node)
        if math.isnan(square) and node.index not in totals:
            continue
        total = totals.get(node.index, _UNKNOWN)
        each = at_output / max(node.numel, 1)
        out[node.index] = Expected(
            mean_square=square,
            correlation=1.0 - omc,
            gradient=total.value * each,
            jacobian=total.value / found.output_entries,
            chi_perp=walk.chi_perp(node),
            mean_square_error=square_error,
            correlation_error=omc_error,
            gradient_error=total.error * each,
            jacobian_error=total.error / found.output_entries,
        )
    return out


def _signal(walk: Walk, node: Node) -> tuple[float, float, float, float]:
    """Mean square and 1 - c at a row, each with its error."""
    state = walk.expected.get(node.index)
    if state is not None:
        omc = state.one_minus_c() if walk.batch > 1 else (math.nan, math.nan)
        return state.length, state.length_error, *omc
    if isinstance(node.layer, Embedding):
        return node.layer.sigma**2, 0.0, math.nan, math.nan
    return (math.nan,) * 4


def _gradient_at_output(graph: Graph, found: Arriving) -> float:
    """Mean square of the gradient at the output: 1 for random projections.

    For a loss it is read off the last row before the output, by the ratio of the loss gradient to
    the projected one there.
    """
    for node in reversed(list(graph.rows())):
        values = found.projected.get(node.index)
        projected = sum(values) / len(values) if values else 0.0
        if projected > 0.0 and node.index in found.gradient:  # a row that the output rests on
            return found.gradient[node.index] / projected
    return 1.0
