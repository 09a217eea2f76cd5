"""How schemes of initialisation train, cell by cell, and when one counts as better than another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from chione.base import AbstractResult, Array, SpecError, Table, along, result, text_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The criterion, fixed before anything was measured.
UNTRAINED = 0.2
"""Test accuracy up to which a network of ten classes counts as not trained: twice a guess."""
LEAST = 0.01
"""Smallest difference of two medians that counts: 3.6 of the 359 digits held apart."""
PAIRINGS = 0.9
"""Share of pairings of a seed with a seed that one must win: of 25, Mann and Whitney's test of
5 against 5 with p <= 0.05."""


ADVICE = ("activation", "depth", "scheme", "trained", "first_sigma_w", "sigma_w", "sigma_b")
"""Columns of the table of advice."""
_SHOWN = 5  # failures on the page


@dataclass(frozen=True)
class Tally:
    """How often one scheme is better than another.

    Parameters
    ----------
    better, level, worse : int
        Cells by the criterion of :func:`compared`.
    untrained : int
        Cells where neither scheme trains, counted apart from `level`.
    """

    better: int
    level: int
    worse: int
    untrained: int


@dataclass(frozen=True)
class Gap:
    """A cell in which one scheme is worse than another.

    Parameters
    ----------
    activation, depth, optimizer : str, int, str
        The cell.
    other : str
        The scheme that is better.
    ours, theirs : float
        Median test accuracies.
    """

    activation: str
    depth: int
    optimizer: str
    other: str
    ours: float
    theirs: float


def compared(a: ArrayLike, b: ArrayLike) -> int:
    r"""Whether test accuracies `a` are better (1) or worse (-1) than `b`, or level (0).

    .. math:: \text{better:}\quad \operatorname{med} a - \operatorname{med} b > 0.01
       \quad\text{and}\quad \frac{\#\{a_i > b_j\} + \frac12 \#\{a_i = b_j\}}{n_a n_b} \ge 0.9

    Accuracies of at most 0.2 count as equal to each other: both are guesses.

    Parameters
    ----------
    a, b : array_like, shape (n_a,) and (n_b,)
        Test accuracies over seeds; NaN where a seed was saved. With no other a scheme guesses.
    """
    x, y = (np.maximum(_measured(v), UNTRAINED) for v in (a, b))
    gap = float(np.median(x) - np.median(y))
    # counted in halves, which floats hold exactly
    wins = float(np.sum(x[:, None] > y) + 0.5 * np.sum(x[:, None] == y))
    enough = PAIRINGS * x.size * y.size
    if gap > LEAST and wins >= enough:
        return 1
    return -1 if -gap > LEAST and x.size * y.size - wins >= enough else 0


def _measured(accuracies: ArrayLike) -> Array:
    """Those that were measured; 0 where none was."""
    x = np.asarray(accuracies, np.float64)
    kept = x[~np.isnan(x)]
    return kept if kept.size else np.zeros(1)


@result
class SchemeTable(AbstractResult):
    """What schemes of initialisation reach after training, at the best learning rate of each.

    Parameters
    ----------
    activation, optimizer, scheme : tuple of str, lengths A, O, C
        What was combined.
    depth, seed : ndarray, shapes (D,) and (S,)
        Hidden layers, and seeds of the networks that count.
    rates : ndarray, shape (O, R)
        The learning rates that were tried.
    rate : ndarray, shape (A, D, O, C)
        The one with the smallest loss on seeds of its own; NaN where all diverged, or where the
        scheme does not train at a smaller depth.
    tuning_loss : ndarray, shape (A, D, O, C, R)
        That loss: training cross-entropy of the last tenth of the steps, mean over those seeds;
        infinite where one diverged, NaN where the rate was not tried.
    test_accuracy : ndarray, shape (A, D, O, C, S)
        Share of the inputs held apart that is classified rightly at the end, 0 where a network
        diverged or failed; NaN where it was not trained, since the cell is hopeless.
    steps_to : ndarray, shape (A, D, O, C, S)
        Steps to a running training accuracy of 90 %; infinite where it was not reached, NaN
        where a network was not trained.
    width, batch, steps : int
        Units of a layer, inputs of a step, and steps.
    data : str
        The task.
    advice : Table
        What our schemes trained, a row for each activation, depth and scheme: the activation, its
        affine change included, and the sigmas.
    failures : tuple of str
        A sentence for each network whose training raised an error; it counts as a guess.
    """

    axes = {  # noqa: RUF012  a ClassVar of the base
        **{name: (name,) for name in ("activation", "depth", "optimizer", "scheme", "seed")},
        **along("optimizer candidate", "rates"),
        **along("activation depth optimizer scheme", "rate"),
        **along("activation depth optimizer scheme candidate", "tuning_loss"),
        **along("activation depth optimizer scheme seed", "test_accuracy", "steps_to"),
    }

    activation: tuple[str, ...]
    depth: Array
    optimizer: tuple[str, ...]
    scheme: tuple[str, ...]
    seed: Array
    rates: Array
    rate: Array
    tuning_loss: Array
    test_accuracy: Array
    steps_to: Array
    width: int
    batch: int
    steps: int
    data: str
    advice: Table = Table(ADVICE, ())
    failures: tuple[str, ...] = ()

    @property
    def median(self) -> Array:
        """Median test accuracy over the seeds that were trained, shape (A, D, O, C); 0 if none."""
        known = ~np.isnan(self.test_accuracy)
        filled = np.where(known | (known.sum(-1, keepdims=True) > 0), self.test_accuracy, 0.0)
        return np.asarray(np.nanmedian(filled, axis=-1))

    @property
    def median_steps(self) -> Array:
        """Median steps to 90 %, shape (A, D, O, C); infinite where most seeds do not get there."""
        steps = np.where(np.isnan(self.steps_to), np.inf, self.steps_to)
        return np.asarray(np.sort(steps, axis=-1)[..., (steps.shape[-1] - 1) // 2])

    def accuracies(self, activation: str, depth: int, optimizer: str, scheme: str) -> Array:
        """Test accuracies of one cell over the seeds, shape (S,)."""
        at = (
            self._place("activation", activation),
            self._place("depth", depth),
            self._place("optimizer", optimizer),
            self._place("scheme", scheme),
        )
        return np.asarray(self.test_accuracy[at])

    def tally(self, ours: str, other: str, *, depth: int | None = None) -> Tally:
        """Count the cells, all or of one depth, in which `ours` is better, level and worse."""
        i, j = self._place("scheme", ours), self._place("scheme", other)
        counts, median = {1: 0, 0: 0, -1: 0}, self.median
        untrained = 0
        for at in self._cells():
            if depth is not None and int(self.depth[at[1]]) != depth:
                continue
            a, b = self.test_accuracy[(*at, i)], self.test_accuracy[(*at, j)]
            if max(median[(*at, i)], median[(*at, j)]) <= UNTRAINED:
                untrained += 1
            else:
                counts[compared(a, b)] += 1
        return Tally(counts[1], counts[0], counts[-1], untrained)

    def losses(self, ours: str) -> tuple[Gap, ...]:
        """Every cell in which `ours` is worse than another scheme, the largest gaps first."""
        i, found, median = self._place("scheme", ours), [], self.median
        for at in self._cells():
            for j, other in enumerate(self.scheme):
                if compared(self.test_accuracy[(*at, i)], self.test_accuracy[(*at, j)]) < 0:
                    a, d, o = at
                    mine, best = (float(median[(*at, k)]) for k in (i, j))
                    cell = (self.activation[a], int(self.depth[d]), self.optimizer[o])
                    found.append(Gap(*cell, other, mine, best))
        return tuple(sorted(found, key=lambda g: g.ours - g.theirs))

    def _cells(self) -> Iterator[tuple[int, ...]]:
        return np.ndindex(self.test_accuracy.shape[:3])

    def _place(self, axis: str, name: str | int) -> int:
        known = list(getattr(self, axis))
        if name not in known:
            raise SpecError(
                f"{axis} must be one of {', '.join(str(k) for k in known)}, but it is {name!r}."
            )
        return known.index(name)

    def __str__(self) -> str:
        head = ("activation", "depth", "optimizer", *self.scheme)
        rows, median = [], self.median
        for a, d, o in self._cells():
            cells = [f"{m:.2f}" for m in median[a, d, o]]
            rows.append((self.activation[a], str(self.depth[d]), self.optimizer[o], *cells))
        about = (
            f"Median test accuracy over {len(self.seed)} seeds, {self.data}, width {self.width}, "
            f"{self.steps} steps of {self.batch} inputs, each at the best of "
            f"{self.rates.shape[1]} learning rates."
        )
        lines = text_table(head, rows, align="<><" + ">" * len(self.scheme))
        return "\n\n".join([lines, about, *self.failures[:_SHOWN]])

    def plot(self, *, ax: Any = None, field: str | None = None) -> Figure:
        """Accuracies over the seeds, a panel a depth and optimiser; see :meth:`Result.plot`."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.schemes import scheme_picture

        picture = scheme_picture(
            self.test_accuracy, self.activation, self.depth, self.optimizer, self.scheme
        )
        return assemble(picture, ax=ax, field=field)
