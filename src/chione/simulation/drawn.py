"""One network with its weights drawn, after the networks whose output it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chione.base import Array
from chione.networks import Network
from chione.simulation.frames import drawn_frame
from chione.simulation.layers import Draws, Row, Step, chain
from chione.simulation.layers.memory import Memory
from chione.simulation.streams import Purpose

INPUT = "input"  # the place before the first layer


class Drawn(Step):
    """A drawn network; its memories, drawn first, run before it and get gradients after it.

    Each memory has inputs of its own, random ones with the second moments of its description.
    """

    def __init__(self, network: Network, draws: Draws) -> None:
        held: dict[str, Memory] = {}
        self._remembered: list[_Remembered] = []
        for name, other in network.memories.items():
            held[name] = Memory(other.output)
            place = f"{draws.place}.memory.{name}" if draws.place else f"memory.{name}"
            self._remembered.append(_Remembered(other, draws.at(place), held[name]))
        within = replace(draws, memories=held)
        self._steps = chain(network.layers, network.input.shape, within, "layers")

    def inner(self) -> Iterator[Step]:
        """The memories, then the layers."""
        yield from self._remembered
        yield self._steps

    def forward(self, x: Array) -> Array:
        """Through the memories, then through the layers."""
        for memory in self._remembered:
            memory.run()
        return self._steps.forward(x)

    def backward(self, g: Array) -> Array:
        """Through the layers, then each memory with the gradients that it got."""
        back = self._steps.backward(g)
        for memory in reversed(self._remembered):
            memory.back(g)
        return back


class _Remembered(Step):
    """A network that others read, with what enters it."""

    def __init__(self, network: Network, draws: Draws, held: Memory) -> None:
        self._place = f"{draws.place}.{INPUT}"
        self._watch, self._held = draws.watch, held
        draws.rows.append(Row(self._place, INPUT, network.input.shape))
        self._x = drawn_frame(network.input, draws.batch[0], draws.stream(Purpose.INPUTS))
        self._drawn = Drawn(network, draws)

    def inner(self) -> Iterator[Step]:
        """The network."""
        yield self._drawn

    def forward(self, x: Array) -> Array:
        """Through the network."""
        if self._watch is not None:
            self._watch.forward(self._place, x)
        return self._drawn.forward(x)

    def backward(self, g: Array) -> Array:
        """Back through the network."""
        g = self._drawn.backward(g)
        if self._watch is not None:
            self._watch.backward(self._place, g)
        return g

    def run(self) -> None:
        """Its own inputs forward."""
        self._held.hold(self.forward(self._x))

    def back(self, like: Array) -> None:
        """The collected gradients backward; `like` has their axes in front."""
        self.backward(self._held.collected(like))
