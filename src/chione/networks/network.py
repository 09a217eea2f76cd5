"""A network: layers in order, and what enters them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, final

from chione.base import SpecError, checks, text_table
from chione.networks.input import Input
from chione.networks.layer import AbstractLayer, Layers, Shape, as_layers, pass_through, steps_of
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

    Raises
    ------
    ShapeError
        If a layer cannot take what arrives there; the message names its place.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", as_layers("layers", self.layers))
        if not isinstance(self.input, Input):
            raise TypeError(f"input must be a chione.networks.Input, but it is {self.input!r:.60}.")
        pass_through(self.layers, self.input.shape, "layers")

    @property
    def output(self) -> Shape:
        """Shape of what leaves the network."""
        return pass_through(self.layers, self.input.shape, "layers")

    def scaled(self, factor: int) -> Network:
        """The same network with every width times `factor`."""
        factor = checks.integer("factor", factor)
        wider = dataclasses.replace(self.input, width=self.input.width * factor)
        return Network(tuple(layer.scaled(factor) for layer in self.layers), wider)

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
        return {
            "input": input_to_dict(self.input),
            "layers": [layer_to_dict(layer) for layer in self.layers],
        }

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
            if name not in ("input", "layers"):
                raise SpecError(f"network: there is no field {name!r:.60}; it has input, layers.")
        entering = input_from_dict(data.get("input", {}), "input")
        return cls(layers_from_list(data["layers"], "layers"), entering)

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
            said = ", ".join(f"{key} {value}" for key, value in _facts(layer))
            lines.append(["  " * depth + layer.word, str(shape), said])
        return text_table(["layer", "after it", ""], lines)


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
