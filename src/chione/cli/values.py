"""Values of a sweep on the command line: numbers, lists with commas, ranges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

_COUNT = 12  # of a range that names none
_MOST = 100_000


class Values(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Numbers ``1,2,5`` or a range ``FROM:TO[:COUNT]``, or both: ``0,0.5:2:4``.

    Parameters
    ----------
    whole : bool
        Whether they are whole numbers; a range then leaves repetitions out.
    geometric : bool
        Whether a range has equal ratios rather than equal steps.
    minimum : float
        Smallest accepted value; a geometric range begins above zero in any case.
    """

    name = "n,n,...|from:to[:count]"

    def __init__(
        self, *, whole: bool = False, geometric: bool = False, minimum: float = 0.0
    ) -> None:
        self._whole, self._geometric, self._minimum = whole, geometric, minimum

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """The numbers, sorted, each once; or a click error that says what is accepted."""
        if isinstance(value, tuple):
            return value
        numbers: set[Any] = set()
        for part in str(value).split(","):
            ends = part.split(":")
            try:
                if len(ends) == 1:
                    numbers.add(self._number(ends[0]))
                else:
                    numbers.update(self._range(*ends))
            except (ValueError, TypeError, OverflowError):
                self.fail(f"{part.strip()!r:.60} is {self._wanted()}.", param, ctx)
            if len(numbers) > _MOST:
                self.fail(f"these are more than {_MOST} values.", param, ctx)
        return tuple(sorted(numbers))

    def _wanted(self) -> str:
        kind = "whole number" if self._whole else "number"
        example = "10:300:8" if self._whole else "0.5:4:24"
        bound = f", each at least {self._minimum:g}" if math.isfinite(self._minimum) else ""
        ends = "" if not self._geometric else ", FROM above 0"
        return (
            f"no {kind} and no range FROM:TO:COUNT such as {example} (FROM below TO{ends}, COUNT "
            f"from 2 to {_MOST}){bound}"
        )

    def _number(self, text: str) -> Any:
        x = int(text) if self._whole else float(text)
        if not (math.isfinite(x) and x >= self._minimum):
            raise ValueError
        return x

    def _range(self, low: str, high: str, count: str = str(_COUNT)) -> list[Any]:
        a, b, n = self._number(low), self._number(high), int(count)
        if not (a < b and 2 <= n <= _MOST) or (self._geometric and a <= 0.0):
            raise ValueError
        steps = [k / (n - 1) for k in range(n)]
        if self._geometric:
            x = [a * math.exp(t * math.log(b / a)) for t in steps]
        else:
            x = [a + t * (b - a) for t in steps]
        x[0], x[-1] = a, b
        return [round(v) for v in x] if self._whole else [float(f"{v:.12g}") for v in x]


class Words(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Words separated by commas; the shell completes the last one.

    Parameters
    ----------
    known : callable
        Gives the words there are, read only when needed.
    """

    name = "word,word,..."

    def __init__(self, known: Callable[[], tuple[str, ...]]) -> None:
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """The words as they are; what they mean is judged where they are used."""
        if isinstance(value, tuple):
            return value
        words = tuple(part.strip() for part in str(value).split(","))
        for word in words:
            if word not in self._known():
                self.fail(f"{word!r:.60} is none of {', '.join(self._known())}.", param, ctx)
        return words

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that the last one of the list may become."""
        before, comma, last = incomplete.rpartition(",")
        return [
            CompletionItem(before + comma + word) for word in self._known() if word.startswith(last)
        ]


def split_formulas(given: tuple[str, ...]) -> tuple[str, ...]:
    """Activations of several arguments and lists; commas inside brackets belong to a formula."""
    out: list[str] = []
    for text in given:
        depth, start = 0, 0
        for k, letter in enumerate(text):
            depth += (letter in "([") - (letter in ")]")
            if letter == "," and depth == 0:
                out.append(text[start:k].strip())
                start = k + 1
        out.append(text[start:].strip())
    return tuple(out)
