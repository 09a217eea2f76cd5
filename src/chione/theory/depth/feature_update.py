"""How far features move in the first step of training, place by place, as a result."""

from __future__ import annotations

from typing import final

import numpy as np

from chione.base import (
    AbstractResult,
    Estimate,
    Status,
    along,
    checks,
    cost,
    result,
)
from chione.networks import (
    MLP,
    Network,
)
from chione.theory.depth.feature_changes import ZERO, Change, Steps, items_of
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.stream import from_moments
from chione.theory.layers.walk import propagate

OPTIMIZERS = ("sgd", "adam")
PARAMETERS = ("standard", "ntk")


@final
@result
class FeatureUpdate(AbstractResult):
    r"""Sizes of what one step of training changes, place by place.

    Parameters
    ----------
    network : Network
        The network.
    optimizer, parameters : str
        As asked for.
    learning_rate, output_gradient : float
        As asked for.
    places : tuple of str, length R
        Where, as in :class:`NetworkTheory`.
    kinds : tuple of str
        Word of the layer's kind.
    q, gradient : Estimate, shape (R,)
        Mean squares of the features x, and of :math:`\partial L / \partial x`.
    update : Estimate, shape (R,)
        Root mean square of dx, to first order in the learning rate.
    relative : Estimate, shape (R,)
        The same, divided by the root mean square of x.
    """

    axes = along("place", "q", "gradient", "update", "relative")

    network: Network
    optimizer: str
    parameters: str
    learning_rate: float
    output_gradient: float
    places: tuple[str, ...]
    kinds: tuple[str, ...]
    q: Estimate
    gradient: Estimate
    update: Estimate
    relative: Estimate


@cost.ends
def feature_update(
    network: Network | MLP,
    *,
    learning_rate: float,
    optimizer: str = "sgd",
    parameters: str = "standard",
    output_gradient: float = 1.0,
) -> FeatureUpdate:
    r"""Size of the change of all features in the first step on one example.

    Parameters
    ----------
    network : Network or MLP
        Dense layers of Gaussian or uniform weights, nonlinearities, scales, layer and rms norms
        on Gaussian channels, residual blocks of these with the identity as their shortcut, and
        repetitions; vectors enter. Its widths count.
    learning_rate : float
        The learning rate :math:`\eta`.
    optimizer : {"sgd", "adam"}
        Plain gradient descent, or the first step of Adam with an epsilon below all gradients:
        every parameter moves by :math:`\eta`. Adam is known for chains without residual blocks.
    parameters : {"standard", "ntk"}
        What is trained: W and b themselves, as in PyTorch, or w and beta of variance one with
        :math:`W = \sigma_w w / \sqrt n`, :math:`b = \sigma_b \beta`. Biases are trained where
        sigma_b is not zero.
    output_gradient : float
        Root mean square of :math:`\partial L / \partial x` over the channels that leave, which
        counts as random and independent of the network.

    Returns
    -------
    FeatureUpdate

    Raises
    ------
    UnsupportedLayerError
        With the place, if a layer is none of these.
    ValueError
        If an argument is not as described, or the network's input has positions.

    Notes
    -----
    To first order in the learning rate, at infinite width with the given ratios of widths; the
    first input of ``network.input`` is the example. The recursion is that of the module
    :mod:`chione.theory.depth.feature_changes`; no source for it is known to us.

    Examples
    --------
    Deep layers move more than the tangent kernel alone says (:math:`\eta \Theta \sqrt P`):

    >>> from chione.networks import Dense, Input, Network, Nonlinearity, Repeat
    >>> block = Repeat(3, [Dense(1.5), Nonlinearity("tanh")])
    >>> net = Network([block, Dense(1.5)], Input(512, inputs=((1.0,),)))
    >>> step = feature_update(net, learning_rate=0.1, parameters="ntk")
    >>> [round(float(v), 4) for v in step.update.value[1::2]]
    [0.1968, 0.3845, 0.5926, 0.8357]
    """
    described = network.network() if isinstance(network, MLP) else network
    if not isinstance(described, Network):
        raise TypeError(f"network must be a Network or an MLP, but it is {network!r:.60}.")
    checks.one_of("optimizer", optimizer, OPTIMIZERS)
    checks.one_of("parameters", parameters, PARAMETERS)
    rate = np.float64(checks.positive("learning_rate", learning_rate))
    size = np.float64(checks.positive("output_gradient", output_gradient))
    if described.input.grid:
        raise ValueError(
            f"the network's input must be vectors, but it has the grid {described.input.grid}; "
            f"feature updates are known for networks without positions."
        )
    with np.errstate(all="ignore"):  # what leaves float64 is told by its status
        return _updated(described, rate, size, optimizer, parameters)


def _updated(
    described: Network, rate: np.float64, size: np.float64, optimizer: str, parameters: str
) -> FeatureUpdate:
    q0 = described.input.second_moments()[:1, :1]
    walked = propagate(described, from_moments(q0, described.input.shape))
    gradients = {place: g.p.at(0).scaled(size**2) for place, g in walked.backward().items()}
    steps = Steps(rate, optimizer == "adam", parameters == "ntk", walked.streams, gradients)
    items = list(items_of(described.layers, "layers"))
    steps.through(items, Change(ZERO, ZERO, ZERO), "input", gradients["input"])
    places = [place for place in walked.streams if place in steps.squares]
    words = {place: layer.word for place, layer in described.steps()}
    kinds = [words.get(place, "input") for place in places]
    updates = [steps.squares[place] for place in places]
    q = [walked.streams[place].k.at(0) for place in places]
    roots = [x.sqrt() for x in updates]
    return FeatureUpdate(
        described,
        optimizer,
        parameters,
        float(rate),
        float(size),
        tuple(places),
        tuple(kinds),
        _column(q),
        _column([gradients[place] for place in places]),
        _column(roots),
        _column([x.over(y.sqrt()) for x, y in zip(roots, q, strict=True)]),
    )


def _column(x: list[Bounded]) -> Estimate:
    value, error = (np.array([float(b[k]) for b in x]) for k in (0, 1))
    value = np.where(np.isfinite(value), value, np.nan)
    error = np.where(np.isfinite(value), error, np.inf)
    bad = np.int8(Status.NOT_COMPUTED)
    status = np.where(np.isfinite(value), np.int8(Status.OK), bad).astype(np.int8)
    return Estimate(value, error, status)
