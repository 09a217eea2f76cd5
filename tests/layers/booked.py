"""Networks drawn again with one of their normal numbers moved: slopes by brute force."""

from __future__ import annotations

import dataclasses

from chione.simulation.layers import Draws
from chione.simulation.streams import Purpose


class Shifted:
    """A generator whose normal draws are all recorded; one of them may be moved."""

    def __init__(self, rng, book):
        self._rng, self._book = rng, book

    def standard_normal(self, size=None, out=None):
        a = self._rng.standard_normal(size, out=out)
        return self._book.noted(a)

    def __getattr__(self, name):
        return getattr(self._rng, name)


class Book:
    """All N(0, 1) parameters of a network as one vector, and a step along one of them."""

    def __init__(self, move=None, by=0.0):
        self.move, self.by, self.count = move, by, 0

    def noted(self, a):
        if self.move is not None and 0 <= self.move - self.count < a.size:
            a.reshape(-1)[self.move - self.count] += self.by
        self.count += a.size
        return a


@dataclasses.dataclass(frozen=True)
class BookedDraws(Draws):
    book: Book = dataclasses.field(default_factory=Book)

    def stream(self, purpose=Purpose.WEIGHTS):
        rng = super().stream(purpose)
        fixed = purpose in (Purpose.MASKS, Purpose.INPUTS)  # no parameters
        return rng if fixed else Shifted(rng, self.book)
