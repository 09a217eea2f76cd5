"""A simulation with named axes: as arrays, as a table, as a dataset."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.base import Status
from chione.base.labels import Labelled

if TYPE_CHECKING:
    from chione.simulation.result import SimulationResult

COLUMNS = ("observable", "layer", "index", "mean", "stderr", "n_networks", "status")


def legend(result: SimulationResult) -> dict[str, Any]:
    """What a reader of the arrays needs besides them: parameters, pairs, names of the axes."""
    out: dict[str, Any] = {"parameters": np.array(json.dumps(result.parameters()))}
    out["pairs"] = np.array(result.pairs, np.int64).reshape(-1, 2)
    return out | {f"{name}_dims": np.array(dims) for name, dims in result.dims.items()}


def table(result: SimulationResult) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Columns and rows, one row a number."""
    return COLUMNS, list(_rows(result))


def _rows(result: SimulationResult) -> Iterator[tuple[Any, ...]]:
    for name, mean in result.mean.items():
        layered = result.dims[name][:1] == ("layer",)
        for place in product(*(range(n) for n in mean.shape)):
            layer = place[0] + 1 if layered else ""
            rest = " ".join(map(str, place[1:] if layered else place))
            value, error = float(mean[place]), float(result.stderr[name][place])
            status = Status.OK if math.isfinite(value) else Status.OVERFLOW
            yield name, layer, rest, value, error, result.n_networks, status.word


def labelled(result: SimulationResult) -> Labelled:
    """The observables with their axes, coordinates of layers and pairs, parameters."""
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
    return Labelled(variables, coordinates, attributes)
