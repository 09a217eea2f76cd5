"""Which initialisation trains: schemes side by side, each at its own best learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from chione.base import SpecError, checks
from chione.sweeps.bundle import train
from chione.sweeps.scheme_table import UNTRAINED, SchemeTable
from chione.sweeps.tasks import load_task
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
    "sgd": (1e-3, 4e-3, 1.6e-2, 6.4e-2, 2.56e-1),
    "momentum": (2.5e-4, 1e-3, 4e-3, 1.6e-2, 6.4e-2),
    "adam": (3e-5, 1e-4, 3e-4, 1e-3, 3e-3),
}
"""Learning rates that every scheme may choose from, by optimiser.

Wide enough for ReLU at 100 layers and for PyTorch's default at 10; fixed after a first look at
tanh and relu at 50 layers, where the smallest of four rates was the best of some schemes.
"""

TUNING_SEEDS = (100,)
HOPELESS = 0.98
"""Share of a guess's loss down to which a network has learnt nothing."""
SHARE = 0.9  # of the training set: whose steps are counted

Cell = tuple[str, int, str, str]
"""Activation, depth, optimiser and scheme."""
Run = Callable[[Sequence[Training]], Sequence[Outcome]]


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
    width: int = 100,
    batch: int = 64,
    steps: int = 150,
    data: str = "digits",
    run: Run | None = None,
) -> SchemeTable:
    r"""Train networks of each activation, depth and optimiser from several initialisations.

    Each scheme trains at the learning rate :math:`\eta` of one grid at which its training loss
    over the last tenth of the steps is smallest, on seeds that are used for nothing else:

    .. math:: \eta^* = \operatorname{argmin}_\eta
       \operatorname{mean}_{s \in \text{tuning}} \ell_{\eta, s}

    Then `n_seeds` other networks at that rate are what counts. Where no rate brings that loss 2 %
    below a guess, :math:`\log` of the number of classes, one other network is trained; if it does
    not learn either (test accuracy up to 0.2), the cell counts as untrained and the seeds that
    are left are saved.

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
    run : callable, optional
        Trains a sequence of :class:`Training` and returns their outcomes in its order, bundle by
        bundle in this process by default.

    Returns
    -------
    SchemeTable

    Raises
    ------
    SpecError
        If a scheme is unknown, an optimiser has no rates, or seeds of both kinds overlap.

    Notes
    -----
    A step of a network costs about :math:`6 n^2 L B` floating-point operations; the whole table
    of 12 activations with the defaults is up to 7,700 networks, 210 TFLOP, an hour or two of one core.
    """
    design = _design(
        activations, depths, schemes, optimizers, rates, n_seeds, tuning_seeds,
        width=width, batch=batch, steps=steps, data=data,
    )  # fmt: skip
    train = run or in_this_process(data)
    tuned = _tuned(design, train)
    outcomes = _counted(design, train, tuned, HOPELESS * math.log(load_task(data).classes))
    return _table(design, tuned, outcomes)


def in_this_process(data: str) -> Run:
    """Trains bundle by bundle, without an engine or a ledger."""

    def run(trainings: Sequence[Training]) -> list[Outcome]:
        task = load_task(data)
        bundles: dict[tuple[Any, ...], list[int]] = {}
        for k, training in enumerate(trainings):
            bundles.setdefault(training.bundle, []).append(k)
        out: dict[int, Outcome] = {}
        for places in bundles.values():
            found = train([trainings[k] for k in places], task)
            out |= dict(zip(places, found, strict=True))
        return [out[k] for k in range(len(trainings))]

    return run


def _tuned(design: Design, run: Run) -> dict[Cell, list[float]]:
    """Loss of each cell at each of its rates; infinite where a network diverged."""
    plan = [
        (cell, rate, design.training(cell, rate, seed))
        for cell in design.cells()
        for rate in design.rates[cell[2]]
        for seed in design.tuning_seeds
    ]
    losses: dict[tuple[Cell, float], list[float]] = {}
    for (cell, rate, _), outcome in zip(plan, run([t for *_, t in plan]), strict=True):
        done = outcome.status == "done" and math.isfinite(outcome.loss)
        losses.setdefault((cell, rate), []).append(outcome.loss if done else math.inf)
    return {
        cell: [float(np.mean(losses[cell, rate])) for rate in design.rates[cell[2]]]
        for cell in design.cells()
    }


def _best(design: Design, cell: Cell, losses: Sequence[float]) -> float:
    """The rate of the smallest loss, the first of equal ones; NaN if none is finite."""
    place = int(np.argmin(losses))
    return design.rates[cell[2]][place] if math.isfinite(losses[place]) else math.nan


def _counted(
    design: Design, run: Run, tuned: Mapping[Cell, list[float]], hopeless: float
) -> dict[tuple[Cell, int], Outcome]:
    """Outcomes by cell and seed; hopeless cells have one, or none where every rate diverged."""
    rates = {cell: _best(design, cell, losses) for cell, losses in tuned.items()}
    first, *rest = design.seeds
    cells = [cell for cell, rate in rates.items() if math.isfinite(rate)]
    plan = [(cell, first) for cell in cells]
    found = dict(zip(plan, run([design.training(c, rates[c], s) for c, s in plan]), strict=True))
    going = [
        cell
        for cell in cells
        if min(tuned[cell]) < hopeless or found[cell, first].test_accuracy > UNTRAINED
    ]
    plan = [(cell, seed) for cell in going for seed in rest]
    others = run([design.training(c, rates[c], s) for c, s in plan])
    return found | dict(zip(plan, others, strict=True))


def _table(
    design: Design,
    tuned: Mapping[Cell, list[float]],
    outcomes: Mapping[tuple[Cell, int], Outcome],
) -> SchemeTable:
    shape = tuple(
        len(x) for x in (design.activations, design.depths, design.optimizers, design.schemes)
    )
    cells = [[outcomes.get((cell, seed)) for seed in design.seeds] for cell in design.cells()]
    accuracy = [[math.nan if o is None else o.test_accuracy for o in row] for row in cells]
    steps = [[math.nan if o is None else _steps(o) for o in row] for row in cells]
    best = [_best(design, cell, tuned[cell]) for cell in design.cells()]
    return SchemeTable(
        activation=design.activations,
        depth=np.array(design.depths),
        optimizer=design.optimizers,
        scheme=design.schemes,
        seed=np.array(design.seeds),
        rates=np.array([design.rates[name] for name in design.optimizers]),
        rate=np.array(best).reshape(shape),
        tuning_loss=np.array([tuned[cell] for cell in design.cells()]).reshape(*shape, -1),
        test_accuracy=np.array(accuracy).reshape(*shape, -1),
        steps_to=np.array(steps).reshape(*shape, -1),
        width=design.width,
        batch=design.batch,
        steps=design.steps,
        data=design.data,
    )


def _steps(outcome: Outcome) -> float:
    """Steps to a running training accuracy of 90 %; infinite where it was not reached."""
    return float(dict(outcome.steps_to).get(SHARE, math.inf))


def _design(
    activations: Sequence[str],
    depths: Sequence[int],
    schemes: Sequence[str],
    optimizers: Sequence[str],
    rates: Mapping[str, Sequence[float]],
    n_seeds: int,
    tuning_seeds: Sequence[int],
    **shared: Any,
) -> Design:
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
