"""The input-output Jacobian as an operator: products with it and its transpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from chione.base import UnsupportedModuleError
from chione.torch.capture import batches
from chione.torch.capture.state import preserved


class JacobianOperator:
    r"""Products with :math:`J = \partial y / \partial x` at one point.

    Made by :func:`jacobian_operator`; usable inside its ``with`` block only.

    Parameters
    ----------
    x : Tensor
        The input, a leaf that requires gradients.
    y : Tensor
        The output, computed from it.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self._x, self._y = x, y
        self.inputs, self.outputs = x.numel(), y.numel()
        # Rounding is that of the coarsest precision on the way.
        self.dtype = x.dtype if torch.finfo(x.dtype).eps > torch.finfo(y.dtype).eps else y.dtype
        self.products = 0
        # J^T w is linear in w, so its derivative with respect to w is J: one backward pass through
        # the backward pass gives J u for every operation that can be differentiated twice.
        self._w = torch.zeros_like(y, requires_grad=True)
        (pulled,) = torch.autograd.grad(y, x, self._w, create_graph=True, allow_unused=True)
        if pulled is None:
            raise ValueError(
                "the output does not depend on the input by differentiable operations, so there "
                "is no Jacobian; check for detach, no_grad or integer inputs."
            )
        self._pulled = pulled

    def transposed(self, v: torch.Tensor) -> torch.Tensor:
        """J^T v, float64, shape (inputs,)."""
        self.products += 1
        w = v.to(self._y.dtype).reshape(self._y.shape)
        (g,) = torch.autograd.grad(self._y, self._x, w, retain_graph=True)
        return g.detach().reshape(-1).double()

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """J u, float64, shape (outputs,)."""
        self.products += 1
        direction = u.to(self._x.dtype).reshape(self._x.shape)
        if not self._pulled.requires_grad:  # the map is constant in w only where J = 0
            return torch.zeros(self.outputs, dtype=torch.float64, device=self._y.device)
        try:
            (g,) = torch.autograd.grad(self._pulled, self._w, direction, retain_graph=True)
        except RuntimeError as err:
            raise UnsupportedModuleError(
                f"an operation of the model cannot be differentiated twice ({err}); use "
                "method='dense', which needs products with the transpose only."
            ) from err
        return g.detach().reshape(-1).double()

    def dense(self) -> torch.Tensor:
        """The matrix itself, (outputs, inputs), row by row."""
        rows = []
        for i in range(self.outputs):
            v = torch.zeros(self.outputs, dtype=self._y.dtype, device=self._y.device)
            v[i] = 1.0
            rows.append(self.transposed(v))
        return torch.stack(rows)


@contextmanager
def jacobian_operator(model: torch.nn.Module, x: torch.Tensor) -> Iterator[JacobianOperator]:
    """The Jacobian of a model at an input, while the model stays as it was.

    Parameters
    ----------
    model : Module
        Runs in the mode it is in.
    x : Tensor
        Floating-point input with its batch axis. With several inputs the Jacobian is that of all
        outputs with respect to all inputs.

    Raises
    ------
    ValueError
        If the input is not floating-point or the output does not depend on it.
    """
    check_input(x)
    with preserved(model), torch.inference_mode(False), torch.enable_grad():
        for p in model.parameters():
            p.requires_grad_(False)
        leaf = x.detach().clone().requires_grad_()
        # The fused attention kernels have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            y = batches.output_tensor(batches.call(model, leaf))
        if not y.requires_grad:
            raise ValueError(
                "the output does not depend on the input by differentiable operations, so there "
                "is no Jacobian; check for detach, no_grad or integer inputs."
            )
        yield JacobianOperator(leaf, y)


def check_input(x: Any) -> None:
    """Refuse what no derivative can be taken of."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        kind: Any = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(
            f"x must be a floating-point tensor, but it is {kind}; for token indices pass the part "
            "of the model behind the embedding, and embedded inputs."
        )
