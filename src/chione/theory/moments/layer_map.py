r"""One layer as a compiled map of two lengths and an angle, for any activation.

.. math:: K = E\,\phi(u_1)\phi(u_2) = \sum_n a_n(q_1)\,a_n(q_2)\,c^n, \qquad
   R = E\,\phi'(u_1)\phi'(u_2) = \frac{\partial K}{\partial q_{12}}

A smooth phi needs a few dozen terms, or a few hundred next to :math:`|c| = 1`. With kinks the
series ends slowly there, and what the kinks contribute is summed in closed form instead
(:mod:`~chione.theory.moments.kink_part`): the rest is a short series again, however near the two
inputs are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError
from chione.theory.moments.kink_part import KinkPart, kink_parts
from chione.theory.moments.layer_sums import Index, Rows, sums
from chione.theory.moments.row_table import RowTable, row_table

_SIZES = (192, 512, 1408)  # numbers of coefficients that are tried
_ENOUGH = 1e-15  # of the product, relative: what a truncated sum may leave out
_ENOUGH_SLOPE = 1e-14
_WANTED = 1e-11  # of the product next to |c| = 1, relative: beyond, pairs count as unresolved
_WANTED_SLOPE = 2e-9
_GOOD, _GOOD_SLOPE = 1e-14, 1e-13  # what is left at |c| = 1 with which no more terms are tried
_MANY = 288  # terms beyond which the closed form of the kinks is quicker
_MOST_PAIRS = 64  # of kinks
_TOUCHING = 1e-32  # 1 - |c| below which inputs lie on one ray
_LEVELS = np.unique(np.round(6.0 * 1.18 ** np.arange(40)).astype(int))


@dataclass(frozen=True)
class Truncation:
    """What a sum leaves out behind its first n terms, at |c| = 1, at some values of n.

    Parameters
    ----------
    n : ndarray of int
        Numbers of terms, rising.
    product, slope : ndarray
        The rest of K and of R there, relative to their sizes.
    """

    n: Index
    product: Array
    slope: Array

    def terms(self, log_c: Array) -> tuple[Index, NDArray[np.bool_]]:
        """How many terms are summed at log |c|, and whether they are enough."""
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = np.maximum(
                np.log(self.product / _ENOUGH) / self.n,
                np.log(self.slope / _ENOUGH_SLOPE) / np.maximum(self.n - 1.0, 1.0),
            )
        needed = np.minimum.accumulate(np.maximum(needed, 0.0))  # -log |c| that n terms ask for
        place = np.searchsorted(-needed, log_c, side="left")
        last = len(self.n) - 1
        return np.asarray(self.n[np.minimum(place, last)]), place <= last

    def left_out(self, log_c: Array) -> tuple[Array, Array]:
        """What all terms leave out of K and of R."""
        n = float(self.n[-1])
        return (
            np.asarray(self.product[-1] * np.exp(n * log_c)),
            np.asarray(self.slope[-1] * np.exp((n - 1.0) * log_c)),
        )


@dataclass(frozen=True, eq=False)
class LayerMap:
    r"""E phi(u1) phi(u2) and E phi'(u1) phi'(u2) over a range of lengths and all angles.

    Parameters
    ----------
    activation : AbstractActivation
        The activation.
    table : RowTable
        Its Hermite coefficients.
    plain : Truncation
        What the series leaves out.
    kinks : KinkPart, optional
        The part with a closed form, where that helps.
    without : Truncation, optional
        What the series leaves out once that part is taken away.
    """

    activation: AbstractActivation
    table: RowTable
    plain: Truncation
    kinks: KinkPart | None
    without: Truncation | None
    minus: Array | None
    closed_error: tuple[float, float]

    @property
    def q_low(self) -> float:
        """Smallest length."""
        return self.table.low

    @property
    def q_high(self) -> float:
        """Largest length."""
        return self.table.high

    @property
    def product_error(self) -> float:
        r"""Bound on the error of K relative to :math:`\sqrt{E\phi(u_1)^2 E\phi(u_2)^2}`.

        It holds for all pairs that are resolved.
        """
        return self._worst(0)

    @property
    def slope_error(self) -> float:
        r"""Bound on the error of R relative to :math:`\sqrt{E\phi'(u_1)^2 E\phi'(u_2)^2}`.

        For jumps, where these are infinite, relative to the same sums over 64 coefficients.
        """
        return self._worst(1)

    def _worst(self, which: int) -> float:
        gap = np.concatenate([[0.0], np.geomspace(1e-12, 1.0, 400)])
        known = self.resolved(gap)
        return float(self.errors(gap)[which][known].max(initial=0.0))

    def errors(self, gap: Any) -> tuple[Array, Array]:
        """Bounds on the errors of K and R at 1 - |c|, relative as the attributes are."""
        gap = np.asarray(gap, dtype=np.float64)
        with np.errstate(divide="ignore"):
            log_c = np.log1p(-gap)
        own = self.table.error + 4.0 * _ENOUGH, self.table.steep_error + 4.0 * _ENOUGH_SLOPE
        closed = self._by_closed_form(log_c)
        out = []
        for which in range(2):
            error = own[which] + self.plain.left_out(log_c)[which]
            if self.without is not None:
                with_kinks = self.without.left_out(log_c)[which] + self.closed_error[which]
                with np.errstate(divide="ignore"):
                    steeper = (
                        1.0 / np.sqrt(np.maximum(gap, _TOUCHING)) if which and self._jumps else 1.0
                    )
                error = np.where(closed, own[which] + with_kinks * steeper, error)
            out.append(np.asarray(error))
        return out[0], out[1]

    @property
    def _jumps(self) -> bool:
        return self.kinks is not None and bool(np.any(self.kinks.jumps[:, 0]))

    def resolved(self, gap: Any) -> NDArray[np.bool_]:
        """Whether the map holds at 1 - |c|; elsewhere its values are NaN."""
        product, slope = self.errors(gap)
        return np.asarray((product <= _WANTED) & (slope <= _WANTED_SLOPE))

    def _by_closed_form(self, log_c: Array) -> NDArray[np.bool_]:
        """Where the kinks are summed in closed form."""
        if self.without is None:
            return np.zeros(np.shape(log_c), dtype=bool)
        terms, enough = self.plain.terms(log_c)
        return np.asarray((terms > _MANY) | ~enough)

    def product(self, q1: Any, q2: Any, gap: Any, sign: Any = 1.0) -> Array:
        """K at lengths that broadcast, at 1 - |c| and the sign of c."""
        return self.both(q1, q2, gap, sign)[0]

    def slope(self, q1: Any, q2: Any, gap: Any, sign: Any = 1.0) -> Array:
        """R, likewise."""
        return self.both(q1, q2, gap, sign)[1]

    def both(self, q1: Any, q2: Any, gap: Any, sign: Any = 1.0) -> tuple[Array, Array]:
        """K and R in one pass, of the broadcast shape; NaN where the map does not hold."""
        q1, q2, gap, sign = (np.asarray(x, dtype=np.float64) for x in (q1, q2, gap, sign))
        shape = np.broadcast_shapes(q1.shape, q2.shape, gap.shape, sign.shape)
        full = shape or (1,)
        gap, sign = np.broadcast_to(gap, full), np.broadcast_to(sign, full)
        one = self._side(q1)
        two = one if q2 is q1 else self._side(q2)
        with np.errstate(divide="ignore"):
            log_c = np.log1p(-gap)
        closed = self._by_closed_form(log_c)
        terms = np.where(closed, 0, self.plain.terms(log_c)[0])
        c = sign * (1.0 - gap)
        value, slope = sums(Rows(one[0], one[1]), Rows(two[0], two[1]), c, terms)
        lengths = np.broadcast_to(q1, full), np.broadcast_to(q2, full)
        if closed.any():
            self._add_closed((one, two), lengths, (gap, sign, log_c), closed, (value, slope))
        slope = slope / (np.sqrt(q1) * np.sqrt(q2))
        unknown = ~self.resolved(gap)
        value[unknown], slope[unknown] = np.nan, np.nan
        return value.reshape(shape), slope.reshape(shape)

    def _side(self, q: Array) -> tuple[Array, Index, Array | None]:
        """Coefficients of the different lengths, which stands where, and those of the kinks."""
        different, index = np.unique(q, return_inverse=True)
        tolerance = 1e-9  # of interpolation beyond its ends, which is harmless
        if different.size and not (
            different[0] >= self.q_low * (1.0 - tolerance)
            and different[-1] <= self.q_high * (1.0 + tolerance)
        ):
            raise ConvergenceError(
                f"this map holds for lengths from {self.q_low:.6g} to {self.q_high:.6g}, not for "
                f"{different[0]:.6g} to {different[-1]:.6g}."
            )
        a = np.ascontiguousarray(self.table.at(different, self.table.a).T)
        minus = None
        if self.minus is not None:
            minus = np.ascontiguousarray(self.table.at(different, self.minus).T)
        return a, index.reshape(q.shape), minus

    def _add_closed(
        self,
        sides: tuple[Any, Any],
        lengths: tuple[Array, Array],
        angle: tuple[Array, Array, Array],
        where: NDArray[np.bool_],
        out: tuple[Array, Array],
    ) -> None:
        assert self.kinks is not None and self.without is not None
        gap, sign, log_c = (x[where] for x in angle)
        i, j = (np.broadcast_to(s[1], where.shape)[where] for s in sides)
        rows = [Rows(s[0], k, s[2]) for s, k in zip(sides, (i, j), strict=True)]
        c = sign * (1.0 - gap)
        value, slope = sums(rows[0], rows[1], c, self.without.terms(log_c)[0])
        for start in range(0, len(c), 1 << 13):
            part = slice(start, start + (1 << 13))
            q1, q2 = (q[where][part] for q in lengths)
            k, r = self.kinks.moments(q1, q2, np.maximum(gap[part], _TOUCHING), sign[part])
            value[part] += k
            slope[part] += r
        out[0][where], out[1][where] = value, slope


@lru_cache(maxsize=64)
def layer_map(phi: AbstractActivation, q_low: float, q_high: float) -> LayerMap:
    """The compiled map of an activation for lengths in [q_low, q_high], kept for the next call.

    Raises
    ------
    ConvergenceError
        If phi has no Hermite coefficients in float64 there, or is too rough for them.
    """
    best: LayerMap | None = None
    for n in _SIZES:
        try:
            best = _at_size(phi, q_low, q_high, n)
        except ConvergenceError:  # more nodes than there may be: the fewer terms have to do
            if best is None:
                raise
            break
        last = best.plain if best.without is None else best.without
        if last.product[-1] <= _GOOD and last.slope[-1] <= _GOOD_SLOPE:
            break
    assert best is not None
    return best


def _at_size(phi: AbstractActivation, q_low: float, q_high: float, n: int) -> LayerMap:
    """The map of so many coefficients."""
    table = row_table(phi, q_low, q_high, n)
    plain = _truncation(table)
    if phi.kinks and len(phi.kinks) ** 2 <= _MOST_PAIRS and plain.product[-1] > _ENOUGH:
        part, minus, without, closed_error = _with_kinks(phi, table)
        return LayerMap(phi, table, plain, part, without, minus, closed_error)
    return LayerMap(phi, table, plain, None, None, None, (0.0, 0.0))


def _truncation(table: RowTable) -> Truncation:
    """From the coefficients that are known, and from mean squares for those that are not."""
    squares = table.a**2
    n = squares.shape[1]
    k = np.arange(float(n))
    out = []
    for terms, whole in ((squares, table.square), (squares * k, table.steep)):
        behind = np.cumsum(terms[:, ::-1], axis=1)[:, ::-1]
        beyond = np.maximum(whole - behind[:, 0], 0.0) if not np.isinf(whole).any() else whole
        size = np.where(whole > 0.0, whole, 1.0)
        # the whole is known to rounding only, which is not the rest of the series
        beyond = np.where(beyond <= 64.0 * EPS * size, _geometric(terms), beyond)
        rest = np.concatenate([behind[:, 1:], np.zeros((len(behind), 1))], axis=1)
        out.append(((rest + beyond[:, None]) / size[:, None]).max(axis=0))
    levels = _levels(n)
    return Truncation(levels, out[0][levels - 1], out[1][levels - 1])


def _geometric(terms: Array) -> Array:
    """What follows the last terms, if they go on to fall as they did."""
    n = terms.shape[1]
    last, before = terms[:, 3 * n // 4 :].sum(1), terms[:, n // 2 : 3 * n // 4].sum(1)
    ratio = np.where(before > 0.0, last / np.where(before > 0.0, before, 1.0), 0.0)
    return np.asarray(last * np.minimum(ratio / (1.0 - np.minimum(ratio, 0.9)), 10.0))


def _levels(n: int) -> Index:
    levels = _LEVELS[n > _LEVELS]
    return np.append(levels, n)


def _with_kinks(
    phi: AbstractActivation, table: RowTable
) -> tuple[KinkPart, Array, Truncation, tuple[float, float]]:
    """The order of the closed form that leaves least, what it takes away, and what is left."""
    best: tuple[KinkPart, Array, Truncation, tuple[float, float]] | None = None
    least = np.inf
    for part in kink_parts(phi):
        minus = part.coefficients(table.q, table.a.shape[1])
        left = _left(table, minus)
        size = float(((minus**2).sum(1) / table.square).max())
        size_slope = float(((minus**2) @ np.arange(float(minus.shape[1])) / table.steep).max())
        closed = 16.0 * EPS * (1.0 + size), 16.0 * EPS * (1.0 + size_slope)
        worst = max(
            (left.product[-1] + closed[0]) / _WANTED, (left.slope[-1] + closed[1]) / _WANTED_SLOPE
        )
        if worst < 0.5 * least:
            best, least = (part, minus, left, closed), worst
    assert best is not None
    return best


def _left(table: RowTable, minus: Array) -> Truncation:
    """Rest of the series of which the products of `minus` are taken away.

    Each coefficient is weighed by its largest size over all lengths, and what follows the last
    one is taken from how the sums over octaves fall.
    """
    n = table.a.shape[1]
    k = np.arange(float(n))
    out = []
    for size, power in ((table.square, 0.0), (table.steep, 1.0)):
        unit = np.sqrt(np.where(size > 0.0, size, 1.0))[:, None]
        apart = (np.abs(table.a - minus) / unit).max(axis=0)
        both = (np.maximum(np.abs(table.a), np.abs(minus)) / unit).max(axis=0)
        terms = 2.0 * apart * both * k**power
        behind = np.append(np.cumsum(terms[::-1])[::-1], 0.0)
        last, before = behind[n // 2], behind[n // 4] - behind[n // 2]
        falling = min(last / before, 0.8) if before > 0.0 else 0.0
        beyond = 2.0 * last * falling / (1.0 - falling)
        out.append(behind[1:] + beyond)
    levels = _levels(n)
    return Truncation(levels, out[0][levels - 1], out[1][levels - 1])
