"""`chione step`: what the first step of training does to the model in a file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

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
    "--optimizer",
    default="sgd",
    show_default=True,
    help="sgd, adam, adamw, rmsprop with --lr, or a function in the file that takes the "
    "parameters (with --widths the model and its width).",
)
@click.option("--lr", type=FiniteFloat(0.0), help="Learning rate of an optimizer given by name.")
@click.option("--steps", type=COUNT, default=1, show_default=True, help="Number of steps.")
@click.option(
    "--draws", type=Whole(0), default=8, show_default=True,
    help="Other draws of the weights, for the noise band.",
)  # fmt: skip
@click.option("--largest", is_flag=True, help="Find the largest stable learning rate instead.")
@click.option(
    "--widths", type=Shape(),
    help="Coordinate check instead: FACTORY takes the width, as in 64,128,256.",
)  # fmt: skip
@click.option("--seeds", type=COUNT, default=4, show_default=True, help="Models of each width.")
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
    optimizer: str,
    lr: float | None,
    steps: int,
    draws: int,
    largest: bool,
    widths: tuple[int, ...] | None,
    seeds: int,
    seed: int,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Say what the first step of an optimiser does to the model that FACTORY in FILE.py makes.

    Updates beside weights, change of pre-activations, output and loss, on random inputs, with the
    noise of this width and beside theory. With --largest the largest stable learning rate, with
    --widths a coordinate check. The file is run; what it prints goes to stderr.

    \b
    Example: chione step net.py:Net --input-shape 1,28,28 --optimizer adam --lr 1e-3
             chione step net.py:Net --input-shape 1,28,28 --largest
             chione step net.py:make --input-shape 64 --lr 0.1 --widths 64,128,256,512
    """
    from chione.base import MissingExtraError

    path, factory = split(model)
    if largest and widths:
        raise click.UsageError("--largest and --widths are two questions; ask one at a time.")
    try:
        import torch
    except ImportError as err:
        raise MissingExtraError("torch", "torch", "chione step") from err

    check_size(batch, input_shape, tokens)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    with contained(path), opened(path) as module:
        net = model_of(path, module, factory, *(widths or ())[:1])
        inputs = random_inputs(net, (batch, *input_shape), tokens, generator)
        asked = Asked(path, module, seed)
        objective = asked.loss(loss)
        used, rate = asked.optimizer(optimizer, lr, largest)
    with running("taking steps"), user_errors(path):
        if widths:
            with opened(path) as again:
                found = _check(path, again, factory, inputs, objective, used, widths,
                               lr=rate, seeds=seeds, steps=steps)  # fmt: skip
        elif largest:
            from chione.torch import largest_learning_rate

            found = largest_learning_rate(net, inputs, objective, used, seed=seed)
        else:
            from chione.torch import first_step

            found = first_step(
                net, inputs, objective, used, lr=rate, steps=steps, draws=draws, seed=seed
            )
    if as_json:
        parameters = {
            "model": model, "input_shape": list(input_shape), "batch": batch, "tokens": tokens,
            "loss": loss, "optimizer": optimizer, "lr": lr, "steps": steps, "draws": draws,
            "largest": largest, "widths": widths and list(widths), "seeds": seeds, "seed": seed,
        }  # fmt: skip
        echo_json("step", parameters, {"result": found.to_dict()}, warnings=found.notes)
    else:
        click.echo(str(found))
    if figure is not None:
        draw(figure, found.plot())


def _check(
    path: Path,
    module: ModuleType,
    factory: str,
    inputs: Any,
    objective: Any,
    optimizer: Any,
    widths: tuple[int, ...],
    **options: Any,
) -> Any:
    """The coordinate check; a function that makes the optimizer takes model and width there."""
    from chione.torch import coord_check

    return coord_check(
        lambda width: model_of(path, module, factory, width),
        inputs,
        objective,
        optimizer,
        widths=widths,
        **options,
    )
