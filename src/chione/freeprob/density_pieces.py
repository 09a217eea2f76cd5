r"""A density cut into pieces on which it is a power times a short polynomial.

On an end piece :math:`f = u^{\alpha} p(u)`, u in [0, 1] the distance from the end of the interval
in units of the piece, and :math:`\alpha` in (-1, 0] one of some fractions, which covers roots,
their inverses, and powers of one decimal. Inside the interval alpha is 0.
What no such piece resolves, such as a logarithm, is halved towards the end until its mass is small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import roots_jacobi

from chione.base import EPS, Array, SpecError
from chione.freeprob.measures import Integers

NODES = 16  # coefficients a piece has
_DENOMINATORS = (1, 2, 3, 4, 5, 6, 10)
EXPONENTS = tuple(sorted({Fraction(-k, m) for m in _DENOMINATORS for k in range(m)}, reverse=True))

_X = 0.5 - 0.5 * np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)  # in [0, 1], rising
_FIT = np.linalg.inv(chebyshev.chebvander(2.0 * _X - 1.0, NODES - 1))
_CHECK = np.array([0.013, 0.11, 0.29, 0.47, 0.66, 0.83, 0.97])  # places of a second look
_RESOLVED = 4e-15  # size of a dead coefficient, relative to the largest
_NOISE = 16.0  # roundings of x that f may show
_PARTS = 8  # an interval is cut into so many to begin with
_MAX_PIECES = 3000
_NARROW = 4.0 * EPS  # width, relative to the place, that cannot be halved
_TINY = 1e-70  # width, relative to the interval, at which an end at 0 is left
_TRIAL = 2.0**-6  # part of the interval on which exponents are tried
_LIKELY = 1e-9  # tail at which a trial tells an exponent


@dataclass(frozen=True)
class DensityPieces:
    r"""Pieces of a density.

    Parameters
    ----------
    origin : ndarray, shape (K,)
        Where u = 0.
    far : ndarray, shape (K,)
        Where u = 1; the very number at which the next piece begins.
    exponent : ndarray of int, shape (K,)
        Index of alpha in `EXPONENTS`.
    series : ndarray, shape (K, NODES)
        Coefficients of p in :math:`T_k(2u - 1)`, times |width|, so that
        :math:`f\, dx = u^\alpha p(u)\, du`.
    doubt : ndarray, shape (K,)
        Bound on the error of p.
    """

    origin: Array
    far: Array
    exponent: Integers
    series: Array
    doubt: Array

    @property
    def width(self) -> Array:
        """Far - origin, below 0 where u runs to the left."""
        return np.asarray(self.far - self.origin)

    @property
    def low(self) -> Array:
        """Left ends."""
        return np.minimum(self.origin, self.far)

    @property
    def high(self) -> Array:
        """Right ends."""
        return np.maximum(self.origin, self.far)

    @property
    def alpha(self) -> Array:
        """The exponents."""
        return np.array([float(e) for e in EXPONENTS])[self.exponent]


def cut(f: Callable[[Array], Array], a: float, b: float) -> DensityPieces:
    """Cut [a, b] until f is resolved.

    Raises
    ------
    SpecError
        If f is negative or not finite inside, or more than 3000 pieces would be needed.
    """
    length = b - a
    grid: Array = a + length / _PARTS * np.arange(_PARTS + 1.0)
    grid[-1] = b
    origin, far = grid[:-1].copy(), grid[1:].copy()
    origin[-1], far[-1] = b, grid[-2]
    kind: Integers = np.zeros(_PARTS, dtype=np.intp)
    kind[0], kind[-1] = _exponent(f, a, _TRIAL * length), _exponent(f, b, -_TRIAL * length)
    end = np.isin(np.arange(_PARTS), (0, _PARTS - 1))
    done: list[tuple[Any, ...]] = []
    count = 0
    while origin.size:
        series, tail, noise = _fit(f, origin, far, kind)
        size = np.max(abs(series), axis=1)
        floor = np.where(
            origin == 0.0, _TINY * length, _NARROW * np.maximum(abs(origin), abs(b - a))
        )
        narrow = abs(far - origin) <= floor
        fine = (tail <= _RESOLVED * size + noise) | narrow
        doubt = np.where(narrow & (tail > _RESOLVED * size + noise), size + tail, tail + noise)
        done.append(tuple(x[fine] for x in (origin, far, kind, series, doubt)))
        count += int(fine.sum())
        if count + 2 * int((~fine).sum()) > _MAX_PIECES:
            raise SpecError(
                f"the density is too rough to be resolved by {_MAX_PIECES} pieces; give intervals "
                "that end where it jumps or is infinite."
            )
        o, g, k, e = (x[~fine] for x in (origin, far, kind, end))
        # the half at u = 0 keeps the exponent, the other is an inner piece
        middle = o + 0.5 * (g - o)
        origin, far = np.concatenate([o, middle]), np.concatenate([middle, g])
        kind = np.concatenate([np.where(e, k, 0), np.zeros_like(k)])
        end = np.concatenate([e, np.zeros_like(e)])
    origin, far, series, doubt = (np.concatenate([d[i] for d in done]) for i in (0, 1, 3, 4))
    kind = np.concatenate([d[2] for d in done]).astype(np.intp)
    order = np.argsort(np.minimum(origin, far))
    origin, far, width = origin[order], far[order], abs(far - origin)[order]
    return DensityPieces(
        origin, far, kind[order], series[order] * width[:, None], doubt[order] * width
    )


def _exponent(f: Callable[[Array], Array], end: float, width: float) -> int:
    """Index of the exponent with which a short piece at the end is resolved best."""
    every = np.arange(len(EXPONENTS), dtype=np.intp)
    origin, far = np.full(every.size, end), np.full(every.size, end + width)
    series, tail, _ = _fit(f, origin, far, every)
    tail = tail / (np.max(abs(series), axis=1) + 1e-300)
    best = int(np.argmin(tail))
    return best if tail[best] < max(_LIKELY, 1e3 * EPS * abs(end / width)) else 0


def _fit(
    f: Callable[[Array], Array], origin: Array, far: Array, kind: Integers
) -> tuple[Array, Array, Array]:
    """Coefficients of p, their tail (or what a second look finds), and the noise of f."""
    alpha = np.array([float(e) for e in EXPONENTS])[kind][:, None]
    width = far - origin
    u = np.concatenate([_X, _CHECK])
    x = origin[:, None] + width[:, None] * u
    p = values(f, x) * u**-alpha
    series = p[:, :NODES] @ _FIT.T
    again = series @ chebyshev.chebvander(2.0 * _CHECK - 1.0, NODES - 1).T
    size = np.max(abs(p), axis=1)
    tail = np.maximum(abs(series[:, -3:]).max(axis=1), 0.1 * abs(again - p[:, NODES:]).max(axis=1))
    # a rounded x moves f by eps |x f'|, and p by as much of its own slope and of the power's
    order = np.argsort(u)
    p, u, x = p[:, order], u[order], abs(x[:, order] / width[:, None])
    slope = abs(np.gradient(p, u, axis=1)) + abs(alpha * p / u)
    return series, tail, np.asarray(_NOISE * EPS * (size + np.max(x * slope, axis=1)))


def values(f: Callable[[Array], Array], x: Array) -> Array:
    """F at x of any shape, refused where it is no density."""
    with np.errstate(all="ignore"):
        out = np.asarray(f(x.ravel()), dtype=np.float64)
    if out.shape not in ((), (x.size,)):
        raise SpecError(
            f"the density must give one number for each entry of an array, but for {x.size} it "
            f"gives the shape {out.shape}; write it with NumPy's functions."
        )
    out = np.broadcast_to(out, (x.size,)).reshape(x.shape)
    if not np.all(np.isfinite(out)):
        bad = x[~np.isfinite(out)].ravel()[0]
        raise SpecError(
            f"the density must be finite inside its intervals, but it is not at {bad:.6g}; give "
            "intervals that end there."
        )
    if np.any(out < 0.0):
        bad = x[out < 0.0].ravel()[0]
        raise SpecError(f"the density must be 0 or above, but it is {out.min():.3g} at {bad:.6g}.")
    return np.asarray(out)


@cache
def rule(kind: int) -> tuple[Array, Array]:
    """Gauss-Jacobi nodes in [0, 1] and weights for the weight u^alpha."""
    alpha = float(EXPONENTS[kind])
    x, w = roots_jacobi(NODES, 0.0, alpha)
    return 0.5 * (x + 1.0), w * 0.5 ** (1.0 + alpha)


@cache
def moments_of_chebyshev(kind: int) -> Array:
    """Integrals of u^alpha T_k(2u - 1) over [0, 1], shape (NODES + 1,)."""
    u, w = rule(kind)
    return np.asarray(w @ chebyshev.chebvander(2.0 * u - 1.0, NODES))


@cache
def primitive(kind: int) -> Array:
    r"""Matrix from p to r, :math:`\int_0^u v^\alpha p(v) dv = u^{\alpha + 1} r(u)`."""
    # r(u) is the integral of s^alpha p(u s) over [0, 1]
    s, w = rule(kind)
    basis = chebyshev.chebvander(2.0 * np.outer(_X, s) - 1.0, NODES - 1)  # (NODES, NODES, k)
    return np.asarray(_FIT @ np.einsum("iqk,q->ik", basis, w))
