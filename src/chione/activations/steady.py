r"""A user's formula without the rounding noise that cancellation leaves in it.

In :math:`x (1 + \mathrm{erf}(x / \sqrt 2)) / 2` the sum cancels: at x = -7 the formula is a
staircase with steps of 1e-15, a hundred thousandth of its value. To quadrature that bisects until
it sees a polynomial such steps are structure without an end. Here the line is covered with short
overlapping cells; on those where the noise is large beside the function, it is replaced by a
Chebyshev fit without the coefficients that are noise. Neighbouring fits are blended smoothly, so
that no step remains. Everywhere else the formula itself is evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from chione.activations import chebyshev
from chione.activations.chebyshev import Panels, Subject
from chione.activations.tails import Tail, tails
from chione.base import EPS, Array

CELL = 0.25  # half the width of a cell; every point lies in two of them
LINEAR = 64.0  # beyond it the cells grow in proportion to x
FAR = 1e4
NOISY = 8.0 * EPS  # of the largest value in a cell: what a sum of positive terms never leaves
QUICK = 1e-6
FAINT = 20.0  # times the noise: a fit below that would be a shape without a meaning
POINTWISE = 6.0  # error of a value for noise 1 in each of 24 coefficients, of random signs
LEAST = 2e-4  # of the rounding that is possible: what is left where terms did cancel
_SPIKE = 1e3  # times the noise in a coefficient: no rounding reaches so far from the fit
LAST = 5  # coefficients that hold nothing but noise, if they do not fall any more
_PER_UNIT = round(1.0 / CELL)
_NO_MASS = 40.0  # standard deviations: float64 has no probability beyond


@dataclass(frozen=True)
class Steady:
    """One function, steadied.

    Parameters
    ----------
    f : Subject
        The formula itself.
    kinks : ndarray
        Where it breaks; no fit reaches across.
    cells : Panels
        The fits of all cells, those of one stretch between two kinks after the other.
    noisy : ndarray of bool
        Cells whose fit takes the place of the formula.
    first, offset : ndarray of int
        Number of the first cell of each stretch on the scale of `_place`, and its index.
    member : ndarray of int
        The tail that takes the place of the fit of a cell, or -1.
    tails : tuple of Tail
        Smooth curves for tails that die away.
    rounding : ndarray
        What the rounding of this function, and of those it is the derivative of, can leave in a
        coefficient of each cell that resolves it; else 0.
    """

    f: Subject
    kinks: Array
    cells: Panels
    noisy: NDArray[np.bool_]
    first: NDArray[np.intp]
    offset: NDArray[np.intp]
    member: NDArray[np.intp]
    tails: tuple[Tail, ...]
    rounding: Array

    def __call__(self, x: Array) -> Array:
        """The function at x (n,)."""
        y = self.f(x)
        low, high = self._span
        inside = np.flatnonzero((x > low) & (x < high))
        if not inside.size:
            return y
        place = _place(x[inside])
        lower = np.floor(place).astype(np.intp)
        stretch = np.searchsorted(self.kinks, x[inside])
        left = self.offset[stretch] + lower - self.first[stretch]
        usable = (left >= self.offset[stretch]) & (left + 1 < self.offset[stretch + 1])
        left = np.where(usable, left, 0)
        chosen = np.flatnonzero(usable & (self.noisy[left] | self.noisy[left + 1]))
        if not chosen.size:
            return y
        left, t, where = left[chosen], (place - lower)[chosen], inside[chosen]
        out = np.array(y)
        # both cells in one tail: nothing to blend
        tail = np.where(self.member[left] == self.member[left + 1], self.member[left], -1)
        for k in np.unique(tail[tail >= 0]):
            out[where[tail == k]] = self.tails[k](x[where[tail == k]])
        rest = tail < 0
        left, t, where = left[rest], t[rest], where[rest]
        share = t**4 * (35.0 + t * (-84.0 + t * (70.0 - 20.0 * t)))  # from 0 to 1, three times flat
        before, after = (self._of(left + k, x[where], y[where]) for k in (0, 1))
        out[where] = (1.0 - share) * before + share * after
        return out

    @cached_property
    def _span(self) -> tuple[float, float]:
        """The interval outside which the formula itself stands."""
        if not np.any(self.noisy):
            return np.inf, -np.inf
        return float(self.cells.low[self.noisy].min()), float(self.cells.high[self.noisy].max())

    def noise(
        self, q: Array, mean: float = 0.0, without: tuple[float, float] = (0.0, 0.0)
    ) -> Array:
        r"""Root mean square error of the fits under N(mean, q), for each q.

        .. math:: \sqrt{\textstyle\sum_i \delta_i^2\, P(h \in \mathrm{cell}_i)}

        On the interval `without` the fits are not used.
        """
        flat = np.ravel(q)[:, None]
        if not np.any(self.noisy):
            return np.zeros(np.shape(q))
        low, high = self.cells.low[self.noisy], self.cells.high[self.noisy]
        squares = (POINTWISE * self.cells.noise[self.noisy]) ** 2
        sigma = np.sqrt(np.maximum(flat, 1e-300))
        reach = _NO_MASS * float(sigma.max(initial=0.0))

        def part(a: Array, b: Array) -> Array:
            here = np.flatnonzero((a < b) & (a < mean + reach) & (b > mean - reach))
            p = special.ndtr((b[here] - mean) / sigma) - special.ndtr((a[here] - mean) / sigma)
            return np.asarray(p @ squares[here])

        below, above = (
            part(low, np.minimum(high, without[0])),
            part(np.maximum(low, without[1]), high),
        )
        return np.asarray(np.sqrt(below + above)).reshape(np.shape(q))

    @property
    def relative_noise(self) -> float:
        """The largest noise of a fit, beside what the function reaches within that distance."""
        reach = np.maximum(np.abs(self.cells.low), np.abs(self.cells.high))
        size = np.maximum(self.f.floor(reach), 1e-300)
        return float(np.max(np.where(self.noisy, self.cells.noise / size, 0.0), initial=0.0))

    def _of(self, cell: NDArray[np.intp], x: Array, y: Array) -> Array:
        """The fit of a noisy cell, the formula in a clean one."""
        out = np.array(y)
        noisy = np.flatnonzero(self.noisy[cell] & (self.member[cell] < 0))
        if noisy.size:
            out[noisy] = _clenshaw(self.cells, cell[noisy], x[noisy])
        member = np.where(self.noisy[cell], self.member[cell], -1)
        for k in np.unique(member[member >= 0]):
            here = np.flatnonzero(member == k)
            out[here] = self.tails[k](x[here])
        return out


def steady(
    f: Subject,
    kinks: tuple[float, ...],
    lower: Steady | None = None,
    also: tuple[float, float] | None = None,
) -> Steady:
    """Find the cells on which rounding noise hides the function, and fit it there.

    Parameters
    ----------
    f : Subject
        The function, silenced.
    kinks : tuple of float
        Where it breaks, ascending.
    lower : Steady, optional
        The function whose derivative `f` is, on the same cells: where its fit knows the slope
        better than `f` does, as for sin(x)/x next to 0, that is used.
    also : tuple of float, optional
        An interval on which the noise is known to be large, though no cell shows it as a whole.
    """
    ends = np.array([-FAR, *(k for k in kinks if abs(k) < FAR), FAR])
    low, high, first, offset = [], [], [], [0]
    for a, b in pairwise(ends):
        number = np.arange(float(np.floor(_place(a))), float(np.ceil(_place(b))) + 1.0)
        low.append(np.clip(_unplace(number - 1.0), a, b))
        high.append(np.clip(_unplace(number + 1.0), a, b))
        first.append(int(number[0]))
        offset.append(offset[-1] + len(number))
    cells = chebyshev.fit(f, np.concatenate(low), np.concatenate(high))
    # (e^x)'' / (1 + e^x) - ... is a difference of terms as large as the sigmoid: where that dies
    # away the derivative keeps the rounding of the value
    rounding = cells.noise if lower is None else np.maximum(cells.noise, lower.rounding)
    noise, settled = noise_of(cells, rounding)
    # a derivative is resolved where the function is; where that is not, nothing is passed on
    passed_on = np.where(cells.finite & (noise <= 3.0 * rounding), rounding, 0.0)
    noisy = settled & (noise > allowed(cells))
    if also is not None:
        largest = np.max(np.abs(cells.coefficients), axis=1)
        followed = noise <= np.maximum(3.0 * rounding, QUICK * largest)
        noisy |= cells.finite & followed & (cells.low < also[1]) & (cells.high > also[0])
    coefficients = _without(cells.coefficients, noise)
    own = noise
    if lower is not None:
        noisy &= lower.cells.resolved | lower.noisy  # beside a step the slope is no noise
        half = 0.5 * (cells.high - cells.low)[:, None]
        slope = np.polynomial.chebyshev.chebder(lower.cells.coefficients, axis=1) / half
        slope = np.pad(slope, ((0, 0), (0, 1)))
        inherited = lower.cells.noise * chebyshev.N / half[:, 0]
        better = noisy & (inherited < noise)
        coefficients = np.where(better[:, None], slope, coefficients)
        noise = np.where(better, inherited, noise)
    # what is hardly more than noise is known to be small, and no more than that
    size = np.max(np.abs(coefficients), axis=1)
    faint = noisy & (size < FAINT * noise)
    noise = np.where(faint, np.maximum(noise, size), noise)
    # nodes may happen to fall on no step of a staircase: what lies among the faint is faint
    around = _around(np.where(faint, noise, 0.0))
    whole = np.max(np.abs(cells.coefficients), axis=1)  # also where nothing stands out of the noise
    hidden = ~noisy & cells.finite & (around > 0.0) & (whole <= around)
    noisy, faint = noisy | hidden, faint | hidden
    noise = np.where(hidden, around, noise)
    coefficients = np.where(faint[:, None], 0.0, coefficients)
    cells = Panels(cells.low, cells.high, coefficients, noise, cells.resolved, cells.finite)
    spiked = _spiked(f, cells, noisy, np.maximum(own, noise))
    noisy, faint = noisy & ~spiked, faint & ~spiked
    member, found = tails(cells, noisy, faint)
    edges, start = np.array(first), np.array(offset)
    return Steady(f, ends[1:-1], cells, noisy, edges, start, member, found, passed_on)


def _spiked(f: Subject, cells: Panels, noisy: NDArray[np.bool_], noise: Array) -> NDArray[np.bool_]:
    """Noisy cells with something between their nodes: next to zero, or to one of their ends."""
    steps = np.r_[0.0, 2.0 ** np.arange(-45.0, -1.0)]
    which = np.flatnonzero(noisy)
    low, high = cells.low[which, None], cells.high[which, None]
    width = high - low
    inner = 1e-9 * width  # on an end itself the value may belong to the other side
    zero = np.clip(0.0, low + inner, high - inner)
    x = np.concatenate([low + inner + width * steps, high - inner - width * steps], axis=1)
    x = np.concatenate([x, zero - width * steps, zero + width * steps], axis=1)
    x = np.clip(x, low + inner, high - inner)
    cell = np.repeat(which, x.shape[1])
    size = np.max(np.abs(cells.coefficients[which]), axis=1) + noise[which]
    with np.errstate(all="ignore"):
        y, beside = (f((x * k).ravel()).reshape(x.shape) for k in (1.0, 1.001))
        off = np.abs(y - _clenshaw(cells, cell, x.ravel()).reshape(x.shape))
        # cancellation next to zero is no spike: it is ragged, or zero after three powers of x
        lost = EPS * 64.0 * size[:, None] * np.abs(width / x) ** 3
        spike = (np.abs(y - beside) < 0.1 * off) & np.isfinite(off) & ~(off < lost)
    off = np.where(spike, off, 0.0)
    out = np.zeros(len(noisy), dtype=bool)
    out[which] = off.max(1, initial=0.0) > np.maximum(_SPIKE * noise[which], 1e-9 * size)
    return out


def _around(noise: Array) -> Array:
    """The largest value within three cells."""
    padded = np.pad(noise, 3)
    return np.asarray(np.max([padded[k : k + len(noise)] for k in range(7)], axis=0))


def noise_of(cells: Panels, rounding: Array | None = None) -> tuple[Array, NDArray[np.bool_]]:
    """Size of the coefficients that are rounding, and whether the last ones are nothing else.

    `rounding` is what rounding leaves in a coefficient where terms cancel that are larger than
    the function.
    """
    c = np.abs(cells.coefficients)
    noise, before = np.max(c[:, -LAST:], axis=1), np.max(c[:, -2 * LAST : -LAST], axis=1)
    # those of a function fall by a factor of ten or more over five degrees, those of noise do not;
    # coefficients that are large and do not fall are a function too quick for the cell
    small = noise <= np.maximum(3.0 * cells.noise, QUICK * np.max(c, axis=1))
    if rounding is not None:  # far less than it is a function that has a small tail
        small |= (noise > LEAST * rounding) & (noise <= 3.0 * rounding)
    return noise, cells.finite & small & (noise > 0.1 * before)


def allowed(cells: Panels) -> Array:
    """Noise that any formula has: some units in the last place of the value and the argument."""
    c = np.abs(cells.coefficients)
    slope = np.max(c[:, 1:9], axis=1) / (cells.high - cells.low)
    reach = np.maximum(np.abs(cells.low), np.abs(cells.high))
    return np.asarray(NOISY * np.max(c, axis=1) + 8.0 * EPS * reach * slope)


def _clenshaw(cells: Panels, cell: NDArray[np.intp], x: Array) -> Array:
    """Values of the fits, no longer than the longest of them."""
    low, high = cells.low[cell], cells.high[cell]
    t = (2.0 * x - low - high) / (high - low)
    c = cells.coefficients[cell]  # (n, 24)
    length = int(np.max(np.flatnonzero(np.any(c != 0.0, axis=0)), initial=0)) + 1
    return np.asarray(np.polynomial.chebyshev.chebval(t, c[:, :length].T, tensor=False))


def _without(c: Array, noise: Array) -> Array:
    """The coefficients up to the last one that stands out of the noise."""
    outstanding = np.abs(c) > 2.0 * noise[:, None]
    last = c.shape[1] - np.argmax(outstanding[:, ::-1], axis=1)
    last = np.where(np.any(outstanding, axis=1), last, 0)
    return np.where(np.arange(c.shape[1]) < last[:, None], c, 0.0)


def _place(x: Array | float) -> Array:
    """Position on the scale of cells: linear up to 64, logarithmic beyond."""
    x = np.asarray(x, dtype=np.float64)
    size = np.abs(x)
    far = LINEAR * (1.0 + np.log(np.maximum(size, LINEAR) / LINEAR))
    near: Array = np.sign(x) * np.where(size <= LINEAR, size, far) * _PER_UNIT
    return near


def _unplace(u: Array) -> Array:
    size = np.abs(u) / _PER_UNIT
    far = LINEAR * np.exp(np.minimum(size / LINEAR - 1.0, 100.0))
    out: Array = np.sign(u) * np.where(size <= LINEAR, size, far)
    return out
