"""Residual connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

from chione.base import checks
from chione.networks.layer import (
    LAYERS,
    AbstractLayer,
    Layers,
    Shape,
    ShapeError,
    as_layers,
    pass_through,
)


@final
@dataclass(frozen=True)
class Residual(AbstractLayer, word="residual"):
    r"""A branch added to what enters it: :math:`y = a\,s(x) + b\,f(x)`.

    Parameters
    ----------
    branch : layers
        The branch f.
    skip, scale : float
        The factors a and b.
    shortcut : layers
        The layers s of the shortcut; the identity by default.
    """

    branch: Layers = field(metadata=LAYERS)
    skip: float = 1.0
    scale: float = 1.0
    shortcut: Layers = field(default=(), metadata=LAYERS)

    def __post_init__(self) -> None:
        self._set(
            branch=as_layers("branch", self.branch),
            skip=checks.finite("skip", self.skip),
            scale=checks.finite("scale", self.scale),
            shortcut=as_layers("shortcut", self.shortcut),
        )

    def inner(self) -> Iterator[tuple[str, Layers]]:
        """The branch, and the shortcut where it has layers."""
        yield "branch", self.branch
        if self.shortcut:
            yield "shortcut", self.shortcut

    def after(self, shape: Shape, place: str) -> Shape:
        """That of the branch, which the shortcut must share."""
        branch = pass_through(self.branch, shape, f"{place}.branch")
        shortcut = pass_through(self.shortcut, shape, f"{place}.shortcut")
        if branch != shortcut:
            raise ShapeError(
                f"{place}: the branch gives {branch}, the shortcut {shortcut}; make them equal, "
                f"for instance with shortcut=[Dense(out=...)] or a strided Convolution of kernel 1."
            )
        return branch
