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
from dataclasses import dataclass, replace

import numpy as np

from chione.base import Array, cost
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.gaussian_blocks import Blocks, normals
from chione.theory.layers.recurrent_cells import CELLS, Cell, Step
from chione.theory.layers.recurrent_sites import Gradients, Recurrence, States
from chione.theory.layers.rule import Walker
from chione.theory.layers.stream import Law, new_source

NETS = 16  # independent populations, whose spread is the error
_STANDARD_ERRORS = 3.0
_NUMBERS = 2**19  # pre-activations of a net, and so its channels: 2^8 to 2^12
_TANGENTS = 2**23  # entries of the tangents of a net
_CLOSED = 1e-10  # relative errors of what enters that move nothing which sampling would see
_SECONDS = 6e-8  # s for each pre-activation, forward and backward
_PAIR_SECONDS = 4e-10  # s for each pair of sites and channel

Home = Callable[[Bounded], tuple[Gradients, Gradients]]


def through_population(given: Recurrence, walk: Walker) -> tuple[States, Home]:
    """Moments of all states, and the way home of gradients of them."""
    n = given.inputs * given.times
    cell = CELLS[given.layer.cell]
    share = 1.0 if walk.population is None else walk.population.share
    channels = _channels(given, cell, share)
    cost.check(
        f"a population of {NETS * channels} channels over {n} sites",
        seconds=NETS * channels * n * (len(cell.fed) * _SECONDS + 4 * n * _PAIR_SECONDS),
        gigabytes=1e-9 * 8 * channels * n * (3 * len(cell.fed) + 4),
        fits="fewer steps or inputs",
    )
    seed = [walk.seed, zlib.crc32(walk.place.encode())]
    places = [walk.place, *(f"{walk.place}.state[{t}]" for t in range(given.times))]
    walk.sampled.update(dict.fromkeys(places, "population"))
    runs = [_Run(given, cell, channels, [*seed, net]) for net in range(NETS)]
    moved = [_Run(other, cell, channels, [*seed, 0]) for other in _within_errors(given)]
    found = [run.forward() for run in runs]
    others = [run.forward() for run in moved]
    k, d, theta, mean = (
        _over_nets([f[i] for f in found], [f[i] for f in others]) for i in range(4)
    )
    law = Law(False, f"the states of a {given.layer.cell}")

    def home(out: Bounded) -> tuple[Gradients, Gradients]:
        found = [run.home(out.value) for run in runs]
        others = [run.home(out.value) for run in moved]
        share = _relative(out)
        whole, at_input = (
            _over_nets([f[i] for f in found], [f[i] for f in others]) for i in range(2)
        )
        return Gradients(_spread(whole, share)), Gradients(_spread(at_input, share))

    return States(k, _apart(d), theta, mean, law, new_source()), home


def _channels(given: Recurrence, cell: Cell, share: float) -> int:
    """Channels of a net, a power of 2; a share of the usual number."""
    fit = int(share * _NUMBERS) // (given.inputs * given.times * len(cell.fed))
    return int(2 ** np.clip(np.floor(np.log2(max(fit, 1))), 8, 12))


@dataclass(frozen=True)
class _Run:
    """The passes of one net of channels; what is drawn is drawn again when it is asked for."""

    given: Recurrence
    cell: Cell
    channels: int
    seed: list[int]

    def _normals(self) -> tuple[Array, list[Array], Array]:
        """Of the initial state, of each gate, and of the gradients; earlier steps come first."""
        inputs, times, gates = self.given.inputs, self.given.times, len(self.cell.fed)
        n = inputs * times
        z = normals(self.channels, inputs + (gates + 1) * n, self.seed)
        middle = z[:, inputs : inputs + gates * n].reshape(-1, times, gates, inputs)
        of_gates = [np.ascontiguousarray(middle[:, :, g].reshape(-1, n)) for g in range(gates)]
        return z[:, :inputs], of_gates, z[:, -n:]

    def _covariance(self, kernel: Array, t: int, fed: tuple[bool, bool]) -> Array:
        """Of the pre-activations at step t with all up to it, (inputs, (t + 1) inputs).

        `kernel` holds E h h of the states before them.
        """
        sw2, su2, sb2 = self.given.gains
        from_state, from_input = fed
        out = np.full(kernel.shape, sb2 * (from_state + from_input))
        if from_state:
            out += sw2 * kernel
        if from_input:
            out += su2 * self._entering(self.given.k.value, t)
        return self._one_time(out)

    def _entering(self, matrix: Array, t: int) -> Array:
        """Rows of step t and columns of the steps up to it, of a matrix of what enters."""
        inputs, times = self.given.inputs, self.given.times
        whole = matrix.reshape(inputs, times, inputs, times)[:, t, :, : t + 1]
        return np.asarray(whole.transpose(0, 2, 1).reshape(inputs, -1))

    def _one_time(self, block: Array) -> Array:
        """Without what is between different times, where weights are fresh at every step."""
        if not self.given.layer.tied:
            block[:, : -self.given.inputs] = 0.0
        return block

    def _steps(self, start: Array, of_gates: list[Array]) -> tuple[list[Step], list[Array]]:
        """All steps and the states, the initial one first."""
        given, cell = self.given, self.cell
        h = Blocks(start, given.inputs).more(given.start)
        inner = h if cell.state_is_inner else np.zeros_like(h)
        fields = [Blocks(z, given.inputs) for z in of_gates]
        states, steps = [h], list[Step]()
        for t in range(given.times):
            kernel = h.T @ np.concatenate(states, axis=1) / self.channels
            p = tuple(
                field.more(self._covariance(kernel, t, fed))
                for field, fed in zip(fields, cell.fed, strict=True)
            )
            steps.append(cell.step(inner, p))
            inner, h = steps[-1].inner, steps[-1].state
            states.append(h)
        return steps, states

    def forward(self) -> tuple[Array, Array, Array, Array]:
        """K, D, Theta and the means of the states."""
        steps, states = self._steps(*self._normals()[:2])
        h = self._by_site(np.stack(states[1:], axis=1))
        k = h.T @ h / self.channels
        q = np.diagonal(k)
        d = np.maximum(q[:, None] + q[None, :] - 2.0 * k, 0.0)
        known = np.all(np.isfinite(self.given.theta.value))
        theta = self._tangent_kernel(steps, states) if known else np.full(k.shape, np.nan)
        return k, d, theta, h.mean(axis=0)

    def _by_site(self, x: Array) -> Array:
        """From (M, times, inputs) to (M, inputs * times)."""
        return np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(len(x), -1)

    def _tangent_kernel(self, steps: list[Step], states: list[Array]) -> Array:
        """Theta of the states: the tangents of each channel, step after step."""
        given, cell, inputs = self.given, self.cell, self.given.inputs
        sw2, su2, _ = given.gains
        n, gates = inputs * given.times, len(cell.fed)
        m = int(np.clip(_TANGENTS // (n * n * gates), 32, self.channels))
        bases = [Blocks(np.zeros((0, n)), inputs) for _ in range(gates)]
        inner = np.zeros((inputs, m, gates, n))
        known = np.zeros((given.times + 1, *inner.shape))  # of the states, the initial one first
        gram, rows = np.zeros((inputs, inputs)), list[Array]()
        for t, step in enumerate(steps):
            kernel = states[t].T @ np.concatenate(states[: t + 1], axis=1) / self.channels
            inner *= step.by_inner[:m].T[:, :, None, None]
            direct = np.zeros_like(inner)
            for g, fed in enumerate(cell.fed):
                pi = self._covariance(kernel, t, fed)
                pi = pi + fed[0] * sw2 * gram + fed[1] * su2 * self._entering(given.theta.value, t)
                bases[g].more(self._one_time(pi))
                basis = bases[g].factor[t * inputs : (t + 1) * inputs, None]  # (inputs, 1, n)
                inner[:, :, g] += step.by_gates[g][:m].T[:, :, None] * basis
                more = step.state_by_gates[g]
                if more is not None:
                    direct[:, :, g] += more[:m].T[:, :, None] * basis
            known[t + 1] = step.state_by_inner[:m].T[:, :, None, None] * inner + direct
            past = known[: t + 2].reshape((t + 2) * inputs, -1)
            gram = past[-inputs:] @ past.T / m
            rows.append(gram[:, inputs:])
        return self._symmetric(rows)

    def _symmetric(self, rows: list[Array]) -> Array:
        """The matrix over sites whose rows of each step end at the step, (inputs, t inputs)."""
        inputs, times = self.given.inputs, self.given.times
        out = np.zeros((inputs, times, inputs, times))
        for t, row in enumerate(rows):
            block = row.reshape(inputs, t + 1, inputs)
            out[:, t, :, : t + 1] = block.transpose(0, 2, 1)
            out[:, : t + 1, :, t] = block.transpose(2, 1, 0)
        return out.reshape(inputs * times, -1)

    def home(self, out: Array) -> tuple[Array, Array]:
        """P of all states and of what enters."""
        given, cell = self.given, self.cell
        sw2, su2, _ = given.gains
        inputs, times = given.inputs, given.times
        if np.isnan(out).any():
            return np.full_like(out, np.nan), np.full_like(out, np.nan)
        start, of_gates, of_gradients = self._normals()
        steps, _ = self._steps(start, of_gates)
        leaving = out.reshape(inputs, times, inputs, times)
        field = Blocks(of_gradients, inputs)
        fed_by_state = [g for g, (from_state, _) in enumerate(cell.fed) if from_state]
        fed_by_input = [g for g, (_, from_input) in enumerate(cell.fed) if from_input]
        along = np.zeros((self.channels, inputs))  # what comes along the inner state
        whole, at_gates = list[Array](), list[list[Array]]()
        for t in reversed(range(times)):
            later = leaving[:, t, :, t:][:, :, ::-1].transpose(0, 2, 1).reshape(inputs, -1).copy()
            if at_gates:  # of step t + 1 with steps times - 1, ..., t + 1
                home = np.zeros((inputs, len(at_gates) * inputs))
                for g in fed_by_state:
                    past = np.concatenate([gates[g] for gates in at_gates], axis=1)
                    home += at_gates[-1][g].T @ past / self.channels
                later[:, inputs:] += sw2 * self._one_time(home)
            at_state = field.more(later)
            step = steps[t]
            at_inner = at_state * step.state_by_inner + along
            gates = [at_inner * slope for slope in step.by_gates]
            for g, slope in enumerate(step.state_by_gates):
                if slope is not None:
                    gates[g] = gates[g] + at_state * slope
            along = at_inner * step.by_inner
            at_gates.append(gates)
            whole.append(at_inner if cell.state_is_inner else at_state)
        x = np.zeros_like(out)
        for g in fed_by_input:
            of_gate = self._by_site(np.stack([gates[g] for gates in at_gates[::-1]], axis=1))
            x += of_gate.T @ of_gate / self.channels
        if not given.layer.tied:
            time = np.arange(len(x)) % times
            x = np.where(time[:, None] == time[None, :], x, 0.0)
        h = self._by_site(np.stack(whole[::-1], axis=1))
        p = h.T @ h / self.channels
        last = np.ix_(*(np.arange(inputs) * times + times - 1,) * 2)
        p[last] = out[last]  # nothing comes later
        return p, given.ratio * su2 * x


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


def _over_nets(values: list[Array], moved: list[Array]) -> Bounded:
    """The mean over nets, and its error."""
    x = np.stack(values)
    error = _STANDARD_ERRORS * x.std(axis=0, ddof=1) / np.sqrt(len(x))
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
