r"""Speed of training at large depth, with Gaussian and with orthogonal weights.

After Pennington, Schoenholz & Ganguli 2017 (source 001): on the critical line all networks pass
gradients of equal size on average, but the squared singular values of their Jacobian spread by

.. math:: \sigma^2_{JJ^T} = L \left(\frac{\mu_2}{\mu_1^2} - 1 - s_1\right), \qquad
   \mu_k = E\,\phi'(\sqrt{q^*} z)^{2k}

with s_1 = -1 for Gaussian and 0 for orthogonal weights. Only the latter go to 0 with q*: dynamical
isometry. Counted are the steps to a training accuracy of 3/4 with the best of four learning rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from chione.base import Array
from chione.base.engines import engine
from chione.gallery import plain
from chione.gallery.drawing import finish, points
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.plotting import COLOURS, new_figure, style
from chione.sweeps.ledger import Ledger
from chione.sweeps.tasks import load_task
from chione.sweeps.trainer import Trainer
from chione.sweeps.training import Outcome, Training

LAWS = ("gaussian", "orthogonal")
_SHARE = 0.75


@dataclass(frozen=True)
class Settings:
    """What is trained.

    Parameters
    ----------
    q_star : tuple of float
        Points of the critical line, at `depths[at]`.
    depths : tuple of int
        Depths, at `q_star[where]`.
    at, where : int
        The depth of the first panel, the point of the second.
    width, steps, batch, seeds : int
        As of a training.
    rates : tuple of float
        Learning rates of plain gradient descent; the best counts.
    data : str
        The task.
    """

    q_star: tuple[float, ...]
    depths: tuple[int, ...]
    at: int
    where: int
    width: int
    steps: int
    batch: int
    seeds: int
    rates: tuple[float, ...]
    data: str


FULL = Settings((1 / 64, 1 / 16, 0.25, 1.0), (25, 50, 100, 200), 2, 1, 64, 400, 32, 3,
                (0.001, 0.003, 0.01, 0.03), "digits")  # fmt: skip
QUICK = Settings((1 / 16, 1.0), (8, 24), 1, 0, 32, 150, 32, 1, (0.03, 0.1), "synthetic")


def critical_sigmas(q: float) -> tuple[float, float]:
    r"""Both sigmas of tanh for which q is a fixed point with chi_perp = 1, by plain sums."""
    w2 = 1.0 / plain.average(lambda h: np.cosh(h) ** -4.0, q)
    return float(np.sqrt(w2)), float(np.sqrt(q - w2 * plain.average(lambda h: np.tanh(h) ** 2, q)))


def spread(q: float, depth: int, law: str) -> float:
    """Relative variance of the squared singular values at infinite width."""
    first = plain.average(lambda h: np.cosh(h) ** -4.0, q)
    second = plain.average(lambda h: np.cosh(h) ** -8.0, q)
    return depth * (second / first**2 - 1.0 + (law == "gaussian"))


def measure(settings: Settings, out: str | Path | None = None) -> dict[str, Any]:
    """Steps to the accuracy, one number a seed; those that never got there count as infinite.

    Returns
    -------
    dict
        "q_star" and "depth" with one entry for each place, and "steps", by law: a list for each
        place.
    """
    s = settings
    places = list(dict.fromkeys([(q, s.depths[s.at]) for q in s.q_star]
                                + [(s.q_star[s.where], d) for d in s.depths]))  # fmt: skip
    task = load_task(s.data)
    steps: dict[str, list[list[float]]] = {law: [] for law in LAWS}
    ledger = None if out is None else Ledger(out)
    try:
        with engine(None) as runner:
            trainer = Trainer(task, runner, ledger)
            for q, depth in places:
                for law in LAWS:
                    cells = _trainings(s, q, depth, law, task.digest)
                    steps[law].append(_best(cells, trainer(cells), s.seeds))
    finally:
        if ledger is not None:
            ledger.close()
    return {"q_star": [q for q, _ in places], "depth": [d for _, d in places], "steps": steps}


def _trainings(s: Settings, q: float, depth: int, law: str, data: str) -> list[Training]:
    w, b = critical_sigmas(q)
    return [
        Training("tanh", w, b, depth, s.width, weights=law, rate=rate, steps=s.steps,
                 batch=s.batch, data=data, seed=seed, until=_SHARE)
        for seed in range(s.seeds) for rate in s.rates
    ]  # fmt: skip


def _best(cells: Sequence[Training], outcomes: Sequence[Outcome], seeds: int) -> list[float]:
    """Fewest steps over the rates, for each seed."""
    found = [np.inf] * seeds
    for t, o in zip(cells, outcomes, strict=True):
        needed = min((step for share, step in o.steps_to if share >= _SHARE), default=np.inf)
        found[t.seed] = min(found[t.seed], float(needed))
    return found


def shown(settings: Settings, found: dict[str, Any]) -> Reproduction:
    """Picture, data and checks."""
    q, depth = (np.array(found[name], dtype=np.float64) for name in ("q_star", "depth"))
    steps = np.array([found["steps"][law] for law in LAWS], dtype=np.float64)
    middle = np.median(steps, axis=2)
    wide = np.array([[spread(*at, law) for at in zip(q, depth, strict=True)] for law in LAWS])
    _, axis_depth = settings.q_star, settings.depths[settings.at]
    over_q = depth == axis_depth
    over_depth = q == settings.q_star[settings.where]
    with style():
        figure = new_figure(11.4, 3.8)
        axes = figure.subplots(1, 3, sharey=True)
        for i, law in enumerate(LAWS):
            for ax, x, some in (
                (axes[0], q, over_q),
                (axes[1], depth, over_depth),
                (axes[2], wide[i], over_q | over_depth),
            ):
                _draw(ax, x[some], steps[i][some], i, law, settings.steps)
        for ax in axes:
            ax.set_xscale("log")
            ax.set_yscale("log")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_major_formatter(FormatStrFormatter("%g"))
                axis.set_minor_formatter(NullFormatter())
        words = f"steps to {_SHARE:.0%} right"
        point = f"$q^*$ = {settings.q_star[settings.where]:.3g}"
        finish(
            axes[0], f"tanh, {axis_depth} layers", "fixed point $q^*$ on the critical line", words
        )
        finish(axes[1], f"tanh at {point}", "depth $L$", words, None)
        finish(axes[2], "Both over the spread", r"$\sigma^2_{JJ^T}$ of theory", words, None)
    data = {
        "q_star": Variable(("place",), q, "fixed point"),
        "depth": Variable(("place",), depth, "hidden layers"),
        "spread": Variable(("law", "place"), wide, "variance of squared singular values"),
        "steps": Variable(("law", "place", "seed"), steps, "steps; infinite where never"),
    }
    return Reproduction(figure, data, _checks(q, depth, middle))


def _draw(ax: Any, x: Array, steps: Array, i: int, label: str, most: int) -> None:
    """Medians with the range over seeds; triangles at the top where most never got there."""
    middle = np.median(steps, axis=1)
    known = np.isfinite(middle)
    ends = np.where(np.isfinite(steps), steps, most)
    bars = np.array([middle - ends.min(axis=1), ends.max(axis=1) - middle])[:, known]
    points(ax, x[known], middle[known], np.maximum(bars, 0.0), i, label)
    if not known.all():
        ax.plot(x[~known], np.full((~known).sum(), 1.15 * most), "^", color=COLOURS[i], ms=6.0,
                label=f"{label}: never for most seeds")  # fmt: skip


def _checks(q: Array, depth: Array, middle: Array) -> tuple[Check, ...]:
    """The sigmas by iteration, and who needs fewer steps where theory says that it matters."""
    sigmas = [critical_sigmas(float(x)) for x in q]
    settled = [plain.settled_length(np.tanh, w, b, start=float(x))
               for (w, b), x in zip(sigmas, q, strict=True)]  # fmt: skip
    deep = int(np.argmax(depth - q))  # the deepest, at the smallest q* of those
    slower = middle[0, deep] < middle[1, deep]
    return (
        worst("q* of the pairs of sigmas after a thousand layers", settled, q, 1e-9),
        Check("Gaussian weights need fewer steps than orthogonal ones in the deepest networks",
              float(slower), 0.0, 0.0),
    )  # fmt: skip


def _entry(quick: bool) -> Reproduction:
    settings = QUICK if quick else FULL
    return shown(settings, measure(settings))


ENTRIES = (
    Entry("isometry-training-speed", "after Pennington, Schoenholz & Ganguli 2017",
          "Steps that deep tanh networks need, with Gaussian and orthogonal weights",
          "On the critical line, over q* and over depth. Inputs have mean square 1, from which "
          "lengths go to q*. Points are medians over seeds, bars their range, triangles where "
          "most seeds never got there.",
          _entry),
)  # fmt: skip
