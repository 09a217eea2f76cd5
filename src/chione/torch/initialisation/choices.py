"""Which sigma_w, sigma_b and length a weight gets by where it stands."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace

from chione.activations import AbstractActivation
from chione.torch.capture.nodes import Node
from chione.torch.initialisation.laws import Law
from chione.torch.initialisation.lengths import Lengths, entering_length
from chione.torch.initialisation.options import Options
from chione.torch.initialisation.plan import Plan
from chione.torch.initialisation.uses import Branch, Surroundings, Use
from chione.torch.layers.tensors import Weight
from chione.torch.recommendation.recipes import Recipe, recipe

# A cross-entropy over C classes lies s^2 / 2 above log C for independent outputs N(0, s^2): half
# of the 5 % by which a start may lie above a uniform guess.
GUESS = 0.025
# Logarithms of what a residual stream grows by over its sums, and its gradients with it. Branches
# behind a normalisation do not feed on it: half of what plain gradient descent bears (e^6). A small
# mixer ended at 0.037 of the loss with 3 and 0.043 with 1, a small ViT at 0.092 and 0.089.
_PLAIN, _BEHIND_NORM = 1.0, 3.0
_SINGLE = 0.1  # mean square of a single output: log 2 + 0.1 / 8 for a binary cross-entropy
_PERIODIC = ("sin", "cos")


@dataclass(frozen=True)
class Choice:
    """Weights and biases for one layer, what the batch may correct, and why; see ``Entry``."""

    sigma_w: float
    sigma_b: float = 0.0
    length: float = math.nan
    role: str = "fixed"
    reason: str = ""
    stream: int = -1
    share: float = math.nan
    law: Law | None = None

    def because(self, more: str) -> Choice:
        """The same with one more reason."""
        return replace(self, reason=f"{self.reason}; {more}" if self.reason else more)


def branch_share(sums: int, branch: Branch) -> float:
    """Mean square of a residual branch in units of its stream, for a stream with that many sums."""
    growth = _BEHIND_NORM if branch.normed else _PLAIN
    # The gradient of a product is that of both its factors: twice that of other branches.
    return min(1.0, (0.5 * growth if branch.gated and branch.normed else growth) / sums)


def output_length(classes: int) -> float:
    """Mean square of outputs that lose no more than ``GUESS`` of log C beside a uniform guess."""
    return (
        _SINGLE
        if classes < 2
        else min(_SINGLE, 1.0)
        if classes == 2
        else 2.0 * GUESS * (math.log(classes))
    )


class Chooser:
    """The rules, in the order in which they apply.

    Parameters
    ----------
    around : Surroundings
        Where each weight stands.
    options : Options
        What is asked for.
    chained : Counter
        How often each activation stands on both sides of a weight.
    plan : Plan
        For its notes.
    """

    def __init__(
        self,
        around: Surroundings,
        options: Options,
        chained: Counter[AbstractActivation],
        plan: Plan,
    ) -> None:
        self._around, self._options, self._chained = around, options, chained
        self._plan = plan

    def typical(self, uses: list[Use]) -> Use:
        """Of the uses of one weight that which decides: one between two equal activations."""
        return next((u for u in uses if self._is_chained(u)), uses[0])

    def choose(
        self, use: Use, weight: Weight, arriving: float, covered: float, lengths: Lengths
    ) -> Choice:
        """For one weight that mean square `arriving` enters."""
        # Of what is there, where zeros stand beyond the edge; behind what starts at zero of what
        # will be.
        q = (arriving if 0.0 < arriving < math.inf else 1.0) * covered
        if use.branch is not None and not use.place.normalised:
            return self._branch(use, use.branch, q, lengths)
        if use.place.normalised:
            sigma = 1.0 / math.sqrt(covered)
            return Choice(sigma, reason="a normalisation follows, so the scale is free")
        if use.output or self._ends_in_activation(use):
            return self._output(use, weight, q)
        if use.product:
            sigma = 1.0 / math.sqrt(q) / use.scale
            why = f"{use.product} of a product: mean square 1 each"
            return Choice(sigma, length=1.0 / use.scale**2, role="into", reason=why)
        if use.attention in ("scores", "joint"):
            why = "attention: scores of mean square 1"
            return Choice(1.0 / math.sqrt(q), length=1.0, role="into", reason=why)
        if use.place.activation is not None:
            return self._before_activation(use, use.place.activation, weight, q)
        return self._linear(use, q, covered)

    # ---- one rule for each place ----------------------------------------------------------

    def _branch(self, use: Use, branch: Branch, q: float, lengths: Lengths) -> Choice:
        """A share of the stream, so that it grows by a bounded factor over its R sums."""
        sums = max(self._around.sums, 1)
        share = branch_share(sums, branch)
        why = f"end of a residual branch, 1 of {sums}"
        if branch.factor != 1.0:
            share = 1.0 if branch.factor == 0.0 else min(1.0, share / branch.factor**2)
            why += f", times {branch.factor:.3g}"
        stream = lengths[branch.stream]
        for through in branch.through:
            other = self._around.graph.nodes[through]
            if other.applied is not None and other.parents[0] >= use.node.index:
                share = entering_length(other.applied, share * stream) / stream
            elif through in lengths.at:
                share /= lengths[through]
        role = "values" if use.attention == "output" else "branch"
        sigma = math.sqrt(share * stream / q)
        return Choice(sigma, 0.0, share * stream, role, why, branch.stream, share)

    def _output(self, use: Use, weight: Weight, q: float) -> Choice:
        """Outputs as long as a guess allows, and no gain above what keeps the gradient."""
        length = output_length(classes(use.node, weight))
        before = self._recipe(use.place.before)
        keeps = before.sigma_w / use.before if before is not None and before.exists else 1.0
        sigma = min(keeps, math.sqrt(length / q) / use.scale)
        why = "output: starts beside a uniform guess"
        return Choice(sigma, 0.0, sigma**2 * q, "output", why)

    def _before_activation(self, use: Use, after: Node, weight: Weight, q: float) -> Choice:
        here = self._recipe(after)
        if here is None or not here.exists:
            why = "mean square 1: nothing keeps the gradients of this activation"
            if self._options.target == "forward":
                why = "mean square 1, as asked"
            length = 1.0 / use.scale**2
            return Choice(math.sqrt(length / q), 0.0, length, "into", why)
        if self._is_chained(use):
            role = "stable" if here.target == "edge" else "chained"
            why = f"{here.target}, {here.activation}" + _divided(use)
            sigma_w = here.sigma_w / use.scale / use.before
            covered = weight.coverage if self._options.law != "delta_orthogonal" else 1.0
            sigma_w /= math.sqrt(covered)
            return Choice(sigma_w, here.sigma_b / use.scale, here.length / use.scale**2, role, why)
        frequency = use.scale**2 * q / (3.0 * weight.fan_in)
        if use.first and here.activation in _PERIODIC and frequency > here.length:
            sigma_w = 1.0 / math.sqrt(3.0 * weight.fan_in)
            law = Law("uniform", sigma_w / math.sqrt(weight.fan_in))
            why = f"first layer of waves: frequencies up to {use.scale:.4g} times the input's"
            return Choice(sigma_w, reason=why, law=law)
        in_chain = after.activation is not None and self._chained[after.activation] > 0
        length, sigma_b = (here.length, here.sigma_b) if in_chain else (1.0, 0.0)
        if length <= sigma_b**2:
            sigma_b = 0.0
        w2 = (length - sigma_b**2) / q
        why = f"brings the signal to the length of {here.activation}" + _divided(use)
        return Choice(
            math.sqrt(w2) / use.scale, sigma_b / use.scale, length / use.scale**2, "into", why
        )

    def _linear(self, use: Use, q: float, covered: float) -> Choice:
        before = self._recipe(use.place.before)
        if before is not None and before.exists:
            why = f"keeps the gradient behind {before.activation}"
            return Choice(before.sigma_w / use.before / math.sqrt(covered), reason=why)
        if use.first:
            why = "brings the input to mean square 1"
            return Choice(1.0 / math.sqrt(q), length=1.0, role="into", reason=why)
        return Choice(1.0 / math.sqrt(covered), reason="linear")

    # ---- what they ask --------------------------------------------------------------------

    def _is_chained(self, use: Use) -> bool:
        here, before = use.place.activation, use.place.before
        if here is None or before is None or use.product or use.place.normalised:
            return False
        return here.activation is not None and here.activation == before.activation

    def _ends_in_activation(self, use: Use) -> bool:
        """Whether the output goes through an activation that is not that of the network."""
        after = use.place.activation
        if after is None or self._is_chained(use):
            return False
        return (
            self._around.graph.seen_through(
                self._around.graph.nodes[self._around.graph.output or 0]
            ).index
            == after.index
            and use.place.before is not None
        )

    def _recipe(self, node: Node | None) -> Recipe | None:
        """The recommendation for the activation of a node; its depth counts such layers."""
        if node is None or self._options.target == "forward":
            return None
        phi = node.activation
        if phi is None:
            return None
        law = "orthogonal" if "orthogonal" in self._options.law else "gaussian"
        found = recipe(phi, max(self._chained[phi] + 1, 2), self._options.width, law)
        if not found.exists:
            self._plan.note(found.sentence)
        return found


def classes(node: Node, weight: Weight) -> int:
    """Entries over which a softmax of the output of a node would run."""
    axis = 1 if "convolution" in weight.operation else len(node.shape) - 1
    return int(node.shape[axis]) if 0 <= axis < len(node.shape) else 1


def _divided(use: Use) -> str:
    return "" if use.scale == 1.0 else f", the factor {use.scale:.4g} before it divided out"
