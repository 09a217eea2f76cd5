"""The input-output Jacobian of a model as an operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from chione.torch.capture import batches
from chione.torch.capture.eager import eager
from chione.torch.capture.products import JacobianOperator
from chione.torch.capture.state import preserved
from chione.torch.spectra.starting import Starts, copied, floating_input, moved


class _Widest(TorchFunctionMode):  # type: ignore[misc, unused-ignore]  # where torch is not installed
    """Entries of the largest tensor that a function of torch returns."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.requires_grad:
            self.entries = max(self.entries, out.numel())
        return out


@contextmanager
def jacobian_operator(
    model: torch.nn.Module, batch: Any, *, nudged: bool = False
) -> Iterator[JacobianOperator]:
    """The Jacobian of a model at an input, while model and input stay as they were.

    Parameters
    ----------
    model : Module
        Runs in the mode it is in.
    batch : Tensor, tuple, list or dict of Tensors
        With its batch axis. The Jacobian is that with respect to the first floating tensor in it,
        the others held fixed; of a batch of integers, with respect to the output of the embedding
        (:class:`chione.torch.spectra.starting.Starts`). With several inputs in the batch it is
        that of all outputs with respect to all of them.
    nudged : bool
        Whether the start is moved by about one unit of rounding, at random.

    Raises
    ------
    ValueError
        If there is no such tensor or the output does not depend on it.
    """
    start = floating_input(batch)
    with preserved(model), torch.inference_mode(False), torch.enable_grad():
        for p in model.parameters():
            p.requires_grad_(False)
        leaf = None if start is None else start.detach().clone()
        if leaf is not None:
            leaf = (moved(leaf) if nudged else leaf).requires_grad_()
        fed = copied(batch, start, leaf)
        of = "" if start is batch else "the first floating tensor of the batch"
        # The fused attention kernels have no second derivative.
        with sdpa_kernel(SDPBackend.MATH), eager(model), _Widest() as made:
            if leaf is None:
                with Starts(fed, nudged=nudged) as starts:
                    out = batches.call(model, fed)
                leaf, of = starts.leaf, starts.words
            else:
                out = batches.call(model, fed)
        y = batches.output_tensor(out)
        if leaf is None:
            raise ValueError(
                "the batch holds no floating-point tensor and the model makes none from its "
                "integers where it can be seen, so there is no Jacobian; pass the part of the "
                "model behind the embedding, and embedded inputs."
            )
        if not y.requires_grad:
            raise ValueError(
                "the output does not depend on the input by differentiable operations, so there "
                "is no Jacobian; check for detach, no_grad or integer inputs."
            )
        of = of and f"With respect to {of}, of shape {tuple(leaf.shape)}. "
        yield JacobianOperator([leaf], [y], of, made.entries)


def probe(operator: JacobianOperator) -> torch.Tensor:
    """A random vector on the side of the outputs, always the same."""
    generator = torch.Generator().manual_seed(3)
    v = torch.randn(operator.outputs, generator=generator, dtype=torch.float64)
    return v.to(operator.device)


def roughness(model: torch.nn.Module, batch: Any) -> torch.Tensor:
    """J^T v for the probe v, at a start that is moved by one unit of rounding.

    Its difference to J^T v is what the rounding of a forward pass does to J: little, or all that
    there is where the network amplifies it.
    """
    with jacobian_operator(model, batch, nudged=True) as operator:
        return operator.transposed(probe(operator)).cpu()
