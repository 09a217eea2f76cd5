r"""Where training ends: for each sigma_w the largest depth that trains, found by bisection.

Theory says that signals and gradients survive a few depth scales :math:`\xi`, so the search begins
at 6 of them and needs a few depths where a grid needs them all. The outcome is the constant a in
:math:`L = a\, \xi`, on either side of the critical line, and how well that law describes it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from chione.base import SpecError, checks, cost
from chione.base.engines import engine as choose_engine
from chione.sweeps.bisection import ladder
from chione.sweeps.boundary_result import USUAL, BoundaryResult
from chione.sweeps.boundary_scales import DepthScales, depth_scales
from chione.sweeps.boundary_search import RATES, search, summarise
from chione.sweeps.bundle import SHARES
from chione.sweeps.ledger import Ledger
from chione.sweeps.plan import SweepPlan
from chione.sweeps.prices import UNATTENDED, price_of
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.trainer import Trainer
from chione.sweeps.training import Training

RATIO = 1.1
"""Of one depth to the one before, where nothing else is said."""
_ROUNDS = 3.0  # of trainings at twice the expected depth, that all rounds of a search cost like


def boundary(
    activation: str,
    sigma_w: Any,
    sigma_b: float = 0.05,
    *,
    depth: tuple[int, int] = (1, 100),
    ratio: float = RATIO,
    share: float = 0.5,
    width: int = 64,
    weights: str = "gaussian",
    optimizer: str = "sgd",
    rate: Any = None,
    seeds: Any = 3,
    dropout: float = 0.0,
    steps: int = 200,
    batch: int = 32,
    dtype: str = "float32",
    data: str | os.PathLike[str] = "digits",
    out: str | os.PathLike[str] | None = None,
    engine: Any = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    effort: float = 1.0,
) -> BoundaryResult:
    r"""Find the largest depth that trains for each sigma_w, and the constant in depth = a xi.

    A network trains if, with one of the rates, the mean training accuracy of ten batches reaches
    `share` within the steps. A depth trains if more than half of the seeds do. Depths stand on a
    ladder; for each sigma_w the search begins at six depth scales, doubles or halves until one rung
    trains and a deeper one does not, and bisects what lies between. From all that was seen the
    depth at which half of the networks train follows with an error, see
    :mod:`chione.sweeps.boundary_depth`.

    Parameters
    ----------
    activation : str
        A name or formula that :func:`chione.activation` accepts.
    sigma_w : float or array_like
        Deviations of the weights, times :math:`\sqrt{n_{in}}`.
    sigma_b : float
        Deviation of the biases.
    depth : tuple of int
        Smallest and largest number of hidden layers that may be tried.
    ratio : float
        Of neighbouring depths: the resolution.
    share : {0.25, 0.5, 0.75, 0.9, 0.95, 0.99}
        Training accuracy that has to be reached.
    width, steps, batch : int
        Units of a layer, steps of a training, inputs of a step.
    weights : {"gaussian", "orthogonal", "uniform"}
        Law of the weights.
    optimizer : {"sgd", "momentum", "adam"}
        Optimiser.
    rate : float or array_like, optional
        Learning rates to try; four by default, half a decade apart.
    seeds : int or sequence of int
        How many networks for each sigma_w and depth, or which seeds.
    dropout : float
        Probability with which a unit is dropped.
    dtype, data, out, engine, workers
        As in :func:`chione.sweep`; with `out`, a ledger, an interrupted search goes on.
    progress : callable, optional
        Called with (trainings ended, about how many in all).
    effort : float
        How many times the limits it may take: 4 GB and 60 s of CPU time, or one hour with `out`.

    Returns
    -------
    BoundaryResult
        The same numbers for every engine, and after any interruption.

    Raises
    ------
    SpecError, ValueError, TypeError
        If an argument cannot be understood.
    CostError
        If it would take more than `effort` allows.
    ChioneError
        If a training fails for another reason than that it diverges.

    Examples
    --------
    >>> import chione as ch
    >>> found = ch.boundary("tanh", [0.5, 2.0], depth=(1, 40), steps=60, seeds=1, width=32,
    ...                     data="synthetic", rate=[0.03, 0.1])
    >>> bool(found.depth[0] < found.depth[1])
    True
    """
    rungs = ladder(*_pair(depth), checks.finite("ratio", ratio))
    plan = SweepPlan(
        activation, sigma_w=sigma_w, sigma_b=sigma_b, depth=rungs, width=width, weights=weights,
        optimizer=optimizer, rate=RATES.get(optimizer, (0.1,)) if rate is None else rate,
        seeds=seeds, dropout=dropout, steps=steps, batch=batch, dtype=dtype, data=os.fspath(data),
    )  # fmt: skip
    _check(plan, share)
    task = load_task(plan.data)
    scales = [depth_scales(activation, w, plan.sigma_b[0], dropout) for w in plan.sigma_w]
    _check_cost(plan, scales, task, out is not None, effort)
    each = len(plan.rate) * len(plan.seeds) * len(plan.sigma_w)
    expected = each * (3 + math.ceil(math.log2(len(rungs))))
    with ExitStack() as stack:
        ledger = None if out is None else stack.enter_context(Ledger(os.fspath(out)))
        runner = stack.enter_context(choose_engine(engine, workers=workers))
        told = None if progress is None else lambda n: progress(n, max(n, expected))
        trainer = Trainer(task, runner, ledger, told)
        hunts, trials = search(plan, scales, trainer, share=share, data=task.digest)
    return summarise(plan, scales, hunts, trials, share=share)


def _pair(depth: Any) -> tuple[int, int]:
    ends = [] if isinstance(depth, str) or not np.iterable(depth) else list(depth)
    if len(ends) != 2:
        raise SpecError(
            f"depth must be two whole numbers, as in (1, 200), but it is {depth!r:.60}."
        )
    return checks.integer("depth", ends[0]), checks.integer("depth", ends[1])


def _check(plan: SweepPlan, share: float) -> None:
    """Refuse a criterion that is not recorded, and more than one of what a boundary has one of."""
    if share not in SHARES:
        known = ", ".join(str(s) for s in SHARES)
        raise SpecError(f"share must be one of {known}, but it is {share!r}.")
    for name in ("activation", "sigma_b", "width", "weights", "optimizer", "dropout"):
        if len(getattr(plan, name)) > 1:
            raise SpecError(f"{name} must be one value, but it is {getattr(plan, name)!r:.60}.")


def _check_cost(
    plan: SweepPlan, scales: Sequence[DepthScales], task: Task, kept: bool, effort: float
) -> None:
    """What the search should take: per sigma about three times a depth of twice six scales."""
    trainings: list[Training] = []
    for w, scale in zip(plan.sigma_w, scales, strict=True):
        depth = min(2.0 * USUAL * scale.shorter, float(plan.depth[-1]))
        one = replace(plan, sigma_w=(w,), depth=(max(round(depth), plan.depth[0]),))
        trainings += one.trainings(task.digest)
    price = price_of(trainings, task)
    cost.check(
        f"the search for {len(plan.sigma_w)} boundaries",
        seconds=_ROUNDS * price.seconds,
        gigabytes=price.gigabytes,
        limit=cost.SECONDS if not kept else UNATTENDED,
        fits=""
        if kept
        else "an hour is allowed with a ledger (out=), which keeps what is done; "
        "a smaller depth, width or number of steps fits as well",
        effort=effort,
    )
