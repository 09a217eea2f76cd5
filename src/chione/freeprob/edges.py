"""Deterministic edges of a law: where its bands end, how its density vanishes or blows up there."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from chione.base import AbstractResult, Array, Estimate, Status, checks, missing, result
from chione.freeprob.local_form import local_form
from chione.freeprob.measure import as_measure
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.tracy_widom import TracyWidom

_SAME = 1e-9  # distance, relative to the size of the support, below which two places are one
_SCAN = 129  # points of a band among which a place of vanishing density is looked for
_ROUNDS = 12  # by which it is narrowed down, each by a factor of 16
_FALLS = 0.7  # a third root falls by 0.4 in a round, the density at a smooth minimum stays
_NOTHING = 1e-3  # part of the largest density: a third root at 1e-9 of the width
_SURE = 1e-3  # relative error of the constant at a zero inside a band that is believed
_SOFT = 0.5  # the exponent of a regular edge


@result
class Edge(AbstractResult):
    r"""One end of a band, or an atom.

    .. math:: \rho(x) \approx C\,|x - a|^e

    Parameters
    ----------
    place : Estimate
        The end a.
    side : str
        ``"upper"`` where the band lies below a, ``"lower"`` where it lies above, ``"atom"``.
    exponent : Estimate
        e: 1/2 at a regular (soft) edge, -1/2 at a hard one, 1/3 where two bands just meet (the
        place is then listed as the upper end of one and the lower end of the other),
        :math:`-k/(k+1)` at zero for a product of k square Gaussian matrices, 0 at a jump. An atom
        has -1.
    constant : Estimate
        C; of an atom its mass.
    scale : Estimate
        At a soft edge the Tracy-Widom scale :math:`\gamma = (\pi C)^{-2/3}`: the extreme one of n
        eigenvalues lies at :math:`a \pm \gamma\, n^{-2/3}\, TW_\beta` (+ at an upper edge). The
        status is NONE at any other.

    Notes
    -----
    The Tracy-Widom limit is a theorem for Wigner and sample covariance matrices and for
    :math:`A + U B U^T` with regular edges [1]_, [2]_; n is the number of all eigenvalues, those at
    atoms among them. At finite n the mean is off by about 1/n relative to the scale of the law.

    References
    ----------
    .. [1] N. El Karoui, Tracy-Widom limit for the largest eigenvalue of a large class of complex
       sample covariance matrices, Ann. Probab. 35, 2007.
    .. [2] H. C. Ji, J. Park, Tracy-Widom limit for free sum of random matrices, Ann. Probab. 2024,
       arXiv:2110.05147.
    .. [3] I. M. Johnstone, On the distribution of the largest eigenvalue in principal components
       analysis, Ann. Statist. 29, 2001.
    """

    place: Estimate
    side: str
    exponent: Estimate
    constant: Estimate
    scale: Estimate

    @property
    def kind(self) -> str:
        """``soft``, ``hard`` (an infinite density), ``cusp`` (1/3), ``jump``, ``other``, ``atom``.

        ``unknown`` where the exponent could not be found.
        """
        e = float(self.exponent.value)
        if self.side == "atom":
            return "atom"
        if np.isnan(e):
            return "unknown"
        if e < 0.0:
            return "hard"
        return {0.0: "jump", 0.5: "soft", 1.0 / 3.0: "cusp"}.get(e, "other")

    def extreme_mean(self, n: int, *, beta: int = 1) -> Estimate:
        r"""Mean place of the extreme one of n eigenvalues, :math:`a \pm \gamma n^{-2/3} E\,TW`.

        The error is that of the formula's numbers, not that of the limit.

        Parameters
        ----------
        n : int
            Number of eigenvalues of the matrix.
        beta : int
            1 for real symmetric matrices, 2 for complex, 4 for quaternion ones.
        """
        return self._placed(n, TracyWidom(beta).mean)

    def extreme_std(self, n: int, *, beta: int = 1) -> Estimate:
        r"""Standard deviation of the extreme eigenvalue, :math:`\gamma n^{-2/3} \sigma(TW)`."""
        return self._spread(n) * TracyWidom(beta).variance.sqrt()

    def extreme_quantile(self, p: float, n: int, *, beta: int = 1) -> Estimate:
        """Place below which the extreme one of n eigenvalues lies with probability p."""
        p = checks.finite("p", p)
        return self._placed(n, TracyWidom(beta).quantile(p if self.side == "upper" else 1.0 - p))

    def _placed(self, n: int, s: Estimate) -> Estimate:
        sign = 1.0 if self.side == "upper" else -1.0
        step: Estimate = self._spread(n) * s
        return self.place + sign * step

    def _spread(self, n: int) -> Estimate:
        gamma: Estimate = self.scale
        out: Estimate = gamma * float(checks.integer("n", n)) ** (-2.0 / 3.0)
        return out


def edges(measure: Any) -> tuple[Edge, ...]:
    r"""All ends of bands and atoms of a law, with exponents and constants, from left to right.

    Parameters
    ----------
    measure : Measure, law, array of eigenvalues, or with ``to_measure()``
        The law. Of an infinite end nothing is said.

    Returns
    -------
    tuple of Edge

    Notes
    -----
    Around an end, z is an analytic function of G (or 1/G, or (z - a) G) with a critical point at
    it; it is fitted on points of the upper half plane, and the critical point gives the place, its
    order the exponent, its coefficient the constant. Where this does not fit, log density is
    fitted by log distance. Places inside a band at which the density vanishes are found where they
    are minima of it among 129 points. Errors: the change between fits at two distances.

    Examples
    --------
    >>> from chione.freeprob import edges, semicircle
    >>> low, high = edges(semicircle(1.0))
    >>> print(high.place.value, high.exponent.value, round(float(high.scale), 12))
    2.0 0.5 1.0
    >>> print(round(float(high.extreme_mean(1000, beta=1)), 6))
    1.987935
    """
    law = as_measure(measure).law
    with np.errstate(all="ignore"):  # constants may lie beyond the floats
        return _edges(law)


def _edges(law: AbstractMeasure) -> tuple[Edge, ...]:
    bands = [(a, b) for a, b in law.support if b > a]
    size = max((abs(x) for x in _finite(law)), default=0.0)
    found = [_atom(a, m) for a, m in law.atoms]
    singular = sorted({x for band in bands for x in band} | {a for a, _ in law.atoms})
    inner = {band: _zeros(law, *band) for band in bands}
    singular = sorted([*singular, *(x for zeros in inner.values() for x in zeros)])
    for band in bands:
        ends = [band[0], *inner[band], band[1]]
        for low, high in pairwise(ends):
            for place, side in ((low, "lower"), (high, "upper")):
                if np.isfinite(place):
                    room = _room(place, side, high - low, singular, _SAME * size)
                    found.append(_edge(law, place, side, room))
    return tuple(sorted(found, key=lambda e: (float(e.place.value), _ORDER[e.side])))


_ORDER = {"upper": 0, "atom": 1, "lower": 2}


def _finite(law: AbstractMeasure) -> list[float]:
    places = [x for band in law.support for x in band] + [a for a, _ in law.atoms]
    return [x for x in places if np.isfinite(x)]


def _atom(place: float, mass: float) -> Edge:
    exact = Estimate(-1.0, 0.0)
    return Edge(Estimate(place, 0.0), "atom", exact, Estimate(mass, 0.0), missing(Status.NONE))


def _room(place: float, side: str, width: float, singular: list[float], same: float) -> float:
    """Distance to the next singular point; of a one-point neighbourhood the size of the place."""
    others = [abs(x - place) for x in singular if np.isfinite(x) and abs(x - place) > same]
    if not others:
        return max(abs(place), 1.0) if not np.isfinite(width) else width
    return min(others)


def _edge(law: AbstractMeasure, place: float, side: str, room: float) -> Edge:
    form = local_form(law, place, 1.0 if side == "lower" else -1.0, room)
    if form is None:
        unknown = missing(Status.NOT_COMPUTED)
        return Edge(Estimate(place, np.inf), side, unknown, unknown, unknown)
    constant = Estimate(form.constant, form.constant_error)
    scale = missing(Status.NONE)
    if form.exponent == _SOFT:
        scale = (np.pi * constant) ** (-2.0 / 3.0)
    return Edge(
        Estimate(form.place, form.place_error),
        side,
        Estimate(form.exponent, form.exponent_error),
        constant,
        scale,
    )


# ---- places of vanishing density inside a band -------------------------------------------------


def _zeros(law: AbstractMeasure, low: float, high: float) -> list[float]:
    """Places strictly inside (low, high) at which the density is zero."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return []
    x = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * (np.arange(_SCAN) + 0.5) / _SCAN)
    rho = law.density(x)
    dip = (rho[1:-1] < rho[:-2]) & (rho[1:-1] <= rho[2:])
    found = []
    for i in 1 + np.nonzero(dip)[0]:
        place = _narrowed(law, x[i - 1], x[i + 1], _NOTHING * float(np.max(rho)))
        if place is not None and _vanishes(law, place, min(place - low, high - place)):
            found.append(place)
    return found


def _vanishes(law: AbstractMeasure, place: float, room: float) -> bool:
    """Whether the density is a power of the distance on both sides."""
    forms = [local_form(law, place, side, room) for side in (-1.0, 1.0)]
    return all(
        f is not None and f.exponent > 0.0 and f.constant_error < _SURE * f.constant for f in forms
    )


def _narrowed(law: AbstractMeasure, a: float, b: float, nothing: float) -> float | None:
    """The zero between a and b, or None where the density stops falling above `nothing`."""
    grid: Array = np.linspace(0.0, 1.0, 33)
    least = np.inf
    for _ in range(_ROUNDS):
        x = a + (b - a) * grid
        rho = law.density(x)
        k = int(np.clip(np.argmin(rho), 1, x.size - 2))
        if not np.all(np.isfinite(rho)) or nothing < rho[k] > _FALLS * least:
            return None
        least = float(rho[k])
        a, b = float(x[k - 1]), float(x[k + 1])
        if b - a < 1e-13 * (abs(a) + abs(b)):
            break
    return 0.5 * (a + b)
