"""Which weights a simulation uses: explicit, explicit on a device, or sampled without matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import checks
from chione.networks import MLP
from chione.simulation.costs import first_width, widths_given
from chione.simulation.dense import DenseWeights
from chione.simulation.matrix_free import LAWS, SampledWeights
from chione.simulation.passes import Pass
from chione.simulation.torch_weights import TorchWeights

SAMPLERS = ("auto", "dense", "matrix-free")
_UNITS_PER_INPUT = 8  # below that the small matrices of the sampler are not small


def choose(sampler: str, backend: str, network: MLP, n_inputs: int, device: str = "cpu") -> str:
    """The word for what will run: ``dense``, ``dense-torch`` or ``matrix-free``.

    Raises
    ------
    ValueError
        If a word is unknown or the combination does not exist.
    """
    checks.one_of("sampler", sampler, SAMPLERS)
    checks.one_of("backend", backend, ("numpy", "torch"))
    if backend == "torch":
        if sampler == "matrix-free":
            raise ValueError(
                "backend 'torch' multiplies dense weights only; use sampler='dense' with it, "
                "or backend='numpy'."
            )
        return "dense-torch"
    if device != "cpu":
        raise ValueError(
            f"backend 'numpy' runs on the CPU, but device is {device!r}; "
            "use backend='torch' with it, or leave device out."
        )
    narrowest = min(min(widths_given(network)), first_width(network))
    wide = narrowest >= _UNITS_PER_INPUT * n_inputs
    if sampler == "auto":
        return "matrix-free" if network.weights in LAWS and wide else "dense"
    return sampler


def make_pass(
    network: MLP, sampler: str, n_inputs: int, dtype: np.dtype[Any], memory: int, device: str
) -> Pass:
    """A pass with weights of its own, within `memory` bytes where that is possible."""
    if sampler == "dense":
        return Pass(network, DenseWeights(network, dtype=dtype, memory=memory), dtype=dtype)
    if sampler == "dense-torch":
        return Pass(network, TorchWeights(network, dtype=dtype, device=device), dtype=dtype)
    signals = 2 * n_inputs * sum(network.widths[1:]) * dtype.itemsize
    keep = signals <= memory
    return Pass(network, SampledWeights(network, dtype=dtype), dtype=dtype, keep=keep)
