"""The pass with the batch: bring lengths, then gradients, to what the plan wants on real data.

At finite width every network deviates from the limit, by a factor of about exp(sqrt(depth / width))
over its depth, and where the plan had no rule (pooling, averages of attention) it has guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from chione.networks import Pooling, Scale
from chione.torch.capture import batches
from chione.torch.capture.gradients import Arriving, arriving
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.state import preserved
from chione.torch.capture.statistics import moments
from chione.torch.capture.tracer import Tracer
from chione.torch.initialisation.choices import GUESS, classes, output_length
from chione.torch.initialisation.lengths import mean_square_behind
from chione.torch.initialisation.plan import Entry, Plan
from chione.torch.initialisation.planner import Planner
from chione.torch.initialisation.targets import target_of
from chione.torch.layers.entering import Attention
from chione.torch.layers.pooling import Windows
from chione.torch.layers.tensors import Weight

_LOGITS = 1 << 18  # entries of the output that are looked at
_SHORT = 4  # chains with fewer steps are left as theory sets them
_AVERAGED = 2.0  # factor that makes up for an average, at most
_SHARED = (
    0.2  # of a trend comes out twice that; the lengths, which Adam does not mend, take the same
)
_MOST = math.log(2.0)  # of a correction of weights that run many times


@dataclass(frozen=True)
class Found:
    """Mean squares at the first run of a weight: of W x, of (W x) b, of b."""

    product: float
    cross: float
    bias: float

    def length(self, factor: float, scale: float) -> float:
        """Mean square of factor * W x + scale * b."""
        return factor**2 * self.product + 2 * factor * scale * self.cross + scale**2 * self.bias


class Corrections:
    """Factors on the weights and biases of a plan, found by running the model once.

    Parameters
    ----------
    planner : Planner
        The plan and the names of its weights.
    again : bool
        Whether it is a second pass, which leaves the lengths that the first has traded for
        gradients.
    """

    def __init__(self, planner: Planner, *, again: bool = False) -> None:
        self._planner, self._plan, self._again = planner, planner.plan, again
        self._found: dict[str, Found] = {}
        self._factor: dict[str, float] = {}
        self._scale: dict[str, float] = {}
        self._often = {n for n, uses in planner.uses.items() if len(uses) > 1}
        self._graph: Graph | None = None

    def run(self, batch: Any, size: int) -> None:
        """One pass forwards and one backwards; then the weights are multiplied."""
        model = self._planner.model
        with preserved(model, weights=False), torch.inference_mode(False), torch.enable_grad():
            for parameter in model.parameters():
                parameter.requires_grad_(parameter.is_floating_point())
            tracer = Tracer(model, size, on_affine=self._on_affine)
            with tracer:
                self._graph = tracer.book.graph
                tracer.feed(batch)
                output = batches.output_tensor(batches.call(model, batch))
                graph = tracer.finish(output)
            deep = [c for c in self._chains(graph) if len(c) > _SHORT]
            if deep:
                generator = torch.Generator().manual_seed(0)
                found = arriving(graph, output, None, projections=1, generator=generator)
                for chain in deep:
                    self._straighten(chain, found)
        self._multiply()

    # ---- forwards: lengths ----------------------------------------------------------------

    def _on_affine(self, node: Node, out: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        name = self._name(node)
        entry = self._plan.entries.get(name)
        if entry is None or node.weight is None:
            return out
        bias = _broadcast(node.weight, out)
        if name in self._factor:  # a further run of the same weights
            return _scaled(out, bias, self._factor[name])
        with torch.no_grad():
            product = out.detach() if bias is None else out.detach() - bias
            square = float(torch.linalg.vector_norm(product, dtype=torch.float64)) ** 2
            square /= max(product.numel(), 1)
            cross = b2 = 0.0
            if bias is not None and entry.sigma_b > 0.0:
                cross = float((product * bias).double().mean())
                b2 = float(bias.double().expand_as(product).square().mean())
        self._found[name] = here = Found(square, cross, b2)
        factor = self._wanted(entry, name, node, out, here)
        if not (factor > 0.0 and math.isfinite(factor)):
            if entry.role not in ("fixed", "output", "tied"):
                why = f"{entry.reason}; nothing arrives here"
                self._plan.entries[name] = replace(entry, reason=why)
            factor = 1.0
        self._factor[name] = factor
        return _scaled(out, bias, factor)

    def _wanted(self, entry: Entry, name: str, node: Node, out: torch.Tensor, here: Found) -> float:
        """The factor that brings the output of a weight to its length."""
        if entry.role in ("output", "tied"):
            assert node.weight is not None
            factor = beside_a_guess(out, node, node.weight)
            return math.sqrt(factor) if entry.share == 2.0 else factor
        if entry.role == "values":
            return math.sqrt(self._stream(entry) * entry.share / entry.length)
        if entry.role == "branch":
            return math.sqrt(self._stream(entry) * entry.share / here.product)
        chained = entry.role in ("chained", "stable")
        if (entry.role != "into" and not chained) or (chained and name in self._often):
            return 1.0
        factor = _to_length(here, entry.length)
        return min(factor, _AVERAGED) if self._averaged(node) else factor

    def _averaged(self, node: Node) -> bool:
        """Whether means over positions enter, which may be short now and are not later."""
        assert self._graph is not None
        before = self._graph.seen_through(self._graph.nodes[node.parents[0]])
        return isinstance(before.layer, (Attention, Pooling, Windows))

    def _stream(self, entry: Entry) -> float:
        """Mean square of the stream that a branch is added to, as it is now."""
        assert self._graph is not None
        planned = entry.length / entry.share
        if entry.stream >= len(self._graph.nodes):
            return planned
        q = measured_length(self._graph, self._graph.nodes[entry.stream])
        return q if q > 0.0 and math.isfinite(q) else planned

    # ---- backwards: gradients -------------------------------------------------------------

    def _chains(self, graph: Graph) -> list[list[Node]]:
        """Runs of layers between which only one activation acts, in order of execution."""
        chains: list[list[Node]] = []
        at: dict[int, list[Node]] = {}
        for node in graph.nodes:
            name = self._name(node) if node.is_affine else ""
            entry = self._plan.entries.get(name)
            if entry is None:
                continue
            before = graph.nodes[node.parents[0]]
            while before.looked_through or before.applied is not None:
                before = graph.nodes[before.parents[0]]
            chain = at.get(before.index)
            if entry.role in ("chained", "stable") and chain is not None and chain[-1] is before:
                chain.append(node)
            else:
                chain = [node]
                chains.append(chain)
            at[node.index] = chain
        return chains

    def _straighten(self, chain: list[Node], found: Arriving) -> None:
        r"""Take out the trend of the gradients along a chain.

        With :math:`T = \log (g_1 / g_n)` over n - 1 steps the weights get the factor
        :math:`e^{-T / 2 (n - 1)}` where lengths return by themselves (edge of chaos) or biases can
        hold them. Elsewhere length and gradient pull at the same weights, and a part is taken out.
        """
        trend = _trend(chain, found)
        if trend == 0.0:
            return
        for name in dict.fromkeys(self._name(n) for n in chain[1:]):
            entry = self._plan.entries[name]
            free = entry.sigma_b > 0.0 or entry.role == "stable"
            turn = -0.5 * trend if free else -_SHARED * trend
            if name in self._often:
                turn = self._joint(chain, trend, free)
            self._factor[name] = self._factor.get(name, 1.0) * math.exp(turn)
            if entry.sigma_b > 0.0 and name in self._found:
                self._scale[name] = _bias_scale(self._found[name], self._factor[name], entry.length)

    def leftover(self, graph: Graph, found: Arriving) -> float:
        """The largest logarithm of a ratio of gradients, first to last, of a chain."""
        deep = [c for c in self._chains(graph) if len(c) > _SHORT]
        return max((abs(_trend(c, found)) * (len(c) - 1) for c in deep), default=0.0)

    def _joint(self, chain: list[Node], trend: float, free: bool) -> float:
        """For weights that run many times: once, over all their runs."""
        lengths = [moments(n.numbers.tolist()).mean_square for n in chain if n.numbers is not None]
        grown = 0.0
        if len(lengths) == len(chain) and not free and min(lengths) > 0.0:
            grown = math.log(lengths[-1] / lengths[0]) / (len(chain) - 1)
        turn = -0.5 * trend if free else -0.25 * (trend + grown)
        return max(-_MOST, min(_MOST, turn))

    # ---- at the end -----------------------------------------------------------------------

    def _multiply(self) -> None:
        planner, plan = self._planner, self._plan
        tied = min((f for n, f in self._factor.items() if plan.entries[n].role == "tied"),
                   default=1.0)  # fmt: skip
        for name, entry in list(plan.entries.items()):
            factor = self._factor.get(name, 1.0)
            # A stream that starts in a table that becomes smaller has smaller branches too.
            if entry.role in ("branch", "values", "tied"):
                factor = tied if entry.role == "tied" else factor * tied
            if factor != 1.0:
                planner.targets[name].multiply(factor)
            scale = self._scale.get(name, 1.0)
            if scale != 1.0 and entry.bias is not None:
                with torch.no_grad():
                    planner.parameters[entry.bias].mul_(scale)
            plan.entries[name] = replace(
                entry, factor=entry.factor * factor, sigma_b=entry.sigma_b * scale
            )

    def _name(self, node: Node) -> str:
        """Full name of the weight of a node; empty without any."""
        weight = node.weight
        if weight is None:
            return ""
        name, _ = target_of(self._planner.model, weight.parameter, node.name)
        return self._planner.names.get(id(self._planner.parameters.get(name)), name)


def _trend(chain: list[Node], found: Arriving) -> float:
    """Log (g_1 / g_n) / (n - 1) of the gradients of a chain; 0 where there are none."""
    sizes = [found.gradient.get(n.index, math.nan) * n.numel for n in chain]
    if not all(v > 0.0 and math.isfinite(v) for v in sizes):
        return 0.0
    return math.log(sizes[0] / sizes[-1]) / (len(chain) - 1)


def measured_length(graph: Graph, node: Node) -> float:
    """Mean square at a node, from what was measured at it or before it."""
    factor = 1.0
    while node.numbers is None and node.looked_through and node.parents:
        factor *= node.layer.factor**2 if isinstance(node.layer, Scale) else 1.0
        node = graph.nodes[node.parents[0]]
    if node.numbers is not None:
        return factor * moments(node.numbers.tolist()).mean_square
    if node.applied is not None:
        q = measured_length(graph, graph.nodes[node.parents[0]])
        return factor * mean_square_behind(node.applied, q)
    return math.nan


def beside_a_guess(out: torch.Tensor, node: Node, weight: Weight) -> float:
    r"""The largest factor f up to 1 with which outputs lose little beside a uniform guess.

    .. math:: \Bigl\langle \log \sum_k e^{f z_k} - f \bar z \Bigr\rangle - \log C
              \le \tfrac{1}{40} \log C
    """
    axis = 1 if "convolution" in weight.operation else out.dim() - 1
    count = classes(node, weight)
    z = out.detach()
    if count < 3:
        square = float(z.double().square().mean())
        return min(1.0, math.sqrt(output_length(count) / square)) if square > 0.0 else 1.0
    z = some(z.movedim(axis, -1).reshape(-1, count))
    allowed = GUESS * math.log(count)
    low, high = 0.0, 1.0
    if above_guess(z) <= allowed:
        return 1.0
    for _ in range(12):  # to a part in 4096
        middle = 0.5 * (low + high)
        low, high = (middle, high) if above_guess(middle * z) <= allowed else (low, middle)
    return low


def some(z: torch.Tensor) -> torch.Tensor:
    """Rows of logits spread over a batch, as many as tell a mean of them within a percent or so."""
    count = max(_LOGITS // z.shape[-1], 64)
    return z[:: max(z.shape[0] // count, 1)].double()


def above_guess(z: torch.Tensor) -> float:
    """How far a cross-entropy lies above that of a uniform guess, on average over labels."""
    found = torch.logsumexp(z, dim=-1).mean() - z.mean() - math.log(z.shape[-1])
    return float(found)


def _to_length(here: Found, wanted: float) -> float:
    """S > 0 with which the mean square of s W x + b is as wanted."""
    rest = here.bias - wanted
    if not (here.product > 0.0 and rest < 0.0):
        return math.nan
    root = math.sqrt(here.cross**2 - here.product * rest)
    return (-here.cross + root) / here.product


def _bias_scale(here: Found, factor: float, wanted: float) -> float:
    """S >= 0 with which the mean square of f W x + s b is as wanted; 1 where there is none."""
    a, b, c = here.bias, factor * here.cross, factor**2 * here.product - wanted
    if not (a > 0.0 and c < 0.0):
        return 1.0  # the weights alone are too long: theory's bias stays
    return (-b + math.sqrt(b * b - a * c)) / a


def _scaled(out: torch.Tensor, bias: torch.Tensor | None, factor: float) -> torch.Tensor:
    if factor == 1.0:
        return out
    scaled = out * factor if bias is None else out * factor + bias * (1.0 - factor)
    return scaled.to(out.dtype)


def _broadcast(detail: Weight, out: torch.Tensor) -> torch.Tensor | None:
    """The bias in the shape of the output: channels are the second axis of a convolution."""
    if detail.bias is None:
        return None
    if "convolution" in detail.operation:
        return detail.bias.detach().reshape(-1, *(1,) * (detail.weight.dim() - 2))
    return detail.bias.detach()


def corrected(plan: Plan) -> bool:
    """Whether any weight was multiplied."""
    return any(entry.factor != 1.0 for entry in plan.entries.values())
