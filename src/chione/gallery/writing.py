"""Files of an entry: picture (png and svg), data (npz, or nc as well), caption."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np

from chione.base import write_text, write_whole
from chione.gallery.entry import Entry, Reproduction
from chione.plotting import save


def caption_text(entry: Entry, made: Reproduction) -> str:
    """The caption with its source and the checks, as plain text."""
    head = f"{entry.title}\n{entry.source}\n\n{entry.caption}\n\nChecks:\n"
    return head + "".join(f"- {c.sentence}\n" for c in made.checks)


def write(entry: Entry, made: Reproduction, folder: Path) -> tuple[Path, ...]:
    """Write ``NAME.png``, ``.svg``, ``.npz``, ``.txt``, and ``.nc`` where xarray is installed.

    Parameters
    ----------
    entry : Entry
        The entry.
    made : Reproduction
        What it made.
    folder : Path
        An existing folder.

    Returns
    -------
    tuple of Path
        The files, of equal bytes in every run. Each is whole or not there.
    """
    stem = folder / entry.name
    paths = [stem.with_suffix(s) for s in (".png", ".svg", ".npz", ".txt")]
    save(made.figure, paths[0])
    save(made.figure, paths[1])
    write_whole(paths[2], partial(_write_npz, made))
    write_text(paths[3], caption_text(entry, made))
    if importlib.util.find_spec("xarray"):
        paths.append(stem.with_suffix(".nc"))
        write_whole(paths[-1], partial(_write_netcdf, made, entry))
    return tuple(paths)


def _write_npz(made: Reproduction, path: Path) -> None:
    np.savez(path, **{name: v.values for name, v in made.data.items()})  # type: ignore[arg-type]


def _write_netcdf(made: Reproduction, entry: Entry, path: Path) -> None:
    import xarray

    data = {n: (v.dims, v.values, {"long_name": v.words}) for n, v in made.data.items()}
    attributes = {"title": entry.title, "source": entry.source}
    # NetCDF 3 through SciPy: readable everywhere, and no HDF5 library is needed
    xarray.Dataset(data, attrs=attributes).to_netcdf(path, engine="scipy")
