"""What a command writes: one JSON object or sentences on stdout, pictures, files."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import chione

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from chione.base import AbstractResult


def echo_json(
    command: str,
    parameters: Mapping[str, Any],
    result: Mapping[str, Any],
    *,
    warnings: tuple[str, ...] = (),
) -> None:
    """Write one JSON object: command, version, parameters, warnings and the keys of the result.

    Numbers that are not finite become null (JSON has no NaN); the status beside each value says
    why it is missing.
    """
    from chione.base import plain  # NumPy comes with it, which a listing can do without

    document = {
        "command": command,
        "version": chione.__version__,
        "parameters": dict(parameters),
        "warnings": list(warnings),
        **result,
    }
    click.echo(json.dumps(plain(document), allow_nan=False))


def say(text: str) -> None:
    """A sentence on stdout, folded where a screen says how wide it is; a file gets one line."""
    from chione.base import paragraph

    screen = sys.stdout.isatty() or "COLUMNS" in os.environ
    click.echo(paragraph(text) if screen else text)


def save(path: Path, result: AbstractResult) -> None:
    """Write a result as data and say so on stderr."""
    result.save(path)
    tell(path)


def draw(path: Path, figure: Figure) -> None:
    """Write a picture and say so on stderr."""
    from chione.plotting import save

    save(figure, path)
    tell(path)


def tell(path: Path) -> None:
    """One line on stderr: the file is there."""
    click.echo(f"Wrote {path}", err=True)
