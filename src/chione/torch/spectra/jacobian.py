"""The input-output Jacobian of a model as an operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from chione.torch.capture import batches
from chione.torch.capture.products import JacobianOperator
from chione.torch.capture.state import preserved


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
        yield JacobianOperator([leaf], [y])


def check_input(x: Any) -> None:
    """Refuse what no derivative can be taken of."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        kind: Any = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(
            f"x must be a floating-point tensor, but it is {kind}; for token indices pass the part "
            "of the model behind the embedding, and embedded inputs."
        )
