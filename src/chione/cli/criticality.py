"""`chione criticality`: critical points and universality classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import ACTIVATION, FIGURE, data_option, with_effort
from chione.cli.progress import counting, running

if TYPE_CHECKING:
    from chione.base import Table
    from chione.theory import Criticality

_HEAD = ("activation", "class", "K*", "sigma_w^2", "sigma_b^2", "attracts", "fades")


@click.command()
@click.argument("activation", type=ACTIVATION, required=False)
@click.option(
    "--figure", type=FIGURE, help="Draw both susceptibilities against K (one ACTIVATION)."
)
@data_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
@with_effort
def command(
    ctx: click.Context, activation: str | None, figure: Path | None, out: Path | None, as_json: bool
) -> None:
    """Find every K* with chi_parallel = chi_perp = 1, and the universality class with its reason.

    For one ACTIVATION, or a table for all of the catalogue.

    \b
    Example: chione criticality gelu
    """
    from chione.activations import catalogue
    from chione.theory import criticality, large_depth

    if activation is None:
        if figure is not None:
            raise click.UsageError("--figure draws one activation; name it.")
        table = []
        with counting("activations", len(catalogue())) as advance:
            for phi in catalogue().values():
                table.append(criticality(phi))
                if advance is not None:
                    advance(len(table), len(catalogue()))
        if out is not None:
            save(out, _joined(table))
        if as_json:
            rows = [found.to_dict() for found in table]
            echo_json("criticality", {"activation": None}, {"activations": rows})
        else:
            _echo_table(table)
        return
    with running("looking for critical points"):
        found, laws = criticality(activation), large_depth(activation)
    if out is not None:
        save(out, found)
    if figure is not None:
        from chione.plotting.criticality import criticality_figure

        draw(figure, criticality_figure(activation))
    if as_json:
        result = {**found.to_dict(), "large_depth": [law.to_dict() for law in laws]}
        echo_json("criticality", {"activation": activation}, result)
    else:
        _echo_table([found])
        click.echo()
        say(found.reason)
        for law in laws:
            known = [x for x in (law.length, law.gradient, law.distance) if x is not None]
            if known:
                say("; ".join(x.sentence for x in known) + ".")
    if not found.points:
        if as_json:
            click.echo(f"Error: {found.reason}", err=True)
        ctx.exit(1)


def _echo_table(table: list[Criticality]) -> None:
    from chione.base import text_table

    click.echo(text_table(_HEAD, [row for found in table for row in _rows(found)]))


def _joined(table: list[Criticality]) -> Table:
    """The points of all activations as one table; those without a point have a line of gaps."""
    from chione.base import Table

    numbers = ("k_star", "weight_variance", "bias_variance")
    columns = ("activation", "universality", *(f"{n}{e}" for n in numbers for e in ("", "_error")))
    rows: list[tuple[str | float | None, ...]] = []
    for found in table:
        for p in found.points:
            estimates = (p.k_star, p.weight_variance, p.bias_variance)
            values = (float(x) for e in estimates for x in (e.value, e.error))
            rows.append((found.activation, p.universality, *values))
        if not found.points:
            rows.append((found.activation, "none", *(None,) * (2 * len(numbers))))
    return Table(columns, tuple(rows))


def _rows(found: Criticality) -> list[tuple[str, ...]]:
    if not found.points:
        return [(found.activation, "none", "-", "-", "-", "-", "-")]
    out: list[tuple[str, ...]] = []
    for p in found.points:
        neutral = p.universality == "scale-invariant"
        out.append(
            (
                found.activation,
                p.universality,
                "any" if neutral else f"{p.k_star.value:.12g}",
                f"{p.weight_variance.value:.12g}",
                f"{p.bias_variance.value:.12g}",
                p.attracts,
                "-" if p.fading is None else p.fading.law,
            )
        )
    return out
