"""`chione explore`: the page on which initialisations are dragged about."""

from __future__ import annotations

from pathlib import Path

import click

from chione.cli.output import tell
from chione.cli.parameters import COUNT, FiniteFloat, OutputFile, Whole

_SIGMA = FiniteFloat(minimum=0.0, maximum=20.0)


@click.command()
@click.argument("activation", required=False)
@click.option("--sigma-w", type=_SIGMA, help="Standard deviation of the weights, times √n.")
@click.option("--sigma-b", type=_SIGMA, help="Standard deviation of the biases.")
@click.option("--depth", type=COUNT, help="Number of layers, at most 1000.")
@click.option("--width", type=COUNT, help="Units of a layer, at most 1,000,000.")
@click.option(
    "--out",
    type=OutputFile(".html"),
    metavar="PAGE.html",
    help="Write the page to this file instead of serving it.",
)
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@click.option("--port", type=Whole(0, 65535), default=0, help="Port on 127.0.0.1; a free one if 0.")
def command(
    activation: str | None,
    sigma_w: float | None,
    sigma_b: float | None,
    depth: int | None,
    width: int | None,
    out: Path | None,
    no_browser: bool,
    port: int,
) -> None:
    """Drag a network about and see what it does to signals and gradients.

    One page, which needs no network: ACTIVATION is a name or a formula. It is served on the
    loopback address until Ctrl-C, or written to a file that can be sent around.

    \b
    Example: chione explore gelu --sigma-w 1.5 --sigma-b 0.1
    """
    from chione.explorer.explore import explore
    from chione.explorer.serve import serve

    chosen = explore(activation, sigma_w, sigma_b, depth=depth, width=width)
    if out is not None:
        chosen.write(out)
        tell(out)
        return
    serve(
        chosen.fragment,
        port=port,
        browser=not no_browser,
        tell=lambda address: click.echo(f"{address}\nCtrl-C ends it.", err=True),
    )
