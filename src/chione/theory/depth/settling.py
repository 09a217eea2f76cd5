r"""How many layers until lengths and correlations are as good as settled.

.. math:: l_q = \min\{l : |q^k - q^*| \le s\,q^* \text{ for all } k \ge l\}, \qquad
   l_c = \min\{l : |c^k - c^*| \le s \text{ for all } k \ge l\}
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, checks, cost, missing, result
from chione.theory.depth.deep_trajectory import FOLLOWED, carried
from chione.theory.depth.trajectory import Trajectory, trajectory
from chione.theory.meanfield.length_map import mean_square, sigmas
from chione.theory.meanfield.phase import MeanField, mean_field

_FIRST = 64  # layers followed before it is seen how many are needed
_UNSETTLED, _EARLY = 14_000, 200  # layers of moving lengths, each a double integral: a minute's
_STILL = 1e-12  # relative change of a length after which each further layer is one look-up
_SMALLEST_SHARE = 1e-10  # above the errors of most curves
_RESTING = 10  # layers over which a distance rests where it does not change at all
_CARRIED = 1001  # layers after which the curve is carried on
_LINES, _EXACT = 8, 1e-7  # tries, and the relative accuracy of a layer that is far
_FARTHEST = 10**15  # layers: beyond, a float64 does not hold their number

Distance = Callable[[Trajectory], tuple[Array, Array]]


@result
class Settling(AbstractResult):
    """Layers after which lengths and correlations stay near where they settle.

    Parameters
    ----------
    share : float
        What counts as near: this share of q*, this distance from c*.
    q_star, c_star : Estimate
        Where they settle.
    lengths, correlations : Estimate
        Number of the first layer from which on all are near; 1 is the layer that sees the input.
        Without a value where there is no such layer, or it is out of reach.
    sentence : str
        The same in words, with the reason where there is no number.
    """

    share: float
    q_star: Estimate
    c_star: Estimate
    lengths: Estimate
    correlations: Estimate
    sentence: str


@cost.ends
def settling(
    phi: ActivationLike,
    sigma_w: float,
    sigma_b: float = 0.0,
    *,
    q0: float = 1.0,
    c0: float = 0.5,
    share: float = 0.01,
) -> Settling:
    r"""Layers until lengths are within 1 % of q* and correlations within 0.01 of c*.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases.
    q0, c0 : float
        Mean square of both inputs (above zero) and their correlation.
    share : float
        What counts as near, from 1e-10 to below 1.

    Returns
    -------
    Settling
        Both counts are found by following the layers, not from the depth scales; they are exact
        unless a curve passes the limit within its own error, which the errors then tell. Beyond a
        thousand layers of slow change, or 20,000 of settled lengths, the layers are those of
        :func:`chione.deep_trajectory`.

    Raises
    ------
    ValueError, CostError
        As :func:`chione.trajectory`.

    Notes
    -----
    Lengths that fall towards zero are never within a share of it: there is no number, whether they
    fall exponentially or by a power law. Correlations settle in that case, too.

    References
    ----------
    .. [1] B. Poole, S. Lahiri, M. Raghu, J. Sohl-Dickstein, S. Ganguli, "Exponential expressivity
       in deep neural networks through transient chaos", NeurIPS 2016, figure 1D.

    Examples
    --------
    >>> found = settling("tanh", 1.5, 0.1)
    >>> int(found.lengths.value), int(found.correlations.value)
    (8, 53)
    >>> print(settling("tanh", 0.9, 0.0).lengths.status.word)  # q* = 0
    undefined
    """
    act = activation(phi)
    sigma_w, sigma_b = sigmas(sigma_w, sigma_b)
    q0, c0 = mean_square("q0", q0), float(checks.correlation("c0", checks.finite("c0", c0)))
    share = checks.finite("share", share)
    if not _SMALLEST_SHARE <= share < 1.0:
        raise ValueError(
            f"share must lie between {_SMALLEST_SHARE:g} and 1, but it is {share!r}; the curves "
            "themselves are not known better."
        )
    field = mean_field(act, sigma_w, sigma_b, q0=q0)
    walk = _Walk(act, sigma_w, sigma_b, q0, c0)
    lengths, why_lengths = _of_lengths(field, walk, share)
    correlations, why_correlations = _of_correlations(field, walk, share, c0)
    words = (
        _words(lengths, f"Lengths are within {share:.3g} of q* = {field.q_star.value:.6g}",
               why_lengths),
        _words(correlations, f"Correlations are within {share:.3g} of c* = "
               f"{field.c_star.value:.6g}", why_correlations),
    )  # fmt: skip
    return Settling(share, field.q_star, field.c_star, lengths, correlations, " ".join(words))


class _Walk:
    """The curves of one network, followed as far as they are asked for."""

    def __init__(
        self, act: AbstractActivation, sigma_w: float, sigma_b: float, q0: float, c0: float
    ) -> None:
        self._given = (act, sigma_w, sigma_b)
        self._q0, self._c0 = q0, c0
        self._followed: Trajectory | None = None

    def first_near(self, distance: Distance, limit: float) -> Estimate:
        """The first layer from which on a distance, given with its error, is at most `limit`."""
        while True:
            curves = self._curves
            if curves.status != Status.OK:
                return missing(curves.status)
            far, error = distance(curves)
            if _is_done(far, limit):
                return _count(far - limit, error)
            tail = far[-_RESTING:]
            if np.ptp(tail) <= 4.0 * EPS * tail[-1]:
                return missing(Status.NONE)  # it rests where it is
            n, most = far.size, self._most()
            with np.errstate(all="ignore"):
                pace = -np.log(far[-1] / far[-2])
                ahead = np.log(far[-1] / limit) / pace if pace > 0.0 else np.inf
            wanted = max(2.0 * n, n + 1.3 * ahead) if far[-1] > limit else 2.0 * n
            if n == _CARRIED or wanted > 2.0 * most:  # a slow curve is carried at a few layers
                carried_on = self._carry(distance, limit)
                if carried_on.ok or wanted > 2.0 * most:
                    return carried_on
            if n == most:
                return missing(Status.NOT_COMPUTED)
            self._followed = self._follow(int(min(wanted, _CARRIED if n < _CARRIED else most)))

    @property
    def _curves(self) -> Trajectory:
        """The curves so far; none are followed where lengths are known to diverge."""
        if self._followed is None:
            self._followed = self._follow(_FIRST)
        return self._followed

    def _follow(self, depth: int) -> Trajectory:
        return trajectory(*self._given, depth=depth, q0=self._q0, c0=self._c0)

    def _most(self) -> int:
        """Layers that are followed one by one: many where lengths rest, so that each is quick."""
        q = self._curves.q[:_EARLY]
        rests = q.size < _EARLY or bool(abs(q[-1] - q[-2]) <= _STILL * q[-1])
        return FOLLOWED if rests else _UNSETTLED

    def _carry(self, distance: Distance, limit: float) -> Estimate:
        """Where a slow curve passes the limit: a straight line in logarithms, again and again."""
        curves = carried(*self._given, _FARTHEST, self._q0, self._c0)
        if curves.status != Status.OK:
            return missing(curves.status)
        far, _ = distance(curves)
        if not far[-1] <= limit:
            return missing(Status.SLOW)
        below = int(np.argmax(far <= limit))  # slow curves fall from here on
        if below == 0 or curves.layer[below - 1] < _CARRIED:
            return missing(Status.NOT_COMPUTED)
        ends = [(math.log(curves.layer[k]), _log_share(far[k], limit)) for k in (below - 1, below)]
        for _ in range(_LINES):
            (x0, y0), (x1, y1) = ends
            slope = (y1 - y0) / (x1 - x0)
            at = round(math.exp(min(max(x0 - y0 / slope, x0), x1)))
            curves = carried(*self._given, max(at, _CARRIED + 1), self._q0, self._c0)
            far, error = distance(curves)
            x, y = math.log(at), _log_share(far[-1], limit)
            moved = abs(y / slope)
            if moved <= _EXACT or at in (round(math.exp(x0)), round(math.exp(x1))):
                break
            ends = [(x, y), ends[1]] if y > 0.0 else [ends[0], (x, y)]
        layer = math.ceil(math.exp(x - y / slope))
        # what the errors of the curve, and of the line, are in layers
        doubt = layer * (float(error[-1]) / limit / abs(slope) + moved)
        return Estimate(float(layer), doubt + 1.0)


def _log_share(far: float, limit: float) -> float:
    """Logarithm of a distance over the limit; one that has vanished counts as tiny."""
    return math.log(max(far / limit, 1e-12))


def _is_done(far: Array, limit: float) -> bool:
    """Whether a distance has been within the limit for a while, and goes on falling or is tiny."""
    last = far[-max(2, far.size // 4) :]
    return bool(np.all(last <= limit) and (last[-1] <= last[0] or last[-1] <= 1e-6 * limit))


def _count(far: Array, error: Array) -> Estimate:
    """One beyond the last layer that is away; its error from layers on the verge."""

    def beyond(away: NDArray[np.bool_]) -> float:
        return float(np.flatnonzero(away)[-1] + 2) if away.any() else 1.0

    value = beyond(far > 0.0)
    low, high = beyond(far - error > 0.0), beyond(far + error > 0.0)
    return Estimate(value, max(high - value, value - low))


_STAY = "Correlations stay where the first layers leave them."


def _of_lengths(field: MeanField, walk: _Walk, share: float) -> tuple[Estimate, str]:
    q_star = field.q_star
    if not field.reached:
        return missing(Status.DIVERGENT), "Lengths diverge."
    if q_star.status == Status.CONTINUUM:
        return Estimate.exact(1.0), ""
    if not np.isfinite(q_star.value):
        return missing(q_star.status), "Lengths settle nowhere."
    if q_star.value == 0.0:
        return missing(
            Status.UNDEFINED
        ), "Lengths fall towards 0, and none is within a share of it."

    def distance(curves: Trajectory) -> tuple[Array, Array]:
        off, error = np.abs(curves.q - q_star.value), curves.errors["q"] + q_star.error
        return off / q_star.value, error / q_star.value

    found = walk.first_near(distance, share)
    stay = "Lengths stay where they are." if found.status == Status.NONE else ""
    return found, stay or "The layer at which lengths settle is out of reach."


def _of_correlations(
    field: MeanField, walk: _Walk, share: float, c0: float
) -> tuple[Estimate, str]:
    limit = field.one_minus_c_star
    if not field.reached:
        return missing(Status.NOT_COMPUTED), "Correlations settle nowhere."
    if limit.status == Status.CONTINUUM:
        return missing(Status.CONTINUUM), _STAY
    if not np.isfinite(limit.value):
        return missing(limit.status), "Correlations settle at no known value."
    if c0 == 1.0 and limit.value > share:
        return missing(Status.NONE), "Equal inputs stay equal, though c* attracts all others."

    def distance(curves: Trajectory) -> tuple[Array, Array]:
        off = np.abs(curves.one_minus_c - limit.value)
        return off, curves.errors["one_minus_c"] + limit.error

    found = walk.first_near(distance, share)
    if found.status == Status.NONE:
        return found, _STAY
    return found, "The layer at which correlations settle is out of reach."


def _words(layers: Estimate, near: str, why: str) -> str:
    if np.isfinite(layers.value):
        return f"{near} from layer {layers.value:.6g} on."
    return why
