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
        Called once with the arguments of the model before it runs.
    """

    def __init__(
        self, model: torch.nn.Module, before: Callable[[Any, Any], None] | None = None
    ) -> None:
        self.model = model
        self._before = before
        self._handles: list[Any] = []
        self._signals: dict[str, tuple[torch.Tensor, int]] = {}
        self._gradients: dict[str, torch.Tensor] = {}
        self._sums: torch.Tensor | None = None
        self._entropies = Entropies(self.model)
        self._batch = 0
        self.silent = False  # while something of our own runs the model

    def attach(self) -> None:
        """Put the hooks in place."""
        self._hook(self.model.register_forward_pre_hook, _Hook(self._enters), with_kwargs=True)
        for path, module in self.model.named_modules():
            if path and isinstance(module, torch.jit.ScriptModule):
                continue  # compiled modules take no hooks
            if not any(module.children()) or isinstance(module, _TOGETHER):
                second = isinstance(module, _CHANNELS_SECOND)
                self._hook(module.register_forward_hook, _Hook(self._left, path, second))
        self._hook(self.model.register_forward_hook, _Hook(self._returns), always_call=True)

    def detach(self) -> None:
        """Take all hooks away."""
        self._entropies.stop()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, register: Any, hook: Any, **options: Any) -> None:
        self._handles.append(register(hook, **options))

    # ---- what the hooks do --------------------------------------------------------------------

    def _enters(self, module: Any, args: Any, kwargs: Any) -> None:
        if self.silent or not torch.is_grad_enabled() or OUTPUT in self._signals:
            return
        before, self._before = self._before, None
        if before is not None:
            self.silent = True
            try:
                before(args, kwargs)
            finally:
                self.silent = False
        found = next((t for t in batches.tensors([args, kwargs]) if t.dim() > 0), None)
        self._batch = 1 if found is None else int(found.shape[0])
        self._entropies.start()

    def _returns(self, module: Any, args: Any, out: Any) -> None:
        self._entropies.stop()
        if self.silent or out is None:
            return
        self._left(OUTPUT, False, module, args, out)

    def _left(self, path: str, second: bool, module: Any, args: Any, out: Any) -> None:
        if self.silent or not torch.is_grad_enabled():
            return
        tensor = _floating(out, path == OUTPUT)
        if tensor is None:
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
            if path == OUTPUT and g.dim() > 1 and g.shape[-1] > 2:
                sums = torch.linalg.vector_norm(g.sum(dim=-1, dtype=torch.float64))
                self._sums = sums / torch.linalg.vector_norm(g, dtype=torch.float64)

    # ---- afterwards ---------------------------------------------------------------------------

    def layers(self, scale: float = 1.0) -> tuple[LayerSignal, ...]:
        """All that was measured, in order of execution; `scale` is that of the loss."""
        names = list(self._signals)
        if not names:
            return ()
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
        return self._sums is not None and float(self._sums) < _SILENT

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


def _floating(out: Any, is_output: bool) -> torch.Tensor | None:
    if isinstance(out, torch.Tensor):
        return out if out.is_floating_point() and out.numel() else None
    if is_output:
        try:
            return batches.output_tensor(out)
        except ValueError:
            return None
    return next((t for t in batches.tensors(out) if t.is_floating_point() and t.numel()), None)
