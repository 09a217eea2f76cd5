"""Arrays of a few different words in one byte an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Text = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Coded:
    """An array of words from a short list; as an array of text it takes 4 bytes a letter.

    Parameters
    ----------
    codes : ndarray of int8
        Place of each entry in the list.
    words : tuple of str
        The list, of at most 127.
    """

    codes: NDArray[np.int8]
    words: tuple[str, ...]

    def text(self) -> Text:
        """The array of text; a new one, which nobody writes to in the belief that it stays."""
        out = np.array(self.words)[self.codes]
        out.setflags(write=False)
        return out

    def share(self, word: str) -> float:
        """The part of all entries that are this word."""
        return float(np.mean(self.codes == self.words.index(word)))


def few_words() -> Any:
    """A field of a result that may be given as :class:`Coded` and always reads as text."""
    return _FewWords()


class _FewWords:
    """The descriptor of such a field."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, result: Any, owner: type | None = None) -> Text:
        if result is None:  # how a dataclass asks for a default, which there is not
            raise AttributeError(self._name)
        held = vars(result)[self._name]
        return held.text() if isinstance(held, Coded) else held

    def __set__(self, result: Any, x: Coded | Text) -> None:
        vars(result)[self._name] = x


def coded(result: Any, name: str) -> Coded:
    """The words of such a field with their codes, without the text where that was never made."""
    held = vars(result)[name]
    if isinstance(held, Coded):
        return held
    words, codes = np.unique(held, return_inverse=True)
    return Coded(codes.reshape(held.shape).astype(np.int8), tuple(words.tolist()))
