"""Jacobians as operators: products with them and their transposes, matrix-free."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import torch

from chione.base import UnsupportedModuleError

_NO_JACOBIAN = (
    "the output does not depend on the input by differentiable operations, so there "
    "is no Jacobian; check for detach, no_grad or integer inputs."
)

_ROWS_BYTES = 1 << 28  # memory for rows that are computed side by side
_TEMPORARIES = 4  # a step of the backward pass holds about so many tensors of its own size


class JacobianOperator:
    r"""Products with :math:`J = \partial y / \partial x` at one point.

    Vectors are float64 and flat, the leaves and the outputs one after another.

    Parameters
    ----------
    leaves : sequence of Tensor
        The inputs x, leaves that require gradients.
    outputs : sequence of Tensor
        The outputs y, computed from them.
    of : str
        What the inputs are, for the reader.
    widest : int
        Entries of the largest tensor on the way, as far as known: it bounds the memory of
        :meth:`dense`.
    """

    def __init__(
        self,
        leaves: Sequence[torch.Tensor],
        outputs: Sequence[torch.Tensor],
        of: str = "",
        widest: int = 0,
    ) -> None:
        self.of, self._widest = of, widest
        self._x, self._y = tuple(leaves), tuple(outputs)
        self.inputs = sum(x.numel() for x in self._x)
        self.outputs = sum(y.numel() for y in self._y)
        # Rounding is that of the coarsest precision on the way.
        kinds = (*self._x, *self._y)
        self.dtype = max((t.dtype for t in kinds), key=lambda kind: torch.finfo(kind).eps)
        self.device = self._y[0].device
        self.products = 0
        self._checked = False
        # J^T w is linear in w, so its derivative with respect to w is J: one backward pass through
        # the backward pass gives J u for every operation that can be differentiated twice.
        self._w = tuple(torch.zeros_like(y, requires_grad=True) for y in self._y)
        pulled = torch.autograd.grad(
            self._y, self._x, self._w, create_graph=True, allow_unused=True
        )
        if all(p is None for p in pulled):
            raise ValueError(_NO_JACOBIAN)
        # the map is constant in w only where J = 0
        used = ((i, p) for i, p in enumerate(pulled) if p is not None and p.requires_grad)
        self._pulled = dict(used)

    @property
    def start(self) -> torch.Tensor:
        """The inputs themselves, float64, shape (inputs,)."""
        return joined(self._x, self._x)

    def transposed(self, v: torch.Tensor) -> torch.Tensor:
        """J^T v, float64, shape (inputs,)."""
        self.products += 1
        w = split(v, self._y)
        found = torch.autograd.grad(self._y, self._x, w, retain_graph=True, allow_unused=True)
        return joined(found, self._x)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """J u, float64, shape (outputs,)."""
        self.products += 1
        directions = split(u, self._x)
        if not self._pulled:
            return torch.zeros(self.outputs, dtype=torch.float64, device=self.device)
        try:
            if not self._checked:
                _check_twice(self._pulled.values())
                self._checked = True
            found = torch.autograd.grad(
                tuple(self._pulled.values()),
                self._w,
                tuple(directions[i] for i in self._pulled),
                retain_graph=True,
                allow_unused=True,
            )
        except RuntimeError as err:
            raise UnsupportedModuleError(
                f"an operation of the model cannot be differentiated twice ({err}); use "
                "method='dense', which needs products with the transpose only."
            ) from err
        return joined(found, self._y)

    def dense(self) -> torch.Tensor:
        """The matrix itself, (outputs, inputs), float64.

        Many rows are computed side by side. A backward pass that is mapped over vectors is not
        possible through every operation; where it fails, or does not agree with the pass of one
        vector, the rows are computed one by one.
        """
        widest = max(self._widest, self.inputs, self.outputs)
        rows = _ROWS_BYTES // (_TEMPORARIES * widest * self._y[0].element_size())
        if min(rows, self.outputs) > 1:
            side_by_side = self._side_by_side(rows)
            if side_by_side is not None:
                return side_by_side
        matrix = torch.empty(self.outputs, self.inputs, dtype=torch.float64, device=self.device)
        for i in range(self.outputs):
            v = torch.zeros(self.outputs, dtype=torch.float64, device=self.device)
            v[i] = 1.0
            matrix[i] = self.transposed(v)
        return matrix

    def _side_by_side(self, rows: int) -> torch.Tensor | None:
        """The matrix by mapped backward passes, or None where that cannot be trusted."""
        matrix = torch.empty(self.outputs, self.inputs, dtype=torch.float64, device=self.device)
        try:
            for first in range(0, self.outputs, rows):
                part = matrix[first : first + rows]
                self._pull_rows(first, part)
        except Exception:
            return None  # what is truly wrong shows again, one by one
        # An operation that vmap misreads shows in the sum of the rows with random signs.
        signs = torch.randint(0, 2, (self.outputs,), generator=torch.Generator().manual_seed(0))
        v = (2.0 * signs - 1.0).to(self.device, torch.float64)
        one, sums = self.transposed(v), v @ matrix
        size = torch.linalg.vector_norm(matrix)
        wrong = torch.linalg.vector_norm(one - sums)
        agrees = wrong <= 100.0 * torch.finfo(self.dtype).eps * self.outputs**0.5 * size
        return matrix if agrees or not torch.isfinite(size) else None

    def _pull_rows(self, first: int, part: torch.Tensor) -> None:
        """Write rows `first`, `first` + 1, ... of the matrix into `part`."""
        count = part.shape[0]
        unit = torch.zeros(count, self.outputs, device=self.device, dtype=torch.bool)
        unit.diagonal(first).fill_(1)
        sizes = [y.numel() for y in self._y]
        w = tuple(
            u.reshape(count, *y.shape).to(y)
            for u, y in zip(torch.split(unit, sizes, dim=1), self._y, strict=True)
        )
        with warnings.catch_warnings():  # of operations that vmap takes one by one
            warnings.simplefilter("ignore", UserWarning)
            found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
                self._y, self._x, w, retain_graph=True, allow_unused=True, is_grads_batched=True
            )
        at = 0
        for x, g in zip(self._x, found, strict=True):
            own = part[:, at : at + x.numel()]
            if g is None:
                own.zero_()
            else:
                own.copy_((g.to_dense() if g.is_sparse else g).detach().reshape(count, -1))
            at += x.numel()
        self.products += count


def _check_twice(pulled: Iterable[torch.Tensor]) -> None:
    """Refuse a graph with an operation that has no second derivative; its part would be lost."""
    waiting = [p.grad_fn for p in pulled]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == "Error":  # what once_differentiable leaves behind
            raise RuntimeError("it is marked once_differentiable")
        waiting += [after for after, _ in node.next_functions]


def split(flat: torch.Tensor, like: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """A flat vector in the shapes, precisions and places of tensors."""
    parts = torch.split(flat, [t.numel() for t in like])
    return tuple(part.reshape(t.shape).to(t) for part, t in zip(parts, like, strict=True))


def joined(parts: Sequence[torch.Tensor | None], like: Sequence[torch.Tensor]) -> torch.Tensor:
    """Tensors as one flat float64 vector on the place of the first; zeros where one is missing."""
    device = like[0].device
    flat = [
        torch.zeros(t.numel(), dtype=torch.float64, device=device)
        if part is None
        else (part.to_dense() if part.is_sparse else part)
        .detach()
        .reshape(-1)
        .to(device, torch.float64)
        for part, t in zip(parts, like, strict=True)
    ]
    return torch.cat(flat)


def orthogonal(
    x: torch.Tensor, basis: Sequence[torch.Tensor], dual: Sequence[torch.Tensor] | None = None
) -> torch.Tensor:
    """Remove the components along a basis, twice, which is enough (Kahan).

    With `dual` the basis is orthonormal in an inner product M, and `dual` holds M times its
    vectors.
    """
    if not basis:
        return x
    q = torch.stack(list(basis))  # (k, n)
    p = q if dual is None else torch.stack(list(dual))
    for _ in range(2):
        x = x - q.T @ (p @ x)
    return x
