r"""How mean squares vary over a large image because convolutions see zeros beyond its edge.

The lattice holds what typical positions have in common; a profile :math:`r_t` of mean 1 says how
the mean square varies over all positions, and :math:`p_t` the same for gradients,

.. math:: r'_o \propto \sum_b r_{s o + d b}, \qquad p_t \propto \sum_{o, b:\,s o + d b = t} p'_o .

Signals and gradients are both smaller near an edge, so that the fraction of products that zeros
take away is smaller than that of the taps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chione.base import Array


@dataclass(frozen=True)
class Reads:
    """Which positions the outputs of a convolution read, axis by axis.

    Parameters
    ----------
    before, after : tuple of int
        Grids of input and output.
    kernel, stride, dilation, padding : tuple of int
        Geometry of each axis.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]

    def forward(self, profile: Array | None) -> tuple[float, Array]:
        """Fraction of the mean square that the taps see on average, and the profile behind."""
        out = np.ones(self.before) if profile is None else profile
        for axis, matrix in enumerate(self._matrices):
            out = np.moveaxis(np.tensordot(matrix, out, (1, axis)), 0, axis)
        seen = float(out.mean())
        return seen, out / seen

    def backward(self, profile: Array | None) -> tuple[float, Array]:
        """The same for gradients, which outputs send to what they read."""
        out = np.ones(self.after) if profile is None else profile
        for axis, matrix in enumerate(self._matrices):
            out = np.moveaxis(np.tensordot(matrix.T, out, (1, axis)), 0, axis)
        size = float(out.mean())
        return size * out.size / float(np.prod(self.after)), out / size

    @property
    def _matrices(self) -> list[Array]:
        parts = zip(
            self.before, self.after, self.kernel, self.stride, self.dilation, self.padding,
            strict=True,
        )  # fmt: skip
        return [_matrix(*part) for part in parts]


@lru_cache(maxsize=256)
def _matrix(n: int, outputs: int, kernel: int, stride: int, dilation: int, padding: int) -> Array:
    """Shares of the taps of each output, (outputs, n)."""
    at = np.arange(outputs)[:, None] * stride + np.arange(kernel) * dilation - padding
    out = np.zeros((outputs, n))
    rows, taps = np.nonzero((at >= 0) & (at < n))
    np.add.at(out, (rows, at[rows, taps]), 1.0 / kernel)
    return out
