r"""The cells in which the state enters channel by channel, and their derivatives.

.. math:: \text{gru:}\quad & s' = z s + (1 - z) n, \quad h = s', \quad n = \tanh(r\,a + b) \\
   \text{lstm:}\quad & s' = f s + i g, \quad h = o \tanh(s')

with :math:`z, r, f, i, o` sigmoids and g the tanh of their pre-activations; a and b are what the
weights of the state and those of the input give to n (the equations of PyTorch).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit

from chione.base import Array


@dataclass(frozen=True)
class Step:
    """A step of a cell: new states and the derivatives that a channel has on its own.

    Parameters
    ----------
    inner, state : ndarray
        s' and h.
    by_inner : ndarray
        ds' / ds.
    by_gates : tuple of ndarray
        ds' / dp of each pre-activation p.
    state_by_inner : ndarray
        dh / ds'.
    state_by_gates : tuple of ndarray or None
        dh / dp at fixed s', None where it is zero.
    """

    inner: Array
    state: Array
    by_inner: Array
    by_gates: tuple[Array, ...]
    state_by_inner: Array
    state_by_gates: tuple[Array | None, ...]


class Cell(Protocol):
    """A step, and what its pre-activations are made of.

    Attributes
    ----------
    fed : tuple of (bool, bool)
        For each pre-activation whether weights of the state and whether those of the input give
        to it.
    state_is_inner : bool
        Whether h is s itself, so that the gradient of h holds what comes along s.
    """

    fed: tuple[tuple[bool, bool], ...]
    state_is_inner: bool

    def step(self, s: Array, p: tuple[Array, ...]) -> Step:
        """From s and the pre-activations, entry by entry."""


class Gru:
    """Gated recurrent unit (Cho et al. 2014), with the reset gate behind the weights."""

    fed: tuple[tuple[bool, bool], ...] = ((True, True), (True, True), (True, False), (False, True))
    state_is_inner = True

    def step(self, s: Array, p: tuple[Array, ...]) -> Step:
        """P = (r, z, a, b)."""
        r, z = expit(p[0]), expit(p[1])
        n = np.tanh(r * p[2] + p[3])
        into_n = (1.0 - z) * (1.0 - n * n)
        by_gates = into_n * p[2] * r * (1.0 - r), z * (1.0 - z) * (s - n), into_n * r, into_n
        new = z * s + (1.0 - z) * n
        return Step(new, new, z, by_gates, np.ones_like(s), (None,) * 4)


class Lstm:
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with a forget gate)."""

    fed: tuple[tuple[bool, bool], ...] = ((True, True),) * 4
    state_is_inner = False

    def step(self, s: Array, p: tuple[Array, ...]) -> Step:
        """P = (i, f, g, o)."""
        i, f, o = expit(p[0]), expit(p[1]), expit(p[3])
        g = np.tanh(p[2])
        new = f * s + i * g
        t = np.tanh(new)
        by_gates = g * i * (1.0 - i), s * f * (1.0 - f), i * (1.0 - g * g), np.zeros_like(s)
        return Step(new, o * t, f, by_gates, o * (1.0 - t * t), (None,) * 3 + (t * o * (1.0 - o),))


CELLS: dict[str, Cell] = {"gru": Gru(), "lstm": Lstm()}
