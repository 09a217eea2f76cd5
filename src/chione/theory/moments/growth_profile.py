r"""How an activation grows over all sizes of its argument, and with it the length map over all q.

The activation is looked at on a logarithmic grid from 1e-150 to 1e150; this gives
:math:`E\,\phi(\sqrt q z)^2` to some ten percent at every q, at the cost of one call. No digit of
a result rests on it: it says where, in which decades of q, a length map can cross the diagonal,
and what becomes of it beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import Array

_OCTAVES = 500  # of h, on both sides of 1
_PER_OCTAVE = 4
_STEP = 1.0 / _PER_OCTAVE
_STEEP = 20.0  # local power beyond which an overflow is growth, not a formula that breaks
_WINDOW = np.arange(-2 * _PER_OCTAVE, 4 * _PER_OCTAVE + 1) * _STEP  # of log2 z
_LN2 = float(np.log(2.0))
_SETTLED = 1e-12  # of log2 S / q: its own rounding is a tenth of that
_NEAR = 1.0  # of log2 V / q: where the profile cannot tell on which side of the diagonal V is
_TAIL = 400  # octaves of q from which the power at infinity is read
_LINEAR = 1.5e-3  # of that power: sampling x sin x leaves 2e-4, x log x is 4e-3 from 1
_BENT = 0.3  # of log2 phi'^2: a slope has left the power it follows towards an end
_FAINT = -960.0  # log2 of values near the end of float64
_FINE = 8  # an octave: E phi^2 has no feature narrower than about one octave of q
_ASIDE = 1.0 / 3.0  # of an octave: no point of a scan is a round number, as fixed points often are


@dataclass(frozen=True)
class GrowthProfile:
    r"""Binary logarithm of a coarse :math:`S(q) = E\,\phi^2` on a grid of log2 q.

    Parameters
    ----------
    log2_q, log2_square : ndarray, shape (n,)
        The grid, and the logarithm of the mean square; inf where it overflows by growth.
    linear_below, linear_above : float
        Below and above these q, S / q is one number; 0 and inf where it never is.
    """

    log2_q: Array
    log2_square: Array
    linear_below: float
    linear_above: float

    def crossings(self, w2: Array, b2: Array) -> tuple[float, float] | None:
        """Smallest and largest q between which V of any such variances can meet the diagonal.

        Parameters
        ----------
        w2, b2 : ndarray
            Variances of weights and biases; all pairs are meant.

        Returns
        -------
        tuple of float or None
            None where V stays far from the diagonal everywhere.
        """
        low = self.log2_ratio(float(w2.min()), float(b2.min()))
        high = self.log2_ratio(float(w2.max()), float(b2.max()))
        near = np.flatnonzero((low <= _NEAR) & (high >= -_NEAR))
        if near.size == 0:
            return None
        first, last = np.exp2(self.log2_q[[max(near[0] - 2, 0), min(near[-1] + 2, low.size - 1)]])
        smallest = float(b2[b2 > 0.0].min(initial=np.inf))
        if self.linear_above <= self.linear_below:  # S = a q: only a bias sets a scale
            bends = (1e-2, 1e2) if smallest == np.inf else (smallest, float(b2.max()))
        else:
            bends = (min(self.linear_below, smallest), max(self.linear_above, float(b2.max())))
        # from a bend outwards V / q changes at least as 1 / q; what is below rounding is no root
        first = max(first, min(1e-5 * self.linear_below, 0.25 * smallest, 0.25 * bends[0]))
        last = min(last, max(1e5 * self.linear_above, 1e17 * float(b2.max()), 4.0 * bends[1]))
        return float(first), float(max(last, 4.0 * first))

    def grid(self, w2: Array, b2: Array) -> Array:
        """Values of q, eight an octave, between which all fixed points above zero lie.

        They begin and end at octaves of :data:`_ASIDE`, so that many pairs of variances share
        them.
        """
        ends = self.crossings(w2, b2)
        if ends is None:
            return np.empty(0)
        low, high = np.log2(ends) - _ASIDE
        low, high = np.floor(low), np.ceil(high)
        n = int((high - low) * _FINE) + 1
        return np.asarray(np.exp2(_ASIDE + np.linspace(low, high, n)))

    def log2_ratio(self, w2: float, b2: float) -> Array:
        """log2 of V(q) / q."""
        with np.errstate(divide="ignore"):
            held = np.full_like(self.log2_q, -np.inf)
            if w2 > 0.0:
                held = np.log2(w2) + self.log2_square
            return np.asarray(np.logaddexp2(held, np.log2(b2)) - self.log2_q)

    def is_above_at_last(self, w2: Array, b2: Array) -> NDArray[np.bool_]:
        """Whether V(q) > q at the largest q that can be looked at, of pairs that broadcast."""
        with np.errstate(divide="ignore"):
            held = np.log2(w2) + self.log2_square[-1]
            return np.asarray(np.logaddexp2(held, np.log2(b2)) > self.log2_q[-1])

    @property
    def last_power(self) -> float:
        r"""The exponent a of :math:`S \sim q^a` at the largest q; exactly 1 if S / q settles."""
        n = _TAIL * _PER_OCTAVE // 2
        x, y = self.log2_q[-n:], self.log2_square[-n:]
        if not np.all(np.isfinite(y)):
            return float("inf") if y[-1] > 0.0 else 0.0
        power = _slope(x, y)
        return 1.0 if abs(power - 1.0) <= _LINEAR else power


@lru_cache(maxsize=128)
def own_unit(phi: AbstractActivation) -> float:
    """The q about which the slope of phi changes; 1 where that is within four decades of 1.

    Scans over q that are made for activations of unit size are moved there.
    """
    u = np.asarray(np.arange(-_OCTAVES * _PER_OCTAVE, _OCTAVES * _PER_OCTAVE + 1) * _STEP)
    h = np.asarray(np.exp2(u), dtype=np.float64)
    with np.errstate(all="ignore"):
        logs = [np.asarray(np.log2(np.abs(phi.derivative(x)))) for x in (h, -h)]
        sides = [_repaired(log, u) for log in logs]
        size = np.asarray(np.logaddexp2(2.0 * sides[0], 2.0 * sides[1]))
    faint = _underflows(np.maximum(*logs))
    ends = []
    for order in (1, -1):
        y = size[::order]
        n = 50 * _PER_OCTAVE
        if not np.all(np.isfinite(y[:n])):
            continue
        x = np.arange(float(y.size))
        off = np.abs(y - y[0] - _slope(x[:n], y[:n]) * x)
        off[faint[::order]] = 0.0  # a power that leaves float64 does not bend there
        if off[:n].max() <= 0.1 and np.any(off > _BENT):  # not the noise of an oscillation
            ends.append(2.0 * float(u[::order][int(np.argmax(off > _BENT))]))
    if not ends:
        return 1.0
    unit = float(np.exp2(np.mean(ends)))
    return 1.0 if 1e-4 <= unit <= 1e4 else unit


def _underflows(log2: Array) -> NDArray[np.bool_]:
    """Where a function falls below float64; not where it is zero, having been of some size."""
    tiny = log2 < _FAINT
    return np.asarray(tiny & bool(np.any(tiny & np.isfinite(log2))))


@lru_cache(maxsize=128)
def growth_profile(phi: AbstractActivation) -> GrowthProfile:
    """The profile of an activation, kept for the next call."""
    steps = np.arange(-_OCTAVES * _PER_OCTAVE, _OCTAVES * _PER_OCTAVE + 1)
    u = np.asarray(steps * _STEP, dtype=np.float64)
    h = np.asarray(np.exp2(u), dtype=np.float64)
    with np.errstate(all="ignore"):
        sides = [_repaired(np.asarray(np.log2(np.abs(phi.value(x)))), u) for x in (h, -h)]
        both = np.logaddexp2(2.0 * sides[0], 2.0 * sides[1]) - 1.0
        square = _mean_square(u, np.asarray(both))
        keep = slice(4 * _PER_OCTAVE, None)
        return GrowthProfile(2.0 * u[keep], square[keep], *_linear(2.0 * u[keep], square[keep]))


def _repaired(log2: Array, u: Array) -> Array:
    """Follow the last power where a formula breaks (inf - inf, inf / inf, an early overflow)."""
    log2 = np.where(log2 == np.inf, np.nan, log2)
    known = np.flatnonzero(~np.isnan(log2))
    if known.size < 2:
        return np.full_like(log2, -np.inf)
    out = np.asarray(np.interp(u, u[known], log2[known]))
    last, first = known[-1], known[0]
    if last < log2.size - 1:
        some = known[-16 * _PER_OCTAVE :]
        some = some[np.isfinite(log2[some])]
        local = (log2[last] - log2[known[-2]]) / (u[last] - u[known[-2]])
        if local > _STEEP:
            grown = np.full_like(u, np.inf)
        elif some.size < 2 or not np.isfinite(log2[last]):
            grown = np.full_like(u, log2[last])
        else:
            slope = _slope(u[some], log2[some])
            grown = log2[last] + slope * (u - u[last])
        out = np.where(u > u[last], grown, out)
    return np.where(u < u[first], log2[first], out)


def _mean_square(u: Array, both: Array) -> Array:
    r"""log2 of :math:`\int \phi^2 p(z)\,dz` with h = sqrt(q) z, on the grid of h."""
    # z from 1/4 to 16 point by point
    log2_weight = _WINDOW - 0.5 * np.exp2(2.0 * _WINDOW) / _LN2
    log2_weight += np.log2(2.0 / np.sqrt(2.0 * np.pi) * _STEP * _LN2)
    n = both.size
    padded = np.concatenate([_beyond(both[::-1])[::-1], both, _beyond(both)])
    first = 64 + round(_WINDOW[0] * _PER_OCTAVE)
    terms = np.stack([padded[first + k : first + k + n] + w for k, w in enumerate(log2_weight)])
    # smaller z: the density is flat there, so that a running integral over h serves all q
    head = both + u + np.log2(2.0 / np.sqrt(2.0 * np.pi) * _STEP * _LN2)
    # below the grid the first power goes on: a geometric series of steps
    falls = np.exp2(-max(float(head[1] - head[0]), _STEP)) if np.isfinite(head[0]) else 0.0
    head[0] -= np.log2(1.0 - falls)
    total = np.logaddexp2.accumulate(head) - u
    shift = round(-_WINDOW[0] * _PER_OCTAVE) + 1
    small = np.full(n, -np.inf)
    small[shift:] = total[:-shift] - shift * _STEP
    top = np.maximum(terms.max(0), small)
    finite = np.isfinite(top)
    out: Array = top.copy()
    rest = np.exp2(terms[:, finite] - top[finite]).sum(0) + np.exp2(small[finite] - top[finite])
    out[finite] += np.log2(rest)
    return np.asarray(out)


def _beyond(both: Array) -> Array:
    """Further values of the last power, for the Gaussian tail beyond the end of the grid."""
    last = both[-16 * _PER_OCTAVE :]
    slope = _slope(np.arange(float(last.size)), last) if np.all(np.isfinite(last)) else 0.0
    return np.asarray(both[-1] + slope * np.arange(1, 65))


def _slope(x: Array, y: Array) -> float:
    """Of the straight line nearest to the points: oscillation averages out."""
    return float(np.polynomial.polynomial.polyfit(x - x[0], y, 1)[1])


def _linear(log2_q: Array, log2_square: Array) -> tuple[float, float]:
    """Largest q below which, and smallest above which S / q stays what it is."""
    out = []
    for order, none in ((1, 0.0), (-1, float("inf"))):
        ratio = (log2_square - log2_q)[::order]
        tail = ratio[: 50 * _PER_OCTAVE]
        half = tail.size // 2
        if not np.all(np.isfinite(tail)) or abs(tail[:half].mean() - tail[half:].mean()) > 0.5:
            out.append(none)
            continue
        middle = 0.5 * (tail.max() + tail.min())  # oscillation leaves noise in what is sampled
        same = np.abs(ratio - middle) <= max(_SETTLED, 4.0 * (tail.max() - middle))
        length = same.size if same.all() else int(np.argmin(same))
        out.append(float(np.exp2(log2_q[::order][length - 1])) if length >= tail.size else none)
    return out[0], out[1]
