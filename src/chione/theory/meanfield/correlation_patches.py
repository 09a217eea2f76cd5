r"""The slope kernel of an activation over an octave of q and all angles, compiled and kept.

With :math:`c = \cos\theta` the slope R of the correlation map and its average between c and 1,

.. math:: A(q, \theta) = \frac{1}{1 - c} \int_c^1 R(q, c')\,dc',

are Chebyshev expansions in :math:`\log q` and :math:`\theta` at once, on patches that are halved
until they hold. Where the activation jumps, :math:`A \sin(\theta/2)` and :math:`R \sin\theta` are
expanded instead.

A patch depends on the activation and its own range alone, not on the diagram that asked for it,
so that the next diagram finds it ready, and two diagrams agree to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError
from chione.base import chebyshev as kit
from chione.gaussian.panels import NODES, WEIGHTS
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_kernels import slope_at
from chione.theory.moments.slope_flow import SlopeFlow

N_FIT = 16
OCTAVE = float(np.log(2.0))
_X, _TO_CHEBYSHEV = kit.nodes(N_FIT), kit.fit_matrix(N_FIT)
_TO_CHEBYSHEV_INVERSE = chebyshev.chebvander(_X, N_FIT - 1)  # coefficients -> node values
AT_START = (-1.0) ** np.arange(N_FIT)  # the polynomials at the lower end
END = 0.5 * np.pi  # the largest angle, c = 0
_RESOLVED = 1e-14  # last coefficients over the largest value of R
_ACCEPTED = 1e-11  # what a patch, or its check against the moments, may be off by
_BLIND = 1e-6  # closer to c = 1 a closed form cannot see 1 - c
_MAX_HALVINGS = 24  # of the angle: R can be as narrow as 1 over the width of the activation
_MAX_PIECES = 80
_NARROWEST = 1.0 / 16.0  # of a patch, in octaves of q
_USUAL = (-12, 5)  # octaves of q, up to 32
_KEPT = 256  # patches: some 6 MB, 90 MB if all had the most pieces


@dataclass(frozen=True)
class Patch:
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

    @property
    def holds(self) -> bool:
        """Whether it may be used, or is too narrow to be halved."""
        return self.error <= _ACCEPTED or self.high - self.low < 1.5 * _NARROWEST * OCTAVE


@lru_cache(maxsize=_KEPT)
def patch(phi: AbstractActivation, octave: int, halvings: int, number: int) -> Patch:
    """One of the 2^halvings equal parts, in log q, of an octave that starts at 2^octave."""
    width = OCTAVE * 0.5**halvings
    low = octave * OCTAVE + number * width
    return _Fit(phi, octave, low, low + width).patch()


@lru_cache(maxsize=8)  # some 10 MB each
def _flow(phi: AbstractActivation, low: int, high: int) -> SlopeFlow:
    """The heat flow of the slope for q from 2^low to 2^high."""
    top = 2.0**high
    # beside a closed form the flow serves small v alone
    v_high = top if phi.closed_forms.derivative_kernel is None else top * _BLIND
    return SlopeFlow(phi, 2.0**low, top, v_high)


def _neighbours(octave: int) -> tuple[int, int]:
    """Octaves that share a flow: those of usual diagrams all, twelve below them, four above."""
    if _USUAL[0] <= octave < _USUAL[1]:
        return _USUAL
    start, size = (_USUAL[0], 12) if octave < _USUAL[0] else (_USUAL[1], 4)
    low = octave - (octave - start) % size
    return low, low + size


class _Fit:
    """One patch of one activation."""

    def __init__(self, phi: AbstractActivation, octave: int, low: float, high: float) -> None:
        self._phi, self._octave, self._low, self._high = phi, octave, low, high
        self._q = np.exp(0.5 * (low + high) + 0.5 * (high - low) * _X)
        self._jumps = moments(phi).has_jumps
        self._closed = phi.closed_forms.derivative_kernel
        self._used: SlopeFlow | None = None  # None: each sample by itself
        self._source_error = 0.0

    def patch(self) -> Patch:
        """The best of what the flows give and, where those fail, of samples one by one."""
        best: Patch | None = None
        # a growth that many octaves cannot hold together, one of them may; exponential ones need
        # each sample by itself
        for octaves in (_neighbours(self._octave), (self._octave, self._octave + 1), None):
            self._used = None if octaves is None else _flow(self._phi, *octaves)
            self._source_error = 0.0
            found = self._found()
            if best is None or found.error < best.error:
                best = found
            if found.sound:
                break
        assert best is not None
        return best

    def _found(self) -> Patch:
        pieces, left_out = self._pieces()
        edges = np.array([0.0, *(b for _, b, _ in pieces)])
        slope = np.stack([r for _, _, r in pieces])
        average, ends = _averages(edges, slope, self._jumps)
        coefficients = [
            np.einsum("ij,kjl,ml->kim", _TO_CHEBYSHEV, f, _TO_CHEBYSHEV) for f in (average, slope)
        ]
        # A has a pole at 0 where R is narrow, so it can be rougher than R
        fit_error = left_out + float(
            np.abs(coefficients[0][:, -2:]).max() / np.abs(coefficients[0]).max()
        )
        rest_q = max(float(np.abs(f[..., -2:]).max() / np.abs(f).max()) for f in coefficients)
        error = 8.0 * max(fit_error, rest_q) + 16.0 * EPS  # last coefficients see part of noise
        error += self._source_error
        off, seen = self._off(_TO_CHEBYSHEV_INVERSE @ coefficients[0][0].T @ AT_START, ends)
        sound = max(fit_error, off, self._source_error) <= _ACCEPTED  # not where one is NaN
        error = max(error + seen, off) if np.isfinite(off) else np.inf
        return Patch(self._low, self._high, edges, coefficients[0], coefficients[1], error, sound)

    def _pieces(self) -> tuple[list[tuple[float, float, Array]], float]:
        """Pieces (start, end, samples) of the angle, and what they leave out of R."""
        todo = [(0.0, 0.5 * END, np.inf), (0.5 * END, END, np.inf)]
        done: list[tuple[float, float, Array]] = []
        scale, left_out = np.zeros(N_FIT), 0.0
        while todo:
            a, b, before = todo.pop(0)
            theta = 0.5 * (a + b) + 0.5 * (b - a) * _X
            try:
                r = self._samples(theta)  # (angle, q)
            except ConvergenceError:
                r = np.full((N_FIT, N_FIT), np.nan)
            scale = np.maximum(scale, np.abs(r).max(0))
            rest = float((kit.left_out(_TO_CHEBYSHEV @ r) / scale).max())
            short = b - a <= END * 2.0**-_MAX_HALVINGS or len(done) + len(todo) > _MAX_PIECES
            noise = 0.3 * before < rest <= _ACCEPTED  # it no longer falls
            if rest > _RESOLVED and not short and not noise:
                middle = 0.5 * (a + b)
                todo[:0] = [(a, middle, rest), (middle, b, rest)]
                continue
            left_out = max(left_out, rest if np.isfinite(rest) else np.inf)
            done.append((a, b, r))
        return done, left_out

    def _off(self, start: Array, ends: Array) -> tuple[float, float]:
        r"""How far A is from moments that share no code with it, at both ends.

        At c = 0 it is :math:`(E\phi^2 - (E\phi)^2) / q`, at c = 1 :math:`E\,\phi'^2`. First what
        goes beyond the errors of the moments, then all that is seen, relative to the largest A.
        """
        m, q = moments(self._phi), self._q
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

    def _samples(self, theta: Array) -> Array:
        """R, or R sin(theta), shape (angles, q)."""
        theta, q = (x.ravel() for x in np.broadcast_arrays(theta[:, None], self._q))
        gap = 2.0 * np.sin(0.5 * theta) ** 2
        r = np.empty_like(q)
        rest = np.ones(q.shape, dtype=bool)
        if self._closed is not None:
            rest = gap <= _BLIND
            r[~rest] = self._closed(q[~rest], q[~rest], 1.0 - gap[~rest])
        if self._used is None:
            own = np.zeros_like(q)
            for i in np.flatnonzero(rest):
                found = slope_at(self._phi, float(q[i]), float(gap[i]))
                r[i], own[i] = found.value, found.error
            self._blame(float(own.max()) / (float(np.abs(r).max()) or 1.0))
        elif rest.any():
            v = (q * gap)[rest]
            r[rest] = self._used.kernel((q * np.cos(theta))[rest], v)
            self._blame(self._used.error_down_to(float(v.min())))
        if self._jumps:
            r = r * np.sin(theta)
        return np.asarray(r.reshape(N_FIT, N_FIT))

    def _blame(self, error: float) -> None:
        self._source_error = max(self._source_error, error)


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
