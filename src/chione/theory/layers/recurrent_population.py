r"""The gru and lstm cells: a population of sampled channels, jointly over time.

.. math:: p_g(at) = [W_g h_{t-1} + b_g] + [U_g x_t + b'_g], \qquad
   E\,p_g(at) p_g(bs) = \sigma_w^2 E h_{a,t-1} h_{b,s-1} + \sigma_b^2
   + \sigma_u^2 K^x_{at,bs} + \sigma_b^2

of each gate g, Gaussian and independent of other gates; the block of each step is drawn given all
steps before it. Backward :math:`G_t = g^{out}_t + \sum_g W_g^T g^{p_g}_{t+1}` is Gaussian,
independent of the forward pass, with covariance :math:`P^{out}_{ts} + \sigma_w^2 \sum_g
E\,g^{p_g}_{t+1} g^{p_g}_{s+1}`, drawn from the last step to the first, and each channel adds what
comes along its own state. The tangent of a channel is a vector in an orthonormal basis of the
tangents of its pre-activations, whose inner products are

.. math:: \Pi_g(at, bs) = E\,p_g p_g + \sigma_w^2 \Theta^h_{a,t-1;b,s-1} + \sigma_u^2 \Theta^x

Everything is done on independent scrambled nets of channels; the error is three standard errors
over the nets, and what the errors of the moments that enter can move.

References
----------
G. Yang, Tensor Programs I (2019): W h_t, t = 1, 2, ..., are jointly Gaussian over time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chione.base import Array, cost
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.gaussian_blocks import Blocks
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe
from chione.theory.layers.recurrent_cells import CELLS, Cell, Step
from chione.theory.layers.recurrent_run import Run
from chione.theory.layers.recurrent_sites import Gradients, Recurrence, States
from chione.theory.layers.rule import Walker, unclosed
from chione.theory.layers.sampled import POPULATION
from chione.theory.layers.stream import Law, new_source

NETS = 16  # independent populations, whose spread is the error
_STANDARD_ERRORS = 3.0
_NUMBERS = 2**19  # pre-activations of a net, and so its channels: 2^8 to 2^12
_CLOSED = 1e-10  # relative errors of what enters that move nothing which sampling would see
_SECONDS = 6e-8  # s for each pre-activation, forward and backward
_PAIR_SECONDS = 4e-10  # s for each pair of sites and channel

Home = Callable[[Bounded], tuple[Gradients, Gradients]]


def through_population(given: Recurrence, walk: Walker) -> tuple[States, Home, Cells]:
    """Moments of all states, the way home of gradients, and the recipe of channels."""
    crowd = walk.population
    if crowd is None:
        why = "the state enters channel by channel, which takes sampled channels"
        raise unclosed(walk, "the states of this cell", why)
    crowd.drawn_elsewhere()
    n = given.inputs * given.times
    cell = CELLS[given.layer.cell]
    channels = _channels(given, cell)
    nets = max(2, round(NETS * crowd.share))
    cost.check(
        f"a population of {nets * channels} channels over {n} sites",
        seconds=nets * channels * n * (len(cell.fed) * _SECONDS + 4 * n * _PAIR_SECONDS),
        gigabytes=1e-9 * 8 * channels * n * (3 * len(cell.fed) + 4),
        fits="fewer steps or inputs",
    )
    places = [walk.place, *(f"{walk.place}.state[{t}]" for t in range(given.times))]
    walk.sampled.update(dict.fromkeys(places, POPULATION))
    seed = [walk.seed, zlib.crc32(walk.place.encode())]
    runs = [Run(given, cell, channels, (*seed, net)) for net in range(nets)]
    moved = [Run(other, cell, channels, (*seed, 0)) for other in _within_errors(given)]
    found = [run.forward() for run in runs]
    others = [run.forward() for run in moved]
    stated = crowd.stated
    k, d, theta, mean = (
        _over_nets([f[i] for f in found], [f[i] for f in others], stated) for i in range(4)
    )
    law = Law(False, f"the states of a {given.layer.cell}")

    def home(out: Bounded) -> tuple[Gradients, Gradients]:
        found = [run.home(out.value) for run in runs]
        others = [run.home(out.value) for run in moved]
        share = _relative(out)
        whole, at_input = (
            _over_nets([f[i] for f in found], [f[i] for f in others], stated) for i in range(2)
        )
        return Gradients(_spread(whole, share)), Gradients(_spread(at_input, share))

    source = Cells(Run(given, cell, channels, (*seed, NETS)), theta.value)
    return States(k, _apart(d), theta, mean, law, new_source()), home, source


def _channels(given: Recurrence, cell: Cell) -> int:
    """Channels of a net, a power of 2."""
    fit = _NUMBERS // (given.inputs * given.times * len(cell.fed))
    return int(2 ** np.clip(np.floor(np.log2(max(fit, 1))), 8, 12))


class Cells(Recipe):
    """Channels of the states of a cell, all sites jointly.

    Parameters
    ----------
    run : Run
        The cell and what enters it.
    theta : ndarray, shape (n, n)
        The tangent kernel of the states.
    """

    def __init__(self, run: Run, theta: Array) -> None:
        super().__init__()
        self._run, self._theta = run, theta

    def value(self, crowd: Population, *x: Array) -> Array:
        """The states, (channels, n)."""
        _, states, _ = self._passed(crowd)
        return self._run.by_site(np.stack(states[1:], axis=1))

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Random ones, step after step, from signs in the basis of each pre-activation."""
        steps, states, _ = self._passed(crowd)
        given, rows = self._run.given, len(states[0])
        if not np.all(np.isfinite(self._theta)):
            return np.full((rows, len(self._theta)), np.nan)
        plain = np.eye(len(self._theta))
        fields = [
            Blocks(crowd.signs(("tangent", self, g), plain, rows), given.inputs)
            for g in range(len(self._run.cell.fed))
        ]
        inner, out = np.zeros_like(states[0]), list[Array]()
        for t, step in enumerate(steps):
            kernel = states[t].T @ np.concatenate(states[: t + 1], axis=1) / rows
            gram = self._run.rows_before(self._theta, t)
            moved = [
                field.more(self._run.tangents(kernel, gram, t, fed))
                for field, fed in zip(fields, self._run.cell.fed, strict=True)
            ]
            inner = step.by_inner * inner
            at_state = np.zeros_like(inner)
            for p, slope, direct in zip(moved, step.by_gates, step.state_by_gates, strict=True):
                inner = inner + slope * p
                if direct is not None:
                    at_state = at_state + direct * p
            out.append(step.state_by_inner * inner + at_state)
        return self._run.by_site(np.stack(out, axis=1))

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """It has no parents."""
        return ()

    def home(self, crowd: Population, g: Array) -> tuple[Gradients, Gradients]:
        """P of all states and of what enters, for sampled gradients of the states, (M, n)."""
        steps, _, of_gradients = self._passed(crowd)
        n = g.shape[1]
        h, gates = self._run.back(steps, of_gradients[: len(g)], np.zeros((n, n)), g)
        parts = [
            self._run.averages(h[i::NETS], [gate[i::NETS] for gate in gates]) for i in range(NETS)
        ]
        one, two = (_over_nets([p[i] for p in parts], [], crowd.stated) for i in range(2))
        return Gradients(one), Gradients(two)

    def _passed(self, crowd: Population) -> tuple[list[Step], list[Array], Array]:
        """Steps and states, and the numbers that gradients are drawn from."""

        def make() -> tuple[list[Step], list[Array], Array]:
            rows = crowd.rows(self._run.given.inputs * self._run.given.times)
            run = replace(self._run, channels=1 << (rows - 1).bit_length())
            start, of_gates, of_gradients = (_first(z, rows) for z in run.normals())
            return *replace(run, channels=rows).steps(start, of_gates), of_gradients

        steps, states, of_gradients = crowd.kept(("cells", self), make)
        return steps, states, of_gradients


def _first(z: Any, rows: int) -> Any:
    return [one[:rows] for one in z] if isinstance(z, list) else z[:rows]


def _within_errors(given: Recurrence) -> list[Recurrence]:
    """What enters, longer and less correlated by its errors; nothing where it has none."""
    share = _relative(given.k)
    if share <= _CLOSED:
        return []
    k = given.k.value
    turned = (1.0 - share) * k + share * np.diag(np.diagonal(k))
    return [
        replace(given, k=Bounded.exact(moved), theta=Bounded.exact(given.theta.value * more))
        for moved, more in ((k * (1.0 + share), 1.0 + _relative(given.theta)), (turned, 1.0))
    ]


def _relative(x: Bounded) -> float:
    """The largest error beside the geometric mean of both entries on the diagonal."""
    q = np.diagonal(x.value)
    size = np.sqrt(np.outer(q, q))
    alive = size > 0.0
    return float(np.max(x.error[alive] / size[alive])) if alive.any() else 0.0


def _over_nets(values: list[Array], moved: list[Array], stated: bool) -> Bounded:
    """The mean over nets, and its error."""
    x = np.stack(values)
    error = stated * _STANDARD_ERRORS * x.std(axis=0, ddof=1) / np.sqrt(len(x))
    for other in moved:
        error = error + np.abs(other - values[0])
    return Bounded(x.mean(axis=0), np.where(np.isnan(error), np.inf, error))


def _spread(x: Bounded, share: float) -> Bounded:
    """With an error of a share of the size of both sites."""
    q = np.diagonal(x.value)
    return Bounded(x.value, x.error + share * np.sqrt(np.outer(q, q)))


def _apart(d: Bounded) -> Bounded:
    """D, which is zero on the diagonal."""
    same = np.eye(len(d.value), dtype=bool)
    return Bounded(np.where(same, 0.0, d.value), np.where(same, 0.0, d.error))
