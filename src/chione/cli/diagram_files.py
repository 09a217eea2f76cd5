"""A phase diagram as a file of data: .npz, .csv or .nc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import chione
from chione.base import MissingExtraError, Status, write_whole
from chione.theory import CriticalLine, PhaseDiagram

FIELDS = ("q_star", "chi_parallel", "chi_perp", "c_star", "one_minus_c_star", "xi_q", "xi_c")


def write_diagram(path: Path, diagram: PhaseDiagram, line: CriticalLine, name: str) -> None:
    """Write all fields and the critical line; the ending chooses the format.

    ``.npz`` holds arrays of shape (rows, columns) = (sigma_b, sigma_w) and the line as
    ``line_sigma_w``, ``line_sigma_b``, ``line_q``, errors as ``NAME_error``; ``.nc`` the same as
    a labelled dataset;
    ``.csv`` one row for each cell, without the line.

    Raises
    ------
    MissingExtraError
        For ``.nc`` without the extra ``data``.
    """
    writers = {".npz": _npz, ".csv": _csv, ".nc": _nc}
    write = writers[path.suffix.lower()]
    write_whole(path, lambda part: write(part, diagram, line, name))


def _fields(diagram: PhaseDiagram) -> dict[str, Any]:
    values = {name: np.asarray(getattr(diagram, name)) for name in FIELDS}
    errors = {f"{name}_error": diagram.errors[name].astype(np.float64) for name in FIELDS}
    return {**values, **errors}


def _npz(path: Path, diagram: PhaseDiagram, line: CriticalLine, name: str) -> None:
    np.savez_compressed(
        path,
        activation=np.array(name),
        version=np.array(chione.__version__),
        sigma_w=diagram.sigma_w,
        sigma_b=diagram.sigma_b,
        phase=diagram.phase,
        status=diagram.status,
        line_sigma_w=line.sigma_w,
        line_sigma_b=line.sigma_b,
        line_q=line.q,
        **_fields(diagram),
    )


def _csv(path: Path, diagram: PhaseDiagram, line: CriticalLine, name: str) -> None:
    """Numbers with 17 digits, so that they come back unchanged; missing ones are empty."""
    fields = _fields(diagram)
    with path.open("w", encoding="utf-8") as out:
        out.write(f"# chione {chione.__version__}, phase diagram of {name}\n")
        out.write(",".join(("sigma_w", "sigma_b", "phase", "status", *fields)) + "\n")
        for i, b in enumerate(diagram.sigma_b):
            for j, w in enumerate(diagram.sigma_w):
                numbers = (fields[f][i, j] for f in fields)
                cells = ("" if np.isnan(x) else repr(float(x)) for x in numbers)
                words = f"{diagram.phase[i, j]},{Status(int(diagram.status[i, j])).word}"
                out.write(f"{float(w)!r},{float(b)!r},{words},{','.join(cells)}\n")


def _nc(path: Path, diagram: PhaseDiagram, line: CriticalLine, name: str) -> None:
    try:
        import xarray
    except ImportError:
        raise MissingExtraError("xarray", "data", "Writing .nc") from None
    axes = ("sigma_b", "sigma_w")
    variables: dict[str, Any] = {f: (axes, x) for f, x in _fields(diagram).items()}
    variables["status"] = (axes, np.asarray(diagram.status))
    variables["phase"] = (axes, np.asarray(diagram.phase).astype(str))
    for field, values in (("sigma_w", line.sigma_w), ("sigma_b", line.sigma_b), ("q", line.q)):
        variables[f"line_{field}"] = ("line", np.asarray(values))
    xarray.Dataset(
        variables,
        coords={"sigma_w": diagram.sigma_w, "sigma_b": diagram.sigma_b},
        attrs={"activation": name, "chione_version": chione.__version__},
    ).to_netcdf(path, engine="scipy")  # NetCDF 3: no further package
