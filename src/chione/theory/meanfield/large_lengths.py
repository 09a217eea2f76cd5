r"""Susceptibilities of lengths that grow without bound.

.. math:: \chi_\parallel \to \sigma_w^2 \lim_{q \to \infty} \tfrac{d}{dq} E\,\phi^2, \qquad
   \chi_\perp \to \sigma_w^2 \lim_{q \to \infty} E\,\phi'^2

Both exist where :math:`E\,\phi^2 / q` settles, as for activations that are straight lines far
from zero.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Estimate, Status, missing
from chione.theory.meanfield.length_map import affine
from chione.theory.moments.growth_profile import growth_profile
from chione.theory.moments.moments import moments

_FIRST, _RATIO, _TRIES = 1e4, 1e3, 4  # times the last bend of E phi^2 / q
_AGREE = 1e-6  # of two lengths a factor 1000 apart, or there is no limit to speak of


def large_length_slopes(phi: AbstractActivation, sigma_w: float) -> tuple[Estimate, Estimate]:
    """Limits of chi_parallel and chi_perp at large q; ``DIVERGENT`` where there are none."""
    return tuple(affine(e, sigma_w**2, 0.0) for e in _limits(phi))  # type: ignore[return-value]


@lru_cache(maxsize=128)
def _limits(phi: AbstractActivation) -> tuple[Estimate, Estimate]:
    profile, m = growth_profile(phi), moments(phi)
    if profile.last_power != 1.0 or not np.isfinite(profile.linear_above):
        return missing(Status.DIVERGENT), missing(Status.DIVERGENT)
    bend = profile.linear_above if profile.linear_above > profile.linear_below else 1.0
    return _limit(m.slope, bend), _limit(m.derivative_square, bend)


def _limit(f: Callable[[float], Estimate], bend: float) -> Estimate:
    """Value far out; its error is what a factor 1000 of q still changes."""
    best = missing(Status.NOT_COMPUTED)
    for k in range(_TRIES):
        near = f(bend * _FIRST * _RATIO**k)
        # an oscillation that is no longer resolved will not be any further out
        far = f(bend * _FIRST * _RATIO ** (k + 1)) if near.status == Status.OK else near
        if far.status != Status.OK:
            return best if np.isfinite(best.value) else missing(far.status)
        rest = abs(far.value - near.value)
        # what is left of a power of q after one factor 1000 is left again after the next
        error = far.error + 2.0 * rest + EPS * abs(far.value)
        if rest <= _AGREE * abs(far.value) and not error >= best.error:
            best = Estimate(far.value, error, Status.OK)
        if error <= 8.0 * EPS * abs(far.value):
            break
    return best
