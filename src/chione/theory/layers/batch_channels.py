r"""Recipe of a batch norm: every channel by its own statistics over all sites.

.. math:: y = g\,\frac{x - \langle x \rangle}{s} + b\,\eta, \qquad
   J^T h = \frac{g}{s} \bigl(h - \langle h \rangle - \hat y \langle h\,\hat y \rangle\bigr)

For a Gaussian channel :math:`x \sim N(0, K)` the length and the direction :math:`\hat y` obey

.. math:: E\bigl[s^{-2} \,\big|\, \hat y\bigr] = \frac{\chi^2}{r - 2}\,s^{-2}, \qquad
   \chi^2 = x^T (G K G)^+ x

with r the rank of :math:`G K G`, since :math:`\chi^2` is a chi-square variable of r degrees
whatever the direction; so second moments of gradients need not sample the heavy tail of 1 / s.
"""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.networks import Norm
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe


class BatchNormed(Recipe):
    """A norm of every channel over all sites.

    Parameters
    ----------
    layer : Norm
        Gain, bias and eps.
    parent : Recipe
        What is normalised.
    """

    def __init__(self, layer: Norm, parent: Recipe) -> None:
        super().__init__(parent)
        self._layer = layer
        if layer.bias:
            self.whole = 0

    def value(self, crowd: Population, *x: Array) -> Array:
        """Normalised, and the bias of the channel."""
        y, _ = self._normal(crowd)
        out = self._layer.gain * y
        bias = self._layer.bias
        return out + bias * crowd.column(self, len(out)) if bias else out

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Through the Jacobian, which is symmetric, and that of the bias."""
        out = None if dx[0] is None else self._through(crowd, dx[0])
        if not self._layer.bias:
            return out
        count, sites = crowd.values(self).shape
        own = self._layer.bias * crowd.column(("tangent", self), count)
        return np.broadcast_to(own, (count, sites)) if out is None else out + own[: len(out)]

    def back(self, crowd: Population, g: Array) -> tuple[Array, ...]:
        """Through the Jacobian, which is symmetric."""
        return (self._through(crowd, g),)

    def weights(self, crowd: Population, sigma: Array) -> Array:
        r""":math:`\sqrt{\chi^2 / (r - 2)}` of each channel, where `sigma` is G K G."""

        def make() -> Array:
            y, s = self._normal(crowd)
            values, vectors = np.linalg.eigh(sigma)
            kept = values > 1e-12 * values[-1]
            z = (y * s) @ (vectors[:, kept] / np.sqrt(values[kept]))
            return np.asarray(np.sqrt((z * z).sum(axis=1) / (np.sum(kept) - 2)))

        return np.asarray(crowd.kept(("weights", self), make))

    def _through(self, crowd: Population, h: Array) -> Array:
        y, s = self._normal(crowd)
        y, s = y[: len(h)], s[: len(h)]
        out = h - h.mean(axis=1, keepdims=True) - y * (h * y).mean(axis=1, keepdims=True)
        return np.asarray(self._layer.gain * out / s)

    def _normal(self, crowd: Population) -> tuple[Array, Array]:
        def make() -> tuple[Array, Array]:
            x = crowd.values(self.parents[0])
            x = x - x.mean(axis=1, keepdims=True)
            s = np.sqrt((x * x).mean(axis=1, keepdims=True) + self._layer.eps)
            with np.errstate(invalid="ignore", divide="ignore"):
                return x / s, s

        y, s = crowd.kept(("normal", self), make)
        return y, s
