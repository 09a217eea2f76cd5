"""Inputs of simulated networks: given by the user, or with lengths and correlations as asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import Array, checks
from chione.simulation.costs import check_inputs as check_cost
from chione.simulation.streams import Purpose, entropy, stream


def correlated_inputs(width: int, gram: Any, *, seed: int | None = 0) -> Array:
    r"""Inputs in random directions with exactly the mean squares and products asked for.

    .. math:: \frac{1}{N} \sum_i x_{a i} x_{b i} = G_{ab}

    Parameters
    ----------
    width : int
        Size N of each input, at least the number of inputs (of the rank of `gram`, precisely).
    gram : array_like, shape (B, B)
        Symmetric, positive semidefinite matrix G of mean products.
    seed : int or None
        Seed of the directions.

    Returns
    -------
    ndarray, shape (B, N)

    Raises
    ------
    ValueError
        If `gram` is not square, symmetric and positive semidefinite, or its rank exceeds `width`.
    """
    n = checks.integer("width", width)
    g = checks.real_array("gram", gram)
    if g.ndim != 2 or g.shape[0] != g.shape[1] or not np.allclose(g, g.T, rtol=1e-12, atol=0.0):
        raise ValueError(f"gram must be a symmetric square matrix, but its shape is {g.shape}.")
    values, vectors = np.linalg.eigh(g)
    floor = 1e-12 * max(float(values[-1]), 0.0)
    if values[0] < -floor:
        raise ValueError(
            f"gram must be positive semidefinite, but its smallest eigenvalue is {values[0]:.3g}; "
            "no inputs have such correlations."
        )
    kept = values > floor
    rank = int(kept.sum())
    if rank > n:
        raise ValueError(f"gram has rank {rank}, so inputs need width {rank} or more, not {n}.")
    root = np.sqrt(values[kept])[:, None] * vectors[:, kept].T  # (rank, B), root^T root = G
    check_cost(n, max(rank, 1))
    directions = stream(entropy(seed), 0, 0, Purpose.INPUTS).standard_normal((n, rank))
    frame, _ = np.linalg.qr(directions)  # (N, rank)
    return np.asarray(np.sqrt(n) * (frame @ root).T)


def input_pair(width: int, *, q0: float = 1.0, c0: float = 0.5, seed: int | None = 0) -> Array:
    """Two inputs of mean square `q0` and correlation `c0`: the default of :func:`simulate`."""
    q = checks.non_negative("q0", q0)
    c = float(checks.correlation("c0", c0))
    return correlated_inputs(width, [[q, q * c], [q * c, q]], seed=seed)


def check_inputs(inputs: Any, width: int) -> Array:
    """The user's inputs as float64 (B, N_0).

    Raises
    ------
    TypeError, ValueError
        If they are not finite real numbers of shape (B, N_0).
    """
    x = np.atleast_2d(checks.real_array("inputs", inputs))
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] != width:
        raise ValueError(
            f"inputs must have shape (number of inputs, {width}), one row for each input, "
            f"but their shape is {np.shape(inputs)}; the network's input_width is {width}."
        )
    return x
