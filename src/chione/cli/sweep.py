"""`chione sweep`: many small trainings, beside what theory expects of them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, tell
from chione.cli.parameters import ACTIVATION, COUNT, FIGURE, FiniteFloat
from chione.cli.progress import counting_down
from chione.cli.values import Values, Words, split_formulas

if TYPE_CHECKING:
    from chione.sweeps import SweepResult
    from chione.sweeps.prices import Price
    from chione.sweeps.sweep import Work

_INTERRUPTED, _NO_ANSWER = 130, 1
_FIELDS = ("accuracy", "test_accuracy", "loss", "best_rate", "diverged")


def _known(which: str) -> tuple[str, ...]:
    from chione.sweeps.plan import WORDS

    return WORDS[which]


@click.command()
@click.argument("activation", type=ACTIVATION, nargs=-1, required=True)
@click.option(
    "--sigma-w", type=Values(), help="Standard deviation of weights.  [default: 0.5:4:12]"
)
@click.option("--sigma-b", type=Values(), help="Standard deviation of biases.  [default: 0.05]")
@click.option(
    "--depth",
    type=Values(whole=True, geometric=True, minimum=1),
    help="Hidden layers; a range is geometric, 12 values unless it says how many.  [default: 4:40]",
)
@click.option(
    "--width",
    type=Values(whole=True, geometric=True, minimum=1),
    help="Units of a layer.  [default: 64]",
)
@click.option(
    "--scheme",
    type=Words(lambda: _known("scheme")),
    help="How weights are drawn: sigmas (by --sigma-w and --sigma-b), or pytorch, xavier, he, "
    "calculate_gain, orthogonal, lsuv, chione.  [default: sigmas]",
)
@click.option(
    "--weights",
    type=Words(lambda: _known("weights")),
    help="Law of the weights: gaussian, orthogonal, uniform.  [default: gaussian]",
)
@click.option(
    "--optimizer",
    type=Words(lambda: _known("optimizer")),
    help="sgd, momentum, adam.  [default: sgd]",
)
@click.option(
    "--rate",
    type=Values(geometric=True, minimum=0.0),
    help="Learning rates, of which each network takes the best.  [default: 0.05 for sgd, 0.01 for "
    "momentum, 0.001 for adam]",
)
@click.option("--seeds", type=COUNT, help="Trainings to average over.  [default: 1]")
@click.option("--dropout", type=Values(), help="Probability of dropping a unit.  [default: 0]")
@click.option("--steps", type=COUNT, help="Steps of a training.  [default: 100]")
@click.option("--batch", type=COUNT, help="Inputs of a step.  [default: 64]")
@click.option("--dtype", type=click.Choice(("float32", "float64")), help="[default: float32]")
@click.option(
    "--data",
    help="digits, shapes, synthetic, or a file .npz with arrays x and y.  [default: digits]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Ledger: keeps each training; the same command goes on from it after an interruption.",
)
@click.option(
    "--engine",
    type=click.Choice(("here", "threads", "processes", "dask")),
    help="Where to train.  [default: processes on this machine]",
)
@click.option("--scheduler", help="Address of a dask scheduler, as in tcp://10.0.0.5:8786.")
@click.option("--workers", type=COUNT, help="Trainings at a time.  [default: one for each core]")
@click.option("--figure", type=FIGURE, help="Draw the quantity of --field with lines of theory.")
@click.option("--field", type=click.Choice(_FIELDS), default="accuracy", show_default=True)
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    help="All trainings as .csv or .parquet, or the result as .npz, .nc or .json.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Only say what it would cost.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option(
    "--effort",
    type=FiniteFloat(minimum=0.0),
    default=1.0,
    show_default=True,
    help="How many times the limits it may take: 4 GB, and 60 s of work, an hour with --out.",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    activation: tuple[str, ...],
    out: Path | None,
    engine: str | None,
    scheduler: str | None,
    workers: int | None,
    figure: Path | None,
    field: str,
    export: Path | None,
    only_plan: bool,
    as_json: bool,
    effort: float,
    **options: Any,
) -> None:
    """Train many small networks and map which of them learn, beside what theory expects.

    Every combination of the values given is trained, on all cores. The cost is said first. A range
    FROM:TO:COUNT has equal steps, for depths, widths and rates equal ratios.

    \b
    Example: chione sweep tanh --sigma-w 0.5:4:24 --sigma-b 0.05 --depth 10:300 --steps 200
                 --data digits --out runs.sqlite --figure trainability.png
             chione sweep tanh,relu,gelu --depth 50 --scheme he,chione --optimizer adam --seeds 5
    """
    from chione.sweeps.results import check_export
    from chione.sweeps.sweep import Work, plan_of

    if export is not None:
        check_export(export)
    given = {name: value for name, value in options.items() if value is not None}
    plan = plan_of(split_formulas(activation), given)
    work = Work(plan, out, engine=engine, workers=workers, scheduler=scheduler)
    price = work.price()
    if only_plan:
        parameters = {"activation": plan.activation, **given}
        if as_json:
            echo_json("sweep", parameters, {"cost": vars(price)})
        else:
            click.echo(f"{price}.")
        return
    click.echo(f"{price}.", err=True)
    result = _run(ctx, work, price, effort)
    if export is not None:
        result.export(export)
        tell(export)
    if figure is not None:
        draw(figure, result.plot(field=field))
    if as_json:
        echo_json("sweep", {"activation": plan.activation, **given}, result.to_dict())
    else:
        click.echo(str(result))
    _complain(ctx, work)


def _run(ctx: click.Context, work: Work, price: Price, effort: float) -> SweepResult:
    """Train; an interrupt says what is kept."""
    try:
        with ExitStack() as stack, counting_down("training", work.plan.count) as progress:
            if progress is not None:  # a guess until the first bundle has ended
                progress(price.known, work.plan.count, price.seconds / work.at_a_time)
            return work.run(stack, progress, effort)
    except KeyboardInterrupt:
        kept = f"{len(work.outcomes)} of {work.plan.count} trainings"
        if work.out is None:
            click.echo(
                f"Interrupted after {kept}; nothing is kept. With --out runs.sqlite the same "
                "command would go on from here.", err=True,
            )  # fmt: skip
        else:
            click.echo(
                f"Interrupted; {kept} are kept in {work.out}. The same command goes on from there.",
                err=True,
            )
        ctx.exit(_INTERRUPTED)


def _complain(ctx: click.Context, work: Work) -> None:
    """Say what failed and end with an exit code."""
    bad = [x for x in work.outcomes.values() if x.status in ("failed", "lost")]
    if not bad:
        return
    kept = "; the same command tries them again" if work.out is not None else ""
    click.echo(
        f"{len(bad)} of {work.plan.count} trainings failed{kept}. The first: {bad[0].message}",
        err=True,
    )
    ctx.exit(_NO_ANSWER)
