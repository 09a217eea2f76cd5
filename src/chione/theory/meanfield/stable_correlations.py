r"""The correlation c* of all chaotic cells of a phase diagram.

With :math:`c = \cos\theta` the average slope of the correlation map between c and 1,

.. math:: A(q, \theta) = \frac{1}{1 - c} \int_c^1 R(q, c')\,dc',

decreases in :math:`\theta`, and c* is where :math:`\sigma_w^2 A(q^*, \theta) = 1`. A and R come
from the compiled patches of :mod:`~chione.theory.meanfield.correlation_patches`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array
from chione.base import chebyshev as kit
from chione.base.newton import bracketed_newton
from chione.theory.meanfield.correlation_patches import AT_START, END, N_FIT, OCTAVE, Patch, patch
from chione.theory.moments.moments import moments

_FAINT = 1e-18  # a bound on 1 - c* below which it is not looked for
_CELLS = 1 << 14  # at a time: their coefficients stay in the cache


@dataclass(frozen=True)
class Correlations:
    """Stable fixed points of the correlation maps of n cells.

    Parameters
    ----------
    c, gap, error : ndarray, shape (n,)
        c*, 1 - c*, and the error of both.
    slope, slope_error : ndarray, shape (n,)
        Slope of the correlation map at c*.
    """

    c: Array
    gap: Array
    error: Array
    slope: Array
    slope_error: Array


class CorrelationTable:
    """Kernels of the slopes over all q of the chaotic cells of one diagram.

    Parameters
    ----------
    phi : AbstractActivation
        The activation.
    q, w2, chi : ndarray, shape (n,)
        q* above zero, weight variance and chi_perp of each cell; chi_perp is not used where the
        activation jumps.
    """

    def __init__(self, phi: AbstractActivation, q: Array, w2: Array, chi: Array) -> None:
        self._phi, self._q, self._w2, self._chi = phi, q, w2, chi
        self._jumps = moments(phi).has_jumps

    def solve(self, q_error: Array, chi_error: Array) -> Correlations:
        """c* of every cell, from the errors of q* and of chi_perp."""
        n = self._q.size
        share = 2.0 * q_error / self._q  # of A, which an error of q moves as it moves chi_perp
        if not self._jumps:
            share = np.maximum(share, chi_error / self._chi)
        out = Correlations(*(np.empty(n) for _ in range(5)))
        log_q = np.log(self._q)
        octave = np.floor(log_q / OCTAVE).astype(np.int16)
        order = np.argsort(octave, kind="stable")
        if self._jumps:
            # C is increasing, so 1 - c* <= 1 - C(0) <= sigma_w^2 E phi^2 / q
            bound = self._w2 * moments(self._phi).square_table(self._q) / self._q
            faint = bound <= _FAINT
            out.c[faint], out.gap[faint], out.error[faint] = 1.0, 0.0, bound[faint]
            out.slope[faint] = out.slope_error[faint] = np.nan
            order = order[~faint[order]]
            if order.size == 0:
                return out
        starts = np.flatnonzero(np.diff(octave[order], prepend=octave[order[0]] - 1))
        for cells in np.split(order, starts[1:]):
            for found, mine in self._patches(int(octave[cells[0]]), cells, log_q):
                for start in range(0, mine.size, _CELLS):
                    self._solve(found, mine[start : start + _CELLS], log_q, share, out)
        return out

    def _patches(
        self, octave: int, cells: NDArray[np.intp], log_q: Array, halvings: int = 0, number: int = 0
    ) -> list[tuple[Patch, NDArray[np.intp]]]:
        """Patches that cover the cells of an octave, halved in log q until they hold."""
        if cells.size == 0:
            return []
        found = patch(self._phi, octave, halvings, number)
        if found.holds:
            return [(found, cells)]
        left = log_q[cells] < 0.5 * (found.low + found.high)
        return [
            *self._patches(octave, cells[left], log_q, halvings + 1, 2 * number),
            *self._patches(octave, cells[~left], log_q, halvings + 1, 2 * number + 1),
        ]

    def _solve(
        self,
        patch: Patch,
        cells: NDArray[np.intp],
        log_q: Array,
        share: Array,
        out: Correlations,
    ) -> None:
        x = (2.0 * log_q[cells] - patch.low - patch.high) / (patch.high - patch.low)
        basis: Array = np.asarray(chebyshev.chebvander(x, N_FIT - 1).T)  # (N_FIT, n)
        w2, chi, share = self._w2[cells], self._chi[cells], share[cells]
        ends_in_q = _piece_ends(patch)
        at_edges = ends_in_q @ basis  # (K + 1, n)
        if self._jumps:
            wanted, factor = np.sin(0.5 * patch.edges), w2
            size = np.asarray(w2 * np.abs(at_edges).max(0))
            # the density at a jump far out changes by a large power of q
            turned = chebyshev.chebder(ends_in_q[[0, -1]], axis=1) @ basis[:-1]
            power = np.abs(turned / at_edges[[0, -1]]).max(0) * 2.0 / (patch.high - patch.low)
            share = share * np.maximum(0.5 * power, 1.0)
        else:
            # chi_perp of the moments at c = 1, so that small 1 - c* rest on it alone
            wanted, factor = np.ones_like(patch.edges), np.asarray(chi / at_edges[0])
            size = np.maximum(chi, 1.0)
        excess = factor * at_edges - wanted[:, None]
        noise = size * patch.error + share
        piece = np.clip((excess[1:] > 0.0).sum(0), 0, len(patch.edges) - 2)
        zero = excess[-1] >= -noise
        theta, slope, bend = (np.empty(cells.size) for _ in range(3))
        for k in np.unique(piece):
            mine = np.flatnonzero(piece == k)
            ends = np.asarray(excess[k : k + 2, mine])
            found = self._in_piece(patch, k, basis[:, mine], factor[mine], ends)
            theta[mine], slope[mine], bend[mine] = found
        if zero.any():
            theta[zero] = END
            last = patch.slope[-1]
            ones, ramp = np.ones(N_FIT), np.arange(N_FIT) ** 2.0
            half = 0.5 * (patch.edges[-1] - patch.edges[-2])
            slope[zero] = (ones @ last) @ basis[:, zero]
            bend[zero] = (ramp @ last) @ basis[:, zero] / half
        s = np.sin(theta)
        if self._jumps:
            bend = bend / s - slope * np.cos(theta) / s**2
            slope = slope / s
            noise = size * patch.error / np.sin(0.5 * theta) + share  # of A itself
        slope, bend = w2 * slope, w2 * np.abs(bend) / s
        gap = 2.0 * np.sin(0.5 * theta) ** 2
        error = noise * gap / np.maximum(1.0 - slope, EPS)
        out.gap[cells], out.error[cells] = gap, error + 8.0 * EPS * gap
        out.c[cells] = np.where(zero, 0.0, np.cos(theta))
        out.slope[cells] = slope
        out.slope_error[cells] = noise * np.maximum(np.abs(slope), 1.0) + bend * error

    def _in_piece(
        self, patch: Patch, k: int, basis: Array, factor: Array, ends: Array
    ) -> tuple[Array, Array, Array]:
        """Angle of c*, R there and its derivative, for cells whose root lies in piece k."""
        a, b = patch.edges[k], patch.edges[k + 1]
        half = 0.5 * (b - a)
        average = patch.average[k] @ basis  # (N_FIT, n)
        # from a straight line; at c = 1 a smooth activation starts as a parabola
        start = np.clip(ends[0] / (ends[0] - ends[1]), 0.0, 1.0)
        start = 2.0 * (np.sqrt(start) if k == 0 and not self._phi.kinks else start)

        def f(t: Array, index: NDArray[np.intp]) -> tuple[Array, Array, Array]:
            some = average if index.size == start.size else average[:, index]
            value, slope = kit.series_and_slope(some, t - 1.0)
            value, slope = factor[index] * value, factor[index] * slope
            wanted: Array = np.ones_like(t)
            if self._jumps:
                theta = a + half * t
                wanted = np.sin(0.5 * theta)
                slope = slope - 0.5 * half * np.cos(0.5 * theta)
            return value - wanted, slope, 8.0 * EPS * (value + wanted)

        # t is measured from the end next to c = 1, where an angle may be small
        t = bracketed_newton(f, np.zeros_like(start), np.full_like(start, 2.0), start)
        value, tilt = kit.series_and_slope(patch.slope[k] @ basis, t - 1.0)
        return a + half * t, value, tilt / half


def _piece_ends(patch: Patch) -> Array:
    """Coefficients in log q of the averages at the ends of all pieces, (K + 1, N_FIT)."""
    return np.vstack([AT_START @ patch.average[0], patch.average.sum(1)])
