"""Pairs of sites in classes of equal value, so that the cost follows the symmetry.

A site is an input at a position, ``site = input * positions + position``. Two inputs without
positions have three classes; T exchangeable tokens two an input and two a pair of inputs,
whatever T; a circular grid as many as it has shifts. Channelwise maps act on classes; maps over
positions make new classes, found by adding one random 64-bit number a class over the window.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]
T = TypeVar("T")
_SEED = 0x5EED
_MANY = 256  # sites up to which the symmetry of all of them is looked for
ODD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio in 64 bits


class Orbits:
    """A symmetric partition of all pairs of n sites.

    Parameters
    ----------
    index : ndarray of int, shape (n, n)
        The class of each pair, 0, 1, ..., symmetric. Pairs of one class agree in everything: the
        covariance, and both mean squares up to their order.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._memo: dict[Hashable, Any] = {}

    @classmethod
    def labelled(cls, labels: NDArray[Any]) -> Orbits:
        """From a symmetric matrix of labels; classes are numbered as they first appear."""
        n = labels.shape[0]
        _, first, inverse = np.unique(labels.ravel(), return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return cls(rank[inverse].reshape(n, n))

    @classmethod
    def apart_all(cls, sites: int) -> Orbits:
        """A class of its own for each pair of so many sites."""
        i, j = np.triu_indices(sites)
        index = np.zeros((sites, sites), dtype=np.intp)
        index[i, j] = index[j, i] = np.arange(len(i))
        return cls(index)

    @property
    def sites(self) -> int:
        """Number of sites n."""
        return int(self.index.shape[0])

    @cached_property
    def count(self) -> int:
        """Number of classes."""
        return int(self.index.max()) + 1

    @cached_property
    def _representatives(self) -> tuple[Index, Index]:
        _, first = np.unique(self.index.ravel(), return_index=True)
        return first // self.sites, first % self.sites

    @cached_property
    def rows(self) -> Index:
        """First site of one pair of each class."""
        return self._representatives[0]

    @cached_property
    def columns(self) -> Index:
        """Second site of that pair."""
        return self._representatives[1]

    @cached_property
    def diagonal(self) -> Index:
        """The class of each site with itself, (n,)."""
        return np.ascontiguousarray(np.diagonal(self.index))

    @cached_property
    def one(self) -> Index:
        """For each class the class of its first site with itself."""
        return self.diagonal[self.rows]

    @cached_property
    def two(self) -> Index:
        """For each class the class of its second site with itself."""
        return self.diagonal[self.columns]

    @cached_property
    def apart(self) -> NDArray[np.bool_]:
        """For each class, whether its pairs are of two different sites."""
        return np.asarray(self.rows != self.columns)

    def means(self, matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means over classes of matrices (..., n, n): (..., classes)."""
        order, starts, sizes = self._sorted
        flat = matrices.reshape(*matrices.shape[:-2], -1)
        return np.asarray(np.add.reduceat(flat[..., order], starts, axis=-1) / sizes)

    @cached_property
    def _sorted(self) -> tuple[Index, Index, Index]:
        flat = self.index.ravel()
        order, sizes = np.argsort(flat, kind="stable"), np.bincount(flat)
        return order, np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes

    @cached_property
    def labels(self) -> NDArray[np.uint64]:
        """One random number for each class."""
        rng = np.random.default_rng([_SEED, self.count])
        return rng.integers(1, 2**64, size=self.count, dtype=np.uint64)

    def remembered(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for each key: layers of one kind ask again and again."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]  # type: ignore[no-any-return]  # a memo of anything

    def split(self, key: Hashable, relation: Callable[[], NDArray[Any]]) -> tuple[Orbits, Index]:
        """Classes split by a symmetric relation of sites; for each new class the old one."""

        def make() -> tuple[Orbits, Index]:
            kind = relation().astype(np.uint64)
            new = _renumbered(self.labels[self.index] + kind * ODD, like=self)
            return new, self.index[new.rows, new.columns]

        return self.remembered(("split", key), make)

    def exchangeable(self) -> Orbits:
        r"""Classes of pairs that a map of all sites together may not tell apart.

        Two pairs of equal value may stand differently among the other sites; labels
        :math:`L_{ij}` are joined with :math:`\sum_k L_{ik} L_{kj}` until they split no more
        (Weisfeiler and Leman's refinement of pairs).
        """

        def make() -> Orbits:
            if self.sites > _MANY:
                return Orbits.apart_all(self.sites)
            now = self
            while True:
                labels = now.labels[now.index]
                finer = _renumbered(mixed(labels + (labels @ labels) * ODD), like=now)
                if finer.count == now.count:
                    return now
                now = finer

        return self.remembered("exchangeable", make)

    def meet(self, other: Orbits) -> tuple[Orbits, Index, Index]:
        """The common refinement, and for each class of it the class in both."""
        if other is self:
            whole = np.arange(self.count)
            return self, whole, whole

        def make() -> tuple[Orbits, Orbits, Index, Index]:
            labels = self.labels[self.index] + other.labels[other.index] * ODD
            new = _renumbered(labels, like=self)
            if np.array_equal(new.index, other.index):
                new = other
            at = new.rows, new.columns
            return other, new, self.index[at], other.index[at]  # `other` stays alive with its id

        _, new, mine, theirs = self.remembered(("meet", id(other)), make)
        return new, mine, theirs


def _renumbered(labels: NDArray[np.uint64], like: Orbits) -> Orbits:
    """The partition by labels; the very object `like` where it is the same."""
    new = Orbits.labelled(labels)
    return like if np.array_equal(new.index, like.index) else new


def scattered(values: NDArray[Any]) -> NDArray[np.uint64]:
    """One random 64-bit number for each different value."""
    _, at = np.unique(values, return_inverse=True)
    rng = np.random.default_rng([_SEED, len(at)])
    table = rng.integers(1, 2**64, size=len(at), dtype=np.uint64)
    return np.asarray(table[at.reshape(-1)])


def mixed(labels: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A matrix of labels joined with those of both sites alone, so that lengths agree as well."""
    alone = np.diagonal(labels) * ODD
    return np.asarray(labels + (alone[:, None] + alone[None, :]) * ODD)


def by_value(gram: NDArray[np.float64], mean: NDArray[np.float64] | None = None) -> Orbits:
    """Classes of equal covariance, lengths and means."""
    pairs = scattered(gram.ravel()).reshape(gram.shape)
    sites = scattered(np.diagonal(gram))
    if mean is not None:
        sites = sites * ODD + scattered(mean)
    return Orbits.labelled(pairs + (sites[:, None] + sites[None, :]) * ODD)
