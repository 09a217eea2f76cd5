"""Where iterating the map of mean and variance leads from each start."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import AbstractResult, Array, along, checks, cost, result
from chione.theory.meanfield.length_map import count
from chione.theory.meanfield.norm_stability import MEANS, VARIANCES, image_grid, norm_stability


@result
class Basins(AbstractResult):
    """Where iterating the map leads from each mean and variance.

    Parameters
    ----------
    means, variances : ndarray, shapes (n,), (m,)
        Starting points.
    target : ndarray of int, shape (m, n)
        Index of the fixed point that is reached, in the order of
        :attr:`NormStability.points`; -1 where none is reached within the range and steps.
    """

    axes = (
        along("means", "means")
        | along("variances", "variances")
        | along("variances means", "target")
    )

    means: Array
    variances: Array
    target: NDArray[np.int64]


@cost.ends
def basins(
    phi: ActivationLike, *, means: Any = None, variances: Any = None, n_steps: int = 2000
) -> Basins:
    """Map of the basins of attraction of the pair (mean, variance).

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts; it must be continuous.
    means, variances : array_like, optional
        Starting points; by default 41 means in [-1, 1] and 41 variances in [0.1, 3].
    n_steps : int
        Steps after which a point that is near no fixed point counts as lost.

    Notes
    -----
    The map is interpolated by a bicubic spline in the mean and the logarithm of the variance over
    the searched range, right to some 1e-5: enough for which basin, not for where exactly the
    border runs. A start is assigned when it comes within 0.01 of an attracting fixed point.
    """
    act = activation(phi)
    x = np.linspace(-1.0, 1.0, 41) if means is None else checks.real_array("means", means)
    v = (
        np.linspace(0.1, 3.0, 41)
        if variances is None
        else checks.real_array("variances", variances)
    )
    if x.ndim != 1 or v.ndim != 1 or x.size == 0 or v.size == 0:
        raise ValueError(
            f"means and variances must be lists of numbers, but their shapes are {x.shape} and "
            f"{v.shape}."
        )
    if np.any(v <= 0.0):
        raise ValueError(f"variances must be above 0, but they hold {v.min()!r}.")
    n_steps = count("n_steps", n_steps)
    cost.check(
        f"{n_steps:.6g} steps of the map",
        seconds=n_steps * (1e-4 + 2e-7 * x.size * v.size),
        fits="2000 steps serve all but the neighbourhood of a border",
    )
    points = norm_stability(act).points
    first, second = _spline(act)
    mu, nu = (a.ravel().copy() for a in np.meshgrid(x, v))
    target = np.full(mu.shape, -1, dtype=np.int64)
    going = np.ones(mu.shape, dtype=bool)
    for _ in range(n_steps):
        going &= (mu > MEANS[0]) & (mu < MEANS[1]) & (nu < VARIANCES[1])
        for i, p in enumerate(points):
            if p.stability != "attracts":
                continue
            near = np.hypot(mu - p.mean.value, nu - p.variance.value) < 0.01
            target[going & near] = i
            going &= ~near
        if not going.any():
            break
        a, b = mu[going], np.log(nu[going])
        mu[going], nu[going] = first.ev(b, a), np.maximum(second.ev(b, a), VARIANCES[0])
    return Basins(x, v, target.reshape(len(v), len(x)))


def _spline(act: AbstractActivation) -> tuple[RectBivariateSpline, RectBivariateSpline]:
    mu, nu, mean, variance = image_grid(act)
    return RectBivariateSpline(np.log(nu), mu, mean), RectBivariateSpline(np.log(nu), mu, variance)
