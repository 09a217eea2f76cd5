"""Activations in files: by name, by formula, or the mere name of a function that stayed behind."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)
from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import FunctionType
from typing import Any, NoReturn

from chione.activations.affine import Affine
from chione.activations.custom import Custom
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.activations.registry import from_name
from chione.base import Array, SpecError

_LONGEST = 600


@dataclass(frozen=True)
class Recorded(AbstractActivation):
    """An activation that a file knows by its label.

    With a formula it is made again when it is first evaluated, so that reading a file costs
    nothing and runs nothing. Without one it was a function of a program that has ended; it keeps
    its name, and says so when it is asked for a value.

    Parameters
    ----------
    label : str
        The name.
    text : str
        Formula in x; empty where there is none.
    """

    label: str
    text: str = field(default="")

    @property
    def name(self) -> str:
        return self.label

    @property
    def formula(self) -> str:
        return self.text or self.label

    @property
    def source(self) -> str:
        return "the user's own"

    @cached_property
    def made(self) -> AbstractActivation:
        """The activation itself.

        Raises
        ------
        SpecError
            If only its name is known, or the formula cannot be understood.
        """
        if not self.text:
            self._absent()
        from chione.activations.own import from_expression  # loads the machinery of derivatives

        return from_expression(self.text)

    def _absent(self) -> NoReturn:
        raise SpecError(
            f"the activation {self.label!r} was a function of the program that saved the file and "
            "is not in it; pass the function again to compute with it."
        )

    @property
    def kinks(self) -> tuple[float, ...]:
        return self.made.kinks

    @property
    def closed_forms(self) -> ClosedForms:
        return self.made.closed_forms

    @property
    def derivative_error(self) -> float:
        return self.made.derivative_error

    def value(self, z: Array) -> Array:
        return self.made.value(z)

    def as_written(self, z: Array) -> Array:
        return self.made.as_written(z)

    def derivative(self, z: Array) -> Array:
        return self.made.derivative(z)

    def second_derivative(self, z: Array) -> Array:
        return self.made.second_derivative(z)

    def one_sided(self, order: int, at: float) -> tuple[float, float]:
        return self.made.one_sided(order, at)


def record(x: AbstractActivation) -> dict[str, Any]:
    """What a file keeps of an activation."""
    if isinstance(x, Recorded):
        return {"formula": x.text, "name": x.label} if x.text else {"function": x.label}
    if isinstance(x, Affine):
        numbers = {"scale": x.scale, "shift": x.shift, "offset": x.offset}
        return {"affine": record(x.activation), **numbers}
    if isinstance(x, Custom):
        known = isinstance(x.origin, str)
        return {"formula": x.origin, "name": x.name} if known else {"function": x.name}
    return {"name": x.name}


def recall(kept: dict[str, Any], depth: int = 0) -> AbstractActivation:
    """The activation that :func:`record` wrote down.

    Raises
    ------
    SpecError
        If the entry is none of the forms of :func:`record`.
    """
    texts = [kept[k] for k in ("name", "formula", "function") if k in kept]
    if not all(isinstance(t, str) and 0 < len(t) <= _LONGEST for t in texts) or depth > 8:
        raise SpecError("an activation is described by something else than a short text.")
    if "affine" in kept and isinstance(kept["affine"], dict):
        numbers = {k: kept[k] for k in ("scale", "shift", "offset")}
        if not all(type(v) in (int, float) for v in numbers.values()):
            raise SpecError("an affine activation is described by something else than numbers.")
        return Affine(recall(kept["affine"], depth + 1), **numbers)
    if "formula" in kept:
        return Recorded(kept.get("name", kept["formula"]), kept["formula"])
    if "function" in kept:
        return Recorded(kept["function"])
    return from_name(kept["name"])


def portable(x: AbstractActivation) -> AbstractActivation:
    """`x` if another process can make it again, else what a file would keep of it."""
    if isinstance(x, Affine):
        inner = portable(x.activation)
        return x if inner is x.activation else replace(x, activation=inner)
    if isinstance(x, Custom) and not isinstance(x.origin, str) and not _importable(x.origin):
        return Recorded(x.name)
    return x


def _importable(f: Any) -> bool:
    """Whether pickle finds the function by its name; objects such as modules carry themselves."""
    if not isinstance(f, FunctionType):
        return f is not None
    found: Any = sys.modules.get(f.__module__)
    for part in f.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is f
