"""What could be changed in a network, and what theory says of it then."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from functools import cache
from typing import final

import numpy as np

from chione.base import AbstractResult, Array, ChioneError, result
from chione.networks import (
    AbstractLayer,
    Attention,
    Convolution,
    Dense,
    Dropout,
    Layers,
    Network,
    Noise,
    Norm,
    Position,
    Repeat,
    Residual,
    Scale,
)
from chione.networks.layer import changed
from chione.theory.depth.passage import Passage
from chione.theory.depth.trainability import trainability
from chione.theory.layers.network_theory import NetworkTheory, network_theory

_GAINS = (0.25, 4.0)  # factors on all sigma_w that are tried
_ROUNDED = 1e-12  # of 1 - c from correlations: smaller ones are rounding
_ROUNDS = 12  # of a search for a gain: the last is 1/4000 of the first


@final
@result
class NetworkChange(AbstractResult):
    """A changed network beside the given one.

    Parameters
    ----------
    words : str
        What is changed.
    network : Network
        The changed network.
    log10_gradient, log10_length : float
        Decades by which the total squared gradient (first layer over output) and the mean square
        (output over first layer) change.
    trains : {"yes", "doubtful", "no"}
        What the rule of :mod:`chione.theory.depth.trainability` says of it.
    """

    words: str
    network: Network
    log10_gradient: float
    log10_length: float
    trains: str


def trunk(theory: NetworkTheory) -> list[int]:
    """Rows between the outermost layers and repetitions, in order; the input is not among them."""
    repeated = {place.split("#")[0] for place in theory.places if "#" in place}
    out = []
    for row, place in enumerate(theory.places):
        if place == "input":
            continue
        bare = "." not in place and "#" not in place
        if (bare and place not in repeated) or (place.count("#") == 1 and "." not in place):
            out.append(row)
    return out


def gradients(theory: NetworkTheory) -> Array:
    """Total squared gradients along the trunk: the mean square times channels and positions."""
    rows = trunk(theory)
    sizes = np.array([theory.widths[row] * theory.positions[row] for row in rows], np.float64)
    return np.asarray(np.asarray(theory.gradient.value)[rows] * sizes)


def decades(theory: NetworkTheory) -> float:
    """Decades of the total squared gradient between the first layer and the output."""
    g = gradients(theory)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.log10(g[0] / g[-1]))


def passage(theory: NetworkTheory) -> Passage:
    """Gradients, lengths and differences along the trunk, in the terms of the one rule.

    Of one input alone, the tokens that attention mixes are what may become alike.
    """
    rows = trunk(theory)
    with np.errstate(divide="ignore", invalid="ignore"):
        g, q = np.log(gradients(theory)), np.log(np.asarray(theory.q.value)[rows])
        gap = np.log(np.asarray(theory.one_minus_c.value))
    difference, pair = float(gap[rows[-1]] - gap[0]), "inputs"
    tokens = _difference_of_tokens(theory)
    if math.isnan(difference) and not math.isnan(tokens):
        difference, pair = tokens, "tokens"
    known = np.isfinite(g)
    free = _normalised_after(theory.network)
    relative = np.array([free.get(theory.places[row].split("#")[0], False) for row in rows])
    way = Passage.of(g[known], q[known], difference, normalised=relative[known].tolist())
    return dataclasses.replace(way, pair=pair)


def _difference_of_tokens(theory: NetworkTheory) -> float:
    """Growth of log (1 - c) of the first two tokens of one input; NaN where none is told."""
    network = theory.network
    mixed = any(isinstance(layer, Attention) for layer in _all(network.layers))
    if not mixed or theory.nngp is None or network.input.count > 1:
        return math.nan
    kept = (np.asarray(network.input.second_moments()), np.asarray(theory.nngp.value))
    if any(len(k) < 2 for k in kept):
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        # below, what is left of 1 - c is rounding
        first, last = (max(1.0 - k[0, 1] / math.sqrt(k[0, 0] * k[1, 1]), _ROUNDED) for k in kept)
    return math.log(last / first)


def _normalised_after(network: Network) -> dict[str, bool]:
    """Outermost places whose signal is read behind norms alone, so that its scale is arbitrary.

    A pre-norm transformer with a norm at its end is one of them: branches read normalised signals,
    and shortcuts hand the rest on.
    """
    out: dict[str, bool] = {}
    after = False  # of what leaves the network
    for i, layer in reversed(list(enumerate(network.layers))):
        out[f"layers[{i}]"] = after
        after = _reads_normalised(layer, after)
    return out


def _reads_normalised(layer: AbstractLayer, after: bool) -> bool:
    """Whether what enters a layer is read behind norms alone, if what leaves it is."""
    if isinstance(layer, Norm):
        return True
    if isinstance(layer, Residual):
        first = layer.branch[0] if layer.branch else None
        return (
            after and not layer.shortcut and first is not None and _reads_normalised(first, after)
        )
    if isinstance(layer, Repeat):
        for inner in reversed(layer.layers):
            after = _reads_normalised(inner, after)
        return after
    return after and isinstance(layer, (Position, Dropout, Noise, Scale))


def changes(network: Network, *, sampled: bool = False) -> tuple[NetworkChange, ...]:
    """The changes that could help, each as theory sees it; those without an answer are left out.

    No gain is searched where theory is `sampled`, which would take a walk for each one tried.
    """
    tried: list[tuple[str, Network]] = []
    if any(isinstance(layer, Residual) for layer in _all(network.layers)):
        tried.append(("branches scaled by 1/sqrt(number of blocks)", _scaled(network)))
        if not any(isinstance(layer, Norm) for layer in _all(network.layers)):
            tried.append(("layer norm at the start of each branch", _normalised(network)))
    gained = None if tried or sampled else _gained(network)  # a residual branch is scaled instead
    if gained is not None:
        tried.append(gained)
    out = []
    for words, other in tried:
        try:
            theory = network_theory(other)
        except ChioneError:  # it has no answer, so it is no advice
            continue
        out.append(_seen(words, theory))
    return tuple(out)


def _seen(words: str, theory: NetworkTheory) -> NetworkChange:
    rows = trunk(theory)
    q = np.asarray(theory.q.value)[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        length = float(np.log10(q[-1] / q[0]))
    found = trainability(passage(theory))
    return NetworkChange(words, theory.network, decades(theory), length, found.answer)


def _all(layers: Layers) -> Iterator[AbstractLayer]:
    for layer in layers:
        yield layer
        for _, inside in layer.inner():
            yield from _all(inside)


def _with(network: Network, layers: Layers) -> Network:
    return dataclasses.replace(network, layers=layers)


def _scaled(network: Network) -> Network:
    blocks = sum(
        layer.times * sum(isinstance(x, Residual) for x in layer.layers)
        for layer in _all(network.layers)
        if isinstance(layer, Repeat)
    )
    blocks = blocks or sum(isinstance(layer, Residual) for layer in _all(network.layers))

    def change(layer: AbstractLayer) -> AbstractLayer:
        if isinstance(layer, Residual):
            return dataclasses.replace(layer, scale=1.0 / math.sqrt(blocks))
        return layer

    return _with(network, changed(network.layers, change))


def _normalised(network: Network) -> Network:
    def change(layer: AbstractLayer) -> AbstractLayer:
        if isinstance(layer, Residual) and not layer.shortcut:
            return dataclasses.replace(layer, branch=(Norm("layer"), *layer.branch))
        return layer

    return _with(network, changed(network.layers, change))


def _times(network: Network, factor: float) -> Network:
    def change(layer: AbstractLayer) -> AbstractLayer:
        if isinstance(layer, (Dense, Convolution)):
            return dataclasses.replace(layer, sigma_w=layer.sigma_w * factor)
        return layer

    return _with(network, changed(network.layers, change))


def _gained(network: Network) -> tuple[str, Network] | None:
    """The common factor on all sigma_w with the least change of gradients over the depth."""

    @cache
    def change(log_factor: float) -> float:
        try:
            found = abs(decades(network_theory(_times(network, math.exp(log_factor)))))
        except ChioneError:
            return 1e3
        return found if math.isfinite(found) else 1e3

    low, high = (math.log(x) for x in _GAINS)
    # three marks in each round, around the best one of the round before
    best, reach = 0.0, max(-low, high)
    for _ in range(_ROUNDS):
        marks = [best + reach * x for x in (-0.5, 0.0, 0.5)]
        best, reach = min(marks, key=change), 0.5 * reach
    if not change(best) < change(0.0) - 0.1:
        return None
    factor = math.exp(best)
    return f"all sigma_w times {factor:.4g}", _times(network, factor)
