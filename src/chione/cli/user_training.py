"""Losses and optimisers of a command: names of ours, or functions in the user's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from chione.cli.user_model import defined

_LOSSES = ("cross_entropy", "mse")
_OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")


@dataclass(frozen=True)
class Asked:
    """Names of losses and optimisers, looked up in the file where they are none of ours."""

    path: Path
    module: ModuleType
    seed: int

    def loss(self, name: str) -> Any:
        """A function of what the model returns."""
        if name in _LOSSES:
            return _Random(name, self.seed)
        return self._function(name, f"a loss is {', '.join(_LOSSES)} or a function in the file")

    def optimizer(self, name: str, lr: float | None, largest: bool) -> tuple[Any, float | None]:
        """An optimizer as the functions take it, and its learning rate."""
        if name not in _OPTIMIZERS:
            if lr is not None:
                raise click.UsageError(
                    f"--lr goes with {', '.join(_OPTIMIZERS)}; {name!r} is none of them, and a "
                    "function in the file sets its rates itself."
                )
            words = f"an optimizer is {', '.join(_OPTIMIZERS)} or a function in the file"
            return self._function(name, words), None
        if lr is None and not largest:
            raise click.UsageError(
                f"--optimizer {name} needs its learning rate, as in --lr 0.01; --largest finds the "
                "largest stable one."
            )
        return name, lr

    def _function(self, name: str, accepted: str) -> Any:
        if not hasattr(self.module, name):
            raise click.UsageError(f"{str(self.path)!r} defines no {name!r}; {accepted}.")
        found = defined(self.path, self.module, name)
        if not callable(found):
            raise click.UsageError(f"{name!r} in {str(self.path)!r} is no function.")
        return found


class _Random:
    """A loss whose targets are drawn once the shape of the output is known."""

    def __init__(self, kind: str, seed: int) -> None:
        self._kind, self._seed = kind, seed
        self._targets: dict[tuple[int, ...], Any] = {}

    def __call__(self, out: Any) -> Any:
        """The mean loss."""
        import torch
        from torch.nn.functional import cross_entropy, mse_loss

        from chione.torch.capture.batches import output_tensor

        y = output_tensor(out)
        if self._kind == "cross_entropy" and y.dim() != 4:  # images keep classes on the second axis
            y = y.reshape(-1, y.shape[-1])
        target = self._targets.get(tuple(y.shape))
        if target is None:
            generator = torch.Generator().manual_seed(self._seed + 1)
            if self._kind == "mse":
                target = torch.randn(y.shape, generator=generator)
            else:
                shape = (y.shape[0], *y.shape[2:])
                target = torch.randint(y.shape[1], shape, generator=generator)
            self._targets[tuple(y.shape)] = target = target.to(y.device)
        if self._kind == "mse":
            return mse_loss(y, target.to(y.dtype))
        return cross_entropy(y, target)
