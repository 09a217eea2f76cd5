"""Second moments of what flows through one network, forward and backward, and its tangent kernel.

Signals are x[replica, input a, position t, channel i], see :mod:`chione.simulation.layers`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from chione.base import Array
from chione.networks import Network
from chione.simulation.drawn import INPUT, Drawn
from chione.simulation.layers import Draws, Row, Step, leaves
from chione.simulation.layers.sampler import over_inputs
from chione.simulation.streams import Purpose, stream

Key: TypeAlias = tuple[str, str]  # place, quantity; ("", "ntk") for the tangent kernel


class Recorder:
    """A watch that keeps second moments and channel means, not the signals.

    Parameters
    ----------
    positions : int, optional
        How many positions of a grid it looks at, see :func:`looked_at`; all by default.
    """

    def __init__(self, positions: int | None = None) -> None:
        self.measured: dict[Key, Array] = {}
        self.listening = True
        self._positions = positions

    def forward(self, place: str, x: Array) -> None:
        """Second moments over inputs and positions, and channel means."""
        x = self._seen(x)
        self.measured[place, "second_moments"] = _second_moments(x)
        self.measured[place, "channel_means"] = over_inputs(x).mean(axis=(0, -1))

    def backward(self, place: str, g: Array) -> None:
        """Second moments of the gradients of both cotangents."""
        if self.listening:
            g = self._seen(g)
            self.measured[place, "iid"] = _second_moments(g[0])
            self.measured[place, "shared"] = _second_moments(g[1])

    def _seen(self, x: Array) -> Array:
        return x[..., looked_at(x.shape[-2], self._positions), :]


def looked_at(positions: int, most: int | None) -> slice:
    """At most `most` positions, evenly spaced from the first one on."""
    return slice(None, None, 1 if most is None else -(-positions // most))


def measure(
    network: Network,
    x: Array,
    seed: int,
    index: int,
    *,
    ntk: bool,
    positions: int | None = None,
) -> tuple[dict[Key, Array], list[Row]]:
    """All that is measured on network number `index`, and the places in it."""
    recorder = Recorder(positions)
    entering = network.input.shape
    draws = Draws(seed, index, x.shape[:2], recorder, rows=[Row(INPUT, INPUT, entering)])
    steps = Drawn(network, draws)
    recorder.forward(INPUT, x)
    y = steps.forward(x)
    recorder.backward(INPUT, steps.backward(_cotangents(y.shape, seed, index)))
    if ntk:
        recorder.listening = False
        recorder.measured["", "ntk"] = _tangent_kernel(steps, y.shape, seed, index)
    return recorder.measured, draws.rows


def _second_moments(x: Array) -> Array:
    """(1/n) sum_i x_i(a, t) x_i(b, s), mean over the copies: shape (a t, b s)."""
    y = over_inputs(x)
    return np.asarray((y @ np.swapaxes(y, -1, -2)).mean(axis=0) / y.shape[-1])


def _cotangents(shape: tuple[int, ...], seed: int, index: int) -> Array:
    """Independent normal numbers everywhere; and one vector for all, of mean square 1."""
    rng = stream(seed, index, 0, Purpose.ERROR)
    iid = rng.standard_normal(shape)
    vector = rng.standard_normal((shape[0], 1, 1, shape[-1]))
    vector /= np.sqrt(np.mean(vector**2, axis=-1, keepdims=True))
    return np.stack([iid, np.broadcast_to(vector, shape)])


def _tangent_kernel(steps: Step, shape: tuple[int, ...], seed: int, index: int) -> Array:
    r"""Theta[a, b] = <df_a, df_b> over the parameters of f = v . y[position 0] / sqrt(n).

    v is random with |v|^2 = n and is not trained. Batch norm makes f_a depend on all inputs, so
    each input has a way back of its own.
    """
    copies, inputs, _, n = shape
    v = stream(seed, index, 0, Purpose.PROBES).standard_normal(n)
    v /= np.linalg.norm(v)
    cotangents = np.zeros((inputs, *shape))
    for a in range(inputs):
        cotangents[a, :, a, 0] = v
    steps.backward(cotangents)
    theta = np.zeros((inputs, inputs))
    for step in leaves(steps):
        for gradient in step.parameter_gradients():
            flat = np.moveaxis(gradient.reshape(inputs, copies, -1), 1, 0)
            theta += (flat @ np.swapaxes(flat, -1, -2)).mean(axis=0)
    return theta
