"""Solutions at any z by turning it from the negative axis, where everything is real and monotone.

From there log z comes down through the strip 0 <= Im log z <= pi, where all functions are analytic,
so Newton's method, started from the tangent, stays on the physical branch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import Array
from chione.freeprob.measures import Booleans, Complex
from chione.theory.spectra.jacobian_widths_branches import NegativeAxis, negative_axis
from chione.theory.spectra.jacobian_widths_equation import WidthsEquation

# Angles of z on its way down; tangents are followed, so steps may grow away from the axis.
_ANGLES = (2.6, 1.9, 1.3, 0.85, 0.5, 0.25, 0.1, 0.0)
_ROUGH = 1e-2  # step of Newton's method that ends it on the way
_HALVINGS = 5  # of the way, for those that lost their branch
_LOWEST = -225.0  # of log |w|: below 1e-98 the cubes in the sums leave the range of float64
UNSEEN = 1e-15  # share of the rank beyond which soft tails are not followed


@dataclass(frozen=True)
class AxisTable:
    """The solution along z = -lambda to a few digits, lambda rising.

    Parameters
    ----------
    log_lambda : ndarray, shape (K,)
        Rising.
    log_w : ndarray, shape (K, G)
        log |w| of each distinct width.
    log_minus_x : ndarray, shape (K,)
        log of -x, falling.
    log_rest : ndarray, shape (K,)
        log of rank + x, rising.
    """

    log_lambda: Array
    log_w: Array
    log_minus_x: Array
    log_rest: Array

    def at(self, log_lambda: Array) -> Complex:
        """Log w of each distinct width at these z = -lambda, shape (m, G)."""
        y, columns = self.log_lambda, self.log_w.T
        # Beyond the table logarithms go on as straight lines.
        low = np.minimum(log_lambda - y[0], 0.0)
        high = np.maximum(log_lambda - y[-1], 0.0)
        out = [np.interp(log_lambda, y, c) for c in columns]
        for k, c in enumerate(columns):
            out[k] = out[k] + low * (c[1] - c[0]) / (y[1] - y[0])
            out[k] = out[k] + high * (c[-1] - c[-2]) / (y[-1] - y[-2])
        return np.stack(out, axis=1) + 1j * np.pi

    @property
    def reach(self) -> tuple[float, float]:
        """Log lambda below and above which less than about 1e-15 of the rank lies."""
        rank = self.log_minus_x[0]
        low = np.interp(rank + np.log(UNSEEN), self.log_rest, self.log_lambda)
        followed = self.log_lambda[np.all(self.log_w > _LOWEST, axis=1)]
        low = max(low, followed[0])
        high = np.interp(-(rank + np.log(UNSEEN)), -self.log_minus_x, self.log_lambda)
        return float(low), float(high)


def axis_table(eq: WidthsEquation) -> AxisTable:
    """Tabulate the negative axis."""
    return _tabulate(eq, negative_axis(eq.law))


def _tabulate(eq: WidthsEquation, axis: NegativeAxis) -> AxisTable:
    a, n = eq.groups
    b, e = eq.factors
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        if not eq.narrowest_layer:  # the input is the bottleneck: x_0 = -1 / (1 + e^u)
            log_minus_x = np.log(eq.ratios[0]) - np.logaddexp(0.0, axis.u)
            log_rest = np.log(eq.ratios[0]) - np.logaddexp(0.0, -axis.u)
        else:
            log_minus_x = axis.log_minus_m - np.log(a[-1])
            log_rest = axis.log_rest - np.log(a[-1])
        log_w = np.stack([axis.log_w(log_minus_x + np.log(g), log_rest, eq, g) for g in a], axis=1)
        one = -np.exp(log_minus_x)[:, None] * b
        log_one = np.log1p(np.maximum(one, -1.0))
        rank_place = abs(b * eq.rank - 1.0) < 1e-12  # 1 + b x = b (rank + x) there
        log_one[:, rank_place] = (log_rest[:, None] + np.log(b))[:, rank_place]
        y = eq.constant + (eq.depth - 1) * log_minus_x + log_w @ n + log_one @ e
    keep = np.isfinite(y) & np.isfinite(log_rest) & np.all(np.isfinite(log_w), axis=1)
    y, log_w, log_minus_x, log_rest = y[keep], log_w[keep], log_minus_x[keep], log_rest[keep]
    # Rounding may break the order where -x has reached the rank: only rising steps are kept.
    rising = np.concatenate([[True], y[1:] > np.maximum.accumulate(y)[:-1]])
    return AxisTable(y[rising], log_w[rising], log_minus_x[rising], log_rest[rising])


def turn(
    eq: WidthsEquation, table: AxisTable, log_lambda: Array, angle: Array | float = 0.0
) -> tuple[Complex, Booleans]:
    """The physical log w, shape (m, G), at log z = log_lambda + i angle, and where it was found."""
    y = np.asarray(log_lambda, dtype=np.float64)
    end = np.broadcast_to(np.asarray(angle, dtype=np.float64), y.shape)
    log_w, good = _down(eq, table, y, end, _ANGLES)
    angles = _ANGLES
    for _ in range(_HALVINGS):
        bad = np.nonzero(~good)[0]
        if bad.size == 0:
            break
        full = np.array([np.pi, *angles])
        angles = tuple(np.sort(np.concatenate([angles, 0.5 * (full[1:] + full[:-1])]))[::-1])
        log_w[bad], good[bad] = _down(eq, table, y[bad], end[bad], angles)
    return log_w, good


def _down(
    eq: WidthsEquation, table: AxisTable, y: Array, end: Array, angles: tuple[float, ...]
) -> tuple[Complex, Booleans]:
    log_w = table.at(y)
    theta = np.full(y.size, np.pi)
    good = np.ones(y.size, dtype=bool)
    for stage in angles:
        new = np.maximum(stage, end)
        with np.errstate(all="ignore"):
            here = eq.at(log_w)
            gap = y + 1j * theta - here.log_z
            step = here.residual + here.rate * ((gap + 1j * (new - theta)) / here.slope)[:, None]
            guess = log_w + step
            # The tangent may leave the strip near an edge: then a share of the angle is kept.
            floor = np.maximum(0.3 * log_w.imag, new[:, None])
            guess.imag = np.where(guess.imag > new[:, None], guess.imag, floor)
            guess.imag = np.minimum(guess.imag, np.pi - 1e-14)
            guess = np.where(np.isfinite(guess), guess, log_w)
        rough = 0.0 if np.all(new <= end) else _ROUGH
        log_w, ok = eq.solve(y + 1j * new, guess, rough=rough)
        good &= ok & np.all(log_w.imag > 0.0, axis=1)
        theta = new
        if np.all(theta <= end):
            break
    return log_w, good
