r"""Optimisers by hand, for the stacked parameters of one layer of many networks.

All follow ``torch.optim`` to the letter: SGD without and with momentum (no dampening), and Adam
with betas (0.9, 0.999), eps = 1e-8 and both bias corrections.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

MOMENTUM = 0.9
BETAS = (0.9, 0.999)
EPS = 1e-8


class Optimizer(ABC):
    """Turns gradients into steps; one object serves one layer of M stacked networks.

    Parameters
    ----------
    shape : tuple of int
        Of the stacked parameters (M, rows, columns).
    rates : array of shape (M,)
        Learning rates.
    dtype : dtype
        Of the parameters.
    """

    def __init__(self, shape: tuple[int, ...], rates: NDArray[np.float64], dtype: Any) -> None:
        self._rates = rates.reshape(-1, 1, 1)
        self._states: list[FloatArray] = []
        self._dtype = np.dtype(dtype)

    @abstractmethod
    def update(self, w: FloatArray, g: FloatArray, step: int, scratch: FloatArray) -> None:
        """Move the parameters `w` by step number `step` (from 1) with gradient `g`.

        `g` and `scratch`, an array of the same shape, are overwritten.
        """

    def keep(self, members: list[int]) -> None:
        """Go on with these members only."""
        self._rates = self._rates[members]
        self._states = [s[members] for s in self._states]

    def _numbers(self, x: NDArray[np.float64]) -> FloatArray:
        return x.astype(self._dtype)


class SGD(Optimizer):
    r""":math:`w \leftarrow w - \eta g`."""

    def update(self, w: FloatArray, g: FloatArray, step: int, scratch: FloatArray) -> None:
        """See :meth:`Optimizer.update`."""
        g *= self._numbers(self._rates)
        w -= g


class Momentum(Optimizer):
    r""":math:`v \leftarrow 0.9 v + g, \quad w \leftarrow w - \eta v`."""

    def __init__(self, shape: tuple[int, ...], rates: NDArray[np.float64], dtype: Any) -> None:
        super().__init__(shape, rates, dtype)
        self._states = [np.zeros(shape, dtype)]

    def update(self, w: FloatArray, g: FloatArray, step: int, scratch: FloatArray) -> None:
        """See :meth:`Optimizer.update`."""
        (v,) = self._states
        v *= v.dtype.type(MOMENTUM)
        v += g
        np.multiply(v, self._numbers(self._rates), out=scratch)
        w -= scratch


class Adam(Optimizer):
    r"""Adam (Kingma & Ba, 2015) as ``torch.optim.Adam`` computes it.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        w \leftarrow w - \frac{\eta\, m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    The states are kept as m / (1 - beta_1) and v / (1 - beta_2), which saves two passes over them.
    """

    def __init__(self, shape: tuple[int, ...], rates: NDArray[np.float64], dtype: Any) -> None:
        super().__init__(shape, rates, dtype)
        self._states = [np.zeros(shape, dtype), np.zeros(shape, dtype)]

    def update(self, w: FloatArray, g: FloatArray, step: int, scratch: FloatArray) -> None:
        """See :meth:`Optimizer.update`."""
        m, v = self._states
        number = w.dtype.type
        m *= number(BETAS[0])
        m += g
        g *= g
        v *= number(BETAS[1])
        v += g
        # sqrt(v (1 - beta_2) / (1 - beta_2^t)) + eps = r (sqrt(v) + eps / r)
        r = math.sqrt((1.0 - BETAS[1]) / (1.0 - BETAS[1] ** step))
        first = (1.0 - BETAS[0]) / (1.0 - BETAS[0] ** step)
        np.sqrt(v, out=scratch)
        scratch += number(EPS / r)
        np.divide(m, scratch, out=scratch)
        scratch *= self._numbers(self._rates * (first / r))
        w -= scratch


_CLASSES: dict[str, type[Optimizer]] = {"sgd": SGD, "momentum": Momentum, "adam": Adam}


def optimizer(
    name: str, shape: tuple[int, ...], rates: NDArray[np.float64], dtype: Any
) -> Optimizer:
    """The optimiser of that name, see :class:`Optimizer`."""
    return _CLASSES[name](shape, rates, dtype)
