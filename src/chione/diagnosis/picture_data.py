"""The parts of the picture of an analysis, as plain data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chione.base import AbstractResult, Array, along, result


@result
class MapData(AbstractResult):
    """A map from layer to layer with one orbit and its fixed points.

    Parameters
    ----------
    x, y, error : ndarray, shape (K,)
        Argument, image, and bound on the error of the image.
    orbit : ndarray, shape (M,)
        Successive values from layer to layer.
    fixed_points : tuple of (float, bool)
        Place of each, and whether it is stable.
    note : str
        What is particular about it; empty for nothing.
    """

    axes = along("x", "x", "y", "error")

    x: Array
    y: Array
    error: Array
    orbit: Array
    fixed_points: tuple[tuple[float, bool], ...] = ()
    note: str = ""


@result
class DiagramData(AbstractResult):
    """A phase diagram with the critical line.

    Parameters
    ----------
    sigma_w, sigma_b : ndarray, shapes (n,) and (m,)
        Columns and rows.
    q_star, error : ndarray, shape (m, n)
        Fixed points and bounds on their errors; NaN where lengths diverge.
    phase : ndarray of str, shape (m, n)
        A word for each cell.
    line : ndarray, shape (3, K)
        sigma_w, sigma_b and chi_parallel of the critical line.
    reached : ndarray of bool, shape (m, n)
        False where lengths that start at the input do not get to q*.
    """

    axes = (
        along("sigma_w", "sigma_w")
        | along("sigma_b", "sigma_b")
        | along("sigma_b sigma_w", "q_star", "error", "phase", "reached")
    )

    sigma_w: Array
    sigma_b: Array
    q_star: Array
    error: Array
    phase: NDArray[np.str_]
    line: Array
    reached: NDArray[np.bool_]


@result
class CurveData(AbstractResult):
    """A quantity over the layers: theory with its error, measured means with standard errors.

    Parameters
    ----------
    theory, error : ndarray, shape (L,)
        Value at infinite width, and bound on its error.
    measured, stderr : ndarray, shape (L,) or (0,)
        Mean over simulated networks and its standard error.
    layer : ndarray, shape (L,)
        Numbers of the layers.
    """

    axes = along("layer", "layer", "theory", "error")

    theory: Array
    error: Array
    measured: Array
    stderr: Array
    layer: Array
