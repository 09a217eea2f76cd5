"""Tensors to audit: those of a module, of a state dict, or of a checkpoint file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from chione.torch.capture.tracing import check_model

_SAFE = (".safetensors",)
_TORCH = (".pt", ".pth", ".bin", ".ckpt")
_NESTED = ("model", "state_dict", "module", "model_state_dict")  # where training scripts put it


@dataclass(frozen=True)
class Entry:
    """One parameter.

    Parameters
    ----------
    name : str
        Its full name.
    tensor : Tensor
        Its values.
    aliases : tuple of str
        Other names of the same tensor (tied weights).
    module : str
        Path of the module that owns it.
    owner : Module or None
        That module; None for a checkpoint.
    leaf : str
        Its name within the module.
    frozen : bool
        Whether it takes no gradient.
    role, evidence : str
        What it does, and how that is known: graph, module, name or shape.
    fan_in, fan_out : float
        Products in one output, and outputs that one input goes to.
    detail : mapping
        What else the graph told: "branch end", "scaled", "offset".
    """

    name: str
    tensor: torch.Tensor
    aliases: tuple[str, ...] = ()
    module: str = ""
    owner: torch.nn.Module | None = None
    leaf: str = ""
    frozen: bool = False
    role: str = "parameter"
    evidence: str = "shape"
    fan_in: float = 0.0
    fan_out: float = 0.0
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Class name of the owner; empty for a checkpoint."""
        return "" if self.owner is None else type(self.owner).__name__

    @property
    def is_matrix(self) -> bool:
        """Whether it multiplies signals: a matrix or kernel, no table, vector or scalar."""
        return self.tensor.dim() >= 2 and self.role not in _NO_MATRIX

    def told(self, role: str, evidence: str, **detail: Any) -> Entry:
        """With another role."""
        return replace(self, role=role, evidence=evidence, detail={**self.detail, **detail})


_NO_MATRIX = ("embedding", "position", "norm gain", "norm shift", "bias", "scale", "parameter",
              "magnitude")  # fmt: skip


def of_module(model: torch.nn.Module) -> list[Entry]:
    """Parameters of a module, each once, with the names it is tied to."""
    model = check_model(model)
    names: dict[int, list[str]] = {}
    found: dict[int, tuple[str, torch.nn.Module, str, torch.nn.Parameter]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for leaf, p in module._parameters.items():
            if p is None:
                continue
            name = f"{path}.{leaf}" if path else leaf
            names.setdefault(id(p), []).append(name)
            found.setdefault(id(p), (path, module, leaf, p))
    out = []
    for key, (path, module, leaf, p) in found.items():
        first, *others = dict.fromkeys(names[key])
        if p.is_floating_point() or p.is_complex():
            out.append(
                Entry(first, _values(p), tuple(others), path, module, leaf, not p.requires_grad)
            )
    return out


def _values(p: torch.Tensor) -> torch.Tensor:
    """The values of a parameter; of a sharded one all of them."""
    whole = getattr(p, "full_tensor", None)  # DTensor, which older torch does not have
    return whole() if callable(whole) else p.detach()


def of_state(state: Mapping[str, Any]) -> list[Entry]:
    """Tensors of a state dict; those that share memory are one."""
    out: list[Entry] = []
    seen: dict[tuple[int, tuple[int, ...], tuple[int, ...]], int] = {}
    for name, tensor in _flat(state).items():
        if not (tensor.is_floating_point() or tensor.is_complex()):
            continue
        if tensor.device.type == "meta":
            raise ValueError(
                f"tensor {name!r} is on the meta device and has no values; load the state dict on "
                "a real device first."
            )
        key = (tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()))
        if tensor.numel() and key in seen:
            old = out[seen[key]]
            out[seen[key]] = replace(old, aliases=(*old.aliases, name))
            continue
        seen[key] = len(out)
        module, _, leaf = name.rpartition(".")
        out.append(Entry(name, tensor.detach(), (), module, None, leaf))
    if not out:
        raise ValueError(
            "the state dict holds no floating-point tensors; pass model.state_dict() or the path "
            "of a checkpoint."
        )
    return out


def _flat(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors by name; a checkpoint that keeps them under "model" or "state_dict" is opened."""
    if not any(isinstance(v, torch.Tensor) for v in state.values()):
        for key in _NESTED:
            inner = state.get(key)
            if isinstance(inner, Mapping):
                return _flat(inner)
    return {
        str(k).removeprefix("_orig_mod.").removeprefix("module."): v
        for k, v in state.items()
        if isinstance(v, torch.Tensor) and not _is_buffer(str(k))
    }


_BUFFERS = re.compile(
    r"(running_mean|running_var|num_batches_tracked|inv_freq|attn\.bias|masked_bias|"
    r"position_ids|relative_position_index|attn_mask|rotary_emb\..*|causal_mask)$"
)


def _is_buffer(name: str) -> bool:
    """Entries of usual state dicts that are no parameters."""
    return _BUFFERS.search(name) is not None


def of_file(path: Path) -> list[Entry]:
    """Tensors of a checkpoint; nothing in it is executed.

    Raises
    ------
    ValueError
        If there is no such file, its ending is unknown, or it holds more than tensors.
    """
    if path.is_dir():
        files = sorted(path.glob("*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))
        if not files:
            raise ValueError(f"the folder {str(path)!r} holds no .safetensors and no .bin file.")
        return [entry for file in files for entry in of_file(file)]
    if not path.is_file():
        raise ValueError(f"there is no checkpoint {str(path)!r}.")
    if path.suffix in _SAFE:
        return of_state(_safetensors(path))
    if path.suffix not in _TORCH:
        raise ValueError(
            f"{str(path)!r} ends in {path.suffix!r}; a checkpoint ends in .safetensors, .pt, .pth, "
            ".bin or .ckpt."
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # whatever the unpickler meets; told in one sentence
        raise ValueError(
            f"{str(path)!r} is no checkpoint of tensors alone ({type(err).__name__}: "
            f"{str(err).splitlines()[0]:.150}); save model.state_dict() and audit that."
        ) from err
    if not isinstance(state, Mapping):
        raise ValueError(f"{str(path)!r} holds a {type(state).__name__}, not a state dict.")
    return of_state(state)


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from chione.base import MissingExtraError

    try:
        from safetensors.torch import load_file
    except ImportError as err:
        raise MissingExtraError("safetensors", "models", "a .safetensors file") from err
    try:
        return dict(load_file(path))
    except Exception as err:  # its own error class, with no words about the file
        raise ValueError(f"{str(path)!r} is no .safetensors file ({err}).") from err
