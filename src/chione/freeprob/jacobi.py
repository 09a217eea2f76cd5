r"""Recurrence coefficients of orthogonal polynomials from moments, exactly.

.. math:: p_{k+1} = (x - a_k) p_k - b_k p_{k-1}, \qquad h_k = L(p_k^2), \quad b_k = h_k / h_{k-1}

L is the functional of the moments. The map is badly conditioned, so it is done in fractions of
whole numbers, and what a rounding of the moments does to each :math:`h_k` is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.linalg import eigh_tridiagonal

from chione.base import Array, SpecError

_SURE = 64.0  # times its error that h must be, for the coefficients after it to hold digits


@dataclass(frozen=True)
class Jacobi:
    """Coefficients a_0 .. and b_1 .., as far as they are known, and whether the measure ends there.

    Parameters
    ----------
    a : ndarray, shape (k,) or (k + 1,)
        Diagonal.
    b : ndarray, shape (k,)
        Squares of the entries beside it.
    ended : bool
        Whether the next h is lost in the errors: then the measure may be a.size atoms.
    """

    a: Array
    b: Array
    ended: bool


def from_moments(m: Array, error: Array) -> Jacobi:
    """The coefficients of moments m_1 .. m_n with errors.

    Raises
    ------
    SpecError
        If no measure has these moments.
    """
    moment = [Fraction(1), *(Fraction(float(x)) for x in m)]
    doubt = [Fraction(0), *(Fraction(float(x)) for x in error)]
    n = len(m)
    before: list[Fraction] = []
    now = [Fraction(1)]
    h_before = Fraction(1)
    a: list[Fraction] = []
    b: list[Fraction] = []
    for k in range(n // 2 + 1):
        h, room = _form(now, now, moment), _form([abs(q) for q in now], None, doubt)
        if h < -room:
            raise SpecError(
                f"no measure has these moments: the Hankel determinant of m_0 .. m_{2 * k} is "
                "below 0; check their order, the first one is the mean."
            )
        if h <= _SURE * room:
            return Jacobi(_floats(a), _floats(b), True)
        if k:
            b.append(h / h_before)
        if 2 * k + 1 > n:
            break
        shifted = [Fraction(0), *now]
        a.append(_form(shifted, now, moment) / h)
        after = _combined(shifted, now, -a[-1])
        if k:
            after = _combined(after, before, -b[-1])
        before, now, h_before = now, after, h
    return Jacobi(_floats(a), _floats(b), False)


def gauss(a: Array, b: Array) -> tuple[Array, Array]:
    """Nodes and weights of the quadrature of a Jacobi matrix, b of one entry fewer than a."""
    x, v = eigh_tridiagonal(a, np.sqrt(b))
    return np.asarray(x, dtype=np.float64), np.asarray(v[0] ** 2, dtype=np.float64)


def last_entry(a: Array, b: Array, x: float) -> float:
    """The diagonal entry a_k after which x is an eigenvalue; a and b of one size k."""
    last = x
    for p, q in zip(a, b, strict=True):  # x - a_j - b_j / .., of p_(j+1) / p_j at x
        ratio = last - p
        last = x - q / (ratio or 1e-300)
    return float(last)


def through(a: Array, b: Array, x: float) -> tuple[Array, Array]:
    """The quadrature of one node more that has x among its nodes; a and b of one size k."""
    return gauss(np.append(a, last_entry(a, b, x)), b)


def _form(p: list[Fraction], q: list[Fraction] | None, moment: list[Fraction]) -> Fraction:
    q = p if q is None else q
    return sum(
        (u * v * moment[i + j] for i, u in enumerate(p) for j, v in enumerate(q)), Fraction(0)
    )


def _combined(p: list[Fraction], q: list[Fraction], factor: Fraction) -> list[Fraction]:
    out = list(p)
    for i, v in enumerate(q):
        out[i] += factor * v
    return out


def _floats(x: list[Fraction]) -> Array:
    return np.array([float(v) for v in x])
