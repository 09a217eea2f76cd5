r"""What a drawn layer can do, how layers are drawn one inside the other, and who looks on.

Signals are arrays x[..., input a, position t, channel i]; axes in front are copies that go through
the same weights (replicas, and for gradients several cotangents). A new kind of layer is one file
here with a :class:`Step` and its ``@draw.register``.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np

from chione.base import Array, UnsupportedLayerError
from chione.networks import AbstractLayer, Layers, Shape
from chione.simulation.layers.memory import Memory
from chione.simulation.streams import Purpose, stream


class Step(ABC):
    """One layer of one network, its weights and masks drawn."""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """The output for `x`; what `backward` needs is kept."""

    @abstractmethod
    def backward(self, g: Array) -> Array:
        """The gradient at the input from that at the output, after a forward pass.

        `g` may have more axes in front than x had: one cotangent each.
        """

    def inner(self) -> Iterator[Step]:
        """Steps inside this one."""
        return iter(())

    def parameter_gradients(self) -> list[Array]:
        r"""Gradients for the N(0, 1) parameters, after a backward pass.

        A weight is :math:`\sigma_w n_{in}^{-1/2}` times a parameter, a bias :math:`\sigma_b` times
        one. Axes in front of inputs and positions stay; the rest is the shape of the parameters.
        """
        return [a for step in self.inner() for a in step.parameter_gradients()]


class Watch(Protocol):
    """Who sees the signals between the layers."""

    def forward(self, place: str, x: Array) -> None:
        """The output of the layer at `place`."""

    def backward(self, place: str, g: Array) -> None:
        """The gradient at the output of the layer at `place`."""


@dataclass(frozen=True)
class Row:
    """One place of a drawn network: a layer, or one repetition of a block."""

    place: str
    kind: str
    shape: Shape


@dataclass(frozen=True)
class Draws:
    """The random streams of one network, handed from layer to layer.

    Parameters
    ----------
    seed, network : int
        Seed, and number of the network: its numbers do not depend on how many there are.
    batch : tuple of int
        Axes of a signal before its positions, inputs last: noise and masks need them.
    watch : Watch, optional
        Who sees the signals.
    place : str
        Where the next layer stands.
    rows : list of Row
        The places drawn so far, outer layers before inner ones.
    memories : mapping of str to Memory
        The networks whose output layers may read, by name.
    """

    seed: int
    network: int
    batch: tuple[int, ...]
    watch: Watch | None = None
    place: str = ""
    rows: list[Row] = field(default_factory=list)
    memories: Mapping[str, Memory] = field(default_factory=dict)
    _steps: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def stream(self, purpose: Purpose = Purpose.WEIGHTS) -> np.random.Generator:
        """A generator of its own for each call; the order of calls is that of the layers."""
        return stream(self.seed, self.network, next(self._steps), purpose)

    def at(self, place: str) -> Draws:
        """The same streams, one place further."""
        return replace(self, place=place)


class Chain(Step):
    """Steps one after the other, with the places after each."""

    def __init__(self, steps: list[Step], places: list[str], watch: Watch | None) -> None:
        self._steps, self._places, self._watch = steps, places, watch

    def inner(self) -> Iterator[Step]:
        """The steps in order."""
        return iter(self._steps)

    def forward(self, x: Array) -> Array:
        """Through all steps."""
        for step, place in zip(self._steps, self._places, strict=True):
            x = step.forward(x)
            if self._watch is not None:
                self._watch.forward(place, x)
        return x

    def backward(self, g: Array) -> Array:
        """Through all steps, the last one first."""
        for step, place in zip(reversed(self._steps), reversed(self._places), strict=True):
            if self._watch is not None:
                self._watch.backward(place, g)
            g = step.backward(g)
        return g


def chain(layers: Layers, shape: Shape, draws: Draws, name: str) -> Chain:
    """The layers of a list, whose places are ``name[0]``, ``name[1]``, ... within `draws.place`."""
    around = f"{draws.place}.{name}" if draws.place else name
    places = [f"{around}[{i}]" for i in range(len(layers))]
    steps = []
    for layer, place in zip(layers, places, strict=True):
        after = layer.after(shape, place)
        draws.rows.append(Row(place, layer.word, after))
        steps.append(draw(layer, shape, draws.at(place)))
        shape = after
    return Chain(steps, places, draws.watch)


@singledispatch
def draw(layer: AbstractLayer, shape: Shape, draws: Draws) -> Step:
    """One layer with weights of its own, for signals of this shape.

    Raises
    ------
    UnsupportedLayerError
        If there is no sampler for this kind.
    """
    raise UnsupportedLayerError(
        f"{draws.place}: there is no sampler for layers of kind {layer.word or type(layer)!r}; "
        f"register one with chione.simulation.layers.draw.register."
    )


Memories: TypeAlias = Mapping[str, Shape]  # what leaves the networks that layers may read


class Work(NamedTuple):
    """What one layer costs, for one input.

    Parameters
    ----------
    weights : float
        Number of weights.
    products : float
        Multiplications by weights, and others of that number.
    held : float
        Numbers that it keeps for its way back, beside the signals that enter and leave.
    """

    weights: float = 0.0
    products: float = 0.0
    held: float = 0.0


@singledispatch
def work(layer: AbstractLayer, shape: Shape, memories: Memories) -> Work:
    """What a layer costs; those without weights have the default."""
    return Work()


def leaves(step: Step) -> Iterator[Step]:
    """The steps that hold no others, in order."""
    inside = list(step.inner())
    if not inside:
        yield step
    for one in inside:
        yield from leaves(one)


def rows_of(x: Array) -> Array:
    """A signal as a matrix, one row for each copy, input and position."""
    return x.reshape(-1, x.shape[-1])


def over_inputs(x: Array) -> Array:
    """A signal with inputs and positions on one axis: (..., a t, i)."""
    return x.reshape(*x.shape[:-3], -1, x.shape[-1])
