"""`chione precision`: what number formats lose of the model in a file."""

from __future__ import annotations

from pathlib import Path

import click

from chione.cli.output import draw, echo_json
from chione.cli.parameters import COUNT, FIGURE, FiniteFloat, Whole, with_effort
from chione.cli.progress import running
from chione.cli.user_code import contained
from chione.cli.user_model import (
    Shape,
    check_size,
    model_of,
    opened,
    random_inputs,
    split,
    user_errors,
)
from chione.cli.user_training import Asked

_FORMATS = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


@click.command()
@click.argument("model", metavar="FILE.py:FACTORY")
@click.option("--input-shape", type=Shape(), required=True, help="Shape of one input: 1,28,28.")
@click.option("--batch", type=COUNT, default=64, show_default=True, help="Number of inputs.")
@click.option("--tokens", type=COUNT, help="Inputs are token numbers below this vocabulary size.")
@click.option(
    "--loss",
    default="cross_entropy",
    show_default=True,
    help="cross_entropy on random labels, mse to random targets, or a function in the file that "
    "takes what the model returns.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(_FORMATS),
    multiple=True,
    default=_FORMATS,
    help="A number format; can be given several times. All four by default.",
)
@click.option(
    "--tolerance",
    type=FiniteFloat(0.0),
    default=1e-3,
    show_default=True,
    help="Share of a tensor that may become zero.",
)
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of all draws.")
@click.option("--figure", type=FIGURE, help="Draw it as .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    model: str,
    input_shape: tuple[int, ...],
    batch: int,
    tokens: int | None,
    loss: str,
    formats: tuple[str, ...],
    tolerance: float,
    seed: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Say what float16, bfloat16 and float8 lose of the model that FACTORY in FILE.py makes.

    Shares of activations, weights and gradients that become zero or too large, by theory and on
    random inputs; the loss scale to use; Adam's epsilon. The file is run; what it prints goes to
    stderr.

    \b
    Example: chione precision net.py:Net --input-shape 1,28,28 --format float16
    """
    from chione.base import MissingExtraError

    path, factory = split(model)
    try:
        import torch

        from chione.torch import precision
    except ImportError as err:
        raise MissingExtraError("torch", "torch", "chione precision") from err

    check_size(batch, input_shape, tokens)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    with contained(path), opened(path) as module:
        net = model_of(path, module, factory)
        inputs = random_inputs(net, (batch, *input_shape), tokens, generator)
        objective = Asked(path, module, seed).loss(loss)
    with running("counting"), user_errors(path):
        found = precision(net, inputs, objective, formats=formats, tolerance=tolerance, seed=seed)
    if as_json:
        parameters = {
            "model": model, "input_shape": list(input_shape), "batch": batch, "tokens": tokens,
            "loss": loss, "formats": list(formats), "tolerance": tolerance, "seed": seed,
        }  # fmt: skip
        echo_json("precision", parameters, {"result": found.to_dict()}, warnings=found.notes)
    else:
        click.echo(str(found))
    if figure is not None:
        draw(figure, found.plot())
