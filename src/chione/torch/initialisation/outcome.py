"""What a model is like on a batch: measured, judged and compared, before and after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture.followers import followers
from chione.torch.capture.gradients import Arriving
from chione.torch.capture.nodes import Graph
from chione.torch.capture.state import preserved
from chione.torch.initialisation.corrections import above_guess, some
from chione.torch.inspection.awareness import Trial
from chione.torch.inspection.copies import Copies
from chione.torch.inspection.inspection import (
    entering_distance,
    known_of,
    layer_report,
    measure,
    swing,
    trunk_rows,
)
from chione.torch.inspection.report import Verdict
from chione.torch.inspection.verdict import Known, judge

_RANK = {"yes": 0, "doubtful": 1, "no": 2}
# A cross-entropy that starts this far above a uniform guess (in units of log C) is worse than one
# that does not: twice the 5 % that a plan allows itself.
_START = 0.1


@dataclass(frozen=True)
class Outcome:
    """A model on a batch.

    Parameters
    ----------
    graph : Graph
        How it ran.
    found : Arriving
        Its gradients.
    verdict : Verdict
        As ``inspect`` gives it, without remedies. What the output layer does to all gradients alike
        is a matter of scale and is not judged.
    above : float
        How far a cross-entropy of its output lies above a uniform guess, in units of log C; NaN
        for a single output.
    loss_above : float
        The same in natural units.
    finite : bool
        Whether all signals are numbers.
    """

    graph: Graph
    found: Arriving
    verdict: Verdict
    above: float
    loss_above: float
    finite: bool

    @property
    def fine(self) -> bool:
        """Whether nothing could be better."""
        return self.finite and self.verdict.trains == "yes" and not self.above > _START

    def worse_than(self, other: Outcome) -> str:
        """Why this is worse than another outcome for the same model; empty if it is not."""
        if not other.finite:
            return ""
        if not self.finite:
            return "signals are not finite with them"
        if _RANK[self.verdict.trains] > _RANK[other.verdict.trains]:
            return f"with them it is {_lower(self.verdict.sentence)}"
        if self.above > max(_START, other.above) and self.verdict.trains == other.verdict.trains:
            return f"with them a cross-entropy starts {self.loss_above:.3g} above a uniform guess"
        return ""


def outcome(model: torch.nn.Module, batch: Any, size: int, *, whole: bool) -> Outcome:
    """Run a model forwards and backwards once, and judge what was measured.

    Where `whole` gradients of parameters are looked at too, which tell what is zero, frozen or cut
    off; where all weights were just drawn the trunk tells as much.
    """
    frozen = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
    generator = torch.Generator().manual_seed(0)
    with preserved(model, weights=False), torch.inference_mode(False), torch.enable_grad():
        trial = Trial(model, batch, None, frozen, generator)
        seen = measure(trial, size, 1, check=False, parameters=whole)
        graph, output, found = seen.graph, seen.output, seen.found
        if not all(seen.measured[n.index].finite for n in graph.rows()):
            verdict = Verdict(
                "no", "exploding signal", None, "A layer gives no finite numbers.", ""
            )
            return Outcome(graph, found, verdict, math.inf, math.inf, False)
        loss = _loss_above(graph, output)
        known = known_of(trial, seen) if whole else Known((), None, Copies(), swing(seen))
    for node in graph.nodes:
        node.edge = None  # it holds the activations
    follow = followers(graph)
    layers = tuple(
        layer_report(n, seen.measured[n.index], found, follow, None) for n in graph.rows()
    )
    rows = tuple(row for row in trunk_rows(seen, layers) if not row.output)
    _, start = entering_distance(seen)
    verdict = judge(layers, rows, start, known)
    count = output.shape[-1] if output.dim() else 1
    above = loss / math.log(count) if count > 1 else math.nan
    return Outcome(graph, found, verdict, above, loss, True)


def _loss_above(graph: Graph, output: torch.Tensor) -> float:
    """NaN where the output is no map of its own, so that nobody takes it for logits."""
    z = output.detach()
    last = None if graph.output is None else graph.seen_through(graph.nodes[graph.output])
    if z.dim() < 2 or z.shape[-1] < 2 or last is None or not last.is_affine:
        return math.nan
    return above_guess(some(z.reshape(-1, z.shape[-1])))


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
