"""`chione phase`: order-chaos diagrams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource

from chione.activations import activation as resolve
from chione.cli.output import draw, echo_json, save
from chione.cli.parameters import (
    ACTIVATION,
    DATA,
    FIGURE,
    LARGEST_SIGMA,
    Levels,
    Range,
    data_option,
    with_effort,
)
from chione.cli.presets import described_network, flags, given, transformer_options
from chione.cli.progress import counting, running
from chione.theory import critical_line, phase_diagram
from chione.theory.depth.transformer_phase import FIELDS as OF_NETWORKS
from chione.theory.meanfield.diagram import FIELDS


@click.command()
@click.argument("activation", type=ACTIVATION, required=False)
@click.option(
    "--network",
    metavar="PRESET|FILE.json",
    help="Instead of an activation: a network with attention, over two of its scales.",
)
@click.option(
    "--attention-scale",
    type=Range(minimum=0.0, maximum=LARGEST_SIGMA),
    default="0:4:17",
    show_default=True,
    help="Columns of its diagram: sigma_q sigma_k.",
)
@click.option(
    "--residual-scale",
    type=Range(minimum=0.0, maximum=LARGEST_SIGMA),
    default="0:1.5:16",
    show_default=True,
    help="Rows of its diagram: the factor on all residual branches.",
)
@transformer_options
@click.option(
    "--sigma-w",
    type=Range(minimum=0.0, maximum=LARGEST_SIGMA),
    default="0.05:4:200",
    show_default=True,
    help="Columns of the diagram.",
)
@click.option(
    "--sigma-b",
    type=Range(minimum=0.0, maximum=LARGEST_SIGMA),
    default="0:2:150",
    show_default=True,
    help="Rows of the diagram.",
)
@data_option
@click.option("--line", type=DATA, help="Write the critical line as data, in the same formats.")
@click.option("--figure", type=FIGURE, help="Draw --field and the critical line.")
@click.option(
    "--field",
    type=click.Choice((*FIELDS, "region", *OF_NETWORKS)),
    help="What --figure shows as colours; the last five with --network.  [default: q_star; region "
    "with --network]",
)
@click.option(
    "--levels",
    type=Levels(),
    metavar="N,N,...|auto|none",
    help="Where its level lines are.  [default: auto; none for q_star]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    activation: str | None,
    network: str | None,
    attention_scale: tuple[float, float, int],
    residual_scale: tuple[float, float, int],
    sigma_w: tuple[float, float, int],
    sigma_b: tuple[float, float, int],
    out: Path | None,
    line: Path | None,
    figure: Path | None,
    field: str | None,
    levels: tuple[float, ...] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Map phases over (sigma_w, sigma_b): q*, chi_parallel, chi_perp, c*, xi_q, xi_c, phase.

    The critical line, chi_perp = 1, comes along. Without --out and --figure a summary is printed.

    With --network the diagram of a transformer: where it trains, where tokens collapse, where
    attention condenses on one token, where gradients vanish or explode.

    \b
    Example: chione phase tanh --out phase.npz --figure phase.png
             chione phase gelu --field xi_c --levels 3,10,30 --figure scales.png
             chione phase --network transformer --depth 24 --figure transformer.png
             chione phase --network transformer --field log10_gradient --figure gradient.png
    """
    if (activation is None) == (network is None):
        raise click.UsageError(
            "give an activation, as in 'chione phase tanh', or a network with attention, as in "
            "'chione phase --network transformer', and not both."
        )
    asked = {
        name
        for name in ("field", "levels")
        if click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    if asked and figure is None:
        raise click.UsageError(f"--{min(asked)} says what a figure shows; give --figure FILE, too.")
    if network is not None and "levels" in asked:
        raise click.UsageError("--levels needs an activation; diagrams of networks have none.")
    known = FIELDS if network is None else ("region", *OF_NETWORKS)
    field = known[0] if field is None else field
    if field not in known:
        whose = "an activation" if network is None else "a network"
        raise click.UsageError(f"--field of {whose} is one of {', '.join(known)}, not {field}.")
    if network is not None:
        scales = attention_scale, residual_scale
        _transformer(network, given(options), scales, out, figure, field, as_json)
        return
    if given(options):
        raise click.UsageError(f"{flags(given(options))} needs --network transformer or another.")
    assert activation is not None
    phi = resolve(activation)
    columns, rows = np.linspace(*sigma_w), np.linspace(*sigma_b)
    from chione.theory.meanfield.diagram import shares

    with running(f"{columns.size} x {rows.size} points"):
        diagram = phase_diagram(phi, sigma_w=columns, sigma_b=rows)
        critical = critical_line(phi)
    if out is not None:
        save(out, diagram)
    if line is not None:
        save(line, critical)
    if figure is not None:
        from chione.plotting import phase_figure

        if "levels" not in asked and field == "q_star":
            levels = ()  # the names of the phases stand there
        title = f"Phase diagram of {phi.name}"
        draw(figure, phase_figure(diagram, critical, title=title, field=field, levels=levels))
    share = shares(diagram)
    if as_json:
        parameters = {"activation": activation, "sigma_w": sigma_w, "sigma_b": sigma_b}
        on = {"sigma_w": critical.sigma_w, "sigma_b": critical.sigma_b, "q": critical.q}
        echo_json("phase", parameters, {"share": share, "critical_line": on})
        return
    click.echo(f"{phi.name}: {columns.size} x {rows.size} points")
    for phase, part in sorted(share.items(), key=lambda item: -item[1]):
        click.echo(f"  {phase:<10} {100 * part:5.1f} %")
    if critical.sigma_w.size == 0:
        click.echo("  There is no critical line: chi_perp = 1 would need sigma_b^2 < 0.")


def _transformer(
    name: str,
    some: dict[str, Any],
    scales: tuple[tuple[float, float, int], tuple[float, float, int]],
    out: Path | None,
    figure: Path | None,
    field: str,
    as_json: bool,
) -> None:
    """The diagram of a network with attention."""
    from chione.theory.depth.transformer_phase import shares, transformer_phase

    columns, rows = (np.linspace(*scale) for scale in scales)
    cells = columns.size * rows.size
    with counting(f"{columns.size} x {rows.size} points", cells) as progress:
        found = transformer_phase(
            described_network(name, some),
            attention_scale=columns,
            residual_scale=rows,
            progress=progress,
        )
    if out is not None:
        save(out, found)
    if figure is not None:
        from chione.plotting import plot
        from chione.plotting.transformers import transformer_figure

        title = f"Attention and residual scales of {name}"
        whole = field == "region"
        draw(figure, transformer_figure(found, title=title) if whole else plot(found, field=field))
    share = shares(found)
    if as_json:
        parameters = {"network": name, **some, "attention_scale": scales[0],
                      "residual_scale": scales[1]}  # fmt: skip
        echo_json("phase", parameters, {"share": share})
        return
    click.echo(f"{name}: {columns.size} x {rows.size} points")
    for region, part in sorted(share.items(), key=lambda item: -item[1]):
        click.echo(f"  {region:<20} {100 * part:5.1f} %")
