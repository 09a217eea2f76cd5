"""A model, a batch and a loss on which steps are tried, under the same random numbers each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from chione.base import checks
from chione.torch.capture import batches
from chione.torch.capture.eager import eager
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.state import preserved
from chione.torch.capture.tracing import check_model, trace
from chione.torch.steps.optimizers import OptimizerLike, held, made, untouched

Loss: TypeAlias = Callable[[Any], torch.Tensor]
Watch: TypeAlias = Callable[[Node, torch.Tensor], None]


class Bench:
    """Losses, gradients and steps; made by :func:`bench`, usable inside its ``with`` block.

    Parameters
    ----------
    model : Module
        Its parameters are moved.
    batch : Any
        As ``inspect`` takes it.
    loss : callable
        From what the model returns to a number.
    optimizer : torch.optim.Optimizer
        Moves the parameters.
    seed : int
        Seed of dropout masks and other random numbers, the same for each forward pass.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        batch: Any,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        seed: int,
    ) -> None:
        self.model, self.batch, self._loss, self.optimizer = model, batch, loss, optimizer
        self.size = batches.batch_size(batch)
        self.forwards = 0
        self.seed = seed
        self.parameters = [p for p in dict.fromkeys(held(optimizer)) if p.requires_grad]
        self._buffers = [
            (module, name, buffer, buffer.detach().clone())
            for module in model.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]

    def _begin(self) -> None:
        """Random numbers and buffers as at the start."""
        torch.manual_seed(self.seed)
        self.forwards += 1
        with torch.no_grad():
            for module, name, buffer, value in self._buffers:
                module._buffers[name] = buffer
                if not torch.equal(buffer, value):
                    buffer.copy_(value)

    def output(self) -> Any:
        """A forward pass."""
        self._begin()
        return batches.call(self.model, self.batch)

    def traced(self, watch: Watch | None = None) -> tuple[Graph, Any]:
        """A forward pass whose rows are shown to `watch`, and its graph."""
        self._begin()
        return trace(self.model, self.batch, self.size, measure=False, watch=watch)

    def loss_of(self, out: Any) -> torch.Tensor:
        """The loss of an output."""
        value = self._loss(out)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ValueError(
                f"loss must return one number from what the model returns, but it returned {got}; "
                "take its mean, as in lambda out: cross_entropy(out, labels)."
            )
        return value.reshape(())

    def value(self) -> float:
        """The loss where the parameters are."""
        with torch.no_grad():
            return float(self.loss_of(self.output()))

    def gradients(self, out: Any) -> torch.Tensor:
        """Write the gradients of the loss of an output into the parameters; returns the loss."""
        value = self.loss_of(out)
        if not bool(torch.isfinite(value)):
            raise ValueError(
                f"the loss at the start is {value.item()}, so no step can be taken; look at the "
                "labels, or run inspect(model, batch) to see where signals overflow."
            )
        if not value.requires_grad:
            raise ValueError(
                "the loss does not depend on a trainable parameter by differentiable operations; "
                "look for detach(), no_grad(), argmax or rounding between the parameters and it."
            )
        self.clear()
        torch.autograd.backward(value)
        return value.detach()

    def clear(self) -> None:
        """No gradients."""
        for p in (*self.model.parameters(), *held(self.optimizer)):
            p.grad = None

    def move(self) -> None:
        """Let the optimiser move the parameters by the gradients that are there."""
        optimizer: Any = self.optimizer
        if isinstance(optimizer, torch.optim.LBFGS):
            optimizer.step(lambda: float(self.gradients(self.output())))  # type: ignore[no-untyped-call]  # torch's
        else:
            optimizer.step()


@contextmanager
def bench(
    model: Any, batch: Any, loss: Any, optimizer: OptimizerLike, lr: float | None, seed: int
) -> Iterator[Bench]:
    """A bench; afterwards the model and the optimiser are as they were, also after an exception."""
    model = check_model(model)
    if not callable(loss):
        raise TypeError(
            f"loss must be a function of what the model returns, but it is {type(loss).__name__}; "
            "pass for example lambda out: cross_entropy(out, labels)."
        )
    checks.integer("seed", seed, minimum=0)
    batches.batch_size(batch)
    with (
        eager(model),  # compiled code has no second derivative
        preserved(model, weights=False),  # all of them are written: they are copied here
        _weights(model),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        used = made(model, optimizer, lr)
        with untouched(used, model):
            yield Bench(model, batch, loss, used, seed)


@contextmanager
def _weights(model: torch.nn.Module) -> Iterator[None]:
    """On leaving, put back all parameters, in the memory that they had."""
    kept = [(p, p.detach(), p.detach().clone()) for p in model.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for p, there, value in kept:
                if p.data_ptr() != there.data_ptr():
                    p.data = there
                if not torch.equal(there, value):
                    there.copy_(value)
