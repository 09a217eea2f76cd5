"""The outer of two nested integrals: few nodes, because each of them costs an integral itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array, cost
from chione.gaussian.panels import LAST, NODES, WEIGHTS

_RESOLVED = 1e-17  # square of the last coefficients over the size of the whole
_MAX_LEVELS = 30

Function = Callable[[Array], Array]


@dataclass
class Budget:
    """Panels that nested integrals may still lay; when none are left nothing more is bisected.

    What is then unresolved is in the stated error, so a hard question ends in a status.
    """

    panels: float

    def spend(self, panels: int) -> None:
        """Count panels that were evaluated."""
        self.panels -= panels

    @property
    def gone(self) -> bool:
        """Whether bisection has to end."""
        return self.panels <= 0.0


def integrate(
    integrand: Callable[[Array], tuple[Array, Array]],
    edges: Array,
    q: float,
    budget: Budget | None = None,
) -> tuple[float, float, float, float]:
    """Integral under N(0, q) of a costly function that knows its own noise.

    Parameters
    ----------
    integrand : callable
        x (n,) -> value (n,), bound on its error (n,).
    edges : ndarray
        First panels; bisected until the last Legendre coefficients are small or below the noise.
    q : float
        Variance.
    budget : Budget, optional
        What the integrand spends on inner panels; once it is gone bisection ends.

    Returns
    -------
    value, error, size, ends
        The integral, its error, the integral of the absolute value, and what the two outermost
        panels hold: where that matters the panels do not reach far enough.
    """
    low, high = edges[:-1], edges[1:]
    value = error = size = ends = 0.0
    for level in range(_MAX_LEVELS + 1):
        cost.tick()
        half = 0.5 * (high - low)
        x = 0.5 * (low + high)[:, None] + half[:, None] * NODES
        f, noise = (np.reshape(a, x.shape) for a in integrand(x.ravel()))
        weight = np.exp(-0.5 * x**2 / q) * (half / np.sqrt(2.0 * np.pi * q))[:, None]
        terms, noise = f * weight, (noise * weight) @ WEIGHTS
        panel, panel_size = terms @ WEIGHTS, np.abs(terms) @ WEIGHTS
        total = size + float(panel_size.sum())
        last = np.abs(terms @ LAST).sum(1)
        missed = np.minimum(last**2 / np.where(panel_size > 0.0, panel_size, 1.0), last)
        fine = (missed <= _RESOLVED * total) | (last <= noise)
        if level == 0:
            ends = float(panel_size[0] + panel_size[-1])
        if level == _MAX_LEVELS or (budget is not None and budget.gone):
            fine[:] = True
        value += float(panel[fine].sum())
        size += float(panel_size[fine].sum())
        error += float(noise[fine].sum() + missed[fine].sum())
        if np.all(fine):
            break
        middle = 0.5 * (low + high)[~fine]
        low, high = np.r_[low[~fine], middle], np.r_[middle, high[~fine]]
    return value, error + 12.0 * EPS * size, size, ends
