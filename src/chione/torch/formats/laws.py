r"""Which law the entries of each tensor have by theory: variances, their fluctuation, functions.

With r the variance of a squared length relative to its square, over networks of this width,

.. math:: r_x = e^2 r_h + \frac{1}{n}\Bigl(\frac{E \phi^4}{(E \phi^2)^2} - 1\Bigr), \qquad
   r_h' = \Bigl(1 - \frac{\sigma_b^2}{q}\Bigr)^2 r_x, \qquad
   e = \frac{d \log E \phi^2}{d \log q},

of n summed entries, which is :math:`V / (n q^2)` of the finite-width theory; a normalisation sets
it to zero, a sum of independent terms adds their parts and :math:`4 q_1 q_2 / (n q^2)`. Gradients
likewise, from the output back. Leading order in 1/n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from chione.base import Array
from chione.torch.capture.nodes import Node
from chione.torch.expected.expect import expect
from chione.torch.expected.states import State
from chione.torch.expected.walk import Walk
from chione.torch.formats.masses import Scales, Values, scales
from chione.torch.formats.observe import Observed
from chione.torch.layers.entering import Attention, Embedding
from chione.torch.layers.joins import Sum, View
from chione.torch.layers.tensors import Weight

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class EntryLaw:
    r"""The law of the entries of one tensor.

    Parameters
    ----------
    scales : Scales
        Of the variance of Gaussian entries h, or of the mean square of what is sent back.
    relative_error : float
        Of its mean.
    independent : float
        How many entries count as independent.
    value : callable, optional
        The entries are this function of h.
    slope : callable, optional
        The entries are :math:`\phi'(h) u`, with `q` the variance of h.
    """

    scales: Scales
    relative_error: float
    independent: float
    value: Values | None = None
    slope: Values | None = None
    q: float = 0.0


class Laws:
    """Laws of signals and gradients along a traced graph, each None where theory has no rule."""

    def __init__(self, seen: Observed) -> None:
        self.graph, self.seen = seen.graph, seen
        self.walk = Walk(seen.graph, seen.measured)
        found = seen.found
        self.theory = {} if found is None else expect(seen.graph, seen.measured, found)
        self.children = seen.graph.children()
        self._forward: dict[int, float] = {}
        for node in seen.graph.nodes:
            self._forward[node.index] = self._fluctuation(node)

    # ---- signals ------------------------------------------------------------------------------

    def signal(self, node: Node) -> EntryLaw | None:
        """The law of what a node makes."""
        if node.applied is not None:
            parent = self.graph.nodes[node.parents[0]]
            law = self._gaussian(self.graph.seen_through(parent))
            if law is None:
                return None
            value = on_arrays(node.applied.function, self.seen.dtype)
            state = self.walk.states[self.graph.seen_through(parent).index]
            told = _independent(node, self.batch, self._alike(state))  # phi is not even
            return EntryLaw(law.scales, law.relative_error, told, value=value)
        return self._gaussian(node)

    def _gaussian(self, node: Node) -> EntryLaw | None:
        if isinstance(node.layer, Embedding):
            q = np.array([node.layer.sigma**2])
            return EntryLaw(scales(q, np.ones(1), 0.0), 0.0, _units(node))
        state = self.walk.states.get(node.index)
        if state is None or not state.stream.law.gaussian or state.patches or not state.length > 0:
            return None
        s = state.stream
        q = s.k.value[s.orbits.diagonal]
        shares = np.tile(state.shares, s.inputs) / s.inputs
        told = q > 0.0
        law = scales(q[told], shares[told] / shares[told].sum(), self._forward[node.index])
        same = self._alike(state) ** 2 + 1.0 / _units(node)
        independent = _independent(node, self.batch, same)
        return EntryLaw(law, state.length_error / state.length, independent)

    @property
    def batch(self) -> int:
        """Number of inputs."""
        return self.graph.batch

    def _alike(self, state: State) -> float:
        """|c| of different inputs, 1 where that is not known."""
        if self.batch < 2:
            return 1.0
        one_minus_c = state.one_minus_c()[0]
        return abs(1.0 - one_minus_c) if math.isfinite(one_minus_c) else 1.0

    def _fluctuation(self, node: Node) -> float:
        """Relative variance r of the squared length that a node's entries share."""
        from_here = [self._forward[p] for p in node.parents]
        if not from_here or node.is_norm or node.index not in self.walk.states:
            return 0.0
        if node.is_affine:
            parent = self.graph.nodes[node.parents[0]]
            weights = node.tensors
            q = self.walk.length(node.index)
            share = 1.0
            if isinstance(weights, Weight) and q > 0.0:
                share = max(1.0 - weights.bias_spread.mean_square / q, 0.0)
            return share**2 * self._summed(parent)
        if isinstance(node.layer, Attention):
            return self._summed(self.graph.nodes[node.parents[0]])
        if isinstance(node.layer, Sum) and len(node.parents) == 2:
            one, two = (max(self.walk.length(p), 0.0) for p in node.parents)
            r, s = from_here
            both = (one + two) ** 2
            if not both > 0.0:
                return max(from_here)
            return (one**2 * r + two**2 * s + 4.0 * one * two / _units(node)) / both
        return max(from_here)

    def _summed(self, parent: Node) -> float:
        """The same of the mean square over n entries that a matrix reads, these being random."""
        source = self.graph.seen_through(parent)
        if source.applied is None:
            if not source.parents or source.index not in self.walk.states:
                return 0.0
            random = 0.0 if source.is_norm else 2.0 / _units(source)
            return self._forward[source.index] + random
        before = self.graph.nodes[source.parents[0]]
        q = self.walk.length(before.index)
        if not q > 0.0:
            return self._forward[before.index]
        phi = on_arrays(source.applied.function, torch.float64)
        kurtosis, elasticity = _moments(phi, q)
        return elasticity**2 * self._forward[before.index] + (kurtosis - 1.0) / _units(source)

    # ---- gradients ----------------------------------------------------------------------------

    def gradient(self, node: Node) -> EntryLaw | None:
        """The law of the gradient that arrives at a node."""
        if node.applied is not None:
            row = self.graph.nodes[node.parents[0]]
            sent = self._sent_back(node)
            expected = self.theory.get(row.index)
            q = self.walk.length(row.index)
            if sent is None or expected is None or not expected.gradient > 0.0 or not q > 0.0:
                return None
            slope = slope_on_arrays(node.applied.function, self.seen.dtype)
            passed = float(_WEIGHTS @ slope(math.sqrt(q) * _NODES) ** 2)
            if not passed > 0.0:
                return None
            return self._arriving(node, row, expected.gradient / passed, sent)
        expected = self.theory.get(node.index)
        if expected is None or not expected.gradient > 0.0:
            return None
        readers = self._readers(node)
        if len(readers) == 1 and readers[0].applied is not None:
            act = readers[0]
            sent, q = self._sent_back(act), self.walk.length(node.index)
            state = self.walk.states.get(node.index)
            if sent is None or state is None or not state.stream.law.gaussian or not q > 0.0:
                return None
            slope = slope_on_arrays(act.applied.function, self.seen.dtype)  # type: ignore[union-attr]
            law = self._arriving(node, node, expected.gradient, sent)
            return EntryLaw(law.scales, law.relative_error, law.independent, slope=slope, q=q)
        sent = self._sent_back(node)
        return None if sent is None else self._arriving(node, node, expected.gradient, sent)

    def _arriving(self, node: Node, row: Node, square: float, fluctuation: float) -> EntryLaw:
        expected = self.theory[row.index]
        told = self.seen.profile[self.seen.profile > 0.0]
        shares = np.full(told.size, 1.0 / told.size)
        law = scales(square * told, shares, fluctuation)
        alike = [
            m[row.index].one_minus_c for m in (self.seen.sent, self.seen.measured) if row.index in m
        ]
        c = max((abs(1.0 - x) if math.isfinite(x) else 1.0 for x in alike), default=1.0)
        error = expected.gradient_error / expected.gradient
        return EntryLaw(law, error, _independent(node, self.batch, c**2 + 1.0 / _units(node)))

    def _readers(self, node: Node) -> list[Node]:
        """Who reads a node, views and dropout left out."""
        out: list[Node] = []
        for index in dict.fromkeys(self.children[node.index]):
            child = self.graph.nodes[index]
            out += self._readers(child) if isinstance(child.layer, View) else [child]
        return out

    def _sent_back(self, node: Node, depth: int = 0) -> float | None:
        """R of a Gaussian gradient that arrives at a node from its readers; None if it is none."""
        readers = self._readers(node)
        if not readers or node.index == self.graph.output or depth > 200:
            return None
        found = [self._from(reader, depth) for reader in readers]
        known = [r for r in found if r is not None]
        return max(known) if len(known) == len(found) else None

    def _from(self, reader: Node, depth: int) -> float | None:
        if reader.is_affine or isinstance(reader.layer, Attention):
            if self._at_output(reader):
                return 0.0  # what it sends back is known input by input
            after = self._readers(reader)
            acts = [r for r in after if r.applied is not None]
            if acts and len(after) == 1:
                behind = self._sent_back(acts[0], depth + 1)
                q = self.walk.length(reader.index)
                if behind is None or not q > 0.0:
                    return None
                slope = slope_on_arrays(acts[0].applied.function, torch.float64)  # type: ignore[union-attr]
                z, w = math.sqrt(q) * _NODES, _WEIGHTS
                d = slope(z) ** 2
                mean = float(w @ d)
                kurtosis = 3.0 * float(w @ d**2) / mean**2 if mean > 0.0 else 3.0
                return behind + (kurtosis - 1.0) / _units(reader)
            behind = self._sent_back(reader, depth + 1)
            return None if behind is None else behind + 2.0 / _units(reader)
        if reader.is_norm or isinstance(reader.layer, Sum) or reader.looked_through:
            return self._sent_back(reader, depth + 1)
        return None

    def _at_output(self, node: Node) -> bool:
        if self.graph.output is None:
            return False
        return self.graph.seen_through(self.graph.nodes[self.graph.output]) is node


# ---- functions on arrays ------------------------------------------------------------------------


def on_arrays(function: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype) -> Values:
    """A function of tensors as one of float64 arrays, rounded as the model rounds."""

    def value(h: Array) -> Array:
        with torch.no_grad():
            x = torch.as_tensor(np.array(h, dtype=np.float64)).to(dtype)
            return np.asarray(function(x).double().numpy())

    return value


def slope_on_arrays(function: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype) -> Values:
    """Its derivative, as the backward pass computes it."""

    def value(h: Array) -> Array:
        with torch.enable_grad():
            x = torch.as_tensor(np.array(h, dtype=np.float64)).to(dtype).requires_grad_()
            (g,) = torch.autograd.grad(function(x * 1.0).sum(), x)
        return np.asarray(g.double().numpy())

    return value


def _moments(phi: Values, q: float) -> tuple[float, float]:
    """E phi^4 / (E phi^2)^2 and the slope of log E phi^2 over log q, by Stein's lemma."""
    f = phi(math.sqrt(q) * _NODES) ** 2
    mean = float(_WEIGHTS @ f)
    if not mean > 0.0:
        return 1.0, 0.0
    slope = float(_WEIGHTS @ (f * (_NODES**2 - 1.0))) / 2.0 / mean
    return float(_WEIGHTS @ f**2) / mean**2, slope


def _units(node: Node) -> float:
    """Channels of a tensor, batch and positions left out."""
    shape = node.shape
    if len(shape) < 2:
        return 1.0
    return float(shape[1] if node.axes == "first" else shape[-1])


def _independent(node: Node, batch: int, same: float) -> float:
    """Entries that count as independent, inputs having this correlation in whether one is lost.

    That is at most |c|, and c^2 where an event is even in the entry; over pairs c^2 is larger than
    the square of the mean c by 1 over the channels. Positions are taken to repeat each other.
    """
    return _units(node) * batch / (1.0 + (batch - 1.0) * min(same, 1.0))
