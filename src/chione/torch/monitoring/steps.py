"""Which step runs: the optimizers of a model, and what each step does to its parameters."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch

from chione.torch.monitoring.record import ParameterUpdate


class Listener(Protocol):
    """Who is told when a step is over."""

    @property
    def measuring(self) -> bool:
        """Whether the step that runs is measured."""

    def finished(self) -> None:
        """The step is over."""


class Steps:
    """Counts steps by the hooks of optimizers, or by hand, and measures parameters.

    Parameters
    ----------
    model : Module
        The model.
    optimizer : Optimizer, sequence of them, or None
        Whose steps count; None for all that hold parameters of the model.
    listener : Listener
        Who is told.

    Notes
    -----
    A step is over when all trainable parameters were stepped, or all optimizers that stepped in
    the first one, or when the first of them steps again.
    """

    def __init__(self, model: torch.nn.Module, optimizer: Any, listener: Listener) -> None:
        self.model, self.listener = model, listener
        self._only = None if optimizer is None else [_bare(o) for o in _listed(optimizer)]
        self._cycle: list[Any] = [] if self._only is None else list(self._only)
        self._known = self._only is not None
        self._stepped: list[Any] = []
        self._covered: set[int] = set()
        self._hand = False
        self._before: dict[str, torch.Tensor] = {}
        self._numbers: dict[str, list[torch.Tensor | None]] = {}

    # ---- hooks --------------------------------------------------------------------------------

    def before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """An optimizer is about to step."""
        if self._hand or not self._counts(optimizer):
            return
        if _among(optimizer, self._stepped):  # it steps again, so the step before is over
            self._over()
        if self.listener.measuring:
            self._look(optimizer)
            closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
            if closure is not None:  # gradients will be made within the step
                self._forget_gradients()

    def after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """It has stepped."""
        if self._hand or not self._counts(optimizer):
            return
        if self.listener.measuring:
            self._look_again()
        if not _among(optimizer, self._stepped):
            self._stepped.append(optimizer)
        if not self._known:
            if not _among(optimizer, self._cycle):
                self._cycle.append(optimizer)
            self._covered |= {id(p) for group in optimizer.param_groups for p in group["params"]}
            wanted = {id(p) for p in self.model.parameters() if p.requires_grad}
            if wanted <= self._covered:
                self._over()
        elif all(_among(o, self._stepped) for o in self._cycle):
            self._over()

    def by_hand(self) -> None:
        """A step that no optimizer of torch takes is over."""
        self._hand = True
        if self.listener.measuring:
            if self._before:
                self._look_again()
            else:  # the first time: what it was before is not known
                self._look(None)
        self._over()

    def armed(self) -> None:
        """The next step is measured: without an optimizer weights are read before it begins."""
        if self._hand:
            self._look(None)
            self._forget_gradients()  # of the step before

    def end(self) -> None:
        """The training is over; a step that all optimizers but some have taken counts."""
        if self._stepped:
            self._over()

    def _over(self) -> None:
        self._known = True
        self._stepped.clear()
        self.listener.finished()

    def _counts(self, optimizer: Any) -> bool:
        if self._only is not None:
            return _among(optimizer, self._only)
        if _among(optimizer, self._cycle):
            return True
        mine = {id(p) for p in self.model.parameters()}
        return any(id(p) in mine for group in optimizer.param_groups for p in group["params"])

    # ---- parameters ---------------------------------------------------------------------------

    def _look(self, optimizer: Any) -> None:
        scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer divides by it itself
        held = None
        if optimizer is not None:
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                if (held is not None and id(p) not in held) or not p.is_floating_point():
                    continue
                if not p.requires_grad or p.numel() == 0:
                    continue
                self._before[name] = p.detach().clone()
                g = None if p.grad is None else _rms(p.grad)
                if g is not None and isinstance(scale, torch.Tensor):
                    g = g / scale.to(g.device)
                self._numbers[name] = [_rms(p), g, None]

    def _forget_gradients(self) -> None:
        for numbers in self._numbers.values():
            numbers[1] = None

    def _look_again(self) -> None:
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                old = self._before.pop(name, None)
                if old is not None:
                    numbers = self._numbers[name]
                    numbers[2] = _rms(p - old)
                    if numbers[1] is None and p.grad is not None:  # of a closure
                        numbers[1] = _rms(p.grad)

    def parameters(self) -> tuple[ParameterUpdate, ...]:
        """What was measured in the step that is over, which is forgotten here."""
        shapes = {n: p.shape for n, p in self.model.named_parameters()}
        out = []
        for name, numbers in self._numbers.items():
            weight, gradient, update = (math.nan if x is None else float(x) for x in numbers)
            shape = shapes[name]
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else 0
            natural = 1.0 / math.sqrt(fan_in) if fan_in else math.nan
            out.append(ParameterUpdate(name, weight, gradient, update, len(shape), natural))
        self._before.clear()
        self._numbers.clear()
        return tuple(out)


def _rms(x: torch.Tensor) -> torch.Tensor:
    entries = x.coalesce().values() if x.is_sparse else x.detach()
    out: torch.Tensor = torch.linalg.vector_norm(entries, dtype=torch.float64)
    return out / math.sqrt(x.numel())


def _listed(optimizer: Any) -> list[Any]:
    return list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]


def _bare(optimizer: Any) -> Any:
    """The optimizer of torch inside a wrapper of Lightning or accelerate."""
    inner = getattr(optimizer, "optimizer", None)
    found = inner if isinstance(inner, torch.optim.Optimizer) else optimizer
    if not isinstance(found, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer must be a torch.optim.Optimizer or a list of them, but it is "
            f"{type(optimizer).__name__}; leave it out, and call monitor.step() after each update."
        )
    return found


def _among(x: Any, xs: list[Any]) -> bool:
    return any(x is y for y in xs)
