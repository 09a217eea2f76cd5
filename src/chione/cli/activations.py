"""`chione activations`: what is in the catalogue."""

from __future__ import annotations

import click

from chione.cli.output import echo_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(as_json: bool) -> None:
    """List the activations of the catalogue: name, formula, kinks, source.

    \b
    Example: chione activations --json
    """
    from chione.activations import catalogue

    rows = catalogue()
    if as_json:
        entries = {
            name: {"formula": phi.formula, "kinks": list(phi.kinks), "source": phi.source}
            for name, phi in rows.items()
        }
        echo_json("activations", {}, {"activations": entries})
        return
    wide = max(map(len, rows))
    broad = max(len(phi.formula) for phi in rows.values())
    click.echo(f"{'name':<{wide}}  {'formula':<{broad}}  kinks")
    for name, phi in rows.items():
        kinks = ", ".join(f"{k:g}" for k in phi.kinks) or "-"
        click.echo(f"{name:<{wide}}  {phi.formula:<{broad}}  {kinks}")
    click.echo(
        "\nAlso accepted wherever an activation is asked for: an expression in x, such as "
        "'x*tanh(softplus(x))'."
    )
