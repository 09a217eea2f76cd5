"""`chione spectrum`: the singular values of a deep network's Jacobian."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import (
    ACTIVATION,
    COUNT,
    FIGURE,
    NON_NEGATIVE,
    SIGMA,
    data_option,
    with_effort,
)
from chione.cli.progress import Advance, counting

if TYPE_CHECKING:
    from chione.base import Table
    from chione.plotting.spectra import Scale
    from chione.simulation.spectra import SimulatedSpectrum
    from chione.theory.spectra.jacobian import JacobianSpectrum


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option("--depth", type=COUNT, required=True, help="Number of layers.")
@click.option("--sigma-w", type=SIGMA, help="Weights ~ sigma_w^2 / fan_in.")
@click.option("--sigma-b", type=SIGMA, help="Biases.")
@click.option("--q-star", type=NON_NEGATIVE, help="Mean square of the pre-activations.")
@click.option(
    "--variance",
    type=NON_NEGATIVE,
    help="Find the critical q_star with this variance of the spectrum (orthogonal weights).",
)
@click.option(
    "--weights", type=click.Choice(("gaussian", "orthogonal")), default="gaussian",
    show_default=True,
)  # fmt: skip
@click.option("--points", type=click.IntRange(8, 100_000), default=200, show_default=True,
              help="Of the curve in a .csv.")  # fmt: skip
@click.option("--networks", type=click.IntRange(min=0), default=0, show_default=True,
              help="Networks to sample beside the theory.")  # fmt: skip
@click.option("--width", type=COUNT, default=500, show_default=True, help="Units of a layer.")
@click.option("--stabilised", is_flag=True, help="Sample small singular values right, too.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--scale", type=click.Choice(("log", "linear")), default="log", show_default=True)
@data_option
@click.option("--figure", type=FIGURE, help="Draw the density, sampled networks beside it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    activation: str,
    depth: int,
    sigma_w: float | None,
    sigma_b: float | None,
    q_star: float | None,
    variance: float | None,
    weights: str,
    points: int,
    networks: int,
    width: int,
    stabilised: bool,
    seed: int,
    scale: str,
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Squared singular values of the Jacobian of a wide network: density, edges, moments.

    \b
    Example: chione spectrum tanh --depth 32 --q-star 0.1 --weights orthogonal --figure s.png
    """
    from chione.theory.spectra.jacobian import jacobian_spectrum
    from chione.theory.spectra.jacobian_isometry import q_star_for_variance

    found = None
    if variance is not None:
        if q_star is not None or sigma_w is not None:
            raise click.UsageError("--variance finds q_star itself; leave out the other options.")
        found = q_star_for_variance(activation, depth, variance, weights=weights)
        q_star = found.q_star
    spectrum = jacobian_spectrum(
        activation, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, q_star=q_star, weights=weights
    )
    sampled = None
    if networks:
        method = "stabilised" if stabilised else "plain"
        with counting("networks", networks) as advance:
            sampled = _sample(spectrum, networks, width, seed, method, advance)
    if out is not None:
        save(out, _curve(spectrum, points) if out.suffix.lower() == ".csv" else spectrum)
    if figure is not None:
        from chione.plotting.spectra import spectrum_figure

        kind: Scale = "log" if scale == "log" else "linear"
        draw(figure, spectrum_figure(spectrum, sampled, scale=kind))
    summary = _summary(spectrum)
    if found is not None:
        summary["initialization"] = {"sigma_b": found.sigma_b, "sentence": found.sentence}
    if sampled is not None:
        summary["simulation"] = _compare(spectrum, sampled)
    if as_json:
        parameters = {"activation": activation, "depth": depth, "weights": weights}
        echo_json("spectrum", parameters, summary)
    else:
        _print(spectrum, summary)


def _sample(
    spectrum: JacobianSpectrum,
    networks: int,
    width: int,
    seed: int,
    method: str,
    progress: Advance | None,
) -> SimulatedSpectrum:
    from chione.networks import MLP
    from chione.simulation.spectra import simulate_spectrum

    network = MLP(
        spectrum.activation, spectrum.sigma_w, 0.0, spectrum.depth, width, spectrum.weights
    )
    return simulate_spectrum(
        network,
        q_star=spectrum.q_star,
        n_networks=networks,
        seed=seed,
        method=method,
        progress=progress,
    )


def _summary(spectrum: JacobianSpectrum) -> dict[str, Any]:
    moments = spectrum.moments(4)
    return {
        "sigma_w": spectrum.sigma_w,
        "sigma_b": spectrum.sigma_b,
        "q_star": spectrum.q_star,
        "chi": spectrum.chi,
        "support": spectrum.support,
        "log_support": spectrum.log_support,
        "atoms": spectrum.atoms,
        "moments": moments.to_dict(),
        "variance": spectrum.variance,
        "condition": spectrum.condition,
        "spread": spectrum.spread(0.9),
        "outliers": [o.eigenvalue for o in spectrum.outliers],
        "status": spectrum.status.word,
        "sentence": spectrum.sentence,
    }


def _compare(spectrum: JacobianSpectrum, sampled: SimulatedSpectrum) -> dict[str, Any]:
    import numpy as np

    own = sampled.log_eigenvalues
    own = own[np.isfinite(own)]
    count = sampled.log_singular_values.shape[0]
    if own.size == 0:  # units that are all off: only zeros were drawn
        return {"networks": count, "ks_distance": spectrum.rank_fraction}
    y = np.linspace(float(np.quantile(own, 0.01)), float(own[-1]) + 0.1, 400)
    distance = sampled.ks_distance(y, spectrum.solver.values(y).cdf)
    return {"networks": count, "ks_distance": distance}


def _curve(spectrum: JacobianSpectrum, points: int) -> Table:
    """Density and distribution function on a graded grid, each with its error."""
    from chione.base import Table

    c = spectrum.curve(points)
    columns = ("log_lambda", "density_of_log_lambda", "density_error", "cdf", "cdf_error")
    values = (c.log_lambda, c.density_of_log, c.density_error, c.cdf, c.cdf_error)
    return Table(columns, tuple(zip(*(x.tolist() for x in values), strict=True)))


def _print(spectrum: JacobianSpectrum, summary: dict[str, Any]) -> None:
    click.echo(f"{spectrum.activation.name}: {spectrum.weights}, L = {spectrum.depth}")
    say(spectrum.sentence)
    for key in ("sigma_w", "sigma_b", "q_star", "chi", "variance", "condition", "spread"):
        click.echo(f"  {key:<10} {summary[key]:.10g}")
    click.echo("  moments    " + "  ".join(f"{m:.8g}" for m in spectrum.moments(4).value))
    for outlier in spectrum.outliers:
        click.echo(f"  outlier of finite networks near {outlier.eigenvalue:.6g}")
    if "simulation" in summary:
        click.echo(f"  distance to sampled networks {summary['simulation']['ks_distance']:.4f}")
    if "initialization" in summary:
        say(summary["initialization"]["sentence"])
