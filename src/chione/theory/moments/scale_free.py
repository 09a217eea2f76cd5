r"""Lengths at which V(q) / q is one number: there no moment depends on q but through its unit.

Without biases, and with :math:`E\,\phi^2 = a\,q` for all small q, the ratio of lengths of two
layers, chi_perp and the correlation map are those of any other small q. So a length that has
fallen below the range of float64 is carried as a logarithm, with the moments of an anchor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.activations import AbstractActivation
from chione.theory.moments.growth_profile import growth_profile

_INSIDE = 1e-8  # of the q where E phi^2 / q bends by 1e-12: rounding, also if it bends as sqrt(q)


@dataclass(frozen=True)
class Anchor:
    """The length whose moments stand for all smaller ones; 0 where there is none.

    Parameters
    ----------
    q : float
        The anchor.
    below : float
        The largest length that it stands for.
    """

    q: float
    below: float

    def of(self, q: float) -> float:
        """The length at which the moments of `q` are taken."""
        return self.q if q < self.below else q


def anchor(phi: AbstractActivation, b2: float) -> Anchor:
    """The anchor of a network with bias variance `b2`."""
    if b2 > 0.0:
        return Anchor(0.0, 0.0)
    below = growth_profile(phi).linear_below
    if below > 1e200:  # E phi^2 = a q throughout: one anchor for everything
        return Anchor(1.0, np.inf)
    small = _INSIDE * below
    small = small if small > 1e-250 and np.isfinite(small) else 0.0
    return Anchor(small, small)


def zero_slope(phi: AbstractActivation, w2: float) -> float:
    """V'(0) = sigma_w^2 times the mean of the squared one-sided slopes at zero."""
    with np.errstate(over="ignore"):
        square = float(np.mean(phi.derivative(np.array([-1e-300, 1e-300])) ** 2))
    return w2 * square if w2 > 0.0 else 0.0  # no weights: also where the slope is infinite
