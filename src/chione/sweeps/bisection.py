"""Bisection on a ladder of depths: the largest rung that trains, with few questions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from chione.base import SpecError

_DEEPEST, _FINEST = 10**6, 1.001


def ladder(shallowest: int, deepest: int, ratio: float) -> tuple[int, ...]:
    """Whole numbers from `shallowest` to `deepest`, each about `ratio` times the one before.

    Raises
    ------
    SpecError
        If the ends are out of order or the ratio is not above 1.

    Examples
    --------
    >>> ladder(1, 40, 2.0)
    (1, 2, 5, 10, 20, 40)
    """
    if not 1 <= shallowest < deepest <= _DEEPEST:
        raise SpecError(
            f"depth must be LOW and HIGH with 1 <= LOW < HIGH <= {_DEEPEST}, but they are "
            f"{str(shallowest)[:20]} and {str(deepest)[:20]}."
        )
    if not _FINEST <= ratio <= 10.0:
        raise SpecError(f"ratio must lie between {_FINEST} and 10, but it is {ratio!r}.")
    steps = max(1, math.ceil(math.log(deepest / shallowest) / math.log(ratio)))
    growth = (deepest / shallowest) ** (1.0 / steps)
    return tuple(sorted({round(shallowest * growth**k) for k in range(steps + 1)}))


@dataclass
class Bisection:
    """The search for one boundary; indices are rungs of a ladder.

    From `start` it doubles its stride until one rung trains and a later one does not, then it
    halves what lies between. Asked for a rung until :attr:`next` is None.

    Parameters
    ----------
    size : int
        Number of rungs.
    start : int
        The first rung to ask for.
    stride : int
        How far the second one lies from the first.
    """

    size: int
    start: int
    stride: int = 1
    trains: int = -1
    """Largest rung known to train; -1 for none."""
    fails: int = field(default=-1, init=False)
    """Smallest rung known to fail; `size` for none."""
    asked: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.fails = self.size

    @property
    def next(self) -> int | None:
        """The rung to try now."""
        if self.fails - self.trains <= 1:
            return None
        if not self.asked:
            return min(max(self.start, 0), self.size - 1)
        jump = self.stride << (self.asked - 1)
        if self.fails == self.size:
            return min(self.trains + jump, self.size - 1)
        if self.trains == -1:
            return max(self.fails - jump, 0)
        return (self.trains + self.fails) // 2

    def tell(self, rung: int, trains: bool) -> None:
        """What the rung did: all below it count as training, or all above as failing."""
        self.asked += 1
        if trains:
            self.trains = max(self.trains, rung)
        else:
            self.fails = min(self.fails, rung)

    @property
    def censored(self) -> int:
        """+1 where even the last rung trains, -1 where the first one fails, 0 between."""
        if self.trains == self.size - 1:
            return 1
        return -1 if self.fails == 0 else 0
