"""E log(w - v(h)^2) where the pole of the integrand is near: by parts, with the poles taken out."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev

from chione.base import Array
from chione.freeprob.measures import Complex, Integers
from chione.freeprob.pieces import NODES, Pieces, powers, to_powers
from chione.freeprob.poles import Finder, Poles, rule_error


def log_terms(
    w: Complex,
    poles: Poles,
    pairs: Integers,
    finder: Finder,
    pieces: Pieces,
    primitives: Array,
    plain: tuple[Array, Array],
) -> Complex:
    r"""What the plain rule misses in E log(w - t) on near pieces.

    .. math:: \int p \log(w - t) = [\Phi \log(w - t)] + \int \Phi\, \frac{t'}{w - t}

    :math:`\Phi` is zero at the end that is nearer to the poles: there both terms could be large.

    Parameters
    ----------
    w : ndarray of complex, shape (N,)
        Points.
    poles : Poles
        The poles near them.
    pairs : ndarray of int, shape (2, P)
        Number of the point and row of the finder of each pair that has a pole.
    finder, pieces
        The pieces, and the series of those that can have a pole.
    primitives : ndarray, shape (K, n + 1)
        Of the density of h on the pieces, see :func:`primitive`.
    plain : tuple of ndarray
        Places and weights of the plain rule; those of the pieces come first.
    """
    f, (places, masses) = finder, plain
    j, k = pairs
    # Number of the pair of each pole, and on which side its poles are.
    width = f.index.size
    pair = np.searchsorted(j * width + k, poles.point * width + poles.row)
    right = np.bincount(pair, poles.s.real, j.size) > 0.0
    full = f.index[k]
    phi = primitives[full]  # Chebyshev series, (P, n + 1)
    sign = (-1.0) ** np.arange(phi.shape[1])
    phi[:, 0] -= np.where(right, phi.sum(axis=1), phi @ sign)
    cols = full[:, None] * NODES + np.arange(NODES)  # atoms stand after the pieces
    apart = w[j][:, None] - places[cols]
    rough = np.sum(np.log(apart) * masses[cols], axis=1)
    mass = np.where(right, -(phi @ sign), phi.sum(axis=1))
    far_end = np.where(right, pieces.ends[full, 0], pieces.ends[full, 1])
    edge = mass * np.log(w[j] - far_end**2)
    nodes = f.nodes[1:-1]
    phi_nodes = phi @ chebyshev.chebvander(nodes, phi.shape[1] - 1).T
    slope = f.first[k] @ chebyshev.chebvander(nodes, NODES - 1).T
    gl = pieces.weight[full] / pieces.half[full][:, None]
    inner = gl * phi_nodes * 2.0 * pieces.value[full] * slope / apart
    out = scatter(j, edge + inner.sum(axis=1) - rough, w.size)
    value = np.sum(to_powers(phi)[pair] * powers(poles.s, phi.shape[1]), axis=1)
    at_root = value * rule_error(poles)[0]
    return np.asarray(out + scatter(poles.point, at_root, w.size))


def scatter(index: Integers, value: Complex, size: int) -> Complex:
    """Sums of the values by their index, shape (size,)."""
    out = np.bincount(index, value.real, size) + 1j * np.bincount(index, value.imag, size)
    return np.asarray(out)


def primitive(pieces: Pieces, weight: Array) -> Array:
    """Series in s of the integral of the weight (its values at the nodes) along each piece."""
    vander = chebyshev.chebvander(
        (pieces.h - pieces.center[:, None])[0] / pieces.half[0], NODES - 1
    )
    series = weight @ np.linalg.inv(vander).T
    return np.asarray(chebyshev.chebint(series.T, lbnd=0).T)
