"""Blocks that stand several times in a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

from chione.networks.layer import (
    LAYERS,
    AbstractLayer,
    Layers,
    Shape,
    ShapeError,
    as_layers,
    count,
    pass_through,
    steps_of,
)

CHANGES = 10_000  # repetitions whose shapes may differ, each of which is worked out


@final
@dataclass(frozen=True)
class Repeat(AbstractLayer, word="repeat"):
    """The same layers several times, each time with fresh weights.

    Parameters
    ----------
    times : int
        How often, at least 1.
    layers : layers
        The layers of the block.
    """

    times: int
    layers: Layers = field(metadata=LAYERS)

    def __post_init__(self) -> None:
        self._set(times=count("times", self.times), layers=as_layers("layers", self.layers))

    def inner(self) -> Iterator[tuple[str, Layers]]:
        """The block, once."""
        yield "layers", self.layers

    def steps(self) -> int:
        """One for each repetition beside what is inside, and one for the whole."""
        return 1 + self.times * (1 + steps_of(self.layers))

    def after(self, shape: Shape, place: str) -> Shape:
        """The shape after all repetitions; once it stays, it stays for good."""
        for _ in range(min(self.times, CHANGES)):
            before, shape = shape, pass_through(self.layers, shape, f"{place}.layers")
            if shape == before:
                return shape
        if self.times > CHANGES:
            raise ShapeError(
                f"{place}: after {CHANGES:,} repetitions the shape still changes, from {before} to "
                f"{shape}; blocks that change their shape may stand {CHANGES:,} times."
            )
        return shape
