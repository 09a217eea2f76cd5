"""Activations: a function on tensors, looked up among those that theory knows when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import final

import torch

from chione.activations import AbstractActivation
from chione.networks import AbstractLayer, Nonlinearity, Shape
from chione.torch.capture.identify import identify, looked_up


@final
@dataclass(frozen=True)
class Applied(AbstractLayer, word="activation"):
    """An activation as it was applied.

    Parameters
    ----------
    function : callable
        On tensors, entry by entry.
    label : str
        What was called, for the reader.
    arithmetic : bool
        Whether formulas use it too (abs, exp, pow), so that it need not be an activation.
    key : hashable, optional
        What determines the values, where something does, so that a function of torch itself is
        looked up once and not at each layer.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    label: str
    arithmetic: bool = False
    key: Hashable = None

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape

    @cached_property
    def _looked_up(self) -> tuple[AbstractActivation | None, bool]:
        if self.key is None:
            return looked_up(self.function)
        return _known(_Keyed(self.key, self.function))

    @cached_property
    def layer(self) -> Nonlinearity | None:
        """The activation that has these values, if theory can take it."""
        found, single = self._looked_up
        if found is None and single:
            found = identify(self.function)
        return None if found is None else Nonlinearity(found)

    @property
    def name(self) -> str:
        """The name in the catalogue where the values agree, else what was called."""
        found = self._looked_up[0]
        return self.label if found is None else found.name


@dataclass(frozen=True)
class _Keyed:
    """A function that is equal to another one if its key is."""

    key: Hashable
    function: Callable[[torch.Tensor], torch.Tensor] = field(compare=False)


@lru_cache(maxsize=256)
def _known(keyed: _Keyed) -> tuple[AbstractActivation | None, bool]:
    return looked_up(keyed.function)
