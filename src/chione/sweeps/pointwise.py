"""Activations applied to whole layers in training: value and derivative, in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation

FloatArray = NDArray[np.floating[Any]]


class Pointwise(ABC):
    """An activation for float32 or float64 arrays of any size."""

    @abstractmethod
    def value(self, h: FloatArray, out: FloatArray) -> None:
        r"""Write :math:`\\phi(h)` into `out`, which may be `h`."""

    @abstractmethod
    def both(self, h: FloatArray, out: FloatArray) -> None:
        r"""Write :math:`\\phi(h)` into `out` and replace `h` by :math:`\\phi'(h)`."""


class General(Pointwise):
    """Any activation, by its own formulas in float64."""

    def __init__(self, act: AbstractActivation) -> None:
        self._act = act

    def value(self, h: FloatArray, out: FloatArray) -> None:
        """See :meth:`Pointwise.value`."""
        out[...] = self._act.value(h.astype(np.float64))

    def both(self, h: FloatArray, out: FloatArray) -> None:
        """See :meth:`Pointwise.both`."""
        z = h.astype(np.float64)
        out[...] = self._act.value(z)
        h[...] = self._act.derivative(z)


class Tanh(Pointwise):
    """The hyperbolic tangent; its derivative is 1 - tanh^2."""

    def value(self, h: FloatArray, out: FloatArray) -> None:
        """See :meth:`Pointwise.value`."""
        np.tanh(h, out=out)

    def both(self, h: FloatArray, out: FloatArray) -> None:
        """See :meth:`Pointwise.both`."""
        np.tanh(h, out=out)
        np.multiply(out, out, out=h)
        np.subtract(1.0, h, out=h)


class Relu(Pointwise):
    """max(x, 0); its derivative at 0 is 0, as in PyTorch."""

    def value(self, h: FloatArray, out: FloatArray) -> None:
        """See :meth:`Pointwise.value`."""
        np.maximum(h, 0.0, out=out)

    def both(self, h: FloatArray, out: FloatArray) -> None:
        """See :meth:`Pointwise.both`."""
        np.maximum(h, 0.0, out=out)
        np.greater(h, 0.0, out=h, casting="unsafe")


def pointwise(act: AbstractActivation) -> Pointwise:
    """The fastest form of an activation."""
    if act.name == "tanh":
        return Tanh()
    if act.name == "relu":
        return Relu()
    return General(act)
