"""Declarations of well-known recipes: gpt2, llama, nanogpt, and what PyTorch's modules draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from chione.base import SpecError
from chione.torch.audits.entries import Entry

_PLAIN = "normal(0, initializer_range)"
_DEEP = "normal(0, initializer_range/sqrt(2*n_layer))"
_NORMS = {
    "*norm*.weight": "ones", "*norm*.bias": "zeros", "*ln_*.weight": "ones", "*ln_*.bias": "zeros",
}  # fmt: skip

PRESETS: dict[str, dict[str, str]] = {
    # transformers' GPT2: Conv1D and Embedding at initializer_range, c_proj of both branches scaled
    "gpt2": {
        "*.weight": _PLAIN, "*.bias": "zeros", "*c_proj.weight": _DEEP, **_NORMS,
    },
    # transformers' Llama and its kin: one std everywhere, no biases, gains at 1
    "llama": {"*.weight": _PLAIN, "*.bias": "zeros", **_NORMS},
    # karpathy/nanoGPT: as gpt2, with nn.Linear; the head is tied to the embedding
    "nanogpt": {
        "*.weight": "normal(0, 0.02)", "*.bias": "zeros",
        "*c_proj.weight": "normal(0, 0.02/sqrt(2*n_layer))", **_NORMS,
    },
}  # fmt: skip
NAMES = (*PRESETS, "torch")


def declaration(
    declared: str | Mapping[str, str], entries: list[Entry], model: torch.nn.Module | None
) -> dict[str, str]:
    """Patterns and laws of a preset, or those that were given.

    Raises
    ------
    SpecError
        If there is no such preset, or it needs modules and only tensors are there.
    """
    if isinstance(declared, Mapping):
        return dict(declared)
    if not isinstance(declared, str) or declared not in NAMES:
        raise SpecError(
            f"declared must be a mapping of patterns to laws or one of {', '.join(NAMES)}, but it "
            f"is {declared!r:.60}."
        )
    if declared != "torch":
        return PRESETS[declared]
    if model is None:
        raise SpecError(
            "the preset 'torch' says what modules draw for themselves, and a checkpoint has no "
            "modules; pass the model."
        )
    return {entry.name: torch_default(entry) for entry in entries}


def torch_default(entry: Entry) -> str:
    """What ``reset_parameters`` of the owner draws for a parameter; ``any`` where it has none."""
    owner, leaf = entry.owner, entry.leaf
    if owner is None:
        return "any"
    for classes, rule in _RULES:
        if isinstance(owner, classes):
            return str(rule(owner, leaf))
    return "any"


def _bounded(fan_in: float) -> str:
    return f"uniform(-1/sqrt({fan_in:.0f}), 1/sqrt({fan_in:.0f}))" if fan_in > 0 else "any"


def _linear(m: Any, leaf: str) -> str:
    return _bounded(m.in_features) if leaf in ("weight", "bias") else "any"


def _convolution(m: Any, leaf: str) -> str:
    if leaf not in ("weight", "bias"):
        return "any"
    return _bounded(float(m.weight[0].numel()))  # of a transposed one: its outputs, as torch counts


def _attention(m: Any, leaf: str) -> str:
    if leaf.endswith("proj_weight"):
        return "xavier_uniform"
    if leaf == "in_proj_bias":
        return "zeros"
    return "xavier_normal" if leaf in ("bias_k", "bias_v") else "any"


def _attention_output(m: Any, leaf: str) -> str:
    return "zeros" if leaf == "bias" else _bounded(m.in_features)


def _affine(m: Any, leaf: str) -> str:
    return {"weight": "ones", "bias": "zeros"}.get(leaf, "any")


def _prelu(m: Any, leaf: str) -> str:
    return "any" if m.__dict__.get("init", 0.25) != 0.25 else "constant(0.25)"


_RULES: tuple[tuple[Any, Any], ...] = (
    # the output of nn.MultiheadAttention has a class of its own and a bias of zeros
    (torch.nn.modules.linear.NonDynamicallyQuantizableLinear, _attention_output),
    (torch.nn.Linear, _linear),
    (torch.nn.Bilinear, lambda m, leaf: _bounded(m.in1_features)),
    (torch.nn.modules.conv._ConvNd, _convolution),
    (torch.nn.Embedding, lambda m, leaf: "normal(0, 1)"),
    (torch.nn.EmbeddingBag, lambda m, leaf: "normal(0, 1)"),
    (torch.nn.RNNBase, lambda m, leaf: _bounded(m.hidden_size)),
    (torch.nn.RNNCellBase, lambda m, leaf: _bounded(m.hidden_size)),
    (torch.nn.MultiheadAttention, _attention),
    (torch.nn.PReLU, _prelu),
    (
        (
            torch.nn.LayerNorm, torch.nn.GroupNorm, torch.nn.RMSNorm,
            torch.nn.modules.batchnorm._BatchNorm, torch.nn.InstanceNorm1d,
            torch.nn.InstanceNorm2d, torch.nn.InstanceNorm3d,
        ),
        _affine,
    ),
)  # fmt: skip
