r"""The extreme eigenvalues of a product of two symmetric matrices, by Lanczos, matrix-free.

With M positive semidefinite and K symmetric, K M is self-adjoint in the inner product
:math:`\langle u, v \rangle = u^\top M v`, and its eigenvalues are those of
:math:`M^{1/2} K M^{1/2}`, zeros apart. Both forms of the Gauss-Newton matrix are of that kind:
with M a preconditioner and K = J^T H J vectors are as long as the parameters, with M = J D J^T and
K = H as the outputs of the batch, which are mostly fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch

from chione.torch.capture.products import orthogonal

Product: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

_FEWEST = 8  # steps before a residual is trusted to be that of the largest


@dataclass(frozen=True)
class Extreme:
    """An eigenvalue at an end of the spectrum.

    Parameters
    ----------
    value, error : float
        The Ritz value and how far an eigenvalue may be from it.
    steps : int
        Lanczos steps that were taken.
    converged : bool
        Whether the error is within what was asked for, or the residual within rounding.
    """

    value: float
    error: float
    steps: int
    converged: bool


def extremes(
    outer: Product, inner: Product, start: torch.Tensor, *, steps: int, rtol: float, eps: float
) -> tuple[Extreme, Extreme]:
    r"""The largest and the smallest eigenvalue of K M.

    Parameters
    ----------
    outer, inner : callable
        Products with K and with M.
    start : Tensor, shape (n,)
        A random vector, float64: what it has no component along is not seen.
    steps : int
        At most so many products with each.
    rtol : float
        Stop when the error of the largest in size is below this share of it.
    eps : float
        Rounding of the products.

    Notes
    -----
    Within the norm of the residual of a Ritz vector lies an eigenvalue, and the largest is nowhere
    below it. That it is the largest one is owed to the random start; so a few steps are taken in
    any case. (The sharper bound of Kato and Temple needs the gap to the next eigenvalue, which the
    next Ritz value overstates.)
    """
    basis: list[torch.Tensor] = []
    images: list[torch.Tensor] = []
    alphas: list[float] = []
    betas: list[float] = []
    image = inner(start)
    size = math.sqrt(max(float(start @ image), 0.0))
    if size == 0.0:
        zero = Extreme(0.0, 0.0, 0, True)
        return zero, zero
    basis.append(start / size)
    images.append(image / size)
    while True:
        w = outer(images[-1])
        alphas.append(float(w @ images[-1]))
        w = orthogonal(w, basis, images)
        image = inner(w)
        beta = math.sqrt(max(float(w @ image), 0.0))
        k = len(alphas)
        scale = max((abs(a) for a in (*alphas, *betas)), default=0.0)
        done = beta <= 64.0 * k * max(eps, 1e-15) * scale or k == start.numel()
        largest, smallest = _ends(alphas, betas, beta, eps, k, rtol)
        ready = largest.converged if largest.value >= -smallest.value else smallest.converged
        if done or (ready and k >= _FEWEST) or k == steps:
            return largest, smallest
        betas.append(beta)
        basis.append(w / beta)
        images.append(image / beta)


def _ends(
    alphas: list[float], betas: list[float], last: float, eps: float, steps: int, rtol: float
) -> tuple[Extreme, Extreme]:
    """From the tridiagonal matrix, whose last residual is `last`."""
    t = torch.diag(torch.tensor(alphas, dtype=torch.float64))
    if betas:
        off = torch.tensor(betas, dtype=torch.float64)
        t = t + torch.diag(off, 1) + torch.diag(off, -1)
    values, vectors = torch.linalg.eigh(t)
    residuals = last * vectors[-1].abs()
    size = float(values.abs().max())
    rounding = 32.0 * eps * size
    ends = []
    for i in (steps - 1, 0):
        error = float(residuals[i]) + rounding
        # steps beyond rounding would only add the noise of products with small vectors
        enough = max(rtol * abs(float(values[i])), 2.0 * rounding)
        ends.append(Extreme(float(values[i]), error, steps, error <= enough))
    return ends[0], ends[1]
