r"""One smooth curve for a tail that dies away in the noise of its formula.

Short fits with their noise in them, blended, still waver by that noise from one to the next, and
quadrature asks for nine digits of a value that has three. A tail of one sign is better held by
:math:`\pm e^{p(\log |x|)}` with a short polynomial p, as long as that stays within the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.activations import chebyshev
from chione.activations.chebyshev import Panels
from chione.base import Array

FEWEST = 4  # cells
BEYOND = 4  # cells in which nothing stands out of the noise any more, at the end of the tail
DEGREES = (3, 6, 9, 12, 16, 20)
CLEAR = (0.0, 1e2, 1e4)  # times the noise: what is left of a run, if no curve holds all of it
WITHIN = 12.0  # times the noise: twice what the fits themselves are off by
# of a cell, to its ends: beyond the last point a polynomial goes its own way
_X = np.linspace(-1.0, 1.0, 9)
_BETWEEN = 0.5 * (_X[1:] + _X[:-1])


@dataclass(frozen=True)
class Tail:
    """A tail on one side of zero.

    Parameters
    ----------
    sign : float
        Of the function.
    middle, half : float
        Of the interval of log|x| in which the polynomial was found.
    coefficients : ndarray
        Chebyshev coefficients of log|f| there.
    """

    sign: float
    middle: float
    half: float
    coefficients: Array

    def __call__(self, x: Array) -> Array:
        """The tail at x (n,)."""
        t = (np.log(np.abs(x)) - self.middle) / self.half
        return np.asarray(self.sign * np.exp(np.polynomial.chebyshev.chebval(t, self.coefficients)))


def tails(
    cells: Panels, noisy: NDArray[np.bool_], faint: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], tuple[Tail, ...]]:
    """The tail that each cell belongs to, -1 for none, and the tails.

    Parameters
    ----------
    cells : Panels
        Fits without noise, those of one stretch between kinks after the other.
    noisy, faint : ndarray of bool
        Cells that are fitted, and those of them in which nothing stands out of the noise.
    """
    member = np.full(len(noisy), -1, dtype=np.intp)
    found: list[Tail] = []
    clear = noisy & ~faint
    # a run ends where cells do not follow each other, and at a cell that is clean or faint
    ends = np.flatnonzero((np.diff(cells.low) < 0.0) | ~(clear[1:] & clear[:-1])) + 1
    for run in np.split(np.arange(len(noisy)), ends):
        if len(run) < FEWEST or not clear[run[0]]:
            continue
        run, tail = _longest(cells, run)
        if tail is None:
            continue
        member[run] = len(found)
        for last, step in ((int(run[0]), -1), (int(run[-1]), 1)):
            for k in range(last + step, last + step * (BEYOND + 1), step):
                if not 0 <= k < len(noisy) or not faint[k] or not _stays_low(tail, cells, k):
                    break
                member[k] = len(found)
        found.append(tail)
    return member, tuple(found)


def _longest(cells: Panels, run: NDArray[np.intp]) -> tuple[NDArray[np.intp], Tail | None]:
    """A curve through a run of cells, or through those that stand out clearly of their noise.

    The last ones before a tail is lost hold two or three steps of a staircase, which is more
    noise than their coefficients show.
    """
    share = np.max(np.abs(cells.coefficients[run]), axis=1) / cells.noise[run]
    for least in CLEAR:
        part = run[share >= least]
        if len(part) < FEWEST or np.any(np.diff(part) != 1):
            break
        tail = _fitted(cells, part)
        if tail is not None:
            return part, tail
    return run, None


def _points(cells: Panels, index: NDArray[np.intp], places: Array = _X) -> Array:
    middle, half = 0.5 * (cells.low + cells.high)[index], 0.5 * (cells.high - cells.low)[index]
    return np.asarray(middle[:, None] + half[:, None] * places)


def _fitted(cells: Panels, run: NDArray[np.intp]) -> Tail | None:
    """The curve through the fits of a run of cells, if one stays within their noise."""
    x = _points(cells, run)
    if np.min(x) * np.max(x) <= 0.0:
        return None
    index = np.repeat(run, len(_X))
    y = chebyshev.evaluate(cells, index, x.ravel(), 0)
    if np.min(y) * np.max(y) <= 0.0:
        return None  # it changes sign: no logarithm
    # one cell's estimate may be low by luck, those of its neighbours are not as well
    own = np.pad(cells.noise[run], 2, mode="edge")
    widest = np.max([own[k : k + len(run)] for k in range(5)], axis=0)
    noise = np.repeat(widest, len(_X))
    s, log_y = np.log(np.abs(x.ravel())), np.log(np.abs(y))
    middle, half = float(0.5 * (s.min() + s.max())), float(0.5 * (s.max() - s.min()))
    weight = np.abs(y) / noise  # one over the error of the logarithm
    for degree in DEGREES:
        basis = np.polynomial.chebyshev.chebvander((s - middle) / half, degree)
        c = np.linalg.lstsq(basis * weight[:, None], log_y * weight, rcond=None)[0]
        tail = Tail(float(np.sign(y[0])), middle, half, np.asarray(c, dtype=np.float64))
        if np.all(np.abs(tail(x.ravel()) - y) <= WITHIN * noise):
            return tail if _holds_between(tail, cells, run, widest) else None
    return None


def _holds_between(tail: Tail, cells: Panels, run: NDArray[np.intp], noise: Array) -> bool:
    """Whether the curve is as good where it was not fitted."""
    x = _points(cells, run, _BETWEEN).ravel()
    y = chebyshev.evaluate(cells, np.repeat(run, len(_BETWEEN)), x, 0)
    return bool(np.all(np.abs(tail(x) - y) <= WITHIN * np.repeat(noise, len(_BETWEEN))))


def _stays_low(tail: Tail, cells: Panels, cell: int) -> bool:
    x = _points(cells, np.array([cell])).ravel()
    if np.min(x) * np.max(x) <= 0.0:
        return False
    return bool(np.max(np.abs(tail(x))) <= WITHIN * cells.noise[cell])
