"""The best rate of each scheme, from small depths to great ones, and the networks that count."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import product

import numpy as np

from chione.base import SpecError, Table
from chione.sweeps.initial import advised
from chione.sweeps.ledger import FINISHED
from chione.sweeps.scheme_design import SCHEMES_COMPARED, Cell, Design
from chione.sweeps.scheme_table import ADVICE, UNTRAINED, SchemeTable
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Outcome, Training

HOPELESS = 0.98
"""Share of a guess's loss down to which a network has learnt nothing."""
SHARE = 0.9  # of the training set: whose steps are counted

Run = Callable[[Sequence[Training]], Sequence[Outcome]]
"""Trains networks; their outcomes come in the order of the trainings."""


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
        advice=_advice(design),
        failures=_failures(outcomes),
    )


def _rate(rates: Sequence[float], losses: Losses | None) -> float:
    """The chosen rate; NaN where none was looked for, or all diverged."""
    if losses is None or not math.isfinite(min(losses.values())):
        return math.nan
    return rates[_best(losses)]


def _advice(design: Design) -> Table:
    """What the schemes of ours trained; no row where nothing is advised."""
    rows = []
    for name, depth, scheme in product(design.activations, design.depths, design.schemes):
        kind, law = SCHEMES_COMPARED[scheme]
        if kind != "chione":
            continue
        with suppress(SpecError):
            what = advised(name, depth, design.width, law)
            rows.append((name, float(depth), scheme, *what))  # a table holds floats
    return Table(ADVICE, tuple(rows))


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
