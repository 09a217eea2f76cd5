"""`chione analyze`: the main job."""

from __future__ import annotations

from pathlib import Path

import click

from chione.cli.output import draw, echo_json, save
from chione.cli.parameters import (
    ACTIVATION,
    COUNT,
    FIGURE,
    INITS,
    LAWS,
    SIGMA,
    Whole,
    data_option,
    with_effort,
)
from chione.cli.progress import running


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option("--sigma-w", type=SIGMA, help="Weights ~ N(0, sigma_w^2 / fan_in).")
@click.option("--sigma-b", type=SIGMA, help="Biases ~ N(0, sigma_b^2).  [default: 0]")
@click.option(
    "--init",
    type=click.Choice(INITS),
    help="In place of the sigmas: those of a scheme by name.",
)
@click.option("--depth", type=COUNT, default=50, show_default=True, help="Number of layers.")
@click.option("--width", type=COUNT, default=512, show_default=True, help="Units of a layer.")
@click.option(
    "--weights", type=click.Choice(LAWS), help="Their law.  [default: gaussian, or that of --init]"
)
@click.option(
    "--networks",
    type=Whole(2),
    default=50,
    show_default=True,
    help="How many networks are simulated.",
)
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@click.option(
    "--optimizer",
    type=click.Choice(("sgd", "momentum", "adam")),
    help="What trains it, for the verdict.  [default: all three]",
)
@click.option("--simulate/--no-simulate", default=True, help="Measure finite networks, or not.")
@data_option
@click.option("--figure", type=FIGURE, help="Draw the page as .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    activation: str,
    sigma_w: float | None,
    sigma_b: float | None,
    init: str | None,
    depth: int,
    width: int,
    weights: str | None,
    networks: int,
    seed: int,
    optimizer: str | None,
    simulate: bool,
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Tell whether a network trains, why not, and what to use instead.

    ACTIVATION is a name of the catalogue or an expression such as 'x*tanh(softplus(x))'. Without
    sigmas the recommended initialisation is analysed and compared with PyTorch's. --init standard
    is the habit before Glorot and Bengio: weights uniform within 1/sqrt(fan_in).

    Exit codes: 0 a verdict, whatever it says (also where lengths diverge), 1 no verdict, because
    no wide network with this activation has a finite mean square, 2 bad usage.

    \b
    Example: chione analyze gelu --sigma-w 1.5 --sigma-b 0.1 --depth 50 --width 512
    """
    from chione.diagnosis import analyze

    if init is not None and (sigma_w is not None or sigma_b is not None):
        raise click.UsageError("--init chooses both sigmas; give it, or --sigma-w and --sigma-b.")
    with running("analyzing"):
        result = analyze(  # type: ignore[call-overload,misc]  # click.Choice holds weights to the laws
            activation,
            sigma_w,
            sigma_b,
            depth=depth,
            width=width,
            weights=weights,
            n_networks=networks,
            seed=seed,
            simulate=simulate,
            picture=figure is not None,
            optimizer=optimizer,
            init=init,
        )
    if as_json:
        parameters = {
            "activation": activation,
            "sigma_w": result.network.sigma_w,
            "sigma_b": result.network.sigma_b,
            "depth": depth,
            "width": width,
            "weights": result.network.weights,
            "networks": networks if simulate else 0,
            "seed": seed,
            "optimizer": optimizer,
        }
        echo_json("analyze", parameters, result.to_dict())
    else:
        click.echo(repr(result))
    if out is not None:
        save(out, result)
    if figure is not None:
        draw(figure, result.plot())
