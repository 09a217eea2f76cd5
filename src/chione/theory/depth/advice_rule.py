"""How advice is weighed: what each decade of each figure costs, in one place, with its reason.

Every initialisation is described by eight figures in decades over the depth (``MEANINGS`` in
``critical/recommendation.py``). Its cost is

.. math:: total = sum_k w_k max(|d_k| - f_k, 0)

with f_k decades that are free, and w_k one number for growth and one for loss. The smallest total
is recommended. The numbers were set by theory, then checked by training networks of 40 layers and
64 units on digits (Adam and SGD with momentum; silu, gelu, elu, tanh; up to fifteen
initialisations each). With one price for growth and loss the totals ordered the accuracies with a
rank correlation of 0.76 (Adam) and 0.79 (SGD); with less for losses, and half as much again for a
lost distance, 0.80 and 0.93. Nothing finer was fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chione.base import Array


@dataclass(frozen=True)
class Weighing:
    """The price of one figure of an initialisation.

    Parameters
    ----------
    more, less : float
        Of a decade of growth, and of a decade of loss.
    free : float
        Decades that cost nothing.
    """

    more: float
    less: float
    free: float = 0.0

    def of(self, decades: Array) -> Array:
        """Cost of decades; infinite where they have no value."""
        size = np.maximum(np.abs(decades) - self.free, 0.0)
        cost = np.where(decades > 0.0, self.more, self.less) * size
        return np.where(np.isnan(cost), np.inf, cost)


WEIGHED = {
    # The first layers learn as many decades slower (SGD), or drown in rounding (Adam). A loss
    # comes with lengths that fade, where layers turn linear: tanh with 1.4 decades of it still
    # trained to 0.95.
    "gradient": Weighing(1.0, 0.7),
    # One rate serves all layers with SGD; Adam divides it out. Hence less than half.
    "weight gradients": Weighing(0.4, 0.4),
    # What two inputs differ by is all that the last layer has to learn from. In training this
    # mattered most: silu at 1 - c = 0.03 stopped at 0.86, at 0.12 and 0.3 it came to 0.95.
    # Growth is chaos, and what comes with it is in the gradient already.
    "distance": Weighing(1.0, 1.5),
    # Lengths that change put each layer at another place of its activation.
    "length": Weighing(0.5, 0.25),
    # Inputs of a data set differ in length. Points that repel on one side (chi_parallel = 1,
    # V'' <> 0) hold on paper and leave by decades here.
    "inputs": Weighing(0.5, 0.5),
    # Outputs of mean square 100 start at a loss of 20; up to 10 the read-out layer copes. Small
    # ones cost the read-out layer a few steps.
    "output": Weighing(0.5, 0.1, 1.0),
    # A first layer that is scaled to start lengths at q* learns at another relative rate. A
    # factor of 2 is what schemes differ by anyway.
    "first layer": Weighing(0.5, 0.2, 0.3),
    # Chance: by so much one network of this width differs from the next. Gaussian weights, which
    # add 0.4 here at a depth of 0.6 widths, cost as much accuracy as 0.3 decades of distance.
    "fluctuation": Weighing(1.25, 1.25),
}

# A critical point is taken unless another is better by this: its sigmas can be looked up, and
# lengths have no one place to be. Finer differences are beyond what eight figures tell.
CRITICAL_BONUS = 0.25
# An affine change asks for other code, not for other numbers: it has to be better by this much.
AFFINE_MARGIN = 0.7
# log chi_parallel of a point that repels lengths, over the depth and in one layer: inputs of
# different lengths drift apart by the factor e^0.5 at most. Networks of 30 layers (gelu, silu)
# trained best with 0.3 and those of 10 with 1.
LEAVING, LEAVING_LAYER = 0.5, 0.05
USUAL_WIDTH = 512  # units of a layer where nobody says how many
# No affine change comes below this: half and twice the length change it, and weights fluctuate.
LEAST = 0.7
# A total from which nothing is recommended: theory's own figures are off by decades.
REFUSED = 9.0
# Decades of gradient, of inputs and of fluctuation up to which a recommendation is said to hold:
# a hundredfold change of a mean square is tenfold in size, which optimisers bear; a fluctuation
# of half a decade is a factor of 3 in the mean square from one network to the next.
HOLDS = {"gradient": 2.0, "inputs": 2.0, "fluctuation": 0.5}
# Layers over units from which orthogonal weights are recommended. They remove the 2 L / n of the
# relative variance of lengths and gradients that Gaussian weights bring along, a tenth here; in
# training they were level or ahead at every depth that was tried.
ORTHOGONAL_FROM = 0.05


def total(figures: dict[str, Array]) -> Array:
    """The cost of many initialisations."""
    parts = [WEIGHED[name].of(np.asarray(d, dtype=np.float64)) for name, d in figures.items()]
    return np.asarray(sum(parts[1:], parts[0]))


def deviation(variance: Array) -> Array:
    """Decades of a relative standard deviation."""
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)) / math.log(10.0))


def recommended_weights(depth: int, width: int) -> str:
    """Orthogonal where they help, Gaussian where it makes no difference."""
    return "orthogonal" if depth >= ORTHOGONAL_FROM * width else "gaussian"
