"""What lengths do where none attracts: the factor they grow by in the end, and the status."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, Estimate, Status
from chione.theory.moments.growth_profile import growth_profile
from chione.theory.moments.moments import Moments

_FAR = 64.0  # beyond the last bend of S / q, where its limit is read


@lru_cache(maxsize=128)  # each column of a diagram asks
def growth_factor(m: Moments) -> Estimate:
    """Limit of E phi^2 / q at large q: infinite where it keeps rising, 0 where it falls away."""
    profile = growth_profile(m.phi)
    power = profile.last_power
    if power != 1.0:
        return Estimate(float("inf") if power > 1.0 else 0.0, 0.0)
    bend = profile.linear_above if profile.linear_above > profile.linear_below else 1.0
    q = min(_FAR * bend, 1e300)
    far = m.square(q) / q
    if far.status == Status.OK:
        # what is left falls at least like q^(-1/2), so a hundredth of q shows ten times as much
        left = abs(far.value - (m.square(1e-2 * q) / (1e-2 * q)).value)
        return Estimate(far.value, far.error + left)
    with np.errstate(over="ignore"):  # a factor beyond float64 is infinite
        tail = np.exp2((profile.log2_square - profile.log2_q)[-profile.log2_q.size // 10 :])
    value = float(tail.mean())
    if not np.isfinite(value):
        return Estimate(float("inf"), 0.0)
    return Estimate(value, float(np.abs(tail - value).max()) + 0.1 * value)


def unsettled(m: Moments, w2: Array, b2: Array) -> NDArray[np.int8]:
    """What lengths do where none attracts: ``DIVERGENT``, ``OVERFLOW`` or ``NONE``.

    They diverge if V / q stays above 1 for ever, or tends to 1 from above, or is 1 with a bias on
    top. Where it falls but is above 1 at the largest lengths of float64, nothing can be claimed.
    """
    factor = float(growth_factor(m).value)
    with np.errstate(invalid="ignore"):
        growth = np.where(w2 > 0.0, w2 * factor, 0.0)
    same = np.abs(growth - 1.0) <= 16.0 * EPS
    creeps = bool(same.any()) and _tends_from_above(m, factor)
    lasting = np.where(same, (b2 > 0.0) | creeps, growth > 1.0)
    above = growth_profile(m.phi).is_above_at_last(w2, b2) & (growth == 0.0)
    return np.where(
        lasting, Status.DIVERGENT, np.where(above, Status.OVERFLOW, Status.NONE)
    ).astype(np.int8)


def _tends_from_above(m: Moments, factor: float) -> bool:
    """Whether E phi^2 / q comes down to its limit, as for softplus."""
    profile = growth_profile(m.phi)
    if not profile.linear_below < profile.linear_above < np.inf:
        return False
    q = 1e-4 * profile.linear_above  # what is left there is some 1e-8
    return bool(m.square(q).value / q / factor - 1.0 > 1e-11)
