"""`chione freeprob`: free sums, products and powers of measures written as a formula."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import FIGURE, FiniteFloat, Whole, data_option, with_effort
from chione.cli.progress import running

if TYPE_CHECKING:
    from chione.base import Estimate
    from chione.freeprob import Measure, Outliers
    from chione.freeprob.grammar import Named

_SHARES = (0.01, 0.1, 0.5, 0.9, 0.99)
_MOMENTS = 4
_EDGES = 12  # bands and atoms beyond which edges are not told one by one
_LARGEST_FILE = 10_000_000  # eigenvalues


def _names(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the names of the grammar and leave."""
    if not value or ctx.resilient_parsing:
        return
    from chione.freeprob.grammar import NAMES

    known = {**NAMES, **_laws_of_networks()}
    width = max(len(n.example) for n in known.values())
    for named in known.values():
        click.echo(f"{named.example:<{width}}  {named.summary}")
    ctx.exit()


@click.command()
@click.argument("formula")
@click.option("--points", type=Whole(8, 100_000), default=200, show_default=True,
              help="Of the curve in a file.")  # fmt: skip
@click.option("--matrix", type=Whole(2), help="Draw one matrix of this size, too.")
@click.option("--spike", "spikes", type=FiniteFloat(), multiple=True,
              help="Eigenvalue of the first part beside its law: an outlier?")  # fmt: skip
@click.option("--seed", type=Whole(0), default=0, show_default=True)
@click.option("--names", is_flag=True, is_eager=True, expose_value=False, callback=_names,
              help="List the measures that have a name, and leave.")  # fmt: skip
@data_option
@click.option("--figure", type=FIGURE, help="Draw the density and the point masses.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    formula: str,
    points: int,
    matrix: int | None,
    spikes: tuple[float, ...],
    seed: int,
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Eigenvalues of sums and products of large free matrices.

    FORMULA is made of named measures (--names), files of eigenvalues (.npy, .npz, .csv, .txt)
    and numbers. Between measures + is the free sum and * the free product; numbers shift and
    stretch. mu^3 is mu + mu + mu with free copies (any real power from 1 on), mu**3 their product.

    \b
    Example: chione freeprob "mp(0.5) + semicircle(1)" --figure f.png
             chione freeprob "coin^4"
             chione freeprob "eigenvalues.npy * mp(0.2)" --matrix 1000
             chione freeprob "point(1) * mp(0.5)" --spike 4
    """
    from chione.freeprob.grammar import parse

    measure = parse(formula, read=_read, names=_laws_of_networks())
    with running(f"the law of {measure.name}"):
        result = _facts(measure)
    found = None
    if spikes:
        from chione.freeprob import outliers

        found = outliers(measure, spikes)
        result["outliers"] = [o.to_dict() for o in found.found]
        result["thresholds"] = [t.to_dict() for t in found.thresholds]
    eigenvalues = None
    if matrix is not None:
        from chione.simulation.free_matrices import compare_free, sample_free

        with running(f"a matrix of size {matrix}"):
            eigenvalues = sample_free(measure, size=matrix, seed=seed)
        result["matrix"] = {"size": matrix, "distance": compare_free(measure, eigenvalues)}
    if out is not None:
        save(out, measure.curve(points))
    if figure is not None:
        from chione.plotting.measures import measure_figure

        draw(figure, measure_figure(measure, eigenvalues))
    if as_json:
        parameters = {"formula": formula, "matrix": matrix, "spikes": spikes, "seed": seed}
        echo_json("freeprob", parameters, result)
        return
    _print(measure, result)
    if found is not None:
        _print_outliers(found)
    if eigenvalues is not None:
        distance, size = result["matrix"]["distance"], eigenvalues.size
        say(
            f"One matrix of size {size}, its parts rotated independently: the distribution "
            f"functions are {distance:.3g} apart at most; 1/n is {1.0 / size:.2g}."
        )


def _facts(measure: Measure) -> dict[str, Any]:
    import numpy as np

    from chione.freeprob import edges

    shares = np.array(_SHARES)
    few = len(measure.support) <= _EDGES
    return {
        "name": measure.name,
        "support": measure.support,
        "atoms": measure.atoms,
        "edges": [e.to_dict() for e in edges(measure) if e.side != "atom"] if few else None,
        "moments": measure.moments(_MOMENTS).to_dict(),
        "free_cumulants": measure.free_cumulants(_MOMENTS).to_dict(),
        "shares": _SHARES,
        "quantiles": measure.quantile(shares).to_dict(),
    }


def _print(measure: Measure, result: dict[str, Any]) -> None:
    say(f"{measure.name}: {_where(measure)}")
    for name, estimate in (
        ("moments", measure.moments(_MOMENTS)),
        ("free cumulants", measure.free_cumulants(_MOMENTS)),
    ):
        click.echo(f"  {name:<15} {_row(estimate)}")
    found = result["quantiles"]
    rows = zip(_SHARES, found["value"], found["error"], strict=True)
    told = ", ".join(f"{100 * p:g} %: {_number(x, error)}" for p, x, error in rows)
    click.echo(f"  quantiles       {told}")
    for edge in result["edges"] or ():
        place, exponent = edge["place"]["value"], edge["exponent"]["value"]
        scale = edge["scale"]["value"]
        text = f"  {edge['side']} edge      {_number(place)}, density ~ |x - a|^{_number(exponent)}"
        if scale is not None:
            text += f", Tracy-Widom scale {scale:.4g} n^(-2/3)"
        click.echo(text)


def _print_outliers(found: Outliers) -> None:
    for outlier in found.found:
        if outlier.side == "none":
            say(f"A spike at {outlier.spike:g} gives no outlier: it stays in the bulk.")
        else:
            say(
                f"A spike at {outlier.spike:g} gives an outlier at {outlier.place.value:.8g} "
                f"({outlier.side}), squared overlap with its direction "
                f"{outlier.overlap.value:.6g}."
            )
    for critical in found.thresholds:
        way = "above" if critical.side == "upper" else "below"
        click.echo(
            f"  spikes {way} {critical.spike.value:.8g} come out {way} the edge at "
            f"{critical.edge.value:.8g}"
        )


def _where(measure: Measure) -> str:
    bands = ", ".join(f"({a:.8g}, {b:.8g})" for a, b in measure.support if b > a)
    atoms = measure.atoms
    text = f"fills {bands}" if bands else "has no continuous part"
    if not atoms:
        return f"{text}; no point masses."
    shown = ", ".join(f"{m:.6g} at {a:.8g}" for a, m in atoms[:8])
    more = f" and {len(atoms) - 8} more" if len(atoms) > 8 else ""
    return f"{text}; point masses {shown}{more}."


def _row(estimate: Estimate) -> str:
    told = estimate.to_dict()
    return ", ".join(_number(x, e) for x, e in zip(told["value"], told["error"], strict=True))


def _number(x: float | None, error: float | None = 0.0) -> str:
    """Eight digits; 0 where nothing but rounding is left."""
    if x is None:
        return "none"
    return "0" if error is not None and abs(x) <= error else f"{x:.8g}"


def _read(path: str) -> Measure:
    """The measure of a file of eigenvalues: one array, or one column of numbers."""
    import numpy as np

    from chione.freeprob import empirical

    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        values = np.load(path, allow_pickle=False)
    elif suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            if len(archive.files) != 1:
                raise ValueError(
                    f"{path} must hold one array of eigenvalues, but it holds "
                    f"{', '.join(archive.files) or 'none'}."
                )
            values = archive[archive.files[0]]
    else:
        values = np.loadtxt(path, delimiter="," if suffix == ".csv" else None, ndmin=1)
    values = np.squeeze(np.asarray(values))
    if values.ndim > 1:
        raise ValueError(
            f"{path} must hold a list of eigenvalues, but its shape is {values.shape}; save those "
            "of the matrix, numpy.linalg.eigvalsh(a)."
        )
    if values.size > _LARGEST_FILE:
        raise ValueError(
            f"{path} may hold {_LARGEST_FILE} eigenvalues, but it holds {values.size}."
        )
    return empirical(np.atleast_1d(values))


def _laws_of_networks() -> dict[str, Named]:
    """Names that stand for laws of networks, beside those of free probability."""
    from chione.freeprob import as_measure
    from chione.freeprob.grammar import Named
    from chione.theory.spectra import derivative_law, jacobian_spectrum

    def slope(phi: str, q: float) -> Measure:
        return as_measure(derivative_law(phi, q))

    def jacobian(
        phi: str,
        depth: float,
        sigma_w: float | None = None,
        sigma_b: float | None = None,
        q_star: float | None = None,
    ) -> Measure:
        if depth != int(depth):
            raise ValueError(f"depth must be a whole number, but it is {depth:g}.")
        return as_measure(
            jacobian_spectrum(
                phi, depth=int(depth), sigma_w=sigma_w, sigma_b=sigma_b, q_star=q_star
            )
        )

    return {
        "slope": Named(
            slope, "slope(tanh, 0.7)", "phi'(h)^2 of an activation, h of variance 0.7", words=1
        ),
        "jacobian": Named(
            jacobian,
            "jacobian(tanh, 4, q_star=0.5)",
            "squared singular values of the Jacobian of 4 layers",
            words=1,
        ),
    }
