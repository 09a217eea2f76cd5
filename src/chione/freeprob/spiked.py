"""The subordination function of one part of a free sum or product, in the gaps of the support."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from chione.base import EPS, Array, Estimate, Status, missing
from chione.freeprob.edges import edges
from chione.freeprob.free_product import FreeProduct
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.local_form import around, critical_point, value_at
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.solved import Solved
from chione.freeprob.summands import hull, is_constant

_SAME = 1e-9  # part of a gap below which two places are one
_POINTS = 96  # of a gap, crowded at its ends, at which the subordination function is looked at
_FITS = 4  # of z as a function of omega, each around the place that the last one gave
_STEPS = 60  # of Newton's method inside of a bracket, or halvings of it
_SHRINK = (0.5, 0.1, 0.02)  # distances from an end, of which those fits are taken that agree best
_GOOD = 1e-6  # misfit, in units of the distance, up to which a critical spike is believed
_FINE = 1e-10  # error, in units of the distance to the next end, above which a fit is tried
_NOISE = 256.0 * EPS  # rounding of omega, as the critical point of a fitted polynomial has it
_LOST = 0.01  # error, in the same units, above which there is no answer
_STEP = 1e-5  # part of the distance to the next end over which an overlap is differenced


@dataclass(frozen=True)
class Gap:
    """An open interval free of the bulk; the ends are None where it reaches out to infinity.

    Parameters
    ----------
    low, high : Estimate or None
        Its ends, ends of bands or atoms.
    side : str
        ``"below"`` all bands, ``"above"``, or in a ``"gap"``.
    """

    low: Estimate | None
    high: Estimate | None
    side: str


def gaps_of(law: FreeSum | FreeProduct) -> tuple[Gap, ...]:
    """The gaps of the support, from below; of a product those of the half line."""
    bands: list[list[Estimate]] = []
    lower: Estimate | None = None
    for edge in edges(law):
        if edge.side == "lower":
            lower = edge.place
        elif edge.side == "atom":
            if lower is None:
                bands.append([edge.place, edge.place])
        elif lower is not None:
            if bands and float(lower.value) <= float(bands[-1][1].value) + float(lower.error):
                bands[-1][1] = edge.place  # two bands that just meet
            else:
                bands.append([lower, edge.place])
            lower = None
    below = None
    if isinstance(law, FreeProduct):
        below = Estimate(0.0, 0.0)
    out = []
    if below is None or float(bands[0][0].value) > 1e-12 * float(bands[-1][1].value):
        out.append(Gap(below, bands[0][0], "below"))
    for left, right in pairwise(bands):
        out.append(Gap(left[1], right[0], "gap"))
    return (*out, Gap(bands[-1][1], None, "above"))


@dataclass(frozen=True)
class SpikedPart:
    r"""One part of a convolution with its subordination function omega.

    Parameters
    ----------
    law : FreeSum or FreeProduct
        The convolution.
    part : AbstractMeasure
        One of its parts.
    """

    law: FreeSum | FreeProduct
    part: AbstractMeasure

    @cached_property
    def multiplicative(self) -> bool:
        """Whether the law is a product."""
        return isinstance(self.law, FreeProduct)

    def omega(self, z: Complex) -> tuple[Complex, Complex, Array]:
        """Omega, domega/dz, and the error of z that the error of omega stands for."""
        zeta = self.law.zeta(z)
        with np.errstate(all="ignore"):
            s = self.law.system.solve(zeta)
            u, slope = self._coordinate(s)
            error = self.law.system.error(zeta, s)
            if self.multiplicative:
                w = np.exp(u.real) * (np.cos(u.imag) + 1j * np.sin(u.imag))
                w = np.where(u.imag == np.pi, w.real + 0j, w)
                return w, w * slope / z, error * abs(z)
        return u, slope, error

    def _coordinate(self, s: Solved) -> tuple[Complex, Complex]:
        """U = omega or its logarithm, and du/dzeta."""
        if is_constant(self.part):  # f_i(u) = f is u - c = f
            shift = np.log(self.part.mean) if self.multiplicative else self.part.mean
            return s.f + shift, s.slope
        laws = self.law.system.laws
        i = next(k for k, law in enumerate(laws) if law is self.part or law == self.part)
        rise = self.law.system.chart.pair(laws[i], s.u[i])[1]
        return s.u[i], s.slope / rise

    # ---- critical spikes ---------------------------------------------------------------------

    def ends(self, gap: Gap) -> tuple[Estimate | None, Estimate | None]:
        """The values of omega at the ends of a gap; None at infinity and at zero of a product."""
        found: list[Estimate | None] = []
        for end, inward in ((gap.low, 1.0), (gap.high, -1.0)):
            if end is None or (gap.side == "below" and end is gap.low):
                found.append(None)
            else:
                found.append(self._critical(float(end.value), inward, self._width(gap)))
        return found[0], found[1]

    def _width(self, gap: Gap) -> float:
        low, high = hull(self.law)
        if gap.low is None or gap.high is None:
            return max(high - low, EPS * max(abs(low), abs(high)))
        return float(gap.high.value) - float(gap.low.value)

    def _critical(self, edge: float, inward: float, width: float) -> Estimate:
        room = min(
            [width, *(abs(x - edge) for x in self._singular if abs(x - edge) > 1e-9 * width)]
        )
        values = []
        for shrink in _SHRINK:
            d = around(edge, room, shrink)
            w = self.omega(edge + d)[0]
            if np.all(np.isfinite(w)):
                theta, _, _, misfit = critical_point(d, w)
                if misfit < _GOOD * shrink * room:
                    values.append(theta)
        if len(values) >= 2:
            gaps = [abs(a - b) for a, b in pairwise(values)]
            k = int(np.argmin(gaps))
            return Estimate(values[k + 1], float(4.0 * gaps[k] + _NOISE * abs(values[k])))
        at = self.omega(_complex(edge + inward * _SAME * width * np.array([1.0, 4.0])))[0].real
        # the distance from the end grows like the root of z, or faster
        return Estimate(float(2.0 * at[0] - at[1]), float(2.0 * abs(at[1] - at[0])), Status.INEXACT)

    @cached_property
    def _singular(self) -> list[float]:
        return [x for band in self.law.support for x in band]

    # ---- places ------------------------------------------------------------------------------

    def solve(
        self, gap: Gap, critical: tuple[Estimate | None, Estimate | None], theta: float
    ) -> list[tuple[Estimate, Estimate]]:
        """Places in the gap where omega = theta, with their overlaps."""
        if self.multiplicative and theta == 0.0:
            return self._null(gap)
        z, w = self._sampled(gap, critical, theta)
        rises = (w[:-1] < theta) & (w[1:] >= theta)  # omega increases, but through infinity
        return [self._polished(z[i], z[i + 1], theta, gap) for i in np.nonzero(rises)[0]]

    def _null(self, gap: Gap) -> list[tuple[Estimate, Estimate]]:
        """The kernel of a factor is the kernel of the product."""
        exact = Estimate(0.0, 0.0), Estimate(1.0, 0.0)
        return [exact] if gap.side == "below" else []

    def _sampled(
        self, gap: Gap, critical: tuple[Estimate | None, Estimate | None], theta: float
    ) -> tuple[Array, Array]:
        """Places and omega there, its values at the ends of bands among them."""
        low, high = self._limits(gap, theta)
        u = 0.5 - 0.5 * np.cos(np.pi * (np.arange(_POINTS) + 0.5) / _POINTS)
        if gap.low is None:
            z = high - (high - low) * u[::-1] ** 2
        elif gap.high is None:
            z = low + (high - low) * u**2
        else:
            z = low + (high - low) * u
        w = self.omega(_complex(z))[0].real
        known = np.isfinite(w)
        z, w = z[known], w[known]
        if critical[0] is not None:
            z, w = np.r_[low, z], np.r_[float(critical[0].value), w]
        elif self.multiplicative:
            z, w = np.r_[0.0, z], np.r_[0.0, w]
        if critical[1] is not None:
            z, w = np.r_[z, high], np.r_[w, float(critical[1].value)]
        return z, w

    def _limits(self, gap: Gap, theta: float) -> tuple[float, float]:
        """The gap, cut off where by Weyl's inequalities no outlier lies."""
        low, high = hull(self.law)
        if self.multiplicative:
            far = 1.1 * high * max(1.0, theta / self._top)
            return float(gap.low.value) if gap.low else 0.0, float(
                gap.high.value
            ) if gap.high else far
        reach = sum(n * max(abs(x) for x in hull(law)) for law, n in self.law.expand())
        far = 1.1 * (abs(theta) + reach + max(abs(low), abs(high)))
        return (
            float(gap.low.value) if gap.low else -far,
            float(gap.high.value) if gap.high else far,
        )

    @cached_property
    def _top(self) -> float:
        return hull(self.part)[1]

    def _polished(self, a: float, b: float, theta: float, gap: Gap) -> tuple[Estimate, Estimate]:
        """Where omega = theta inside of the bracket (a, b), by fits around guesses, then Newton."""
        ends = [float(e.value) for e in (gap.low, gap.high) if e is not None]
        z = 0.5 * (a + b)
        for _ in range(_FITS):
            room = min(abs(z - e) for e in ends)
            found = self._fitted(z, theta, room)
            new = float(found[0].value)
            if not a <= new <= b:
                break
            z = new
            if float(found[0].error) <= _FINE * room:
                exact = self._answer(z, theta, room)
                better = float(exact[0].error) <= float(found[0].error)
                return exact if better else found
        z = self._stepped(a, b, theta)
        room = min(abs(z - e) for e in ends)
        exact = self._answer(z, theta, room)
        return exact if float(exact[0].error) <= _FINE * room else self._fitted(z, theta, room)

    def _stepped(self, a: float, b: float, theta: float) -> float:
        """Newton's method inside of a bracket."""
        z = 0.5 * (a + b)
        for _ in range(_STEPS):
            w, slope = (float(x[0].real) for x in self.omega(_complex([z]))[:2])
            if not np.isfinite(w):
                break
            a, b = (z, b) if w < theta else (a, z)
            step = z - (w - theta) / slope
            new = step if a < step < b else 0.5 * (a + b)
            done = abs(new - z) <= 2.0 * EPS * abs(z) or new in (a, b)
            z = new
            if done:
                break
        return z

    def _answer(self, z: float, theta: float, room: float) -> tuple[Estimate, Estimate]:
        """Place and overlap at a solved z."""
        h = _STEP * room
        at = _complex([z, z - h, z + h])
        w, slope, error = self.omega(at)
        with np.errstate(all="ignore"):
            place_error = abs((w[0].real - theta) / slope[0].real) + error[0] + 4.0 * EPS * abs(z)
            share = self._share(theta, at.real, 1.0 / slope.real)
            bend = abs(share[2] - share[1]) / (2.0 * h)
        if not np.isfinite(place_error + bend):
            return missing(Status.NOT_COMPUTED), missing(Status.NOT_COMPUTED)
        overlap_error = 2.0 * bend * place_error + 64.0 * EPS
        return Estimate(float(z), float(place_error)), Estimate(
            float(share[0]), float(overlap_error)
        )

    def _share(self, theta: float, z: Array, rate: Array) -> Array:
        """The overlap from z and dz/domega."""
        return np.asarray(theta / z * rate if self.multiplicative else rate)

    def _fitted(self, z: float, theta: float, room: float) -> tuple[Estimate, Estimate]:
        """The same from points around z: at a zero of G one of the other omegas is infinite."""
        found = []
        for shrink in (10.0, 4.0):
            d = around(z, room, shrink)
            w = self.omega(z + d)[0]
            known = np.isfinite(w)
            place, rate, misfit = value_at(d[known], w[known], theta)
            found.append(
                (z + place, float(self._share(theta, np.array(z + place), np.array(rate))))
            )
        (z1, p1), (z2, p2) = found
        place_error = 4.0 * abs(z1 - z2) + misfit + 16.0 * EPS * abs(z1)
        if not place_error < _LOST * room:
            return missing(Status.NOT_COMPUTED), missing(Status.NOT_COMPUTED)
        return (
            Estimate(float(z2), float(place_error)),
            Estimate(float(p2), float(4.0 * abs(p1 - p2) + 256.0 * EPS)),
        )


def _complex(x: Any) -> Complex:
    return np.asarray(x, dtype=complex)
