r"""Golub-Kahan-Lanczos: singular values and spectral measures from products alone.

Started with a unit vector u, k steps give orthonormal U, V and a lower bidiagonal B with
:math:`J V = U B + \beta_{k+1} u_{k+1} e_k^\top`. The Gauss rule whose nodes are the squares of the
singular values of B, with the squared first entries of its left singular vectors as weights,
integrates polynomials in :math:`J J^\top` up to degree 2k - 1 against the spectral measure of u.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from chione.torch.capture.products import JacobianOperator, orthogonal


@dataclass(frozen=True)
class GaussRule:
    r"""Spectral measure of one vector.

    Parameters
    ----------
    nodes : Tensor, shape (k,)
        Squared singular values of B, descending, float64.
    weights : Tensor, shape (k,)
        Their weights, sum 1.
    residuals : Tensor, shape (k,)
        Within this distance of each singular value of B lies one of J.
    complete : bool
        Whether the Krylov space is exhausted, so that the rule is exact.
    """

    nodes: torch.Tensor
    weights: torch.Tensor
    residuals: torch.Tensor
    complete: bool


def gauss_rule(operator: JacobianOperator, start: torch.Tensor, steps: int) -> GaussRule:
    """Run `steps` steps from a vector in the output space, with full reorthogonalisation."""
    eps = torch.finfo(torch.float64).eps
    left = [start / torch.linalg.vector_norm(start)]
    right: list[torch.Tensor] = []
    alphas: list[float] = []
    betas: list[float] = []
    largest, complete = 0.0, False
    for k in range(steps):
        v = operator.transposed(left[k])
        if right:
            v = v - betas[-1] * right[-1]
        v = orthogonal(v, right)
        alpha = float(torch.linalg.vector_norm(v))
        largest = max(largest, alpha)
        # The part below rounding is noise: the space is exhausted.
        if alpha <= eps * 64 * largest * (k + 1) or len(right) == operator.inputs:
            alphas.append(0.0)
            complete = True
            break
        right.append(v / alpha)
        alphas.append(alpha)
        u = orthogonal(operator.forward(right[k]) - alpha * left[k], left)
        beta = float(torch.linalg.vector_norm(u))
        largest = max(largest, beta)
        betas.append(beta)
        if beta <= eps * 64 * largest * (k + 1) or len(left) == operator.outputs:
            complete = True
            break
        left.append(u / beta)
    return _rule(alphas, betas, complete)


def _rule(alphas: list[float], betas: list[float], complete: bool) -> GaussRule:
    k = len(alphas)
    b = torch.diag(torch.tensor(alphas, dtype=torch.float64))
    for i in range(k - 1):
        b[i + 1, i] = betas[i]
    p, s, qh = torch.linalg.svd(b)
    last = 0.0 if complete else betas[k - 1]
    return GaussRule(s * s, p[0, :] ** 2, abs(last) * qh[:, -1].abs(), complete)
