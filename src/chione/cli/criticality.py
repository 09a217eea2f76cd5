"""`chione criticality`: critical points and universality classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from chione.cli.output import echo_json, write_atomically
from chione.cli.parameters import FIGURE

if TYPE_CHECKING:
    from chione.theory import Criticality

_HEAD = ("activation", "class", "K*", "sigma_w^2", "sigma_b^2", "attracts", "fades")


@click.command()
@click.argument("activation", required=False)
@click.option("--out", type=FIGURE, help="Draw both susceptibilities against K (one ACTIVATION).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def command(ctx: click.Context, activation: str | None, out: Path | None, as_json: bool) -> None:
    """Find every K* with chi_parallel = chi_perp = 1, and the universality class with its reason.

    For one ACTIVATION, or a table for all of the catalogue.

    \b
    Example: chione criticality gelu
    """
    from chione.activations import catalogue
    from chione.theory import criticality, large_depth

    if activation is None:
        if out is not None:
            raise click.UsageError("--out draws one activation; name it.")
        table = [criticality(phi) for phi in catalogue().values()]
        if as_json:
            rows = [found.to_dict() for found in table]
            echo_json("criticality", {"activation": None}, {"activations": rows})
        else:
            _echo_table(table)
        return
    found = criticality(activation)
    if out is not None:
        from chione.plotting import save
        from chione.plotting.criticality import criticality_figure

        figure = criticality_figure(activation)
        write_atomically(out, lambda part: save(figure, part))
    laws = large_depth(activation)
    if as_json:
        result = {**found.to_dict(), "large_depth": [law.to_dict() for law in laws]}
        echo_json("criticality", {"activation": activation, "out": out}, result)
    else:
        _echo_table([found])
        click.echo(f"\n{found.reason}")
        for law in laws:
            known = [x for x in (law.length, law.gradient, law.distance) if x is not None]
            if known:
                click.echo("; ".join(x.sentence for x in known) + ".")
    if not found.points:
        if as_json:
            click.echo(f"Error: {found.reason}", err=True)
        ctx.exit(1)


def _echo_table(table: list[Criticality]) -> None:
    lines: list[tuple[str, ...]] = [_HEAD]
    for found in table:
        lines += _rows(found)
    wide = [max(len(line[k]) for line in lines) for k in range(len(_HEAD))]
    for line in lines:
        text = "  ".join(f"{c:<{w}}" for c, w in zip(line, wide, strict=True))
        click.echo(text.rstrip())


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
