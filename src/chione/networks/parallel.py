"""Branches side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, final

from chione.base import checks
from chione.networks.layer import (
    BRANCHES,
    AbstractLayer,
    Layers,
    Shape,
    ShapeError,
    as_layers,
    pass_through,
)

COMBINATIONS = ("sum", "mean", "concat", "product")


@final
@dataclass(frozen=True)
class Parallel(AbstractLayer, word="parallel"):
    """Several branches that read the same, put together again.

    Parameters
    ----------
    branches : list of layers
        The branches; an empty one is the identity.
    combine : {"sum", "mean", "concat", "product"}
        How: entry by entry, or channels one after the other.
    """

    branches: tuple[Layers, ...] = field(metadata=BRANCHES)
    combine: Literal["sum", "mean", "concat", "product"] = "sum"

    def __post_init__(self) -> None:
        checks.one_of("combine", self.combine, COMBINATIONS)
        given: Any = self.branches
        if not isinstance(given, (list, tuple)) or not given:
            raise TypeError(f"branches must be a list of lists of layers, but it is {given!r:.60}.")
        branches = tuple(as_layers(f"branches[{i}]", b) for i, b in enumerate(given))
        self._set(branches=branches)

    def inner(self) -> Iterator[tuple[str, Layers]]:
        """The branches."""
        for i, branch in enumerate(self.branches):
            yield f"branches[{i}]", branch

    def after(self, shape: Shape, place: str) -> Shape:
        """One shape for all, or the channels of all together."""
        out = [pass_through(branch, shape, f"{place}.{name}") for name, branch in self.inner()]
        if self.combine == "concat":
            if len({s.grid for s in out}) > 1:
                raise ShapeError(_unlike(place, out, "positions"))
            return Shape(sum(s.width for s in out), out[0].grid)
        if len(set(out)) > 1:
            raise ShapeError(_unlike(place, out, "shapes"))
        return out[0]


def _unlike(place: str, shapes: list[Shape], what: str) -> str:
    found = ", ".join(str(s) for s in shapes)
    return f"{place}: the branches must end in the same {what}, but they give {found}."
