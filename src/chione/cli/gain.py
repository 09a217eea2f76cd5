"""`chione gain`: initialisations on the edge of chaos."""

from __future__ import annotations

from pathlib import Path

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import ACTIVATION, COUNT, FIGURE, data_option, with_effort
from chione.cli.progress import running


@click.command()
@click.argument("activation", type=ACTIVATION, required=False)
@click.option("--depth", type=COUNT, default=50, show_default=True, help="Number of layers.")
@click.option("--width", type=COUNT, help="Units of a layer; 512 if not given.")
@data_option
@click.option("--figure", type=FIGURE, help="Draw what each initialisation costs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
@with_effort
def command(
    ctx: click.Context,
    activation: str | None,
    depth: int,
    width: int | None,
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Tabulate sigma_w and sigma_b on the edge of chaos beside PyTorch's calculate_gain.

    For one ACTIVATION, or for all of the catalogue: the sigmas, chi_parallel and chi_perp there,
    what calculate_gain gives, and by which factor either changes the mean square gradient over
    the depth. For one ACTIVATION also what the recommendation and its alternatives were weighed
    by.

    \b
    Example: chione gain gelu --depth 100 --width 256
    """
    from chione.diagnosis import gain_table

    with running("tabulating"):
        table = gain_table(activation, depth=depth, width=width)
    if out is not None:
        save(out, table)
    if figure is not None:
        draw(figure, table.plot())
    if as_json:
        echo_json(
            "gain", {"activation": activation, "depth": depth, "width": width}, table.to_dict()
        )
    else:
        click.echo(repr(table))
        if activation is not None:
            best = table.rows[0].recommended
            click.echo()
            say(best.sentence)
            if best.weighed or any(o.weighed for o in best.alternatives):
                click.echo()
                click.echo(best.table())
    if activation is not None and not table.rows[0].recommended.exists:
        if as_json:
            click.echo(f"Error: {table.rows[0].recommended.sentence}", err=True)
        ctx.exit(1)
