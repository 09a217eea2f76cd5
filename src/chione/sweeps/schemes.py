"""Which initialisation trains: schemes side by side, each at its own best learning rate."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from chione.base import cost
from chione.base.engines import engine as choose_engine
from chione.sweeps.ledger import Ledger
from chione.sweeps.prices import UNATTENDED, price_of
from chione.sweeps.scheme_design import (
    ACTIVATIONS,
    DEPTHS,
    RATES,
    SCHEMES_COMPARED,
    TUNING_SEEDS,
    Design,
    design_of,
)
from chione.sweeps.scheme_search import measured
from chione.sweeps.scheme_table import SchemeTable
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.trainer import Trainer


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
