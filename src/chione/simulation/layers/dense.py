"""Affine layers: all laws of weights, weight norm, spectral norm."""

from __future__ import annotations

import numpy as np

from chione.base import Array
from chione.networks import Dense, Matrix, Shape
from chione.simulation.layers.affine import Affine, draw_affine, draw_bias
from chione.simulation.layers.sampler import Draws, Memories, Step, Work, draw, work
from chione.simulation.weights import dense_weights


@draw.register
def _(layer: Dense, shape: Shape, draws: Draws) -> Step:
    out = layer.out or shape.width
    if layer.form == "plain":
        matrix = Matrix(shape.width, out, layer.sigma_w, layer.sigma_b, layer.weights)
        return draw_affine(matrix, draws)
    unscaled = Matrix(shape.width, out, np.sqrt(shape.width), weights=layer.weights)
    v = dense_weights(unscaled, draws.stream())  # entries of variance 1: the parameters
    bias = draw_bias(out, layer.sigma_b, draws)
    form = _weight_norm if layer.form == "weight_norm" else _spectral_norm
    return form(v, bias, layer)


@work.register
def _(layer: Dense, shape: Shape, memories: Memories) -> Work:
    weights = float(shape.width) * float(layer.out or shape.width)
    return Work(weights, weights * shape.positions)


def _weight_norm(v: Array, bias: Array, layer: Dense) -> Affine:
    r"""Rows :math:`w = \sigma v / |v|`, so dw = sigma (dv - u u.dv) / |v| with u = v / |v|."""
    length = np.linalg.norm(v, axis=1, keepdims=True)
    u = v / length

    def to_parameters(gradient: Array) -> Array:
        along = np.sum(u * gradient, axis=-1, keepdims=True)
        return np.asarray(layer.sigma_w / length * (gradient - u * along))

    return Affine(layer.sigma_w * u, bias, to_parameters, layer.sigma_b)


def _spectral_norm(v: Array, bias: Array, layer: Dense) -> Affine:
    r""":math:`W = \sigma v / s` with the largest singular value s, and ds = left^T dv right."""
    left, s, right = np.linalg.svd(v, full_matrices=False)
    largest, outer = s[0], np.outer(left[:, 0], right[0])
    weight = v / largest

    def to_parameters(gradient: Array) -> Array:
        along = np.sum(weight * gradient, axis=(-2, -1), keepdims=True)
        return np.asarray(layer.sigma_w / largest * (gradient - outer * along))

    return Affine(layer.sigma_w * weight, bias, to_parameters, layer.sigma_b)
