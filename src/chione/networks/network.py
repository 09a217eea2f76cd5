"""A network: layers in order, and what enters them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, final

from chione.base import SpecError, checks, text_table
from chione.networks.attention import Attention
from chione.networks.input import Input
from chione.networks.layer import (
    AbstractLayer,
    Layers,
    Shape,
    ShapeError,
    as_layers,
    pass_through,
    steps_of,
)
from chione.networks.repeat import Repeat
from chione.networks.written import (
    input_from_dict,
    input_to_dict,
    layer_to_dict,
    layers_from_list,
    read_json,
)

_USUAL = Input()


@final
@dataclasses.dataclass(frozen=True)
class Network:
    """A network at initialisation, as plain data.

    Parameters
    ----------
    layers : layers
        The layers in order.
    input : Input
        Shape and second moments of what enters.
    memory : mapping of str to Network
        Networks whose outputs give keys and values to attention layers that name them (cross
        attention); each has an input of its own, with as many inputs as this network's. Stored as
        a tuple of pairs.

    Raises
    ------
    ShapeError
        If a layer cannot take what arrives there, or names a memory that does not exist; the
        message names its place.

    Examples
    --------
    >>> from chione.networks import Dense, Input, Network, Nonlinearity
    >>> print(Network([Dense(1.4, out=64), Nonlinearity("relu")], Input(width=10)))
    layer         after it
    ----------------------------------------------
    input         10 channels
    dense         64 channels  sigma_w 1.4, out 64
    nonlinearity  64 channels  activation relu
    """

    layers: Layers
    input: Input = _USUAL
    memory: Mapping[str, Network] | tuple[tuple[str, Network], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", as_layers("layers", self.layers))
        if not isinstance(self.input, Input):
            raise TypeError(f"input must be a chione.networks.Input, but it is {self.input!r:.60}.")
        object.__setattr__(self, "memory", _as_memory(self.memory))
        pass_through(self.layers, self.input.shape, "layers")
        memories = self.memories
        for name, other in memories.items():
            if other.input.count != self.input.count:
                raise ShapeError(
                    f"memory {name!r} has {other.input.count} inputs, but the network has "
                    f"{self.input.count}; give both as many."
                )
        for place, _, layer, _ in _rows(self.layers, self.input.shape, "layers", 0):
            if isinstance(layer, Attention):
                _check_attention(layer, place, memories, self.input.count)

    @property
    def memories(self) -> dict[str, Network]:
        """The networks in `memory`, by name."""
        return dict(self.memory)

    @property
    def output(self) -> Shape:
        """Shape of what leaves the network."""
        return pass_through(self.layers, self.input.shape, "layers")

    def scaled(self, factor: int) -> Network:
        """The same network with every width times `factor`."""
        factor = checks.integer("factor", factor)
        wider = dataclasses.replace(self.input, width=self.input.width * factor)
        memory = {name: other.scaled(factor) for name, other in self.memories.items()}
        return Network(tuple(layer.scaled(factor) for layer in self.layers), wider, memory)

    def rows(self) -> Iterator[tuple[str, int, AbstractLayer, Shape]]:
        """Place, depth of nesting, layer and shape after it, outer layers before inner ones."""
        yield from _rows(self.layers, self.input.shape, "layers", 0)

    def steps(self) -> Iterator[tuple[str, AbstractLayer]]:
        """Place and layer of every step that is taken, repetitions one by one (``#0``, ``#1``)."""
        yield from _steps(self.layers, "layers")

    @property
    def length(self) -> int:
        """Number of steps that :meth:`steps` gives, found without taking them."""
        return steps_of(self.layers)

    def to_dict(self) -> dict[str, Any]:
        """The network as JSON types; :meth:`from_dict` reads it."""
        out: dict[str, Any] = {
            "input": input_to_dict(self.input),
            "layers": [layer_to_dict(layer) for layer in self.layers],
        }
        if self.memory:
            out["memory"] = {name: other.to_dict() for name, other in self.memories.items()}
        return out

    @classmethod
    def from_dict(cls, data: Any) -> Network:
        """A network from what :meth:`to_dict` gives, or from JSON written by hand.

        Raises
        ------
        SpecError
            With the place, if something is wrong.
        """
        if not isinstance(data, dict) or "layers" not in data:
            raise SpecError(
                "a network must be an object such as {'layers': [{'kind': 'dense'}]}, but it is "
                f"{data!r:.60}."
            )
        for name in data:
            if name not in ("input", "layers", "memory"):
                raise SpecError(
                    f"network: there is no field {name!r:.60}; it has input, layers, memory."
                )
        entering = input_from_dict(data.get("input", {}), "input")
        given = data.get("memory", {})
        if not isinstance(given, dict):
            raise SpecError(
                f"memory must be an object of networks by name, but it is {given!r:.60}."
            )
        memory = {str(name): cls.from_dict(other) for name, other in given.items()}
        return cls(layers_from_list(data["layers"], "layers"), entering, memory)

    @classmethod
    def from_json(cls, text: str, name: str = "the text") -> Network:
        """A network from the text of a JSON file; `name` stands for it in messages.

        Raises
        ------
        SpecError
            With the place, if something is wrong.
        """
        return cls.from_dict(read_json(text, name))

    def __str__(self) -> str:
        lines = [["input", str(self.input.shape), ""]]
        for _, depth, layer, shape in self.rows():
            said = ", ".join(
                f"{key} {value:.6g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in _facts(layer)
            )
            lines.append(["  " * depth + layer.word, str(shape), said])
        return text_table(["layer", "after it", ""], lines)


def _as_memory(x: Any) -> tuple[tuple[str, Network], ...]:
    pairs = tuple(x.items()) if isinstance(x, Mapping) else x
    if not isinstance(pairs, tuple):
        raise TypeError(f"memory must be a dict of networks by name, but it is {x!r:.60}.")
    for name, other in pairs:
        if not isinstance(name, str) or not isinstance(other, Network):
            raise TypeError(
                f"memory must be a dict of networks by name, but it has {name!r:.60}: "
                f"{other!r:.60}."
            )
    return pairs


def _check_attention(
    layer: Attention, place: str, memories: dict[str, Network], inputs: int
) -> None:
    """Refuse a memory that is not there, and padding of another number of inputs."""
    if layer.memory is not None and layer.memory not in memories:
        known = ", ".join(map(repr, memories)) if memories else "none"
        raise ShapeError(
            f"{place}: there is no memory {layer.memory!r:.60}; the network has {known}. Give "
            f"Network(..., memory={{{layer.memory!r:.60}: Network(...)}})."
        )
    if layer.visible is None:
        return
    if len(layer.visible) != inputs:
        raise ShapeError(
            f"{place}: visible has {len(layer.visible)} entries, but there are {inputs} inputs; "
            f"give one number of positions for each."
        )
    if layer.memory is not None:
        positions = memories[layer.memory].output.positions
        if max(layer.visible) > positions:
            raise ShapeError(
                f"{place}: visible says that {max(layer.visible)} positions can be seen, but the "
                f"memory {layer.memory!r} has {positions}."
            )


def _rows(
    layers: Layers, shape: Shape, place: str, depth: int
) -> Iterator[tuple[str, int, AbstractLayer, Shape]]:
    for i, layer in enumerate(layers):
        here = f"{place}[{i}]"
        after = layer.after(shape, here)
        yield here, depth, layer, after
        for name, inside in layer.inner():
            yield from _rows(inside, shape, f"{here}.{name}", depth + 1)
        shape = after


def _steps(layers: Layers, place: str) -> Iterator[tuple[str, AbstractLayer]]:
    for i, layer in enumerate(layers):
        here = f"{place}[{i}]"
        for number in range(layer.times if isinstance(layer, Repeat) else 1):
            suffix = f"#{number}" if isinstance(layer, Repeat) else ""
            for name, inside in layer.inner():
                yield from _steps(inside, f"{here}{suffix}.{name}")
            if suffix:
                yield here + suffix, layer
        yield here, layer


def _facts(layer: AbstractLayer) -> Iterator[tuple[str, Any]]:
    """Fields that differ from their defaults, without inner layers."""
    for field in dataclasses.fields(layer):  # type: ignore[arg-type]  # kinds are dataclasses
        value = getattr(layer, field.name)
        role = field.metadata.get("role")
        if role in ("layers", "branches") or value == field.default:
            continue
        yield field.name, value.name if role == "activation" else value
