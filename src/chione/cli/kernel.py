"""`chione kernel`: kernels of an activation, of two inputs over depth, of a file of inputs."""

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
    FiniteFloat,
    data_option,
    with_effort,
)
from chione.cli.progress import running

if TYPE_CHECKING:
    from chione import theory
    from chione.base import Array, Estimate
    from chione.networks import MLP
    from chione.theory import KernelLayers

_LARGEST_FILE = 1 << 30  # bytes of a file of inputs
_HEAD = ("layer", "K of an input", "K of the pair", "correlation", "NTK of an input",
         "NTK of the pair", "error")  # fmt: skip
_SHOWN = 60  # layers printed one by one
_CORRELATION = FiniteFloat(-1.0, 1.0)


@click.command()
@click.argument("activation", type=ACTIVATION)
@click.option("--q", type=NON_NEGATIVE, help="Mean square of the pre-activations. [default: 1.0]")
@click.option("--c", type=_CORRELATION, help="Their correlation. [default: 0.5]")
@click.option("--sigma-w", type=SIGMA, help="Weights ~ sigma_w^2 / fan_in: follow a network.")
@click.option("--sigma-b", type=SIGMA, default=0.0, show_default=True, help="Biases.")
@click.option("--depth", type=COUNT, default=10, show_default=True, help="Number of layers.")
@click.option("--q0", type=NON_NEGATIVE, help="Mean square of two inputs. [default: 1.0]")
@click.option("--c0", type=_CORRELATION, help="Their correlation. [default: 0.5]")
@click.option("--data", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Inputs, one in each row: .npy, .csv or .txt.")  # fmt: skip
@click.option("--settling", is_flag=True,
              help="Also the layers until both are within 1 % of where they settle.")  # fmt: skip
@data_option
@click.option("--figure", type=FIGURE, help="Draw the kernels of the network.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_effort
def command(
    activation: str,
    q: float | None,
    c: float | None,
    sigma_w: float | None,
    sigma_b: float,
    depth: int,
    q0: float | None,
    c0: float | None,
    data: Path | None,
    settling: bool,
    out: Path | None,
    figure: Path | None,
    as_json: bool,
) -> None:
    """Kernels: E phi phi and E phi' phi' of the activation, or NNGP and NTK of a network.

    Without --sigma-w those of the activation at --q and --c. With it those of an infinitely wide
    network: layer by layer for two inputs (--q0, --c0), or in the last layer for all pairs of the
    inputs in --data.

    \b
    Example: chione kernel gelu --q 1 --c 0.5
             chione kernel relu --sigma-w 1.4142 --depth 5 --c0 0.2
             chione kernel erf --sigma-w 1.5 --sigma-b 0.1 --depth 3 --data x.npy --out k.npz
    """
    if sigma_w is None:
        if data is not None or q0 is not None or c0 is not None:
            raise click.UsageError("--data, --q0 and --c0 describe inputs of a network; add "
                                   "--sigma-w.")  # fmt: skip
        if out is not None or figure is not None or settling:
            raise click.UsageError("--out, --figure and --settling are for a network; add "
                                   "--sigma-w.")  # fmt: skip
        _activation(activation, 1.0 if q is None else q, 0.5 if c is None else c, as_json)
        return
    if q is not None or c is not None:
        raise click.UsageError("--q and --c are for the activation alone; inputs of a network are "
                               "described by --q0 and --c0.")  # fmt: skip
    if data is not None and (q0 is not None or c0 is not None or settling):
        raise click.UsageError("--q0, --c0 and --settling are for two inputs; with --data leave "
                               "them out.")  # fmt: skip
    from chione import theory
    from chione.networks import MLP
    from chione.theory import KernelMatrix, kernel_layers, kernel_matrix

    network = MLP(activation, sigma_w, sigma_b, depth)
    parameters: dict[str, Any] = {"activation": activation, "sigma_w": sigma_w, "sigma_b": sigma_b,
                                  "depth": depth}  # fmt: skip
    found: KernelLayers | KernelMatrix
    rests = None
    if data is None:
        q0, c0 = 1.0 if q0 is None else q0, 0.5 if c0 is None else c0
        parameters |= {"q0": q0, "c0": c0}
        with running("kernels layer by layer"):
            found = kernel_layers(network, q0=(q0, q0), c0=c0)
        if settling:
            with running("layers until lengths and correlations settle"):
                rests = theory.settling(activation, sigma_w, sigma_b, q0=q0, c0=c0)
    else:
        inputs = read_inputs(data)
        parameters["data"] = str(data)
        with running(f"kernels of {len(inputs)} inputs"):
            found = kernel_matrix(network, inputs)
    if out is not None:
        save(out, found)
    if figure is not None:
        from chione.plotting import plot

        draw(figure, plot(found))
    if as_json:
        more = {} if rests is None else {"settling": rests.to_dict()}
        echo_json("kernel", parameters, {**found.to_dict(), **more})
    elif isinstance(found, KernelMatrix):
        _matrix(network, found)
    else:
        _layers(network, found)
        if rests is not None:
            click.echo()
            say(rests.sentence)


def read_inputs(path: Path) -> Array:
    """The matrix of a file, one input in each row.

    Raises
    ------
    ValueError
        If it holds no matrix of finite numbers, or is larger than a gigabyte.
    """
    import numpy as np

    suffix = path.suffix.lower()
    if suffix not in (".npy", ".csv", ".txt"):
        raise ValueError(f"{path} must end in .npy, .csv or .txt; numpy.save writes .npy.")
    if (size := path.stat().st_size) > _LARGEST_FILE:
        raise ValueError(
            f"{path} may have 1 GB, but it has {size / 1e9:.3g} GB; take fewer inputs."
        )
    try:
        if suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            values = np.loadtxt(path, delimiter="," if suffix == ".csv" else None, ndmin=2)
    except (ValueError, EOFError, UnicodeDecodeError) as err:
        raise ValueError(f"{path} must hold numbers, one input in each row: {err}") from err
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind not in "fiub":
        raise ValueError(
            f"{path} must hold a matrix of real numbers with one input in each row, but its shape "
            f"is {values.shape} and its type {values.dtype}."
        )
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite)) + 1
        raise ValueError(f"{path} must hold finite numbers, but row {row} does not.")
    return np.asarray(values, dtype=np.float64)


def _activation(name: str, q: float, c: float, as_json: bool) -> None:
    """Both expectations at one length and correlation."""
    from chione.base import text_table
    from chione.theory import derivative_kernel, kernel

    found = {"kernel": kernel(name, q, q, c), "derivative_kernel": derivative_kernel(name, q, q, c)}
    if as_json:
        result = {key: value.to_dict() for key, value in found.items()}
        echo_json("kernel", {"activation": name, "q": q, "c": c}, result)
        return
    click.echo(f"{name} at q = {q:g}, c = {c:g}")
    click.echo()
    words = ("E phi(u1) phi(u2)", "E phi'(u1) phi'(u2)")
    rows = [(w, *_number(e)) for w, e in zip(words, found.values(), strict=True)]
    click.echo(text_table(("", "value", "error"), rows, align="<>>"))


def _number(x: Estimate) -> tuple[str, str]:
    """Value and error of one number, or why it has none."""
    value, _, error = f"{x}".partition(" +- ")
    return value, error


def _layers(network: MLP, found: KernelLayers) -> None:
    import numpy as np

    from chione.base import text_table

    k, theta = np.asarray(found.nngp.value), np.asarray(found.ntk.value)
    error = np.fmax(found.nngp.error, np.nan_to_num(found.ntk.error)).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        c = k[:, 1] / np.sqrt(k[:, 0] * k[:, 2])
    rows = []
    for i in range(len(k)):
        numbers = (k[i, 0], k[i, 1], c[i], theta[i, 0], theta[i, 1])
        rows.append((str(i + 1), *(_cell(x) for x in numbers), f"{error[i]:.0e}"))
    click.echo(_title(network))
    click.echo()
    shown = rows if len(rows) <= _SHOWN else [*rows[: _SHOWN - 1], rows[-1]]
    click.echo(text_table(_HEAD, shown, align=">>>>>>>"))
    if len(rows) > len(shown):
        say(f"Layers {_SHOWN} to {len(rows) - 1} are left out; --out and --json have all of them.")
    if not np.isfinite(theta).all():
        say("The tangent kernel is missing where it does not exist (the activation jumps) or "
            "leaves the range of numbers.")  # fmt: skip


def _matrix(network: MLP, found: theory.KernelMatrix) -> None:
    import numpy as np

    from chione.base import text_table

    rows = []
    for name, kernel in (("NNGP", found.nngp), ("NTK", found.ntk)):
        value = np.asarray(kernel.value)
        if not np.isfinite(value).any():
            rows.append((name, "-", "-", "-", "-"))
            continue
        same = np.diag(value)
        apart = value[~np.eye(len(value), dtype=bool)]
        between = f"{apart.min():.8g} to {apart.max():.8g}" if apart.size else "-"
        condition = np.linalg.cond(value) if len(value) <= 2000 else np.nan
        rows.append((name, f"{same.min():.8g} to {same.max():.8g}", between,
                     _cell(condition), f"{np.max(kernel.error):.0e}"))  # fmt: skip
    n = len(np.asarray(found.nngp.value))
    click.echo(f"{_title(network)}, {n} inputs")
    click.echo()
    head = ("kernel of the last layer", "of an input", "of two inputs", "condition", "error")
    click.echo(text_table(head, rows, align="<>>>>"))
    if not np.isfinite(np.asarray(found.ntk.value)).any():
        say(f"{network.activation.name} jumps: its tangent kernel does not exist.")


def _title(network: MLP) -> str:
    return (
        f"{network.activation.name}, sigma_w = {network.sigma_w:g}, sigma_b = {network.sigma_b:g}, "
        f"{network.depth} layers, infinite width"
    )


def _cell(x: float) -> str:
    return f"{x:.8g}" if abs(x) < float("inf") else "-"
