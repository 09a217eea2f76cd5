"""`chione spectrum`: the singular values of a deep network's Jacobian."""

from __future__ import annotations

import math
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
    Numbers,
    Whole,
    data_option,
    with_effort,
)
from chione.cli.progress import Advance, counting

if TYPE_CHECKING:
    from chione.base import Table
    from chione.plotting.spectra import Scale
    from chione.simulation.spectra import SimulatedSpectrum
    from chione.theory.spectra.jacobian import JacobianSpectrum

_KNOWN = 0.5  # error of a logarithm beyond which a quantile says nothing
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
@click.option("--points", type=Whole(8, 100_000), default=200, show_default=True,
              help="Of the curve in a .csv.")  # fmt: skip
@click.option("--networks", type=Whole(0), default=0, show_default=True,
              help="Networks to sample beside the theory.")  # fmt: skip
@click.option("--width", type=COUNT, default=500, show_default=True, help="Units of a layer.")
@click.option("--widths", type=Numbers(), help="Of the input and of each layer; relative ones, or "
              "with --networks the units (whole numbers) in place of --width.")  # fmt: skip
@click.option("--stabilised", is_flag=True, help="Sample small singular values right, too.")
@click.option("--seed", type=Whole(0), default=0, show_default=True)
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
    widths: tuple[float, ...] | None,
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
    if widths is not None and variance is not None:
        raise click.UsageError("--variance is for equal widths; leave out --widths.")
    if widths is not None and networks and not all(n == int(n) for n in widths):
        raise click.UsageError("--networks needs whole numbers in --widths, the units.")
    if variance is not None:
        if q_star is not None or sigma_w is not None:
            raise click.UsageError("--variance finds q_star itself; leave out the other options.")
        found = q_star_for_variance(activation, depth, variance, weights=weights)
        q_star = found.q_star
    spectrum = jacobian_spectrum(
        activation, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, q_star=q_star, weights=weights,
        widths=widths,
    )  # fmt: skip
    sampled = None
    if networks:
        method = "stabilised" if stabilised else "plain"
        with counting("networks", networks) as advance:
            units = (width,) * (depth + 1) if widths is None else tuple(int(n) for n in widths)
            sampled = _sample(spectrum, networks, units, seed, method, advance)
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
        parameters: dict[str, Any] = {"activation": activation, "depth": depth, "weights": weights}
        if widths is not None:
            parameters["widths"] = widths
        echo_json("spectrum", parameters, summary)
    else:
        _print(spectrum, summary)


def _sample(
    spectrum: JacobianSpectrum,
    networks: int,
    units: tuple[int, ...],
    seed: int,
    method: str,
    progress: Advance | None,
) -> SimulatedSpectrum:
    from chione.networks import MLP
    from chione.simulation.spectra import simulate_spectrum

    network = MLP(
        spectrum.activation, spectrum.sigma_w, 0.0, spectrum.depth, units[1:], spectrum.weights,
        input_width=units[0],
    )  # fmt: skip
    return simulate_spectrum(
        network,
        q_star=spectrum.q_star,
        n_networks=networks,
        seed=seed,
        method=method,
        progress=progress,
    )


def _summary(spectrum: JacobianSpectrum) -> dict[str, Any]:
    import numpy as np

    moments = spectrum.moments(4)
    share = spectrum.rank_fraction
    quantiles = spectrum.log_quantile(1.0 - share + share * np.array(_SHARES))
    return {
        "sigma_w": spectrum.sigma_w,
        "sigma_b": spectrum.sigma_b,
        "q_star": spectrum.q_star,
        "chi": spectrum.chi,
        "support": spectrum.support,
        "log_support": spectrum.log_support,
        "bands": _bands(spectrum),
        "atoms": spectrum.atoms,
        "rank_fraction": share,
        "moments": moments.to_dict(),
        "variance": spectrum.variance,
        "condition": spectrum.condition,
        "spread": spectrum.spread(0.9),
        "quantiles": {"share_of_the_rank": _SHARES, "log_lambda": quantiles.to_dict()},
        "outliers": [o.eigenvalue for o in spectrum.outliers],
        "status": spectrum.status.word,
        "sentence": spectrum.sentence,
    }


def _bands(spectrum: JacobianSpectrum) -> list[dict[str, float]]:
    """The intervals of the continuous part with their mass, without point masses at their ends."""
    import numpy as np

    out = []
    for low, high in spectrum.solver.support:
        f = spectrum.solver.values(np.array([low, high])).cdf
        inside = sum(m for a, m in spectrum.solver.atoms if low < a <= high)
        out.append(
            {"log_low": low, "log_high": high, "mass": max(0.0, float(f[1] - f[0]) - inside)}
        )
    return out


def _compare(spectrum: JacobianSpectrum, sampled: SimulatedSpectrum) -> dict[str, Any]:
    found = sampled.compare(spectrum)
    return {**found.to_dict(), "ks_distance": found.distance, "sentence": found.sentence}


def _curve(spectrum: JacobianSpectrum, points: int) -> Table:
    """Density and distribution function on a graded grid, each with its error."""
    from chione.base import Table

    c = spectrum.curve(points)
    columns = ("log_lambda", "density_of_log_lambda", "density_error", "cdf", "cdf_error")
    values = (c.log_lambda, c.density_of_log, c.density_error, c.cdf, c.cdf_error)
    return Table(columns, tuple(zip(*(x.tolist() for x in values), strict=True)))


def _print(spectrum: JacobianSpectrum, summary: dict[str, Any]) -> None:
    laws = {"gaussian": "Gaussian", "orthogonal": "orthogonal"}
    click.echo(
        f"{spectrum.activation.name}: {laws[spectrum.weights]} weights, L = {spectrum.depth}"
    )
    say(spectrum.sentence)
    bands = summary["bands"]
    if len(bands) > 1:
        parts = "; ".join(
            f"({_root(b['log_low'])}, {_root(b['log_high'])}) with {b['mass']:.4g} of the mass"
            for b in bands
        )
        say(f"Singular values lie in {len(bands)} bands: {parts}.")
    if summary["rank_fraction"] < 1.0:
        say(f"Rank: {summary['rank_fraction']:.6g} of the singular values are not 0.")
    for key in ("sigma_w", "sigma_b", "q_star", "chi", "variance", "condition"):
        click.echo(f"  {key:<10} {_words(key, summary[key])}")
    click.echo("  moments    " + "  ".join(_finite(m, ".8g") for m in spectrum.moments(4).value))
    _print_quantiles(spectrum, summary)
    for outlier in spectrum.outliers:
        click.echo(f"  outlier of finite networks near {outlier.eigenvalue:.6g}")
    if "simulation" in summary:
        say(summary["simulation"]["sentence"])
    if "initialization" in summary:
        say(summary["initialization"]["sentence"])


def _print_quantiles(spectrum: JacobianSpectrum, summary: dict[str, Any]) -> None:
    """Singular values below which shares of the rank lie, and how far they are spread."""
    import numpy as np

    found = summary["quantiles"]["log_lambda"]
    log = np.array(found["value"], dtype=np.float64)  # None where there is no number
    log[np.array(found["error"], dtype=np.float64) > _KNOWN] = np.nan
    rank = "" if summary["rank_fraction"] == 1.0 else " that are not 0"
    click.echo(f"  singular values{rank} below which a share lies:")
    click.echo("  " + "".join(f"{f'{p:.0%}':>14}" for p in _SHARES))
    click.echo("  " + "".join(f"{_root(x, 5):>14}" for x in log))
    if not np.isnan(log[-1] - log[0]):
        ratio = _root(float(log[-1] - log[0]), 4)
        click.echo(f"  the middle 90 % of them spread by a factor of {ratio}")


def _words(key: str, value: float) -> str:
    if key == "sigma_b" and math.isnan(value):
        return "none: no bias makes this q_star a fixed point"
    return "infinite: the law reaches 0" if key == "condition" and value == math.inf else (
        _finite(value, ".10g")
    )  # fmt: skip


def _finite(value: float, form: str) -> str:
    """A number, or that there is none."""
    return "not computed" if math.isnan(value) else format(value, form)


def _root(log_lambda: float, digits: int = 6) -> str:
    """The singular value in digits, where it leaves the range of float64 too."""
    if math.isnan(log_lambda):
        return "not computed"
    if math.isinf(log_lambda) or abs(log_lambda) < 1400.0:
        return format(math.exp(0.5 * log_lambda), f".{digits}g")
    ten = 0.5 * log_lambda / math.log(10.0)
    return f"{10.0 ** (ten - math.floor(ten)):.{max(1, digits - 2)}g}e{math.floor(ten):+d}"
