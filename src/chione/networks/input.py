"""What enters a network: shape and second moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from chione.base import Array, checks, cost
from chione.networks.layer import Shape, count

Gram = tuple[tuple[float, ...], ...]
_PAIR: Gram = ((1.0, 0.5), (0.5, 1.0))
_HELD = 1.6e-8  # gigabytes an entry: the matrix, and a copy while it is made
_ROUNDING = 1e-9  # a negative eigenvalue beside the largest that rounding may leave


@final
@dataclass(frozen=True)
class Input:
    r"""Inputs x[a, t, i] of a network: input a, position t, channel i.

    .. math:: \frac1n \sum_i x_i(a, t)\,x_i(b, s) = A_{ab}\,B_{ts}, \qquad \sum_i x_i(a, t) = 0

    Parameters
    ----------
    width : int
        Number n of channels.
    grid : tuple of int
        Extents of the axes of positions, ``()`` for vectors.
    inputs : matrix
        Second moments A of the inputs; two of mean square 1 and correlation 1/2 by default.
    positions : matrix or float
        Second moments B of the positions, or the correlation of any two different ones.
    """

    width: int = 512
    grid: tuple[int, ...] = ()
    inputs: Gram = _PAIR
    positions: Gram | float = 0.0

    def __post_init__(self) -> None:
        given: Any = self.grid
        given = (given,) if isinstance(given, int) else given
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"grid must be a list of integers, but it is {given!r:.60}.")
        values: dict[str, Any] = {
            "width": count("width", self.width),
            "grid": tuple(count(f"grid[{i}]", n) for i, n in enumerate(given)),
            "inputs": as_gram("inputs", self.inputs),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if np.ndim(np.asarray(self.positions, dtype=object)) == 0:
            object.__setattr__(self, "positions", self._exchangeable())
        else:
            gram = as_gram("positions", self.positions)
            if len(gram) != self.shape.positions:
                raise ValueError(
                    f"positions must be a matrix of {self.shape.positions} rows, one for each "
                    f"position of the grid, but it has {len(gram)}."
                )
            object.__setattr__(self, "positions", gram)

    def _exchangeable(self) -> float:
        rho = float(checks.correlation("positions", checks.finite("positions", self.positions)))
        least = -1.0 / max(self.shape.positions - 1, 1)
        if rho < least:
            raise ValueError(
                f"positions: {self.shape.positions} positions cannot all have the correlation "
                f"{rho} with each other; {least:.3g} is the least."
            )
        return rho

    @property
    def shape(self) -> Shape:
        """Channels and grid."""
        return Shape(self.width, self.grid)

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.inputs)

    def second_moments(self) -> Array:
        """The matrix over inputs and positions, inputs slowest: shape (count P, count P).

        Raises
        ------
        CostError
            If it is larger than the limits of cost allow.
        """
        n = self.shape.positions
        sites = float(self.count * n)
        cost.check(
            f"a matrix of the second moments of {sites:.6g} inputs and positions",
            seconds=0.0,
            gigabytes=_HELD * sites**2,
            fits="fewer inputs or positions",
        )
        rho = self.positions
        among = (1.0 - rho) * np.eye(n) + rho if isinstance(rho, float) else np.array(rho)
        return np.kron(np.array(self.inputs), among)


def as_gram(name: str, x: Any) -> Gram:
    """A matrix of second moments: symmetric, no negative eigenvalue."""
    if isinstance(x, (list, tuple)):
        _check_rows(name, x)
    a = checks.real_array(name, x)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.size == 0:
        raise ValueError(f"{name} must be a square matrix, but its shape is {a.shape}.")
    if not np.array_equal(a, a.T):
        raise ValueError(f"{name} must be symmetric; write (A + A.T) / 2 if rounding is to blame.")
    eigenvalues = np.linalg.eigvalsh(a)
    if eigenvalues[0] < -_ROUNDING * max(eigenvalues[-1], 0.0) or np.any(np.diag(a) < 0.0):
        raise ValueError(
            f"{name} must be a matrix of second moments, without negative eigenvalues, but one is "
            f"{eigenvalues[0]:.3g}."
        )
    return tuple(tuple(row) for row in a.tolist())


def _check_rows(name: str, rows: list[Any] | tuple[Any, ...]) -> None:
    """Refuse lists that are no rows of numbers of one length."""
    for i, row in enumerate(rows):
        if not isinstance(row, (list, tuple)):
            continue
        if len(row) != len(rows):
            raise ValueError(
                f"{name} must be a square matrix of {len(rows)} rows, but row {i} has {len(row)} "
                f"entries."
            )
        for j, entry in enumerate(row):
            if entry is None or isinstance(entry, (bool, str, dict, list, tuple)):
                raise TypeError(f"{name}[{i}][{j}] must be a number, but it is {entry!r:.60}.")
