"""Sampled Hessians: the random matrix model, and the Hessian of a small real network."""

from __future__ import annotations

from typing import Literal

import numpy as np

from chione.activations.protocol import AbstractActivation
from chione.base import AbstractResult, Array, along, checks, cost, result
from chione.simulation.costs import check_hessian, check_matrix, number
from chione.simulation.streams import Purpose, entropy, stream

Structure = Literal["wigner", "relu", "linear", "product"]


def sample_model_hessian(
    *,
    ratio: float,
    energy: float,
    structure: Structure = "wigner",
    size: int = 1000,
    seed: int | None = 0,
    effort: float = 1.0,
) -> Array:
    r"""Eigenvalues of one sampled matrix :math:`H_0 + H_1` of the model, rising.

    .. math:: H_0 = X X^T / m, \quad X \in R^{n \times m}, \quad n / m = \phi, \qquad
              H_1 \text{ Wigner of variance } 2 \epsilon

    or, with the blocks of a hidden layer, active at the share p of the data,

    .. math:: H_1 = \begin{pmatrix} 0 & H_{12} \\ H_{12}^T & 0 \end{pmatrix}, \qquad
              H_{12} = \frac{\sqrt{2 \epsilon}}{m} E Y^T, \quad
              E, Y \in R^{\frac n2 \times p m}

    Parameters
    ----------
    ratio : float
        Parameters per datum, above 0.
    energy : float
        Mean loss, 0 or above.
    structure : {"wigner", "relu", "linear", "product"}
        H1 as above, p = 1/2 (relu) and 1 (linear); or X a product A B / sqrt(m) of Gaussian
        matrices, B square, and H1 Wigner.
    size : int
        Number n of parameters.
    seed : int or None
        Seed.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Raises
    ------
    CostError
        If the matrix, or that of its data, would take more than `effort` allows.
    """
    ratio = checks.positive("ratio", ratio)
    energy = checks.non_negative("energy", energy)
    checks.one_of("structure", structure, ("wigner", "relu", "linear", "product"))
    n = checks.integer("size", size)
    columns = number(n) / ratio if number(n) < 1e300 * min(ratio, 1.0) else np.inf
    with cost.allowing(effort):
        check_matrix(n, columns, structure)
    rng = stream(entropy(seed), 0, 0, Purpose.WEIGHTS)
    m = max(1, round(columns))
    x = rng.standard_normal((n, m))
    if structure == "product":
        x = x @ rng.standard_normal((m, m)) / np.sqrt(m)
    h = x @ x.T / m
    if structure in ("relu", "linear"):
        half, count = n // 2, max(1, round(columns * (0.5 if structure == "relu" else 1.0)))
        e, y = rng.standard_normal((half, count)), rng.standard_normal((n - half, count))
        block = np.sqrt(2.0 * energy) / m * (e @ y.T)
        h[:half, half:] += block
        h[half:, :half] += block.T
    else:
        a = rng.standard_normal((n, n))
        h += (a + a.T) * np.sqrt(energy / n)  # off the diagonal of variance 2 energy / n
    return np.asarray(np.linalg.eigvalsh(h), dtype=np.float64)


@result
class NetworkHessian(AbstractResult):
    r"""The Hessian of a two-layer network under half the mean squared error, split in two.

    .. math::
        \mathcal{L} = \frac{1}{2 m} \sum_{i \mu} e_{i \mu}^2, \qquad
        H_0 = \frac1m J J^T, \qquad
        H_1 = \frac1m \sum_{i \mu} e_{i \mu} \nabla^2 \hat y_{i \mu}

    Parameters
    ----------
    h0, h1 : ndarray, shape (P, P)
        The two parts; parameters in the order W1 (row by row), W2 (row by row).
    loss : float
        The loss, which plays the part of the model's energy.
    ratio : float
        Parameters per residual, P / (m n_out).
    """

    axes = along("parameter other_parameter", "h0", "h1")

    h0: Array
    h1: Array
    loss: float
    ratio: float

    @property
    def eigenvalues(self) -> Array:
        """Eigenvalues of H0 + H1, rising."""
        return np.asarray(np.linalg.eigvalsh(self.h0 + self.h1), dtype=np.float64)

    @property
    def negative_fraction(self) -> float:
        """Share of eigenvalues below zero."""
        return float(np.mean(self.eigenvalues < 0.0))


def network_hessian(
    activation: AbstractActivation,
    w1: Array,
    w2: Array,
    x: Array,
    y: Array,
    *,
    effort: float = 1.0,
) -> NetworkHessian:
    r"""Hessian of :math:`\hat y = W_2\, \phi(W_1 x)` at given weights and data.

    Parameters
    ----------
    activation : AbstractActivation
        Twice differentiable almost everywhere.
    w1, w2 : ndarray, shapes (h, n_in) and (n_out, h)
        Weights.
    x, y : ndarray, shapes (m, n_in) and (m, n_out)
        Data.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Raises
    ------
    ValueError
        Where the shapes do not fit.
    """
    w1, w2, x, y = (
        checks.real_array(n, a) for n, a in zip(["w1", "w2", "x", "y"], (w1, w2, x, y), strict=True)
    )
    (h, n_in), (n_out, m) = w1.shape, (w2.shape[0], x.shape[0])
    if w2.shape != (n_out, h) or x.shape != (m, n_in) or y.shape != (m, n_out):
        raise ValueError(
            f"w1 {w1.shape}, w2 {w2.shape}, x {x.shape} and y {y.shape} do not fit; they must be "
            "(h, n_in), (n_out, h), (m, n_in) and (m, n_out)."
        )
    parameters = h * n_in + n_out * h
    with cost.allowing(effort):
        check_hessian(parameters, m * n_out)
    z = x @ w1.T  # (m, h)
    a, d1, d2 = activation.value(z), activation.derivative(z), activation.second_derivative(z)
    e = a @ w2.T - y  # (m, n_out)
    size1 = h * n_in
    jac = np.zeros((size1 + n_out * h, m, n_out))
    # d yhat_i / d W1_kl = W2_ik phi'(z_k) x_l
    jac[:size1] = np.einsum("ik,mk,ml->klmi", w2, d1, x).reshape(size1, m, n_out)
    for i in range(n_out):
        jac[size1 + i * h : size1 + (i + 1) * h, :, i] = a.T
    flat = jac.reshape(jac.shape[0], -1)
    h1 = np.zeros((flat.shape[0],) * 2)
    # d2 yhat_i / d W1_kl d W1_kl' = W2_ik phi''(z_k) x_l x_l', summed with e_i
    block = np.einsum("mi,ik,mk,ml,mn->kln", e, w2, d2, x, x, optimize=True)
    # d2 yhat_i / d W2_ik d W1_kl = phi'(z_k) x_l
    cross = np.einsum("mi,mk,ml->ikl", e, d1, x)
    for k in range(h):
        own = slice(k * n_in, (k + 1) * n_in)
        h1[own, own] = block[k]
        for i in range(n_out):
            h1[size1 + i * h + k, own] = cross[i, k]
            h1[own, size1 + i * h + k] = cross[i, k]
    loss = float(np.sum(e * e) / (2.0 * m))
    return NetworkHessian(flat @ flat.T / m, h1 / m, loss, flat.shape[0] / (m * n_out))
