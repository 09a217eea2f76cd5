"""What can be said of a computed value: a word for machines, a sentence for people."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """Outcome of a computation, one per element.

    The members are integers, so arrays of statuses are plain integer arrays;
    ``Status(code).sentence`` is the text for a reader, ``Status(code).word`` the one for JSON.
    """

    sentence: str

    def __new__(cls, code: int, sentence: str) -> Status:
        member = int.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    OK = 0, "The value is right to within its stated error."
    INEXACT = 1, "The requested accuracy was not reached; the stated error is what was."
    DIVERGENT = 2, "The quantity grows without bound, so there is no finite value."
    INFINITE = 3, "The expectation is infinite: the integrand outgrows the Gaussian weight."
    NONE = 4, "No such point exists for these parameters."
    CONTINUUM = 5, "Every value is a fixed point: the map is the identity."
    HALF_STABLE = 6, "The fixed point attracts from one side and repels to the other."
    CRITICAL = 7, "At criticality the decay is a power law, so there is no finite depth scale."
    UNDEFINED = 8, "The quantity is not defined here (0/0 or a derivative that does not exist)."
    SLOW = 9, "The iteration contracts too slowly to be trusted; use the bracketed root."
    NOT_COMPUTED = 10, "Not computed, because a quantity that it rests on has no value."
    INSTANT = 11, "The perturbation is gone after one layer: the slope is zero."

    @property
    def word(self) -> str:
        """The name in lower case, as JSON output carries it."""
        return self.name.lower()
