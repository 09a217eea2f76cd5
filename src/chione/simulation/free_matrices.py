r"""Large matrices whose eigenvalues follow a measure: what the free theory is checked against.

A law without parts becomes a diagonal matrix of its quantiles; parts of a sum, a product or a
power become independently rotated matrices,

.. math:: \sum_i Q_i A_i Q_i^T, \qquad A^{1/2}\, Q B Q^T A^{1/2}, \qquad Q_i \text{ Haar orthogonal}

which are free of each other as the size grows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import Array, SpecError, checks, cost
from chione.freeprob import Measure, as_measure
from chione.freeprob.measures import AbstractMeasure
from chione.simulation.costs import number
from chione.simulation.streams import Purpose, entropy, stream

_FLOP = 1.5e-10  # s for a multiplication and an addition of large matrices
_ROTATION = 6.0  # multiplications of matrices that one rotated part costs, its QR included
_MOST = 10**4  # parts of one matrix


def sample_free(
    measure: Any, *, size: int = 500, seed: int | None = 0, effort: float = 1.0
) -> Array:
    r"""Eigenvalues of one large matrix that is built the way the measure is.

    Parameters
    ----------
    measure : Measure, law, array of eigenvalues, or with ``to_measure()``
        What to draw.
    size : int
        Number n of eigenvalues.
    seed : int or None
        Seed of the rotations.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    ndarray, shape (n,)
        The eigenvalues, rising. Their distribution function differs from that of the measure by
        about 1/n.

    Raises
    ------
    SpecError
        For powers that no sum or product of matrices has.
    CostError
        If it would take more than `effort` allows.
    """
    law = as_measure(measure).law
    n = checks.integer("size", size, minimum=2)
    with cost.allowing(effort):
        _check(law, n)
    rng = stream(entropy(seed), 0, 0, Purpose.WEIGHTS)
    if not _rotations(law):
        return np.sort(_quantiles(law, n))
    return np.asarray(np.linalg.eigvalsh(_matrix(law, n, rng)), dtype=np.float64)


def _check(law: AbstractMeasure, n: int) -> None:
    parts, side = _rotations(law), number(n) * _largest(law)
    seconds = (_ROTATION * parts + 2.0) * side**3 * _FLOP
    cost.check(
        f"a matrix of size {n} with {parts} rotated parts",
        seconds=seconds,
        gigabytes=6.0 * 8.0 * side**2 / 1e9,
        fits=f"a size of {max(2, int(n * (cost.allowed() * cost.SECONDS / seconds) ** (1 / 3)))} "
        "fits",
    )
    if parts > _MOST:
        raise SpecError(f"a matrix may have {_MOST} rotated parts, but it would have {parts}.")


def _quantiles(law: AbstractMeasure, n: int) -> Array:
    """The n middles of equal shares of the law."""
    value = Measure(law).quantile((np.arange(n) + 0.5) / n).value
    return np.asarray(value, dtype=np.float64)


def _rotated(a: Array, rng: np.random.Generator) -> Array:
    """Q A Q^T with a Haar orthogonal Q; A is a matrix, or its diagonal."""
    n = a.shape[0]
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    q *= np.sign(np.diag(r))  # the sign that makes Q Haar
    return np.asarray((q * a) @ q.T if a.ndim == 1 else q @ a @ q.T)
