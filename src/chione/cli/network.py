"""`chione network`: any network of known layers, place by place, with a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import FIGURE, Whole, data_option, with_effort
from chione.cli.presets import described_network, given, listing, preset_options
from chione.cli.progress import parts

if TYPE_CHECKING:
    pass


def _list(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        click.echo(listing())
        ctx.exit()


@click.command()
@click.argument("network", metavar="PRESET|FILE.json")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list,
              help="List the presets with their options.")  # fmt: skip
@preset_options
@click.option("--simulate/--no-simulate", default=True, show_default=True,
              help="Draw finite networks beside the theory.")  # fmt: skip
@click.option("--networks", type=Whole(2), default=10, show_default=True,
              help="How many.")  # fmt: skip
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@data_option
@click.option("--figure", type=FIGURE, help="Draw q, c and gradient place by place.")
@click.option("--describe", is_flag=True, help="Only print the network as JSON, to change it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    network: str,
    simulate: bool,
    networks: int,
    seed: int,
    out: Path | None,
    figure: Path | None,
    describe: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Signals and gradients of any network, layer by layer: theory, a simulated twin, a verdict.

    NETWORK is a preset (mlp, resnet, densenet, convnet, mixer, transformer, gpt2, llama, bert,
    vit, convnext, resnet18, resnet50, lstm; --list says which options each has), or a file in the
    grammar of the documentation's page on networks; --describe prints a preset in it.

    \b
    Example: chione network resnet --depth 50 --norm layer --figure resnet.png
    """
    from chione.diagnosis import analyze_network

    some = given(options)
    described = described_network(network, some)
    if describe:
        say(json.dumps(described.to_dict(), indent=2))
        return
    with parts() as progress:
        found = analyze_network(
            described, n_networks=networks, seed=seed, simulate=simulate, progress=progress
        )
    if out is not None:
        save(out, found)
    if figure is not None:
        draw(figure, found.plot())
    if as_json:
        echo_json("network", {"network": network, **some}, found.to_dict())
    else:
        say(str(found))
