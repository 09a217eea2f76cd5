"""A few networks stacked: their forward and backward passes, and what they come to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.simulation.streams import Purpose, stream
from chione.sweeps.float32_forms import pointwise
from chione.sweeps.initial import Weights
from chione.sweeps.optimizers import FloatArray, optimizer
from chione.sweeps.tasks import Task
from chione.sweeps.training import Outcome, Training

SHARES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Shares of running training accuracy whose first steps are recorded."""
WINDOW = 10
"""Steps over which the running training accuracy is a mean."""
Observer: TypeAlias = Callable[[int, Sequence[Training], Sequence[FloatArray]], None]
"""Is shown networks in training: the steps done, which trainings they are, and of each layer their
stacked [W b], of shape (M, n_out, n_in + 1), to be read at once and left as they are."""
_EVALUATED = 256  # inputs at a time when all are classified at the end


def batches(training: Training, inputs: int) -> Iterator[NDArray[np.intp]]:
    """Indices of the inputs of each step: random permutations one after another, cut to batches."""
    rng = stream(training.seed, 0, 0, Purpose.BATCHES)
    rest = np.empty(0, np.intp)
    for _ in range(training.steps):
        while len(rest) < training.batch:
            rest = np.concatenate([rest, rng.permutation(inputs)])
        yield rest[: training.batch]
        rest = rest[training.batch :]


class Chunk:
    """Stacked networks, their signals and optimisers.

    Parameters
    ----------
    members : list of Training
        M trainings of one bundle.
    drawn : list of Weights
        What they start from.
    act : AbstractActivation
        The activation of all of them.
    task : Task
        What they learn.
    """

    def __init__(
        self, members: list[Training], drawn: list[Weights], act: AbstractActivation, task: Task
    ) -> None:
        self._members, self._task = members, task
        t = members[0]
        self._dtype = np.dtype(t.dtype)
        self._phi = pointwise(act, self._dtype)
        self._w: list[FloatArray] = []  # [W b] of each layer, (M, n_out, n_in + 1)
        for layer in range(t.depth + 1):
            both = [
                np.concatenate([d.matrices[layer], d.biases[layer][:, None]], axis=1) for d in drawn
            ]
            self._w.append(np.stack(both).astype(self._dtype))
        rates = np.array([m.rate for m in members], dtype=np.float64)
        self._opt = optimizer(t.optimizer, [w.shape for w in self._w], rates, self._dtype)
        self._x, self._x_test = rows(task, t.dtype)
        self._masks = [stream(m.seed, 0, 0, Purpose.MASKS) for m in members]
        self._alive = list(range(len(members)))
        self._losses: list[list[float]] = [[] for _ in members]
        self._right: list[list[float]] = [[] for _ in members]
        self._ended: dict[int, Outcome] = {}
        m, n, b = len(members), t.width, t.batch
        self._inputs = np.empty((m, b, self._x.shape[1]), self._dtype)
        self._h = np.empty((t.depth, m, n, b), self._dtype)  # phi'(h^l) after the forward pass
        self._s = np.ones((t.depth, m, n + 1, b), self._dtype)  # phi(h^l) over a row of ones
        self._y = np.empty((m, task.classes, b), self._dtype)
        self._scratch()

    def _scratch(self) -> None:
        m, t = len(self._alive), self._members[0]
        self._delta = np.empty((2, m, t.width, t.batch), self._dtype)
        size = max(w[0].size for w in self._w)
        self._spare = np.empty((2, m * size), self._dtype)

    def run(self, observe: Observer | None = None) -> list[Outcome]:
        """All steps, then the share that is classified rightly.

        `observe` is called before each step and after the last.
        """
        start = time.perf_counter()
        cuts = [batches(t, len(self._x)) for t in self._members]
        with np.errstate(all="ignore"):  # numbers that leave their range are found by the loss
            for step in range(1, self._members[0].steps + 1):
                self._show(step - 1, observe)
                index = np.stack([next(cuts[i]) for i in self._alive])
                self._forward(index)
                loss, right = cross_entropy(self._y, self._task.y_train[index])
                self._record(step, loss, right)
                if not self._alive:
                    break
                self._backward(step)
            self._show(self._members[0].steps, observe)
            for k in range(len(self._alive)):
                self._end(k)
        seconds = (time.perf_counter() - start) / len(self._members)
        return [replace(self._ended[i], seconds=seconds) for i in range(len(self._members))]

    def weights(self, k: int) -> Weights:
        """The weights of network `k` of those still trained, as they are now."""
        return Weights(
            tuple(w[k, :, :-1].astype(np.float64) for w in self._w),
            tuple(w[k, :, -1].astype(np.float64) for w in self._w),
        )

    def _show(self, steps: int, observe: Observer | None) -> None:
        if observe is not None and self._alive:
            observe(steps, [self._members[i] for i in self._alive], self._w)

    def _forward(self, index: NDArray[np.intp]) -> None:
        np.take(self._x, index, axis=0, out=self._inputs, mode="clip")
        below: FloatArray = self._inputs.transpose(0, 2, 1)
        for w, h, s in zip(self._w[:-1], self._h, self._s, strict=True):
            np.matmul(w, below, out=h)
            self._phi.apply(h, s[:, :-1], slope=True)
            if self._members[0].dropout > 0.0:
                self._drop(h, s[:, :-1])
            below = s
        np.matmul(self._w[-1], below, out=self._y)

    def _drop(self, h: FloatArray, out: FloatArray) -> None:
        """Inverted dropout: units are kept with probability 1 - p and divided by it."""
        p = self._members[0].dropout
        for k, i in enumerate(self._alive):
            mask = self._masks[i].random(h.shape[1:], dtype=np.float32) >= p
            mask = mask * self._dtype.type(1.0 / (1.0 - p))
            out[k] *= mask
            h[k] *= mask

    def _backward(self, step: int) -> None:
        """One step of each layer as soon as its gradient is known, while both are in the cache."""
        delta: FloatArray = self._y
        self._opt.begin(step)
        for layer in range(len(self._w) - 1, -1, -1):
            w = self._w[layer]
            g, spare = (a[: w.size].reshape(w.shape) for a in self._spare)
            if layer:
                np.matmul(delta, self._s[layer - 1].transpose(0, 2, 1), out=g)
                below = self._delta[layer % 2]
                np.matmul(w[:, :, :-1].transpose(0, 2, 1), delta, out=below)
                below *= self._h[layer - 1]
                delta = below
            else:
                np.matmul(delta, self._inputs, out=g)
            self._opt.update(layer, w, g, spare)

    def _record(self, step: int, loss: NDArray[Any], right: NDArray[Any]) -> None:
        """Keep losses; end members whose loss is no number, or that know enough."""
        stay = []
        for k, i in enumerate(self._alive):
            t = self._members[i]
            if not math.isfinite(loss[k]):
                self._diverged(i, f"the loss left the range of {t.dtype} at step {step}")
                continue
            self._losses[i].append(float(loss[k]))
            self._right[i].append(float(right[k]))
            window = self._right[i][-WINDOW:]
            full = len(window) == min(WINDOW, t.steps)
            if t.until is not None and full and math.fsum(window) / len(window) >= t.until:
                self._end(k)
                continue
            stay.append(k)
        if len(stay) < len(self._alive):
            self._keep(stay)

    def _keep(self, members: list[int]) -> None:
        """Go on with these members only; what was computed for them stays as it is."""
        self._alive = [self._alive[k] for k in members]
        if not members:
            return
        self._w = [w[members] for w in self._w]
        self._opt.keep(members)
        self._inputs, self._y = self._inputs[members], self._y[members]
        self._h = np.ascontiguousarray(self._h[:, members])
        self._s = np.ascontiguousarray(self._s[:, members])
        self._scratch()

    def _end(self, k: int) -> None:
        """The outcome of a member that has kept its range."""
        i = self._alive[k]
        task, losses = self._task, self._losses[i]
        train = self._classified(k, self._x, task.y_train)
        test = self._classified(k, self._x_test, task.y_test)
        if math.isnan(train + test):
            self._diverged(i, "the outputs left their range after the last step")
            return
        last = losses[-max(1, len(losses) // 10) :]
        self._ended[i] = Outcome(
            status="done",
            loss=math.fsum(last) / len(last),
            accuracy=train,
            test_accuracy=test,
            losses=tuple(losses),
            steps_to=_steps_to(self._right[i], self._members[i].steps),
        )

    def _diverged(self, i: int, why: str) -> None:
        self._ended[i] = Outcome(
            status="diverged",
            accuracy=0.0,
            test_accuracy=0.0,
            losses=tuple(self._losses[i]),
            steps_to=_steps_to(self._right[i], self._members[i].steps),
            message=why,
        )

    def _classified(self, k: int, x: NDArray[Any], y: NDArray[Any]) -> float:
        """Share of inputs that network `k` classifies rightly, dropout off; NaN out of range."""
        found = 0
        for start in range(0, len(x), _EVALUATED):
            s: FloatArray = x[start : start + _EVALUATED].T
            for w in self._w[:-1]:
                h = w[k] @ s
                s = np.ones((h.shape[0] + 1, h.shape[1]), self._dtype)
                self._phi.apply(h, s[:-1], slope=False)
            logits = self._w[-1][k] @ s
            if not np.all(np.isfinite(logits)):
                return math.nan
            found += int(np.sum(np.argmax(logits, axis=0) == y[start : start + _EVALUATED]))
        return found / len(x)


def cross_entropy(y: FloatArray, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    r"""Mean cross-entropy and share of right answers of each network.

    `y`, the outputs (M, classes, B), becomes the gradient :math:`(\mathrm{softmax}(y) - e) / B`.
    """
    m, _, b = y.shape
    k, j = np.arange(m)[:, None], np.arange(b)
    # sums rather than means: mean() runs through much Python, which is cold at every step
    right = np.add.reduce(np.argmax(y, axis=1) == labels, axis=1) / b
    y -= np.maximum.reduce(y, axis=1, keepdims=True)
    at_label = y[k, labels, j].astype(np.float64)
    np.exp(y, out=y)
    total = np.add.reduce(y, axis=1, keepdims=True)
    loss = np.add.reduce(np.log(total[:, 0].astype(np.float64)) - at_label, axis=1) / b
    y /= total
    y[k, labels, j] -= 1.0
    y /= b
    return loss, right


@lru_cache(maxsize=4)
def rows(task: Task, dtype: str) -> tuple[FloatArray, FloatArray]:
    """Inputs of both parts in rows, in `dtype` and with a one at their end, made once a task."""
    both = (task.x_train, task.x_test)
    made = [np.ones((len(x), task.inputs + 1), dtype) for x in both]
    for with_one, x in zip(made, both, strict=True):
        with_one[:, :-1] = x
    return made[0], made[1]


def _steps_to(right: list[float], steps: int) -> tuple[tuple[float, int], ...]:
    """First steps (from 1) at which the mean of the last batches' accuracies reached a share."""
    size = min(WINDOW, steps)
    if len(right) < size:
        return ()
    running = np.convolve(np.array(right), np.ones(size), "valid") / size
    out = []
    for share in SHARES:
        reached = np.flatnonzero(running >= share - 1e-12)
        if reached.size:
            out.append((share, int(reached[0]) + size))
    return tuple(out)
