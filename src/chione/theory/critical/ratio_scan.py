r"""Where the two slopes agree: the roots of 1 - chi_parallel / chi_perp over all lengths K.

.. math:: \frac{\chi_\parallel(K)}{\chi_\perp(K)}
   = \frac{\tfrac{d}{dK} E\,\phi^2}{E\,\phi'^2} = 1
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.optimize import brentq

from chione.base import EPS, Array, Estimate, Status
from chione.theory.moments.growth_profile import own_unit
from chione.theory.moments.moments import Moments

K_MIN, K_MAX = 1e-8, 1e8
_DEAD = 1e-12
_SETTLED = 1e-9
_PERIODS = 1e3  # K, in units of the activation, beyond which an oscillation may be unresolved
_PER_DECADE = 8  # a Gaussian mean hardly changes within an eighth of a decade of q


def _is_over(k: Array, gap: Array) -> bool:
    """Whether the last decade shows that larger K bring nothing new.

    Either the moments have become infinite, or chi_parallel has died away in rounding, as for a
    periodic activation, or the ratio has settled at large K, as for x + sin x: larger K then only
    cost time.
    """
    last = gap[-_PER_DECADE:]
    if len(last) < _PER_DECADE:
        return False
    if np.all(np.isnan(last)):
        return bool(np.any(np.isfinite(gap)))
    if not np.all(np.isfinite(last)):
        return False
    settled = np.ptp(last) <= _SETTLED and np.abs(last).min() > 1e3 * _SETTLED
    return bool(np.all(np.abs(1.0 - last) <= _DEAD) or (k[-1] > 1e4 and settled))


class RatioScan:
    """The difference 1 - chi_parallel / chi_perp on a grid of K, and its roots."""

    def __init__(self, m: Moments) -> None:
        self._m = m
        n = round(np.log10(K_MAX / K_MIN) * _PER_DECADE)
        unit = own_unit(m.phi)
        k: Array = np.geomspace(K_MIN, K_MAX, n + 1) * unit
        gap, error = np.full(n + 1, np.nan), np.full(n + 1, np.nan)
        done = 0
        while done <= n and not _is_over(k[:done] / unit, gap[:done]):
            part = slice(done, done + _PER_DECADE)
            gap[part], error[part], rough = self._measured(k[part])
            done = min(done + _PER_DECADE, n + 1)
            # an oscillation beyond its period: the further out, the less is known of it, at a
            # growing cost
            if k[done - 1] > _PERIODS * unit and np.all(rough):
                break
        self.k, self.gap, self.error = k[:done], gap[:done], error[:done]

    def _measured(self, k: Any) -> tuple[Any, Any, Any]:
        """The difference, its error, and whether one of the slopes is not resolved."""
        d, s = self._m.derivative_square(k), self._m.slope(k)
        rough = (np.asarray(d.status) == Status.INEXACT) | (np.asarray(s.status) == Status.INEXACT)
        with np.errstate(all="ignore"):
            r = s.value / d.value
            return 1.0 - r, (s.error + np.abs(r) * d.error) / np.abs(d.value) + EPS, rough

    def _difference(self, k: Any) -> tuple[Any, Any]:
        return self._measured(k)[:2]

    @property
    def is_empty(self) -> bool:
        """Whether the two slopes agree at every K where they are known."""
        return bool(np.any(np.isfinite(self.gap)) and not np.any(self.signs))

    @property
    def signs(self) -> Array:
        """-1, 0 or 1; 0 where the difference is not larger than its error or has no value."""
        with np.errstate(invalid="ignore"):
            clear = np.abs(self.gap) > 4.0 * self.error
        return np.where(clear, np.sign(np.nan_to_num(self.gap)), 0.0)

    def roots(self) -> list[Estimate]:
        """Each K with a change of sign, to the accuracy that the moments allow."""
        signs = self.signs
        known = np.flatnonzero(signs)
        out = []
        for i, j in itertools.pairwise(known):
            if signs[i] * signs[j] < 0.0:
                out.append(self._refine(self.k[i], self.k[j]))
        return out

    def _refine(self, low: float, high: float) -> Estimate:
        root = float(
            np.exp(
                brentq(
                    lambda u: float(self._difference(float(np.exp(u)))[0]),
                    np.log(low),
                    np.log(high),
                    xtol=4.0 * EPS,
                    rtol=4.0 * EPS,
                )
            )
        )
        near = root * np.exp(np.array([-0.02, 0.02]))
        gaps = self._difference(near)[0]
        steep = abs(gaps[1] - gaps[0]) / (near[1] - near[0])
        _, error = self._difference(root)
        return Estimate(root, float(error / steep + 8.0 * EPS * root))
