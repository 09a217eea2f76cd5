"""Jointly Gaussian samples, grown block after block as their covariance becomes known."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from chione.base import EPS, Array

_MOST = 4000  # dimensions of a scrambled net; beyond that plain random numbers
_HALF = 2.0**-33  # half a step of the net, so that no point is at the edge of the cube


class Blocks:
    """Samples of N(0, C) whose rows of C arrive block after block (block Cholesky).

    Parameters
    ----------
    normals : ndarray, shape (M, blocks * size)
        Independent N(0, 1) numbers.
    size : int
        Sites of a block.
    """

    def __init__(self, normals: Array, size: int) -> None:
        self._normals, self._size, self._done = normals, size, 0
        width = normals.shape[1]
        self.factor = np.zeros((width, width))
        self._inverse: list[Array] = []  # of the transposed blocks on the diagonal

    def more(self, covariance: Array) -> Array:
        """The next block, (M, size), from its covariance with all up to itself.

        Directions without variance stay without, so that equal sites get equal values.
        """
        size, done = self._size, self._done
        row = self.factor[done : done + size]
        for k, inverse in enumerate(self._inverse):
            at = slice(k * size, (k + 1) * size)
            known = row[:, : k * size] @ self.factor[at, : k * size].T
            row[:, at] = (covariance[:, at] - known) @ inverse
        rest = covariance[:, done:] - row[:, :done] @ row[:, :done].T
        values, vectors = np.linalg.eigh(0.5 * (rest + rest.T))
        least = 64.0 * EPS * len(covariance.T) * max(float(np.trace(covariance[:, done:])), 0.0)
        values = np.where(values > least, values, 0.0)
        root = np.sqrt(values)
        row[:, done : done + size] = (vectors * root) @ vectors.T
        with np.errstate(divide="ignore"):
            inverse = np.where(root > 0.0, 1.0 / root, 0.0)
        self._inverse.append((vectors * inverse) @ vectors.T)
        self._done = done + size
        return np.asarray(self._normals[:, : self._done] @ row[:, : self._done].T)


def normals(count: int, dimensions: int, seed: list[int]) -> Array:
    """Quasi-random N(0, 1) numbers, (count, dimensions): a scrambled Sobol net, `count` a power
    of 2. Averages over nets of different seeds are independent and unbiased.
    """
    rng = np.random.default_rng(seed)
    if dimensions > _MOST:
        return rng.standard_normal((count, dimensions))
    net = qmc.Sobol(dimensions, scramble=True, rng=rng)
    return np.asarray(ndtri(net.random(count) + _HALF))
