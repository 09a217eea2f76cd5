"""Affine maps drawn as explicit matrices: what dense layers, gates and maxout are made of."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from chione.base import Array
from chione.networks import Matrix
from chione.simulation.layers.sampler import Draws, Step, over_inputs, rows_of
from chione.simulation.streams import Purpose
from chione.simulation.weights import dense_weights


class Affine(Step):
    r""":math:`y = W x + b` at every position.

    Parameters
    ----------
    weight : ndarray, shape (n_out, n_in)
        W.
    bias : ndarray, shape (n_out,)
        b.
    to_parameters : callable
        The gradient for the parameters of W from that for W.
    sigma_b : float
        b is sigma_b times its parameters.
    """

    def __init__(
        self, weight: Array, bias: Array, to_parameters: Callable[[Array], Array], sigma_b: float
    ) -> None:
        self._weight, self._bias, self._sigma_b = weight, bias, sigma_b
        self._to_parameters = to_parameters

    def forward(self, x: Array) -> Array:
        """W x + b."""
        self._x = x
        return (rows_of(x) @ self._weight.T + self._bias).reshape(*x.shape[:-1], -1)

    def backward(self, g: Array) -> Array:
        """W^T g."""
        self._g = g
        return (rows_of(g) @ self._weight).reshape(*g.shape[:-1], -1)

    def parameter_gradients(self) -> list[Array]:
        """Those of the weights, and of the biases where there are some."""
        g, x = over_inputs(self._g), over_inputs(self._x)
        weights = self._to_parameters(np.swapaxes(g, -1, -2) @ x)
        return [weights, *bias_gradient(self._g, self._sigma_b)]


def draw_affine(matrix: Matrix, draws: Draws) -> Affine:
    """The affine map of a matrix."""
    weight = dense_weights(matrix, draws.stream())
    scale = matrix.sigma_w / math.sqrt(matrix.fan_in)
    bias = draw_bias(matrix.fan_out, matrix.sigma_b, draws)
    return Affine(weight, bias, lambda gradient: scale * gradient, matrix.sigma_b)


def draw_bias(width: int, sigma: float, draws: Draws) -> Array:
    """Biases of one standard deviation; zeros where it is zero."""
    if sigma == 0.0:
        return np.zeros(width)
    return sigma * draws.stream(Purpose.BIASES).standard_normal(width)


def bias_gradient(g: Array, sigma: float) -> list[Array]:
    """Gradient for the parameters of biases shared by inputs and positions."""
    return [] if sigma == 0.0 else [sigma * g.sum(axis=(-3, -2))]
