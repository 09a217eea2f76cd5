"""Recurrent layers: one cell after the other along the time of the grid, and back through time.

Rows inside, ``.state[t]`` with t counted from 0, hold the state after step t + 1.
"""

from __future__ import annotations

import math

import numpy as np

from chione.base import Array
from chione.networks import Matrix, Recurrent, Shape, ShapeError
from chione.simulation.frames import drawn_vectors
from chione.simulation.layers.affine import bias_gradient, draw_bias
from chione.simulation.layers.cells import Carried, Cell, carried_of, cell_of
from chione.simulation.layers.sampler import (
    Draws,
    Memories,
    Row,
    Step,
    Watch,
    Work,
    draw,
    over_inputs,
    work,
)
from chione.simulation.streams import Purpose
from chione.simulation.weights import dense_weights


class _Unrolled(Step):
    r"""States h_1, ..., h_T and their gradients.

    Parameters
    ----------
    layer : Recurrent
        The description.
    weights : tuple of list of ndarray
        W (gates n, n) and U (gates n, n_in), one of each a step of time; tied ones are the same
        array.
    biases : tuple of list of ndarray, each (gates n,)
        Those beside W and those beside U, alike.
    scales : tuple of float
        W and U are these times their parameters.
    start : ndarray, shape (copies, inputs, n)
        h_0.
    places : list of str
        Names of h_1, ..., h_T.
    """

    def __init__(
        self,
        layer: Recurrent,
        weights: tuple[list[Array], list[Array]],
        biases: tuple[list[Array], list[Array]],
        scales: tuple[float, float],
        start: Array,
        places: list[str],
        watch: Watch | None,
    ) -> None:
        self._layer, self._start = layer, start
        self._cell: Cell = cell_of(layer.cell, layer.activation)
        self._w, self._u = weights
        self._state_biases, self._biases = biases
        self._scales, self._places, self._watch = scales, places, watch

    def forward(self, x: Array) -> Array:
        """All states, or the last."""
        self._x, self._kept = x, []
        h = np.broadcast_to(self._start, (*x.shape[:-2], self._start.shape[-1]))
        carried: Carried = (h, np.zeros_like(h))[: carried_of(self._layer.cell)]
        states = [h]
        for t, (w, u) in enumerate(zip(self._w, self._u, strict=True)):
            sent = carried[0] @ w.T + self._state_biases[t]
            entering = x[..., t, :] @ u.T + self._biases[t]
            carried, kept = self._cell.forward(sent, entering, carried)
            self._kept.append(kept)
            states.append(carried[0])
        self._states = np.stack(states, axis=-2)  # (..., input, T + 1, n)
        for t, place in enumerate(self._places, start=1):
            if self._watch is not None:
                self._watch.forward(place, self._states[..., t : t + 1, :])
        return self._states[..., 1:, :] if self._layer.sequence else self._states[..., -1:, :]

    def backward(self, g: Array) -> Array:
        """Through time, the last step first."""
        steps = len(self._w)
        shape = (*g.shape[:-2], g.shape[-1])
        carried: Carried = (np.zeros(shape),) * carried_of(self._layer.cell)
        to_states, to_inputs, back = [], [], []
        for t in reversed(range(steps)):
            if self._layer.sequence or t == steps - 1:
                at = t if self._layer.sequence else 0
                carried = (carried[0] + g[..., at, :], *carried[1:])
            if self._watch is not None:
                self._watch.backward(self._places[t], carried[0][..., None, :])
            to_state, to_input, carried = self._cell.backward(carried, self._kept[t])
            carried = (carried[0] + to_state @ self._w[t], *carried[1:])
            to_states.append(to_state)
            to_inputs.append(to_input)
            back.append(to_input @ self._u[t])
        self._to_states, self._to_inputs, gx = (
            np.stack(list(reversed(a)), axis=-2) for a in (to_states, to_inputs, back)
        )
        return np.asarray(gx)

    def parameter_gradients(self) -> list[Array]:
        """Those of W, U and the biases: over all steps where they are tied, else step by step."""
        steps = len(self._w)
        spans = [slice(0, steps)] if self._layer.tied else [slice(t, t + 1) for t in range(steps)]
        out = []
        for span in spans:
            to_state = self._to_states[..., span, :]
            to_input = self._to_inputs[..., span, :]
            pairs = ((to_state, self._states[..., :-1, :][..., span, :], self._scales[0]),
                     (to_input, self._x[..., span, :], self._scales[1]))  # fmt: skip
            for g, x, scale in pairs:
                weights = np.swapaxes(over_inputs(g), -1, -2) @ over_inputs(x)
                out.append(scale * weights)
                out += bias_gradient(g, self._layer.sigma_b)
        return out


@draw.register
def _(layer: Recurrent, shape: Shape, draws: Draws) -> Step:
    n, steps = layer.size or shape.width, shape.positions
    cell = cell_of(layer.cell, layer.activation)
    start = _start(layer, n, draws)
    matrices = (
        Matrix(n, cell.gates * n, layer.sigma_w),
        Matrix(shape.width, cell.gates * n, layer.sigma_u),
    )
    w: list[Array] = []
    u: list[Array] = []
    own: list[Array] = []
    b: list[Array] = []
    for _ in range(1 if layer.tied else steps):
        w.append(dense_weights(matrices[0], draws.stream()))
        u.append(dense_weights(matrices[1], draws.stream()))
        own.append(draw_bias(cell.gates * n, layer.sigma_b, draws))
        b.append(draw_bias(cell.gates * n, layer.sigma_b, draws))
    if layer.tied:
        w, u, own, b = w * steps, u * steps, own * steps, b * steps
    scales = (layer.sigma_w / math.sqrt(n), layer.sigma_u / math.sqrt(shape.width))
    places = [f"{draws.place}.state[{t}]" for t in range(steps)]
    draws.rows.extend(Row(place, "state", Shape(n)) for place in places)
    return _Unrolled(layer, (w, u), (own, b), scales, start, places, draws.watch)


def _start(layer: Recurrent, n: int, draws: Draws) -> Array:
    """Initial states (copies, inputs, n) with the second moments of the description."""
    copies, inputs = draws.batch
    if layer.start is None:
        return np.zeros((copies, inputs, n))
    gram = np.array(layer.start)
    if len(gram) != inputs:
        raise ShapeError(
            f"{draws.place}: start has second moments of {len(gram)} initial states, but {inputs} "
            f"inputs are given; give one row for each."
        )
    return drawn_vectors(gram, n, copies, draws.stream(Purpose.INPUTS))


@work.register
def _(layer: Recurrent, shape: Shape, memories: Memories) -> Work:
    n, steps = float(layer.size or shape.width), float(shape.positions)
    gates = cell_of(layer.cell, layer.activation).gates
    once = gates * n * (n + shape.width)
    weights = once if layer.tied else once * steps
    return Work(weights, once * steps, (3.0 * gates + 2.0) * n * steps)
