"""All singular values of a Jacobian: from its matrix, or from the layers of a chain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from chione.base import EPS, Array, Estimate, Status
from chione.theory.spectra.jacobian import JacobianSpectrum
from chione.torch.capture.nodes import Node
from chione.torch.capture.products import JacobianOperator
from chione.torch.spectra.factors import plain_product, stabilised_product
from chione.torch.spectra.jacobian import probe
from chione.torch.spectra.result import ModelJacobian

_RESOLVED = 0.5  # relative error up to which a singular value counts as known
_ROUGH = 4.0  # times what one random vector sees of the rounding of the forward pass


class Known:
    """A Jacobian and what rounding does to it.

    Parameters
    ----------
    operator : JacobianOperator
        The Jacobian.
    moved : Tensor
        J^T v of its probe at an input moved by one unit of rounding.
    theory, note, count
        Of the result; the number of its moments.
    """

    def __init__(
        self,
        operator: JacobianOperator,
        moved: torch.Tensor,
        theory: JacobianSpectrum | None,
        note: str,
        count: int,
    ) -> None:
        self.operator, self.theory, self.note, self._count = operator, theory, note, count
        here = operator.transposed(probe(operator)).cpu()
        operator.products = 0  # what follows is the method's own
        size = float(torch.linalg.vector_norm(here))
        change = float(torch.linalg.vector_norm(here - moved))
        # Two passes that have nothing in common any more differ by no more than their sizes.
        self.rough = min(change / size, 2.0) if size > 0.0 and math.isfinite(change) else 0.0

    def rounding(self, largest: float) -> float:
        """Error of every singular value that products with the Jacobian leave."""
        eps = float(torch.finfo(self.operator.dtype).eps)
        size = max(self.operator.outputs, self.operator.inputs)
        return (4.0 * eps * math.sqrt(size) + _ROUGH * self.rough) * largest

    def dense(self, steps: list[Node] | None) -> ModelJacobian:
        """From the matrix: each value is right to the rounding of the largest.

        That of a chain in double precision is a product of its layers' matrices.
        """
        matrix = None
        if steps is not None and self.operator.dtype == torch.float64:
            matrix = plain_product(steps, self.operator, self.rough)
        if matrix is None:
            matrix = self.operator.dense().cpu().numpy()
        s = torch.linalg.svdvals(torch.from_numpy(matrix)).numpy()
        error = np.full(s.size, self.rounding(float(s[0])))
        with np.errstate(divide="ignore"):
            relative = np.where(error < _RESOLVED * s, error / np.maximum(s, 1e-300), np.inf)
            logs = np.log(s)
        if np.isinf(relative).any():
            below = int(np.isinf(relative).sum())
            self.note += f" {below} of {s.size} singular values lie below rounding."
        return self._result("dense", s, error, logs, relative)

    def stabilised(self, steps: list[Node] | None) -> ModelJacobian:
        """From the layers of a chain: the small values are right, too."""
        product, slopes = stabilised_product(steps, self.operator, self.rough)
        logs, relative = product.log_values_and_errors()
        relative = np.where(np.isneginf(logs) & (relative == 0.0), 0.0, relative + 2.0 * slopes)
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            s = np.exp(logs)
            error = np.where(relative > 0.0, s * np.expm1(np.minimum(relative, 700.0)), 0.0)
        tiny = np.finfo(np.float64).tiny  # below it a logarithm has more digits than its value
        error = np.where((s < tiny) & np.isfinite(logs), tiny, error)
        # A direction that was lost lies below the last that was not.
        kept = s[np.isfinite(relative)]
        last = float(kept[-1]) if kept.size else math.inf
        error = np.where(np.isinf(relative), last, error)
        return self._result("stabilised", s, error, logs, relative)

    def _result(
        self, method: str, s: Array, error: Array, logs: Array, relative: Array
    ) -> ModelJacobian:
        operator = self.operator
        status = np.where(relative < _RESOLVED, int(Status.OK), int(Status.INEXACT))
        eigenvalues = np.zeros(operator.outputs)
        eigenvalues[: s.size] = s**2
        powers = np.arange(1, self._count + 1)
        m = np.array([np.sum(s ** (2 * k)) for k in powers]) / operator.outputs
        spread = np.array([np.sum(2 * k * s ** (2 * k - 1) * error) for k in powers])
        return ModelJacobian(
            outputs=operator.outputs,
            inputs=operator.inputs,
            method=method,
            largest=_one(s[0], error[0], status[0]),
            smallest=_one(s[-1], error[-1], status[-1]),
            moments=Estimate(m, spread / operator.outputs + 8.0 * EPS * m, np.zeros_like(powers)),
            probes=0,
            steps=0,
            products=operator.products,
            singular_values=Estimate(s, error, status),
            log_singular_values=Estimate(logs, relative, status),
            theory=self.theory,
            note=self.note,
            nodes=np.sort(eigenvalues)[None, :],
            weights=np.full((1, operator.outputs), 1.0 / operator.outputs),
        )


def _one(value: Any, error: Any, status: Any) -> Estimate:
    return Estimate(float(value), float(error), Status(int(status)))
