"""Normalisations, of torch and made at home."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import torch

from chione.networks import AbstractLayer, Norm, Shape
from chione.torch.layers.dense import Look, taken
from chione.torch.layers.tensors import Affine, root_mean_square


@final
@dataclass(frozen=True)
class Frozen(AbstractLayer, word="frozen norm"):
    r"""Batch norm in evaluation: :math:`y = a x + b` with constants a channel.

    Parameters
    ----------
    factor, bias : float
        Roots of the mean squares of a and b.
    """

    factor: float = 1.0
    bias: float = 0.0

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape


@final
@dataclass(frozen=True)
class InstanceNorm(AbstractLayer, word="instance norm"):
    """Statistics over the positions of each channel of each input; theory has no rule."""

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape


AnyNorm = (Norm, Frozen, InstanceNorm)
_ARGUMENTS = {
    "layer_norm": ("input", "normalized_shape", "weight", "bias", "eps"),
    "rms_norm": ("input", "normalized_shape", "weight", "eps"),
    "batch_norm": (
        "input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps",
    ),
    "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    "instance_norm": (
        "input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum",
        "eps",
    ),
}  # fmt: skip


def norm_call(
    name: str, args: tuple[Any, ...], kwargs: Any, seen: Look
) -> tuple[torch.Tensor, AbstractLayer, Affine, str]:
    """The input, the layer, its tensors, and the name of the operation for the reader."""
    values = dict(zip(_ARGUMENTS[name], taken(args, kwargs, _ARGUMENTS[name]), strict=True))
    eps = 1e-5 if values.get("eps") is None else float(values["eps"])
    gain, shift = values.get("weight"), values.get("bias")
    owner = None if gain is None else seen(gain)
    tensors = Affine(gain, shift, owner and owner[0])
    layer: AbstractLayer
    if name == "instance_norm":
        layer = InstanceNorm()
    elif name == "batch_norm" and not values.get("training"):
        # each channel has a factor of its own: their mean square counts
        frozen = (1.0 / (values["running_var"].detach() + eps)).mean()
        factor = root_mean_square(gain, 1.0) * math.sqrt(max(float(frozen), 0.0))
        return (
            values["input"],
            Frozen(factor, root_mean_square(shift, 0.0)),
            tensors,
            ("frozen batch_norm"),
        )
    else:
        form = {"layer_norm": "layer", "rms_norm": "rms", "batch_norm": "batch"}.get(name, "group")
        if form in ("layer", "rms") and _axes(values["normalized_shape"]) > 1:
            form = "group" if form == "layer" else "rms"  # over positions as well
        groups = int(values.get("num_groups") or 1) if name == "group_norm" else 1
        layer = normed(form, tensors, eps, groups)
    return values["input"], layer, tensors, name


def normed(form: Any, tensors: Affine, eps: float, groups: int = 1) -> Norm:
    """A norm with the mean squares of its gain and shift."""
    gain, shift = root_mean_square(tensors.gain, 1.0), root_mean_square(tensors.shift, 0.0)
    return Norm(form, gain, shift, max(eps, 0.0), groups)


def uses_batch(layer: AbstractLayer | None) -> bool:
    """Whether the statistics run over the batch, which couples the inputs."""
    return isinstance(layer, Norm) and layer.form == "batch"


def _axes(shape: Any) -> int:
    return 1 if isinstance(shape, int) else len(tuple(shape))
