"""`chione hessian`: the random matrix model of a loss surface's Hessian."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save
from chione.cli.parameters import COUNT, FIGURE, NON_NEGATIVE, Whole, data_option, with_effort
from chione.cli.progress import running

if TYPE_CHECKING:
    from chione.base import Table
    from chione.theory.spectra.hessian import HessianSpectrum
    from chione.theory.spectra.hessian_structure import Structure


@click.command()
@click.option("--ratio", type=NON_NEGATIVE, required=True, help="Parameters per datum.")
@click.option("--energy", type=NON_NEGATIVE, required=True, help="Mean loss.")
@click.option("--structure", type=click.Choice(["wigner", "relu", "linear", "product"]),
              default="wigner", show_default=True,
              help="Blocks of a hidden layer in H1, or a product in H0.")  # fmt: skip
@click.option("--points", type=Whole(8, 100_000), default=200, show_default=True,
              help="Of the curve in a .csv.")  # fmt: skip
@click.option("--sample", type=COUNT, help="Size of one sampled matrix to draw beside the theory.")
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@data_option
@click.option("--figure", type=FIGURE, help="Draw the picture.")
@click.option("--picture", type=click.Choice(["density", "index", "critical_energy"]),
              default="density", show_default=True, help="What --figure draws.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    ratio: float,
    energy: float,
    structure: Structure,
    points: int,
    sample: int | None,
    seed: int,
    out: Path | None,
    figure: Path | None,
    picture: str,
    as_json: bool,
) -> None:
    """Eigenvalues of a model Hessian: edges, negative share, critical energy.

    \b
    Example: chione hessian --ratio 0.25 --energy 0.3 --structure relu --figure hessian.png
    """
    import numpy as np

    from chione.simulation.hessian import sample_model_hessian
    from chione.theory.spectra.hessian import critical_energy, hessian_spectrum, index_onset

    spectrum = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
    sampled = None
    if sample is not None:
        with running("sampling a matrix"):
            sampled = sample_model_hessian(
                ratio=ratio, energy=energy, structure=structure, size=sample, seed=seed
            )
    if out is not None:
        save(out, _curve(spectrum, points) if out.suffix.lower() == ".csv" else spectrum)
    if figure is not None:
        from chione.plotting.hessian import hessian_figure

        whole = picture == "density"
        draw(figure, hessian_figure(spectrum, sampled) if whole else spectrum.plot(field=picture))
    critical = critical_energy(ratio, structure=structure)
    start = index_onset(ratio, structure=structure)
    result: dict[str, Any] = {
        "support": spectrum.support,
        "atoms": spectrum.atoms,
        "negative_fraction": spectrum.negative_fraction.to_dict(),
        "critical_energy": critical.to_dict(),
        "onset": {
            "base": start.base,
            "amplitude": start.amplitude.to_dict(),
            "exponent": start.exponent,
        },
        "moments": spectrum.moments(4),
    }
    negative = None
    if sampled is not None:
        # eigenvalues of an atom at zero are rounding of either sign
        room = 1e-10 * float(np.max(abs(sampled))) if spectrum.atoms else 0.0
        negative = float(np.mean(sampled < -room))
        result["sampled_negative_fraction"] = negative
    if as_json:
        given = {"ratio": ratio, "energy": energy, "structure": structure}
        echo_json("hessian", given, result)
        return
    spans = ", ".join(f"({a:.8g}, {b:.8g})" for a, b in spectrum.support)
    click.echo(f"Eigenvalues fill {spans}.")
    for place, mass in spectrum.atoms:
        click.echo(f"  at {place:g}             a share of {mass:.8g}")
    click.echo(f"  negative share   {spectrum.negative_fraction.value:.8g}")
    click.echo(f"  critical energy  {critical.value:.8g}{_times(energy, float(critical.value))}")
    if negative is not None:
        click.echo(f"  negative share of the sampled matrix {negative:.4g}")


def _times(energy: float, critical: float) -> str:
    return f" (energy = {energy / critical:.4g} times it)" if critical > 0.0 else ""


def _curve(spectrum: HessianSpectrum, points: int) -> Table:
    """Density and distribution function on a grid that is finer at the edges."""
    import numpy as np

    from chione.base import Table

    c = spectrum.curve(points)
    columns = ("eigenvalue", "density", "density_error", "cdf", "cdf_error")
    values = (c.eigenvalue, c.density, c.density_error, c.cdf, c.cdf_error)
    return Table(columns, tuple(zip(*(np.asarray(v).tolist() for v in values), strict=True)))
