r"""Which depth scale limits training, at one choice of sigmas.

On the ordered side inputs become alike and gradients vanish at one rate, C'(1) = chi_perp, so that

.. math:: \xi_c = \xi_\chi = \frac{1}{|\log \chi_\perp|}.

On the chaotic side they are two: what the output still knows of the inputs' correlation falls as
:math:`e^{-l / \xi_c}`, gradients grow as :math:`e^{l / \xi_\chi}`. Close to the critical line of a
smooth activation 1 - C'(c*) and chi_perp - 1 are equal in the first order, further away
:math:`\xi_\chi` is the shorter. Where lengths diverge or die out there is no c* to settle at, and
:math:`\xi_\chi` is the only one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chione.base import ChioneError, Estimate
from chione.networks import Dense, Dropout, Nonlinearity
from chione.theory import block_phase, mean_field

ORDERED, CHAOTIC, DIVERGENT, CRITICAL = "ordered", "chaotic", "divergent", "critical"
SIDES = (ORDERED, CHAOTIC, DIVERGENT)


@dataclass(frozen=True)
class DepthScales:
    """What theory says of one choice of sigmas.

    Parameters
    ----------
    side : {"ordered", "chaotic", "divergent", "critical"}
        Whether gradients shrink, grow, grow together with the signal, or keep their size.
    xi_c, xi_chi : float
        Depth scales in layers; infinite at criticality, NaN where there is none.
    """

    side: str
    xi_c: float
    xi_chi: float

    @property
    def shorter(self) -> float:
        """The shorter of the two that exist; infinite where neither limits."""
        return min((x for x in (self.xi_c, self.xi_chi) if x > 0.0), default=math.inf)


def depth_scales(phi: str, sigma_w: float, sigma_b: float, dropout: float = 0.0) -> DepthScales:
    r"""Side and depth scales of a plain network, with dropout where there is some.

    Dropout with probability 1 - p of dropping multiplies E phi^2 by 1 / p but no product of two
    inputs, so that C(1) < 1: correlations settle below 1 and the critical line is gone.
    """
    if dropout > 0.0:
        return _with_dropout(phi, sigma_w, sigma_b, dropout)
    found = mean_field(phi, sigma_w, sigma_b)
    if not found.reached:
        growth = found.fixed_points.growth
        chi = float(growth.value) if growth.ok else math.nan
        return DepthScales(DIVERGENT, math.nan, _scale(chi))
    return _of(found.phase, found.xi_c, found.chi_perp)


def _with_dropout(phi: str, sigma_w: float, sigma_b: float, dropout: float) -> DepthScales:
    block = [Dense(sigma_w, sigma_b), Nonlinearity(phi), Dropout(1.0 - dropout)]
    try:
        found = block_phase(block)
    except ChioneError:  # theory has no answer: the search begins at the middle of the ladder
        return DepthScales(DIVERGENT, math.nan, math.nan)
    return _of(found.phase, found.xi_c, found.chi_perp)


def _of(phase: str, xi_c: Estimate, chi_perp: Estimate) -> DepthScales:
    side = phase if phase in (ORDERED, CHAOTIC, CRITICAL) else DIVERGENT
    xi = float(xi_c.value) if xi_c.ok else math.nan
    chi = float(chi_perp.value)
    if side == CRITICAL:
        return DepthScales(side, math.inf, math.inf)
    return DepthScales(side, xi, _scale(chi))


def _scale(chi: float) -> float:
    if not 0.0 < chi < math.inf:
        return math.nan
    return math.inf if chi == 1.0 else 1.0 / abs(math.log(chi))
