"""How a stream crosses a node of a traced graph: the rules of theory on the sites that are there.

``cross(layer, node, states, walk)`` is found by the type of the layer. It gives the state behind
the node, and for each parent the map that takes a gradient home to the parent's sites.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Protocol, TypeAlias

from chione.base import UnsupportedLayerError
from chione.networks import (
    AbstractLayer,
    Dense,
    Norm,
    Shape,
)
from chione.theory.layers.rule import Walker
from chione.theory.layers.stream import Gradient, Stream
from chione.torch.capture.nodes import Node
from chione.torch.capture.samples import arranged
from chione.torch.expected.profiles import Reads
from chione.torch.expected.states import (
    State,
)

Home: TypeAlias = Callable[[Gradient], Gradient]


def _none() -> float:
    """No error of sampling."""
    return 0.0


class Asked(Protocol):
    """What a crossing may ask of the walk."""

    @property
    def rules(self) -> Walker:
        """The walk of theory that keeps what was prepared."""

    @property
    def batch(self) -> int:
        """Number of inputs of the whole batch."""

    def given(self, node: Node) -> tuple[float, float] | None:
        """sigma_w^2, padding counted, and sigma_b^2 of an affine map that is to be set."""

    def part(self, node: Node, first: int, count: int) -> frozenset[int] | None:
        """Sources of a share of the channels; None if it overlaps with another one."""


@dataclass(frozen=True)
class Crossing:
    """The state behind a node, the way home to each parent, and what sampling has left so far.

    `noise` gives a relative standard error. `reads` is what a convolution on a lattice reads, of
    which it sees the fraction `seen`.
    """

    state: State
    home: dict[int, Home]
    noise: Callable[[], float] = _none
    reads: Reads | None = None
    seen: float = 1.0


def unsupported(node: Node, why: str) -> UnsupportedLayerError:
    """The error after which the walk starts again from what was measured."""
    return UnsupportedLayerError(f"{node.name}: theory cannot follow {node.kind}: {why}.")


@singledispatch
def cross(
    layer: AbstractLayer | None, node: Node, states: tuple[State, ...], walk: Asked
) -> Crossing:
    """The state behind a node.

    Parameters
    ----------
    layer : AbstractLayer or None
        That of the node.
    node : Node
        The node.
    states : tuple of State
        What enters, one for each parent.
    walk : Asked
        Who asks.

    Raises
    ------
    UnsupportedLayerError
        If there is no rule, or the sites do not suffice for it.
    """
    raise unsupported(node, "it has no rule")


def behind(node: Node, state: State, stream: Stream, walk: Asked, home: Home) -> Crossing:
    """The stream at a node with one parent, positions read off its shape."""
    at = arranged(node.shape, node.axes, walk.batch)
    if at is None:
        raise unsupported(node, "its axes are not known")
    taken = state.taken if at.positions > 1 else "all"
    stream = stream if stream.shape.width == at.width else with_width(stream, at.width)
    profile = state.profile if at.grid == state.grid and not _at_each_position(node) else None
    smooth = state.smooth if at.grid == state.grid else 0.0
    behind = State(stream, at.grid, taken, node.axes, profile=profile, smooth=smooth)
    return Crossing(behind, {node.parents[0]: home})


def _at_each_position(node: Node) -> bool:
    """Whether every position gets the same mean square."""
    return isinstance(node.layer, Norm) and node.layer.form in ("layer", "rms")


def with_width(stream: Stream, width: int) -> Stream:
    """The same with another number of channels."""
    return replace(stream, shape=Shape(width, stream.shape.grid))


def affine(w2: float, b2: float, out: int) -> Dense:
    """A dense layer of these variances."""
    return Dense(math.sqrt(max(w2, 0.0)), math.sqrt(max(b2, 0.0)), max(out, 1))


def times(g: Gradient, factor: float) -> Gradient:
    """A gradient with its mean squares times a factor."""
    return g if factor == 1.0 else g.scaled(factor)


def then(first: Home, second: Home, factor: float) -> Home:
    """One after the other, with a factor on the mean square between them."""
    return lambda g: second(times(first(g), factor))


def both(one: Home, two: Home) -> Home:
    """The sum of what two ways take home."""
    return lambda g: one(g).plus(two(g))


def same(g: Gradient) -> Gradient:
    """As it is."""
    return g
