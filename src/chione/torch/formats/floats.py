r"""Floating-point formats as exact numbers: where rounding to nearest even gives zero or infinity.

A format with p digits (the hidden one counted) and exponents from :math:`e_-` to :math:`e_+` has
the steps :math:`2^{e_- - p + 1}` below :math:`2^{e_-}` and :math:`2^{e - p + 1}` in
:math:`[2^e, 2^{e+1})`. What lies half a step between two numbers goes to the even one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chione.base import SpecError


@dataclass(frozen=True)
class Format:
    """One format.

    Parameters
    ----------
    name : str
        As torch calls it.
    digits : int
        Binary digits of a normal number, the hidden one counted.
    lowest, highest : int
        Exponents e of the smallest normal number 2^e and of the binade of the largest one.
    largest : float
        The largest finite number.
    saturates : bool
        Whether what is larger becomes `largest`, since there are no infinities.
    """

    name: str
    digits: int
    lowest: int
    highest: int
    largest: float
    saturates: bool = False

    @property
    def smallest_normal(self) -> float:
        """The smallest number with all digits."""
        return 2.0**self.lowest

    @property
    def smallest(self) -> float:
        """The smallest positive number."""
        return 2.0 ** (self.lowest - self.digits + 1)

    @property
    def zero_exponent(self) -> int:
        """The k with: |x| rounds to zero where |x| <= 2^k (the tie is even)."""
        return self.lowest - self.digits

    @property
    def normal_border(self) -> float:
        """|x| keeps all its digits where |x| >= this; the tie goes up, as 2^e is even."""
        return self.smallest_normal - self.smallest / 2.0

    @property
    def overflow_border(self) -> float:
        """Half a step above the largest number."""
        return self.largest + 2.0 ** (self.highest - self.digits)

    @property
    def tie_overflows(self) -> bool:
        """Whether the border itself is too large: the largest number is odd in its last digit."""
        return int(self.largest / 2.0 ** (self.highest - self.digits + 1)) % 2 == 1

    @property
    def too_large(self) -> str:
        """What becomes of numbers beyond the border, as a word of a sentence."""
        return f"saturate at {self.largest:g}" if self.saturates else "overflow to infinity"


_MADE = (
    Format("float16", 11, -14, 15, 65504.0),
    Format("bfloat16", 8, -126, 127, (2.0 - 2.0**-7) * 2.0**127),
    Format("float8_e4m3fn", 4, -6, 8, 448.0, saturates=True),
    Format("float8_e5m2", 3, -14, 15, 57344.0),
)
FORMATS: Final = {f.name: f for f in _MADE}
_ALIASES: Final = {
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "float8_e4m3": "float8_e4m3fn",
    "e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2",
}


def format_of(name: object) -> Format:
    """The format of a name or a torch dtype.

    Raises
    ------
    SpecError
        If it is none of those known.
    """
    words = str(name).removeprefix("torch.")
    found = FORMATS.get(_ALIASES.get(words, words))
    if found is None:
        raise SpecError(
            f"formats knows {', '.join(FORMATS)}, but received {name!r}; choose among these."
        )
    return found
