r"""Large matrices whose eigenvalues follow a measure: what the free theory is checked against.

A law without parts becomes a diagonal matrix of its quantiles; parts of a sum, a product or a
power become independently rotated matrices,

.. math:: \sum_i Q_i A_i Q_i^T, \qquad A^{1/2}\, Q B Q^T A^{1/2}, \qquad Q_i \text{ Haar orthogonal}

which are free of each other as the size grows.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from chione.base import EPS, Array, SpecError, checks, cost
from chione.freeprob import Measure, as_measure
from chione.freeprob.dilation import Dilated
from chione.freeprob.free_power import AbstractNamedLaw
from chione.freeprob.free_product import FreeProduct
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.measures import AbstractMeasure
from chione.simulation.costs import number
from chione.simulation.streams import Purpose, entropy, stream

_FLOP = 1.5e-10  # s for a multiplication and an addition of large matrices
_ROTATION = 6.0  # multiplications of matrices that one rotated part costs, its QR included
_MOST = 10**4  # parts of one matrix
_ROUNDING = 100.0  # units of rounding, times the size, within which an eigenvalue is an atom's


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
    a = matrix_of(law, n, stream(entropy(seed), 0, 0, Purpose.WEIGHTS))
    if a.ndim == 1:
        return np.sort(a)
    return np.asarray(np.linalg.eigvalsh(0.5 * (a + a.T)), dtype=np.float64)


def compare_free(measure: Any, eigenvalues: Array) -> float:
    r"""Largest distance of the eigenvalues' distribution function from that of the measure.

    .. math:: D = \sup_x |F_n(x) - F(x)|

    Eigenvalues within rounding of a point mass are taken to lie on it; those within rounding of 0,
    below which a matrix tells nothing, count together.
    """
    x = np.sort(checks.real_array("eigenvalues", eigenvalues))
    law = as_measure(measure)
    atoms = np.array(law.atoms, dtype=np.float64).reshape(-1, 2)
    rounding = _ROUNDING * x.size * EPS
    size = max(float(abs(x).max()), float(abs(atoms[:, 0]).max(initial=0.0)))
    if atoms.size:
        near = atoms[np.argmin(abs(x[:, None] - atoms[:, 0]), axis=1), 0]
        x = np.where(abs(x - near) <= rounding * size, near, x)
    floor = EPS * x.size * size
    x = np.sort(np.where(abs(x) <= floor, floor, x))
    x, count = np.unique(x, return_counts=True)
    upto = np.cumsum(count) / np.sum(count)
    below = np.concatenate([[0.0], upto[:-1]])
    f = np.asarray(law.cdf(x).value)
    left = f - np.array([np.sum(atoms[atoms[:, 0] == place, 1]) for place in x])
    left[x == floor] = float(law.cdf(-floor).value)
    return float(max(np.max(abs(f - upto)), np.max(abs(left - below))))


def _check(law: AbstractMeasure, n: int) -> None:
    parts, side = rotations(law), number(n)
    if parts > _MOST:
        raise SpecError(
            f"a matrix may have {_MOST} rotated parts, but this measure needs {parts:g}."
        )
    seconds = (_ROTATION * parts + 2.0) * side**3 * _FLOP
    fits = max(2, int(side * (cost.allowed() * cost.SECONDS / seconds) ** (1.0 / 3.0)))
    cost.check(
        f"a matrix of size {n} with {parts:g} rotated parts",
        seconds=seconds,
        gigabytes=6.0 * 8.0 * side**2 / 1e9,
        fits=f"a size of {fits} fits",
    )


@singledispatch
def rotations(law: AbstractMeasure) -> float:
    """How many rotated matrices of the whole size a matrix of this law costs."""
    return 0.0


@rotations.register
def _(law: FreeSum) -> float:
    # a power between 1 and 2 is the corner of a matrix of up to twice the size
    own = float(sum(np.floor(t) + 8.0 * (t % 1.0 > 0.0) for t in law.times))
    return own + sum(rotations(part) * t for part, t in _pairs(law))


@rotations.register
def _(law: FreeProduct) -> float:
    return sum(t * (2.0 + rotations(part)) for part, t in _pairs(law))


@rotations.register
def _(law: AbstractNamedLaw) -> float:
    return rotations(law.answer)


@rotations.register
def _(law: Dilated) -> float:
    return rotations(law.base)


def _pairs(law: FreeSum | FreeProduct) -> list[tuple[AbstractMeasure, float]]:
    return list(zip(law.parts, law.times, strict=True))


@singledispatch
def matrix_of(law: AbstractMeasure, n: int, rng: np.random.Generator) -> Array:
    """A symmetric matrix of this law, or its diagonal where it is diagonal."""
    value = Measure(law).quantile((np.arange(n) + 0.5) / n).value
    return np.asarray(value, dtype=np.float64)


@matrix_of.register
def _(law: Dilated, n: int, rng: np.random.Generator) -> Array:
    a = law.factor * matrix_of(law.base, n, rng)
    if a.ndim == 1:
        return a + law.offset
    a[np.diag_indices(n)] += law.offset
    return np.asarray(a)


@matrix_of.register
def _(law: AbstractNamedLaw, n: int, rng: np.random.Generator) -> Array:
    return matrix_of(law.answer, n, rng)


@matrix_of.register
def _(law: FreeSum, n: int, rng: np.random.Generator) -> Array:
    total = np.zeros((n, n))
    for part, t in _pairs(law):
        rest = t % 1.0
        for _ in range(int(t) - (rest > 0.0)):
            total += _rotated(matrix_of(part, n, rng), rng)
        if rest > 0.0:  # mu^t is t times the corner of share 1/t
            power = 1.0 + rest
            big = round(power * n)
            total += power * _rotated(matrix_of(part, big, rng), rng)[:n, :n]
    return total


@matrix_of.register
def _(law: FreeProduct, n: int, rng: np.random.Generator) -> Array:
    whole = np.ones(n)
    for part, t in _pairs(law):
        if t % 1.0:
            raise SpecError(
                f"no product of matrices has the free multiplicative power {t:g}; take a whole "
                "number, or leave the matrix out."
            )
        for _ in range(int(t)):
            root = _root(_rotated(matrix_of(part, n, rng), rng))
            whole = root @ (whole[:, None] * root if whole.ndim == 1 else whole @ root)
    return np.asarray(whole)


def _root(a: Array) -> Array:
    """The symmetric square root of a matrix without negative eigenvalues but for rounding."""
    values, vectors = np.linalg.eigh(a)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _rotated(a: Array, rng: np.random.Generator) -> Array:
    """Q A Q^T with a Haar orthogonal Q; A is a matrix, or its diagonal."""
    n = a.shape[0]
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    q *= np.sign(np.diag(r))  # the sign that makes Q Haar
    return np.asarray((q * a) @ q.T if a.ndim == 1 else q @ a @ q.T)
