r"""Exact passes through random networks whose weight matrices are never formed.

A layer's weights are met twice: in :math:`W X` for the inputs X going forward and in
:math:`W^T \Delta` for the error signals coming back. Both can be drawn from their exact joint law
with a few Gaussian vectors, because a Gaussian or Haar matrix looks the same in every basis.

Write :math:`X = Q R` with orthonormal columns Q that span the inputs (any QR factorisation will
do, of full rank or not).

*Gaussian*, :math:`s = \sigma_w / \sqrt{n_{in}}`. :math:`W Q = s Z` with Z standard normal, and W
on the complement of Q is independent of Z. So

.. math:: W X = s Z R, \qquad W^T \Delta = s\, Q Z^T \Delta + (1 - Q Q^T)\, Y,

with :math:`Y = s Z' S`, Z' standard normal and :math:`S^T S = \Delta^T \Delta`.

*Haar*, :math:`W = s O`, O orthogonal (rows or columns are dropped where sizes differ).
:math:`O Q = F` is a uniform random frame; O maps the complement of Q onto that of F by a Haar
matrix. With :math:`(1 - F F^T) \Delta = P B` and a uniform random frame P' in the complement of Q,

.. math:: O X = F R, \qquad O^T \Delta = Q F^T \Delta + P' B.

Time and memory per layer are :math:`O(N m^2)` and :math:`O(N m)` for m inputs and width N.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy import linalg

from chione.networks import MLP
from chione.simulation import normals
from chione.simulation.normals import FloatArray
from chione.simulation.seeding import Streams
from chione.simulation.streams import Draw, Purpose
from chione.simulation.weights import draw, scale

LAWS = ("gaussian", "orthogonal")

# Frames are orthonormalised by R^-1; a Gaussian N x m matrix has condition number below 3 for
# N >= 4 m, so that costs no digits. Narrower orthogonal layers are cheap as matrices.
_NARROW = 4


class SampledWeights:
    """Products with the weights of one network after another, drawn without the weights.

    A layer is remembered as one small matrix and the name of a random stream; everything else is
    drawn again when it is needed, or kept where there is room. The law of all products together
    is that of explicit weights, not the numbers: the same seed gives other networks than
    :class:`~.dense.DenseWeights`.

    Parameters
    ----------
    network : MLP
        The description, with Gaussian or orthogonal weights.
    dtype : dtype
        float32 or float64.
    keep : bool
        Whether the Gaussian vectors of all layers stay in memory until the backward pass.

    Raises
    ------
    ValueError
        If the weights have another law.
    """

    def __init__(self, network: MLP, *, dtype: np.dtype[Any], keep: bool = False) -> None:
        if network.weights not in LAWS:
            raise ValueError(
                f"the matrix-free sampler knows the laws {' and '.join(LAWS)}, but weights is "
                f"{network.weights!r}; use sampler='dense'."
            )
        self._layers = network.matrices
        self._dtype = dtype
        self._keep = keep
        self._streams = Streams((), 0)
        self._alone = True
        self._mix: dict[int, FloatArray] = {}  # (m, k): W x = mix @ noise, or the product itself
        self._drawn: dict[int, FloatArray] = {}  # (k, N): the noise, where it is kept

    def start(self, seed: int, network: int) -> None:
        """Turn to network number `network` of this seed."""
        self._streams, self._alone = Streams((Draw(seed, network),), len(self._layers)), True
        self._mix, self._drawn = {}, {}

    def start_together(self, streams: Streams) -> None:
        """Turn to other networks side by side; all arrays have a leading axis for them."""
        self._streams, self._alone = streams, False
        self._mix, self._drawn = {}, {}

    def forward(self, l: int, x: FloatArray) -> FloatArray:
        """W^l x of inputs in rows: (B, N_{l-1}) to (B, N_l); layers count from 1."""
        layer = self._layers[l - 1]
        if self._narrow(l, x.shape[-2]):
            self._mix[l] = x @ _turned(self._matrix(l))
        elif layer.weights == "gaussian":
            self._mix[l] = scale(layer) * _turned(_r_factor(x))
        else:
            noise = self._noise(l, min(x.shape[-2:]), max(layer.fan_in, layer.fan_out))
            # x^T = Q R and F^T = T noise, hence O x = R^T T noise
            self._mix[l] = scale(layer) * _turned(_r_factor(x)) @ _whitener(noise)
        return self.again(l)

    def again(self, l: int) -> FloatArray:
        """The same product W^l x once more, from the stream's name."""
        layer, mix = self._layers[l - 1], self._mix[l]
        if self._narrow(l, mix.shape[-2]):
            return mix.copy()
        if layer.weights == "gaussian":
            return np.asarray(mix @ self._noise(l, mix.shape[-1], layer.fan_out))
        noise = self._noise(l, mix.shape[-1], max(layer.fan_in, layer.fan_out))
        return np.asarray(mix @ noise[..., : layer.fan_out])

    def backward(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        """Transposed product (W^l)^T delta given W^l x: (B, N_l) to (B, N_{l-1})."""
        if self._narrow(l, x.shape[-2]):
            return np.asarray(delta @ self._matrix(l))
        if self._layers[l - 1].weights == "gaussian":
            return self._backward_gaussian(l, delta, x)
        return self._backward_orthogonal(l, delta, x)

    def _backward_gaussian(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        layer = self._layers[l - 1]
        s = scale(layer)
        basis = _basis(x)  # (k, N_in), orthonormal rows that span x
        noise = self._noise(l, basis.shape[-2], layer.fan_out)
        known = s * (delta @ _turned(noise))  # (B, k)
        root = s * _r_factor(delta)  # (r, B)
        out = _turned(root) @ self._draw(l, root.shape[-2], layer.fan_in, Purpose.BACKWARD)
        out += (known - out @ _turned(basis)) @ basis
        return np.asarray(out)

    def _backward_orthogonal(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        layer = self._layers[l - 1]
        n_in, n_out = layer.fan_in, layer.fan_out
        n = max(n_in, n_out)
        basis = _basis(x)  # (k, N_in)
        noise = self._noise(l, basis.shape[-2], n)
        frame = _whitener(noise) @ noise  # (k, N): rows are F^T
        known = delta @ _turned(frame[..., :n_out])  # (B, k)
        rest = -(known @ frame)  # (B, N): delta, zero beyond n_out, less its part in F
        rest[..., :n_out] += delta
        fresh = self._draw(l, delta.shape[-2], n, Purpose.BACKWARD)
        fresh[..., :n_in] -= (fresh[..., :n_in] @ _turned(basis)) @ basis
        mix = _turned(_r_factor(rest)) @ _whitener(fresh)  # (B, B)
        out = known @ basis + mix @ fresh[..., :n_in]
        out *= scale(layer)
        return np.asarray(out)

    def _narrow(self, l: int, n_inputs: int) -> bool:
        layer = self._layers[l - 1]
        widest = max(layer.fan_in, layer.fan_out)
        return layer.weights == "orthogonal" and widest < _NARROW * n_inputs

    def _matrix(self, l: int) -> FloatArray:
        layer = self._layers[l - 1]
        w = np.empty((len(self._streams), layer.fan_out, layer.fan_in), self._dtype)
        for r, one in enumerate(w):
            draw(layer, self._streams.of(r, l, Purpose.WEIGHTS), one)
        w *= scale(layer)
        return w[0] if self._alone else w

    def _noise(self, l: int, rows: int, columns: int) -> FloatArray:
        """The vectors behind W x, kept from the forward pass or drawn from their stream again."""
        if l in self._drawn:
            return self._drawn[l]
        noise = self._draw(l, rows, columns, Purpose.WEIGHTS)
        if self._keep:
            self._drawn[l] = noise
        return noise

    def _draw(self, l: int, rows: int, columns: int, purpose: Purpose) -> FloatArray:
        out = np.empty((len(self._streams), rows, columns), self._dtype)
        for r, one in enumerate(out):
            normals.fill(self._streams.of(r, l, purpose), one)
        return out[0] if self._alone else out


def _turned(a: FloatArray) -> FloatArray:
    """The transposed matrix, or matrices."""
    return np.asarray(a.swapaxes(-1, -2))


@lru_cache(maxsize=4)
def _lapack(name: str, dtype: np.dtype[Any]) -> Any:
    """A routine of LAPACK for one precision; looking it up takes as long as a small matrix."""
    return linalg.get_lapack_funcs(name, dtype=dtype)


def _factorise(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Householder form of rows^T = Q R; LAPACK is called directly to skip copies of N x m."""
    packed, tau, _, _ = _lapack("geqrf", rows.dtype)(rows.T, lwork=32 * len(rows))
    return packed, tau


def _r_factor(rows: FloatArray) -> FloatArray:
    """R of rows^T = Q R: (min(m, N), m), with R^T R the Gram matrix, never formed."""
    k, m = min(rows.shape[-2:]), rows.shape[-2]
    packed = np.empty((*rows.shape[:-2], k, m), rows.dtype)
    for where in np.ndindex(rows.shape[:-2]):
        packed[where] = _factorise(rows[where])[0][:k]
    packed[..., *np.tril_indices(k, -1, m)] = 0.0
    return packed


def _basis(rows: FloatArray) -> FloatArray:
    """Q^T of the same factorisation (LAPACK is deterministic): (min(m, N), N)."""
    k = min(rows.shape[-2:])
    out = np.empty((*rows.shape[:-2], k, rows.shape[-1]), rows.dtype)
    for where in np.ndindex(rows.shape[:-2]):
        packed, tau = _factorise(rows[where])
        q, *_ = _lapack("orgqr", rows.dtype)(packed[:, :k], tau, lwork=32 * k, overwrite_a=True)
        out[where] = q.T
    return out


def _whitener(noise: FloatArray) -> FloatArray:
    """T such that the rows of T @ noise are orthonormal, and uniform for Gaussian noise.

    Cholesky of the Gram matrix: eight times quicker than Householder, and as exact here because
    the condition number of tall Gaussian noise is below 3. The positive diagonal makes the frame
    uniform, which LAPACK's signs of a QR factorisation would not.
    """
    gram = np.asarray(noise @ _turned(noise), np.float64)
    good = np.isfinite(gram).all(axis=(-2, -1))  # signals that have overflowed have no frame
    out = np.full(gram.shape, np.nan)
    lower = np.linalg.cholesky(gram[good])
    one = np.eye(gram.shape[-1])
    solve = _lapack("trtrs", gram.dtype)
    out[good] = [solve(each, one, lower=True)[0] for each in lower]
    return out.astype(noise.dtype, copy=False)
