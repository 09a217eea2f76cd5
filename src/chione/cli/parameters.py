"""Kinds of command-line values: finite numbers, ranges, names, files to write, the effort."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem


class FiniteFloat(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A finite real number, optionally bounded below; ``nan`` and ``inf`` are refused.

    Parameters
    ----------
    minimum, maximum : float, optional
        Smallest and largest accepted value.
    """

    name = "number"

    def __init__(self, minimum: float = -math.inf, maximum: float = math.inf) -> None:
        self.minimum, self.maximum = minimum, maximum

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number, or a click error that says what is accepted."""
        try:
            x = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number.", param, ctx)
        if not math.isfinite(x):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        if x < self.minimum:
            self.fail(f"{x!r} is below {self.minimum:g}, the smallest accepted value.", param, ctx)
        if x > self.maximum:
            self.fail(f"{x!r} is above {self.maximum:g}, the largest accepted value.", param, ctx)
        return x


class Whole(click.IntRange):
    """A whole number within bounds; what is accepted is said in words."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a click error that says what is accepted."""
        try:
            n = int(value)
        except ValueError:
            self.fail(f"{value!r} is not a whole number{_such(value)}.", param, ctx)
        if self.min is not None and n < self.min:
            self.fail(f"{n} is below {self.min}, the smallest accepted value.", param, ctx)
        if self.max is not None and n > self.max:
            self.fail(f"{n} is above {self.max}, the largest accepted value.", param, ctx)
        return n


def _such(value: str) -> str:
    """How to write the whole number that may have been meant, as by 1e3."""
    try:
        x = float(value)
        return f"; write {int(x)}" if x == int(x) and abs(x) < 1e15 else ""
    except (ValueError, OverflowError):
        return ""


class Range(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Equally spaced numbers ``FROM:TO:COUNT``, all of them at least `minimum`."""

    name = "from:to:count"

    def __init__(self, minimum: float = -math.inf, maximum: float = math.inf) -> None:
        self.minimum, self.maximum = minimum, maximum

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, int]:
        """The two ends and the count, or a click error that says what is accepted."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(":")
        try:
            low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
            if len(parts) != 3:
                raise ValueError
        except (ValueError, IndexError):
            self.fail(f"{value!r} is not FROM:TO:COUNT, for example 0.5:4:200.", param, ctx)
        if not (math.isfinite(low) and math.isfinite(high) and self.minimum <= low < high):
            bound = "" if math.isinf(self.minimum) else f" and FROM at least {self.minimum:g}"
            self.fail(f"{value!r}: the ends must be finite, FROM below TO{bound}.", param, ctx)
        if high > self.maximum:
            self.fail(f"{value!r}: TO must be at most {self.maximum:g}.", param, ctx)
        if not 2 <= count <= 100_000:
            self.fail(f"{value!r}: COUNT must lie between 2 and 100000.", param, ctx)
        return low, high, count


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Positive numbers with commas between them."""

    name = "n,n,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers, or a click error that says what is accepted."""
        if isinstance(value, tuple):
            return value
        try:
            found = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list such as 500,300,500.", param, ctx)
        if not all(math.isfinite(x) and x > 0.0 for x in found):
            self.fail(f"{value!r}: all numbers must be finite and above 0.", param, ctx)
        return found


class Levels(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Numbers with commas between them; ``auto`` is None, ``none`` is empty."""

    name = "n,n,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...] | None:
        """The numbers, or a click error that says what is accepted."""
        if value is None or isinstance(value, tuple) or value == "auto":
            return None if value == "auto" else value
        if value == "none":
            return ()
        try:
            found = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not auto, none, or a list such as 0.5,1,2.", param, ctx)
        if not all(math.isfinite(x) for x in found):
            self.fail(f"{value!r}: all levels must be finite.", param, ctx)
        return found


class OutputFile(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A file to write, whose ending is one of a few; its folder must exist.

    The check runs before the computation, so that no long run ends in a file that cannot be
    written.
    """

    name = "file"

    def __init__(self, *endings: str) -> None:
        self.endings = endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, or a click error that says what is accepted."""
        from chione.base import MissingExtraError, check_writable

        path = Path(value)
        if path.suffix.lower() not in self.endings:
            some = "one of " if len(self.endings) > 1 else ""
            self.fail(f"{value!r} must end in {some}{', '.join(self.endings)}.", param, ctx)
        if path.suffix.lower() == ".nc" and find_spec("xarray") is None:
            raise MissingExtraError("xarray", "data", "writing .nc")
        try:
            return check_writable(path)
        except (ValueError, OSError) as err:
            self.fail(str(err), param, ctx)


class _Named(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A word; the shell completes it from a list that is read only then."""

    def __init__(self, name: str, words: Callable[[], Iterable[str]]) -> None:
        self.name, self._words = name, words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word as it is; the command judges it."""
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words of the list that begin like this."""
        return [CompletionItem(word) for word in self._words() if word.startswith(incomplete)]


def _activations() -> Iterable[str]:
    from chione.activations import catalogue

    return catalogue()


def _entries() -> Iterable[str]:
    from chione.gallery import ENTRIES

    return ENTRIES


def with_effort(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--effort``: how many times the limits on time and memory it may take."""

    @wraps(function)
    def within(*args: Any, effort: float, **options: Any) -> None:
        from chione.base import cost

        with cost.allowing(effort):
            function(*args, **options)

    option = click.option(
        "--effort",
        type=FiniteFloat(minimum=0.0),
        default=1.0,
        show_default=True,
        help="How many times the limits of 60 s of work and 4 GB it may take.",
    )
    return option(within)


ACTIVATION = _Named("activation", _activations)
ENTRY = _Named("name", _entries)
FIGURE = OutputFile(".png", ".svg", ".pdf")
DATA = OutputFile(".npz", ".csv", ".nc", ".json")
NON_NEGATIVE = FiniteFloat(minimum=0.0)
LARGEST_SIGMA = 1e75  # fourth powers must stay in the range of float64
SIGMA = FiniteFloat(minimum=0.0, maximum=LARGEST_SIGMA)
COUNT = Whole(1)
INITS = ("xavier", "he", "lecun", "pytorch", "calculate_gain", "standard")
LAWS = ("gaussian", "orthogonal", "uniform", "truncated", "delta")

data_option = click.option(
    "--out",
    type=DATA,
    help="Write the result as data: .npz, .nc, .json (chione show reads these back) or .csv, "
    "its table.",
)
