"""Whether a value is what the annotation of a field says."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np


@cache
def hints(cls: Any) -> dict[str, Any]:
    """The annotations of a dataclass, resolved."""
    known = get_type_hints(cls)
    return {f.name: known[f.name] for f in dataclasses.fields(cls)}


def fits(x: Any, hint: Any) -> bool:
    """Whether `x` is of the type `hint`; whole numbers are numbers, truth values are not."""
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return x is None
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(x, a) for a in args)
    if origin is Literal:
        return any(x == a and type(x) is type(a) for a in args)
    if origin is np.ndarray or hint is np.ndarray:
        return isinstance(x, np.ndarray) and _dtype_fits(x, args)
    if origin is tuple:
        return isinstance(x, tuple) and _tuple_fits(x, args)
    if origin is list:
        return isinstance(x, list) and all(fits(v, args[0]) for v in x)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(x, Mapping) and all(
            fits(k, args[0]) and fits(v, args[1]) for k, v in x.items()
        )
    if hint is float:
        return isinstance(x, int | float) and not isinstance(x, bool)
    if hint is int:
        return isinstance(x, int) and not isinstance(x, bool)
    return isinstance(hint, type) and isinstance(x, hint)


def _tuple_fits(x: tuple[Any, ...], args: tuple[Any, ...]) -> bool:
    if len(args) == 2 and args[1] is Ellipsis:
        return all(fits(v, args[0]) for v in x)
    return len(x) == len(args) and all(fits(v, a) for v, a in zip(x, args, strict=True))


def _dtype_fits(x: Any, args: tuple[Any, ...]) -> bool:
    """The kind of numbers has to be right; how wide they are has not."""
    inner = get_args(args[1]) if len(args) == 2 else ()
    if not inner or not isinstance(inner[0], type):
        return x.dtype.kind in "fiubcU"
    kind: str = np.dtype(inner[0]).kind
    return x.dtype.kind in ("fiu" if kind == "f" else "iu" if kind in "iu" else kind)
