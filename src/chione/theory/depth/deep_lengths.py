r"""Groups of inputs whose lengths one polynomial holds, and what depends on one length alone.

.. math:: \log V(t), \qquad \Theta^L(t, t, 0) / V(t), \qquad t = \log q
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array
from chione.base import chebyshev as kit
from chione.theory.depth.deep_nodes import Followed, Recent, Source, follow
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


def curves(source: Source, axes: list[Axis]) -> list[Curves | None]:
    """Those over some axes, kept for the next call; None where one series does not hold them."""
    return _curves(source, axes)


def _made_curves(source: Source, axes: list[Axis]) -> list[Curves | None]:
    probes = [np.linspace(x.low, x.high, 7) for x in axes]
    t = np.concatenate([v for x, p in zip(axes, probes, strict=True) for v in (x.nodes(_NODES), p)])
    i = np.arange(len(t))
    found = follow(source, t, i, i, np.zeros(len(t)))
    out, n = [], _NODES + 7
    for k, (axis, some) in enumerate(zip(axes, probes, strict=True)):
        mine = slice(k * n, (k + 1) * n)
        part = found.part(k * n, (k + 1) * n)
        one = Followed(part.value, part.error, part.log_last[mine], part.last_error[mine])
        out.append(_curve(axis, some, one))
    return out


def _curve(axis: Axis, probes: Array, found: Followed) -> Curves | None:
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
    tangent_error = float(found.error[-1].max()) + lost[1]
    return Curves(axis, series[0], series[1], last_error, tangent_error, lost[0])


_curves = Recent(64, _made_curves)


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
        todo = [some for some in todo if len(some) >= _FEW]
        axes = [_axis(some) for some in todo]
        held = curves(source, axes)
        needed = terms(source, [Box(x, x, Axis(*angles)) for x in axes])
        halves: list[Array] = []
        for some, axis, known, count in zip(todo, axes, held, needed, strict=True):
            if known is None or count == Refusal(True):
                if axis.high - axis.low > 2.0 * _STEP:
                    middle = 0.5 * (some[0] + some[-1])
                    halves += [some[some > middle], some[some <= middle]]
                continue
            members = []
            for side, mine in zip((one, two), free, strict=True):
                inside = mine & (side >= some[0]) & (side <= some[-1])
                mine &= ~inside
                members.append(np.flatnonzero(inside))
            out.append(Group(known, members[0], members[1]))
        todo = halves
    return out


def _axis(t: Array) -> Axis:
    """The range of some lengths, rising, to whole steps."""
    low, high = (float(f(x / _STEP)) * _STEP for f, x in ((np.floor, t[0]), (np.ceil, t[-1])))
    return Axis(low, max(high, low + _STEP))
