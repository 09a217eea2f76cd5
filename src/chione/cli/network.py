"""`chione network`: any network of known layers, place by place, with a verdict."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import COUNT, FIGURE, SIGMA, data_option, with_effort

if TYPE_CHECKING:
    from chione.networks import Network

PRESETS = ("mlp", "resnet", "densenet", "convnet", "mixer")
_OPTIONS = ("depth", "width", "activation", "sigma_w", "sigma_b", "norm", "placement", "scheme")


@click.command()
@click.argument("network", metavar="PRESET|FILE.json")
@click.option("--depth", type=COUNT, help="Blocks of a preset.")
@click.option("--width", type=COUNT, help="Channels of a preset.")
@click.option("--activation", help="Activation of a preset.")
@click.option("--sigma-w", type=SIGMA, help="Weights of a preset.")
@click.option("--sigma-b", type=SIGMA, help="Biases of a preset.")
@click.option("--norm", type=click.Choice(("layer", "rms", "batch")), help="Norm of a preset.")
@click.option("--placement", type=click.Choice(("pre", "post")), help="Of a resnet's norm.")
@click.option(
    "--scheme",
    type=click.Choice(("plain", "stable", "fixup", "skipinit", "rezero")),
    help="Branch scale of a resnet.",
)
@click.option("--simulate/--no-simulate", default=True, show_default=True,
              help="Draw finite networks beside the theory.")  # fmt: skip
@click.option("--networks", type=click.IntRange(min=2), default=10, show_default=True,
              help="How many.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
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

    NETWORK is one of the presets mlp, resnet, densenet, convnet and mixer, or a file in the
    grammar of the documentation's page on networks; --describe prints a preset in it.

    \b
    Example: chione network resnet --depth 50 --norm layer --figure resnet.png
    """
    from chione.diagnosis import analyze_network

    given = {name: options[name] for name in _OPTIONS if options[name] is not None}
    described = _preset(network, given) if network in PRESETS else _read(network, given)
    if describe:
        say(json.dumps(described.to_dict(), indent=2))
        return
    found = analyze_network(described, n_networks=networks, seed=seed, simulate=simulate)
    if out is not None:
        save(out, found)
    if figure is not None:
        draw(figure, found.plot())
    if as_json:
        echo_json("network", {"network": network, **given}, found.to_dict())
    else:
        say(str(found))


def _preset(name: str, given: dict[str, Any]) -> Network:
    from chione import networks

    builder = getattr(networks, name)
    known = inspect.signature(builder).parameters
    unknown = [option for option in given if option not in known]
    if unknown:
        flags = " and ".join(f"--{option.replace('_', '-')}" for option in unknown)
        raise click.UsageError(
            f"{flags} is no option of the preset {name!r}, which has "
            f"{', '.join(option for option in _OPTIONS if option in known)}."
        )
    if name == "mlp":
        given = {"activation": "tanh", "sigma_w": 1.0} | given
    built: Network = builder(**given)
    return built


def _read(name: str, given: dict[str, Any]) -> Network:
    from chione.networks import Network

    path = Path(name)
    if not path.is_file():
        raise click.UsageError(f"{name!r} is neither a preset ({', '.join(PRESETS)}) nor a file.")
    if given:
        flags = " and ".join(f"--{option.replace('_', '-')}" for option in given)
        raise click.UsageError(f"{flags} changes presets alone; change the file {name!r} itself.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise click.UsageError(f"{name!r} cannot be read ({err}).") from err
    return Network.from_json(text, repr(name))
