"""`chione stability`: the map of mean and variance without weights."""

from __future__ import annotations

from pathlib import Path

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import ACTIVATION, FIGURE, data_option, with_effort
from chione.cli.progress import running


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option("--figure", type=FIGURE, help="Draw activation, Hermite coefficients and field.")
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(activation: str, figure: Path | None, out: Path | None, as_json: bool) -> None:
    """Find the fixed points of (mean, variance) -> (E phi, Var phi) and whether they attract.

    \b
    Example: chione stability selu
    """
    from chione.theory import norm_stability

    with running("looking for fixed points"):
        found = norm_stability(activation)
    if out is not None:
        save(out, found)
    if figure is not None:
        from chione.plotting.stability import stability_figure

        draw(figure, stability_figure(activation, result=found))
    if as_json:
        echo_json("stability", {"activation": activation}, found.to_dict())
    else:
        say(found.sentence)
