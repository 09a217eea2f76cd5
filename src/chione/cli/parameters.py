"""Kinds of command-line values: finite numbers, ranges, output files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click


class FiniteFloat(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A finite real number, optionally bounded below; ``nan`` and ``inf`` are refused.

    Parameters
    ----------
    minimum : float, optional
        Smallest accepted value.
    """

    name = "number"

    def __init__(self, minimum: float = -math.inf) -> None:
        self.minimum = minimum

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
        return x


class Range(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Equally spaced numbers ``FROM:TO:COUNT``, all of them at least `minimum`."""

    name = "from:to:count"

    def __init__(self, minimum: float = -math.inf) -> None:
        self.minimum = minimum

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
        if not 2 <= count <= 100_000:
            self.fail(f"{value!r}: COUNT must lie between 2 and 100000.", param, ctx)
        return low, high, count


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
        path = Path(value)
        if path.suffix.lower() not in self.endings:
            self.fail(f"{value!r} must end in one of {', '.join(self.endings)}.", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"the folder {str(path.parent)!r} does not exist.", param, ctx)
        if path.is_dir():
            self.fail(f"{value!r} is a folder.", param, ctx)
        return path


FIGURE = OutputFile(".png", ".svg", ".pdf")
NON_NEGATIVE = FiniteFloat(minimum=0.0)
COUNT = click.IntRange(min=1)
