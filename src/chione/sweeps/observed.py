"""What layers do while networks train: statistics of their activations, and the test error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from chione.base import Array
from chione.sweeps.initial import trained_activation
from chione.sweeps.optimizers import FloatArray
from chione.sweeps.tasks import Task
from chione.sweeps.training import Training

STATISTICS = ("mean", "deviation", "low", "high")
_PERCENTS = (2.0, 98.0)


class LayerStatistics:
    r"""An observer for :func:`chione.sweeps.bundle.train` that looks at all layers now and then.

    For each layer l, over all units and the first inputs of the test set, it notes mean and
    standard deviation of the activations :math:`\phi(h^l)` and their 2nd and 98th percentile, and
    with them the share of the whole test set that is classified wrongly.

    Parameters
    ----------
    task : Task
        Whose test set is looked at.
    every : int
        Steps between looks; the first is before the first step.
    inputs : int
        How many inputs the statistics are taken over.
    """

    def __init__(self, task: Task, every: int = 1, inputs: int = 300) -> None:
        self._x, self._y = task.x_test, task.y_test
        self._every, self._inputs = every, inputs
        self._steps: dict[str, list[int]] = defaultdict(list)
        self._rows: dict[str, list[Array]] = defaultdict(list)
        self._errors: dict[str, list[float]] = defaultdict(list)

    def __call__(
        self, steps: int, members: Sequence[Training], weights: Sequence[FloatArray]
    ) -> None:
        """Look, if it is time to."""
        if steps % self._every:
            return
        for k, training in enumerate(members):
            rows, wrong = self._look(training, [w[k].astype(np.float64) for w in weights])
            self._steps[training.key].append(steps)
            self._rows[training.key].append(rows)
            self._errors[training.key].append(wrong)

    def steps(self, training: Training) -> Array:
        """After how many steps a network was looked at."""
        return np.array(self._steps[training.key], dtype=np.float64)

    def layers(self, training: Training) -> Array:
        """Its :data:`STATISTICS`, shape (looks, L, 4)."""
        return np.array(self._rows[training.key])

    def errors(self, training: Training) -> Array:
        """Shares of the test set that it got wrong, shape (looks,)."""
        return np.array(self._errors[training.key])

    def _look(self, training: Training, weights: Sequence[Array]) -> tuple[Array, float]:
        phi, signal, rows = trained_activation(training), self._x, []
        for w in weights[:-1]:
            signal = phi.value(signal @ w[:, :-1].T + w[:, -1])
            seen = signal[: self._inputs]
            rows.append([seen.mean(), seen.std(), *np.percentile(seen, _PERCENTS)])
        logits = signal @ weights[-1][:, :-1].T + weights[-1][:, -1]
        return np.array(rows), float(np.mean(np.argmax(logits, axis=1) != self._y))
