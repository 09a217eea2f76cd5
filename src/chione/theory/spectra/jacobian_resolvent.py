r"""Roots of the master equation at complex z: the resolvent of the spectrum in the half plane.

With principal logarithms :math:`\mathrm{Im} \log z` is harmonic in the upper half plane of w, at
most 0 on the positive axis and pi on the negative one. So :math:`w \mapsto \log z` is one to one
from the region where it is positive onto the strip between 0 and pi: a root found there, from
whatever start, is the physical one, and no other sheet can be met.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import Booleans, Complex
from chione.theory.spectra.jacobian_bands import Band
from chione.theory.spectra.jacobian_curve import Curve
from chione.theory.spectra.jacobian_equation import MasterEquation

_RADII = 24  # radii of the table per band
_OUTSIDE = np.concatenate([np.geomspace(1e-6, 1.0, 7), np.arange(2.0, 40.0, 3.0)])
_ANGLES = np.array([0.0, 0.02, 0.06, 0.13, 0.25, 0.4, 0.6, 0.8, 1.0])  # of theta_0 .. pi
_STEPS = 40  # of Newton's method
_CLOSE = 1e-8  # step of Newton's method after which no further one is needed
_TURNS = (24, 200)  # stages from the negative axis where the table gives no good start


@dataclass(frozen=True)
class HalfPlane:
    """A table of pairs (log w, log z) over the upper half plane, from which Newton starts."""

    eq: MasterEquation
    log_w: Complex
    log_z: Complex
    slope: Complex

    def roots(self, log_z: Complex) -> tuple[Complex, Booleans]:
        """Log w at log z with 0 < Im log z <= pi, and whether it was found."""
        near = self._nearest(log_z)
        start = self.log_w[near] + (log_z - self.log_z[near]) / self.slope[near]
        inside = (start.imag > 0.0) & (start.imag <= np.pi)
        log_w, good = _newton(self.eq, log_z, np.where(inside, start, self.log_w[near]))
        for stages in _TURNS:
            bad = np.nonzero(~good)[0]
            if bad.size == 0:
                break
            log_w[bad], good[bad] = self._turned(log_z[bad], stages)
        return log_w, good

    def _nearest(self, log_z: Complex) -> Array:
        """Index of the nearest point of the table, on the scale of the distance to the axis."""
        gap = abs(log_z[:, None] - self.log_z)
        scale = log_z.imag[:, None] + self.log_z.imag
        return np.asarray(np.argmin(gap / np.maximum(scale, 1e-300), axis=1))

    def _turned(self, log_z: Complex, stages: int) -> tuple[Complex, Booleans]:
        """From the negative axis, where everything is real and monotone, through the half plane."""
        axis = self.log_w.imag == np.pi
        order = np.argsort(self.log_z.real[axis])
        known, radius = self.log_z.real[axis][order], self.log_w.real[axis][order]
        log_w = np.interp(log_z.real, known, radius) + 1j * np.pi
        good = np.ones(log_z.size, dtype=bool)
        for share in 1.0 - np.linspace(0.0, 1.0, stages) ** 1.5:
            at = log_z.real + 1j * (log_z.imag + (np.pi - log_z.imag) * share)
            log_w, good = _newton(self.eq, at, log_w)
            log_w = np.where(good, log_w, log_w.real + 0.5j * np.pi)
        return log_w, good


def half_plane(eq: MasterEquation, bands: tuple[Band, ...], curves: tuple[Curve, ...]) -> HalfPlane:
    """The table: radii along the bands and beyond them, angles from the root to the axis."""
    radii, angle = [], []
    for band, curve in zip(bands, curves, strict=True):
        pick = np.linspace(0, curve.log_w.size - 1, _RADII).round().astype(int)
        radii.append(curve.log_w.real[pick])
        angle.append(curve.log_w.imag[pick])
        for end, side in zip(band.log_r, (-1.0, 1.0), strict=True):
            if np.isfinite(end):
                radii.append(end + side * _OUTSIDE)
                angle.append(np.full(_OUTSIDE.size, 1e-3))
    if not radii:  # one atom: w lies everywhere
        middle = float(np.log(eq.law.nodes[0].max()))
        radii.append(middle + np.concatenate([-_OUTSIDE[::-1], _OUTSIDE]))
        angle.append(np.full(radii[0].size, 1e-3))
    r, theta = np.concatenate(radii), np.concatenate(angle)
    log_w = (r[:, None] + 1j * (theta[:, None] + (np.pi - theta[:, None]) * _ANGLES)).ravel()
    log_w.imag[np.tile(_ANGLES == 1.0, r.size)] = np.pi
    y = eq.at(log_w)
    ok = np.isfinite(y.log_z) & (y.log_z.imag > -1e-9) & (y.slope != 0.0)
    return HalfPlane(eq, log_w[ok], y.log_z[ok], y.slope[ok])


def _newton(eq: MasterEquation, log_z: Complex, start: Complex) -> tuple[Complex, Booleans]:
    """Newton in log w, held inside the half plane; on its negative axis the angle stays pi."""
    log_w = np.array(start, dtype=complex)
    good = np.zeros(log_w.size, dtype=bool)
    active = np.arange(log_w.size)
    axis = log_z.imag >= np.pi
    log_w.imag[axis] = np.pi
    for _ in range(_STEPS):
        w = log_w[active]
        y = eq.at(w)
        with np.errstate(all="ignore"):
            step = (y.log_z - log_z[active]) / y.slope
            step = np.where(axis[active], step.real + 0j, step)
            room = np.where(step.imag > 0.0, w.imag, np.pi - w.imag)
            hold = np.minimum(1.0, 0.7 * room / np.maximum(abs(step.imag), 1e-300))
            hold = np.where(axis[active], 1.0, hold)
            hold = np.minimum(hold, 1.0 / np.maximum(abs(step), 1e-300))
        log_w[active] = w - step * hold
        bad = ~np.isfinite(step)
        ended = (abs(step) <= _CLOSE * np.minimum(1.0, w.imag)) & (hold == 1.0)
        good[active[ended & ~bad]] = True
        active = active[~(ended | bad)]
        if active.size == 0:
            break
    return log_w, good


def off_bands(eq: MasterEquation, x: Array, low: Array, high: Array) -> Complex:
    """Real log w at real log z = x between two bands, where log z rises: by bisection."""
    for _ in range(80):
        mid = 0.5 * (low + high)
        up = eq.at(mid + 0j).log_z.real < x
        low, high = np.where(up, mid, low), np.where(up, high, mid)
        if np.all(high - low <= 2.0 * EPS * np.maximum(abs(mid), 1.0)):
            break
    return np.asarray(0.5 * (low + high) + 0j)
