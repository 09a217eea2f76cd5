r"""How much a Hermite series of pairs leaves out behind its first n terms.

From the coefficients that are known, from mean squares, and, where those are known to rounding
only, from how the last coefficients fall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array
from chione.theory.moments.layer_sums import Index
from chione.theory.moments.row_table import RowTable

ENOUGH = 1e-15  # of the product, relative: what a truncated sum may leave out
ENOUGH_SLOPE = 3e-15
_FASTER = 1.3  # than a power: what falls exponentially gains with every octave
_LEVELS = np.unique(np.round(6.0 * 1.18 ** np.arange(46)).astype(int))


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
                np.log(self.product / ENOUGH) / self.n,
                np.log(self.slope / ENOUGH_SLOPE) / np.maximum(self.n - 1.0, 1.0),
            )
        needed = np.minimum.accumulate(np.maximum(needed, 0.0))  # -log |c| that n terms ask for
        place = np.searchsorted(-needed, log_c, side="left")
        last = len(self.n) - 1
        return np.asarray(self.n[np.minimum(place, last)]), place <= last

    def up_to(self, n: int) -> Truncation:
        """The same for sums of no more than about `n` terms."""
        last = int(np.searchsorted(self.n, n, side="right"))
        return Truncation(self.n[:last], self.product[:last], self.slope[:last])

    def falls_short(self, n: int, product: float, slope: float) -> bool:
        """Whether n terms would leave more than this, if the rest falls as it did last."""
        half = int(np.searchsorted(self.n, self.n[-1] // 2))
        octaves = np.log(n / self.n[-1]) / np.log(self.n[-1] / self.n[half])
        out = []
        for rest, enough in ((self.product, product), (self.slope, slope)):
            if rest[-1] > 0.0:
                out.append(rest[-1] * (rest[-1] / rest[half]) ** (_FASTER * octaves) > enough)
        return any(out)

    def left_out(self, log_c: Array) -> tuple[Array, Array]:
        """What all terms leave out of K and of R."""
        n = float(self.n[-1])
        return (
            np.asarray(self.product[-1] * np.exp(n * log_c)),
            np.asarray(self.slope[-1] * np.exp((n - 1.0) * log_c)),
        )


def truncation(table: RowTable) -> Truncation:
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


def left(table: RowTable, minus: Array) -> Truncation:
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
