"""The phase of a network in one word, the same in headline, table and data."""

from __future__ import annotations

import math

import numpy as np

from chione.base import AbstractResult, result
from chione.theory import MeanField, Recommendation
from chione.theory.meanfield.depth_scale import is_critical

_SAME = 5e-6  # relative distance of sigmas that were typed from six printed digits
_SETTLING = ("ordered", "critical", "chaotic")


@result
class Phase(AbstractResult):
    """A phase and what limits it.

    Parameters
    ----------
    word : {"ordered", "critical", "chaotic", "divergent", "none"}
        The phase at the fixed point that is spoken of, or why there is none.
    reached : bool
        Whether lengths that start at mean square 1 settle.
    where : str
        What limits the word, as a clause behind it: "for small inputs only"; empty for nothing.
    growth : float
        Factor on the mean square a layer where lengths diverge, in the end; infinite for growth
        faster than exponential.
    chi_perp : float
        Factor on the mean square gradient a layer where lengths settle.
    lengths_critical : bool
        Whether lengths settle only as a power of the depth.
    """

    word: str
    reached: bool = True
    where: str = ""
    growth: float = math.nan
    chi_perp: float = math.nan
    lengths_critical: bool = False

    @property
    def cell(self) -> str:
        """The phase for a table."""
        if self.word in _SETTLING and not self.reached:
            return f"{self.word}, not reached"
        return self.word


def phase_of(field: MeanField, recommended: Recommendation | None = None) -> Phase:
    """The phase of a network.

    Parameters
    ----------
    field : MeanField
        Its theory.
    recommended : Recommendation, optional
        The recommended initialisation of the same activation. Where the network has its sigmas the
        word is "critical", because chi_perp = 1 at the point that they were chosen for; a rounded
        sigma, or another attracting point on the way from mean square 1, does not change that word.
    """
    growth = float(field.fixed_points.growth.value)
    if field.phase not in _SETTLING:
        return Phase(field.phase, False, growth=growth)
    chi = float(field.chi_perp.value)
    lengths_critical = field.chi_parallel.ok and is_critical(field.chi_parallel)
    if not field.reached:
        # The point that repels lies at q_u = V(q_u) >= sigma_b^2, so that inputs below E phi^2
        # there do settle: an attracting point always has some inputs of its own.
        if recommended is not None and is_recommended(field, recommended):
            where = f"at q* = {recommended.q_star.value:.6g}, which lengths leave slowly"
            return Phase("critical", False, where, growth, chi, lengths_critical)
        return Phase(field.phase, False, "for small inputs only", growth, chi, lengths_critical)
    word, where = field.phase, ""
    if word != "critical" and recommended is not None and is_recommended(field, recommended):
        word = "critical"
        where = f"at q* = {recommended.q_star.value:.6g}"
        if not _near(field.q_star.value, recommended.q_star.value):
            where += f", {field.phase} at q* = {field.q_star.value:.6g} where mean square 1 leads"
    return Phase(word, True, where, math.nan, chi, lengths_critical)


def is_recommended(field: MeanField, recommended: Recommendation) -> bool:
    """Whether a network has the recommended sigmas, to the digits that are printed."""
    mine, theirs = (
        np.array([x.sigma_w, x.sigma_b], dtype=np.float64) for x in (field, recommended)
    )
    return recommended.exists and bool(np.all(np.abs(mine - theirs) <= _SAME * np.abs(theirs)))


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-3 * max(abs(a), abs(b))
