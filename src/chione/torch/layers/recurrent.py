"""Recurrent layers: ``rnn``, ``gru`` and ``lstm`` of torch, one call for all their cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch

from chione.activations import AbstractActivation, Tanh, activation
from chione.networks import Recurrent
from chione.torch.layers.entering import AbstractLeaf
from chione.torch.layers.tensors import finite_root, spread

Name = Literal["rnn", "gru", "lstm"]
CALLS = frozenset(("rnn_tanh", "rnn_relu", "gru", "lstm"))


@final
@dataclass(frozen=True)
class Cells(AbstractLeaf, word="recurrent"):
    """Layers of recurrent cells, each with one direction or two.

    Parameters
    ----------
    layers : tuple of tuple of Recurrent
        For each layer its directions, forwards first.
    keep : float
        Of the dropout between layers.
    """

    layers: tuple[tuple[Recurrent, ...], ...] = ()
    keep: float = 1.0


def recurrent_call(name: str, args: tuple[Any, ...]) -> tuple[torch.Tensor, Cells] | None:
    """The input and the layer; None for packed sequences and projected states."""
    x, _, flat, biased, layers, drop, training, both = args[:8]
    if not isinstance(flat, (list, tuple)) or not isinstance(x, torch.Tensor):
        return None
    directions = 2 if both else 1
    each = len(flat) // (layers * directions)
    if each != (4 if biased else 2) or (name != "gru" and name != "lstm" and x.dim() != 3):
        return None
    cell: Name = "rnn" if name.startswith("rnn") else name  # type: ignore[assignment]
    act: AbstractActivation = Tanh() if name != "rnn_relu" else activation("relu")
    made = [_cell(cell, act, flat[i : i + each]) for i in range(0, len(flat), each)]
    rows = tuple(tuple(made[i : i + directions]) for i in range(0, len(made), directions))
    return x, Cells(rows, 1.0 - drop if training else 1.0)


def _cell(cell: Name, act: AbstractActivation, tensors: Sequence[torch.Tensor]) -> Recurrent:
    u, w = tensors[:2]
    bias = [spread(b).mean_square for b in tensors[2:]]
    return Recurrent(
        cell,
        finite_root(w.shape[1] * spread(w).mean_square),
        finite_root(u.shape[1] * spread(u).mean_square),
        math.sqrt(sum(bias) / len(bias)) if bias else 0.0,
        size=int(w.shape[1]),
        activation=act,
        sequence=True,
    )
