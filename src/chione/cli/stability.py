"""`chione stability`: the map of mean and variance without weights."""

from __future__ import annotations

from pathlib import Path

import click

from chione.cli.output import echo_json, write_atomically
from chione.cli.parameters import FIGURE


@click.command()
@click.argument("activation")
@click.option("--out", type=FIGURE, help="Draw activation, Hermite coefficients and field.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(activation: str, out: Path | None, as_json: bool) -> None:
    """Find the fixed points of (mean, variance) -> (E phi, Var phi) and whether they attract.

    \b
    Example: chione stability selu
    """
    from chione.theory import norm_stability

    found = norm_stability(activation)
    if out is not None:
        from chione.plotting import save
        from chione.plotting.stability import stability_figure

        figure = stability_figure(activation, result=found)
        write_atomically(out, lambda part: save(figure, part))
    if as_json:
        echo_json("stability", {"activation": activation, "out": out}, found.to_dict())
    else:
        click.echo(found.sentence)
