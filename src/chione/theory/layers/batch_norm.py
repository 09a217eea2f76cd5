r"""Batch normalisation in training mode, for a batch of n sites (inputs and positions).

A channel is a vector h of N(0, K); with the centring G, :math:`r^2 = |G h|^2` and
:math:`R = r^2 + n \epsilon`

.. math:: y = \sqrt n\,\frac{G h}{\sqrt R}, \qquad
   \frac{\partial y}{\partial h} = \frac{\sqrt n}{\sqrt R}
   \Bigl(G - \frac{G h h^T G}{R}\Bigr)

Their second moments are integrals over one variable, exact for any batch: with
:math:`R^{-k} = \int_0^\infty s^{k-1} e^{-s R} ds / (k-1)!`, :math:`\Sigma = G K G` of eigenvalues
:math:`\lambda_i` and :math:`l_i = \lambda_i / (1 + 2 s \lambda_i)`,

.. math:: E\,y y^T = n \int l_i\,w\,ds, \qquad
   E\,J P J^T = n \int \Bigl[P - s (l_i + l_j) P + \tfrac{s^2}{2}
   \bigl(2 l_i l_j P_{ij} + \delta_{ij} l_i \textstyle\sum_k P_{kk} l_k\bigr)\Bigr] w\,ds

in the eigenbasis, :math:`w = e^{-s n \epsilon} \prod_i (1 + 2 s \lambda_i)^{-1/2}`. For equal
inputs and no activation this is the factor (B - 2) / (B - 3) of Yang et al. 2019.
"""

from __future__ import annotations

import numpy as np

from chione.base import EPS, Array
from chione.networks import Norm
from chione.theory.layers.batch_channels import BatchNormed
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import between, settled
from chione.theory.layers.gradient import Drawn
from chione.theory.layers.rule import Passed, Walker, unclosed
from chione.theory.layers.sampled import (
    averaged,
    crowd_of,
    defined,
    drawn_home,
    joint_classes,
    jointly,
)
from chione.theory.layers.stream import Gradient, Law, Stream

_NODES = 400  # on the logarithm of s; the halved rule tells the error
_ALIKE = 1e-14  # of the mean square: what rounding leaves of equal inputs


def batch_norm(layer: Norm, stream: Stream, walk: Walker) -> Passed:
    """Through the norm over all sites."""
    settled(stream, walk)
    if not stream.law.gaussian:
        return _of_any_law(layer, stream, walk)
    n = stream.orbits.sites
    centring = np.eye(n) - 1.0 / n
    gram = stream.second_moments()
    centred = centring @ gram.value @ centring
    if np.max(np.diagonal(centred)) <= _ALIKE * np.max(np.diagonal(gram.value)):
        raise unclosed(walk, "this norm", f"nothing differs within the batch of {n} sites")
    basis = _Basis(centred, layer.eps)
    if basis.rank < 3 and layer.eps == 0.0:
        raise unclosed(
            walk,
            "the gradient of this norm",
            f"over a batch of {n} sites with {basis.rank} independent directions its mean is "
            f"infinite (3 are needed)",
        )
    gain2 = layer.gain**2
    relative = float(np.max(gram.error)) / max(basis.size, 1e-300) * n
    moments = gain2 * basis.forward()
    error = np.full(n * n, gain2 * n * (basis.error + relative))
    orbits = stream.orbits.exchangeable()
    k = orbits.means(moments)
    q = k[orbits.one] + k[orbits.two]
    theta_matrix = stream.theta.at(stream.orbits.index)
    theta = gain2 * basis.through(theta_matrix.value) + layer.bias**2  # which is trained
    spread = relative + basis.error
    share = float(theta_matrix.error.max()) / max(float(np.abs(theta_matrix.value).max()), 1e-300)
    theta_error = float(np.abs(theta).max()) * (spread + share)
    recipe = None if stream.recipe is None else BatchNormed(layer, stream.recipe)
    error = error[: orbits.count]
    after = stream.with_(
        orbits=orbits,
        k=Bounded(k, error).shifted(layer.bias**2),
        d=between(Bounded(q - 2.0 * k, 4.0 * error + EPS * q), orbits),
        mean=Bounded.exact(np.zeros(n)),
        theta=Bounded(orbits.means(theta), np.full(orbits.count, theta_error)),
        law=Law(False, "normalised over a batch, which is no Gaussian"),
        recipe=recipe,
    )

    def pullback(g: Gradient) -> Gradient:
        if g.drawn is not None and recipe is not None:
            rows, crowd = g.drawn
            (home_rows,) = recipe.back(crowd, rows)
            alike = joint_classes(recipe, g.orbits.meet(stream.orbits)[0])
            if layer.eps > 0.0:
                return Gradient.sampled(home_rows, crowd, alike)
            weights = recipe.weights(crowd, centred)
            moments = crowd.weighted(home_rows, weights, alike)
            return Gradient(alike, moments, drawn=Drawn(home_rows, crowd))
        p = g.second_moments()
        home = gain2 * basis.through(p.value)
        classes = g.orbits.meet(stream.orbits)[0].exchangeable()
        size = np.abs(home).max()
        share = float(np.max(p.error)) / max(float(np.abs(p.value).max()), 1e-300)
        error = np.full(classes.count, size * (spread + share))
        return Gradient(classes, Bounded(classes.means(home), error))

    return after, pullback


def _of_any_law(layer: Norm, stream: Stream, walk: Walker) -> Passed:
    crowd = crowd_of(stream, walk, "this norm", f"the channels that enter are {stream.law.reason}")
    assert stream.recipe is not None  # or there were no population
    recipe = BatchNormed(layer, stream.recipe)
    reason = "normalised over a batch, which is no Gaussian"
    after = averaged(stream, recipe, crowd, reason, joint_classes(recipe, stream.orbits))
    return defined(after, walk), drawn_home(recipe, crowd, jointly(recipe, stream.orbits))


class _Basis:
    """Eigenvectors of Sigma and the integrals over s.

    Parameters
    ----------
    sigma : ndarray, shape (n, n)
        G K G.
    eps : float
        As in the norm.
    """

    def __init__(self, sigma: Array, eps: float) -> None:
        self._n = n = len(sigma)
        values, self._u = np.linalg.eigh(0.5 * (sigma + sigma.T))
        self.size = float(values[-1])
        values = np.where(values > 1e-13 * max(self.size, 1e-300) * n, values, 0.0)
        self.rank = int(np.sum(values > 0.0))
        self._centring = np.eye(n) - 1.0 / n
        # from far below the largest eigenvalue to far beyond the smallest that counts, where the
        # weight has fallen as s^(1 - rank / 2)
        low, least = 1e-22 / self.size, float(values[values > 0.0].min())
        high = 10.0 ** min(4.0 + 36.0 / max(self.rank - 2, 0.5), 80.0) / least
        if eps > 0.0:
            high = min(high, 800.0 / (n * eps))
        x, step = np.linspace(np.log(low), np.log(high), 4 * _NODES + 1, retstep=True)
        s = np.exp(x)
        decay = -0.5 * np.log1p(2.0 * s[:, None] * values).sum(axis=1) - s * n * eps
        weight = np.exp(decay) * s * step
        self._l = values / (1.0 + 2.0 * s[:, None] * values)
        self._s, self._weight = s, weight
        whole, half = (self._sums(slice(None, None, k), float(k)) for k in (1, 2))
        self._sum = whole
        scale = [max(float(np.abs(a).max()), 1e-300) for a in whole]
        gaps = [float(np.abs(a - b).max()) / c for a, b, c in zip(whole, half, scale, strict=True)]
        self.error = max(gaps) + 64.0 * n * EPS

    def _sums(self, part: slice, stretch: float) -> tuple[Array, Array, Array, Array]:
        s, w, l = self._s[part], self._weight[part] * stretch, self._l[part]
        return (
            w @ l,
            np.asarray(w.sum()),
            (w * s) @ l,
            (l * (0.5 * w * s * s)[:, None]).T @ l,
        )

    def forward(self) -> Array:
        """E y y^T."""
        return np.asarray(self._n * (self._u * self._sum[0]) @ self._u.T)

    def through(self, p: Array) -> Array:
        """E J P J^T, which is its own transposed map."""
        _, whole, first, second = self._sum
        centred = self._centring @ p @ self._centring
        t = self._u.T @ centred @ self._u
        out = t * (whole - first[:, None] - first[None, :] + 2.0 * second)
        out = out + np.diag(second @ np.diagonal(t))
        out = self._u @ out @ self._u.T
        return np.asarray(self._n * 0.5 * (out + out.T))
