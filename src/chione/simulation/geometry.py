r"""A circle of inputs on its way through the layers: how random networks bend a curve.

The inputs :math:`x(\theta) = \sqrt{q_0}\,(u_0 \cos\theta + u_1 \sin\theta)` form a great circle.
Its image in a layer, :math:`h(\theta)`, is followed together with the exact velocity
:math:`v = \partial_\theta h` and acceleration :math:`a = \partial_\theta^2 h`:

.. math:: x' = \phi'(h)\, v, \qquad x'' = \phi''(h)\, v^2 + \phi'(h)\, a .
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from chione.base import AbstractResult, Array, ConvergenceError, along, checks, cost, plain, result
from chione.networks import MLP, as_network
from chione.simulation.costs import check_circle, first_width
from chione.simulation.dense import DenseWeights
from chione.simulation.inputs import correlated_inputs
from chione.simulation.moments import Moments
from chione.simulation.streams import Purpose, entropy, stream

QUANTITIES = ("metric", "euclidean_length", "curvature", "grassmannian_length")
_MEMORY = 64 * 2**20  # bytes of weights: there is no backward pass that would reuse them


@result
class CurveGeometry(AbstractResult):
    r"""Geometry of the image of a great circle, layer by layer.

    Parameters
    ----------
    network : MLP
        The network that was drawn.
    mean, stderr : mapping of str to ndarray, shape (L,)
        Over networks, averaged over the circle, in units in which layers of any width compare:
        ``metric`` :math:`|v|^2 / N`, ``euclidean_length`` :math:`\int |v|\, d\theta / \sqrt N`,
        ``curvature`` :math:`\sqrt N \kappa`, ``grassmannian_length``
        :math:`\int \kappa |v|\, d\theta` (the length of the curve of tangents).
        The last two are NaN for activations with corners or jumps, whose curves have corners.
    theta : ndarray, shape (P,)
        Angles of the points on the circle.
    components : ndarray, shape (L, P, 3)
        The curve of network number 0 in its three leading principal components.
    explained : ndarray, shape (L, 3)
        Shares of the variance that they hold.
    n_networks, seed : int
        As in :func:`~chione.simulation.simulate`.
    q0 : float
        Mean square of the inputs.
    """

    axes = (
        along("layer", "mean", "stderr")
        | along("theta", "theta")
        | along("layer theta component", "components")
        | along("layer component", "explained")
    )

    network: MLP
    mean: Mapping[str, Array]
    stderr: Mapping[str, Array]
    theta: Array
    components: Array
    explained: Array
    n_networks: int
    seed: int
    q0: float

    def _parts(self) -> dict[str, Any]:
        """Everything but the picture as plain JSON types; NaN becomes None."""
        return {
            "n_networks": self.n_networks,
            "seed": self.seed,
            "q0": self.q0,
            "explained": plain(self.explained),
            "observables": {
                name: {"mean": plain(self.mean[name]), "stderr": plain(self.stderr[name])}
                for name in self.mean
            },
        }


@np.errstate(over="ignore", invalid="ignore")  # what leaves float64 is refused below
def great_circle(
    network: MLP,
    *,
    q0: float = 1.0,
    n_points: int = 60,
    n_networks: int = 10,
    seed: int | None = 0,
    effort: float = 1.0,
) -> CurveGeometry:
    r"""Send a great circle of inputs through random networks and measure its image.

    .. math:: \kappa = \frac{\sqrt{(v \cdot v)(a \cdot a) - (v \cdot a)^2}}{(v \cdot v)^{3/2}}

    Parameters
    ----------
    network : MLP
        The network to draw, with an input width of at least 2.
    q0 : float
        Mean square of the inputs, above zero.
    n_points : int
        Points on the circle, at least 3. Integrals over the circle are means over the points.
    n_networks : int
        Number of networks.
    seed : int or None
        Seed; None draws one, which the result holds.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    CurveGeometry

    Raises
    ------
    CostError
        If it would take more than `effort` allows.
    TypeError, ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] B. Poole et al., Exponential expressivity in deep neural networks through transient
       chaos, NeurIPS 2016, section 3.
    """
    network = as_network(network)
    points = checks.integer("n_points", n_points, minimum=3)
    count = checks.integer("n_networks", n_networks)
    radius, start = checks.positive("q0", q0), entropy(seed)
    width = checks.integer("input_width", first_width(network), minimum=2)
    with cost.allowing(effort):
        check_circle(network, points=points, networks=count)
        frame = correlated_inputs(width, radius * np.eye(2), seed=start)
    theta = 2.0 * np.pi * np.arange(points) / points
    cos, sin = np.cos(theta)[:, None], np.sin(theta)[:, None]
    circle = cos * frame[0] + sin * frame[1]
    tangent = -sin * frame[0] + cos * frame[1]
    curve = np.vstack([circle, tangent, -circle])  # (3 P, N_0): point, velocity, acceleration
    weights = DenseWeights(network, dtype=np.dtype(np.float64), memory=_MEMORY)
    moments = Moments.empty((network.depth, len(QUANTITIES)))
    pictures: list[tuple[Array, Array]] = []
    for index in range(count):
        rows = []
        for h, v, a in _layers(network, weights, start, index, curve):
            rows.append(_measure(h, v, a))
            if not (np.all(np.isfinite(h)) and np.all(np.isfinite(rows[-1][:2]))):
                raise ConvergenceError(
                    f"signals leave the range of float64 in layer {len(rows)}; take a smaller q0, "
                    "smaller sigmas or fewer layers."
                )
            if index == 0:
                pictures.append(principal_components(h))
        moments = moments.including(np.array(rows))
    mean, stderr = moments.mean, moments.stderr
    if _has_corners(network):
        mean[:, 2:], stderr[:, 2:] = np.nan, np.nan
    return CurveGeometry(
        network=network,
        mean=dict(zip(QUANTITIES, mean.T, strict=True)),
        stderr=dict(zip(QUANTITIES, stderr.T, strict=True)),
        theta=theta,
        components=np.array([p for p, _ in pictures]),
        explained=np.array([e for _, e in pictures]),
        n_networks=count,
        seed=start,
        q0=radius,
    )


def principal_components(points: Array, count: int = 3) -> tuple[Array, Array]:
    """Leading principal components of the rows, and their shares of the variance.

    Parameters
    ----------
    points : ndarray, shape (P, N)
        One point in each row.
    count : int
        Number of components; missing ones are zero.

    Returns
    -------
    ndarray (P, count), ndarray (count,)
        Coordinates, of mean zero, and shares.
    """
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    k = min(count, len(s))
    out, share = np.zeros((len(points), count)), np.zeros(count)
    out[:, :k] = u[:, :k] * s[:k]
    if s[0] > 0.0:  # in units of the largest: its square may be no float64
        squares = (s / s[0]) ** 2
        share[:k] = squares[:k] / np.sum(squares)
    return out, share


def _layers(
    network: MLP, weights: DenseWeights, seed: int, index: int, curve: Array
) -> Iterator[tuple[Array, Array, Array]]:
    phi = network.activation
    weights.start(seed, index)
    x = curve
    for l in range(1, network.depth + 1):
        h, v, a = np.split(np.asarray(weights.forward(l, x), np.float64), 3)
        if network.sigma_b > 0.0:  # the bias moves the curve and leaves its derivatives alone
            rng = stream(seed, index, l, Purpose.BIASES)
            h = h + network.sigma_b * rng.standard_normal(h.shape[1])
        yield h, v, a
        slope = phi.derivative(h)
        x = np.vstack([phi.value(h), slope * v, phi.second_derivative(h) * v**2 + slope * a])


def _measure(h: Array, v: Array, a: Array) -> Array:
    width = h.shape[1]
    vv, aa, va = (np.einsum("pn,pn->p", s, t) for s, t in ((v, v), (a, a), (v, a)))
    with np.errstate(divide="ignore", invalid="ignore"):
        curvature = np.sqrt(np.maximum(vv * aa - va**2, 0.0)) / vv**1.5
    speed = np.sqrt(vv)
    turn = 2.0 * np.pi
    return np.array(
        [
            vv.mean() / width,
            turn * speed.mean() / np.sqrt(width),
            curvature.mean() * np.sqrt(width),
            turn * (curvature * speed).mean(),
        ]
    )


def _has_corners(network: MLP) -> bool:
    phi = network.activation
    return any(phi.jump(order, k) != 0.0 for k in phi.kinks for order in (0, 1))
