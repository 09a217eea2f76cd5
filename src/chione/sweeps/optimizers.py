r"""Optimisers by hand, for the stacked parameters of many networks.

All follow ``torch.optim`` to the letter: SGD without and with momentum (no dampening), and Adam
with betas (0.9, 0.999), eps = 1e-8 and both bias corrections.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

MOMENTUM = 0.9
BETAS = (0.9, 0.999)
EPS = 1e-8


class Optimizer(ABC):
    """Turns gradients into steps of M stacked networks, one layer after another.

    Parameters
    ----------
    shapes : list of tuple of int
        Of the stacked parameters of each layer, (M, rows, columns).
    rates : array of shape (M,)
        Learning rates.
    dtype : dtype
        Of the parameters.
    """

    states: ClassVar[int]
    """Arrays that are kept beside the parameters, each of their shape."""

    def __init__(
        self, shapes: list[tuple[int, ...]], rates: NDArray[np.float64], dtype: Any
    ) -> None:
        self._rates = rates.reshape(-1, 1, 1)
        self._kept = [[np.zeros(shape, dtype) for _ in range(self.states)] for shape in shapes]
        self._number = np.dtype(dtype).type
        self._factors: FloatArray = self._rates.astype(dtype)

    def begin(self, step: int) -> None:
        """Turn to step number `step`, counted from 1."""
        self._step = step

    @abstractmethod
    def update(self, layer: int, w: FloatArray, g: FloatArray, scratch: FloatArray) -> None:
        """Move the parameters `w` of a layer by its gradient `g`.

        `g` and `scratch`, an array of the same shape, are overwritten.
        """

    def keep(self, members: list[int]) -> None:
        """Go on with these members only."""
        self._rates, self._factors = self._rates[members], self._factors[members]
        self._kept = [[state[members] for state in layer] for layer in self._kept]


class SGD(Optimizer):
    r""":math:`w \leftarrow w - \eta g`."""

    states = 0

    def update(self, layer: int, w: FloatArray, g: FloatArray, scratch: FloatArray) -> None:
        """See :meth:`Optimizer.update`."""
        g *= self._factors
        w -= g


class Momentum(Optimizer):
    r""":math:`v \leftarrow 0.9 v + g, \quad w \leftarrow w - \eta v`."""

    states = 1

    def update(self, layer: int, w: FloatArray, g: FloatArray, scratch: FloatArray) -> None:
        """See :meth:`Optimizer.update`."""
        (v,) = self._kept[layer]
        v *= self._number(MOMENTUM)
        v += g
        np.multiply(v, self._factors, out=scratch)
        w -= scratch


class Adam(Optimizer):
    r"""Adam (Kingma & Ba, 2015) as ``torch.optim.Adam`` computes it.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        w \leftarrow w - \frac{\eta\, m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    The states are kept as m / (1 - beta_1) and v / (1 - beta_2), which saves two passes over them.
    """

    states = 2
    _eps: np.floating[Any]

    def begin(self, step: int) -> None:
        """See :meth:`Optimizer.begin`."""
        # sqrt(v (1 - beta_2) / (1 - beta_2^t)) + eps = r (sqrt(v) + eps / r)
        r = math.sqrt((1.0 - BETAS[1]) / (1.0 - BETAS[1] ** step))
        first = (1.0 - BETAS[0]) / (1.0 - BETAS[0] ** step)
        self._eps = self._number(EPS / r)
        self._factors = (self._rates * (first / r)).astype(self._number)

    def update(self, layer: int, w: FloatArray, g: FloatArray, scratch: FloatArray) -> None:
        """See :meth:`Optimizer.update`."""
        m, v = self._kept[layer]
        m *= self._number(BETAS[0])
        m += g
        g *= g
        v *= self._number(BETAS[1])
        v += g
        np.sqrt(v, out=scratch)
        scratch += self._eps
        np.divide(m, scratch, out=scratch)
        scratch *= self._factors
        w -= scratch


_CLASSES: dict[str, type[Optimizer]] = {"sgd": SGD, "momentum": Momentum, "adam": Adam}


def optimizer(
    name: str, shapes: list[tuple[int, ...]], rates: NDArray[np.float64], dtype: Any
) -> Optimizer:
    """The optimiser of that name, see :class:`Optimizer`."""
    return _CLASSES[name](shapes, rates, dtype)
