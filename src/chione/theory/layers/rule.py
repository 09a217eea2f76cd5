"""The door of a layer rule, found by the type of the layer.

``forward(layer, stream, walk)`` gives the stream after the layer and the pullback that takes the
gradient home. The rule of a kind stands in the file of its name in this folder.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Protocol, TypeAlias

from chione.activations import AbstractActivation
from chione.base import UnsupportedLayerError
from chione.networks import AbstractLayer, Layers
from chione.theory.layers.population import Population
from chione.theory.layers.stream import Gradient, Stream
from chione.theory.moments.pair_moments import Prepared

Pullback: TypeAlias = Callable[[Gradient], Gradient]
Passed: TypeAlias = tuple[Stream, Pullback]


class Walker(Protocol):
    """What a rule may ask of the walk that called it."""

    @property
    def place(self) -> str:
        """Where the layer stands, such as ``layers[2].branch[0]``."""

    @property
    def memo(self) -> dict[AbstractActivation, Prepared]:
        """What was prepared for an activation at an earlier layer."""

    @property
    def seed(self) -> int:
        """Where the random numbers of sampled rules start."""

    @property
    def heads(self) -> int:
        """Number of attention heads to sample, where heads are sampled."""

    @property
    def stated(self) -> bool:
        """Whether averages over heads carry their standard errors."""

    @property
    def population(self) -> Population | None:
        """The channels that this walk samples; None if it does not."""

    @property
    def sampled(self) -> dict[str, str]:
        """Places whose rule sampled, and what: rules write it."""

    def charge(self, what: str, seconds: float, gigabytes: float, fits: str) -> None:
        """Refuse sampling that would take too long, together with what was sampled before."""

    def told(self, share: float) -> None:
        """Hear which share of the present layer's sampling is done."""

    def memory(self, name: str) -> Stream:
        """What leaves the memory of that name."""

    def to_memory(self, name: str, g: Gradient) -> None:
        """Send a gradient to it."""

    def through(self, layers: Layers, stream: Stream, name: str) -> Passed:
        """Walk through layers inside this one, at the place `name` below it."""

    def noted(self, name: str, stream: Stream, pullback: Pullback) -> Pullback:
        """Keep a row of its own for a stream inside this layer; the pullback notes its gradient."""


@singledispatch
def forward(layer: AbstractLayer, stream: Stream, walk: Walker) -> Passed:
    """The stream after a layer, and its pullback.

    Parameters
    ----------
    layer : AbstractLayer
        The layer.
    stream : Stream
        What enters.
    walk : Walker
        Who asks: it knows the place, and walks through inner layers.

    Raises
    ------
    UnsupportedLayerError
        If the kind has no rule, or its law does not close on what enters.
    """
    raise UnsupportedLayerError(
        f"{walk.place}: theory has no rule for layers of the kind {layer.word or type(layer)!r}; "
        f"a rule stands in chione/theory/layers, in a file of the kind's name."
    )


def unclosed(walk: Walker, what: str, why: str) -> UnsupportedLayerError:
    """The error for a case in which second moments do not determine what comes next."""
    return UnsupportedLayerError(
        f"{walk.place}: second moments do not determine {what}, since {why}. Put a layer with "
        f"fresh weights between them, simulate the network, or start the walk again from measured "
        f"moments."
    )
