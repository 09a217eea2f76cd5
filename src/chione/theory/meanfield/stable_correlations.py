r"""The correlation c* of all chaotic cells of a phase diagram.

With :math:`c = \cos\theta` the average slope of the correlation map between c and 1,

.. math:: A(q, \theta) = \frac{1}{1 - c} \int_c^1 R(q, c')\,dc',

decreases in :math:`\theta`, and c* is where :math:`\sigma_w^2 A(q^*, \theta) = 1`. A and R are
Chebyshev expansions in :math:`\log q` and :math:`\theta` at once, on patches that are halved until
they hold. Where the activation jumps, :math:`A \sin(\theta/2)` and :math:`R \sin\theta` are
expanded instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError
from chione.base import chebyshev as kit
from chione.base.newton import bracketed_newton
from chione.gaussian.panels import NODES, WEIGHTS
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import slope_at
from chione.theory.moments.slope_flow import SlopeFlow

N_FIT = 16
_X, _TO_CHEBYSHEV = kit.nodes(N_FIT), kit.fit_matrix(N_FIT)
_TO_CHEBYSHEV_INVERSE = chebyshev.chebvander(_X, N_FIT - 1)  # coefficients -> node values
_AT_START = (-1.0) ** np.arange(N_FIT)  # the polynomials at the lower end
_END = 0.5 * np.pi
_RESOLVED = 1e-14  # last coefficients over the largest value of R
_ACCEPTED = 1e-11  # what a patch, or its check against the moments, may be off by
_BLIND = 1e-6  # closer to c = 1 a closed form cannot see 1 - c
_MAX_HALVINGS = 24  # of the angle: R can be as narrow as 1 over the width of the activation
_MAX_PIECES = 80
_FAINT = 1e-18  # a bound on 1 - c* below which it is not looked for
_NARROWEST = 1.0 / 16.0  # of a patch, in octaves of q
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


@dataclass(frozen=True)
class _Patch:
    r"""A and R on one range of log q; K pieces in the angle.

    Parameters
    ----------
    low, high : float
        Range of log q.
    edges : ndarray, shape (K + 1,)
        Ends of the pieces in the angle.
    average, slope : ndarray, shape (K, N_FIT, N_FIT)
        Chebyshev coefficients; second axis the angle, third log q.
    error : float
        Relative to :math:`E\,\phi'^2`; for jumps, to the largest R sin(theta).
    sound : bool
        Whether the samples hold; what is missing then is a narrower range of q.
    """

    low: float
    high: float
    edges: Array
    average: Array
    slope: Array
    error: float
    sound: bool


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
        self._closed = phi.closed_forms.derivative_kernel

    @cached_property
    def _flow(self) -> SlopeFlow:
        low, high = (np.floor(np.log2(x)) for x in (self._q.min(), self._q.max()))
        top = 2.0 ** (high + 1.0)
        # beside a closed form the flow serves small v alone
        v_high = top if self._closed is None else top * _BLIND
        return SlopeFlow(self._phi, float(2.0**low), float(top), float(v_high))

    @property
    def _flow_error(self) -> float:
        return self._flow.error if "_flow" in self.__dict__ else 0.0

    def solve(self, q_error: Array, chi_error: Array) -> Correlations:
        """c* of every cell, from the errors of q* and of chi_perp."""
        n = self._q.size
        share = 2.0 * q_error / self._q  # of A, which an error of q moves as it moves chi_perp
        if not self._jumps:
            share = np.maximum(share, chi_error / self._chi)
        out = Correlations(*(np.empty(n) for _ in range(5)))
        log_q = np.log(self._q)
        octave = np.floor(log_q / np.log(2.0)).astype(np.int16)
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
            low = float(octave[cells[0]]) * np.log(2.0)
            for patch, mine in self._patches(low, low + np.log(2.0), cells, log_q):
                for start in range(0, mine.size, _CELLS):
                    self._solve(patch, mine[start : start + _CELLS], log_q, share, out)
        return out

    def _patches(
        self, low: float, high: float, cells: NDArray[np.intp], log_q: Array
    ) -> list[tuple[_Patch, NDArray[np.intp]]]:
        """Patches that cover the cells, halved in log q until they hold."""
        if cells.size == 0:
            return []
        patch = self._fit(low, high)
        if patch.error <= _ACCEPTED or high - low <= _NARROWEST * np.log(2.0):
            return [(patch, cells)]
        middle = 0.5 * (low + high)
        left = log_q[cells] < middle
        return [
            *self._patches(low, middle, cells[left], log_q),
            *self._patches(middle, high, cells[~left], log_q),
        ]

    def _fit(self, low: float, high: float) -> _Patch:
        q = np.exp(0.5 * (low + high) + 0.5 * (high - low) * _X)
        patch = self._fit_from(q, low, high, direct=False)
        if not patch.sound:  # as for exponential growth, which the flow cannot hold
            direct = self._fit_from(q, low, high, direct=True)
            return direct if direct.error < patch.error else patch
        return patch

    def _fit_from(self, q: Array, low: float, high: float, *, direct: bool) -> _Patch:
        todo = [(0.0, 0.5 * _END, np.inf), (0.5 * _END, _END, np.inf)]
        done: list[tuple[float, float, Array]] = []
        scale, fit_error = np.zeros(N_FIT), 0.0
        while todo:
            a, b, before = todo.pop(0)
            theta = 0.5 * (a + b) + 0.5 * (b - a) * _X
            try:
                r = self._samples(q, theta, direct)  # (angle, q)
            except ConvergenceError:
                r = np.full((N_FIT, N_FIT), np.nan)
            scale = np.maximum(scale, np.abs(r).max(0))
            rest = float((kit.left_out(_TO_CHEBYSHEV @ r) / scale).max())
            short = b - a <= _END * 2.0**-_MAX_HALVINGS or len(done) + len(todo) > _MAX_PIECES
            noise = 0.3 * before < rest <= _ACCEPTED  # it no longer falls
            if rest > _RESOLVED and not short and not noise:
                middle = 0.5 * (a + b)
                todo[:0] = [(a, middle, rest), (middle, b, rest)]
                continue
            fit_error = max(fit_error, rest if np.isfinite(rest) else np.inf)
            done.append((a, b, r))
        edges = np.array([0.0, *(b for _, b, _ in done)])
        slope = np.stack([r for _, _, r in done])
        average, ends = _averages(edges, slope, self._jumps)
        coefficients = [
            np.einsum("ij,kjl,ml->kim", _TO_CHEBYSHEV, f, _TO_CHEBYSHEV) for f in (average, slope)
        ]
        # A has a pole at 0 where R is narrow, so it can be rougher than R
        fit_error += float(np.abs(coefficients[0][:, -2:]).max() / np.abs(coefficients[0]).max())
        rest_q = max(float(np.abs(f[..., -2:]).max() / np.abs(f).max()) for f in coefficients)
        error = 8.0 * max(fit_error, rest_q) + 16.0 * EPS  # last coefficients see part of noise
        error += self._flow_error
        off, seen = self._off(q, _TO_CHEBYSHEV_INVERSE @ coefficients[0][0].T @ _AT_START, ends)
        sound = max(fit_error, off, self._flow_error) <= _ACCEPTED  # not where one is NaN
        error = max(error + seen, off) if np.isfinite(off) else np.inf
        return _Patch(low, high, edges, coefficients[0], coefficients[1], error, sound)

    def _off(self, q: Array, start: Array, ends: Array) -> tuple[float, float]:
        r"""How far A is from moments that share no code with it, at both ends.

        At c = 0 it is :math:`(E\phi^2 - (E\phi)^2) / q`, at c = 1 :math:`E\,\phi'^2`. First what
        goes beyond the errors of the moments, then all that is seen, relative to the largest A.
        """
        m = moments(self._phi)
        first = 0.0
        if not self._jumps:
            slope = m.derivative_square(q)
            excess = np.abs(start - slope.value) - 2.0 * slope.error
            first = float((np.maximum(excess, 0.0) / np.abs(slope.value)).max())
        square, mean = m.square(q), m.mean(q)
        own = (
            np.abs(square.error) + 2.0 * np.abs(mean.value) * mean.error + 4.0 * EPS * square.value
        )
        expected = (square.value - mean.value**2) / q * (np.sqrt(0.5) if self._jumps else 1.0)
        # only what goes beyond the rounding of the moments counts
        off = np.maximum(np.abs(ends - expected) - 2.0 * own / q, 0.0)
        seen = 2.0 * np.abs(ends - expected) / np.maximum(np.abs(start), np.abs(ends))
        return max(first, float((off / np.abs(ends)).max())), float(seen.max())

    def _samples(self, q: Array, theta: Array, direct: bool) -> Array:
        """R, or R sin(theta), shape (angles, q)."""
        theta, q = (x.ravel() for x in np.broadcast_arrays(theta[:, None], q))
        gap = 2.0 * np.sin(0.5 * theta) ** 2
        r = np.empty_like(q)
        rest = np.ones(q.shape, dtype=bool)
        if self._closed is not None:
            rest = gap <= _BLIND
            r[~rest] = self._closed(q[~rest], q[~rest], 1.0 - gap[~rest])
        if direct:
            for i in np.flatnonzero(rest):
                r[i] = slope_at(self._phi, float(q[i]), float(gap[i])).value
        elif rest.any():
            r[rest] = self._flow.kernel((q * np.cos(theta))[rest], (q * gap)[rest])
        if self._jumps:
            r = r * np.sin(theta)
        return np.asarray(r.reshape(N_FIT, N_FIT))

    def _solve(
        self,
        patch: _Patch,
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
            theta[zero] = _END
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
        self, patch: _Patch, k: int, basis: Array, factor: Array, ends: Array
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


def _piece_ends(patch: _Patch) -> Array:
    """Coefficients in log q of the averages at the ends of all pieces, (K + 1, N_FIT)."""
    return np.vstack([_AT_START @ patch.average[0], patch.average.sum(1)])


def _averages(edges: Array, slope: Array, jumps: bool) -> tuple[Array, Array]:
    r"""Node values of A from those of R, and A at c = 0.

    From :math:`(1 - c) A = \int_0^\theta R \sin\theta'\,d\theta'`, piece by piece.
    """
    total = np.zeros(slope.shape[-1])
    out = np.empty_like(slope)
    for k, (a, b) in enumerate(pairwise(edges)):
        theta = np.append(0.5 * (a + b) + 0.5 * (b - a) * _X, b)
        half = 0.5 * (theta - a)
        nodes = a + half[:, None] * (NODES + 1.0)  # (N_FIT + 1, 16)
        weights = half[:, None] * WEIGHTS * (1.0 if jumps else np.sin(nodes))
        basis = chebyshev.chebvander((2.0 * nodes - a - b) / (b - a), N_FIT - 1)
        integral = total + np.einsum("ij,ijk->ik", weights, basis) @ (_TO_CHEBYSHEV @ slope[k])
        drop = np.sin(0.5 * theta[:-1, None])
        out[k] = integral[:-1] / (2.0 * drop if jumps else 2.0 * drop**2)
        total = integral[-1]
    return out, total * (np.sqrt(0.5) if jumps else 1.0)
