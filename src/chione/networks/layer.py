"""What every layer kind has in common: its place in a network, its shape, its form as data."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeAlias

from chione.activations import AbstractActivation, activation
from chione.base import ChioneError, checks

LARGEST = 2**53  # the largest count that every float64 formula still holds exactly
LONGEST = 1e150  # the largest number whose square float64 holds


@dataclasses.dataclass(frozen=True)
class Shape:
    """Channels and positions of what flows through a network.

    Parameters
    ----------
    width : int
        Number of channels (units).
    grid : tuple of int
        Extents of the axes of positions: ``()`` for a vector, ``(T,)`` for tokens, time or 1-D
        pixels, ``(H, W)`` for images; positions are counted row by row.
    """

    width: int
    grid: tuple[int, ...] = ()

    @property
    def positions(self) -> int:
        """Number of positions; 1 for a vector."""
        n = 1
        for extent in self.grid:
            n *= extent
        return n

    def __str__(self) -> str:
        at = " x ".join(str(n) for n in self.grid)
        channels = "channel" if self.width == 1 else "channels"
        return f"{self.width} {channels}" + (f" at {at} positions" if at else "")


class ShapeError(ChioneError, ValueError):
    """A layer cannot take what arrives; the message names the place and the way out."""


class AbstractLayer(ABC):
    """One step of a network, as data without mathematics.

    Kinds are final frozen dataclasses. The rule of a kind stands in the file of the same name in
    ``theory/layers``, its sampler in ``simulation/layers``. What a kind has to say here:
    :meth:`after`, and `word` where it has one; its fields are its JSON form.
    """

    word: ClassVar[str] = ""  # the kind's name in files and tables

    def __init_subclass__(cls, word: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.word = word

    @abstractmethod
    def after(self, shape: Shape, place: str) -> Shape:
        """Shape of what leaves the layer; `place` names it in messages.

        Raises
        ------
        ShapeError
            If the layer cannot take this shape.
        """

    def inner(self) -> Iterator[tuple[str, Layers]]:
        """Lists of layers inside, with the names of their places."""
        return iter(())

    def steps(self) -> int:
        """Number of steps that a walk through this layer takes: itself, and all inside."""
        return 1 + sum(steps_of(layers) for _, layers in self.inner())

    def scaled(self, factor: int) -> AbstractLayer:
        """The same with all widths times `factor`; kinds without widths return themselves."""
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(self):  # type: ignore[arg-type]  # kinds are dataclasses
            value = getattr(self, field.name)
            role = field.metadata.get("role")
            if role == "width" and value is not None:
                changes[field.name] = value * factor
            elif role == "layers":
                changes[field.name] = tuple(layer.scaled(factor) for layer in value)
            elif role == "branches":
                changes[field.name] = tuple(
                    tuple(layer.scaled(factor) for layer in branch) for branch in value
                )
        return dataclasses.replace(self, **changes) if changes else self  # type: ignore[type-var]

    def _set(self, **values: Any) -> None:
        """Store checked values in fields of a frozen dataclass, from `__post_init__`.

        Raises
        ------
        ValueError
            If the square of a number is more than float64 holds.
        """
        for name, value in values.items():
            if isinstance(value, float) and abs(value) > LONGEST:
                raise ValueError(
                    f"{name} must be at most {LONGEST:g} in size, so that its square is a number, "
                    f"but it is {value:g}."
                )
            object.__setattr__(self, name, value)


Layers: TypeAlias = tuple[AbstractLayer, ...]


# What a field holds beside plain numbers and words, as its metadata.
WIDTH = {"role": "width"}  # a width, or None for that of what arrives
ACTIVATION = {"role": "activation"}
LAYERS = {"role": "layers"}
BRANCHES = {"role": "branches"}  # several lists of layers


def as_layers(name: str, x: Any) -> Layers:
    """One layer or an iterable of layers as a tuple.

    Raises
    ------
    TypeError
        If something else is in it.
    """
    if isinstance(x, AbstractLayer):
        return (x,)
    if isinstance(x, (str, dict, set, frozenset)) or not isinstance(x, Iterable):
        raise TypeError(f"{name} must be a list of layers, but it is {x!r:.60}.")
    out = tuple(x)
    for i, layer in enumerate(out):
        if not isinstance(layer, AbstractLayer):
            raise TypeError(
                f"{name}[{i}] must be a layer such as chione.networks.Dense(sigma_w=1.4), "
                f"but it is {layer!r:.60}."
            )
    return out


def steps_of(layers: Layers) -> int:
    """Number of steps that are taken in a walk through the layers, inner ones included."""
    return sum(layer.steps() for layer in layers)


def changed(layers: Layers, change: Callable[[AbstractLayer], AbstractLayer]) -> Layers:
    """Layers with a change applied to each, inner ones first."""
    out: list[AbstractLayer] = []
    for layer in layers:
        fields: dict[str, Any] = {}
        for field in dataclasses.fields(layer):  # type: ignore[arg-type]  # kinds are dataclasses
            value, role = getattr(layer, field.name), field.metadata.get("role")
            if role == "layers":
                fields[field.name] = changed(value, change)
            elif role == "branches":
                fields[field.name] = tuple(changed(branch, change) for branch in value)
        out.append(change(dataclasses.replace(layer, **fields) if fields else layer))  # type: ignore[type-var]
    return tuple(out)


def as_activation(x: Any) -> AbstractActivation:
    """Whatever `chione.activation` accepts."""
    return activation(x)


def count(name: str, x: Any) -> int:
    """An integer from 1 to 2^53."""
    n = checks.integer(name, x)
    if n > LARGEST:
        shown = str(n) if n < 10**20 else f"of {len(str(n))} digits"
        raise ValueError(f"{name} must be at most 2^53, but it is {shown}; choose a smaller one.")
    return n


def width_or_none(name: str, x: Any) -> int | None:
    """A width, or None."""
    return None if x is None else count(name, x)


def probability(name: str, x: Any) -> float:
    """A number above 0 and at most 1."""
    value = checks.positive(name, x)
    if value > 1.0:
        raise ValueError(
            f"{name} must be a probability above 0 and at most 1, but it is {value!r}."
        )
    return value


def flag(name: str, x: Any) -> bool:
    """True or False."""
    if not isinstance(x, bool):
        raise TypeError(f"{name} must be True or False, but it is {x!r:.60}.")
    return x


def extents(name: str, x: Any) -> int | tuple[int, ...]:
    """One positive integer for all axes, or a tuple of one an axis."""
    if isinstance(x, (list, tuple)):
        return tuple(count(f"{name}[{i}]", n) for i, n in enumerate(x))
    return count(name, x)


def along_axes(name: str, x: int | tuple[int, ...], shape: Shape, place: str) -> tuple[int, ...]:
    """`x` once for each axis of the grid.

    Raises
    ------
    ShapeError
        If there are no positions, or another number of axes.
    """
    if not shape.grid:
        raise ShapeError(
            f"{place}: this layer needs positions, but {shape} arrive; give the network an input "
            f"with a grid, such as Input(width=64, grid=(32, 32))."
        )
    if isinstance(x, int):
        return (x,) * len(shape.grid)
    if len(x) != len(shape.grid):
        raise ShapeError(
            f"{place}: {name} has {len(x)} entries, but the grid has {len(shape.grid)} axes; "
            f"give one number, or one an axis."
        )
    return x


def pass_through(layers: Layers, shape: Shape, place: str) -> Shape:
    """Shape after several layers.

    Raises
    ------
    ShapeError
        If a layer cannot take what arrives, or more than 2^53 channels or positions leave it.
    """
    for i, layer in enumerate(layers):
        shape = layer.after(shape, f"{place}[{i}]")
        if shape.width > LARGEST or shape.positions > LARGEST:
            raise ShapeError(
                f"{place}[{i}]: more than 2^53 channels or positions leave this layer; choose "
                f"smaller widths, strides or a smaller grid."
            )
    return shape
