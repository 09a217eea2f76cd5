"""Random finite networks, run and measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chione.base import Array, checks
from chione.networks import MLP
from chione.simulation.dense import DenseWeights
from chione.simulation.inputs import check_inputs, input_pair
from chione.simulation.moments import Moments
from chione.simulation.observables import OBSERVABLES, Observable, mean_products, pairs
from chione.simulation.passes import Pass
from chione.simulation.result import SimulationResult
from chione.simulation.streams import entropy

DEFAULT_MEMORY = 200 * 2**20  # bytes for kept weights: 25 layers of 1000 x 1000 in float64


def simulate(
    network: MLP,
    inputs: Any = None,
    *,
    n_networks: int = 20,
    seed: int | None = 0,
    observe: Sequence[str] = ("lengths", "correlations", "gradients"),
    dtype: str = "float64",
    memory: int = DEFAULT_MEMORY,
    progress: Callable[[int, int], None] | None = None,
) -> SimulationResult:
    """Draw random networks, send inputs forward and errors backward, and average."""
    if not isinstance(network, MLP):
        raise TypeError(f"network must be an MLP, but it is a {type(network).__name__}.")
    count = checks.integer("n_networks", n_networks)
    chosen = _chosen(observe)
    start = entropy(seed)
    width = network.widths[0]
    x = input_pair(width, seed=start) if inputs is None else check_inputs(inputs, width)
    kind = np.dtype(checks.one_of("dtype", dtype, ("float32", "float64")))
    run = Pass(network, DenseWeights(network, dtype=kind, memory=memory), dtype=kind)
    moments: dict[str, Moments] = {}
    held = 0
    try:
        for index in range(count):
            for name, value in _measure(run, chosen, start, index, x.astype(kind)).items():
                moments.setdefault(name, Moments.empty(value.shape)).add(value)
            held += 1
            if progress is not None:
                progress(held, count)
    except KeyboardInterrupt:
        if held == 0:
            raise
    i, j = pairs(len(x))
    return SimulationResult(
        network=network,
        mean={name: m.mean for name, m in moments.items()},
        stderr={name: m.stderr for name, m in moments.items()},
        variance={name: m.variance for name, m in moments.items()},
        dims={o.name: ("layer", *o.dims) for o in chosen},
        pairs=tuple((int(a), int(b)) for a, b in zip(i, j, strict=True)),
        n_networks=held,
        requested=count,
        seed=start,
        sampler="dense",
        dtype=dtype,
        input_gram=mean_products(x),
    )


def _chosen(observe: Sequence[str]) -> tuple[Observable, ...]:
    names = (observe,) if isinstance(observe, str) else tuple(observe)
    if not names:
        raise ValueError(f"observe must name at least one of {', '.join(OBSERVABLES)}.")
    for name in names:
        checks.one_of("observe", name, tuple(OBSERVABLES))
    return tuple(OBSERVABLES[name] for name in dict.fromkeys(names))


def _measure(
    run: Pass, chosen: tuple[Observable, ...], seed: int, index: int, x: Any
) -> dict[str, Array]:
    forward = [o for o in chosen if not o.backward]
    backward = [o for o in chosen if o.backward]
    rows: dict[str, list[Array]] = {o.name: [] for o in chosen}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for shot in run.forward(seed, index, x):
            for o in forward:
                rows[o.name].append(o.measure(shot))
        if backward:
            for shot in run.backward():
                for o in backward:
                    rows[o.name].insert(0, o.measure(shot))
    return {name: np.array(values) for name, values in rows.items()}
