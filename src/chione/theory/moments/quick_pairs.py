r"""Moments of an activation at pairs of Gaussians, quickly: from one table of Hermite coefficients.

.. math:: \phi(\sqrt q\,z) = \sum_k a_k(q)\,he_k(z), \qquad K' = \sum_k a_k a'_k c^k, \qquad
   D' = \sum_k (a_k - a'_k)^2 + 2 \sum_k a_k a'_k (1 - c^k)

The coefficients are analytic in log q whatever the kinks of phi, so that twenty lengths of each
factor of four hold all of them. What lies behind the last one has a known size, and at a kink
the law :math:`a_k^2 \sim k^{-5/2}`; the stated error is how far it could be from that. A pair
costs a sum of 160 terms; relative errors are 1e-8 for smooth activations and 1e-4 with kinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array, ConvergenceError
from chione.theory.moments.moments import moments
from chione.theory.moments.pair_moments import Index, Lengths, Moved, PairMoments, Prepared
from chione.theory.moments.pair_rules import Side

_TERMS = 160
_NODES = 20  # lengths in a panel
_PANEL = np.log(4.0)  # its extent in log q: coefficients at kinks turn with k / q
_REACH = 9.0  # Gaussian mass beyond: 2e-19
_KEPT = 512  # sets of lengths of one activation whose moments are kept
_HOLDS = 1e-3  # relative; a table that may be off by more is not used
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_ANGLES = np.pi * (np.arange(_NODES) + 0.5) / _NODES
_TO_COEFFICIENTS = np.cos(np.outer(np.arange(_NODES), _ANGLES)) * (2.0 / _NODES)
_TO_COEFFICIENTS[0] *= 0.5
_ORDERS = np.arange(_TERMS, dtype=np.float64)
_HALF_POINTS, _HALF_WEIGHTS = (0.5 * v for v in np.polynomial.legendre.leggauss(20))
_HALF_POINTS = _HALF_POINTS + 0.5


@dataclass(frozen=True)
class Rows:
    """What the table says of some lengths, one row each.

    Parameters
    ----------
    a : ndarray, shape (n, terms)
        Hermite coefficients.
    square, slope, turn : ndarray, shape (n,)
        E phi^2, E phi'^2, and E (u phi')^2 / 4.
    error : ndarray, shape (n,)
        Relative error of the table at each length.
    tail, steep : ndarray, shape (n,)
        Sums of a_k^2 and of k a_k^2 over all further k.
    """

    a: Array
    square: Array
    slope: Array
    turn: Array
    error: Array
    tail: Array
    steep: Array


class QuickTable:
    """Hermite coefficients of one activation, panel by panel of log q as they are asked for."""

    def __init__(self, act: AbstractActivation) -> None:
        self._act = act
        self._jumps = moments(act).has_jumps
        self._panels: dict[int, tuple[Array, float]] = {}

    @staticmethod
    @lru_cache(maxsize=32)
    def of(act: AbstractActivation) -> QuickTable:
        """That of an activation, kept for the next network."""
        return QuickTable(act)

    def rows(self, q: Array) -> Rows:
        """Coefficients and moments at lengths above zero.

        Raises
        ------
        ConvergenceError
            If a length is zero or not finite, or the activation too rough for the table.
        """
        if not (np.all(q > 0.0) and np.all(np.isfinite(q))):
            raise ConvergenceError(f"lengths must be finite and above zero, not {q}.")
        at = np.log(q) / _PANEL
        panel = np.floor(at).astype(int)
        x = np.arccos(np.clip(2.0 * (at - panel) - 1.0, -1.0, 1.0))
        out, error = np.empty((len(q), _TERMS + 3)), np.empty(len(q))
        for p in np.unique(panel):
            table, missed = self._panel(int(p))
            here = panel == p
            out[here] = np.cos(np.outer(x[here], np.arange(_NODES))) @ table
            error[here] = missed
        a, square, slope, turn = out[:, :-3], *np.maximum(out[:, -3:].T, 0.0)
        size = a * a
        tail = np.maximum(square - size.sum(axis=1), 0.0)
        steep = np.maximum(q * slope - size @ _ORDERS, 0.0)
        if self._jumps:
            slope, turn, steep = (np.full(len(q), np.inf) for _ in range(3))
        return Rows(a, square, slope, turn, error, tail, steep)

    def _panel(self, p: int) -> tuple[Array, float]:
        """Chebyshev coefficients in log q of all columns, and the relative error of E phi^2."""
        if p not in self._panels:
            q = np.exp(_PANEL * (p + 0.5 * (np.cos(_ANGLES) + 1.0)))
            columns = self._integrated(q)
            table = _TO_COEFFICIENTS @ columns
            square = columns[:, -3]
            exact = moments(self._act).square(q[:1])
            off = abs(float(square[0]) - float(exact.value[0])) + float(exact.error[0])
            moving = square - columns[:, 0] ** 2  # the variance, of which distances are made
            least = float(np.minimum(square, moving).min())
            bent = float(np.linalg.norm(table[-2:, 1:-3]))
            missed = off / square.min() + bent / np.sqrt(least) + 1e-12 if least > 0.0 else np.inf
            if not missed < _HOLDS:
                raise ConvergenceError(
                    f"{self._act} is too rough for a quick table at lengths about {q[0]:.3g}."
                )
            self._panels[p] = table, missed
        return self._panels[p]

    def _integrated(self, q: Array) -> Array:
        """Coefficients, then E phi^2, E phi'^2 and E (u phi')^2 / 4, at each length."""
        root = np.sqrt(q)[:, None]
        far = np.linspace(-_REACH, _REACH, 58)
        near = np.linspace(-12.0, 12.0, 49) / root  # where phi bends
        kinks = np.asarray(self._act.kinks, dtype=np.float64) / root
        edges = np.concatenate([np.broadcast_to(far, (len(q), 58)), near, kinks], axis=1)
        edges = np.sort(np.clip(edges, -_REACH, _REACH), axis=1)
        half = 0.5 * np.diff(edges, axis=1)[:, :, None]
        z = (edges[:, :-1, None] + half * (_POINTS + 1.0)).reshape(len(q), -1)
        weight = (half * _WEIGHTS).reshape(len(q), -1) / np.sqrt(2.0 * np.pi)
        h = root * z
        value = self._act.value(h)
        slope = np.zeros_like(h) if self._jumps else self._act.derivative(h)
        before, psi = np.zeros_like(z), np.exp(-0.25 * z * z)
        whole = weight * psi * psi
        out = np.empty((len(q), _TERMS + 3))
        out[:, -3] = np.einsum("ij,ij,ij->i", whole, value, value)
        out[:, -2] = np.einsum("ij,ij,ij->i", whole, slope, slope)
        out[:, -1] = 0.25 * np.einsum("ij,ij,ij->i", whole, h * slope, h * slope)
        weighted = weight * psi * value
        for k in range(_TERMS):
            out[:, k] = np.einsum("ij,ij->i", weighted, psi)
            before, psi = psi, (z * psi - np.sqrt(k) * before) / np.sqrt(k + 1.0)
        return out


class QuickPairMoments(PairMoments):
    """As :class:`PairMoments`, from the table.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    q, error : ndarray, shape (n,)
        All mean squares that pairs refer to, and bounds on their errors.

    Raises
    ------
    ConvergenceError
        If the table does not hold there.
    """

    def __init__(self, act: AbstractActivation, q: Array, error: Array) -> None:
        self.rows = rows = QuickTable.of(act).rows(q)
        relative = error / q
        size, own = np.sqrt(rows.square), rows.error
        turn = np.sqrt(rows.turn)
        moved = 2.0 * turn * size * relative
        self.at = Lengths(
            q, error,
            rows.square, rows.square * own + moved, rows.square * own,
            rows.a[:, 0], size * own + turn * relative,
            rows.slope, rows.slope * (own + 4.0 * relative),
            turn,
        )  # fmt: skip

    def _slopes(self, one: Side, two: Side, gap: Array, sign: Array) -> tuple[Array, Array]:
        rows, i, j, c = self.rows, one.index, two.index, sign * (1.0 - gap)
        root = np.sqrt(one.q * two.q)
        powers = _powers(c)
        total = np.einsum("ij,ij,ij->i", rows.a[i, 1:] * _ORDERS[1:], rows.a[j, 1:], powers[:, :-1])
        # behind the last term: at most as if both sides pulled together
        rest = np.sqrt(rows.steep[i] * rows.steep[j]) * np.abs(c) ** (_TERMS - 1.0)
        kept = np.where((i == j) & (c > 0.0), 0.5 * rest, 0.0)
        value = (total + kept) / root
        return value, (rest + kept) / root + self._own(i, j) * np.abs(value)

    def _kernel(self, one: Side, two: Side, c: Array) -> tuple[Array, Array]:
        rows, i, j = self.rows, one.index, two.index
        total = np.einsum("ij,ij,ij->i", rows.a[i], rows.a[j], _powers(c))
        rest = np.sqrt(rows.tail[i] * rows.tail[j])
        kept = np.where(c > 0.0, rest * _share(_TERMS * _rate(1.0 - c)), 0.0)
        size = np.sqrt(rows.square[i] * rows.square[j])
        return total + kept, rest * np.abs(c) ** _TERMS + kept + self._own(i, j) * size

    def _distance(
        self, one: Side, two: Side, angle: tuple[Array, Array], kernel: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        rows, i, j = self.rows, one.index, two.index
        gap, sign = angle
        rate = _rate(gap)
        fallen = -np.expm1(-rate[:, None] * _ORDERS)  # 1 - c^k
        turned = 2.0 * np.einsum("ij,ij,ij->i", rows.a[i], rows.a[j], fallen)
        apart = ((rows.a[i] - rows.a[j]) ** 2).sum(axis=1)
        rest, rest_error = self._turned_rest(i, j, rate)
        longer, longer_error = self._longer_rest(i, j, apart)
        value = turned + apart + rest + longer
        error = rest_error + longer_error + self._own(i, j) * (np.abs(turned) + apart)
        # where nothing is close, and beyond a right angle always, the moments tell better
        singles = self._own(i, j) * (one.square + two.square) + 2.0 * kernel[1]
        far = (sign < 0.0) | (singles < error)
        value = np.where(far, one.square + two.square - 2.0 * kernel[0], value)
        error = np.where(far, singles, error)
        same = (gap == 0.0) & (i == j)
        return np.where(same, 0.0, np.maximum(value, 0.0)), np.where(same, 0.0, error)

    def _longer_rest(self, i: Index, j: Index, apart: Array) -> tuple[Array, Array]:
        r"""What :math:`\sum (a_k - a'_k)^2` has behind the last term, and how far off.

        The whole sum is at most :math:`|\int \partial_t \phi\,dt|^2`, t = log q.
        """
        rows, q = self.rows, self.at.q
        step = np.abs(np.log(q[i] / q[j]))
        with np.errstate(invalid="ignore", over="ignore"):
            likely = step**2 * np.sqrt(rows.turn[i] * rows.turn[j]) - apart
            most = step**2 * np.maximum(rows.turn[i], rows.turn[j]) * np.exp(step) - apart
        most = np.clip(np.nan_to_num(most, nan=np.inf), 0.0, 2.0 * (rows.tail[i] + rows.tail[j]))
        value = np.clip(np.nan_to_num(likely, nan=np.inf), 0.0, most)
        return value, np.maximum(most - value, value)

    def _turned_rest(self, i: Index, j: Index, rate: Array) -> tuple[Array, Array]:
        r"""What :math:`2 \sum a_k a'_k (1 - c^k)` has behind the last term, and how far off."""
        rows = self.rows
        tail, steep = (np.sqrt(x[i] * x[j]) for x in (rows.tail, rows.steep))
        fallen = -np.expm1(-_TERMS * rate)
        low = tail * fallen  # since 1 - c^k grows with k
        with np.errstate(invalid="ignore"):
            high = np.minimum(tail, np.where(fallen > 0.0, steep * fallen / _TERMS, 0.0))
        high = np.maximum(high, low)
        # a_k^2 ~ k^(-5/2): the sum of k a_k^2 is 3 K times that of a_k^2
        lean = np.where(tail > 0.0, steep / np.where(tail > 0.0, 3.0 * _TERMS * tail, 1.0), 1.0)
        lean = np.clip(lean, 0.0, 1.0)
        value = np.clip(lean * tail * (1.0 - _share(_TERMS * rate)), low, high)
        return 2.0 * value, 2.0 * np.maximum(high - value, value - low)

    def _own(self, i: Index, j: Index) -> Array:
        """Relative error of what comes from the table alone."""
        return np.asarray(2.0 * (self.rows.error[i] + self.rows.error[j]) + 1e-11)


class QuickPrepared(Prepared):
    """Gives quick moments where there are some; closed forms at a kink, which are quick anyway."""

    def __init__(self, act: AbstractActivation) -> None:
        super().__init__(act)
        forms = act.closed_forms
        self._closed = forms.kernel is not None and forms.difference is not None
        self._kept: dict[tuple[bytes, bytes], Remembering] = {}

    @staticmethod
    @lru_cache(maxsize=64)
    def of(act: AbstractActivation) -> QuickPrepared:
        """That of an activation, kept for the next network."""
        return QuickPrepared(act)

    def at(self, q: Array, error: Array, alone: bool = False) -> PairMoments:
        """Those at the mean squares `q`, which are as quick where no pairs will be asked for.

        Raises
        ------
        ConvergenceError
            If neither a table nor a closed form holds there.
        """
        key = q.tobytes(), error.tobytes()
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            found = self._kept[key] = Remembering(self._made(q, error))
        return found

    def _made(self, q: Array, error: Array) -> PairMoments:
        if self._closed and self._act.kinks:
            return super().at(q, error)
        try:
            return QuickPairMoments(self._act, q, error)
        except ConvergenceError:
            if not self._closed:
                raise
            return super().at(q, error)


class Remembering(PairMoments):
    """Moments that remember the last pairs they were asked for.

    A model is looked at again and again, and layers at a fixed point are alike.
    """

    def __init__(self, inner: PairMoments) -> None:
        self._inner, self.at = inner, inner.at
        self._last: tuple[tuple[bytes, ...], Moved] | None = None

    def pairs(self, i: Index, j: Index, d: Array, d_error: Array) -> Moved:
        """Moments of the pairs (i, j)."""
        key = tuple(x.tobytes() for x in (i, j, d, d_error))
        if self._last is None or self._last[0] != key:
            self._last = key, self._inner.pairs(i, j, d, d_error)
        return self._last[1]


def _powers(c: Array) -> Array:
    """c^k, (pairs, terms)."""
    out = np.empty((len(c), _TERMS))
    out[:, 0] = 1.0
    out[:, 1:] = c[:, None]
    return np.multiply.accumulate(out, axis=1)


def _rate(gap: Array) -> Array:
    """-log c, from 1 - c between 0 and 1."""
    return -np.log1p(-np.minimum(gap, 1.0 - 1e-15))


def _share(x: Array) -> Array:
    r""":math:`\tfrac32 \int_1^\infty t^{-5/2} e^{-x t} dt`, with t = 1 / s^2."""
    s = _HALF_POINTS
    return np.asarray(np.exp(-x[:, None] / (s * s)) @ (3.0 * s * s * _HALF_WEIGHTS))
