r"""Exchangeable tokens: two numbers for each pair of inputs, instead of a matrix.

.. math:: X_{as, bs'} = \beta_{ab} + \delta_{ab} 1_{s = s'}

for K, D and Theta of a memory; sites of the queries may have any covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import ODD, Index, Orbits
from chione.theory.layers.stream import Gradient, Stream


@dataclass(frozen=True)
class Tokens:
    """Exchangeable tokens of a memory, as queries at some positions see them.

    Parameters
    ----------
    memory : Orbits
        Classes of pairs of the memory's sites.
    inputs, queries : int
        Inputs, and positions of the queries.
    visible : tuple of int
        How many of its first tokens each input has.
    """

    memory: Orbits
    inputs: int
    queries: int
    visible: tuple[int, ...]

    @staticmethod
    def of(stream: Stream, memory: Stream, visible: tuple[int, ...] | None) -> Tokens | None:
        """The tokens of a memory, or None if they are not exchangeable."""
        positions = memory.positions
        seen = visible if visible is not None else (positions,) * memory.inputs
        tokens = Tokens(memory.orbits, memory.inputs, stream.positions, seen)
        return tokens if _alike(memory) else None

    @property
    def count(self) -> int:
        """Tokens of each input."""
        return self.memory.sites // self.inputs

    # ---- classes of pairs of queries -------------------------------------------------------------

    def classes(self, orbits: Orbits) -> tuple[Orbits, Index]:
        """Classes of pairs of queries whose inputs stand in one relation, and the old classes."""
        self.memory.remembered("itself", lambda: self.memory)
        orbits.remembered(("memory", id(self.memory)), lambda: self.memory)  # stays alive
        key = ("attention", id(self.memory), self.queries, self.visible)
        return orbits.split(key, self._relation)

    def _relation(self) -> NDArray[np.uint64]:
        labels = self.memory.labels
        same, other = (index.reshape(self.inputs, -1) for index in self._at)
        alone = np.diagonal(labels[same]) + np.diagonal(labels[other]) * ODD
        alone = alone + np.array(self.visible, dtype=np.uint64) * ODD * ODD
        pairs = labels[same] * ODD + labels[other] * ODD * ODD
        alone = alone * alone  # so that sums of two are told apart
        blocks = pairs + (alone[:, None] + alone[None, :]) * (ODD + np.uint64(2))
        return np.repeat(np.repeat(blocks, self.queries, axis=0), self.queries, axis=1)

    def pairs(self, orbits: Orbits) -> tuple[Index, Index]:
        """The inputs of both sites of each class."""
        return orbits.rows // self.queries, orbits.columns // self.queries

    def seen_by(self, orbits: Orbits) -> tuple[Index, Index]:
        """How many tokens both sites of each class see."""
        visible = np.array(self.visible)
        one, two = self.pairs(orbits)
        return visible[one], visible[two]

    # ---- the two numbers -------------------------------------------------------------------------

    @property
    def _at(self) -> tuple[Index, Index]:
        """Classes of one token, and of two different ones, for each pair of inputs."""

        def make() -> tuple[Index, Index]:
            first = np.arange(self.inputs) * self.count
            index = self.memory.index
            second = first + min(1, self.count - 1)
            return index[np.ix_(first, first)], index[np.ix_(first, second)]

        return self.memory.remembered(("tokens", self.inputs), make)

    def own(self, d: Bounded) -> Bounded:
        """Delta of K, (inputs, inputs), from distances, which lose no digits."""
        if self.count == 1:
            return Bounded.exact(np.zeros((self.inputs, self.inputs)))
        same, other = self._at
        return d.at(other).minus(d.at(same)).scaled(0.5)

    def differing(self, x: Bounded) -> Bounded:
        """Delta of any values."""
        same, other = self._at
        return x.at(same).minus(x.at(other))

    def shared(self, x: Bounded) -> Bounded:
        """Beta of any values."""
        return x.at(self._at[1])

    def lengths(self, k: Bounded) -> Bounded:
        """Mean squares of the tokens of each input."""
        return k.at(np.diagonal(self._at[0]))

    def apart(self, d: Bounded) -> Bounded:
        r""":math:`\beta_{aa} + \beta_{bb} - 2 \beta_{ab}`, (inputs, inputs)."""
        own = self.own(d)
        alone = Bounded(np.diagonal(own.value), np.diagonal(own.error))
        value = d.at(self._at[1])
        ones = np.ones((self.inputs, 1))
        for side in (alone.value[None, :], alone.value[:, None]):
            value = value.plus(Bounded.exact(-side * ones * ones.T))
        error = value.error + alone.error[None, :] + alone.error[:, None]
        nothing = np.eye(self.inputs, dtype=bool)
        return Bounded(np.where(nothing, 0.0, value.value), np.where(nothing, 0.0, error))

    def excess(self, d: Bounded, orbits: Orbits) -> tuple[Bounded, Bounded]:
        r""":math:`\delta_{aa} - \delta_{ab}` and :math:`\delta_{bb} - \delta_{ab}`, each class."""
        own, (one, two) = self.own(d), self.pairs(orbits)
        both = d.at(self._at[0]).minus(self.apart(d)).at((one, two))  # of both together
        a, b = (Bounded(np.diagonal(own.value)[i], np.diagonal(own.error)[i]) for i in (one, two))
        same = one == two
        out = []
        for step in (a.minus(b), b.minus(a)):
            x = both.plus(step).scaled(0.5)
            out.append(Bounded(np.where(same, 0.0, x.value), np.where(same, 0.0, x.error)))
        return out[0], out[1]

    # ---- gradients -------------------------------------------------------------------------------

    def returned(
        self, g: Gradient, orbits: Orbits, overlap: Bounded, values: float, slope: Bounded
    ) -> Gradient:
        r"""What arrives at the tokens.

        Parameters
        ----------
        g : Gradient
            At the queries' sites.
        orbits : Orbits
            Classes of pairs of queries.
        overlap : Bounded
            Factor on P for each class: :math:`E \sum w w'` times that of `values`.
        values : float
            Factor on P where both weights are counted whole.
        slope : Bounded
            Factor on P for each class through the keys.
        """
        both, mine, theirs = g.orbits.meet(orbits)
        p = g.p.at(mine)
        counts = both.remembered(("blocks", self.inputs), lambda: self._counts(both))
        total, same, moved = (
            _summed(counts, x, self.inputs)
            for x in (p.scaled(values), p.times(overlap.at(theirs)), p.times(slope.at(theirs)))
        )
        target = self.target
        a, b, kind = target.first, target.second, target.kind
        seen = np.array(self.visible)
        few, many = np.minimum(seen[a], seen[b]), np.maximum(seen[a], seen[b])
        share = 1.0 / few
        off = np.where(few > 1, 1.0 / np.maximum(few * (few - 1.0), 1.0), 0.0)
        at = (a, b)
        within = same.at(at).plus(moved.at(at)).scaled(share)
        between = total.at(at).scaled(few / many).minus(same.at(at)).minus(moved.at(at)).scaled(off)
        beyond = total.at(at).scaled(share / many)
        choose = [
            np.select([kind == 1, kind == 2, kind == 3], [x, y, z], 0.0)
            for x, y, z in zip(within, between, beyond, strict=True)
        ]
        return Gradient(target.orbits, Bounded(choose[0], choose[1]))

    def _counts(self, both: Orbits) -> Array:
        """How many pairs of each class stand in each block of two inputs: (inputs^2, classes)."""
        n, t = self.inputs, self.queries
        block = np.arange(n * t) // t
        joint = (block[:, None] * n + block[None, :]) * both.count + both.index
        found = np.bincount(joint.ravel(), minlength=n * n * both.count)
        return found.reshape(n * n, -1).astype(np.float64)

    @property
    def target(self) -> Target:
        """Classes of what arrives at the tokens."""
        return self.memory.remembered(("exchange", self.visible), self._target)

    def _target(self) -> Target:
        """Classes of what arrives: same token, two tokens that both see, one that one sees."""
        n, count = self.inputs, self.count
        site = np.arange(n * count)
        of, token = site // count, site % count
        few = np.minimum.outer(np.array(self.visible), np.array(self.visible))[np.ix_(of, of)]
        seen = token < np.array(self.visible)[of]
        inside = (token[:, None] < few) & (token[None, :] < few)
        kind = np.where(inside, np.where(token[:, None] == token[None, :], 1, 2), 3)
        kind = np.where(seen[:, None] & seen[None, :], kind, 0)
        low, high = np.minimum(of[:, None], of), np.maximum(of[:, None], of)
        orbits = Orbits.labelled((low * n + high) * 4 + kind)
        at = orbits.rows, orbits.columns
        return Target(orbits, of[at[0]], of[at[1]], kind[at])


@dataclass(frozen=True)
class Target:
    """Classes of pairs of tokens, the inputs of each, and how both are seen (0: not at all)."""

    orbits: Orbits
    first: Index
    second: Index
    kind: Index


def _summed(counts: Array, p: Bounded, inputs: int) -> Bounded:
    """Sums over the blocks of two inputs, (inputs, inputs)."""
    shape = inputs, inputs
    size = counts @ np.abs(p.value)
    error = counts @ p.error + 4.0 * EPS * size
    return Bounded((counts @ p.value).reshape(shape), error.reshape(shape))


def _alike(memory: Stream) -> bool:
    """Whether tokens are exchangeable: by their classes, or else by their values."""
    n, orbits = memory.inputs, memory.orbits
    by_class: bool = orbits.remembered(("exchangeable", n), lambda: _constant(orbits.index, n))
    return by_class or all(
        _constant(x.value[orbits.index], n) for x in (memory.k, memory.d, memory.theta)
    )


def _constant(matrix: NDArray[np.generic], n: int) -> bool:
    """Whether each block of two inputs has one number on its diagonal and one beside it."""
    count = matrix.shape[0] // n
    blocks = np.swapaxes(matrix.reshape(n, count, n, count), 1, 2)
    diagonal = np.diagonal(blocks, axis1=2, axis2=3)
    if not np.all(diagonal == diagonal[..., :1]):
        return False
    if count == 1:
        return True
    rest = blocks[..., ~np.eye(count, dtype=bool)]
    return bool(np.all(rest == rest[..., :1]))
