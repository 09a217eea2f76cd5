r"""Recurrent layers: one cell, applied at every step of time with the same weights.

.. math:: \text{rnn:}\quad & h_t = \phi(W h_{t-1} + U x_t + b) \\
   \text{gru:}\quad & h_t = z_t h_{t-1} + (1 - z_t) n_t, \quad
   n_t = \tanh(r_t\,(W_n h_{t-1} + b_n) + U_n x_t + b'_n) \\
   \text{lstm:}\quad & c_t = f_t c_{t-1} + i_t g_t, \quad h_t = o_t \tanh(c_t)

with gates :math:`z, r, f, i, o = \operatorname{sigmoid}(W_\cdot h_{t-1} + U_\cdot x_t + b_\cdot)`
and :math:`g = \tanh(W_g h_{t-1} + U_g x_t + b_g)`, the equations of PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np

from chione.activations import AbstractActivation, Tanh
from chione.base import checks
from chione.networks.input import Gram, as_gram
from chione.networks.layer import (
    ACTIVATION,
    WIDTH,
    AbstractLayer,
    Shape,
    ShapeError,
    as_activation,
    flag,
    width_or_none,
)

CELLS = ("rnn", "gru", "lstm")


@final
@dataclass(frozen=True)
class Recurrent(AbstractLayer, word="recurrent"):
    r"""A recurrent layer over the positions of a grid with one axis, its time.

    Parameters
    ----------
    cell : {"rnn", "gru", "lstm"}
        The cell.
    sigma_w : float
        Standard deviation of the weights of the state, Var W = sigma_w^2 / n_state.
    sigma_u : float
        Standard deviation of the weights of the input, Var U = sigma_u^2 / n_in.
    sigma_b : float
        Standard deviation of the biases; each matrix has one.
    size : int, optional
        Channels of the state; as many as arrive by default.
    activation : activation
        phi of the ``rnn`` cell; the other cells have none to choose.
    sequence : bool
        Whether all states leave, one a step, or the last one alone.
    tied : bool
        Whether all steps have the same weights, as real recurrent layers do; False draws fresh
        ones each step, the approximation of much of the literature.
    start : matrix, optional
        Second moments over inputs of the initial state, Gaussian; zero by default. The initial
        cell state of an ``lstm`` is zero.
    """

    cell: Literal["rnn", "gru", "lstm"] = "rnn"
    sigma_w: float = 1.0
    sigma_u: float = 1.0
    sigma_b: float = 0.0
    size: int | None = field(default=None, metadata=WIDTH)
    activation: AbstractActivation = field(default=Tanh(), metadata=ACTIVATION)
    sequence: bool = False
    tied: bool = True
    start: Gram | None = None

    def __post_init__(self) -> None:
        checks.one_of("cell", self.cell, CELLS)
        self._set(
            sigma_w=checks.non_negative("sigma_w", self.sigma_w),
            sigma_u=checks.non_negative("sigma_u", self.sigma_u),
            sigma_b=checks.non_negative("sigma_b", self.sigma_b),
            size=width_or_none("size", self.size),
            activation=as_activation(self.activation),
        )
        flag("sequence", self.sequence)
        flag("tied", self.tied)
        if self.cell != "rnn" and self.activation != Tanh():
            raise ValueError(
                f"activation is {self.activation.name}, but a {self.cell} cell has its own; only "
                f"the rnn cell takes one."
            )
        if self.start is not None:
            gram = as_gram("start", self.start)
            self._set(start=None if not np.any(gram) else gram)

    def after(self, shape: Shape, place: str) -> Shape:
        """All states, or the last one, which has no positions."""
        if len(shape.grid) != 1:
            raise ShapeError(
                f"{place}: a recurrent layer needs a grid of one axis, its time, but {shape} "
                f"arrive; give the network an input such as Input(width=64, grid=(20,))."
            )
        return Shape(self.size or shape.width, shape.grid if self.sequence else ())
