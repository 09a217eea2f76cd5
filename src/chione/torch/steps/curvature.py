r"""Curvature of the loss on a batch as an operator: the Gauss-Newton matrix and the Hessian.

.. math:: G = J^\top H J, \qquad J = \frac{\partial f}{\partial \theta}, \quad
   H = \frac{\partial^2 L}{\partial f^2}, \qquad
   \nabla^2 L = G + \sum_k \frac{\partial L}{\partial f_k} \nabla^2 f_k
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from chione.base import UnsupportedModuleError
from chione.torch.capture import batches
from chione.torch.capture.products import JacobianOperator, joined, split
from chione.torch.steps.bench import Bench
from chione.torch.steps.krylov import Extreme, extremes


class NoCurvatureError(ValueError):
    """Why there is no Gauss-Newton matrix, in a sentence."""


class Curvature:
    r"""Eigenvalues of :math:`D (G + w)`, the curvature that an optimiser sees.

    Parameters
    ----------
    bench : Bench
        Its model is run once.
    scales : sequence of Tensor or float
        The diagonal of D, by parameter of the bench.
    """

    def __init__(self, bench: Bench, scales: list[torch.Tensor | float]) -> None:
        self._parameters = bench.parameters
        out = _twice(bench)
        self._outputs, y = _outputs(out), batches.output_tensor(out)
        value = bench.loss_of(out)
        self._leaves, seen = _detached(out)
        again = bench.loss_of(seen)
        self._slopes = _slopes(again, self._leaves)
        agrees = bool(torch.isclose(again.detach(), value.detach(), rtol=1e-4, atol=1e-30))
        read = [x for x, g in zip(self._leaves, self._slopes, strict=True) if g is not None]
        if not agrees or (all(x.numel() == 1 for x in read) and y.numel() > 1):
            # the loss was computed inside the model, as transformers do: take it from there
            self._outputs = self._leaves = [y]
            self._slopes = _slopes(value, [y])
        if all(g is None for g in self._slopes):
            raise NoCurvatureError("the loss does not depend on the output differentiably.")
        self._jacobian = JacobianOperator(self._parameters, self._outputs)
        self._d = torch.cat(
            [
                torch.as_tensor(s, dtype=torch.float64).expand(p.shape).reshape(-1).to(p.device)
                for s, p in zip(scales, self._parameters, strict=True)
            ]
        )
        self.eps = torch.finfo(self._jacobian.dtype).eps
        self.parameters, self.outputs = self._jacobian.inputs, self._jacobian.outputs

    @property
    def products(self) -> int:
        """Products with J and its transpose so far."""
        return self._jacobian.products

    def at_output(self, v: torch.Tensor) -> torch.Tensor:
        """H v, float64, shape (outputs,)."""
        parts = split(v, self._leaves)
        used = [
            (g, part)
            for g, part in zip(self._slopes, parts, strict=True)
            if g is not None and g.requires_grad
        ]
        if not used:
            return torch.zeros_like(v)
        found = torch.autograd.grad(
            [g for g, _ in used], self._leaves, [p for _, p in used],
            retain_graph=True, allow_unused=True,
        )  # fmt: skip
        return joined(found, self._leaves)

    def kernel(self, v: torch.Tensor) -> torch.Tensor:
        """J D J^T v, float64, shape (outputs,)."""
        return self._jacobian.forward(self._d * self._jacobian.transposed(v))

    def gauss_newton(self, u: torch.Tensor) -> torch.Tensor:
        """J^T H J u, float64, shape (parameters,)."""
        return self._jacobian.transposed(self.at_output(self._jacobian.forward(u)))

    def largest(self, *, steps: int, rtol: float, seed: int) -> tuple[Extreme, Extreme]:
        """The ends of the spectrum of D G, by vectors of the shorter side."""
        generator = torch.Generator().manual_seed(seed)
        options: dict[str, Any] = {"steps": steps, "rtol": rtol, "eps": self.eps}
        n = min(self.parameters, self.outputs)
        start = torch.randn(n, generator=generator, dtype=torch.float64).to(self._d.device)
        try:
            if self.outputs <= self.parameters:
                return extremes(self.at_output, self.kernel, start, **options)
            return extremes(self.gauss_newton, lambda u: self._d * u, start, **options)
        except UnsupportedModuleError as err:
            raise NoCurvatureError(
                str(err).replace("; use method='dense', which", ", and")
            ) from err


def hessian_extremes(
    bench: Bench, scales: list[torch.Tensor | float], *, steps: int, rtol: float, seed: int
) -> tuple[Extreme, Extreme]:
    """The ends of the spectrum of D times the Hessian of the loss itself."""
    parameters = bench.parameters
    value = bench.loss_of(_twice(bench))
    grads = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
    used = [(g, i) for i, g in enumerate(grads) if g is not None and g.requires_grad]
    eps = max(torch.finfo(p.dtype).eps for p in parameters)

    def product(u: torch.Tensor) -> torch.Tensor:
        parts = split(u, parameters)
        found = torch.autograd.grad(
            [g for g, _ in used], parameters, [parts[i] for _, i in used],
            retain_graph=True, allow_unused=True,
        )  # fmt: skip
        return joined(found, parameters)

    d = torch.cat(
        [
            torch.as_tensor(s, dtype=torch.float64).expand(p.shape).reshape(-1).to(p.device)
            for s, p in zip(scales, parameters, strict=True)
        ]
    )
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(len(d), generator=generator, dtype=torch.float64).to(d.device)
    if not used:
        zero = Extreme(0.0, 0.0, 0, True)
        return zero, zero
    return extremes(product, lambda u: d * u, start, steps=steps, rtol=rtol, eps=eps)


def _slopes(loss: torch.Tensor, leaves: list[torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
    """Derivatives of the loss that can be differentiated again; None where it reads nothing."""
    if not loss.requires_grad:
        return (None,) * len(leaves)
    found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
        loss, leaves, create_graph=True, allow_unused=True
    )
    return found


def _twice(bench: Bench) -> Any:
    """A forward pass of operations that can be differentiated twice: fused attention cannot."""
    with sdpa_kernel(SDPBackend.MATH):
        return bench.output()


def _outputs(out: Any) -> list[torch.Tensor]:
    """Floating tensors of the output that the parameters have made."""
    found = [t for t in batches.tensors(out) if t.is_floating_point() and t.requires_grad]
    if not found:
        raise NoCurvatureError(
            "what the model returns does not depend on a parameter differentiably."
        )
    return found


def _detached(out: Any) -> tuple[list[torch.Tensor], Any]:
    """Leaves in place of those tensors, and the output rebuilt with them."""
    leaves: list[torch.Tensor] = []

    def rebuilt(x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            if not (x.is_floating_point() and x.requires_grad):
                return x
            leaves.append(x.detach().clone().requires_grad_())
            return leaves[-1]
        if isinstance(x, Mapping):
            pairs = {key: rebuilt(value) for key, value in x.items()}
            return pairs if type(x) is dict else type(x)(**pairs)
        if isinstance(x, tuple) and type(x) is not tuple:
            return type(x)(*(rebuilt(v) for v in x))
        if isinstance(x, (list, tuple)):
            return type(x)(rebuilt(v) for v in x)
        return x

    seen = rebuilt(out)
    return leaves, seen
