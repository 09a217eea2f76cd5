r"""Both kernels of depth L at chosen lengths and angles, relative to the last lengths.

.. math:: \hat K(t_1, t_2, \theta) = \frac{K^L}{\sqrt{V(t_1) V(t_2)}}, \qquad
   \hat\Theta = \frac{\Theta^L}{\sqrt{V(t_1) V(t_2)}}, \qquad t = \log q

with q the mean squares in the first layer, theta the angle there, and V(t) the mean square in the
last one. Each value comes from the layers themselves, with the error that they state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, ConvergenceError, CostError
from chione.networks import MLP
from chione.theory.depth.kernel_mixed import pair_layers, through
from chione.theory.depth.pair_inputs import Listed, Pairs
from chione.theory.depth.pair_layers import Scale

Index = NDArray[np.intp]

_ENTRIES = 1 << 15  # at a time: arrays of them stay in the cache while they pass the layers
_SMALLEST, _LARGEST = 1e-250, 1e250  # of last lengths: products of roots and ratios stay inside


class Recent:
    """Results that are kept for the next call, the `size` last ones, made several at a time.

    Parameters
    ----------
    size : int
        How many.
    make : callable
        A list of keys -> a list of their results.
    """

    def __init__(self, size: int, make: Callable[[Source, list[Any]], list[Any]]) -> None:
        self._size, self._make = size, make
        self._kept: dict[Any, Any] = {}

    def __call__(self, source: Source, keys: list[Any]) -> list[Any]:
        """The results of some keys, one for each."""
        wanted = list(dict.fromkeys(k for k in keys if (source, k) not in self._kept))
        if wanted:
            for key, value in zip(wanted, self._all(source, wanted), strict=True):
                self._kept[source, key] = value
        out = [self._kept[source, k] for k in keys]
        while len(self._kept) > max(self._size, len(set(keys))):
            del self._kept[next(iter(self._kept))]
        return out

    def _all(self, source: Source, keys: list[Any]) -> list[Any]:
        """All at once; one after the other where one of them has no value."""
        try:
            return self._make(source, keys)
        except (ConvergenceError, CostError):
            if len(keys) == 1:
                return [None]
        return [self._all(source, [k])[0] for k in keys]

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


@dataclass(frozen=True)
class Source:
    """A network and how well the first layer of its inputs is known.

    Parameters
    ----------
    network : MLP
        The network.
    noise : float
        Rounding of the cosine of an angle; lengths have twice that, relatively.
    with_ntk : bool
        Whether the tangent kernel exists and is wanted beside the NNGP kernel.
    """

    network: MLP
    noise: float
    with_ntk: bool

    @property
    def kinds(self) -> int:
        """2 with the tangent kernel, else 1."""
        return 2 if self.with_ntk else 1


@dataclass(frozen=True)
class Followed:
    """Kernels at some triples, relative to the last lengths.

    Parameters
    ----------
    value, error : ndarray, shape (kinds, k)
        NNGP, then tangent kernel.
    log_last, last_error : ndarray, shape (n,)
        Logarithm of the last length of each of the lengths that were given, and its error.
    """

    value: Array
    error: Array
    log_last: Array
    last_error: Array

    def part(self, start: int, end: int) -> Followed:
        """Some of the triples."""
        k = slice(start, end)
        return Followed(self.value[:, k], self.error[:, k], self.log_last, self.last_error)


def follow(source: Source, t: Array, i: Index, j: Index, angle: Array) -> Followed:
    """Kernels of pairs of lengths.

    Parameters
    ----------
    source : Source
        The network.
    t : ndarray, shape (n,)
        Logarithms of mean squares of first pre-activations.
    i, j : ndarray of int, shape (k,)
        Which of them meet.
    angle : ndarray, shape (k,)
        At which angle, in [0, pi]; zero is exact.

    Raises
    ------
    ConvergenceError
        If lengths leave the range in which products of them are safe, or have no value.
    """
    network, noise = source.network, source.noise
    side = np.exp(t), np.full(t.shape, 2.0 * noise)
    scale = Scale.of(network.sigma_w, network.sigma_b)
    layers = pair_layers(network, scale, side, side, len(angle), quick=True)
    last, relative = layers[-1].one.next(scale) if layers else side
    if not np.all((last > _SMALLEST) & (last < _LARGEST)):
        raise ConvergenceError("The last lengths are next to the ends of float64.")
    roots = np.sqrt(last)
    sign = np.where(angle > 0.5 * np.pi, -1.0, 1.0)
    gap = 2.0 * np.sin(0.5 * np.where(sign < 0.0, np.pi - angle, angle)) ** 2
    gap_error = np.where(angle > 0.0, noise + 4.0 * EPS, 0.0)
    ratio = t[i] - t[j]
    ratio_error = np.where(i == j, 0.0, 4.0 * noise + 2.0 * EPS * np.abs(ratio))
    value, error = (np.empty((source.kinds, len(angle))) for _ in range(2))
    for start in range(0, len(angle), _ENTRIES):
        k = slice(start, start + _ENTRIES)
        pairs = Pairs(gap[k], sign[k], gap_error[k], ratio[k], ratio_error[k])
        found = through((side, side), layers, pairs, Listed(i[k], j[k]), source.with_ntk)
        size = roots[i[k]] * roots[j[k]]
        for kind in range(source.kinds):
            value[kind, k] = found[kind][0] / size
            error[kind, k] = found[kind][1] / size
    if not (np.all(np.isfinite(value)) and np.all(np.isfinite(error))):
        raise ConvergenceError("A kernel has no value in float64.")
    return Followed(value, error + 4.0 * EPS * np.abs(value), np.log(last), relative)
