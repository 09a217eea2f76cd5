"""`chione hermite`: the Hermite coefficients of an activation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.output import draw, echo_json, save, say
from chione.cli.parameters import ACTIVATION, FIGURE, FiniteFloat, Whole, data_option, with_effort
from chione.cli.progress import running

if TYPE_CHECKING:
    from chione.gaussian import HermiteExpansion

_HEAD = ("order k", "c_k", "error", "share of E phi^2", "up to here")
_SMALLEST, _LARGEST = 1e-200, 1e200  # of q: squares must stay in the range of float64
_MOST_ROWS = 60  # of the printed table; a file has all


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option("--q", type=FiniteFloat(_SMALLEST, _LARGEST), default=1.0, show_default=True,
              help="Mean square of the pre-activations.")  # fmt: skip
@click.option("--order", type=Whole(0), default=10, show_default=True,
              help="Largest order k.")  # fmt: skip
@data_option
@click.option("--figure", type=FIGURE, help="Draw the coefficients and what each order holds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
@with_effort
def command(
    ctx: click.Context,
    activation: str,
    q: float,
    order: int,
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Expand phi(sqrt(q) z) in orthonormal Hermite polynomials he_k(z), z ~ N(0, 1).

    The squares of the coefficients are what each order holds of E phi^2, and the kernel of two
    inputs of correlation c is the sum of c_k^2 c^k.

    \b
    Example: chione hermite gelu --q 1 --order 12
    """
    import numpy as np

    from chione.activations import activation as named
    from chione.gaussian import hermite_expansion

    phi = named(activation)
    with running("Hermite coefficients"):
        found = hermite_expansion(phi.value, q, order + 1, breakpoints=phi.kinks)
    if not np.all(np.isfinite(found.coefficients)):
        status = found.tail.status.word
        click.echo(
            f"Error: {phi.name} has no Hermite expansion at q = {q:g}, since E phi^2 has no value "
            f"there ({status}); try a smaller q.",
            err=True,
        )
        ctx.exit(1)
    if out is not None:
        save(out, found)
    if figure is not None:
        from chione.plotting import plot

        draw(figure, plot(found))
    if as_json:
        parameters = {"activation": activation, "q": q, "order": order}
        echo_json("hermite", parameters, {**found.to_dict(), **_sums(found)})
    else:
        _print(phi.name, found)


def _sums(found: HermiteExpansion) -> dict[str, Any]:
    """The mean square, and what each order holds of it."""
    power = found.coefficients**2
    total = float(power.sum()) + float(found.tail.value)
    return {
        "second_moment": total,
        "shares": (power / total if total > 0.0 else 0.0 * power).tolist(),
    }


def _print(name: str, found: HermiteExpansion) -> None:
    from chione.base import text_table

    sums, held, rows = _sums(found), 0.0, []
    for k, share in enumerate(sums["shares"]):
        held += share
        c = float(found.coefficients[k])
        value = f"{c:.12g}" if abs(c) > found.error[k] else "0"
        rows.append((str(k), value, f"{found.error[k]:.1g}", f"{share:.4%}", f"{held:.4%}"))
    click.echo(f"{name}: phi(sqrt(q) z) in orthonormal Hermite polynomials, q = {found.q:g}")
    click.echo()
    click.echo(text_table(_HEAD, rows[:_MOST_ROWS], align=">>>>>"))
    if len(rows) > _MOST_ROWS:
        click.echo(f"... up to k = {len(rows) - 1}; --out and --json have all of them")
    click.echo()
    tail = found.tail
    rest = f"{tail} of it" if tail.value > tail.error else f"nothing beyond {tail.error:.1g} of it"
    say(f"E phi^2 = {sums['second_moment']:.12g}. Orders above {len(rows) - 1} hold {rest}.")
    exponent = _first(found)
    if exponent is not None and exponent != 1:
        say(f"The first order above 0 that does not vanish is {exponent}.")


def _first(found: HermiteExpansion) -> int | None:
    """The information exponent: the first order above 0 with a coefficient beyond its error."""
    seen = [k for k in range(1, len(found)) if abs(found.coefficients[k]) > found.error[k]]
    return seen[0] if seen else None
