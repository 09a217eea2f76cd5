"""Which initialisation trains: schemes side by side, each at its own best learning rate."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from chione.base import SpecError, checks, cost
from chione.base.engines import engine as choose_engine
from chione.sweeps.ledger import FINISHED, Ledger
from chione.sweeps.prices import UNATTENDED, price_of
from chione.sweeps.scheme_table import UNTRAINED, SchemeTable
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.trainer import Trainer
from chione.sweeps.training import Outcome, Training

SCHEMES_COMPARED: Mapping[str, tuple[str, str]] = {
    "pytorch": ("pytorch", "uniform"),
    "calculate_gain": ("calculate_gain", "gaussian"),
    "he": ("he", "gaussian"),
    "xavier": ("xavier", "gaussian"),
    "lsuv": ("lsuv", "orthogonal"),
    "orthogonal": ("orthogonal", "orthogonal"),
    "chione": ("chione", "gaussian"),
    "chione orthogonal": ("chione", "orthogonal"),
}
"""Columns of the table: scheme and law of the weights by name."""

ACTIVATIONS = (
    "relu", "leaky_relu", "gelu", "silu", "mish", "elu", "selu", "tanh", "erf", "softsign",
    "sigmoid", "softplus",
)  # fmt: skip
"""Popular ones and hard ones, chosen before anything was measured."""

DEPTHS = (10, 30, 50, 100)

RATES: Mapping[str, tuple[float, ...]] = {
    "sgd": (1e-3, 4e-3, 1.6e-2, 6.4e-2, 2.56e-1, 1.0),
    "momentum": (2.5e-4, 1e-3, 4e-3, 1.6e-2, 6.4e-2, 2.56e-1),
    "adam": (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
}
"""Learning rates that every scheme may choose from, by optimiser.

Wide enough for ReLU at 100 layers and for PyTorch's default at 10; the ends were fixed after a
first look at both.
"""

TUNING_SEEDS = (100,)
HOPELESS = 0.98
"""Share of a guess's loss down to which a network has learnt nothing."""
SHARE = 0.9  # of the training set: whose steps are counted

Cell = tuple[str, int, str, str]
"""Activation, depth, optimiser and scheme."""
Run = Callable[[Sequence[Training]], Sequence[Outcome]]
"""Trains networks; their outcomes come in the order of the trainings."""


@dataclass(frozen=True)
class Design:
    """Everything that is combined; sizes that all networks share."""

    activations: tuple[str, ...]
    depths: tuple[int, ...]
    optimizers: tuple[str, ...]
    schemes: tuple[str, ...]
    rates: Mapping[str, tuple[float, ...]]
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    width: int
    batch: int
    steps: int
    data: str

    def cells(self) -> Iterable[Cell]:
        """Activation, depth, optimiser and scheme of each."""
        return product(self.activations, self.depths, self.optimizers, self.schemes)

    def training(self, cell: Cell, rate: float, seed: int) -> Training:
        """One network of a cell."""
        activation, depth, optimizer, name = cell
        scheme, weights = SCHEMES_COMPARED[name]
        return Training(
            activation, 1.0, 0.0, depth, self.width, scheme=scheme, weights=weights,
            optimizer=optimizer, rate=rate, steps=self.steps, batch=self.batch, data=self.data,
            seed=seed,
        )  # fmt: skip


def which_initialisation(
    activations: Sequence[str] = ACTIVATIONS,
    *,
    depths: Sequence[int] = DEPTHS,
    schemes: Sequence[str] = tuple(SCHEMES_COMPARED),
    optimizers: Sequence[str] = ("momentum", "adam"),
    rates: Mapping[str, Sequence[float]] = RATES,
    n_seeds: int = 5,
    tuning_seeds: Sequence[int] = TUNING_SEEDS,
    width: int = 64,
    batch: int = 64,
    steps: int = 150,
    data: str = "digits",
    out: str | os.PathLike[str] | None = None,
    engine: Any = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    effort: float = 1.0,
) -> SchemeTable:
    r"""Train networks of each activation, depth and optimiser from several initialisations.

    Each scheme trains at the learning rate :math:`\eta` of one grid at which its training loss
    over the last tenth of the steps is smallest, on seeds that are used for nothing else:

    .. math:: \eta^* = \operatorname{argmin}_\eta
       \operatorname{mean}_{s \in \text{tuning}} \ell_{\eta, s}

    Then `n_seeds` other networks at that rate are what counts. What is left out:

    - At the smallest depth all rates are tried. At greater ones the search starts from the best
      rate of the depth before and its two neighbours, and goes on while the best is the last.
    - Where no rate, all tried, brings the loss 2 % below a guess (:math:`\log` of the number of
      classes), one network of another seed is trained. If it learns nothing either (test
      accuracy up to 0.2), the cell is untrained, and so is its scheme at all greater depths.

    Parameters
    ----------
    activations : sequence of str
        Names or expressions of activations.
    depths : sequence of int
        Hidden layers.
    schemes : sequence of str
        Some of :data:`SCHEMES_COMPARED`.
    optimizers : sequence of str
        "sgd", "momentum" or "adam".
    rates : mapping of str to sequence of float
        Learning rates by optimiser.
    n_seeds : int
        Networks a cell; their seeds are 0, 1, ...
    tuning_seeds : sequence of int
        Seeds of the networks that choose the rate.
    width, batch, steps : int
        Units of a layer, inputs of a step, and steps.
    data : str
        The task, see :func:`chione.sweeps.tasks.load_task`.
    out : path, optional
        A ledger, which keeps every network as it ends; a call that was interrupted goes on from it.
    engine, workers : optional
        Where networks are trained, see :func:`chione.base.engines.engine`.
    progress : callable, optional
        Called with (networks trained, largest number that can come).
    effort : float
        How many times the limits it may take: 60 s of CPU time, or one hour with `out`.

    Returns
    -------
    SchemeTable

    Raises
    ------
    SpecError
        If a scheme is unknown, an optimiser has no rates, or seeds of both kinds overlap.
    CostError
        If it could take more than `effort` allows.

    Notes
    -----
    A step of a network costs about :math:`6 n^2 L B` floating-point operations; the whole table
    of 12 activations with the defaults is up to 7,700 networks and 210 TFLOP, about half of which
    is left out where schemes do not train; an hour of one core or more.
    """
    design = design_of(
        activations, depths, schemes, optimizers, rates, n_seeds, tuning_seeds,
        width=width, batch=batch, steps=steps, data=data,
    )  # fmt: skip
    task = load_task(data)
    most = _check_cost(design, task, out is not None, effort)
    told = None if progress is None else lambda n: progress(n, most)
    with ExitStack() as stack:
        ledger = None if out is None else stack.enter_context(Ledger(Path(out)))
        runner = stack.enter_context(choose_engine(engine, workers=workers))
        return measured(design, Trainer(task, runner, ledger, told))


def _check_cost(design: Design, task: Task, kept: bool, effort: float) -> int:
    """The number of networks, all rates tried and no cell hopeless, within the limits."""
    everything = [
        design.training(cell, rate, seed)
        for cell in design.cells()
        for rates in [design.rates[cell[2]]]
        for seeds, those in ((design.tuning_seeds, rates), (design.seeds, rates[:1]))
        for rate in those
        for seed in seeds
    ]
    price = price_of(everything, task)
    cost.check(
        f"training up to {price.trainings} networks",
        seconds=price.seconds,
        gigabytes=price.gigabytes,
        limit=UNATTENDED if kept else cost.SECONDS,
        fits="fewer activations, depths, schemes or steps fit; an hour is allowed with a ledger "
        "(out=), which keeps what is done",
        effort=effort,
    )
    return price.trainings


def measured(design: Design, run: Run) -> SchemeTable:
    """Tune, then count, from small depths to great ones; `run` trains networks."""
    hopeless = HOPELESS * math.log(load_task(design.data).classes)
    tuned: dict[Cell, Losses] = {}
    outcomes: dict[tuple[Cell, int], Outcome] = {}
    start: dict[
        Cell, int | None
    ] = {}  # place of the best rate at the depth before; None: untrained
    for depth in sorted(set(design.depths)):
        at = [cell for cell in design.cells() if cell[1] == depth]
        left = {c: start.get(_without_depth(c), -1) for c in at}
        found = _tuned(design, run, {c: k for c, k in left.items() if k is not None}, hopeless)
        counted, trained = _counted(design, run, found, hopeless)
        tuned, outcomes = tuned | found, outcomes | counted
        start |= {_without_depth(c): _best(found[c]) if c in trained else None for c in found}
    return _table(design, tuned, outcomes)


Losses = Mapping[int, float]
"""Tuning losses by the place of the rate on the grid."""


def _without_depth(cell: Cell) -> Cell:
    return (cell[0], 0, *cell[2:])


def _tuned(
    design: Design, run: Run, start: Mapping[Cell, int], hopeless: float
) -> dict[Cell, Losses]:
    """Losses of each cell at the rates that were tried, from the place to start at; -1: all."""
    found: dict[Cell, dict[int, float]] = {cell: {} for cell in start}
    wanted = {cell: _window(len(design.rates[cell[2]]), k) for cell, k in start.items()}
    while any(wanted.values()):
        plan = [
            (cell, k, design.training(cell, design.rates[cell[2]][k], seed))
            for cell, places in wanted.items()
            for k in sorted(places)
            for seed in design.tuning_seeds
        ]
        losses: dict[tuple[Cell, int], list[float]] = {}
        for (cell, k, _), outcome in zip(plan, run([t for *_, t in plan]), strict=True):
            done = outcome.status == "done" and math.isfinite(outcome.loss)
            losses.setdefault((cell, k), []).append(outcome.loss if done else math.inf)
        for (cell, k), values in losses.items():
            found[cell][k] = float(np.mean(values))
        wanted = {c: _next(x, len(design.rates[c[2]]), hopeless) for c, x in found.items()}
    return dict(found)


def _window(rates: int, start: int) -> set[int]:
    """Places to try first."""
    everything = set(range(rates))
    return everything if start < 0 else everything & {start - 1, start, start + 1}


def _next(tried: Losses, rates: int, hopeless: float) -> set[int]:
    """Places to try further: all where nothing learns yet, else beyond a best one at the end."""
    everything = set(range(rates))
    if min(tried.values()) >= hopeless:
        return everything - set(tried)
    best = _best(tried)
    return (everything & {best - 1, best + 1}) - set(tried)


def _best(losses: Losses) -> int:
    """Place of the smallest loss, the first of equal ones."""
    return min(sorted(losses), key=lambda k: losses[k])


def _counted(
    design: Design, run: Run, tuned: Mapping[Cell, Losses], hopeless: float
) -> tuple[dict[tuple[Cell, int], Outcome], set[Cell]]:
    """Outcomes by cell and seed, and the cells that train; others have one outcome at most."""
    rates = {cell: design.rates[cell[2]][_best(losses)] for cell, losses in tuned.items()}
    first, *rest = design.seeds
    cells = [cell for cell in rates if math.isfinite(min(tuned[cell].values()))]
    plan = [(cell, first) for cell in cells]
    found = dict(zip(plan, run([design.training(c, rates[c], s) for c, s in plan]), strict=True))
    going = [
        cell
        for cell in cells
        if min(tuned[cell].values()) < hopeless or found[cell, first].test_accuracy > UNTRAINED
    ]
    plan = [(cell, seed) for cell in going for seed in rest]
    others = run([design.training(c, rates[c], s) for c, s in plan])
    return found | dict(zip(plan, others, strict=True)), set(going)


def _table(
    design: Design,
    tuned: Mapping[Cell, Losses],
    outcomes: Mapping[tuple[Cell, int], Outcome],
) -> SchemeTable:
    shape = tuple(
        len(x) for x in (design.activations, design.depths, design.optimizers, design.schemes)
    )
    cells = [[outcomes.get((cell, seed)) for seed in design.seeds] for cell in design.cells()]
    accuracy = [[math.nan if o is None else _accuracy(o) for o in row] for row in cells]
    steps = [[math.nan if o is None else _steps(o) for o in row] for row in cells]
    losses = [
        [tuned.get(cell, {}).get(k, math.nan) for k in range(len(design.rates[cell[2]]))]
        for cell in design.cells()
    ]
    best = [_rate(design.rates[cell[2]], tuned.get(cell)) for cell in design.cells()]
    return SchemeTable(
        activation=design.activations,
        depth=np.array(design.depths),
        optimizer=design.optimizers,
        scheme=design.schemes,
        seed=np.array(design.seeds),
        rates=np.array([design.rates[name] for name in design.optimizers]),
        rate=np.array(best).reshape(shape),
        tuning_loss=np.array(losses).reshape(*shape, -1),
        test_accuracy=np.array(accuracy).reshape(*shape, -1),
        steps_to=np.array(steps).reshape(*shape, -1),
        width=design.width,
        batch=design.batch,
        steps=design.steps,
        data=design.data,
        failures=_failures(outcomes),
    )


def _rate(rates: Sequence[float], losses: Losses | None) -> float:
    """The chosen rate; NaN where none was looked for, or all diverged."""
    if losses is None or not math.isfinite(min(losses.values())):
        return math.nan
    return rates[_best(losses)]


def _accuracy(outcome: Outcome) -> float:
    """Test accuracy; 0 where the network did not come to its end."""
    return outcome.test_accuracy if outcome.status == "done" else 0.0


def _failures(outcomes: Mapping[tuple[Cell, int], Outcome]) -> tuple[str, ...]:
    return tuple(
        f"{name}, {activation}, {depth} layers, {optimizer}, seed {seed}: {o.message}"
        for ((activation, depth, optimizer, name), seed), o in outcomes.items()
        if o.status not in FINISHED
    )


def _steps(outcome: Outcome) -> float:
    """Steps to a running training accuracy of 90 %; infinite where it was not reached."""
    return float(dict(outcome.steps_to).get(SHARE, math.inf))


def design_of(
    activations: Sequence[str],
    depths: Sequence[int],
    schemes: Sequence[str],
    optimizers: Sequence[str],
    rates: Mapping[str, Sequence[float]],
    n_seeds: int,
    tuning_seeds: Sequence[int],
    **shared: Any,
) -> Design:
    """The design, checked."""
    for name in schemes:
        if name not in SCHEMES_COMPARED:
            known = ", ".join(SCHEMES_COMPARED)
            raise SpecError(f"schemes must be some of {known}, but one is {name!r}.")
    for name in optimizers:
        if name not in rates or not rates[name]:
            raise SpecError(f"rates must hold learning rates for {name!r}; it has {list(rates)}.")
    if len({len(rates[name]) for name in optimizers}) > 1:
        raise SpecError("rates must have equally many learning rates for every optimizer.")
    seeds = tuple(range(checks.integer("n_seeds", n_seeds)))
    if not tuning_seeds or set(seeds) & set(tuning_seeds):
        raise SpecError(
            f"tuning_seeds must be seeds beside 0 to {n_seeds - 1}, but they are "
            f"{tuple(tuning_seeds)}: the networks that choose the rate may not be counted."
        )
    grid = {name: tuple(float(r) for r in rates[name]) for name in optimizers}
    depths = tuple(checks.integer("depth", d) for d in depths)
    design = Design(
        tuple(activations), depths, tuple(optimizers), tuple(schemes), grid, seeds,
        tuple(tuning_seeds), **shared,
    )  # fmt: skip
    for size in ("width", "batch", "steps"):
        checks.integer(size, getattr(design, size))
    return design
