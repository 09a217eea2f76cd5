"""What the search for the boundary came to: depths with errors, constants, all that was tried."""

from __future__ import annotations

import math
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from chione.base import AbstractResult, Array, result, text_table
from chione.sweeps.boundary_constant import DepthConstant
from chione.sweeps.boundary_scales import DIVERGENT, depth_scales
from chione.sweeps.depth_scales import scales_over

USUAL = 6.0
"""Depth scales to which networks train by Schoenholz et al., ICLR 2017, figure 5."""
_FINE = 200  # points of a line of theory


@final
@result
class BoundaryResult(AbstractResult):
    r"""The largest depth that trains, for each sigma_w.

    Parameters
    ----------
    activation, weights, optimizer, data : str
        What was trained, how its weights were drawn, with which optimiser, on what.
    sigma_b, dropout, share : float
        Deviation of the biases; probability of dropping a unit; the share of right answers in the
        mean of ten batches that has to be reached.
    width, steps, batch, seeds : int
        Units of a layer, steps, inputs of each step, networks for each sigma and depth.
    rates : ndarray, shape (r,)
        Learning rates; a network trains if it does with one of them.
    range : ndarray, shape (2,)
        Smallest and largest depth that was tried.
    sigma_w : ndarray, shape (n,)
        Deviations of the weights.
    depth, lower, upper : ndarray, shape (n,)
        Depth at which half of the networks train, and the ends of the middle 68 in 100.
    log_error : ndarray, shape (n,)
        Standard error of the logarithm of `depth`.
    censored : ndarray of int, shape (n,)
        +1 where even the largest depth trains and `depth` is a lower bound; -1 where the smallest
        one fails and it is an upper bound; else 0.
    side : tuple of str, length n
        "ordered", "chaotic", "divergent" or "critical", by theory.
    xi_c, xi_chi : ndarray, shape (n,)
        Depth scales of theory: of correlations and of gradients.
    tried_sigma_w, tried_depth, tried_trained, tried_accuracy : ndarray, shape (m,)
        Each place that was tried, how many of its networks trained, and the mean over seeds of the
        best training accuracy at the end.
    trainings, grid : int
        Trainings that it took, and those of all depths of the same resolution.
    constants : tuple of DepthConstant
        The fitted a of depth = a xi by side and by scale.
    """

    axes: ClassVar = {
        **dict.fromkeys(
            ("depth", "lower", "upper", "log_error", "censored", "xi_c", "xi_chi"), ("sigma_w",)
        ),
        **dict.fromkeys(
            ("tried_sigma_w", "tried_depth", "tried_trained", "tried_accuracy"), ("tried",)
        ),
        "sigma_w": ("sigma_w",),
        "rates": ("rate",),
        "range": ("end",),
    }

    activation: str
    weights: str
    optimizer: str
    data: str
    sigma_b: float
    dropout: float
    share: float
    width: int
    steps: int
    batch: int
    seeds: int
    rates: Array
    range: Array
    sigma_w: Array
    depth: Array
    lower: Array
    upper: Array
    log_error: Array
    censored: NDArray[np.int64]
    side: tuple[str, ...]
    xi_c: Array
    xi_chi: Array
    tried_sigma_w: Array
    tried_depth: Array
    tried_trained: Array
    tried_accuracy: Array
    trainings: int
    grid: int
    constants: tuple[DepthConstant, ...]

    @property
    def saved(self) -> float:
        """How many times fewer trainings than a grid of the same resolution."""
        return self.grid / self.trainings if self.trainings else math.nan

    def constant(self, side: str, scale: str = "xi_c") -> DepthConstant | None:
        """The fit of that side and scale, to the boundaries where theory holds; None without."""
        fits = [c for c in self.constants if (c.side, c.scale) == (side, scale)]
        return max(fits, key=lambda c: c.restricted, default=None)

    @property
    def title(self) -> str:
        """What was trained, in a line."""
        law = "" if self.weights == "gaussian" else f"{self.weights} weights, "
        drop = f", dropout {self.dropout:g}" if self.dropout else ""
        return (
            f"{self.activation}, {law}{self.optimizer}{drop}: {self.share:.0%} within "
            f"{self.steps} steps on {self.data}"
        )

    def __str__(self) -> str:
        rows = [
            (
                f"{w:.4g}", self.side[i], _bound(d, int(self.censored[i])),
                f"{self.lower[i]:.3g} to {self.upper[i]:.3g}",
                _number(USUAL * self.xi_c[i]), _number(USUAL * self.xi_chi[i]),
            )
            for i, (w, d) in enumerate(zip(self.sigma_w, self.depth, strict=True))
        ]  # fmt: skip
        head = ("sigma_w", "side", "largest depth", "68 %", "6 xi_c", "6 xi_chi")
        lines = [self.title, text_table(head, rows, align="><>>>>")]
        lines += [c.sentence for c in self.constants]
        lines.append(
            f"{self.trainings} trainings, {self.saved:.1f} times fewer than the {self.grid} of a "
            "grid."
        )
        return "\n\n".join([*lines[:2], "\n".join(lines[2:])])

    def plot(self, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw the boundary beside six depth scales ("depth"), or their ratio ("ratio")."""
        from chione.plotting.boundary import BoundaryPicture, boundary_picture
        from chione.plotting.panels import assemble

        picture = BoundaryPicture(
            self.title, self.sigma_w, self.depth, self.lower, self.upper, self.censored, self.xi_c,
            self.xi_chi, *self._lines(), self.tried_sigma_w, self.tried_depth,
            self.tried_trained / self.seeds,
        )  # fmt: skip
        return assemble(boundary_picture(picture), ax=ax, field=field)

    def _lines(self) -> tuple[Array, Array, Array]:
        """sigma_w, xi_c and xi_chi, finely where that is quick."""
        if self.dropout > 0.0 or self.sigma_w.size < 2:
            return self.sigma_w, self.xi_c, self.xi_chi
        w = np.unique(
            np.append(self.sigma_w, np.linspace(self.sigma_w[0], self.sigma_w[-1], _FINE))
        )
        if DIVERGENT in self.side:  # the growth of lengths sets a scale that a diagram has not
            found = [depth_scales(self.activation, float(x), self.sigma_b) for x in w]
            return w, np.array([s.xi_c for s in found]), np.array([s.xi_chi for s in found])
        xi_c, xi_chi = scales_over(self.activation, w, [self.sigma_b])
        return w, xi_c[0], xi_chi[0]


def _bound(depth: float, censored: int) -> str:
    sign = {1: "> ", -1: "< "}.get(censored, "")
    return f"{sign}{depth:.3g}"


def _number(x: float) -> str:
    return f"{x:.3g}" if math.isfinite(x) else "none"
