r"""Many networks of one depth, width and activation trained side by side, backward by hand.

Signals stand in columns: with a row of ones below them, one product does weights and biases,

.. math::
    h^{l+1} = [W^{l+1}\, b^{l+1}] \begin{pmatrix} \phi(h^l) \\ 1 \end{pmatrix}, \qquad
    \delta^l = \phi'(h^l) \circ (W^{l+1})^T \delta^{l+1}, \qquad
    [\partial W^{l+1}\, \partial b^{l+1}] = \delta^{l+1} \begin{pmatrix} \phi(h^l) \\ 1
    \end{pmatrix}^T,

with :math:`\delta = (\mathrm{softmax}(y) - e_{label}) / B` at the read-out. Products are stacked
over networks, each the same BLAS call whatever stands beside it, so a network's numbers do not
depend on its neighbours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import SpecError
from chione.simulation.streams import Purpose, stream
from chione.sweeps.float32_forms import pointwise
from chione.sweeps.initial import draw, trained_activation
from chione.sweeps.optimizers import FloatArray, optimizer
from chione.sweeps.tasks import Task
from chione.sweeps.training import Outcome, Training

SHARES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Shares of running training accuracy whose first steps are recorded."""
WINDOW = 10
"""Steps over which the running training accuracy is a mean."""
_CHUNK = 4
_EVALUATED = 256


def train(trainings: Sequence[Training], task: Task) -> list[Outcome]:
    """Train networks of one bundle.

    Parameters
    ----------
    trainings : sequence of Training
        All with the same :attr:`Training.bundle`.
    task : Task
        What they learn, see :func:`chione.sweeps.tasks.load_task`.

    Returns
    -------
    list of Outcome
        In the order of `trainings`; apart from seconds, an outcome is the same bit for bit
        whatever else is trained with it.

    Raises
    ------
    SpecError
        If the trainings do not belong together, or not to the task.
    """
    members = list(trainings)
    if not members:
        return []
    _check(members, task)
    acts = [trained_activation(t) for t in members]
    order = sorted(range(len(members)), key=lambda i: acts[i].name)
    out: dict[int, Outcome] = {}
    for _, group in groupby(order, key=lambda i: acts[i].name):
        same = list(group)
        for start in range(0, len(same), _CHUNK):
            chunk = same[start : start + _CHUNK]
            done = _Chunk([members[i] for i in chunk], acts[chunk[0]], task).run()
            out.update(zip(chunk, done, strict=True))
    return [out[i] for i in range(len(members))]


def batches(training: Training, inputs: int) -> Iterator[NDArray[np.intp]]:
    """Indices of the inputs of each step: random permutations one after another, cut to batches."""
    rng = stream(training.seed, 0, 0, Purpose.BATCHES)
    rest = np.empty(0, np.intp)
    for _ in range(training.steps):
        while len(rest) < training.batch:
            rest = np.concatenate([rest, rng.permutation(inputs)])
        yield rest[: training.batch]
        rest = rest[training.batch :]


def _check(members: list[Training], task: Task) -> None:
    first = members[0]
    for t in members[1:]:
        if t.bundle != first.bundle:
            raise SpecError(
                f"Trainings of one bundle must agree in activation, sizes, optimiser, steps, "
                f"batch, dropout, dtype and data, but {t.bundle} and {first.bundle} do not; train them "
                f"apart."
            )
    if first.data not in (task.name, task.digest):
        raise SpecError(
            f"These trainings are for the data {first.data!r}, but the task is {task.name!r} "
            f"(digest {task.digest}); load the task that they name."
        )


class _Chunk:
    """A few stacked networks, their signals and optimisers."""

    def __init__(self, members: list[Training], act: AbstractActivation, task: Task) -> None:
        self._members, self._task = members, task
        t = members[0]
        self._dtype = np.dtype(t.dtype)
        self._phi = pointwise(act, self._dtype)
        drawn = [draw(m, act, task) for m in members]
        self._w: list[FloatArray] = []  # [W b] of each layer, (M, n_out, n_in + 1)
        for layer in range(t.depth + 1):
            both = [
                np.concatenate([d.matrices[layer], d.biases[layer][:, None]], axis=1) for d in drawn
            ]
            self._w.append(np.stack(both).astype(self._dtype))
        rates = np.array([m.rate for m in members], dtype=np.float64)
        self._opt = [optimizer(t.optimizer, w.shape, rates, self._dtype) for w in self._w]
        self._x = _with_ones(task.x_train, self._dtype)
        self._masks = [stream(m.seed, 0, 0, Purpose.MASKS) for m in members]
        self._alive = np.arange(len(members))
        self._losses: list[list[float]] = [[] for _ in members]
        self._right: list[list[float]] = [[] for _ in members]
        self._ended: dict[int, Outcome] = {}
        self._allocate(len(members))

    def _allocate(self, m: int) -> None:
        t = self._members[0]
        n, b = t.width, t.batch
        self._inputs = np.empty((m, b, self._x.shape[1]), self._dtype)
        self._h = np.empty((t.depth, m, n, b), self._dtype)
        self._s = np.ones((t.depth, m, n + 1, b), self._dtype)
        self._y = np.empty((m, self._task.classes, b), self._dtype)
        self._delta = np.empty((2, m, n, b), self._dtype)
        self._grads = [np.empty_like(w) for w in self._w]
        self._scratch = [np.empty_like(w) for w in self._w]

    def run(self) -> list[Outcome]:
        """All steps, then the share that is classified rightly."""
        start = time.perf_counter()
        t = self._members[0]
        cuts = [batches(m, len(self._x)) for m in self._members]
        with np.errstate(all="ignore"):
            for step in range(1, t.steps + 1):
                index = np.stack([next(cuts[i]) for i in self._alive])
                loss, right = self._gradients(index)
                self._record(step, loss, right)
                if len(self._alive) == 0:
                    break
                for w, g, s, opt in zip(
                    self._w, self._grads, self._scratch, self._opt, strict=True
                ):
                    opt.update(w, g, step, s)
            self._finish()
        seconds = (time.perf_counter() - start) / len(self._members)
        return [_timed(self._ended[i], seconds) for i in range(len(self._members))]

    def _gradients(self, index: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Loss and share of right answers of each network's batch; gradients are left behind."""
        labels = self._task.y_train[index]
        np.take(self._x, index, axis=0, out=self._inputs)
        drop = self._members[0].dropout
        below: FloatArray = self._inputs.transpose(0, 2, 1)
        for w, h, s in zip(self._w[:-1], self._h, self._s, strict=True):
            np.matmul(w, below, out=h)
            out = s[:, :-1]
            self._phi.apply(h, out, True)
            if drop > 0.0:
                self._drop(h, out, drop)
            below = s
        np.matmul(self._w[-1], below, out=self._y)
        loss, right = _cross_entropy(self._y, labels)
        delta: FloatArray = self._y
        for layer in range(len(self._w) - 1, -1, -1):
            s = self._s[layer - 1] if layer else self._inputs.transpose(0, 2, 1)
            np.matmul(delta, s.transpose(0, 2, 1), out=self._grads[layer])
            if layer:
                below = self._delta[layer % 2]
                np.matmul(self._w[layer][:, :, :-1].transpose(0, 2, 1), delta, out=below)
                below *= self._h[layer - 1]
                delta = below
        return loss, right

    def _drop(self, h: FloatArray, out: FloatArray, p: float) -> None:
        """Inverted dropout: units are kept with probability 1 - p and divided by it."""
        for k, i in enumerate(self._alive):
            kept = (self._masks[i].random(h.shape[1:], dtype=np.float32) >= p) / (1.0 - p)
            mask = kept.astype(self._dtype)
            out[k] *= mask
            h[k] *= mask

    def _record(self, step: int, loss: NDArray[Any], right: NDArray[Any]) -> None:
        """Keep losses; end members whose loss is no number, or that know enough."""
        stay = []
        for k, i in enumerate(self._alive):
            t = self._members[i]
            if not math.isfinite(loss[k]):
                self._ended[i] = self._diverged(i, f"the loss left its range at step {step}")
                continue
            self._losses[i].append(float(loss[k]))
            self._right[i].append(float(right[k]))
            window = self._right[i][-WINDOW:]
            full = len(window) == min(WINDOW, t.steps)
            if t.until is not None and full and math.fsum(window) / len(window) >= t.until:
                self._ended[i] = self._outcome(i, self._shares(k))
                continue
            stay.append(k)
        if len(stay) < len(self._alive):
            self._keep(np.array(stay, dtype=np.intp))

    def _keep(self, members: NDArray[np.intp]) -> None:
        """Go on with these members only; what was computed for them stays as it is."""
        self._alive = self._alive[members]
        self._w = [np.ascontiguousarray(w[members]) for w in self._w]
        grads = [np.ascontiguousarray(g[members]) for g in self._grads]
        for opt in self._opt:
            opt.keep(members)
        self._allocate(len(members))
        self._grads = grads

    def _finish(self) -> None:
        for k, i in enumerate(self._alive):
            shares = self._shares(k)
            if shares is None:
                self._ended[i] = self._diverged(i, "the outputs left their range at the last step")
            else:
                self._ended[i] = self._outcome(i, shares)

    def _shares(self, k: int) -> tuple[float, float] | None:
        """Shares of training and test set that network `k` classifies rightly, dropout off."""
        task = self._task
        out = []
        for x, y in ((task.x_train, task.y_train), (task.x_test, task.y_test)):
            found, finite = 0, True
            for start in range(0, len(x), _EVALUATED):
                s: FloatArray = _with_ones(x[start : start + _EVALUATED], self._dtype).T
                for w in self._w[:-1]:
                    h = w[k] @ s
                    s = np.ones((h.shape[0] + 1, h.shape[1]), self._dtype)
                    self._phi.apply(h, s[:-1], False)
                logits = self._w[-1][k] @ s
                finite = finite and bool(np.all(np.isfinite(logits)))
                found += int(np.sum(np.argmax(logits, axis=0) == y[start : start + _EVALUATED]))
            if not finite:
                return None
            out.append(found / len(x))
        return out[0], out[1]

    def _outcome(self, i: int, shares: tuple[float, float] | None) -> Outcome:
        losses = self._losses[i]
        last = losses[-max(1, len(losses) // 10) :]
        train, test = (0.0, 0.0) if shares is None else shares
        return Outcome(
            status="done",
            loss=math.fsum(last) / len(last),
            accuracy=train,
            test_accuracy=test,
            losses=tuple(losses),
            steps_to=_steps_to(self._right[i], self._members[i].steps),
        )

    def _diverged(self, i: int, why: str) -> Outcome:
        return Outcome(
            status="diverged",
            accuracy=0.0,
            test_accuracy=0.0,
            losses=tuple(self._losses[i]),
            steps_to=_steps_to(self._right[i], self._members[i].steps),
            message=why,
        )


def _with_ones(x: NDArray[Any], dtype: Any) -> FloatArray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(dtype)


def _cross_entropy(y: FloatArray, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean cross-entropy and share of right answers of each network; `y` becomes the gradient."""
    m, _, b = y.shape
    k, j = np.arange(m)[:, None], np.arange(b)
    right = (np.argmax(y, axis=1) == labels).mean(axis=1)
    y -= y.max(axis=1, keepdims=True)
    at_label = y[k, labels, j].astype(np.float64)
    np.exp(y, out=y)
    total = y.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0].astype(np.float64)) - at_label).mean(axis=1)
    y /= total
    y[k, labels, j] -= 1.0
    y /= b
    return loss, right


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


def _timed(o: Outcome, seconds: float) -> Outcome:
    return Outcome(
        o.status, o.loss, o.accuracy, o.test_accuracy, o.losses, o.steps_to, seconds, o.message
    )
