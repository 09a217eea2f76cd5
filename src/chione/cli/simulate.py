"""`chione simulate`: finite random networks beside the theory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import (
    ACTIVATION,
    COUNT,
    FIGURE,
    LAWS,
    NON_NEGATIVE,
    SIGMA,
    FiniteFloat,
    Whole,
    data_option,
    with_effort,
)
from chione.cli.progress import counting, running

if TYPE_CHECKING:
    from chione.diagnosis.compare import Comparison
    from chione.networks import MLP
    from chione.simulation import SimulationResult

_INTERRUPTED = 130  # as shells have it


class _List(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Words or whole numbers, separated by commas."""

    def __init__(self, of: type, name: str) -> None:
        self.of, self.name = of, name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """The entries, or a click error that says what is accepted."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.of(part.strip()) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 512,512,256.", param, ctx)


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option("--sigma-w", type=SIGMA, required=True, help="Weights ~ sigma_w^2 / fan_in.")
@click.option("--sigma-b", type=SIGMA, default=0.0, show_default=True, help="Biases.")
@click.option("--depth", type=COUNT, help="Number of layers.  [default: 20, or from --widths]")
@click.option("--width", type=COUNT, default=512, show_default=True, help="Units of a layer.")
@click.option("--widths", type=_List(int, "n,n,..."), help="Units of each layer, if unequal.")
@click.option("--input-width", type=COUNT, help="Units of the input.  [default: the first width]")
@click.option("--weights", type=click.Choice(LAWS), default="gaussian", show_default=True)
@click.option("--networks", type=COUNT, default=50, show_default=True, help="How many to draw.")
@click.option(
    "--q0", type=NON_NEGATIVE, default=1.0, show_default=True, help="Mean square of the inputs."
)
@click.option(
    "--c0",
    type=FiniteFloat(-1.0),
    default=0.5,
    show_default=True,
    help="Correlation of the inputs.",
)
@click.option(
    "--observe",
    type=_List(str, "name,name,..."),
    default="lengths,correlations,gradients",
    show_default=True,
    help="What to measure; 'all' for everything.",
)
@click.option("--sampler", type=click.Choice(("auto", "dense", "matrix-free")), default="auto")
@click.option("--dtype", type=click.Choice(("float64", "float32")), default="float64")
@click.option("--backend", type=click.Choice(("numpy", "torch")), default="numpy")
@click.option("--device", default="cpu", show_default=True, help="Device of the torch backend.")
@click.option(
    "--workers",
    type=COUNT,
    help="Networks at a time.  [default: 1; with --engine one for each core]",
)
@click.option(
    "--engine",
    type=click.Choice(("here", "threads", "processes", "dask")),
    help="Where networks run.  [default: threads]",
)
@click.option("--scheduler", help="Address of a dask scheduler, as in tcp://10.0.0.5:8786.")
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@data_option
@click.option("--figure", type=FIGURE, help="Draw theory as lines, networks as points.")
@click.option("--circle", type=FIGURE, help="Draw a great circle of inputs bending in the layers.")
@click.option("--limit", type=FIGURE, help="Draw how outputs become Gaussian with the width.")
@click.option("--check", is_flag=True, help="Exit with 1 if networks contradict the theory.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
@with_effort
def command(
    ctx: click.Context,
    activation: str,
    sigma_w: float,
    sigma_b: float,
    depth: int | None,
    width: int,
    widths: tuple[int, ...] | None,
    input_width: int | None,
    weights: str,
    networks: int,
    q0: float,
    c0: float,
    observe: tuple[str, ...],
    sampler: str,
    dtype: str,
    backend: str,
    device: str,
    workers: int | None,
    engine: str | None,
    scheduler: str | None,
    seed: int,
    out: Path | None,
    figure: Path | None,
    circle: Path | None,
    limit: Path | None,
    check: bool,
    as_json: bool,
) -> None:
    """Draw finite random networks, measure them and put the theory beside them.

    \b
    Observables: lengths, activation_lengths, correlations, one_minus_correlations, angles,
    saturation, effective_rank, gradients, error_products, weight_gradients, ntk, fluctuations,
    four_point, preactivation_histogram, activation_histogram, gradient_histogram.

    \b
    Example: chione simulate tanh --sigma-w 1.5 --sigma-b 0.1 --depth 20 --figure run.png --check
    """
    from chione.diagnosis.compare import compare
    from chione.simulation import NAMES, simulate
    from chione.simulation.costs import first_width
    from chione.simulation.inputs import input_pair

    network = _network(activation, sigma_w, sigma_b, depth, width, widths, input_width, weights)
    names = NAMES if observe == ("all",) else observe
    alone = _without_theory(network, check)
    with counting("networks", networks) as advance:
        result = simulate(
            network,
            input_pair(first_width(network), q0=q0, c0=c0, seed=seed),
            n_networks=networks,
            seed=seed,
            observe=names,
            sampler=sampler,
            dtype=dtype,
            workers=workers,
            engine=_engine(engine, scheduler),
            backend=backend,
            device=device,
            progress=advance,
        )
    comparison = None
    if not alone:
        with running("comparing with the theory"):
            comparison = compare(result)
    if out is not None:
        save(out, result)
    if figure is not None:
        _draw(figure, result, comparison)
    if circle is not None and not result.interrupted:
        _draw_circle(circle, network, networks, seed, q0)
    if limit is not None and not result.interrupted:
        _draw_limit(limit, network, seed, q0, c0)
    _report(result, comparison, as_json)
    if result.interrupted:
        ctx.exit(_INTERRUPTED)
    if check and comparison is not None:
        ctx.exit(_verdict(comparison))


def _engine(engine: str | None, scheduler: str | None) -> str | None:
    """What ``engine=`` means: an address is an engine too."""
    if scheduler is not None and engine not in (None, "dask"):
        raise ValueError(
            f"--scheduler belongs to --engine dask, but --engine is {engine}; leave one out."
        )
    return engine if scheduler is None else scheduler


def _network(
    activation: str,
    sigma_w: float,
    sigma_b: float,
    depth: int | None,
    width: int,
    widths: tuple[int, ...] | None,
    input_width: int | None,
    weights: str,
) -> MLP:
    from chione.activations import activation as resolve
    from chione.networks import MLP

    if widths is not None and depth is not None and depth != len(widths):
        raise ValueError(
            f"--depth is {depth}, but --widths names {len(widths)} layers; leave --depth out."
        )
    layers = (len(widths) if widths else 20) if depth is None else depth
    return MLP(
        resolve(activation),
        sigma_w,
        sigma_b,
        layers,
        widths or width,
        weights,  # type: ignore[arg-type]  # click.Choice holds it to the five laws
        input_width,
    )


def _without_theory(network: MLP, check: bool) -> bool:
    """Whether networks are measured alone: no limit exists, or it would take too long.

    Asked before the simulation, so that ``--check`` does not fail after it.
    """
    from chione.base import CostError
    from chione.diagnosis.compare import check_cost

    if network.weights == "delta":
        return not check
    try:
        check_cost(network, 1)
    except CostError as err:
        if check:
            raise
        click.echo(f"Without the theory: {err}".replace(": effort=", ": --effort "), err=True)
        return True
    return False


def _draw(path: Path, result: SimulationResult, comparison: Comparison | None) -> None:
    from chione.plotting.simulation import simulation_figure

    draw(path, simulation_figure(result, None if comparison is None else comparison.theory))


def _draw_circle(path: Path, network: MLP, networks: int, seed: int, q0: float) -> None:
    """The circle through at most 10 networks: their matrices are explicit, which takes time."""
    from chione.plotting.geometry import geometry_figure
    from chione.simulation import great_circle
    from chione.theory.depth.infinite_geometry import circle_geometry

    with running("a circle of inputs"):
        curve = great_circle(network, q0=q0, n_networks=min(networks, 10), seed=seed, n_points=100)
        limit = circle_geometry(network, q0=q0)
    draw(path, geometry_figure(curve, limit))


def _draw_limit(path: Path, network: MLP, seed: int, q0: float, c0: float) -> None:
    from chione.plotting.geometry import gaussian_limit_figure
    from chione.simulation import gaussian_limit, input_pair
    from chione.theory import nngp

    x = input_pair(network.widths[0], q0=q0, c0=c0, seed=seed)
    with running("networks of growing width"):
        result = gaussian_limit(network, x, kernel=nngp(network, x).value, seed=seed)
    draw(path, gaussian_limit_figure(result))


def _report(result: SimulationResult, comparison: Comparison | None, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {"simulation": result.to_dict()}
        document["comparison"] = None if comparison is None else comparison.to_dict()
        echo_json("simulate", result.parameters(), document, warnings=result.warnings)
        return
    net = result.network
    widths = f"width {net.widths[1]}" if len(set(net.widths)) == 1 else f"widths {net.widths}"
    click.echo(
        f"{net.activation.name}, sigma_w = {net.sigma_w:g}, sigma_b = {net.sigma_b:g}: "
        f"{result.n_networks} networks of depth {net.depth}, {widths}, {net.weights} weights "
        f"({result.sampler}, seed {result.seed})"
    )
    if comparison is not None:
        _table(comparison)
    for sentence in result.warnings:
        click.echo(sentence, err=True)


def _table(comparison: Comparison) -> None:
    from chione.base import text_table
    from chione.diagnosis.numbers import measured_text

    rows = []
    for row in comparison.rows():
        theory = f"{row['theory']:.6g}" if row["theory"] == row["theory"] else "none"
        exact = row["stderr"] < 1e-12 * abs(row["simulated"])  # the same in every network
        z = "" if exact or row["z"] != row["z"] else f"{row['z']:.1f}"
        simulated = measured_text(row["simulated"], 0.0 if exact else row["stderr"])
        rows.append((row["observable"], str(row["layer"] or ""), theory, simulated, z))
    head = ("observable", "layer", "theory", "simulated", "z")
    click.echo(f"\n{text_table(head, rows, align='<>><>')}")
    for name in comparison.without_theory:
        say(f"{name}: measured; it has no infinite-width value here")
    count, held = comparison.n_comparisons, comparison.result
    of = f" of the {held.n_networks} networks that were run" if held.interrupted else ""
    if comparison.agrees and count:
        text = f"All {count} comparisons{of} agree with the theory within finite width."
        click.echo()
        say(text)
    for sentence in comparison.underflows:
        say(sentence)
    for sentence in comparison.contradictions:
        click.echo()
        say(f"Contradiction in {sentence}")


def _verdict(comparison: Comparison) -> int:
    if comparison.n_comparisons == 0:
        click.echo("Nothing could be compared, so nothing was checked.", err=True)
        return 1
    return 0 if comparison.agrees else 1
