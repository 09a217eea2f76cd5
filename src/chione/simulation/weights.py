r"""Weight matrices drawn from the laws that a network description names.

Every law has :math:`E\,W_{ij} = 0` and :math:`E\,W_{ij}^2 = \sigma_w^2 / n_{in}`. Draws come
without the scale (see :func:`scale`): multiplying the few inputs is cheaper than the many weights.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from chione.base import checks
from chione.networks import WEIGHT_LAWS, Matrix
from chione.simulation import normals
from chione.simulation.normals import FloatArray

_CUT = 2.0  # truncated Gaussian: cut at this many standard deviations, as `Matrix` says
_DENSITY_AT_CUT = math.exp(-0.5 * _CUT**2) / math.sqrt(2.0 * math.pi)
TRUNCATED_VARIANCE = 1.0 - 2.0 * _CUT * _DENSITY_AT_CUT / math.erf(_CUT / math.sqrt(2.0))


def scale(layer: Matrix) -> float:
    """The number that turns a draw of :func:`draw` into the weights of `layer`."""
    per_entry = layer.sigma_w / math.sqrt(layer.fan_in)
    if layer.weights == "gaussian":
        return per_entry
    if layer.weights == "uniform":  # draws are uniform on [-1, 1], of variance 1/3
        return per_entry * math.sqrt(3.0)
    if layer.weights == "truncated":
        return per_entry / math.sqrt(TRUNCATED_VARIANCE)
    if layer.weights == "delta":  # one entry of size 1 in each row of fan_in
        return layer.sigma_w
    # an isometry of R^n to R^N has entries of variance 1/N, N the larger of both sizes
    return per_entry * math.sqrt(max(layer.fan_in, layer.fan_out))


def draw(layer: Matrix, rng: np.random.Generator, out: FloatArray) -> None:
    """Fill `out` (fan_out, fan_in) with unscaled weights of the layer's law.

    Raises
    ------
    ValueError
        If the law is unknown.
    """
    checks.one_of("weights", layer.weights, WEIGHT_LAWS)
    if layer.weights == "gaussian":
        normals.fill(rng, out)
    elif layer.weights == "uniform":
        rng.random(out=out, dtype=out.dtype)
        out *= 2.0
        out -= 1.0
    elif layer.weights == "truncated":
        _truncated(rng, out)
    elif layer.weights == "delta":
        _one_entry_a_row(rng, out)
    else:
        _haar(rng, out)


def dense_weights(layer: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
    """The scaled weight matrix (fan_out, fan_in) of one layer, in float64."""
    out = np.empty((layer.fan_out, layer.fan_in))
    draw(layer, rng, out)
    out *= scale(layer)
    return out


def _truncated(rng: np.random.Generator, out: FloatArray) -> None:
    """Redraw what lies beyond the cut until nothing does."""
    normals.fill(rng, out)
    flat = out.reshape(-1)
    beyond = np.flatnonzero(np.abs(flat) > _CUT)
    while beyond.size:
        flat[beyond] = rng.standard_normal(beyond.size)
        beyond = beyond[np.abs(flat[beyond]) > _CUT]


def _one_entry_a_row(rng: np.random.Generator, out: FloatArray) -> None:
    rows, columns = out.shape
    out[...] = 0.0
    place = rng.integers(columns, size=rows)
    out[np.arange(rows), place] = 2.0 * rng.integers(2, size=rows) - 1.0


def _haar(rng: np.random.Generator, out: FloatArray) -> None:
    """Haar isometry, or co-isometry where there are fewer rows than columns (Mezzadri 2007)."""
    rows, columns = out.shape
    gaussian = rng.standard_normal((max(rows, columns), min(rows, columns)))
    frame = orthonormal_frame(gaussian)
    out[...] = frame if rows >= columns else frame.T


def orthonormal_frame(a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Q of a QR factorisation with positive diagonal of R.

    Applied to a Gaussian matrix it is uniform over frames; with LAPACK's own signs it is not.
    """
    q, r = np.linalg.qr(a)
    q *= np.where(np.diagonal(r) < 0.0, -1.0, 1.0)
    return q
