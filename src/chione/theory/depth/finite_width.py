r"""The first correction to infinite width: how the mean square varies from network to network.

.. math::
    V^{l+1} = \chi_\parallel^2 V^l + \sigma_w^4 \left(E\,\phi^4 - (E\,\phi^2)^2\right)
      - [\text{orthogonal}]\; 2 (\sigma_w^2 E\,\phi^2)^2, \qquad
    \mathrm{Var}\Big[\tfrac1n \sum_i (h_i^l)^2\Big] = \frac{2 (K^l)^2 + V^l}{n} + O(n^{-2})
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from chione.activations import ActivationLike, activation
from chione.base import (
    EPS,
    AbstractResult,
    Array,
    ConvergenceError,
    Estimate,
    Status,
    along,
    checks,
    cost,
    result,
)
from chione.networks import MLP, WEIGHT_LAWS, as_network
from chione.theory.meanfield.length_map import (
    LARGEST_LENGTH,
    LengthMap,
    affine,
    count,
    mean_square,
    moved,
)
from chione.theory.moments.taylor import slope_in_q

LAWS = ("gaussian", "orthogonal")
# V / (n K^2) at which a layer's mean square departs from its infinite-width value by half of
# itself: beyond, an expansion in 1 / n says little.
_TRUST = 0.25
_RATE_LAYERS = 30
_FOLLOWED = 300  # layers after which the growth of V / K^2 is taken to go on
_LAYER = 1e-3  # CPU seconds of one layer


@result
class FiniteWidth(AbstractResult):
    r"""Lengths, four-point vertex and first correction of the mean, layer by layer.

    Parameters
    ----------
    activation : str
        Name of the activation.
    weights : {"gaussian", "orthogonal"}
        Law of the weights.
    length : Estimate, shape (L,)
        :math:`K^l`, the mean square of the pre-activations at infinite width.
    vertex : Estimate, shape (L,)
        :math:`V^l`.
    mean_correction : Estimate, shape (L,)
        :math:`G_1^l`: the mean over networks of the mean square is :math:`K^l + G_1^l / n`.
    """

    axes = along("layer", "length", "vertex", "mean_correction")

    activation: str
    weights: str
    length: Estimate
    vertex: Estimate
    mean_correction: Estimate

    @property
    def relative_vertex(self) -> Array:
        """V / K^2 of each layer; NaN where K = 0."""
        return _relative(self.length, self.vertex)

    def variance(self, width: int) -> Estimate:
        """Variance over networks of the mean square of a layer, (2 K^2 + V) / n."""
        n = count("width", width)
        return (2.0 * self.length**2 + self.vertex) / n

    def mean(self, width: int) -> Estimate:
        """Mean over networks of the mean square of a layer, K + G_1 / n."""
        n = count("width", width)
        return self.length + self.mean_correction / n

    def _parts(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "weights": self.weights,
            "length": self.length.to_dict(),
            "vertex": self.vertex.to_dict(),
            "mean_correction": self.mean_correction.to_dict(),
        }


@result
class Trust(AbstractResult):
    """How far infinite-width theory can be trusted at a width.

    Parameters
    ----------
    width, depth : int
        Size of the network.
    relative_spread : Estimate
        Standard deviation over networks of the last layer's mean square, relative to it, to
        leading order in 1 / n; the error is the size of the next order, the cube of it, and no
        bound.
    ratio : Estimate
        Depth-to-width ratio at which V / (n K^2) reaches a quarter; infinite where V / K^2 stays
        bounded below that. The error is how far the rate of growth still moved over the last
        layers that were followed.
    sentence : str
        The answer in words.
    """

    width: int
    depth: int
    relative_spread: Estimate
    ratio: Estimate
    sentence: str


@cost.ends
def finite_width(
    phi: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    depth: int = 50,
    weights: str = "gaussian",
    q0: float = 1.0,
) -> FiniteWidth:
    r"""Follow the four-point vertex and the mean's first correction through the layers.

    .. math::
        V^{l+1} &= \chi_\parallel(K^l)^2\,V^l + \sigma_w^4 \left(E\,\phi^4 - (E\,\phi^2)^2\right) \\
        G_1^{l+1} &= \chi_\parallel(K^l)\,G_1^l + \tfrac12\,\mathcal V''(K^l)\,V^l

    with V^1 = 0, G_1^1 = 0 and :math:`\mathcal V` the length map. Orthogonal weights keep the
    norm they act on, which takes :math:`2 (\sigma_w^2 E\,\phi^2)^2` away at each step and
    :math:`2 (K^1 - \sigma_b^2)^2` at the first.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    sigma_w, sigma_b : float
        Standard deviations of weights (times the root of the fan-in) and biases.
    depth : int
        Number of layers L.
    weights : {"gaussian", "orthogonal"}
        Law of the weights; other laws have further terms from their fourth moment.
    q0 : float
        Mean square of the input, above zero.

    Returns
    -------
    FiniteWidth

    Raises
    ------
    ValueError
        If an argument is not as described.
    ConvergenceError
        If a moment is infinite, or lengths leave the range of float64.

    Notes
    -----
    Given the metric of a layer its pre-activations are Gaussian (Gaussian weights), so the mean
    over networks of E phi^2 is that over the fluctuating K: hence the factor V''/2. All widths
    are equal and so is that of the input; :func:`mean_square_variance` takes unequal ones.

    References
    ----------
    .. [1] D. A. Roberts, S. Yaida, B. Hanin, "The Principles of Deep Learning Theory", 2022,
       chapter 4.

    Examples
    --------
    >>> res = finite_width("relu", sigma_w=2**0.5, depth=4)
    >>> [round(float(v), 12) for v in res.relative_vertex]  # 5 (l - 1)
    [0.0, 5.0, 10.0, 15.0]
    """
    act = activation(phi)
    map_of_layer = LengthMap.of(act, sigma_w, sigma_b)
    g, before = Estimate(0.0, 0.0), Estimate(0.0, 0.0)
    rows = []
    for step, k, v in _vertices(map_of_layer, depth, weights, q0):
        g = g if step is None else step.correction(before, g)
        rows.append((k, v, g))
        before = v
    return FiniteWidth(act.name, weights, *map(Estimate.stack, zip(*rows, strict=True)))


@cost.ends
def relative_vertex(
    phi: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    depth: int = 50,
    weights: str = "gaussian",
    q0: float = 1.0,
) -> Array:
    """V / K^2 of each layer as of :func:`finite_width`, without the mean's correction.

    The correction takes the second derivative of the length map, half of the work.
    """
    steps = _vertices(LengthMap.of(activation(phi), sigma_w, sigma_b), depth, weights, q0)
    k, v = (Estimate.stack(column) for column in zip(*(row[1:] for row in steps), strict=True))
    return _relative(k, v)


def _relative(k: Estimate, v: Estimate) -> Array:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.asarray(v.value / k.value**2)


def _vertices(
    map_of_layer: LengthMap, depth: int, weights: str, q0: float
) -> Iterator[tuple[_Step | None, Estimate, Estimate]]:
    """Length and vertex of each layer, with the step that led there."""
    q0, depth = mean_square("q0", q0), count("depth", depth)
    checks.one_of("weights", weights, LAWS)
    _check_layers(depth)
    haar = weights == "orthogonal"
    k = _first_length(map_of_layer, q0)
    v = Estimate(-2.0 * (map_of_layer.w2 * q0) ** 2 if haar else 0.0, 0.0)
    yield None, k, v
    for layer in range(1, depth):
        step = _Step(map_of_layer, k, haar, layer)
        k, v = step.length(), step.vertex(v)
        yield step, k, v


def mean_square_variance(network: MLP, *, q0: float = 1.0) -> Estimate:
    r"""Variance over networks of each layer's mean square, for any widths.

    .. math:: U^{l+1} = \chi_\parallel^2 U^l + \frac{\sigma_w^4}{n_l} \left(E\,\phi^4
       - (E\,\phi^2)^2\right), \qquad \mathrm{Var} = \frac{2 (K^l)^2}{n_l} + U^l

    Orthogonal weights from n to m units take away
    :math:`2 (\sigma_w^2 E\,\phi^2)^2 / \max(n, m)`.

    Parameters
    ----------
    network : MLP
        With Gaussian or orthogonal weights.
    q0 : float
        Mean square of the input.

    Returns
    -------
    Estimate
        Shape (L,), to leading order in 1 / n.
    """
    network, q0 = as_network(network), mean_square("q0", q0)
    checks.one_of("weights", network.weights, LAWS)
    _check_layers(network.depth)
    map_of_layer = LengthMap.of(network.activation, network.sigma_w, network.sigma_b)
    haar, n = network.weights == "orthogonal", network.widths
    k = _first_length(map_of_layer, q0)
    u = Estimate(-2.0 * (map_of_layer.w2 * q0) ** 2 / max(n[0], n[1]) if haar else 0.0, 0.0)
    rows = []
    for layer in range(1, network.depth + 1):
        rows.append(2.0 * k**2 / n[layer] + u)
        if layer == network.depth:
            break
        step = _Step(map_of_layer, k, haar, layer)
        u = step.vertex(u, 1.0 / n[layer], 1.0 / max(n[layer], n[layer + 1]))
        k = step.length()
    return Estimate.stack(rows)


@cost.ends
def trust(
    phi: ActivationLike,
    *,
    sigma_w: float,
    sigma_b: float = 0.0,
    depth: int = 50,
    width: int = 512,
    weights: str = "gaussian",
    q0: float = 1.0,
) -> Trust:
    """Say whether infinite-width figures hold for networks of this depth and width.

    Parameters as :func:`finite_width`; `width` is the number of units of each layer. Weight laws
    other than orthogonal are treated as Gaussian, which differs from them by terms of order 1/n.
    """
    n, depth = count("width", width), count("depth", depth)
    checks.one_of("weights", weights, WEIGHT_LAWS)
    law = weights if weights in LAWS else "gaussian"

    def run(layers: int) -> Array:
        return relative_vertex(
            phi, sigma_w=sigma_w, sigma_b=sigma_b, depth=layers, weights=law, q0=q0
        )

    followed = min(depth, _FOLLOWED)
    try:  # the rate of growth wants some layers, also where the network has few
        relative = run(max(followed, _RATE_LAYERS))
    except ConvergenceError:
        relative = run(max(followed, 2))
    half = len(relative) // 2
    last, middle = float(relative[-1]), float(relative[half - 1])
    growth = (last - middle) / (len(relative) - half)
    bounded = growth * len(relative) < 0.1 * max(1.0, abs(last))
    # at criticality V / K^2 goes on along a straight line
    beyond = 0.0 if bounded else growth * float(depth - followed)
    spread = math.sqrt(max(2.0 + float(relative[followed - 1]) + beyond, 0.0) / n)
    ratio = Estimate(math.inf, 0.0)
    if not bounded and growth > 0.0:
        latest = last - float(relative[-2])  # the rate between the last two layers
        ratio = _TRUST / Estimate(growth, abs(latest - growth))
    sentence = _trust_sentence(n, depth, spread, float(ratio.value))
    return Trust(n, depth, Estimate(spread, spread**3), ratio, sentence)


def _check_layers(depth: int) -> None:
    layers = float(depth)
    cost.check(
        f"the vertex through {layers:.6g} layers",
        seconds=_LAYER * layers,
        fits=f"a depth of {int(cost.SECONDS / _LAYER):,} fits; trust takes any depth",
    )


def _trust_sentence(n: int, depth: int, spread: float, ratio: float) -> str:
    percent = f"{100.0 * spread:.0f}" if spread >= 0.1 else f"{100.0 * spread:.2g}"
    text = (
        f"At width {n} the mean square of layer {depth} varies by {percent} % "
        f"from network to network."
    )
    if math.isinf(ratio):
        return f"{text} That does not grow with depth, so infinite-width figures hold."
    verdict = "hold" if depth / n < ratio else "do not hold here"
    return (
        f"{text} Infinite-width figures {verdict}: they can be trusted up to a depth-to-width "
        f"ratio of about {ratio:.2g}, and this one is {depth / n:.2g}."
    )


def _first_length(layer: LengthMap, q0: float) -> Estimate:
    """K of the first layer; its square enters, and must be a float64."""
    k = layer.w2 * q0 + layer.b2
    if k > LARGEST_LENGTH:
        raise ConvergenceError(f"The first length, {k:g}, is beyond {LARGEST_LENGTH:g}.")
    return Estimate(k, 2.0 * EPS * k)


class _Step:
    """One layer: the moments at K and what they make of length, vertex and mean."""

    def __init__(self, layer: LengthMap, k: Estimate, haar: bool, number: int) -> None:
        m = layer.moments
        self._layer, self._k, self._w2, self._haar = layer, k, layer.w2, haar
        self._square, self._fourth = m.square(float(k.value)), m.fourth(float(k.value))
        # V and all errors scale with K, so that at K = 0 there is nothing to carry
        self._chi = layer.slope(float(k.value)) if k.value > 0.0 else Estimate.exact(0.0)
        for e in (self._square, self._fourth, self._chi):
            if not math.isfinite(e.value):
                raise ConvergenceError(
                    f"The moments of {m.phi} have no value at layer {number}, where "
                    f"K = {k.value:.3g}: {Status(int(e.status)).sentence}",
                    result=e,
                )

    def length(self) -> Estimate:
        after = affine(self._square, self._w2, self._layer.b2)
        k = moved(after, self._chi, self._k)
        return Estimate(k.value, k.error)

    def vertex(self, v: Estimate, per: float = 1.0, per_haar: float = 1.0) -> Estimate:
        chi, s2, s4 = self._chi, self._square, self._fourth
        source = self._w2**2 * (s4.value - s2.value**2) * per
        kept = 2.0 * (self._w2 * s2.value) ** 2 * per_haar if self._haar else 0.0
        value = chi.value**2 * v.value + source - kept
        error = chi.value**2 * v.error + 2.0 * abs(chi.value * v.value) * chi.error
        error += self._w2**2 * per * (s4.error + (2.0 + 4.0 * self._haar) * s2.value * s2.error)
        if (
            self._k.value > 0.0
        ):  # the moments change by some powers of K, so by some relative errors
            terms = abs(chi.value**2 * v.value) + self._w2**2 * per * s4.value + kept
            error += 4.0 * terms * self._k.error / self._k.value
        return Estimate(value, error + 4.0 * EPS * (abs(value) + source + kept))

    def correction(self, v: Estimate, g: Estimate) -> Estimate:
        chi = self._chi
        if self._k.value == 0.0:
            return chi * g
        bend = slope_in_q(self._layer.moments.slope, float(self._k.value))
        value = chi.value * g.value + 0.5 * self._w2 * bend.value * v.value
        error = abs(chi.value) * g.error + chi.error * abs(g.value)
        error += 0.5 * self._w2 * (bend.error * abs(v.value) + abs(bend.value) * v.error)
        error += 4.0 * abs(value) * self._k.error / self._k.value
        return Estimate(value, error + 4.0 * EPS * abs(value))
