"""One net of channels of a gru or lstm: its passes forward and backward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import Array
from chione.theory.layers.gaussian_blocks import Blocks, normals
from chione.theory.layers.recurrent_cells import Cell, Step
from chione.theory.layers.recurrent_sites import Recurrence

_TANGENTS = 2**23  # entries of the tangents of a net


@dataclass(frozen=True)
class Run:
    """The passes of one net of channels; what is drawn is drawn again when it is asked for."""

    given: Recurrence
    cell: Cell
    channels: int
    seed: tuple[int, ...]

    def normals(self) -> tuple[Array, list[Array], Array]:
        """Of the initial state, of each gate, and of the gradients; earlier steps come first."""
        inputs, times, gates = self.given.inputs, self.given.times, len(self.cell.fed)
        n = inputs * times
        z = normals(self.channels, inputs + (gates + 1) * n, list(self.seed))
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

    def tangents(self, kernel: Array, gram: Array, t: int, fed: tuple[bool, bool]) -> Array:
        """Pi of a pre-activation at step t with all up to it; `gram` holds Theta before them."""
        sw2, su2, _ = self.given.gains
        own = fed[0] * sw2 * gram + fed[1] * su2 * self._entering(self.given.theta.value, t)
        return self._one_time(self._covariance(kernel, t, fed) + own)

    def rows_before(self, matrix: Array, t: int) -> Array:
        """Rows of the state before step t and columns of those up to it; the first are zero."""
        inputs = self.given.inputs
        if t == 0:
            return np.zeros((inputs, inputs))
        return np.concatenate([np.zeros((inputs, inputs)), self._entering(matrix, t - 1)], axis=1)

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

    def steps(self, start: Array, of_gates: list[Array]) -> tuple[list[Step], list[Array]]:
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
        steps, states = self.steps(*self.normals()[:2])
        h = self.by_site(np.stack(states[1:], axis=1))
        k = h.T @ h / self.channels
        q = np.diagonal(k)
        d = np.maximum(q[:, None] + q[None, :] - 2.0 * k, 0.0)
        known = np.all(np.isfinite(self.given.theta.value))
        theta = self._tangent_kernel(steps, states) if known else np.full(k.shape, np.nan)
        return k, d, theta, h.mean(axis=0)

    def by_site(self, x: Array) -> Array:
        """From (M, times, inputs) to (M, inputs * times)."""
        return np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(len(x), -1)

    def _tangent_kernel(self, steps: list[Step], states: list[Array]) -> Array:
        """Theta of the states: the tangents of each channel, step after step."""
        given, cell, inputs = self.given, self.cell, self.given.inputs
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
                bases[g].more(self.tangents(kernel, gram, t, fed))
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
        inputs, times = self.given.inputs, self.given.times
        if np.isnan(out).any():
            return np.full_like(out, np.nan), np.full_like(out, np.nan)
        start, of_gates, of_gradients = self.normals()
        steps, _ = self.steps(start, of_gates)
        h, gates = self.back(steps, of_gradients, out)
        p, at_input = self.averages(h, gates)
        last = np.ix_(*(np.arange(inputs) * times + times - 1,) * 2)
        p[last] = out[last]  # nothing comes later
        return p, at_input

    def back(
        self, steps: list[Step], of_gradients: Array, out: Array, drawn: Array | None = None
    ) -> tuple[Array, list[Array]]:
        """Gradients of the states, (M, n), and of each pre-activation that the input gives to.

        `out` are second moments of the gradient at the states that leave, (n, n), and `drawn`
        sampled ones, (M, n).
        """
        given, cell = self.given, self.cell
        sw2 = given.gains[0]
        inputs, times, rows = given.inputs, given.times, len(of_gradients)
        leaving = out.reshape(inputs, times, inputs, times)
        field = Blocks(of_gradients, inputs)
        fed_by_state = [g for g, (from_state, _) in enumerate(cell.fed) if from_state]
        along = np.zeros((rows, inputs))  # what comes along the inner state
        whole, at_gates = list[Array](), list[list[Array]]()
        for t in reversed(range(times)):
            later = leaving[:, t, :, t:][:, :, ::-1].transpose(0, 2, 1).reshape(inputs, -1).copy()
            if at_gates:  # of step t + 1 with steps times - 1, ..., t + 1
                home = np.zeros((inputs, len(at_gates) * inputs))
                for g in fed_by_state:
                    past = np.concatenate([gates[g] for gates in at_gates], axis=1)
                    home += at_gates[-1][g].T @ past / rows
                later[:, inputs:] += sw2 * self._one_time(home)
            at_state = field.more(later)
            if drawn is not None:
                at_state = at_state + drawn[:, t::times]
            step = steps[t]
            at_inner = at_state * step.state_by_inner[:rows] + along
            gates = [at_inner * slope[:rows] for slope in step.by_gates]
            for g, slope in enumerate(step.state_by_gates):
                if slope is not None:
                    gates[g] = gates[g] + at_state * slope[:rows]
            along = at_inner * step.by_inner[:rows]
            at_gates.append(gates)
            whole.append(at_inner if cell.state_is_inner else at_state)
        fed_by_input = [g for g, (_, from_input) in enumerate(cell.fed) if from_input]
        return self.by_site(np.stack(whole[::-1], axis=1)), [
            self.by_site(np.stack([gates[g] for gates in at_gates[::-1]], axis=1))
            for g in fed_by_input
        ]

    def averages(self, h: Array, gates: list[Array]) -> tuple[Array, Array]:
        """P of all states and of what enters, from their samples."""
        given = self.given
        x = np.asarray(sum(g.T @ g for g in gates)) / len(h)
        if not given.layer.tied:
            time = np.arange(len(x)) % given.times
            x = np.where(time[:, None] == time[None, :], x, 0.0)
        return h.T @ h / len(h), given.ratio * given.gains[1] * x
