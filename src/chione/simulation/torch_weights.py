"""Dense weights that live on a device of PyTorch (optional)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from chione.base import MissingExtraError
from chione.networks import MLP
from chione.simulation import torch_normals
from chione.simulation.explicit import ExplicitWeights
from chione.simulation.normals import FloatArray
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import draw, scale


class TorchWeights(ExplicitWeights):
    """Products with explicit weights on a CPU or GPU of PyTorch.

    Gaussian and uniform weights are drawn on the device, the other laws by NumPy. Signals travel
    back to NumPy after each product: they are small beside the weights. On a CPU the matrices of
    the last layers are kept while they fit into `memory`; all others are drawn again for the
    backward pass, which a GPU does faster than memory could hold them.

    Parameters
    ----------
    network : MLP
        The description.
    dtype : dtype
        float32 or float64.
    device : str
        Name of the device, such as ``"cpu"`` or ``"cuda"``.
    memory : int
        Bytes for weights that are kept.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    ValueError
        If the device does not exist.
    """

    def __init__(self, network: MLP, *, dtype: np.dtype[Any], device: str, memory: int) -> None:
        try:
            self._torch: Any = import_module("torch")
        except ImportError as err:
            raise MissingExtraError("torch", "torch", "backend='torch'") from err
        try:
            self._device = self._torch.device(device)
            self._generator = self._torch.Generator(self._device)
        except RuntimeError as err:
            raise ValueError(
                f"device must be one that PyTorch has here, but it is {device!r}; use 'cpu'."
            ) from err
        self._layers = network.matrices
        self._dtype = dtype
        self._kind = getattr(self._torch, str(dtype))
        self._buffers: dict[int, Any] = {}  # made once, for all networks
        self._held: set[int] = set()  # the layers that are drawn in them
        if self._device.type == "cpu":
            self._make_buffers(memory)
        self._seed = self._network = 0

    def _make_buffers(self, memory: int) -> None:
        sizes = [layer.fan_in * layer.fan_out * self._dtype.itemsize for layer in self._layers]
        left = memory - max(sizes)  # of one that is not kept
        for l in range(len(sizes), 0, -1):
            left -= sizes[l - 1]
            if left < 0:
                break
            self._buffers[l] = self._empty(l)

    def start(self, seed: int, network: int) -> None:
        """Turn to network number `network` of this seed."""
        self._seed, self._network = seed, network
        self._held = set()

    def forward(self, l: int, x: FloatArray) -> FloatArray:
        """W^l x of inputs in rows: (B, N_{l-1}) to (B, N_l); layers count from 1."""
        return self._product(l, x, self._matrix(l).T)

    def backward(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        """Transposed product (W^l)^T delta: (B, N_l) to (B, N_{l-1}); `x` is not needed here."""
        return self._product(l, delta, self._matrix(l))

    def _product(self, l: int, a: FloatArray, matrix: Any) -> FloatArray:
        left = self._torch.as_tensor(a * scale(self._layers[l - 1]), device=self._device)
        return np.asarray((left.to(self._kind) @ matrix).cpu().numpy(), self._dtype)

    def _empty(self, l: int) -> Any:
        layer = self._layers[l - 1]
        shape = (layer.fan_out, layer.fan_in)
        return self._torch.empty(shape, dtype=self._kind, device=self._device)

    def _matrix(self, l: int) -> Any:
        if l not in self._buffers:
            return self._draw(l, self._empty(l))
        if l not in self._held:
            self._draw(l, self._buffers[l])
            self._held.add(l)
        return self._buffers[l]

    def _draw(self, l: int, out: Any) -> Any:
        layer = self._layers[l - 1]
        rng = stream(self._seed, self._network, l, Purpose.WEIGHTS)
        if layer.weights not in ("gaussian", "uniform"):
            w = np.empty((layer.fan_out, layer.fan_in), self._dtype)
            draw(layer, rng, w)
            return out.copy_(self._torch.as_tensor(w))
        self._generator.manual_seed(int(rng.integers(2**63)))
        if layer.weights == "gaussian":
            torch_normals.fill(self._torch, out, self._generator)
            return out
        return out.uniform_(-1.0, 1.0, generator=self._generator)
