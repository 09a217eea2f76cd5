"""One network for each of many seeds, each with its own numbers instead of their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chione.base import Array
from chione.base.engines.blas import one_thread
from chione.networks import MLP
from chione.simulation import costs, samplers
from chione.simulation.inputs import check_inputs
from chione.simulation.measuring import Measuring, Plan
from chione.simulation.observables import OBSERVABLES
from chione.simulation.streams import Draw, entropy


def measure_each(
    network: MLP, inputs: Array, seeds: Sequence[int], observe: Sequence[str], *, memory: int
) -> dict[str, Array]:
    """What the first network of each seed gives, the numbers of ``simulate(n_networks=1)``.

    Parameters
    ----------
    network : MLP
        The network.
    inputs : ndarray, shape (B, N_0)
        The inputs, the same for all.
    seeds : sequence of int
        The seeds.
    observe : sequence of str
        Names of observables.
    memory : int
        Bytes for weights and signals that are kept between the passes.

    Returns
    -------
    dict of str to ndarray, shape (len(seeds), L, ...)
        For each observable its values in all layers of each network.

    Raises
    ------
    CostError
        If it would take more than is allowed; nothing has begun then.
    """
    x = check_inputs(inputs, costs.first_width(network))
    layered = tuple(OBSERVABLES[name] for name in observe)
    sampler = samplers.choose("auto", "numpy", network, len(x))
    costs.check_simulation(
        network,
        inputs=len(x),
        networks=len(seeds),
        observed=len(layered),
        sampler=sampler,
        backward=any(o.backward for o in layered),
        memory=memory,
    )
    plan = Plan(network, x, 0, tuple(observe), layered, (), sampler, x.dtype, 0, "cpu")
    with one_thread():
        rows = Measuring(plan, memory, {})([Draw(entropy(seed), 0) for seed in seeds])
    return {name: np.array([row[name] for row in rows]) for name in observe}
