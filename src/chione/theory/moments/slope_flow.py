r"""The slope of an activation under the heat flow, and through it the slope kernel at many q and c.

Two Gaussians of variance q and correlation c >= 0 share a part h of variance :math:`p = q c` and
differ by independent parts of variance :math:`v = q (1 - c)`, so that

.. math:: R(q, c) = E\,\phi'(u_1)\phi'(u_2) = E_{h \sim N(0, p)}\,\phi'_v(h)^2, \qquad
   \phi'_v(h) = E\,\phi'(h + \sqrt v\,z)

with one function of v for all q. It is compiled into Chebyshev pieces in log v. Point masses of
:math:`\phi'` at jumps are smeared into Gaussians by the flow and need no care.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.polynomial import chebyshev
from numpy.polynomial.hermite_e import hermegauss

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, cost
from chione.base import chebyshev as kit
from chione.gaussian.panels import NODES, WEIGHTS
from chione.gaussian.resolution import resolve
from chione.gaussian.smoothing import NARROW
from chione.theory.moments.moments import moments

N_FIT = 16  # an octave of v then leaves 1e-15: phi'_v is analytic for |arg v| < pi / 2
_X, _TO_CHEBYSHEV = kit.nodes(N_FIT), kit.fit_matrix(N_FIT)
_REACH = 11.0  # standard deviations of h: polynomial growth of phi' included, 1e-22 is left
_RESOLVED = 2e-14  # last coefficients over the largest value
_OCTAVE = float(np.log(2.0))
_NARROWEST = 0.25  # octaves
_WIDEST = 16.0
_ROWS = 1 << 17  # weights at a time, 1 MB
_PANEL = 3.0  # standard deviations: 16 nodes then integrate the Gaussian to rounding
_SQUARED = 1e-10  # a remainder whose square is below rounding
_AGREE = 1e-11  # of two orders n and 2n/3: the error of the higher is about its power 3/2
_FAINT = 1e-3  # of phi' itself: a flow that has become smaller, as of oscillations, counts less
_MAX_LEVELS = 8
_MAX_PANELS = 40_000
_ORDERS = (24, 60)  # of Gauss-Hermite rules
_LEGENDRE = (
    (np.arange(NODES.size) + 0.5)[:, None]
    * WEIGHTS
    * np.polynomial.legendre.legvander(NODES, NODES.size - 1).T
)  # node values -> coefficients
_TAIL = _LEGENDRE[-2:].T


@dataclass(frozen=True)
class _Piece:
    """phi'_v for log v in [low, high]."""

    low: float
    high: float
    h: Array  # (K,)
    w: Array  # (K,) Lebesgue weights
    coefficients: Array  # (N_FIT, K)
    rest: float


class SlopeFlow:
    """phi'_v on grids of h, built downwards from the largest v as far as it is asked for.

    Parameters
    ----------
    phi : AbstractActivation
        The activation.
    q_low, q_high : float
        Variances q that will be asked for.
    v_high : float
        The largest v that will be asked for.
    """

    def __init__(self, phi: AbstractActivation, q_low: float, q_high: float, v_high: float) -> None:
        self.phi = phi
        self._reach = _REACH * float(np.sqrt(q_high))
        self._heavy = 1.0 / (4.0 * q_high)
        reach = self._reach + NARROW * float(np.sqrt(v_high))
        self._edges = _coarse(phi, float(np.sqrt(q_low)), reach)
        h, _ = _nodes(self._edges)
        heavy = np.exp(-self._heavy * h**2)
        self._size = float((np.abs(phi.derivative(h)) * heavy).max())
        # h is rounded, which a steep slope turns into noise
        noise = 4.0 * EPS * float((np.abs(h * phi.second_derivative(h)) * heavy).max())
        self._noise = noise / self._size if self._size else 0.0
        self._pieces: list[_Piece] = []
        self._growing = Lock()  # a flow that is kept may be asked by several threads
        self._top = float(np.log(v_high)) + 1e-9
        self._width = _OCTAVE

    def kernel(self, p: Array, v: Array) -> Array:
        """R at pairs (p, v), shape (n,)."""
        log_v = np.log(v)
        with self._growing:
            while not self._pieces or self._pieces[-1].low > log_v.min():
                self._add()
        lows = np.array([piece.low for piece in self._pieces])
        index = np.searchsorted(-lows, -log_v, side="left")
        out = np.empty_like(p)
        for i in np.unique(index):
            mine = np.flatnonzero(index == i)
            piece = self._pieces[i]
            for some in np.array_split(mine, 1 + mine.size * piece.h.size // _ROWS):
                out[some] = _expectation(piece, p[some], log_v[some])
        return out

    def error_down_to(self, v: float) -> float:
        """Largest relative remainder of the fits from the largest v down to this one.

        What others asked of the same flow, further down, does not count.
        """
        log_v = float(np.log(v))
        return max((p.rest for p in self._pieces if p.high > log_v), default=0.0) + self._noise

    def _add(self) -> None:
        """One more piece below those that exist, as wide as the last one or half of that."""
        high = self._pieces[-1].low if self._pieces else self._top
        while True:
            piece, easy = self._fit(high - self._width, high)
            if piece.rest <= _RESOLVED or self._width <= _NARROWEST * _OCTAVE:
                break
            self._width *= 0.5
        if easy and self._width < _WIDEST * _OCTAVE:
            self._width *= 2.0
        self._pieces.append(piece)

    def _fit(self, low: float, high: float) -> tuple[_Piece, bool]:
        flow = _Flow(self.phi, self._edges, float(np.exp(low)), float(np.exp(high)))
        edges = self._panels(flow)
        h, w = _nodes(edges)
        log_v = 0.5 * (low + high) + 0.5 * (high - low) * _X
        values = np.stack([flow(h, float(v)) for v in np.exp(log_v)])
        heavy = np.exp(-self._heavy * h**2)
        scale = max(float((np.abs(values) * heavy).max()), _FAINT * self._size) or 1.0
        coefficients = _TO_CHEBYSHEV @ values
        size = (np.abs(coefficients) * heavy).max(1) / scale
        piece = _Piece(low, high, h, w, coefficients, float(kit.left_out(size)))
        return piece, bool(size[10:].max() <= _RESOLVED)

    def _panels(self, flow: _Flow) -> Array:
        """Panels in h: graded to layers at kinks and around zero, and bisected where needed."""
        reach, scale = self._reach, flow.scale
        found = {-reach, reach}
        # next to zero for narrow N(0, p), which come with v near q only
        for centre, first in [(0.0, 0.03 * scale), *((k, 0.5 * scale) for k in self.phi.kinks)]:
            steps = first * 2.0 ** np.arange(np.ceil(np.log2(2.0 * reach / first)) + 1)
            near = np.concatenate([centre - steps, [centre], centre + steps])
            found.update(near[np.abs(near) < reach].tolist())
        edges = np.array(sorted(found))
        for _ in range(_MAX_LEVELS):
            h, _w = _nodes(edges)
            values = flow(h, scale**2) * np.exp(-self._heavy * h**2)
            size = max(float(np.abs(values).max()), _FAINT * self._size)
            rough = _last(values) > _SQUARED * size
            if not rough.any():
                break
            edges = np.sort(np.r_[edges, 0.5 * (edges[:-1] + edges[1:])[rough]])
        return edges


class _Flow:
    """phi'_v at any h for v in [low, high], from values of phi' that are made once.

    Where a Gauss-Hermite rule of moderate order holds for every h away from the kinks, it is used
    there; the rest is summed over panels three standard deviations wide.
    """

    def __init__(self, phi: AbstractActivation, edges: Array, low: float, high: float) -> None:
        self.scale = float(np.sqrt(low))
        self._phi, self._kinks = phi, np.array(phi.kinks)
        self._jumps = moments(phi).jumps
        self._rule = self._hermite(edges, high)
        if self._rule is not None:
            reach = 2.2 * NARROW * float(np.sqrt(high))
            near = [x for k in phi.kinks for x in (k - reach, k + reach)]
            edges = np.unique(np.clip(np.r_[edges, near], edges[0], edges[-1]))
            middle = 0.5 * (edges[1:] + edges[:-1])
            wanted = self._distance(middle) < reach
        else:
            wanted = np.ones(edges.size - 1, dtype=bool)
        parts = np.maximum(np.ceil(np.diff(edges) / (_PANEL * self.scale)), 1.0)
        parts = np.where(wanted, parts, 1.0)
        if parts.sum() > _MAX_PANELS:
            raise ConvergenceError("the slope is too rough for panels of this width")
        parts = parts.astype(np.intp)
        index = np.repeat(np.arange(parts.size), parts)
        place = np.arange(index.size) - np.repeat(np.cumsum(parts) - parts, parts)
        width = (np.diff(edges) / parts)[index]
        self._edges = np.append(edges[index] + place * width, edges[-1])
        y, w = _nodes(self._edges)
        self._y = y.reshape(-1, NODES.size)
        self._values = (w * np.asarray(phi.derivative(y))).reshape(self._y.shape)

    def __call__(self, h: Array, v: float) -> Array:
        root = np.sqrt(2.0 * np.pi * v)
        if self._rule is None:
            out = self._sums(h, v) / root
        else:
            out = np.empty_like(h)
            near = self._distance(h) <= 1.05 * NARROW * np.sqrt(v)
            out[near] = self._sums(h[near], v) / root
            out[~near] = self._by_hermite(h[~near], v, *self._rule)
        for k, size in self._jumps:
            out += size * np.exp(-0.5 * (h - k) ** 2 / v) / root
        return np.asarray(out)

    def _distance(self, h: Array) -> Array:
        """Distance to the nearest kink."""
        if self._kinks.size == 0:
            return np.full(h.shape, np.inf)
        return np.asarray(np.abs(h[:, None] - self._kinks).min(1))

    def _hermite(self, edges: Array, v: float) -> tuple[Array, Array] | None:
        """The shortest rule that agrees with one of two thirds its order at the widest v."""
        h, _ = _nodes(edges)
        h = h[self._distance(h) > NARROW * np.sqrt(v)]
        for n in _ORDERS:
            fine, coarse = (self._by_hermite(h, v, *hermegauss(k)) for k in (n, 2 * n // 3))
            if np.abs(fine - coarse).max(initial=0.0) <= _AGREE * np.abs(fine).max(initial=0.0):
                x, w = hermegauss(n)
                return np.asarray(x), np.asarray(w)
        return None

    def _by_hermite(self, h: Array, v: float, x: Array, w: Array) -> Array:
        y = h[:, None] + np.sqrt(v) * x
        values = np.asarray(self._phi.derivative(y.ravel())).reshape(y.shape)
        return np.asarray((values @ w) / np.sqrt(2.0 * np.pi))

    def _sums(self, h: Array, v: float) -> Array:
        """Integral of phi' times exp(-(y - h)^2 / 2v) over the panels in reach."""
        out = np.empty_like(h)
        if h.size == 0:
            return out
        window = NARROW * float(np.sqrt(v))
        first = np.searchsorted(self._edges, h - window, side="right") - 1
        first = np.clip(first, 0, len(self._y) - 1)
        count = np.minimum(np.searchsorted(self._edges, h + window), len(self._y)) - first
        n = max(1, _ROWS // int(NODES.size * count.max()))
        step = np.arange(count.max())
        for start in range(0, h.size, n):
            cost.tick()
            rows = slice(start, start + n)
            # panels beyond the window repeat the last one that exists, with weight zero
            panel = np.minimum(first[rows, None] + step, len(self._y) - 1)
            t = self._y[panel] - h[rows, None, None]  # (n, count, 16)
            t *= t
            t *= -0.5 / v
            np.exp(t, out=t)
            inside = step < count[rows, None]
            out[rows] = (np.einsum("ijk,ijk->ij", t, self._values[panel]) * inside).sum(1)
        return out


def _nodes(edges: Array) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on panels, one after the other."""
    half = 0.5 * np.diff(edges)
    h = 0.5 * (edges[1:] + edges[:-1])[:, None] + half[:, None] * NODES
    return h.ravel(), (half[:, None] * WEIGHTS).ravel()


def _last(values: Array) -> Array:
    """Size of the last Legendre coefficients on each panel."""
    return np.asarray(np.abs(values.reshape(-1, NODES.size) @ _TAIL).max(1))


def _coarse(phi: AbstractActivation, sigma: float, reach: float) -> Array:
    """Few panels on which phi' is a polynomial: fine ones, which overlook nothing, joined."""
    fine = resolve(phi.derivative, phi.kinks, sigma, reach).edges
    fixed = set(phi.kinks)
    out, i = [fine[0]], 0
    while i < fine.size - 1:
        j = i + 1
        while j < fine.size - 1 and fine[j] not in fixed and _same(phi, out[-1], fine[i : j + 2]):
            j += 1
        out.append(fine[j])
        i = j
    return np.array(out)


def _same(phi: AbstractActivation, low: float, edges: Array) -> bool:
    """Whether one panel over all the edges holds what the last of them holds."""
    whole = phi.derivative(0.5 * (low + edges[-1]) + 0.5 * (edges[-1] - low) * NODES)
    part, _ = _nodes(edges[-2:])
    x = (2.0 * part - low - edges[-1]) / (edges[-1] - low)
    basis = np.polynomial.legendre.legvander(x, NODES.size - 1)
    missed = np.abs(basis @ (_LEGENDRE @ whole) - phi.derivative(part)).max()
    scale = np.abs(whole).max()
    return bool(max(missed, np.abs(_TAIL.T @ whole).max()) <= _SQUARED * scale)


def _expectation(piece: _Piece, p: Array, log_v: Array) -> Array:
    """E phi'_v(h)^2 under N(0, p)."""
    x = (2.0 * log_v - piece.low - piece.high) / (piece.high - piece.low)
    values = chebyshev.chebvander(x, N_FIT - 1) @ piece.coefficients  # (n, K)
    weight = np.exp(piece.h**2 * (-0.5 / p)[:, None]) * piece.w
    return np.asarray((values**2 * weight).sum(1) / np.sqrt(2.0 * np.pi * p))
