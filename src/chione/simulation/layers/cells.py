r"""One step of a recurrent cell and its derivative, for pre-activations that are given.

A cell takes what the state sends, W h_{t-1} + b, and what the input sends, U x_t + b', each of
`gates` n channels, and what it carries on from step to step: (h,), or (h, c) for an LSTM.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, TypeAlias

import numpy as np
from scipy.special import expit

from chione.activations import AbstractActivation
from chione.base import Array

Carried: TypeAlias = tuple[Array, ...]


class Cell(ABC):
    """Equations of one cell, whose matrices have `gates` blocks of n rows."""

    gates: ClassVar[int]

    @abstractmethod
    def forward(self, state: Array, entering: Array, carried: Carried) -> tuple[Carried, Any]:
        """What is carried on, h first, and what the way back needs."""

    @abstractmethod
    def backward(self, g: Carried, kept: Any) -> tuple[Array, Array, Carried]:
        """Gradients of what the state sent, of what the input sent, and directly of the carried."""


class Plain(Cell):
    """h = phi(W h + b + U x + b')."""

    gates = 1

    def __init__(self, activation: AbstractActivation) -> None:
        self._phi = activation

    def forward(self, state: Array, entering: Array, carried: Carried) -> tuple[Carried, Any]:
        """The next state."""
        u = state + entering
        return (self._phi.value(u),), u

    def backward(self, g: Carried, kept: Any) -> tuple[Array, Array, Carried]:
        """Both get the same."""
        du = g[0] * self._phi.derivative(kept)
        return du, du, (np.zeros_like(g[0]),)


class Gated(Cell):
    """h' = z h + (1 - z) n, n = tanh(r (W_n h + b_n) + U_n x + b'_n); blocks r, z, n."""

    gates = 3

    def forward(self, state: Array, entering: Array, carried: Carried) -> tuple[Carried, Any]:
        """The next state."""
        (h,) = carried
        (sr, sz, sn), (ur, uz, un) = (np.split(x, 3, axis=-1) for x in (state, entering))
        r, z = expit(sr + ur), expit(sz + uz)
        n = np.tanh(r * sn + un)
        return (z * h + (1.0 - z) * n,), (h, r, z, n, sn)

    def backward(self, g: Carried, kept: Any) -> tuple[Array, Array, Carried]:
        """By the product rule."""
        h, r, z, n, sn = kept
        (dh,) = g
        dn = dh * (1.0 - z) * (1.0 - n * n)
        dz = dh * (h - n) * z * (1.0 - z)
        dr = dn * sn * r * (1.0 - r)
        from_state = np.concatenate([dr, dz, dn * r], axis=-1)
        return from_state, np.concatenate([dr, dz, dn], axis=-1), (dh * z,)


class LongShort(Cell):
    """c' = f c + i g, h' = o tanh(c'); blocks i, f, g, o."""

    gates = 4

    def forward(self, state: Array, entering: Array, carried: Carried) -> tuple[Carried, Any]:
        """The next state and cell state."""
        c = carried[1]
        ui, uf, ug, uo = np.split(state + entering, 4, axis=-1)
        i, f, g, o = expit(ui), expit(uf), np.tanh(ug), expit(uo)
        after = f * c + i * g
        shown = np.tanh(after)
        return (o * shown, after), (c, i, f, g, o, shown)

    def backward(self, g: Carried, kept: Any) -> tuple[Array, Array, Carried]:
        """By the product rule."""
        c, i, f, new, o, shown = kept
        dh, dc = g
        dc = dc + dh * o * (1.0 - shown * shown)
        du = np.concatenate(
            [
                dc * new * i * (1.0 - i),
                dc * c * f * (1.0 - f),
                dc * i * (1.0 - new * new),
                dh * shown * o * (1.0 - o),
            ],
            axis=-1,
        )
        return du, du, (np.zeros_like(dh), dc * f)


def cell_of(word: str, activation: AbstractActivation) -> Cell:
    """The cell of a description."""
    return {"gru": Gated(), "lstm": LongShort()}.get(word) or Plain(activation)


def carried_of(word: str) -> int:
    """How many vectors a cell carries on."""
    return 2 if word == "lstm" else 1
