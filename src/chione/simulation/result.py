"""What a simulation returns: means and standard errors over random networks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import AbstractResult, Array, Status, plain, result
from chione.base.labels import Labelled
from chione.networks import MLP

COLUMNS = ("observable", "layer", "index", "mean", "stderr", "n_networks", "status")


def few_networks(n_networks: int, requested: int) -> list[str]:
    """Sentences about a run that was interrupted, or too short for standard errors."""
    out = []
    if n_networks < requested:
        out.append(f"Interrupted: the means hold {n_networks} of {requested} networks.")
    if n_networks < 2:
        out.append("A single network has no standard error; use n_networks of 2 or more.")
    return out


@result
class SimulationResult(AbstractResult):
    r"""Means over random networks of what was observed, layer by layer.

    Parameters
    ----------
    network : MLP
        The network that was drawn again and again.
    mean : mapping of str to ndarray
        For each observable the mean over networks. The first axis is the layer, 1 to L, unless
        ``dims`` says otherwise; ``mean["lengths"]`` has shape (L, number of inputs).
    stderr : mapping of str to ndarray
        Standard errors of these means; NaN where a single network was run.
    variance : mapping of str to ndarray
        Unbiased variances over networks.
    dims : mapping of str to tuple of str
        Names of the axes of each observable.
    pairs : tuple of (int, int)
        The pairs of inputs along the axis ``pair``.
    n_networks : int
        Number of networks that the means hold.
    requested : int
        Number of networks that was asked for; larger after an interrupt.
    seed : int
        Seed with which the same numbers come out again.
    sampler : str
        ``"dense"``, ``"dense-torch"`` or ``"matrix-free"``.
    dtype : str
        Precision of the passes.
    input_gram : ndarray, shape (B, B)
        Mean products of the inputs.
    edges : mapping of str to ndarray
        Edges of the bins of histograms, shape (L, bins + 1).
    """

    network: MLP
    mean: Mapping[str, Array]
    stderr: Mapping[str, Array]
    variance: Mapping[str, Array]
    dims: Mapping[str, tuple[str, ...]]
    pairs: tuple[tuple[int, int], ...]
    n_networks: int
    requested: int
    seed: int
    sampler: str
    dtype: str
    input_gram: Array
    edges: Mapping[str, Array] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether fewer networks were run than asked for."""
        return self.n_networks < self.requested

    @property
    def layers(self) -> NDArray[np.intp]:
        """The layer numbers 1 to L."""
        return np.arange(1, self.network.depth + 1)

    @property
    def observables(self) -> tuple[str, ...]:
        """Names of what was observed."""
        return tuple(self.mean)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what limits the numbers; empty if nothing does."""
        out = few_networks(self.n_networks, self.requested)
        for name, mean in self.mean.items():
            bad = ~np.isfinite(mean)
            if bad.any() and self.dims[name][:1] == ("layer",):
                touched = np.flatnonzero(bad.reshape(len(mean), -1).any(axis=1)) + 1
                place = f"in layers {touched[0]} to {touched[-1]}"
            else:
                place = "for the network"
            if bad.any():
                out.append(f"{name}: not finite {place}; the signal overflowed or died there.")
        return tuple(out)

    def parameters(self) -> dict[str, Any]:
        """What the numbers belong to, as plain JSON types."""
        net = self.network
        return {
            "activation": net.activation.name,
            "sigma_w": net.sigma_w,
            "sigma_b": net.sigma_b,
            "depth": net.depth,
            "widths": list(net.widths),
            "weights": net.weights,
            "n_networks": self.n_networks,
            "requested": self.requested,
            "seed": self.seed,
            "sampler": self.sampler,
            "dtype": self.dtype,
        }

    def _parts(self) -> dict[str, Any]:
        """Everything as plain JSON types; non-finite numbers become None."""
        return {
            **self.parameters(),
            "interrupted": self.interrupted,
            "warnings": list(self.warnings),
            "pairs": [list(p) for p in self.pairs],
            "observables": {
                name: {
                    "dims": list(self.dims[name]),
                    "mean": plain(self.mean[name]),
                    "stderr": plain(self.stderr[name]),
                }
                for name in self.mean
            },
        }

    def _labelled(self) -> Labelled:
        """Variables ``NAME`` and ``NAME_stderr`` with their axes."""
        variables: dict[str, Any] = {}
        for name, mean in self.mean.items():
            variables[name] = (self.dims[name], mean)
            variables[f"{name}_stderr"] = (self.dims[name], self.stderr[name])
        for name, edges in self.edges.items():
            variables[f"{name}_edges"] = (("layer", "bin_edge"), edges)
        used = {d for dims, _ in variables.values() for d in dims}
        coordinates: dict[str, Any] = {}
        if "layer" in used:
            coordinates["layer"] = self.layers
        if "pair" in used:
            coordinates["pair"] = [f"{i}-{j}" for i, j in self.pairs]
        attributes = {
            key: json.dumps(v) if isinstance(v, list) else v for key, v in self.parameters().items()
        }
        return Labelled(variables, coordinates, attributes)

    def _table(self) -> tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]:
        """One row a number: observable, layer, index, mean, stderr, n_networks, status."""
        return COLUMNS, list(self._rows())

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        for name, mean in self.mean.items():
            layered = self.dims[name][:1] == ("layer",)
            for place in product(*(range(n) for n in mean.shape)):
                layer = place[0] + 1 if layered else ""
                rest = " ".join(map(str, place[1:] if layered else place))
                value, error = float(mean[place]), float(self.stderr[name][place])
                status = Status.OK if math.isfinite(value) else Status.OVERFLOW
                yield name, layer, rest, value, error, self.n_networks, status.word

    def _extra_arrays(self) -> dict[str, Any]:
        """The axes of each observable and the parameters, for readers of the .npz alone."""
        out: dict[str, Any] = {"parameters": np.array(json.dumps(self.parameters()))}
        out["pairs"] = np.array(self.pairs, np.int64).reshape(-1, 2)
        return out | {f"{name}_dims": np.array(dims) for name, dims in self.dims.items()}

    def __repr__(self) -> str:
        net = self.network
        return (
            f"<SimulationResult: {self.n_networks} networks of {net.activation.name}, depth "
            f"{net.depth}, sigma_w={net.sigma_w:g}, sigma_b={net.sigma_b:g}; "
            f"{', '.join(self.mean)}>"
        )
