"""`chione hessian`: the random matrix model of a loss surface's Hessian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chione.cli.output import draw, echo_json, tell
from chione.cli.parameters import COUNT, FIGURE, NON_NEGATIVE, OutputFile, with_effort
from chione.cli.progress import running


@click.command()
@click.option("--ratio", type=NON_NEGATIVE, required=True, help="Parameters per datum.")
@click.option("--energy", type=NON_NEGATIVE, required=True, help="Mean loss.")
@click.option("--points", type=click.IntRange(min=8), default=200, show_default=True)
@click.option("--sample", type=COUNT, help="Size of one sampled matrix to draw beside the theory.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--out", type=OutputFile(".csv"), help="Write density and distribution function.")
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

    from chione.base import write_whole
    from chione.simulation.hessian import sample_model_hessian
    from chione.theory.hessian import critical_energy, hessian_spectrum

    spectrum = hessian_spectrum(ratio=ratio, energy=energy)
    sampled = None
    if sample is not None:
        with running("sampling a matrix"):
            sampled = sample_model_hessian(ratio=ratio, energy=energy, size=sample, seed=seed)
    if out is not None:
        low, high = spectrum.edges
        x = low + (high - low) * np.sin(np.linspace(0.0, np.pi / 2, points)) ** 2
        table = np.stack([x, spectrum.density(x).value, spectrum.cdf(x).value], axis=1)

        def write(path: Path) -> None:
            np.savetxt(
                path,
                table,
                delimiter=",",
                header="eigenvalue,density,cdf",
                comments="",
                fmt="%.17g",
            )

        write_whole(out, write)
        tell(out)
    if figure is not None:
        from chione.plotting.spectra import hessian_figure

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
