"""Errors of curves over the layers, as the page shows them."""

from __future__ import annotations

import numpy as np

from chione.activations import AbstractActivation
from chione.base import AbstractResult, Array, along, result
from chione.theory import Trajectory


@result
class CurveErrors(AbstractResult):
    """Bounds on the errors of curves over the layers.

    Parameters
    ----------
    q, c : ndarray, shape (L,)
        Absolute errors of mean square and correlation.
    gradient : float
        Relative error of the factor on the mean square gradient through all layers.
    """

    axes = along("layer", "q", "c")

    q: Array
    c: Array
    gradient: float


def curve_errors(phi: AbstractActivation, curves: Trajectory, *, sigma_w: float) -> CurveErrors:
    """The errors that the curves carry; see :func:`chione.theory.trajectory`."""
    errors = curves.errors
    return CurveErrors(errors["q"], errors["c"], float(np.log(10.0) * errors["log10_gradient"][0]))
