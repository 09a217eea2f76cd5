"""One loop through a network, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from chione.activations import AbstractActivation
from chione.networks import MLP, Layers, Network

# The rules register themselves where they are imported.
from chione.theory.layers import (  # noqa: F401
    convolution,
    dense,
    dropout,
    flatten,
    gate,
    maxout,
    noise,
    nonlinearity,
    norm,
    parallel,
    pooling,
    position,
    repeat,
    residual,
    scale,
)
from chione.theory.layers.rule import Passed, Pullback, forward
from chione.theory.layers.stream import Gradient, Stream, entering
from chione.theory.moments.pair_moments import Prepared


class Walk:
    """A walk through a network: the streams and gradients that were met, by place."""

    def __init__(self) -> None:
        self.place = "layers"
        self.memo: dict[AbstractActivation, Prepared] = {}
        self.streams: dict[str, Stream] = {}
        self.gradients: dict[str, Gradient] = {}

    def through(self, layers: Layers, stream: Stream, name: str) -> Passed:
        """Layer after layer, at the place `name` below the present one."""
        here, back = self.place, list[Pullback]()
        for i, layer in enumerate(layers):
            self.place = f"{here}{name}[{i}]"
            stream, pullback = forward(layer, stream, self)
            back.append(self._noted(self.place, stream, pullback))
        self.place = here

        def pullback_all(g: Gradient) -> Gradient:
            for pullback in reversed(back):
                g = pullback(g)
            return g

        return stream, pullback_all

    def noted(self, name: str, stream: Stream, pullback: Pullback) -> Pullback:
        """A row inside the present layer."""
        return self._noted(self.place + name, stream, pullback)

    def _noted(self, place: str, stream: Stream, pullback: Pullback) -> Pullback:
        self.streams[place] = stream

        def noting(g: Gradient) -> Gradient:
            self.gradients[place] = g
            return pullback(g)

        return noting


@dataclass(frozen=True)
class Propagation:
    """What a walk met: streams by place, and how to send gradients home.

    Parameters
    ----------
    network : Network
        The network.
    streams : dict of str to Stream
        The stream after each place, ``input`` first.
    """

    network: Network
    streams: dict[str, Stream]
    _walk: Walk = field(repr=False, compare=False)
    _home: Callable[[Gradient], Gradient] = field(repr=False, compare=False)

    @property
    def output(self) -> Stream:
        """The stream that leaves the network."""
        return list(self.streams.values())[-1]

    def backward(self, cotangent: str = "independent") -> dict[str, Gradient]:
        """Mean-square gradients at each place.

        Parameters
        ----------
        cotangent : {"independent", "shared"}
            Gradients of the output with N(0, 1) entries, independent for every input, position
            and channel, or the same for all inputs and positions.
        """
        n = self.output.orbits.sites
        gram = np.eye(n) if cotangent == "independent" else np.ones((n, n))
        self._walk.gradients = {}
        found = {"input": self._home(Gradient.of(gram))}
        return found | self._walk.gradients


def propagate(network: Network | MLP, stream: Stream | None = None) -> Propagation:
    """Walk through a network.

    Parameters
    ----------
    network : Network or MLP
        The network.
    stream : Stream, optional
        What enters; by default what ``network.input`` says.

    Raises
    ------
    UnsupportedLayerError
        With the place, if a rule is missing or its law does not close.
    """
    described = network.network() if isinstance(network, MLP) else network
    walk = Walk()
    first = entering(described.input) if stream is None else stream
    _, home = walk.through(described.layers, first, "")
    return Propagation(described, {"input": first} | walk.streams, walk, home)
