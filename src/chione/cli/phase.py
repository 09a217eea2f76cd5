"""`chione phase`: order-chaos diagrams."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from chione.activations import activation as resolve
from chione.cli.diagram_files import write_diagram
from chione.cli.output import draw, echo_json, tell
from chione.cli.parameters import ACTIVATION, FIGURE, OutputFile, Range, with_effort
from chione.cli.progress import running
from chione.theory import critical_line, phase_diagram


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option(
    "--sigma-w",
    type=Range(minimum=0.0),
    default="0.05:4:200",
    show_default=True,
    help="Columns of the diagram.",
)
@click.option(
    "--sigma-b",
    type=Range(minimum=0.0),
    default="0:2:150",
    show_default=True,
    help="Rows of the diagram.",
)
@click.option("--out", type=OutputFile(".npz", ".csv", ".nc"), help="Write all fields as data.")
@click.option("--figure", type=FIGURE, help="Draw q* and the critical line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    activation: str,
    sigma_w: tuple[float, float, int],
    sigma_b: tuple[float, float, int],
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Map phases over (sigma_w, sigma_b): q*, chi_parallel, chi_perp, c*, xi_q, xi_c, phase.

    The critical line, chi_perp = 1, comes along. Without --out and --figure a summary is printed.

    \b
    Example: chione phase tanh --out phase.npz --figure phase.png
    """
    phi = resolve(activation)
    columns, rows = np.linspace(*sigma_w), np.linspace(*sigma_b)
    with running(f"{columns.size} x {rows.size} points"):
        diagram = phase_diagram(phi, sigma_w=columns, sigma_b=rows)
        line = critical_line(phi)
    if out is not None:
        write_diagram(out, diagram, line, phi.name)
        tell(out)
    if figure is not None:
        from chione.plotting import phase_figure

        draw(figure, phase_figure(diagram, line, title=f"Phase diagram of {phi.name}"))
    share = {str(p): float(np.mean(diagram.phase == p)) for p in np.unique(diagram.phase)}
    if as_json:
        parameters = {"activation": activation, "sigma_w": sigma_w, "sigma_b": sigma_b}
        critical = {"sigma_w": line.sigma_w, "sigma_b": line.sigma_b, "q": line.q}
        echo_json("phase", parameters, {"share": share, "critical_line": critical})
        return
    click.echo(f"{phi.name}: {columns.size} x {rows.size} points")
    for phase, part in sorted(share.items(), key=lambda item: -item[1]):
        click.echo(f"  {phase:<10} {100 * part:5.1f} %")
    if line.sigma_w.size == 0:
        click.echo("  There is no critical line: chi_perp = 1 would need sigma_b^2 < 0.")
