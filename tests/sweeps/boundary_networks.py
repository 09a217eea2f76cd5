"""Networks whose boundary is known: they train to a depth, sharply or with a soft edge."""

import math

import numpy as np

from chione.sweeps.bisection import ladder
from chione.sweeps.boundary_search import search, summarise
from chione.sweeps.plan import SweepPlan
from chione.sweeps.training import Outcome

DEPTHS = ladder(1, 300, 1.12)


def networks_that_train_to(boundary, *, fall=0.0, seed=0):
    """A train function: P(trains) = 1 / (1 + (L / boundary)^(1 / fall)), or a sharp edge."""
    rng = np.random.default_rng(seed)
    asked = []

    def train(trainings):
        out = []
        for t in trainings:
            asked.append(t)
            z = math.log(t.depth / boundary(t))
            chance = float(z <= 0.0) if fall == 0.0 else 1.0 / (1.0 + math.exp(z / fall))
            good = rng.random() < chance
            steps_to = ((0.25, 3), (0.5, 9)) if good else ((0.25, 30),)
            out.append(Outcome("done", 1.0, 0.6 if good else 0.3, 0.5, (1.0,), steps_to))
        return out

    train.asked = asked
    return train


def plan_of(sigmas, **changes):
    given = {"sigma_w": sigmas, "depth": DEPTHS, "seeds": 3, "rate": [0.1], "data": "synthetic"}
    return SweepPlan("tanh", **{**given, **changes})


def found_by(plan, scales, train):
    hunts, trials = search(plan, scales, train, share=0.5, data="synthetic")
    return summarise(plan, scales, hunts, trials, share=0.5)
