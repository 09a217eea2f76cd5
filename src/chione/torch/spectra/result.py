"""What is known of the singular values of a model's Jacobian."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

import numpy as np
from scipy.special import stdtrit

from chione.base import AbstractResult, Array, Estimate, Status, along, checks, result
from chione.theory.spectra.jacobian import JacobianSpectrum


@result
class ModelJacobian(AbstractResult):
    r"""Spectrum of :math:`J J^\top`, :math:`J = \partial y / \partial x`, of a model at one input.

    Parameters
    ----------
    outputs, inputs : int
        Shape of J.
    method : {"dense", "stabilised", "lanczos"}
        How it was found.
    largest, smallest : Estimate
        Extreme singular values among the min(outputs, inputs). From Lanczos the error is the
        residual of the Ritz vector; `smallest` is then an upper bound, and INEXACT unless the
        Krylov space was exhausted. From the matrix `smallest` is INEXACT where it lies below
        rounding.
    moments : Estimate, shape (k,)
        :math:`m_j = \operatorname{tr} (J J^\top)^j / n_y`, j = 1..k; the error is the
        half width of the 99 % interval over the probes for Lanczos, rounding for dense.
    probes, steps, products : int
        Random vectors, Lanczos steps of each, products with J and its transpose in all.
    singular_values : Estimate, shape (k,), or None
        All min(outputs, inputs) of them, falling, each with its error, INEXACT below rounding;
        None from Lanczos.
    log_singular_values : Estimate, shape (k,), or None
        Their natural logarithms, which leave no range of numbers; the error is relative to the
        value, infinite where nothing is known; -inf with error 0 for an exact zero.
    theory : theory.JacobianSpectrum or None
        The law at infinite width, if the model is a plain multi-layer perceptron.
    note : str
        What x is where the batch is more than one floating tensor; why there is no theory, or what
        it rests on.
    """

    axes = (
        along("moment", "moments")
        | along("rank", "singular_values", "log_singular_values")
        | along("probe node", "nodes", "weights")
    )

    outputs: int
    inputs: int
    method: str
    largest: Estimate
    smallest: Estimate
    moments: Estimate
    probes: int
    steps: int
    products: int
    singular_values: Estimate | None
    log_singular_values: Estimate | None
    theory: JacobianSpectrum | None
    note: str
    # Spectral measures of the probes: eigenvalues of J J^T and weights, (probes, k), weight sum 1.
    nodes: Array = field(repr=False)
    weights: Array = field(repr=False)

    def cdf(self, eigenvalue: Any) -> Estimate:
        """Fraction of the eigenvalues of J J^T at or below a value, or several.

        Exact but from Lanczos. There each probe is a staircase; the error is the half
        width of the 99 % interval over the probes plus the height of one step of the staircase.
        """
        x = checks.real_array("eigenvalue", eigenvalue)
        below = self.nodes[:, :, None] <= np.ravel(x)[None, None, :]
        each = np.sum(self.weights[:, :, None] * below, axis=1)  # (probes, x)
        value = each.mean(axis=0)
        if self.method != "lanczos":
            error = np.full_like(value, 1.0 / self.outputs)
        else:
            nearest = np.argmin(np.abs(self.nodes[:, :, None] - np.ravel(x)), axis=1)
            steps = np.take_along_axis(self.weights, nearest, axis=1)
            error = interval(each) + steps.max(axis=0)
        shape = np.shape(x)
        return Estimate(value.reshape(shape)[()], error.reshape(shape)[()], Status.OK)

    def histogram(self, edges: Any) -> Estimate:
        """Density of the eigenvalues of J J^T, averaged over the bins between `edges`."""
        e = checks.real_array("edges", edges)
        if e.ndim != 1 or e.size < 2 or np.any(np.diff(e) <= 0.0):
            raise ValueError("edges must be two or more increasing numbers.")
        inside = (self.nodes[:, :, None] > e[:-1]) & (self.nodes[:, :, None] <= e[1:])
        each = np.sum(self.weights[:, :, None] * inside, axis=1) / np.diff(e)
        return Estimate(each.mean(axis=0), interval(each), np.zeros(e.size - 1, dtype=int))

    def _parts(self) -> dict[str, Any]:
        """Everything but the raw measures as plain JSON types."""
        return {
            "outputs": self.outputs,
            "inputs": self.inputs,
            "method": self.method,
            "largest": self.largest.to_dict(),
            "smallest": self.smallest.to_dict(),
            "moments": self.moments.to_dict(),
            "singular_values": self.singular_values and self.singular_values.to_dict(),
            "probes": self.probes,
            "steps": self.steps,
            "products": self.products,
            "note": self.note,
        }

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Distribution function of log eigenvalues, measured and by theory."""
        from chione.plotting.panels import Panel, Picture, assemble  # matplotlib is slow to load
        from chione.plotting.saving import save
        from chione.plotting.torch_report import (
            draw_distribution,
            staircase_of_measures,
            staircase_of_values,
        )

        theory = None
        if self.theory is not None and self.theory.support:
            curve = self.theory.curve()
            theory = (np.asarray(curve.log_lambda), np.asarray(curve.cdf))
        measured = staircase_of_measures(self.nodes, self.weights)
        if self.log_singular_values is not None:
            log = self.log_singular_values
            measured = staircase_of_values(
                np.asarray(log.value), np.asarray(log.error), self.outputs
            )
        panel = Panel(lambda axes: draw_distribution(axes, measured, theory))
        figure = assemble(Picture({"cdf": panel}), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure


def interval(each: Array) -> Array:
    """Half width of the 99 % interval of the mean over the probes; NaN with one probe.

    Student's t, since the spread over a handful of probes is itself uncertain.
    """
    n = each.shape[0]
    if n < 2:
        return np.full(each.shape[1:], np.nan)
    return np.asarray(stdtrit(n - 1, 0.995) * each.std(axis=0, ddof=1) / math.sqrt(n))
