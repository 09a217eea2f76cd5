"""Dense weights that live on a device of PyTorch (optional)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from chione.base import MissingExtraError
from chione.networks import MLP
from chione.simulation.normals import FloatArray
from chione.simulation.seeding import Streams
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import draw, scale


class TorchWeights:
    """Products with explicit weights on a CPU or GPU of PyTorch.

    Gaussian and uniform weights are drawn on the device, the other laws by NumPy. Signals travel
    back to NumPy after each product: they are small beside the weights. Weights are not kept but
    drawn again for the backward pass, which a GPU does faster than memory could hold them.

    Parameters
    ----------
    network : MLP
        The description.
    dtype : dtype
        float32 or float64.
    device : str
        Name of the device, such as ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    MissingExtraError
        If PyTorch is not installed.
    ValueError
        If the device does not exist.
    """

    def __init__(self, network: MLP, *, dtype: np.dtype[Any], device: str) -> None:
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
        self._seed = self._network = 0

    def start(self, seed: int, network: int) -> None:
        """Turn to network number `network` of this seed."""
        self._seed, self._network = seed, network

    def start_together(self, streams: Streams) -> None:
        """Explicit weights are of one network at a time, which their drawing takes.

        Raises
        ------
        RuntimeError
            Always.
        """
        raise RuntimeError(
            f"explicit weights of {len(streams)} networks are not held side by side."
        )

    def forward(self, l: int, x: FloatArray) -> FloatArray:
        """W^l x of inputs in rows: (B, N_{l-1}) to (B, N_l); layers count from 1."""
        return self._product(l, x, self._matrix(l).T)

    def again(self, l: int) -> FloatArray:
        """Explicit weights do not repeat a product; the pass keeps the signals instead.

        Raises
        ------
        RuntimeError
            Always.
        """
        raise RuntimeError(f"layer {l}: passes over explicit weights must keep their signals.")

    def backward(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        """Transposed product (W^l)^T delta: (B, N_l) to (B, N_{l-1}); `x` is not needed here."""
        return self._product(l, delta, self._matrix(l))

    def _product(self, l: int, a: FloatArray, matrix: Any) -> FloatArray:
        left = self._torch.as_tensor(a * scale(self._layers[l - 1]), device=self._device)
        return np.asarray((left.to(self._kind) @ matrix).cpu().numpy(), self._dtype)

    def _matrix(self, l: int) -> Any:
        layer = self._layers[l - 1]
        rng = stream(self._seed, self._network, l, Purpose.WEIGHTS)
        shape = (layer.fan_out, layer.fan_in)
        if layer.weights not in ("gaussian", "uniform"):
            w = np.empty(shape, self._dtype)
            draw(layer, rng, w)
            return self._torch.as_tensor(w, device=self._device)
        self._generator.manual_seed(int(rng.integers(2**63)))
        out = self._torch.empty(shape, dtype=self._kind, device=self._device)
        if layer.weights == "gaussian":
            return out.normal_(generator=self._generator)
        return out.uniform_(-1.0, 1.0, generator=self._generator)
