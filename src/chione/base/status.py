"""What can be said of a computed value: a word for machines, a sentence for people."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Outcome of a computation, one per element.

    The members are integers, so arrays of statuses are plain integer arrays;
    ``Status(code).sentence`` is the text for a reader, ``Status(code).word`` the one for JSON.
    """

    OK = 0
    INEXACT = 1
    DIVERGENT = 2
    INFINITE = 3
    NONE = 4
    CONTINUUM = 5
    HALF_STABLE = 6
    CRITICAL = 7
    UNDEFINED = 8
    SLOW = 9
    NOT_COMPUTED = 10
    INSTANT = 11
    OVERFLOW = 12
    RESOLUTION = 13

    @property
    def word(self) -> str:
        """The name in lower case, as JSON output carries it."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """What happened, in words for a reader."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.OK: "The value is right to within its stated error.",
    Status.INEXACT: "The requested accuracy was not reached; the stated error is what was.",
    Status.DIVERGENT: "The quantity grows without bound, so there is no finite value.",
    Status.INFINITE: "The expectation is infinite, by a jump, an infinite slope or fast growth.",
    Status.NONE: "No such point exists for these parameters.",
    Status.CONTINUUM: "Every value is a fixed point: the map is the identity.",
    Status.HALF_STABLE: "The fixed point attracts from one side and repels to the other.",
    Status.CRITICAL: "At criticality the decay is a power law, so there is no finite depth scale.",
    Status.UNDEFINED: "The quantity is not defined here (0/0 or a derivative that does not exist).",
    Status.SLOW: "The iteration contracts too slowly to be trusted; use the bracketed root.",
    Status.NOT_COMPUTED: "Not computed, because a quantity that it rests on has no value.",
    Status.INSTANT: "The perturbation is gone after one layer: the slope is zero.",
    Status.OVERFLOW: "Finite, but outside the range that float64 can hold or integrate over.",
    Status.RESOLUTION: "The function may hold features too narrow to be found by sampling it; the "
    "stated error is a guess at what they add. Pass their places as breakpoints.",
}
