"""`chione boundary`: the largest depth that trains, for each sigma_w."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from chione.cli.output import draw, echo_json, save
from chione.cli.parameters import ACTIVATION, COUNT, DATA, FIGURE, SIGMA, FiniteFloat
from chione.cli.progress import counting_down
from chione.cli.values import Values

_LAWS = ("gaussian", "orthogonal", "uniform")
_OPTIMIZERS = ("sgd", "momentum", "adam")


class _Depths(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Two depths ``LOW:HIGH``; what lies between is the search's affair."""

    name = "low:high"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """The two, or a click error that says what is accepted."""
        if isinstance(value, tuple):
            return value
        try:
            low, high = (int(part) for part in str(value).split(":"))
        except ValueError:
            self.fail(f"{value!r:.60} is not LOW:HIGH, for example 1:100.", param, ctx)
        return low, high


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option("--sigma-w", type=Values(), default="0.6:3:9", show_default=True,
              help="Standard deviations of weights.")  # fmt: skip
@click.option("--sigma-b", type=SIGMA, default=0.05, show_default=True,
              help="Standard deviation of biases.")  # fmt: skip
@click.option("--depth", type=_Depths(), default="1:100", show_default=True,
              help="Smallest and largest number of hidden layers that may be tried.")  # fmt: skip
@click.option("--ratio", type=FiniteFloat(), default=1.1, show_default=True,
              help="Of neighbouring depths: the resolution.")  # fmt: skip
@click.option("--share", type=FiniteFloat(), default=0.5, show_default=True,
              help="Training accuracy that has to be reached: 0.25, 0.5, 0.75, 0.9, 0.95 or "
              "0.99.")  # fmt: skip
@click.option("--width", type=COUNT, default=64, show_default=True, help="Units of a layer.")
@click.option("--weights", type=click.Choice(_LAWS), default="gaussian", show_default=True)
@click.option("--optimizer", type=click.Choice(_OPTIMIZERS), default="sgd", show_default=True)
@click.option("--rate", type=Values(geometric=True),
              help="Learning rates, of which each network takes the best.  [default: "
              "four]")  # fmt: skip
@click.option("--seeds", type=COUNT, default=3, show_default=True,
              help="Networks for each sigma_w and depth.")  # fmt: skip
@click.option("--dropout", type=FiniteFloat(), default=0.0, show_default=True,
              help="Probability of dropping a unit.")  # fmt: skip
@click.option("--steps", type=COUNT, default=200, show_default=True, help="Steps of a training.")
@click.option("--batch", type=COUNT, default=32, show_default=True, help="Inputs of a step.")
@click.option("--data", default="digits", show_default=True,
              help="digits, shapes, synthetic, or a file .npz with arrays x and y.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path),
              help="Ledger: keeps each training; the same command goes on from it after an "
              "interruption.")  # fmt: skip
@click.option("--engine", help="here, threads, processes, dask, or the address of a scheduler.")
@click.option("--workers", type=COUNT, help="Bundles that are trained at a time.")
@click.option("--figure", type=FIGURE, help="Draw the boundary beside six depth scales.")
@click.option("--export", type=DATA, help="Write the result as data: .npz, .nc, .json or .csv.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--effort", type=FiniteFloat(minimum=0.0), default=1.0, show_default=True,
              help="How many times the limits it may take: 4 GB, and 60 s of work, an hour with "
              "--out.")  # fmt: skip
def command(
    activation: str,
    out: Path | None,
    figure: Path | None,
    export: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the largest depth that trains for each sigma_w, and the constant in depth = a xi.

    Depths are bisected from six depth scales on, with about ten times fewer trainings than all
    depths of the same resolution take.

    \b
    Example: chione boundary tanh --sigma-w 0.6,0.9,1.3,2,3 --out runs.sqlite
                 --figure boundary.png
    """
    from chione.sweeps import boundary

    with counting_down("training", 1) as tell:
        told = None if tell is None else lambda done, about: tell(done, about, math.nan)
        found = boundary(activation, out=out, progress=told, **options)
    if export is not None:
        save(export, found)
    if figure is not None:
        draw(figure, found.plot())
    if as_json:
        echo_json("boundary", {"activation": activation, **options}, found.to_dict())
    else:
        click.echo(str(found))
