"""`chione show`: a saved result, printed and drawn again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chione.cli.output import draw, echo_json, save
from chione.cli.parameters import FIGURE, data_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--figure", type=FIGURE, help="Draw the result (.pdf, .svg or .png).")
@click.option("--field", help="Which quantity to draw, where there are several.")
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(
    file: Path, figure: Path | None, field: str | None, out: Path | None, as_json: bool
) -> None:
    """Print a result that was saved by result.save(FILE) or by --out, and draw it again.

    .npz, .nc and .json hold the whole result; .csv is its table, which can be printed only.

    \b
    Example: chione show diagram.npz --figure diagram.png
    """
    from chione.base.storage import load

    result = load(file)
    if figure is not None:
        _draw(result, file, figure, field)
    if out is not None:
        save(out, result)
    if as_json:
        echo_json("show", {"file": str(file)}, _checked(file, result.to_dict))
        return
    click.echo(_checked(file, lambda: str(result)))


def _checked(file: Path, use: Any) -> Any:
    """What `use` gives; a file can be of the right form and make no sense all the same."""
    from chione.base import ChioneError, SpecError

    try:
        return use()
    except ChioneError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as err:
        raise SpecError(
            f"{str(file)!r} holds numbers that contradict each other ({type(err).__name__})."
        ) from err


def _draw(result: Any, file: Path, figure: Path, field: str | None) -> None:
    from chione.base import SpecError, Table
    from chione.plotting import plot

    if isinstance(result, Table):
        raise SpecError(
            f"{str(file)!r} is a table, which cannot be drawn; save the result as .npz, .nc or "
            ".json to draw it later."
        )
    draw(figure, _checked(file, lambda: plot(result, field=field)))
