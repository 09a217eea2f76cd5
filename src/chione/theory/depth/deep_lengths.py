r"""Groups of inputs whose lengths one polynomial holds, and what depends on one length alone.

.. math:: \log V(t), \qquad \Theta^L(t, t, 0) / V(t), \qquad t = \log q
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, ConvergenceError
from chione.base import chebyshev as kit
from chione.theory.depth.deep_nodes import Source, follow
from chione.theory.depth.deep_patch import Axis, Box, Refusal, terms

Index = NDArray[np.intp]

_NODES = 49  # of a curve in one length
_LOST = 1e-13  # relative; a curve that leaves out more is cut
_STEP = 0.0625  # ends of a group are multiples, so that other inputs find the same group
_FEW = 12  # inputs that are not worth a group


@dataclass(frozen=True)
class Curves:
    """What depends on one length, as Chebyshev series over an axis.

    Parameters
    ----------
    axis : Axis
        The range.
    log_last, tangent : ndarray, shape (n,)
        Coefficients of log V and of the tangent kernel over V.
    last_error : float
        Relative error of V, that of the first lengths included.
    tangent_error : float
        Absolute error of the tangent kernel over V.
    fit_error : float
        What of `last_error` the series has left out.
    """

    axis: Axis
    log_last: Array
    tangent: Array
    last_error: float
    tangent_error: float
    fit_error: float

    def roots(self, t: Array) -> Array:
        """The root of V at some lengths."""
        return np.asarray(np.exp(0.5 * self._sum(self.log_last, t)))

    def diagonal(self, t: Array, kind: int) -> tuple[Array, Array]:
        """Kernel of inputs with themselves and its error: NNGP (0) or tangent kernel (1)."""
        last = np.exp(self._sum(self.log_last, t))
        if kind == 0:
            return last, self.last_error * last
        value = self._sum(self.tangent, t)
        return last * value, last * (self.tangent_error + np.abs(value) * self.fit_error)

    def _sum(self, c: Array, t: Array) -> Array:
        return np.asarray(np.polynomial.chebyshev.chebval(self.axis.place(t), c))


@lru_cache(maxsize=64)
def curves(source: Source, axis: Axis) -> Curves | None:
    """Those over an axis, kept for the next call; None where one series does not hold them."""
    probes = np.linspace(axis.low, axis.high, 7)
    t = np.concatenate([axis.nodes(_NODES), probes])
    i = np.arange(len(t))
    try:
        found = follow(source, t, i, i, np.zeros(len(t)))
    except ConvergenceError:
        return None
    place = axis.place(probes)
    series, lost = [], []
    for values in (found.log_last, found.value[-1]):
        c = kit.fit_matrix(_NODES) @ values[:_NODES]
        off = np.abs(np.polynomial.chebyshev.chebval(place, c) - values[_NODES:]).max()
        series.append(c)
        lost.append(4.0 * float(off) + 4.0 * EPS * float(np.abs(c).sum()))
    goal = max(_LOST, 0.03 * float(np.median(found.last_error)))
    size = float(np.abs(found.value[-1]).max())
    if lost[0] > goal or lost[1] > max(_LOST * size, 0.03 * float(np.median(found.error[-1]))):
        return None
    last_error = float(found.last_error.max()) + lost[0]
    return Curves(
        axis, series[0], series[1], last_error, float(found.error[-1].max()) + lost[1], lost[0]
    )


@dataclass(frozen=True)
class Group:
    """Inputs of similar length.

    Parameters
    ----------
    curves : Curves
        Over the range of their lengths.
    one, two : ndarray of int
        Which inputs of either side are in it.
    """

    curves: Curves
    one: Index
    two: Index


def groups(source: Source, one: Array, two: Array, angles: tuple[float, float]) -> list[Group]:
    """Groups of the inputs of both sides; some inputs may be in none.

    Parameters
    ----------
    source : Source
        The network.
    one, two : ndarray
        Logarithms of lengths in the first layer; minus infinity for an input of zero.
    angles : tuple of float
        Angles between which most pairs are: lengths of one group meet there within few terms.
    """
    t = np.sort(np.concatenate([one, two]))
    todo, out = [t[np.isfinite(t)]], list[Group]()
    free = [np.ones(len(side), dtype=bool) for side in (one, two)]
    while todo:
        some = todo.pop()
        if len(some) < _FEW:
            continue
        axis = Axis(
            float(np.floor(some[0] / _STEP)) * _STEP, float(np.ceil(some[-1] / _STEP)) * _STEP
        )
        if axis.high == axis.low:
            axis = Axis(axis.low, axis.low + _STEP)
        known = curves(source, axis)
        if known is None or terms(source, Box(axis, axis, Axis(*angles))) == Refusal(True):
            if axis.high - axis.low > 2.0 * _STEP:
                middle = 0.5 * (some[0] + some[-1])
                todo += [some[some > middle], some[some <= middle]]
            continue
        members = []
        for side, mine in zip((one, two), free, strict=True):
            inside = mine & (side >= some[0]) & (side <= some[-1])
            mine &= ~inside
            members.append(np.flatnonzero(inside))
        out.append(Group(known, members[0], members[1]))
    return out
