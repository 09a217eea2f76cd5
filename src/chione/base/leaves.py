"""What a result may hold, as a key for comparison and as a few words for a reader."""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from chione.base.estimate import Estimate
from chione.base.plain import Named
from chione.base.status import Status


class AbstractData(ABC):  # noqa: B024  a marker: the results, told apart from other dataclasses
    """A dataclass that chione may print, compare, write and read."""


def key(x: Any) -> Any:
    """A hashable value; two objects with the same content have equal ones.

    NaN equals NaN, -0 equals 0, an activation is known by its name: a function of the user's own
    has no other identity that a file or another process could keep.
    """
    if isinstance(x, Estimate):
        return "estimate", hash(x), x
    if isinstance(x, np.ndarray):
        return x.dtype.kind, x.shape, _bytes(x)
    if isinstance(x, np.generic):
        return key(x.item())
    if isinstance(x, complex):
        return key(x.real), key(x.imag)
    if isinstance(x, float):
        return "nan" if x != x else x
    if x is None or isinstance(x, bool | int | str | bytes | Enum):
        return x
    if isinstance(x, Mapping):
        return frozenset((str(k), key(v)) for k, v in x.items())
    if isinstance(x, list | tuple):
        return tuple(key(v) for v in x)
    if isinstance(x, Named):
        return "activation", x.name
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        fields = (key(getattr(x, f.name)) for f in dataclasses.fields(x) if f.compare)
        return type(x).__qualname__, *fields
    return id(x)


def _bytes(a: np.ndarray[Any, Any]) -> Any:
    if a.dtype.kind == "O":
        return tuple(key(v) for v in a.ravel().tolist())
    if a.dtype.kind == "f":
        a = a.astype(np.float64) + 0.0  # -0 becomes 0
        a = np.where(np.isnan(a), np.nan, a)
    elif a.dtype.kind in "iu":
        a = a.astype(np.int64)
    elif a.dtype.kind == "c":
        pair = np.stack([a.real, a.imag]).astype(np.float64)
        return _bytes(pair)
    elif a.dtype.kind == "U":
        return tuple(a.ravel().tolist())
    return np.ascontiguousarray(a).tobytes()


def short(x: Any) -> str:
    """A few words for a place inside a line; never more than some eighty characters."""
    if isinstance(x, Estimate):
        return format(x) if x.shape == () else _array(x.value)
    if isinstance(x, Status):
        return x.word
    if isinstance(x, np.ndarray):
        return _array(x)
    if isinstance(x, bool | np.bool_):
        return str(bool(x))
    if isinstance(x, float | np.floating):
        return f"{float(x):.6g}"
    if isinstance(x, str):
        return repr(x) if len(x) <= 40 else repr(x[:37] + "...")
    if isinstance(x, Mapping):
        return "{" + _some([str(k) for k in x]) + "}"
    if isinstance(x, list | tuple):
        if x and all(isinstance(v, int | float) for v in x) and len(x) <= 4:
            return "(" + ", ".join(short(v) for v in x) + ")"
        return f"<{len(x)}>"
    if isinstance(x, Named):
        return x.name if len(x.name) <= 60 else x.name[:57] + "..."
    if isinstance(x, AbstractData):
        return f"<{type(x).__name__}>"
    text = repr(x)
    return text if len(text) <= 80 else f"<{type(x).__name__}>"


def words(x: Any) -> str:
    """As :func:`short`, with a text as it stands and the number of entries spelled out."""
    if isinstance(x, str):
        return x
    if x is None or (isinstance(x, tuple | list | Mapping) and not x):
        return "none"
    return short(x)


def summary(x: Any) -> str:
    """The numbers and words of a part of a result, in one line."""
    out = ""
    for f in dataclasses.fields(x):
        v = getattr(x, f.name)
        if not (isinstance(v, bool | int | float | str | Estimate | Named) and f.repr):
            continue
        part = f"{f.name} {v.name if isinstance(v, Named) else words(v)}"
        if isinstance(v, float) or (isinstance(v, Estimate) and v.shape == ()):
            part = f"{f.name} {float(v):.6g}"
        if len(out) + len(part) > 70:
            break
        out += (", " if out else "") + part
    return out or short(x)


def largest(error: Any) -> str:
    """The largest finite one of some errors."""
    known = np.ravel(error)[np.isfinite(np.ravel(error))]
    return f"<= {known.max():.0e}" if known.size else "unknown"


def _array(x: Any) -> str:
    a = np.asarray(x)
    shape = " x ".join(map(str, a.shape))
    if a.dtype.kind not in "fiu" or a.size == 0:
        return f"<{shape} {'of text' if a.dtype.kind == 'U' else 'array'}>"
    known = a[np.isfinite(a)] if a.dtype.kind == "f" else a
    if not known.size:
        return f"<{shape}, no finite value>"
    missing = f", {a.size - known.size} not finite" if known.size < a.size else ""
    return f"<{shape}, {known.min():.4g} to {known.max():.4g}{missing}>"


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])}, ... {len(names)}"
