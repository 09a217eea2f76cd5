"""Hooks for one forward and backward pass, which are gone afterwards.

Numbers stay on the device until the step is over, so that nothing waits for it. A pass without
gradients (a validation) is not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from chione.torch.capture import batches
from chione.torch.capture.statistics import lazy_moments, mean_square
from chione.torch.monitoring.attention import Entropies
from chione.torch.monitoring.record import LayerSignal

OUTPUT = "(output)"
_SITES = 32  # inputs and positions below which a silent channel says nothing
_NEARLY = 0.95  # of all parameters, by which a part stands for the model
_SILENT = 1e-3  # of the gradient's size, by which it sums to zero where a softmax follows
_CHANNELS_SECOND = (
    torch.nn.modules.conv._ConvNd,
    torch.nn.modules.batchnorm._NormBase,
    torch.nn.GroupNorm,
)
_TOGETHER = (torch.nn.MultiheadAttention, torch.nn.RNNBase)


class Probe:
    """Measures what leaves the modules of a model, the first time each of them runs.

    Parameters
    ----------
    model : Module
        The model.
    before : callable, optional
        Called once, as ``before(path, module, args, kwargs)``, before the model runs.

    Notes
    -----
    Some models are never called themselves: a ``LightningModule`` is asked for its
    ``training_step``, which calls its parts. A part with nearly all parameters then stands for
    the model, and if there is none, what left the last module is its output.
    """

    def __init__(
        self, model: torch.nn.Module, before: Callable[[str, Any, Any, Any], None] | None = None
    ) -> None:
        self.model = model
        self._before = before
        self._handles: list[Any] = []
        self._signals: dict[str, tuple[torch.Tensor, int]] = {}
        self._gradients: dict[str, torch.Tensor] = {}
        self._sums: dict[str, torch.Tensor] = {}
        self._entropies = Entropies()
        self._batch = 0
        self._depth = 0  # of the modules that stand for the model, one within the other
        self.silent = False  # while something of our own runs the model

    def attach(self) -> None:
        """Put the hooks in place."""
        wholes = _wholes(self.model)
        for path, module in wholes:
            enters = _Hook(self._enters, path)
            self._hook(module.register_forward_pre_hook, enters, with_kwargs=True)
        for path, module in self.model.named_modules():
            if path and isinstance(module, torch.jit.ScriptModule):
                continue  # compiled modules take no hooks
            if not any(module.children()) or isinstance(module, _TOGETHER):
                second = isinstance(module, _CHANNELS_SECOND)
                self._hook(module.register_forward_hook, _Hook(self._left, path, second))
        for _, module in wholes:
            self._hook(module.register_forward_hook, _Hook(self._returns), always_call=True)

    def detach(self) -> None:
        """Take all hooks away."""
        self._entropies.stop()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, register: Any, hook: Any, **options: Any) -> None:
        self._handles.append(register(hook, **options))

    # ---- what the hooks do --------------------------------------------------------------------

    def _enters(self, path: str, module: Any, args: Any, kwargs: Any) -> None:
        if self.silent:
            return
        self._depth += 1
        if self._depth > 1 or not torch.is_grad_enabled() or OUTPUT in self._signals:
            return
        before, self._before = self._before, None
        if before is not None:
            self.silent = True
            try:
                before(path, module, args, kwargs)
            finally:
                self.silent = False
        found = next((t for t in batches.tensors([args, kwargs]) if t.dim() > 0), None)
        self._batch = 1 if found is None else int(found.shape[0])
        self._entropies.start()

    def _returns(self, module: Any, args: Any, out: Any) -> None:
        if self.silent:
            return
        self._depth = max(self._depth - 1, 0)
        if self._depth == 0:
            self._entropies.stop()
            if out is not None:  # None after an error
                self._left(OUTPUT, False, module, args, out)

    def _left(self, path: str, second: bool, module: Any, args: Any, out: Any) -> None:
        if self.silent or not torch.is_grad_enabled():
            return
        tensor = _floating(out, path == OUTPUT)
        if tensor is None or tensor.dim() == 0:  # a loss
            return
        if path not in self._signals:
            batch = self._batch or (int(tensor.shape[0]) if tensor.dim() else 1)
            with torch.no_grad():
                self._signals[path] = lazy_moments(tensor, batch), tensor.numel()
        if tensor.requires_grad and path not in self._gradients:
            hook = _Hook(self._arrives, path, second)
            tensor.register_hook(hook)  # type: ignore[no-untyped-call, unused-ignore]

    def _arrives(self, path: str, second: bool, g: torch.Tensor) -> None:
        if path in self._gradients:
            return
        with torch.no_grad():
            dead = g.new_full((), math.nan, dtype=torch.float64)
            axis = 1 if second and g.dim() > 1 else -1
            if g.dim() > 1 and g.numel() >= _SITES * g.shape[axis]:
                others = [k for k in range(g.dim()) if k != axis % g.dim()]
                dead = 1.0 - (g != 0).any(dim=others[0]).double().mean() if len(others) == 1 else (
                    1.0 - (g != 0).movedim(axis, -1).reshape(-1, g.shape[axis]).any(dim=0)
                    .double().mean()
                )  # fmt: skip
            self._gradients[path] = torch.stack([mean_square(g).to(g.device), dead.to(g.device)])
            if not second and g.dim() > 1 and g.shape[-1] > 2:
                sums = torch.linalg.vector_norm(g.sum(dim=-1, dtype=torch.float64))
                self._sums[path] = sums / torch.linalg.vector_norm(g, dtype=torch.float64)

    # ---- afterwards ---------------------------------------------------------------------------

    def layers(self, scale: float = 1.0) -> tuple[LayerSignal, ...]:
        """All that was measured, in order of execution; `scale` is that of the loss."""
        names = list(self._signals)
        if not names:
            return ()
        if OUTPUT not in names:
            last = next((n for n in reversed(names) if n in self._gradients), names[-1])
            self._signals[OUTPUT] = self._signals[last]
            for kept in (self._gradients, self._sums):
                if last in kept:
                    kept[OUTPUT] = kept[last]
            names.append(OUTPUT)
        numbers = torch.stack([self._signals[n][0].cpu() for n in names]).tolist()
        out = []
        for name, (largest, mean, square, one_minus_c) in zip(names, numbers, strict=True):
            back = self._gradients.get(name)
            gradient, dead = (math.nan, math.nan) if back is None else back.tolist()
            out.append(
                LayerSignal(
                    name, mean * largest, square * largest * largest, one_minus_c,
                    gradient / scale**2,
                    self._signals[name][1], dead,
                )
            )  # fmt: skip
        return tuple(out)

    @property
    def softmax(self) -> bool:
        """Whether the gradient at the output sums to zero over its last axis."""
        return OUTPUT in self._sums and float(self._sums[OUTPUT]) < _SILENT

    def entropy(self) -> tuple[tuple[str, float], ...]:
        """Relative entropies of attention weights by module."""
        return self._entropies.found()


class _Hook:
    """A call with arguments of ours before those of torch; a copy of the model gets nothing."""

    def __init__(self, call: Callable[..., None], *first: Any) -> None:
        self._call, self._first = call, first

    def __call__(self, *rest: Any) -> None:
        self._call(*self._first, *rest)

    def __deepcopy__(self, memo: Any) -> Any:
        return nothing

    def __reduce__(self) -> Any:
        return _named_nothing, ()


def nothing(*args: Any) -> None:
    """What a copied or saved model has in place of a hook."""


def _named_nothing() -> Any:
    return nothing


def _wholes(model: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """The model, and parts within parts that hold nearly all of its parameters."""
    total = sum(p.numel() for p in model.parameters())
    out, path, module = [("", model)], "", model
    while True:
        for name, part in module.named_children():
            whole = sum(p.numel() for p in part.parameters()) >= _NEARLY * total
            if whole and any(part.children()) and not isinstance(part, torch.nn.ModuleList):
                path = f"{path}.{name}".lstrip(".")
                module = part
                out.append((path, part))
                break
        else:
            return out


def _floating(out: Any, is_output: bool) -> torch.Tensor | None:
    if isinstance(out, torch.Tensor):
        return out if out.is_floating_point() and out.numel() else None
    if is_output:
        try:
            return batches.output_tensor(out)
        except ValueError:
            return None
    return next((t for t in batches.tensors(out) if t.is_floating_point() and t.numel()), None)
