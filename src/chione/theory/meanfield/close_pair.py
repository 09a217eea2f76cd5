r"""How the distance of two nearly equal inputs changes in one layer, by leading terms."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol

from chione.activations import AbstractActivation
from chione.gaussian import Integrator
from chione.theory.moments.moments import moments

FIRST_DISTANCE = 0.1  # 1 - c of the pair that is followed: correlation 0.9


class Pair(Protocol):
    """How the distance of two inputs changes in one layer."""

    def log_ratio(self, log_gap: float, q: float, w2: float, q_after: float) -> float:
        """Logarithm of the factor on 1 - c."""


class ClosePair:
    r"""How 1 - c of two close inputs changes in one layer, by the leading terms of the map.

    .. math:: K(1) - K(c) = q \left[E\,\phi'^2\,\epsilon
       - \tfrac23 \sum_k J_k^2\, p_q(k) \sqrt{q / \pi}\;\epsilon^{3/2}
       - \tfrac12 q\, E\,\phi''^2\, \epsilon^2\right], \qquad \epsilon = 1 - c

    with :math:`J_k` the jumps of phi' and :math:`p_q` the density of N(0, q).
    """

    def __init__(self, phi: AbstractActivation) -> None:
        self._m = moments(phi)
        self._bend = Integrator(phi.second_derivative, phi.kinks, power=2)
        self._bends = self._bend(1.0).value > 0.0  # not for pieces of straight lines
        self._jumps = [(k, phi.jump(1, k) ** 2) for k in phi.kinks]

    @staticmethod
    @lru_cache(maxsize=128)
    def of(phi: AbstractActivation) -> ClosePair:
        """The pair of an activation, kept with its rules for the next walk."""
        return ClosePair(phi)

    def kink_term(self, q: float) -> float:
        r"""Coefficient of :math:`\epsilon^{3/2}` at sigma_w = 1, relative to q."""
        out = 0.0
        for k, square in self._jumps:
            # density times sqrt(q / pi): sqrt(q) cancels, so q = 0 is no exception
            weight = math.exp(-min(0.5 * k * k / q, 800.0)) if k else 1.0
            out += (2.0 / 3.0) * square * weight / (math.pi * math.sqrt(2.0))
        return out

    def bend_term(self, q: float) -> float:
        r"""Coefficient of :math:`\epsilon^2` at sigma_w = 1, relative to q: half q E phi''^2."""
        return 0.5 * q * float(self._bend(q).value) if self._bends else 0.0

    def log_ratio(self, log_gap: float, q: float, w2: float, q_after: float) -> float:
        """Logarithm of the factor on 1 - c in one layer, also where 1 - c underflows."""
        if q == 0.0:
            return 0.0
        gap = math.exp(max(log_gap, -600.0))
        slope = float(self._m.derivative_square_beside(q).value)
        lost = self.kink_term(q) * gap**1.5 + self.bend_term(q) * gap**2
        # a distance stays positive: beyond the reach of the leading terms it halves instead
        kept = max(slope * gap - lost, 0.5 * slope * gap)
        after = min(w2 * q * kept / q_after, 2.0)
        return math.log(after / gap) if after > 0.0 else -math.inf
