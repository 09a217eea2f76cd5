r"""Which tensor of a model is set through which name, and how it is written.

A weight may be computed from other parameters: by a parametrisation of ``torch.nn.utils``, which is
set through its ``right_inverse``, or by the older hooks for weight and spectral norm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch.nn.utils import parametrize

# Power iterations: the gap of a random square matrix leaves about a percent.
_SETTLED = 30


@dataclass(frozen=True)
class Target:
    """One weight of a module.

    Parameters
    ----------
    module : Module
        Its owner.
    leaf : str
        Its attribute there.
    kind : {"plain", "parametrized", "weight_norm", "spectral_norm"}
        How it is written.
    """

    module: torch.nn.Module
    leaf: str
    kind: str

    @property
    def value(self) -> torch.Tensor:
        """The weight as the module uses it."""
        if self.kind == "weight_norm":
            v, g = self._own("_v"), self._own("_g")
            return v * (g / _norms(v, g))
        if self.kind == "spectral_norm":
            return self._own("_orig")
        found: torch.Tensor = getattr(self.module, self.leaf)
        return found

    @property
    def parameters(self) -> list[torch.Tensor]:
        """The parameters that it is made of."""
        if self.kind == "parametrized":
            return list(self._steps.parameters(recurse=False))
        if self.kind == "weight_norm":
            return [self._own("_v"), self._own("_g")]
        return [self.value]

    @property
    def _steps(self) -> torch.nn.Module:
        """The chain of parametrisations of the weight."""
        chains = self.module.parametrizations
        assert isinstance(chains, torch.nn.ModuleDict)
        return chains[self.leaf]

    def _own(self, ending: str) -> torch.Tensor:
        found: torch.Tensor = getattr(self.module, self.leaf + ending)
        return found

    def write(self, value: torch.Tensor) -> None:
        """Set it; what a parametrisation raises is passed on."""
        with torch.no_grad():
            if self.kind == "parametrized":
                setattr(self.module, self.leaf, value)
            elif self.kind == "weight_norm":
                v, g = self._own("_v"), self._own("_g")
                v.copy_(value)
                g.copy_(_norms(v, g))
            elif self.value is not value:
                self.value.copy_(value)

    def multiply(self, factor: float) -> None:
        """Scale it."""
        with torch.no_grad():
            if self.kind == "parametrized":
                self.write(self.value.detach() * factor)
            elif self.kind == "weight_norm":
                self._own("_g").mul_(factor)
            else:
                self.value.mul_(factor)

    def settle(self) -> None:
        """Let the power iteration of a spectral norm find the norm of a weight that is new."""
        if self.kind != "parametrized":
            return
        steps = self._steps
        if not any(name.rpartition(".")[2] == "_u" for name, _ in steps.named_buffers()):
            return
        modes = [(m, m.training) for m in steps.modules()]
        with torch.no_grad():
            steps.train(True)  # it iterates in this mode only, once for each look
            for _ in range(_SETTLED):
                getattr(self.module, self.leaf)
        for module, training in modes:
            module.training = training

    @property
    def frozen(self) -> bool:
        """Whether a part of it takes no gradient."""
        return any(not p.requires_grad for p in self.parameters)

    @property
    def is_zero(self) -> bool:
        """Whether it is zero now."""
        return not bool(self.value.detach().any())


def _norms(v: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Norms of a tensor over all axes along which the gain has one entry."""
    axes = [i for i in range(v.dim()) if i >= g.dim() or g.shape[i] == 1]
    wide = v.dtype if v.dtype == torch.float64 else torch.float32
    norms: torch.Tensor = torch.linalg.vector_norm(v, dim=axes, keepdim=True, dtype=wide)
    return norms.to(v.dtype)


def target_of(
    model: torch.nn.Module, parameter: str | None, name: str
) -> tuple[str, Target | None]:
    """The full name of a weight and how to set it; None where it is computed in another way.

    Parameters
    ----------
    model : Module
        The model.
    parameter : str or None
        Name of the parameter behind the weight.
    name : str
        Of the layer as it ran, for a weight that is computed.
    """
    if parameter is not None:
        path, _, leaf = parameter.rpartition(".")
        return parameter, Target(model.get_submodule(path), leaf, "plain")
    path = re.sub(r" \(\d+\)$", "", name)
    try:
        module = model.get_submodule(path)
    except AttributeError:
        return path, None
    full = f"{path}.weight".lstrip(".")
    if parametrize.is_parametrized(module, "weight"):
        return full, Target(module, "weight", "parametrized")
    own = set(module._parameters)
    if {"weight_v", "weight_g"} <= own:
        return full, Target(module, "weight", "weight_norm")
    if "weight_orig" in own:
        return full, Target(module, "weight", "spectral_norm")
    return path, None
