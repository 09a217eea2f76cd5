"""Inputs with positions whose second moments are exactly those of a description."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from chione.base import Array, checks, cost
from chione.networks import Input, Network
from chione.simulation.costs import check_inputs as check_cost
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import orthonormal_frame

_EIGEN = 1e-9  # s a size cubed for eigenvalues and vectors
_COPIES = 5.0  # matrices at a time
_DEPENDENT = 1e-12  # eigenvalues below this times the largest are directions that are not there


def frame(entering: Input, replicas: int, seed: int, network: int) -> Array:
    """The inputs of network number `network`, see :func:`drawn_frame`."""
    return drawn_frame(entering, replicas, stream(seed, network, 0, Purpose.INPUTS))


def drawn_frame(entering: Input, replicas: int, rng: np.random.Generator) -> Array:
    r"""Copies of the inputs in random directions, all copies orthogonal to each other.

    .. math:: \frac1n \sum_i x_i(r, a, t)\, x_i(r', b, s) = \delta_{r r'} K_{at, bs}, \qquad
       \sum_i x_i(r, a, t) = 0

    Returns
    -------
    ndarray, shape (replicas, inputs, positions, channels)
    """
    n = entering.width
    x = _exact(_root(entering), n, replicas, rng)
    return x.reshape(replicas, entering.count, entering.shape.positions, n)


def drawn_vectors(gram: Array, n: int, replicas: int, rng: np.random.Generator) -> Array:
    """Vectors of `n` channels with exactly these second moments, (replicas, inputs, n).

    Where n is too small for that they are Gaussian, with these second moments on average.
    """
    root = _factor(gram)
    if replicas * len(root) + 1 <= n:
        return _exact(root, n, replicas, rng)
    normals = rng.standard_normal((replicas, n, len(root)))
    return np.asarray(np.swapaxes(normals @ root, -1, -2))


def _exact(root: Array, n: int, replicas: int, rng: np.random.Generator) -> Array:
    """Copies with the second moments root^T root, orthogonal to each other: (replicas, ., n)."""
    rank = len(root)
    directions = rng.standard_normal((n, replicas * rank))
    directions -= directions.mean(axis=0)  # orthogonal to the channel mean, so the frame is too
    columns = orthonormal_frame(directions).reshape(n, replicas, rank)
    return np.asarray(np.sqrt(n) * np.einsum("nrk,ka->ran", columns, root))


def check_frames(network: Network, replicas: int) -> None:
    """Refuse inputs, those of memories too, that so few channels cannot have (`check_frame`)."""
    check_frame(network.input, replicas)
    check_memories(network, replicas)


def check_memories(network: Network, replicas: int) -> None:
    """The same for the memories alone."""
    for other in network.memories.values():
        check_frames(other, replicas)


def check_frame(entering: Input, replicas: int) -> None:
    """Refuse inputs that so few channels cannot have.

    Raises
    ------
    ValueError
        With the width that would do.
    CostError
        If they do not fit into memory.
    """
    size = float(entering.count * entering.shape.positions)
    cost.check(
        f"finding {size:.6g} inputs with these second moments",
        seconds=_EIGEN * size**3,
        gigabytes=_COPIES * 8e-9 * size**2,
        fits="inputs= of your own fit",
    )
    check_cost(entering.width, int(size) * replicas)
    needed = _needed(entering, replicas)
    if entering.width < needed:
        raise ValueError(
            f"input: {entering.count} inputs at {entering.shape.positions} positions"
            f"{f' in {replicas} copies' if replicas > 1 else ''} with these second moments and "
            f"channel means of zero need {needed} channels or more, but width is "
            f"{entering.width}; choose a wider input, or hand in inputs= of your own."
        )


def fits(entering: Input, replicas: int = 1) -> bool:
    """Whether the channels are enough for exactly these second moments and means of zero."""
    return entering.width >= _needed(entering, replicas)


def _needed(entering: Input, replicas: int) -> int:
    return replicas * len(_root(entering)) + 1


def given_inputs(inputs: Any, entering: Input) -> Array:
    """The user's inputs as one copy of shape (1, inputs, positions, channels).

    Raises
    ------
    TypeError, ValueError
        If they are not finite real numbers of the shape that the network takes.
    """
    x = checks.real_array("inputs", inputs)
    ends = (*entering.grid, entering.width)
    if x.shape[1:] != ends or len(x) == 0:
        shape = ", ".join(["number of inputs", *map(str, ends)])
        raise ValueError(
            f"inputs must have shape ({shape}), channels last, but their shape is {x.shape}."
        )
    return x.reshape(1, len(x), entering.shape.positions, entering.width)


@lru_cache(maxsize=4)
def _root(entering: Input) -> Array:
    return _factor(entering.second_moments())


def _factor(k: Array) -> Array:
    """R with R^T R = K and as few rows as K has rank."""
    values, vectors = np.linalg.eigh(k)
    kept = values > _DEPENDENT * max(float(values[-1]), 0.0)
    return np.asarray(np.sqrt(values[kept])[:, None] * vectors[:, kept].T)
