"""The infinite-width curves of a batch of inputs, layer by layer, for comparison with networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chione.base import Array
from chione.gaussian import Integrator
from chione.networks import MLP
from chione.theory.meanfield.length_map import LengthMap
from chione.theory.moments.moments import fourth_moment, length_slope, moments
from chione.theory.moments.pair_kernels import derivative_kernel, kernel

_STEP = 1e-4  # relative step in q for the second derivative of the length map: error 1e-8


@dataclass(frozen=True)
class InfiniteWidth:
    r"""Theory for a network and a batch of inputs.

    Parameters
    ----------
    network : MLP
        The description.
    pairs : tuple of (int, int)
        Pairs of inputs.
    q : ndarray, shape (L, B)
        Mean squares of the pre-activations.
    products : ndarray, shape (L, P)
        Mean products of the pre-activations of pairs.
    square : ndarray, shape (L, B)
        :math:`E\,\phi^2` of the layer.
    slope, cross_slope : ndarray, shapes (L, B) and (L, P)
        :math:`\sigma_w^2 E\,\phi'^2` and :math:`\sigma_w^2 E\,\phi'(u_1)\phi'(u_2)` of the layer.
    input_gram : ndarray, shape (B, B)
        Mean products of the inputs.
    """

    network: MLP
    pairs: tuple[tuple[int, int], ...]
    q: Array
    products: Array
    square: Array
    slope: Array
    cross_slope: Array
    input_gram: Array

    @property
    def c(self) -> Array:
        """Correlations of the pairs, (L, P)."""
        i, j = self._index()
        with np.errstate(divide="ignore", invalid="ignore"):
            c = self.products / np.sqrt(self.q[:, i] * self.q[:, j])
        return np.asarray(np.clip(c, -1.0, 1.0))

    def gram(self) -> Array:
        """Mean products of the pre-activations of all inputs, (L, B, B)."""
        return self._full(self.q, self.products)

    def backward(self, factors: Array) -> Array:
        """Products of the factors of layers l to L - 1, and of the ratio of widths: d^l / d^L."""
        widths = np.array(self.network.widths[1:], np.float64)[:, None]
        steps = np.vstack([factors[:-1], np.ones((1, factors.shape[1]))])
        with np.errstate(over="ignore", under="ignore"):
            products = np.cumprod(steps[::-1], axis=0)[::-1]
        return np.asarray(products * (widths[-1] / widths))

    def tangent_kernel(self) -> Array:
        r"""Neural tangent kernel of the output, (B, B): Theta = K + sigma_w^2 R Theta."""
        k, r = self.gram(), self._full(self.slope, self.cross_slope)
        theta = k[0]
        for l in range(1, len(k)):
            theta = k[l] + r[l - 1] * theta
        return np.asarray(theta)

    def kernel_variance(self) -> Array:
        r"""Variance over networks of a layer's kernel :math:`\hat K`, to leading order, (L, B).

        .. math:: v^{l+1} = \chi_\parallel^2 v^l +
            \sigma_w^4 \frac{E\,\phi^4 - (E\,\phi^2)^2}{n_l}, \qquad v^1 = 0

        Times the width it is the four-point vertex. Orthogonal weights keep lengths, up to a cut
        where units are lost: :math:`2 (\sigma_w^2 E\,\phi^2)^2 / \max(n_l, n_{l+1})` is subtracted.
        """
        return self._variances[0]

    def square_variance(self) -> Array:
        """Variance over networks of a layer's mean of phi^2, to leading order, (L, B)."""
        return self._variances[1]

    @cached_property
    def _variances(self) -> tuple[Array, Array]:
        net, phi, w4 = self.network, self.network.activation, _square(self.network.sigma_w)
        w4 *= w4
        kernels, squares = np.zeros_like(self.q), np.zeros_like(self.q)
        before = np.diagonal(self.input_gram)
        for l, q in enumerate(self.q):
            if not np.all(np.isfinite(q)):
                kernels[l:], squares[l:] = np.nan, np.nan
                break
            if l > 0:
                kernels[l] = w4 * squares[l - 1]
                before = self.square[l - 1]
            if net.weights == "orthogonal":
                kernels[l] -= 2.0 * w4 * before**2 / max(net.widths[l], net.widths[l + 1])
            slope = np.asarray(length_slope(phi, q).value)
            own = np.asarray(fourth_moment(phi, q).value) - self.square[l] ** 2
            squares[l] = slope**2 * kernels[l] + own / net.widths[l + 1]
        return kernels, squares

    def length_bias(self) -> Array:
        r"""What a finite width adds to the mean of q, to order 1/n, (L, B).

        .. math:: b^{l+1} = \chi_\parallel b^l + \tfrac12 V''(q^l)\, v^l, \qquad b^1 = 0
        """
        return self._biases[0]

    def activation_bias(self) -> Array:
        """What a finite width adds to the mean of phi^2, to order 1/n, (L, B)."""
        return self._biases[1]

    @cached_property
    def _biases(self) -> tuple[Array, Array]:
        phi, w2, v = self.network.activation, _square(self.network.sigma_w), self._variances[0]
        lengths, squares = np.zeros_like(self.q), np.zeros_like(self.q)
        for l, q in enumerate(self.q):
            if not np.all(np.isfinite(q)):
                lengths[l:], squares[l:] = np.nan, np.nan
                break
            if l > 0:
                lengths[l] = w2 * squares[l - 1]
            h = _STEP * q
            low, at, high = (np.asarray(length_slope(phi, x).value) for x in (q - h, q, q + h))
            with np.errstate(invalid="ignore"):
                squares[l] = at * lengths[l] + 0.5 * (high - low) / (2.0 * h) * v[l]
        return lengths, squares

    @cached_property
    def slope_fourth(self) -> Array:
        r""":math:`E\,\phi'^4` of each layer and input, (L, B)."""
        phi = self.network.activation
        fourth = Integrator(phi.derivative, phi.kinks, power=4)
        q = np.where(np.isfinite(self.q), self.q, 0.0)
        return np.asarray(fourth(q).value)

    def _index(self) -> tuple[list[int], list[int]]:
        return [i for i, _ in self.pairs], [j for _, j in self.pairs]

    def _full(self, diagonal: Array, upper: Array) -> Array:
        depth, batch = diagonal.shape
        out = np.empty((depth, batch, batch))
        out[:, range(batch), range(batch)] = diagonal
        i, j = self._index()
        out[:, i, j] = upper
        out[:, j, i] = upper
        return out


def infinite_width(
    network: MLP, input_gram: Array, pairs: tuple[tuple[int, int], ...]
) -> InfiniteWidth:
    """Iterate the length and correlation maps from the inputs' mean products.

    Where an expectation does not exist its entries are NaN, and so is what rests on them.
    """
    phi, w2, b2 = network.activation, _square(network.sigma_w), _square(network.sigma_b)
    i, j = [a for a, _ in pairs], [b for _, b in pairs]
    q, p = w2 * np.diagonal(input_gram) + b2, w2 * input_gram[i, j] + b2
    rows: dict[str, list[Array]] = {k: [] for k in ("q", "p", "square", "slope", "cross")}
    with np.errstate(all="ignore"):  # a signal that overflows ends as NaN, below and in the rows
        for _ in range(network.depth):
            c = np.clip(p / np.sqrt(q[i] * q[j]), -1.0, 1.0)
            alive = bool(np.all(np.isfinite(q)) and np.all(np.isfinite(c)))
            square, slope, cross, k, q_next = _layer(network, q, q[i], q[j], c, alive)
            for name, row in zip(rows, (q, p, square, slope, w2 * cross), strict=True):
                rows[name].append(row)
            q, p = q_next, w2 * k + b2
    stacked = {name: np.array(values) for name, values in rows.items()}
    # back-propagation ignores the point masses that the theory has at jumps
    if moments(phi).has_jumps:
        stacked["slope"][:], stacked["cross"][:] = np.nan, np.nan
    return InfiniteWidth(
        network=network,
        pairs=pairs,
        q=stacked["q"],
        products=stacked["p"],
        square=stacked["square"],
        slope=stacked["slope"],
        cross_slope=stacked["cross"],
        input_gram=input_gram,
    )


def _square(sigma: float) -> float:
    """A product, which becomes infinite where it overflows; a power of floats raises there."""
    return sigma * sigma


def _layer(
    network: MLP, q: Array, q1: Array, q2: Array, c: Array, alive: bool
) -> tuple[Array, Array, Array, Array, Array]:
    """E phi^2, chi_perp, E phi' phi', E phi phi and the next q; all NaN once a signal has gone."""
    if not alive:
        return tuple(np.full_like(a, np.nan) for a in (q, q, c, c, q))  # type: ignore[return-value]
    phi = network.activation
    layer = LengthMap.of(phi, network.sigma_w, network.sigma_b)
    one = (
        layer.moments.square(q),
        layer.gradient(q),
        derivative_kernel(phi, q1, q2, c),
        kernel(phi, q1, q2, c),
        layer.value(q),
    )
    values = [np.asarray(e.value, np.float64) for e in one]
    return values[0], values[1], values[2], values[3], values[4]
