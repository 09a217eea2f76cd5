"""What simulating a described network will cost, found from its description alone."""

from __future__ import annotations

from dataclasses import dataclass

from chione.base import cost
from chione.networks import Layers, Network, Repeat, Shape
from chione.simulation.layers.sampler import Memories, work

_LAYER = 2e-4  # s a layer forward, backward and measured, whatever its size
_DRAW = 1.4e-8  # s a weight
_PRODUCT = 1.5e-10  # s a multiplication and an addition of matrices
_SIGNAL = 1e-7  # s a channel, position and input, activations included
_BYTES = 8.0
_COTANGENTS = 2.0
_KEPT = 4.0  # copies of a signal that a layer keeps for its way back, gathered windows included
_ROW_COPIES = 8.0  # a measured matrix, its running moments and what their update takes
_GIGA = 1e9
_ENOUGH = 1e15  # seconds beyond which no more repetitions are counted


@dataclass(frozen=True)
class Load:
    """Sizes of some layers for one input."""

    layers: float = 0.0
    weights: float = 0.0
    products: float = 0.0
    signals: float = 0.0
    held: float = 0.0  # numbers kept beside the signals
    squares: float = 0.0  # sum of positions squared
    gram: float = 0.0  # sum of positions squared times channels
    largest: float = 0.0  # weights of the largest layer

    def plus(self, other: Load, times: float = 1.0) -> Load:
        """The sum with `times` the other."""
        return Load(
            self.layers + times * other.layers,
            self.weights + times * other.weights,
            self.products + times * other.products,
            self.signals + times * other.signals,
            self.held + times * other.held,
            self.squares + times * other.squares,
            self.gram + times * other.gram,
            max(self.largest, other.largest),
        )


def load(layers: Layers, shape: Shape, most: int | None, memories: Memories) -> tuple[Load, Shape]:
    """The sizes of a list of layers that measure `most` positions, and the shape after them."""
    total = Load()
    for layer in layers:
        after = layer.after(shape, "layers")
        if isinstance(layer, Repeat):
            total = total.plus(_repeated(layer, shape, most, memories))
        else:
            for _, inside in layer.inner():
                total = total.plus(load(inside, shape, most, memories)[0])
        asked = work(layer, shape, memories)
        own = Load(1.0, *asked[:2], *_row(after, most, asked.held), asked.weights)
        total, shape = total.plus(own), after
    return total, shape


def _row(shape: Shape, most: int | None, held: float = 0.0) -> tuple[float, float, float, float]:
    """Signals, what is held, squared number of measured positions, the same times channels."""
    n, p = float(shape.width), float(shape.positions)
    measured = p if most is None else min(p, float(most))
    return p * n, held, measured**2, measured**2 * n


def _repeated(layer: Repeat, shape: Shape, most: int | None, memories: Memories) -> Load:
    """All repetitions; once the shape stays, the rest is like the first of them."""
    total, left = Load(), layer.times
    while left:
        one, after = load(layer.layers, shape, most, memories)
        if after == shape:
            return total.plus(one, float(left))
        total, shape, left = total.plus(one), after, left - 1
        if total.layers * _LAYER > _ENOUGH:
            break
    return total


def whole(network: Network, most: int | None) -> Load:
    """The sizes of a network, with what enters and with the networks that it reads."""
    memories = {name: other.output for name, other in network.memories.items()}
    entering = network.input.shape
    total, _ = load(network.layers, entering, most, memories)
    total = total.plus(Load(1.0, 0.0, 0.0, *_row(entering, most)))
    for other in network.memories.values():
        total = total.plus(whole(other, most))
    return total


def check_network(
    network: Network,
    *,
    inputs: int,
    replicas: int,
    networks: int,
    ntk: bool,
    positions: int | None,
) -> None:
    """Refuse what could not be finished within the limits.

    Raises
    ------
    CostError
        With the estimate and what would fit.
    """
    entering = network.input.shape
    one = whole(network, positions)
    width, p = float(entering.width), float(entering.positions)
    copies, a = float(inputs * replicas), float(inputs)
    ways = 1.0 + _COTANGENTS + (2.0 * a if ntk else 0.0)  # forward, back, and a tangent kernel's
    seconds = one.layers * _LAYER + one.weights * _DRAW
    seconds += ways * copies * (one.products * _PRODUCT + (one.signals + one.held) * _SIGNAL)
    seconds += (1.0 + _COTANGENTS) * a * copies * one.gram * _PRODUCT
    rank = copies * p
    seconds += width * rank * rank * 2.0 * _PRODUCT
    held = one.weights + copies * one.signals * (_KEPT + _COTANGENTS + (a if ntk else 0.0))
    held += copies * one.held * (1.0 + _COTANGENTS)
    held += _ROW_COPIES * (1.0 + _COTANGENTS) * a * a * one.squares
    held += 2.0 * copies * one.largest * (a if ntk else 0.0) + 4.0 * width * rank
    gigabytes = _BYTES * held / _GIGA
    _refuse(seconds, gigabytes, networks, one.layers - 1.0)


def _refuse(one: float, gigabytes: float, networks: int, layers: float) -> None:
    allowed = cost.allowed()
    room = cost.SECONDS * allowed / one
    if gigabytes <= cost.GIGABYTES * allowed and room >= 1.0:
        fits = f"about {int(min(room, 1e15))} of these networks fit"
    else:
        fits = "fewer or narrower layers, inputs or replicas fit, or fewer positions="
    count = f"{networks} network{'' if networks == 1 else 's'}"
    cost.check(
        f"simulating {count} of {layers:.6g} layers",
        seconds=one * float(min(networks, 10**60)),
        gigabytes=gigabytes,
        fits=fits,
    )
