"""Where a forward pass leaves the graph of gradients: detach, no_grad, comparisons, checkpoints.

A cut is noted where an operation receives a tensor that requires a gradient and returns none that
does. Most cuts are meant (statistics, masks); they matter only as the reason why a parameter gets
no gradient.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

import torch

from chione.torch.capture.batches import tensors

Why = Literal["detached", "no_grad", "reentrant checkpoint", "no derivative", "derivative zero"]

# Piecewise constant: autograd gives them a gradient that is zero everywhere.
_FLAT = frozenset(
    ["sign", "round", "floor", "ceil", "trunc", "fix", "sgn", "floor_divide", "heaviside"]
)
_CHECKPOINT = "checkpoint.py"


@dataclass(frozen=True)
class Cut:
    """One place where gradients end.

    Parameters
    ----------
    place : str
        The module that was running.
    operation : str
        What was executed.
    why : str
        How the gradient was lost.
    edges : tuple
        Gradient edges of what went in.
    direct : frozenset of int
        Identities of the parameters that went in themselves.
    """

    place: str
    operation: str
    why: Why
    edges: tuple[Any, ...]
    direct: frozenset[int]

    def leaves(self) -> frozenset[int]:
        """Identities of the parameters that what went in was made from."""
        return self.direct | leaves(self.edges)


@dataclass
class Cuts:
    """All cuts of one forward pass, and the leaves that some operation has used.

    Parameters
    ----------
    found : list of Cut
        In order of execution.
    used : set of int
        Identities of leaves that require a gradient and went into an operation.
    reentrant : bool
        Whether a checkpoint has run its part without recording it.
    """

    found: list[Cut] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    reentrant: bool = False

    def note(self, name: str, place: str, arguments: Any, out: Any) -> None:
        """Look at one operation that has run."""
        given = [t for t in tensors(arguments) if t.requires_grad]
        if not given:
            return
        self.used.update(id(_leaf(t)) for t in given if _leaf(t) is not None)
        made = list(tensors(out))
        if not made:
            return
        if any(t.requires_grad for t in made):
            if name.rstrip("_") in _FLAT:
                self._add(name, place, "derivative zero", given)
            return
        if not torch.is_grad_enabled():
            inside = _in_checkpoint()
            self.reentrant |= inside
            self._add(name, place, "reentrant checkpoint" if inside else "no_grad", given)
        else:
            detached = name in ("detach", "detach_", "__get__")  # the last is .data
            self._add(name, place, "detached" if detached else "no derivative", given)

    def _add(self, name: str, place: str, why: Why, given: list[torch.Tensor]) -> None:
        edges = tuple(torch.autograd.graph.get_gradient_edge(t) for t in given if _leaf(t) is None)
        direct = frozenset(id(_leaf(t)) for t in given if _leaf(t) is not None)
        self.found.append(Cut(place, name, why, edges, direct))


def _leaf(tensor: torch.Tensor) -> torch.Tensor | None:
    """The leaf that a tensor is, or is a view of that was written to without gradients."""
    try:
        return tensor if tensor.is_leaf else None
    except RuntimeError:  # autograd refuses to say it of such a view
        return tensor._base


def leaves(edges: Iterable[Any]) -> frozenset[int]:
    """Identities of the leaves of the graph of gradients behind some edges."""
    todo, seen, out = [edge.node for edge in edges], set(), set()
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)  # of the nodes that accumulate into a leaf
        if variable is not None:
            out.add(id(variable))
        todo += [after for after, _ in node.next_functions if after is not None]
    return frozenset(out)


def _in_checkpoint() -> bool:
    """Whether a reentrant checkpoint of torch is running: it records nothing of what it runs."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "forward" and code.co_filename.endswith(_CHECKPOINT):
            return "torch" in code.co_filename
        frame = frame.f_back
    return False
