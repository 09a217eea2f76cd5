"""The search behind :func:`chione.boundary`: which depths are tried, and what their networks say.

What "trains" means is fixed before: the network of a seed trains if, with one of the learning
rates, the mean training accuracy of ten batches reaches `share` within the steps; a depth does if
more than half of its networks do.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chione.base import ChioneError
from chione.sweeps.bisection import Bisection
from chione.sweeps.boundary_constant import DepthConstant, depth_constant
from chione.sweeps.boundary_depth import BoundaryDepth, boundary_depth
from chione.sweeps.boundary_result import USUAL, BoundaryResult
from chione.sweeps.boundary_scales import SIDES, DepthScales
from chione.sweeps.plan import SweepPlan
from chione.sweeps.training import Outcome, Training

Train = Callable[[Sequence[Training]], Sequence[Outcome]]
"""Trains any trainings, in the order given."""

RATES = {
    "sgd": (0.003, 0.01, 0.03, 0.1),
    "momentum": (0.0003, 0.001, 0.003, 0.01),
    "adam": (0.0001, 0.0003, 0.001, 0.003),
}
"""Learning rates that are tried where none are given."""


@dataclass(frozen=True)
class Trial:
    """What the networks of one sigma and depth did."""

    sigma_w: float
    depth: int
    trained: int
    seeds: int
    accuracy: float


def search(
    plan: SweepPlan,
    scales: Sequence[DepthScales],
    train: Train,
    *,
    share: float,
    data: str,
) -> tuple[list[Bisection], list[Trial]]:
    """Bisect each sigma of a plan whose depths are the ladder; all sigmas go on together."""
    depths = plan.depth
    stride = max(1, round(math.log(2.0) / math.log(depths[-1] / depths[0]) * (len(depths) - 1)))
    hunts = [Bisection(len(depths), _start(s, depths), stride) for s in scales]
    trials: list[Trial] = []
    while True:
        asked = [(k, h.next) for k, h in enumerate(hunts)]
        places = [(k, rung) for k, rung in asked if rung is not None]
        if not places:
            return hunts, trials
        cells = [
            replace(plan, sigma_w=(plan.sigma_w[k],), depth=(depths[rung],)).trainings(data)
            for k, rung in places
        ]
        ended = [replace(t, until=share) for cell in cells for t in cell]
        outcomes = iter(train(ended))
        for (k, rung), cell in zip(places, cells, strict=True):
            trial = _judge(cell, [next(outcomes) for _ in cell], share)
            hunts[k].tell(rung, 2 * trial.trained > trial.seeds)
            trials.append(trial)


def _start(scales: DepthScales, depths: Sequence[int]) -> int:
    """The rung at six depth scales; the middle where theory has none."""
    guess = USUAL * scales.shorter
    if math.isinf(guess):
        return len(depths) - 1 if scales.side == "critical" else len(depths) // 2
    return int(np.argmin(np.abs(np.log(depths) - math.log(max(guess, 1.0)))))


def _judge(cell: Sequence[Training], outcomes: Sequence[Outcome], share: float) -> Trial:
    """Best of the rates for each seed, then how many seeds got there."""
    got: dict[int, bool] = defaultdict(bool)
    best: dict[int, float] = defaultdict(float)
    for t, o in zip(cell, outcomes, strict=True):
        if o.status in ("failed", "lost"):
            raise ChioneError(
                f"A training of depth {t.depth} at sigma_w = {t.sigma_w:g} was {o.status}: "
                f"{o.message or 'no reason is known'}; run again to train it anew."
            )
        got[t.seed] |= any(at >= share for at, _ in o.steps_to)
        best[t.seed] = max(best[t.seed], o.accuracy if math.isfinite(o.accuracy) else 0.0)
    accuracy = sum(best.values()) / len(best)
    return Trial(cell[0].sigma_w, cell[0].depth, sum(got.values()), len(got), accuracy)


# ---- from trials to a result -----------------------------------------------------------------


def summarise(
    plan: SweepPlan,
    scales: Sequence[DepthScales],
    hunts: Sequence[Bisection],
    trials: Sequence[Trial],
    *,
    share: float,
) -> BoundaryResult:
    """Depths with errors, constants by side, and all that was tried."""
    low, high = plan.depth[0], plan.depth[-1]
    found = [_depth(w, h, trials, low, high) for w, h in zip(plan.sigma_w, hunts, strict=True)]
    columns = {
        name: np.array([getattr(d, name) for d in found])
        for name in ("depth", "lower", "upper", "log_error")
    }
    tried = sorted(trials, key=lambda t: (t.sigma_w, t.depth))
    each = len(plan.rate) * len(plan.seeds)
    sides = tuple(s.side for s in scales)
    xi = {name: np.array([getattr(s, name) for s in scales]) for name in ("xi_c", "xi_chi")}
    censored = np.array([h.censored for h in hunts])
    return BoundaryResult(
        activation=plan.activation[0],
        weights=plan.weights[0],
        optimizer=plan.optimizer[0],
        data=plan.data,
        sigma_b=plan.sigma_b[0],
        dropout=plan.dropout[0],
        share=share,
        width=plan.width[0],
        steps=plan.steps,
        batch=plan.batch,
        seeds=len(plan.seeds),
        rates=np.array(plan.rate),
        range=np.array([low, high], dtype=np.float64),
        sigma_w=np.array(plan.sigma_w),
        **columns,
        censored=censored,
        side=sides,
        **xi,
        tried_sigma_w=np.array([t.sigma_w for t in tried]),
        tried_depth=np.array([float(t.depth) for t in tried]),
        tried_trained=np.array([float(t.trained) for t in tried]),
        tried_accuracy=np.array([t.accuracy for t in tried]),
        trainings=each * len(tried),
        grid=plan.count,
        constants=constants(
            sides, xi, columns["depth"], columns["log_error"], censored, plan.width[0]
        ),
    )


def _depth(
    w: float, hunt: Bisection, trials: Sequence[Trial], low: int, high: int
) -> BoundaryDepth:
    if hunt.censored:
        end = float(high if hunt.censored > 0 else low)
        return BoundaryDepth(end, end, end, 0.0)
    seen = [(t.depth, t.trained, t.seeds) for t in trials if t.sigma_w == w]
    return boundary_depth(seen, low, high)


def constants(
    sides: Sequence[str], xi: dict[str, Any], depth: Any, log_error: Any, censored: Any, width: int
) -> tuple[DepthConstant, ...]:
    """Fits of depth = a xi, for each side and scale that has at least two boundaries.

    Mean-field theory holds for networks much wider than deep. Where 6 xi is beyond the width for
    some boundaries, the fit is made again without them.
    """
    out = []
    for side in SIDES:
        for name, scale in xi.items():
            with np.errstate(invalid="ignore"):
                known = np.isfinite(scale) & (scale > 0.0) & (np.array(sides) == side)
                near = known & (USUAL * scale <= width)
            for restricted, some in ((False, known), (True, near)):
                count = int(np.sum(censored[some] == 0))
                if count < 2 or (restricted and np.array_equal(near, known)):
                    continue
                log_xi = np.log(scale[some])
                log_ratio = np.log(depth[some]) - log_xi
                fit = depth_constant(log_ratio, log_error[some], log_xi, censored[some])
                which = (side, name, restricted, count, int(some.sum()) - count)
                out.append(DepthConstant(*which, *fit, _sentence(*which, *fit)))
    return tuple(out)


def _sentence(
    side: str, scale: str, restricted: bool, count: int, censored: int, a: float, error: float,
    scatter: float, exponent: float, exponent_error: float,
) -> str:  # fmt: skip
    where = f" where 6 {scale} is at most the width" if restricted else ""
    more = f" and {censored} beyond the depths tried" if censored else ""
    law = f"; depth goes as {scale}^({exponent:.2f} +- {exponent_error:.2f})"
    return (
        f"{side}{where}: depth = ({a:.2f} +- {error:.2f}) {scale}, with a scatter of "
        f"{scatter:.0%} over {count} boundaries{more}{law if math.isfinite(exponent) else ''}."
    )
