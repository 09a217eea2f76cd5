r"""Tables of an activation for the page: moments over log q, the slope kernel over log q and angle.

.. math:: \log E\,\phi^2, \quad \log N, \quad \log\frac{E\,\phi^4}{(E\,\phi^2)^2}, \quad
   \frac{d \log E\,\phi^2}{d \log q}, \qquad \frac{R(q, \cos\theta)}{N(q)}

with :math:`N = E\,\phi'^2`. Where phi jumps that is infinite; then :math:`R \sin\theta` is held
instead of R, and N is its value at :math:`\theta = 0`. All are piecewise Chebyshev series. The
kernel is not held: with :math:`1 - c = 2 \sin^2(\theta/2)`

.. math:: K(1) - K(c) = q \int_0^\theta R \sin\theta'\,d\theta'

is an integral of the same polynomials, which keeps its digits however close the inputs are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array
from chione.base import chebyshev as kit
from chione.explorer.slopes import parity_of, slope_kernel
from chione.theory.moments.moments import moments

LENGTHS, ANGLES = 20, 24  # nodes of each series: in log q, and in the angle
LOWEST, HIGHEST = -46.0, 9.25  # of log q: 1e-20 to 1e4
# Below q = 1e-3 only a few powers of the root of q are left, which long pieces hold as well.
_EDGES = (-46.0, -32.0, -24.0, -18.0, -14.0, -11.0, -9.0, -7.0, -5.0, -3.0, -1.0, 1.0, 3.0, 5.0,
          7.0, HIGHEST)  # fmt: skip
_NARROWEST = 0.2  # piece in log q
_MISSED = 1e-12  # last coefficients of a series, relative to the values in its piece
_FAINT = 1e-3  # of the slope kernel at c = 1: smaller values need fewer digits
_MOST_ANGLES = 24  # pieces
_X, _Y = kit.nodes(LENGTHS), kit.nodes(ANGLES)
_FIT_X, _FIT_Y = kit.fit_matrix(LENGTHS), kit.fit_matrix(ANGLES)
_TRIED = (0.02, 0.3, 1.0, 1.4)  # angles at which a piece of log q is tried first
_SHARE = 1.0 / 3.0  # of an angle, from one piece to the next nearer to c = 1


@dataclass(frozen=True)
class Piece:
    """One range of log q.

    Parameters
    ----------
    low, high : float
        Its ends.
    columns : ndarray, shape (4, LENGTHS)
        Chebyshev coefficients in log q of the four moments.
    angles : ndarray, shape (A + 1,)
        Ends of the pieces of the angle, from 0 to pi / 2.
    near, far : ndarray, shape (A, ANGLES, LENGTHS)
        Coefficients of the slope kernel in the angle (first) and in log q, and of the one at the
        supplements of the angles; `far` is empty where it is `near` but for a sign.
    """

    low: float
    high: float
    columns: Array
    angles: Array
    near: Array
    far: Array


@dataclass(frozen=True)
class Tables:
    """All pieces of one activation.

    Parameters
    ----------
    jumps : bool
        Whether the activation jumps.
    parity : {-1, 0, 1}
        Of the slope kernel in c: 1 for an odd activation, -1 for an even one.
    pieces : tuple of Piece
        In rising order of log q.
    """

    jumps: bool
    parity: int
    pieces: tuple[Piece, ...]


def make_tables(phi: AbstractActivation) -> Tables:
    """The tables of an activation, from a second to two minutes of work."""
    low, high = span(phi)
    jumps, parity = moments(phi).has_jumps, parity_of(phi)
    edges = [low, *(x for x in _EDGES if low < x < high), high]
    todo = list(pairwise(edges))
    pieces = []
    while todo:
        a, b = todo.pop(0)
        found = _piece(phi, a, b, jumps, parity)
        if found is None:
            middle = 0.5 * (a + b)
            todo[:0] = [(a, middle), (middle, b)]
        else:
            pieces.append(found)
    return Tables(jumps, parity, tuple(pieces))


def span(phi: AbstractActivation) -> tuple[float, float]:
    """The range of log q in which moments and kernel keep their digits in float64."""
    name = phi.name.split("(")[0]
    # dead around zero: below, the mean square is that of a tail whose mass is e^-60, or e^-16
    # where it is summed over Gaussians that reach to e^-45
    tails = {"softshrink": 60.0, "hardshrink": 16.0}
    if name in tails:
        return math.log(max(abs(k) for k in phi.kinks) ** 2 / (2.0 * tails[name])), HIGHEST
    if name == "exp":
        return LOWEST, math.log(80.0)  # E phi^4 = e^(8 q)
    return LOWEST, HIGHEST


def _piece(
    phi: AbstractActivation, low: float, high: float, jumps: bool, parity: int
) -> Piece | None:
    """The piece between two ends; None where it has to be halved."""
    q = np.exp(0.5 * (low + high) + 0.5 * (high - low) * _X)
    values = _columns(phi, q, jumps)
    columns = values @ _FIT_X.T
    split = high - low > 2.0 * _NARROWEST
    rest = np.abs(columns[:, -2:]).max(axis=1)
    if split and np.any(rest > _MISSED * np.maximum(np.abs(values).max(axis=1), 1.0)):
        return None
    size = np.exp(values[1])
    tried = np.array(_TRIED)
    if split and _rough(_slopes(phi, q, tried, size, jumps)[0]):
        return None
    angles, near, far = _angles(phi, q, size, jumps, parity)
    if split and any(_rough(x) for x in (*near, *far)):
        return None
    fits = [np.array([_FIT_Y @ x @ _FIT_X.T for x in part]) for part in (near, far)]
    return Piece(low, high, columns, np.array(angles), fits[0], fits[1])


def _rough(values: Array) -> bool:
    """Whether values (angles, lengths) are not resolved along the lengths."""
    rest = np.abs((values @ _FIT_X.T)[:, -2:]).max()
    return bool(rest > _MISSED * max(float(np.abs(values).max()), _FAINT))


def _columns(phi: AbstractActivation, q: Array, jumps: bool) -> Array:
    m = moments(phi)
    square, fourth, slope = m.square(q).value, m.fourth(q).value, m.slope(q).value
    if jumps:
        steep = np.zeros_like(q)
        for at, size in m.jumps:
            steep = steep + size**2 * np.exp(-0.5 * at * at / q) / (2.0 * np.pi * q)
    else:
        steep = np.asarray(m.derivative_square(q).value)
    out = np.stack([np.log(square), np.log(steep), np.log(fourth / square**2), q * slope / square])
    if not np.all(np.isfinite(out)):
        raise ValueError(f"{phi.name} has moments without a value between {q.min()} and {q.max()}.")
    return out


def _slopes(
    phi: AbstractActivation, q: Array, theta: Array, size: Array, jumps: bool
) -> tuple[Array, Array]:
    """The slope kernel over N at all pairs, each (angles, lengths)."""
    found = [slope_kernel(phi, float(x), theta) for x in q]
    factor = (np.sin(theta)[:, None] if jumps else 1.0) / size
    return np.array([f[0] for f in found]).T * factor, np.array([f[1] for f in found]).T * factor


def _angles(
    phi: AbstractActivation, q: Array, size: Array, jumps: bool, parity: int
) -> tuple[list[float], list[Array], list[Array]]:
    """Pieces of the angle, halved until all lengths are resolved in them."""
    ends = [0.5 * math.pi]
    while ends[-1] * math.sqrt(float(q.max())) > 3.0 and len(ends) < 12:
        ends.append(ends[-1] * _SHARE)
    ends.append(0.0)
    todo = [(a, b) for b, a in pairwise(ends)][::-1]
    angles, near, far = [0.0], list[Array](), list[Array]()
    while todo:
        a, b = todo.pop(0)
        values = _slopes(phi, q, 0.5 * (a + b) + 0.5 * (b - a) * _Y, size, jumps)
        if len(angles) + len(todo) < _MOST_ANGLES and any(_bent(x) for x in values):
            middle = 0.5 * (a + b)
            todo[:0] = [(a, middle), (middle, b)]
            continue
        angles.append(b)
        near.append(values[0])
        if parity == 0:
            far.append(values[1])
    return angles, near, far


def _bent(values: Array) -> bool:
    """Whether values (angles, lengths) are not resolved along the angles."""
    rest = np.abs((_FIT_Y @ values)[-2:]).max(axis=0)
    return bool(np.any(rest > _MISSED * np.maximum(np.abs(values).max(axis=0), _FAINT)))
