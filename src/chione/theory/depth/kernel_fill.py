"""Matrices of kernels from one compiled function of the correlation, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, Estimate, Status
from chione.networks import MLP
from chione.theory.depth.depth_kernel import CLOSE, DepthKernel
from chione.theory.depth.kernel_mixed import kernel_of_pairs
from chione.theory.depth.pair_inputs import FirstLayer, Pairs

Index = tuple[NDArray[np.intp], ...]

_BLOCK = 1 << 20  # entries at a time: some 8 MB an array
_PAIRS = 1 << 14  # pairs at a time that are followed layer by layer


@dataclass(frozen=True)
class CompiledKernel:
    """A compiled kernel with the last length, which it is relative to, and the first one."""

    kernel: DepthKernel
    last: float
    first: float


class Tabulated:
    r"""Fills the matrix of one pair of arrays of inputs.

    Pairs that are nearly opposite, and nearly equal ones where chaos is steeper than the table
    resolves, are followed layer by layer from 1 - \|c\|.

    Parameters
    ----------
    network : MLP
        The network.
    a, b : ndarray
        Inputs, one a row.
    same : bool
        Whether both are the same array.
    table : CompiledKernel
        The compiled kernel.
    """

    def __init__(self, network: MLP, a: Array, b: Array, same: bool, table: CompiledKernel) -> None:
        self._network, self._same, self._table = network, same, table
        self._inputs = a, b
        self._first = FirstLayer(a, b, network.sigma_w, network.sigma_b)

    def equal(self) -> Estimate:
        """Inputs of one norm: c of the first layer is affine in the inner product."""
        a, b = self._inputs
        scale = self._network.sigma_w**2 / (a.shape[1] * self._table.first)
        return self._fill(scale * a, b, self._network.sigma_b**2 / self._table.first, None)

    def homogeneous(self, a_norm: Array, b_norm: Array) -> Estimate:
        """Any norms: the kernel of the directions times both lengths."""
        d = self._inputs[0].shape[1]
        roots = np.sqrt(a_norm), np.sqrt(b_norm)
        with np.errstate(divide="ignore", invalid="ignore"):
            one, two = (
                np.where(r[:, None] > 0.0, x / r[:, None], 0.0)
                for r, x in zip(roots, self._inputs, strict=True)
            )
        return self._fill(one / d, two, 0.0, roots)

    def _fill(
        self, left: Array, right: Array, offset: float, roots: tuple[Array, Array] | None
    ) -> Estimate:
        n1, n2 = len(left), len(right)
        out = np.empty((n1, n2))
        top = 1.0 if roots is None else float(roots[0].max() * roots[1].max())
        plain = (self._table.kernel.error + self._rounding()) * self._table.last * top
        error = np.broadcast_to(plain, out.shape)
        for rows in _blocks(n1, n2):
            first = rows.start if self._same else 0
            c = left[rows] @ right[first:].T
            if offset:
                c += offset
            values = self._table.kernel.values(c)
            values *= self._table.last
            apart = self._near(c, values, rows, first)
            scales = (1.0, 1.0) if roots is None else (roots[0][rows, None], roots[1][None, first:])
            if roots is not None:
                values *= scales[0]
                values *= scales[1]
            if self._same:  # rounding of the product may differ across the diagonal
                square = values[:, : rows.stop - rows.start]
                square[:] = np.tril(square) + np.tril(square, -1).T
            out[rows, first:] = values
            if self._same:
                out[first:, rows] = values.T
            for near, own in apart:
                if not error.flags.writeable:
                    error = np.full(out.shape, plain)
                i, j = near[0] + rows.start, near[1] + first
                if roots is not None:
                    own = own * roots[0][i] * roots[1][j]
                error[i, j] = own
                if self._same:
                    error[j, i] = own
        return Estimate(out, error, np.broadcast_to(np.int8(Status.OK), out.shape))

    def _near(self, c: Array, values: Array, rows: slice, first: int) -> list[tuple[Index, Array]]:
        """Replace the values of nearly equal and opposite pairs; errors of those with their own."""
        kernel, own = self._table.kernel, []
        for near, sign in (
            (np.nonzero(c > 1.0 - CLOSE), 1.0),
            (np.nonzero(c < kernel.opposite - 1.0), -1.0),
        ):
            if not near[0].size:
                continue
            i, j = near[0] + rows.start, near[1] + first
            gap = self._first.gap(i, j)
            if self._same:
                gap[i == j] = 0.0
            if sign > 0.0 and self._table_is_close:
                values[near] = kernel.close(gap) * self._table.last
                continue
            error = 4.0 * self._first.noise * gap
            none = np.zeros_like(gap)
            pairs = Pairs(gap, np.full_like(gap, sign), error, none, none)
            values[near], found = self._followed(pairs)
            own.append((near, found))
        return own

    @property
    def _table_is_close(self) -> bool:
        """Whether the table is as good next to c = 1 as elsewhere."""
        kernel = self._table.kernel
        return bool(kernel.close_error <= 4.0 * kernel.error)

    def _followed(self, pairs: Pairs) -> tuple[Array, Array]:
        value, error = (np.empty_like(pairs.gap) for _ in range(2))
        for start in range(0, len(pairs.gap), _PAIRS):
            part = slice(start, start + _PAIRS)
            some = Pairs(*(x[part] for x in pairs.parts))
            value[part], error[part] = kernel_of_pairs(
                self._network,
                self._table.first,
                self._first.relative,
                some,
                with_ntk=self._table.kernel.with_ntk,
            )
        return value, error

    def _rounding(self) -> float:
        """What rounding of c makes of the kernel where c itself is used, and of 1 - c elsewhere."""
        kernel = self._table.kernel
        steep = 0.0
        for low, sign in ((CLOSE, 1.0), (kernel.opposite, -1.0)):
            gap = np.geomspace(low, 1.0, 40)
            values = kernel.values(sign * (1.0 - gap))
            steep = max(steep, float(np.abs(np.diff(values) / np.diff(gap)).max()))
        close = max(0.0, kernel.close_error - kernel.error) if self._table_is_close else 0.0
        return float(close + 2.0 * self._first.noise * (steep + kernel.scale))


def _blocks(n1: int, n2: int) -> Iterator[slice]:
    step = max(1, min(256, _BLOCK // max(1, n2)))
    for start in range(0, n1, step):
        yield slice(start, min(start + step, n1))
