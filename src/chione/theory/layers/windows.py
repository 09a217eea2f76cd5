r"""Linear maps over positions: which positions each output reads, and what that does to pairs.

Two ways of reading. *Together*: every tap has weights of its own, as in a convolution, so two
outputs share only equal taps; *mixed*: all taps are added with one weight, as in a pool:

.. math:: K'_{ts} = \sum_b K_{t_b s_b}, \qquad K'_{ts} = \sum_{b, b'} K_{t_b s_{b'}}
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Index, Orbits, mixed


class Windows:
    """Positions that each output position reads.

    Parameters
    ----------
    key : hashable
        What tells this geometry from others.
    reads : ndarray of int, shape (outputs, taps)
        The positions read, -1 where a tap lies beyond the edge.
    positions : int
        Number of positions that are read from.
    """

    def __init__(self, key: Hashable, reads: Index, positions: int) -> None:
        self.key = key
        self.reads = reads
        self.positions = positions

    @property
    def taps(self) -> int:
        """Taps of each output."""
        return int(self.reads.shape[1])

    @cached_property
    def adjoint(self) -> Windows:
        """Outputs that read each position, tap by tap."""
        back = np.full((self.positions, self.taps), -1, dtype=np.intp)
        outputs, taps = np.nonzero(self.reads >= 0)
        back[self.reads[outputs, taps], taps] = outputs
        return Windows(("adjoint", self.key), back, self.reads.shape[0])

    def sites(self, inputs: int) -> Index:
        """The same for sites: each input has these positions."""
        shift = np.arange(inputs)[:, None, None] * self.positions
        reads = np.where(self.reads >= 0, self.reads + shift, -1)
        return np.asarray(reads.reshape(-1, self.taps))


Number = TypeVar("Number", np.float64, np.uint64)


@dataclass(frozen=True)
class Together:
    """Sums over equal taps of two outputs, for each new class of pairs.

    Parameters
    ----------
    orbits : Orbits
        The new classes.
    terms : ndarray of int, shape (new classes, taps)
        The old class of each tap's pair; the number of classes where there is none.
    alone : tuple of two ndarrays of int, likewise
        Where only one of the two taps exists, the class of its site with itself.
    """

    orbits: Orbits
    terms: Index
    alone: tuple[Index, Index]

    @classmethod
    def of(cls, orbits: Orbits, windows: Windows, inputs: int) -> Together:
        """The map on these classes; remembered by them."""
        return orbits.remembered(
            ("together", windows.key, inputs), lambda: cls._made(orbits, windows, inputs)
        )

    @classmethod
    def _made(cls, orbits: Orbits, windows: Windows, inputs: int) -> Together:
        n, none = orbits.sites, orbits.count
        index = np.full((n + 1, n + 1), none, dtype=np.intp)  # -1 reads the last row: nothing
        index[:n, :n] = orbits.index
        labels = np.append(orbits.labels, np.uint64(0))
        reads = windows.sites(inputs)
        total = np.zeros((len(reads),) * 2, dtype=np.uint64)
        for tap in reads.T:
            total += labels[index[tap[:, None], tap[None, :]]]
        new = _same_or(Orbits.labelled(mixed(total)), orbits)
        first, second = reads[new.rows], reads[new.columns]
        diagonal = np.append(orbits.diagonal, none)
        alone = (
            np.where(second < 0, diagonal[first], none),
            np.where(first < 0, diagonal[second], none),
        )
        return cls(new, index[first, second], alone)

    def covariance(self, k: Bounded) -> Bounded:
        """Sum of K over the taps."""
        return _summed(k, self.terms)

    def distance(self, k: Bounded, d: Bounded) -> Bounded:
        """Sum of D over the taps; a tap whose other lies beyond the edge leaves its mean square."""
        out = _summed(d, self.terms)
        for side in self.alone:
            out = out.plus(_summed(k, side))
        return out


@dataclass(frozen=True)
class Mixed:
    """Double sums over the taps of two outputs.

    Parameters
    ----------
    orbits : Orbits
        The new classes.
    old : Orbits
        The classes before.
    reads : ndarray of int, shape (new sites, taps)
        The sites read.
    """

    orbits: Orbits
    old: Orbits
    reads: Index

    @classmethod
    def of(cls, orbits: Orbits, windows: Windows, inputs: int) -> Mixed:
        """The map on these classes; remembered by them."""
        return orbits.remembered(
            ("mixed", windows.key, inputs), lambda: cls._made(orbits, windows, inputs)
        )

    @classmethod
    def _made(cls, orbits: Orbits, windows: Windows, inputs: int) -> Mixed:
        reads = windows.sites(inputs)
        total = _doubly_summed(orbits.labels[orbits.index], reads)
        return cls(_same_or(Orbits.labelled(mixed(total)), orbits), orbits, reads)

    def covariance(self, k: Bounded) -> Bounded:
        """Double sum of K."""
        return self._at(k, self.orbits.rows, self.orbits.columns)

    def distance(self, k: Bounded, d: Bounded) -> Bounded:
        r""":math:`\sum_{ij} D_{ij}` over both windows less half of that within each."""
        rows, columns = self.orbits.rows, self.orbits.columns
        across, one, two = (
            self._at(d, i, j) for i, j in ((rows, columns), (rows, rows), (columns, columns))
        )
        value = across.value - 0.5 * (one.value + two.value)
        error = across.error + 0.5 * (one.error + two.error)
        error = error + EPS * (across.value + one.value + two.value)
        same = rows == columns
        return Bounded(np.where(same, 0.0, np.maximum(value, 0.0)), np.where(same, 0.0, error))

    def _at(self, x: Bounded, rows: Index, columns: Index) -> Bounded:
        value, error, size = (
            _doubly_summed(v[self.old.index], self.reads)[rows, columns]
            for v in (x.value, x.error, np.abs(x.value))
        )
        return Bounded(value, error + 4.0 * EPS * size)


def _same_or(new: Orbits, old: Orbits) -> Orbits:
    """The old object where the classes are the same, so that what it remembers serves again."""
    same = new.sites == old.sites and np.array_equal(new.index, old.index)
    return old if same else new


def _summed(x: Bounded, terms: Index) -> Bounded:
    value, error = (np.append(v, 0.0)[terms] for v in x)
    total = value.sum(axis=1)
    size = np.abs(value).sum(axis=1)
    return Bounded(total, error.sum(axis=1) + EPS * size * np.sqrt(terms.shape[1]))


def _doubly_summed(matrix: NDArray[Number], reads: Index) -> NDArray[Number]:
    """Sum of a matrix over the rows and columns that are read; -1 reads nothing."""
    out = matrix
    for _ in range(2):
        zero = np.zeros((1, out.shape[1]), dtype=out.dtype)
        padded = np.concatenate([out, zero])
        total = np.zeros((len(reads), out.shape[1]), dtype=out.dtype)
        for tap in reads.T:
            total += padded[tap]
        out = total.T
    return np.asarray(out)
