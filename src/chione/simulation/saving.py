"""Results as files, each of them whole or not there."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.base import MissingExtraError, write_whole

if TYPE_CHECKING:
    from chione.simulation.result import SimulationResult

ENDINGS = (".npz", ".csv", ".nc")


def save(result: SimulationResult, path: Path) -> Path:
    """Write the result in the format that the ending of `path` names."""
    writers: dict[str, Callable[[SimulationResult, Path], None]] = {
        ".npz": _write_npz,
        ".csv": _write_csv,
        ".nc": _write_netcdf,
    }
    ending = path.suffix.lower()
    if ending not in writers:
        raise ValueError(
            f"path must end in {', '.join(ENDINGS)}, but it is {str(path)!r}; choose one of these."
        )
    return write_whole(path, partial(writers[ending], result))


def _write_npz(result: SimulationResult, path: Path) -> None:
    arrays: dict[str, Any] = {"parameters": np.array(json.dumps(result.parameters()))}
    arrays["pairs"] = np.array(result.pairs, np.int64).reshape(-1, 2)
    arrays["input_gram"] = result.input_gram
    for name, mean in result.mean.items():
        arrays[name] = mean
        arrays[f"{name}_stderr"] = result.stderr[name]
        arrays[f"{name}_dims"] = np.array(result.dims[name])
    for name, edges in result.edges.items():
        arrays[f"{name}_edges"] = edges
    with path.open("wb") as f:
        np.savez_compressed(f, allow_pickle=False, **arrays)


def _write_csv(result: SimulationResult, path: Path) -> None:
    with path.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["observable", "layer", "index", "mean", "stderr", "n_networks"])
        writer.writerows(_rows(result))


def _rows(result: SimulationResult) -> Iterator[list[Any]]:
    for name, mean in result.mean.items():
        layered = result.dims[name][:1] == ("layer",)
        for place in product(*(range(n) for n in mean.shape)):
            layer = place[0] + 1 if layered else ""
            rest = " ".join(map(str, place[1:] if layered else place))
            numbers = (repr(float(mean[place])), repr(float(result.stderr[name][place])))
            yield [name, layer, rest, *numbers, result.n_networks]


def _write_netcdf(result: SimulationResult, path: Path) -> None:
    # NetCDF 3 through SciPy: readable everywhere, and no HDF5 library is needed
    dataset(result).to_netcdf(path, engine="scipy")


def dataset(result: SimulationResult) -> Any:
    """The result as an :class:`xarray.Dataset`."""
    try:
        import xarray
    except ImportError as err:
        raise MissingExtraError("xarray", "data", "a labelled dataset") from err
    variables: dict[str, Any] = {}
    for name, mean in result.mean.items():
        variables[name] = (result.dims[name], mean)
        variables[f"{name}_stderr"] = (result.dims[name], result.stderr[name])
    for name, edges in result.edges.items():
        variables[f"{name}_edges"] = (("layer", "bin_edge"), edges)
    used = {d for dims, _ in variables.values() for d in dims}
    coordinates: dict[str, Any] = {}
    if "layer" in used:
        coordinates["layer"] = result.layers
    if "pair" in used:
        coordinates["pair"] = [f"{i}-{j}" for i, j in result.pairs]
    attributes = {
        key: json.dumps(v) if isinstance(v, list) else v for key, v in result.parameters().items()
    }
    return xarray.Dataset(variables, coords=coordinates, attrs=attributes)
