"""`chione activations`: what is in the catalogue."""

from __future__ import annotations

import click

from chione.cli.output import echo_json, say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def command(as_json: bool) -> None:
    """List the activations of the catalogue: name, formula, kinks, source.

    \b
    Example: chione activations --json
    """
    from chione.activations import catalogue
    from chione.base import text_table

    rows = catalogue()
    if as_json:
        entries = {
            name: {"formula": phi.formula, "kinks": list(phi.kinks), "source": phi.source}
            for name, phi in rows.items()
        }
        echo_json("activations", {}, {"activations": entries})
        return
    table = [
        (name, phi.formula, ", ".join(f"{k:g}" for k in phi.kinks) or "-")
        for name, phi in rows.items()
    ]
    click.echo(text_table(("name", "formula", "kinks"), table))
    click.echo()
    say(
        "Also accepted wherever an activation is asked for: an expression in x, such as "
        "'x*tanh(softplus(x))'."
    )
