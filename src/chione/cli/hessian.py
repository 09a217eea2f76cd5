"""`chione hessian`: the random matrix model of a loss surface's Hessian."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save
from chione.cli.parameters import COUNT, FIGURE, NON_NEGATIVE, data_option, with_effort
from chione.cli.progress import running

if TYPE_CHECKING:
    from chione.base import Table
    from chione.theory.spectra.hessian import HessianSpectrum


@click.command()
@click.option("--ratio", type=NON_NEGATIVE, required=True, help="Parameters per datum.")
@click.option("--energy", type=NON_NEGATIVE, required=True, help="Mean loss.")
@click.option("--points", type=click.IntRange(8, 100_000), default=200, show_default=True,
              help="Of the curve in a .csv.")  # fmt: skip
@click.option("--sample", type=COUNT, help="Size of one sampled matrix to draw beside the theory.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@data_option
@click.option("--figure", type=FIGURE, help="Draw the density.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    ratio: float,
    energy: float,
    points: int,
    sample: int | None,
    seed: int,
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Eigenvalues of Wishart plus Wigner: edges, negative share, critical energy.

    \b
    Example: chione hessian --ratio 0.25 --energy 0.3 --figure hessian.png
    """
    import numpy as np

    from chione.simulation.hessian import sample_model_hessian
    from chione.theory.spectra.hessian import critical_energy, hessian_spectrum

    spectrum = hessian_spectrum(ratio=ratio, energy=energy)
    sampled = None
    if sample is not None:
        with running("sampling a matrix"):
            sampled = sample_model_hessian(ratio=ratio, energy=energy, size=sample, seed=seed)
    if out is not None:
        save(out, _curve(spectrum, points) if out.suffix.lower() == ".csv" else spectrum)
    if figure is not None:
        from chione.plotting.hessian import hessian_figure

        draw(figure, hessian_figure(spectrum, sampled))
    result: dict[str, Any] = {
        "support": spectrum.support,
        "atoms": spectrum.atoms,
        "negative_fraction": spectrum.negative_fraction.to_dict(),
        "critical_energy": critical_energy(ratio).to_dict(),
        "moments": spectrum.moments(4),
    }
    if sampled is not None:
        result["sampled_negative_fraction"] = float(np.mean(sampled < 0.0))
    if as_json:
        echo_json("hessian", {"ratio": ratio, "energy": energy}, result)
        return
    spans = ", ".join(f"({a:.8g}, {b:.8g})" for a, b in spectrum.support)
    click.echo(f"Eigenvalues fill {spans}.")
    click.echo(f"  negative share   {spectrum.negative_fraction.value:.8g}")
    click.echo(f"  critical energy  {critical_energy(ratio).value:.8g}")
    if sampled is not None:
        click.echo(f"  negative share of the sampled matrix {np.mean(sampled < 0.0):.4g}")


def _curve(spectrum: HessianSpectrum, points: int) -> Table:
    """Density and distribution function on a grid that is finer at the lower edge."""
    import numpy as np

    from chione.base import Table

    low, high = spectrum.edges
    x = low + (high - low) * np.sin(np.linspace(0.0, np.pi / 2, points)) ** 2
    density, cdf = spectrum.density(x), spectrum.cdf(x)
    columns = ("eigenvalue", "density", "density_error", "cdf", "cdf_error")
    values = (x, density.value, density.error, cdf.value, cdf.error)
    return Table(columns, tuple(zip(*(np.asarray(v).tolist() for v in values), strict=True)))
