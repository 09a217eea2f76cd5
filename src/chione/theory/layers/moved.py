"""Recipes of maps over positions: means, maxima and taps of windows, and positions as channels."""

from __future__ import annotations

import math

import numpy as np

from chione.base import Array
from chione.theory.layers.orbits import Index
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe
from chione.theory.layers.windows import Windows


class Averaged(Recipe):
    """Means of the sites that each window reads.

    Parameters
    ----------
    parent : Recipe
        What is read.
    windows : Windows
        The windows.
    inputs : int
        Number of inputs.
    """

    def __init__(self, parent: Recipe, windows: Windows, inputs: int) -> None:
        super().__init__(parent)
        self._reads = windows.sites(inputs)
        self._sites = inputs * windows.positions

    def value(self, crowd: Population, *x: Array) -> Array:
        """The means."""
        return np.asarray(x[0][:, self._reads].mean(axis=2))

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Those of the tangents."""
        return None if dx[0] is None else self.value(crowd, dx[0])

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """An equal share to every site that is read."""
        out = np.zeros((self._sites, len(g)))
        for tap in self._reads.T:
            np.add.at(out, tap, g.T)
        return (out.T / self._reads.shape[1],)


class Largest(Recipe):
    """The largest of the sites that each window reads.

    Parameters
    ----------
    parent, windows, inputs
        As of `Averaged`.
    """

    def __init__(self, parent: Recipe, windows: Windows, inputs: int) -> None:
        super().__init__(parent)
        self._reads = windows.sites(inputs)
        self._sites = inputs * windows.positions

    def value(self, crowd: Population, *x: Array) -> Array:
        """The maxima."""
        return np.asarray(x[0][:, self._reads].max(axis=2))

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Those of the winners."""
        if dx[0] is None:
            return None
        return np.take_along_axis(dx[0], self._winner(crowd)[: len(dx[0])], axis=1)

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """To the winners."""
        rows = np.arange(len(g))[:, None] * self._sites
        at = (rows + self._winner(crowd)[: len(g)]).ravel()
        home = np.bincount(at, g.ravel(), minlength=len(g) * self._sites)
        return (np.asarray(home, np.float64).reshape(len(g), self._sites),)

    def _winner(self, crowd: Population) -> Index:
        def make() -> Index:
            which = crowd.values(self.parents[0])[:, self._reads].argmax(axis=2)
            return np.asarray(self._reads[np.arange(len(self._reads)), which])

        return np.asarray(crowd.kept(("winner", self), make))


class Flattened(Recipe):
    """Channels of all positions, one after the other.

    Parameters
    ----------
    parent : Recipe
        What is flattened.
    positions : int
        Positions of each input.
    """

    def __init__(self, parent: Recipe, positions: int) -> None:
        super().__init__(parent)
        self._positions = positions
        self.whole *= positions

    def value(self, crowd: Population, *x: Array) -> Array:
        """Rows (channels, inputs, positions) as (channels x positions, inputs)."""
        rows = x[0].reshape(len(x[0]), -1, self._positions).transpose(0, 2, 1)
        return rows.reshape(-1, rows.shape[2])

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Likewise."""
        return None if dx[0] is None else self.value(crowd, dx[0])

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """The other way."""
        count = len(g) // self._positions
        rows = g[: count * self._positions].reshape(count, self._positions, -1)
        return (rows.transpose(0, 2, 1).reshape(count, -1),)


class Taps(Recipe):
    r"""A depthwise convolution: :math:`y(t) = \sum_b w_b x(t_b) + c`, weights for each channel.

    Parameters
    ----------
    parent, windows, inputs
        As of `Averaged`; taps beyond the edge read nothing.
    sigma_w, sigma_b : float
        Standard deviations of one weight and of the bias.
    """

    def __init__(
        self, parent: Recipe, windows: Windows, inputs: int, sigma_w: float, sigma_b: float
    ) -> None:
        super().__init__(parent)
        self._reads, self._home = windows.sites(inputs), windows.adjoint.sites(inputs)
        self._sigma_w, self._sigma_b, self.whole = sigma_w, sigma_b, 0

    def value(self, crowd: Population, *x: Array) -> Array:
        """Weighted and summed, plus the bias."""
        out = _weighted(x[0], self._reads, self._weights(crowd))
        return out + self._sigma_b * crowd.column(self, len(out)) if self._sigma_b else out

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Of what is read, of the weights and of the bias."""
        x = crowd.values(self.parents[0])
        own = crowd.generator().standard_normal((crowd.rows(1), self._reads.shape[1]))
        out = _weighted(x, self._reads, self._sigma_w * own)
        if self._sigma_b:
            out = out + self._sigma_b * crowd.column(("tangent", self), len(out))
        if dx[0] is None:
            return out
        return out + _weighted(dx[0], self._reads, self._weights(crowd))[: len(out)]

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """By the same weights to what was read."""
        return (_weighted(g, self._home, self._weights(crowd)),)

    def _weights(self, crowd: Population) -> Array:
        def make() -> Array:
            draws = crowd.generator().standard_normal((crowd.rows(1), self._reads.shape[1]))
            return self._sigma_w * draws

        return np.asarray(crowd.kept(("weights", self), make))


def _weighted(x: Array, reads: Index, weights: Array) -> Array:
    """Sum over taps of weights (rows, taps) times the sites read; -1 reads nothing."""
    padded = np.column_stack([x, np.zeros(len(x))])
    out = np.zeros((len(x), len(reads)))
    for b, tap in enumerate(reads.T):
        out += weights[: len(x), b, None] * padded[:, tap]
    return out


class Grouped(Recipe):
    r"""A norm over groups of few channels and all positions: neighbouring rows are one group.

    .. math:: y = g\,\frac{x - M}{s} + b\,\eta, \qquad
       J^T h = \frac{g}{s} \Bigl(h - \langle h \rangle
       - \frac{x - M}{s} \langle h\,\frac{x - M}{s} \rangle\Bigr)

    Parameters
    ----------
    parent : Recipe
        What is normalised.
    channels, positions : int
        Of a group and an input.
    gain, bias, eps : float
        As of the norm.
    """

    def __init__(
        self,
        parent: Recipe,
        channels: int,
        positions: int,
        gain: float,
        bias: float,
        eps: float,
    ) -> None:
        super().__init__(parent)
        self._channels, self._positions = channels, positions
        self._gain, self._bias, self._eps, self.whole = gain, bias, eps, 0

    def value(self, crowd: Population, *x: Array) -> Array:
        """Normalised within each group and input."""
        y, _ = self._normal(crowd)
        out = self._gain * self._flat(y)
        return out + self._bias * crowd.column(self, len(out)) if self._bias else out

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Through the Jacobian, which is symmetric."""
        out = None if dx[0] is None else self._through(crowd, dx[0])
        if not self._bias:
            return out
        count, sites = crowd.values(self).shape
        own = self._bias * crowd.column(("tangent", self), count)
        return np.broadcast_to(own, (count, sites)) if out is None else out + own[: len(out)]

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """Through the Jacobian, which is symmetric."""
        return (self._through(crowd, g),)

    def _through(self, crowd: Population, h: Array) -> Array:
        y, s = self._normal(crowd)
        h = self._folded(h)
        y, s = y[: len(h)], s[: len(h)]
        axes = (1, 3)
        out = h - h.mean(axes, keepdims=True) - y * (h * y).mean(axes, keepdims=True)
        return self._flat(self._gain * out / s)

    def _normal(self, crowd: Population) -> tuple[Array, Array]:
        def make() -> tuple[Array, Array]:
            x = self._folded(crowd.values(self.parents[0]))
            x = x - x.mean(axis=(1, 3), keepdims=True)
            s = np.sqrt((x * x).mean(axis=(1, 3), keepdims=True) + self._eps)
            with np.errstate(invalid="ignore", divide="ignore"):
                return x / s, s

        y, s = crowd.kept(("normal", self), make)
        return y, s

    def _folded(self, x: Array) -> Array:
        """(groups, channels, inputs, positions)."""
        groups = len(x) // self._channels
        inputs = x.shape[1] // self._positions
        shape = groups, self._channels, inputs, self._positions
        return x[: groups * self._channels].reshape(shape)

    @staticmethod
    def _flat(x: Array) -> Array:
        return x.reshape(-1, math.prod(x.shape[2:]))


class Winner(Recipe):
    """The largest of several streams, entry by entry."""

    def value(self, crowd: Population, *x: Array) -> Array:
        """The maximum."""
        return np.asarray(np.max(np.stack(x), axis=0))

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Those of the winners."""
        won = self._won(crowd)
        parts = [np.where(won == i, t, 0.0) for i, t in enumerate(dx) if t is not None]
        return np.asarray(sum(parts)) if parts else None

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """To the winners."""
        won = self._won(crowd)[: len(g)]
        return tuple(np.where(won == i, g, 0.0) for i in range(len(self.parents)))

    def _won(self, crowd: Population) -> Index:
        def make() -> Index:
            return np.asarray(np.argmax(np.stack([crowd.values(p) for p in self.parents]), axis=0))

        return np.asarray(crowd.kept(("won", self), make))
