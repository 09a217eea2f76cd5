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

from typing import Any

import numpy as np
from scipy import linalg

from chione.networks import MLP
from chione.simulation import normals
from chione.simulation.normals import FloatArray
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import draw, scale

LAWS = ("gaussian", "orthogonal")

# Frames are orthonormalised by R^-1; a Gaussian N x m matrix has condition number below 3 for
# N >= 4 m, so that costs no digits. Narrower orthogonal layers are cheap as matrices.
_NARROW = 4


class SampledWeights:
    """Products with the weights of one network after another, drawn without the weights.

    A layer is remembered as one small matrix and the name of a random stream; everything else is
    drawn again when it is needed. The law of all products together is that of explicit weights,
    not the numbers: the same seed gives other networks than :class:`~.dense.DenseWeights`.

    Parameters
    ----------
    network : MLP
        The description, with Gaussian or orthogonal weights.
    dtype : dtype
        float32 or float64.

    Raises
    ------
    ValueError
        If the weights have another law.
    """

    def __init__(self, network: MLP, *, dtype: np.dtype[Any]) -> None:
        if network.weights not in LAWS:
            raise ValueError(
                f"the matrix-free sampler knows the laws {' and '.join(LAWS)}, but weights is "
                f"{network.weights!r}; use sampler='dense'."
            )
        self._layers = network.matrices
        self._dtype = dtype
        self._seed = self._network = 0
        self._mix: dict[int, FloatArray] = {}  # (m, k): W x = mix @ noise, or the product itself

    def start(self, seed: int, network: int) -> None:
        """Turn to network number `network` of this seed."""
        self._seed, self._network = seed, network
        self._mix = {}

    def forward(self, l: int, x: FloatArray) -> FloatArray:
        """W^l x of inputs in rows: (B, N_{l-1}) to (B, N_l); layers count from 1."""
        layer = self._layers[l - 1]
        if self._narrow(l, len(x)):
            self._mix[l] = x @ self._matrix(l).T
        elif layer.weights == "gaussian":
            self._mix[l] = scale(layer) * _r_factor(x).T
        else:
            noise = self._noise(l, min(x.shape), max(layer.fan_in, layer.fan_out))
            # x^T = Q R and F^T = T noise, hence O x = R^T T noise
            self._mix[l] = scale(layer) * _r_factor(x).T @ _whitener(noise)
            return np.asarray(self._mix[l] @ noise[:, : layer.fan_out])
        return self.again(l)

    def again(self, l: int) -> FloatArray:
        """The same product W^l x once more, from the stream's name."""
        layer, mix = self._layers[l - 1], self._mix[l]
        if self._narrow(l, len(mix)):
            return mix.copy()
        if layer.weights == "gaussian":
            return np.asarray(mix @ self._noise(l, mix.shape[1], layer.fan_out))
        noise = self._noise(l, mix.shape[1], max(layer.fan_in, layer.fan_out))
        return np.asarray(mix @ noise[:, : layer.fan_out])

    def backward(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        """Transposed product (W^l)^T delta given W^l x: (B, N_l) to (B, N_{l-1})."""
        if self._narrow(l, len(x)):
            return np.asarray(delta @ self._matrix(l))
        if self._layers[l - 1].weights == "gaussian":
            return self._backward_gaussian(l, delta, x)
        return self._backward_orthogonal(l, delta, x)

    def _backward_gaussian(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        layer = self._layers[l - 1]
        s = scale(layer)
        basis = _basis(x)  # (k, N_in), orthonormal rows that span x
        known = s * (delta @ self._noise(l, len(basis), layer.fan_out).T)  # (B, k)
        root = s * _r_factor(delta)  # (r, B)
        out = root.T @ self._noise(l, len(root), layer.fan_in, Purpose.BACKWARD)
        out += (known - out @ basis.T) @ basis
        return np.asarray(out)

    def _backward_orthogonal(self, l: int, delta: FloatArray, x: FloatArray) -> FloatArray:
        layer = self._layers[l - 1]
        n_in, n_out = layer.fan_in, layer.fan_out
        n = max(n_in, n_out)
        basis = _basis(x)  # (k, N_in)
        noise = self._noise(l, len(basis), n)
        frame = _whitener(noise) @ noise  # (k, N): rows are F^T
        known = delta @ frame[:, :n_out].T  # (B, k)
        rest = -(known @ frame)  # (B, N): delta, zero beyond n_out, less its part in F
        rest[:, :n_out] += delta
        fresh = self._noise(l, len(delta), n, Purpose.BACKWARD)
        fresh[:, :n_in] -= (fresh[:, :n_in] @ basis.T) @ basis
        mix = _r_factor(rest).T @ _whitener(fresh)  # (B, B)
        out = known @ basis + mix @ fresh[:, :n_in]
        out *= scale(layer)
        return np.asarray(out)

    def _narrow(self, l: int, n_inputs: int) -> bool:
        layer = self._layers[l - 1]
        widest = max(layer.fan_in, layer.fan_out)
        return layer.weights == "orthogonal" and widest < _NARROW * n_inputs

    def _matrix(self, l: int) -> FloatArray:
        layer = self._layers[l - 1]
        w = np.empty((layer.fan_out, layer.fan_in), self._dtype)
        draw(layer, stream(self._seed, self._network, l, Purpose.WEIGHTS), w)
        w *= scale(layer)
        return w

    def _noise(
        self, l: int, rows: int, columns: int, purpose: Purpose = Purpose.WEIGHTS
    ) -> FloatArray:
        rng = stream(self._seed, self._network, l, purpose)
        out = np.empty((rows, columns), self._dtype)
        normals.fill(rng, out)
        return out


def _factorise(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Householder form of rows^T = Q R; LAPACK is called directly to skip copies of N x m."""
    geqrf: Any = linalg.get_lapack_funcs("geqrf", (rows,))
    packed, tau, _, _ = geqrf(rows.T, lwork=32 * len(rows))
    return packed, tau


def _r_factor(rows: FloatArray) -> FloatArray:
    """R of rows^T = Q R: (min(m, N), m), with R^T R the Gram matrix, never formed."""
    packed, _ = _factorise(rows)
    return np.triu(packed[: min(rows.shape)])


def _basis(rows: FloatArray) -> FloatArray:
    """Q^T of the same factorisation (LAPACK is deterministic): (min(m, N), N)."""
    packed, tau = _factorise(rows)
    orgqr: Any = linalg.get_lapack_funcs("orgqr", (packed,))
    k = min(rows.shape)
    q, _, _ = orgqr(packed[:, :k], tau, lwork=32 * k, overwrite_a=True)
    return np.asarray(q.T)


def _whitener(noise: FloatArray) -> FloatArray:
    """T such that the rows of T @ noise are orthonormal, and uniform for Gaussian noise.

    Cholesky of the Gram matrix: eight times quicker than Householder, and as exact here because
    the condition number of tall Gaussian noise is below 3. The positive diagonal makes the frame
    uniform, which LAPACK's signs of a QR factorisation would not.
    """
    gram = np.asarray(noise @ noise.T, np.float64)
    if not np.all(np.isfinite(gram)):  # signals that have overflowed
        return np.full_like(gram, np.nan).astype(noise.dtype)
    lower = np.linalg.cholesky(gram)
    one = np.eye(len(gram))
    return np.asarray(linalg.solve_triangular(lower, one, lower=True), noise.dtype)
