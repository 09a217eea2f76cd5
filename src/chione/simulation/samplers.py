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
_CACHED = 1 << 16  # bytes of one layer's signals in networks side by side
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
        kept = TorchWeights(network, dtype=dtype, device=device, memory=memory)
        return Pass(network, kept, dtype=dtype)
    signals = _signals(network, n_inputs, dtype)
    weights = SampledWeights(network, dtype=dtype, keep=3 * signals <= 2 * memory)
    return Pass(network, weights, dtype=dtype, keep=signals <= memory)


def together(network: MLP, sampler: str, n_inputs: int, dtype: np.dtype[Any], memory: int) -> int:
    """How many networks run side by side: few units each, and signals that fit into `memory`."""
    if sampler != "matrix-free":
        return 1
    cached = _CACHED // (n_inputs * max(network.widths) * dtype.itemsize)
    kept = 2 * memory // (3 * _signals(network, n_inputs, dtype))
    return max(1, min(cached, kept))


def _signals(network: MLP, n_inputs: int, dtype: np.dtype[Any]) -> int:
    """Bytes of h and x in all layers of one network; the noise behind h is half as much."""
    return 2 * n_inputs * sum(network.widths[1:]) * dtype.itemsize
