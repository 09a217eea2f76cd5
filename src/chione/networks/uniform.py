"""Whether all layers of a network are alike: the only gate to the fast paths."""

from __future__ import annotations

from typing import Any

from chione.networks.dense import Dense
from chione.networks.layer import AbstractLayer, Layers
from chione.networks.mlp import MLP
from chione.networks.network import Network
from chione.networks.nonlinearity import Nonlinearity
from chione.networks.repeat import Repeat

_MOST = 10**7  # steps that are unfolded one by one


def uniform(network: MLP | Network) -> MLP | None:
    """The network as an :class:`MLP`, or None.

    It is one if vectors enter, and every layer is dense, with one activation after each, one
    sigma_w, one sigma_b and one law of weights; repetitions are unfolded.
    """
    if isinstance(network, MLP):
        return network
    if network.input.grid or network.length > _MOST:
        return None
    layers = _unfolded(network.layers)
    dense, rest = layers[::2], layers[1::2]
    if not dense or len(dense) != len(rest):
        return None
    first, phi = dense[0], rest[0]
    if not isinstance(first, Dense) or not isinstance(phi, Nonlinearity) or first.form != "plain":
        return None
    if any(layer != phi for layer in rest) or any(_law(layer) != _law(first) for layer in dense):
        return None
    width = network.input.width
    widths = []
    for layer in dense:
        width = getattr(layer, "out", None) or width
        widths.append(width)
    alike = len(set(widths)) == 1
    return MLP(
        phi.activation,
        first.sigma_w,
        first.sigma_b,
        depth=len(dense),
        width=widths[0] if alike else widths,
        weights=first.weights,
        input_width=None if network.input.width == widths[0] else network.input.width,
    )


def as_network(x: Any) -> MLP:
    """`x` as an :class:`MLP`, which a network of equal dense layers is; all else is refused.

    Raises
    ------
    TypeError
        If it is none; the message says what to write instead.
    """
    found = uniform(x) if isinstance(x, (MLP, Network)) else None
    if found is not None:
        return found
    what = "a network of other layers" if isinstance(x, Network) else f"of type {type(x).__name__}"
    raise TypeError(
        f"network must be a chione.MLP, but it is {what}; describe it as "
        f"chione.MLP('tanh', sigma_w=1.5, sigma_b=0.1, depth=50, width=512)."
    )


def _law(layer: AbstractLayer) -> Any:
    """What all dense layers must share."""
    if isinstance(layer, Dense):
        return layer.sigma_w, layer.sigma_b, layer.weights, layer.form
    return layer


def _unfolded(layers: Layers) -> list[AbstractLayer]:
    out: list[AbstractLayer] = []
    for layer in layers:
        out += _unfolded(layer.layers) * layer.times if isinstance(layer, Repeat) else [layer]
    return out
