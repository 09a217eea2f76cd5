r"""What a sweep found, with the theory beside it.

Each cell of a result is one network: the best of its learning rates, averaged over seeds,

.. math:: \bar a = \frac{1}{S} \sum_s a_s, \qquad
   \mathrm{stderr} = \sqrt{\frac{\sum_s (a_s - \bar a)^2}{S (S - 1)}}
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from chione.base import (
    AbstractResult,
    Array,
    MissingExtraError,
    SpecError,
    along,
    check_writable,
    result,
    write_whole,
)
from chione.sweeps.axes import CELL, EVERY, MISSING, QUANTITIES, READS_SIGMAS, THEORY
from chione.sweeps.depth_scales import depth_scales
from chione.sweeps.page import page
from chione.sweeps.plan import SweepPlan
from chione.sweeps.training import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLES = (".csv", ".parquet")
_LEARNED = 0.15  # of the way from guessing to all right, at the threshold, for a verdict
_NO_ANSWER = ("failed", "lost")
_MOST_PROBLEMS = 5
EXPORTS = (*_TABLES, ".npz", ".nc", ".json")

Words = NDArray[np.str_]


@final
@result
class SweepResult(AbstractResult):
    r"""Many trainings, their means over seeds, and the depth scales of theory.

    Arrays of cells have the axes (activation, scheme, weights, optimizer, dropout, width, depth,
    sigma_b, sigma_w); those of single trainings (rate, seed) besides.

    Parameters
    ----------
    activation, scheme, weights, optimizer : ndarray of str
        The values of each axis of words.
    dropout, width, depth, sigma_b, sigma_w, rate, seed : ndarray
        The values of each axis of numbers.
    mean : dict of str to ndarray
        "accuracy" on the training set, "test_accuracy", "loss" of the last tenth of the steps: the
        mean over seeds at the best rate. A training that diverged classifies nothing: its
        accuracy is 0, and it has no loss.
    stderr : dict of str to ndarray
        Standard error over seeds; NaN for a single seed.
    best_rate : ndarray
        The rate with the highest mean accuracy on the training set, of equals the one with the
        lowest loss.
    counted : ndarray of int
        Trainings that a mean is over: those that failed or are missing are not in it.
    diverged : ndarray
        Share of the seeds that diverged at the best rate.
    each : dict of str to ndarray
        The numbers of every training.
    outcome : ndarray of str
        "done", "diverged", "failed", "lost" or "missing", of every training.
    xi_c, xi_chi : ndarray, axes (activation, dropout, sigma_b, sigma_w)
        Depth scale of correlations, and :math:`1 / |\log \chi_\perp|` of gradients.
    classes, inputs, steps, batch : int
        Classes of the task, numbers of an input, steps, inputs of a step.
    dtype, data, digest : str
        Numbers of weights, name of the task, and what its data are known by.
    problems : tuple of str
        Why trainings failed or were lost: the most frequent reasons, with how many it took.
    """

    axes = (
        {name: (name,) for name in EVERY}
        | along(" ".join(CELL), "mean", "stderr", "best_rate", "counted", "diverged")
        | along(" ".join(EVERY), "each", "outcome")
        | along(" ".join(THEORY), "xi_c", "xi_chi")
    )

    activation: Words
    scheme: Words
    weights: Words
    optimizer: Words
    dropout: Array
    width: NDArray[np.int64]
    depth: NDArray[np.int64]
    sigma_b: Array
    sigma_w: Array
    rate: Array
    seed: NDArray[np.int64]
    mean: dict[str, Array]
    stderr: dict[str, Array]
    best_rate: Array
    counted: NDArray[np.int64]
    diverged: Array
    each: dict[str, Array]
    outcome: Words
    xi_c: Array
    xi_chi: Array
    classes: int
    inputs: int
    steps: int
    batch: int
    dtype: str
    data: str
    digest: str
    problems: tuple[str, ...] = ()

    @property
    def plan(self) -> SweepPlan:
        """The plan that this came from; ``chione.sweep(result.plan, ...)`` runs it again."""
        values = {name: getattr(self, name).tolist() for name in EVERY}
        seeds = values.pop("seed")
        rest = {name: getattr(self, name) for name in ("steps", "batch", "dtype", "data")}
        return SweepPlan(**values, seeds=seeds, **rest)

    @property
    def varied(self) -> tuple[str, ...]:
        """Axes of a cell that have more than one value."""
        return tuple(name for name in CELL if getattr(self, name).size > 1)

    @property
    def threshold(self) -> float:
        """Accuracy above which a cell counts as trained: halfway from guessing to the best."""
        known = self.mean["accuracy"][np.isfinite(self.mean["accuracy"])]
        return 0.5 * (1.0 / self.classes + float(known.max(initial=1.0 / self.classes)))

    def agreement(self, scales: float = 6.0) -> dict[str, float] | None:
        r"""Share of the cells in which a depth below some depth scales and training agree.

        Parameters
        ----------
        scales : float
            How many depth scales: 6 by Schoenholz et al. 2017.

        Returns
        -------
        dict of str to float or None
            By "xi_c", "xi_chi" and the "smaller" of both; None where no cell has a theory,
            depths are not swept, or no network learned enough to tell.
        """
        if self.depth.size < 2 or self.scheme.tolist() != [READS_SIGMAS]:
            return None
        guess = 1.0 / self.classes
        if not self.threshold - guess > _LEARNED * (1.0 - guess):
            return None
        accuracy = self.mean["accuracy"]
        trained, depth = accuracy > self.threshold, self.depth[:, None, None]
        out = {}
        for name, xi in self._scales().items():
            known = np.isfinite(accuracy) & ~np.isnan(xi)
            if known.any():
                out[name] = float(np.mean((depth < scales * xi) == trained, where=known))
        return out or None

    def _scales(self) -> dict[str, Array]:
        """Depth scales in the shape of cells."""
        over = {
            "xi_c": self.xi_c,
            "xi_chi": self.xi_chi,
            "smaller": np.fmin(self.xi_c, self.xi_chi),
        }
        # (activation, dropout, b, w) among (activation, scheme, weights, optimizer, dropout, ...)
        return {n: x[:, None, None, None, :, None, None] for n, x in over.items()}

    def plot(self, *, ax: Any = None, field: str | None = None) -> Figure:
        """Draw a quantity over what was swept, with lines of theory where there are some.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw the first panel; a figure of its own by default.
        field : str, optional
            "accuracy" (the default), "test_accuracy", "loss" or "best_rate".
        """
        from chione.sweeps.picture import draw  # matplotlib only where a picture is wanted

        return draw(self, ax=ax, field=field)

    def __str__(self) -> str:
        return page(self)

    def export(self, path: str | Path) -> Path:
        """Write every training as a row of a table: its parameters, its outcome, its numbers.

        Parameters
        ----------
        path : str or Path
            Ends in ``.csv`` or ``.parquet`` (a table of all trainings; ``save`` writes the means of
            cells as ``.csv``), or in ``.npz``, ``.nc`` or ``.json`` (the result, as by ``save``).

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        SpecError
            If the ending is another one.
        MissingExtraError
            If ``.parquet`` is asked for without pandas and pyarrow.
        """
        path = check_export(path)
        if path.suffix.lower() not in _TABLES:
            return self.save(path)
        columns = self.trainings()
        if path.suffix.lower() == ".parquet":
            import pandas  # type: ignore[import-untyped]

            frame = pandas.DataFrame(columns)
            return write_whole(path, lambda part: frame.to_parquet(part, engine="pyarrow"))
        return write_whole(path, lambda part: _write_csv(part, columns))

    def trainings(self) -> dict[str, list[Any]]:
        """Columns of the table of all trainings."""
        shape = self.outcome.shape
        index = np.unravel_index(np.arange(self.outcome.size), shape)
        columns: dict[str, list[Any]] = {
            name: getattr(self, name)[place].tolist()
            for name, place in zip(EVERY, index, strict=True)
        }
        for name in ("steps", "batch", "dtype", "data"):
            columns[name] = [getattr(self, name)] * self.outcome.size
        columns["outcome"] = self.outcome.ravel().tolist()
        return columns | {name: a.ravel().tolist() for name, a in self.each.items()}


def check_export(path: str | Path) -> Path:
    """Refuse a file that cannot be written before anything is computed for it."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in EXPORTS:
        raise SpecError(
            f"an export must end in one of {', '.join(EXPORTS)}, but the name is {str(path)!r}."
        )
    needed = {".parquet": ("pandas", "pyarrow"), ".nc": ("xarray",)}.get(ending, ())
    for package in needed:
        if find_spec(package) is None:
            raise MissingExtraError(package, "sweeps", f"writing {ending}")
    return check_writable(path)


def _write_csv(path: Path, columns: Mapping[str, list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow([repr(x) if isinstance(x, float) else x for x in row])


def collected(
    plan: SweepPlan,
    outcomes: Mapping[int, Outcome],
    *,
    classes: int,
    inputs: int,
    digest: str,
) -> SweepResult:
    """The result of a plan from the outcomes of its trainings, by their place in it.

    Parameters
    ----------
    plan : SweepPlan
        The plan.
    outcomes : mapping of int to Outcome
        What is known; places that are absent are "missing".
    classes, inputs : int
        Of the task.
    digest : str
        Of its data.
    """
    shape = plan.shape
    outcome = np.full(plan.count, MISSING, dtype="<U8")
    each = {name: np.full(plan.count, np.nan) for name in QUANTITIES}
    for k, found in outcomes.items():
        outcome[k] = found.status
        for name, a in each.items():
            a[k] = getattr(found, name)
    each = {name: a.reshape(shape) for name, a in each.items()}
    cells = _cells(each, outcome.reshape(shape), np.array(plan.rate))
    xi_c, xi_chi = depth_scales(plan)
    axes: dict[str, Any] = {name: np.array(getattr(plan, _field(name))) for name in EVERY}
    rest: dict[str, Any] = {
        name: getattr(plan, name) for name in ("steps", "batch", "dtype", "data")
    }
    return SweepResult(
        **axes, **cells, each=each, outcome=outcome.reshape(shape), xi_c=xi_c, xi_chi=xi_chi,
        classes=classes, inputs=inputs, digest=digest, problems=_problems(outcomes), **rest,
    )  # fmt: skip


def _problems(outcomes: Mapping[int, Outcome]) -> tuple[str, ...]:
    """Distinct reasons, the most frequent first."""
    found = Counter(x.message for _, x in sorted(outcomes.items()) if x.status in _NO_ANSWER)
    return tuple(f"{n} trainings: {message}" for message, n in found.most_common(_MOST_PROBLEMS))


def _field(axis: str) -> str:
    return "seeds" if axis == "seed" else axis


def _cells(each: dict[str, Array], outcome: Words, rates: Array) -> dict[str, Any]:
    """Means, standard errors and counts over seeds at the best rate of each cell."""
    known = np.isin(outcome, ("done", "diverged"))
    counts = known.sum(axis=-1)  # (..., rate)
    means = {name: _mean(each[name]) for name in QUANTITIES}
    score = np.where(counts > 0, means["accuracy"], -np.inf)
    tied = score == score.max(axis=-1, keepdims=True)
    loss = np.where(np.isnan(means["loss"]), np.inf, means["loss"])
    # of equals the lowest loss; argmin takes the first where losses are equal, or all infinite
    best = np.argmin(np.where(tied, np.minimum(loss, 1e300), np.inf), axis=-1)[..., None]

    def at_best(a: Array) -> Any:
        return np.take_along_axis(a, best, axis=-1)[..., 0]

    counted = at_best(counts)
    nothing = counted == 0
    return {
        "mean": {name: at_best(a) for name, a in means.items()},
        "stderr": {name: at_best(_stderr(each[name])) for name in QUANTITIES},
        "best_rate": np.where(nothing, np.nan, rates[best[..., 0]]),
        "counted": counted.astype(np.int64),
        "diverged": at_best(_mean(np.where(known, outcome == "diverged", np.nan))),
    }


def _mean(a: Array) -> Array:
    """Mean over seeds of what is known; NaN where nothing is."""
    n = np.isfinite(a).sum(axis=-1)
    total = np.where(np.isfinite(a), a, 0.0).sum(axis=-1)
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan))


def _stderr(a: Array) -> Array:
    n = np.isfinite(a).sum(axis=-1)
    off = np.where(np.isfinite(a), a - _mean(a)[..., None], 0.0)
    variance = (off**2).sum(axis=-1) / np.maximum(n * (n - 1.0), 1.0)
    return np.asarray(np.where(n > 1, np.sqrt(variance), np.nan))
