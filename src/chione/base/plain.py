"""Anything that chione returns as plain JSON types."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np

from chione.base.status import Status


@runtime_checkable
class Convertible(Protocol):
    """An object that knows its own JSON form."""

    def to_dict(self) -> dict[str, Any]:
        """The object as a mapping of JSON types."""


@runtime_checkable
class Named(Protocol):
    """A function known by its name: an activation."""

    @property
    def name(self) -> str:
        """The name."""

    def value(self, z: Any) -> Any:
        """The function."""

    def derivative(self, z: Any) -> Any:
        """Its derivative."""


def plain(x: Any) -> Any:
    """`x` as JSON types, so that ``json.dumps(plain(x), allow_nan=False)`` never fails.

    Parameters
    ----------
    x : object
        Numbers, text, None, statuses, paths, NumPy scalars and arrays, objects with ``to_dict``,
        activations, dataclasses, and mappings and sequences of these.

    Returns
    -------
    object
        Arrays become nested lists, a number that is not finite becomes None (JSON knows neither
        infinity nor NaN; a status beside it says why), a :class:`~chione.base.Status` its word, a
        complex number ``[real, imaginary]``, an activation its name.

    Raises
    ------
    TypeError
        If there is no such form.
    """
    if x is None or isinstance(x, bool | str):
        return x
    if isinstance(x, Status):
        return x.word
    if isinstance(x, Enum):
        return plain(x.value)
    if isinstance(x, int):
        return int(x)
    if isinstance(x, float):
        return float(x) if math.isfinite(x) else None
    if isinstance(x, complex):
        return [plain(x.real), plain(x.imag)]
    if isinstance(x, Mapping):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple | set | frozenset):
        return [plain(v) for v in x]
    if isinstance(x, PurePath):
        return str(x)
    if isinstance(x, np.generic | np.ndarray):
        return plain(x.tolist())
    if isinstance(x, Convertible):
        return plain(x.to_dict())
    if isinstance(x, Named):
        return x.name
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {f.name: plain(getattr(x, f.name)) for f in dataclasses.fields(x)}
    raise TypeError(f"there is no JSON form for a {type(x).__name__}.")
