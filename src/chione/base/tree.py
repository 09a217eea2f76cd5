"""Results as trees of JSON values, and back through checks of every type."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np

from chione.base.archive import Known, Store, check_dtype
from chione.base.errors import SpecError
from chione.base.estimate import Estimate
from chione.base.kinds import class_of, kind_of, known
from chione.base.labels import joined
from chione.base.plain import Named
from chione.base.results import AbstractResult
from chione.base.status import Status
from chione.base.types import fits, hints

TAG = "$"
_DEEPEST = 40  # levels of a tree
_MOST_AXES = 16  # of an array: a sweep has eleven
_DEEPEST_NETWORK = 10_000_000  # layers: a network lists its widths
_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_STATUS = {s.word: s for s in Status}

Arrays = Callable[[str], Any]
Path = tuple[str, ...]


# ---- to a tree -------------------------------------------------------------------------------


def encode(x: Any, store: Store | Known | None = None, path: Path = ()) -> Any:
    """`x` as JSON values; arrays go into `store` under names made of `path`, if there is one."""
    if x is None or isinstance(x, bool | str):
        return x
    if isinstance(x, Status):
        return {TAG: "status", "word": x.word}
    if isinstance(x, np.generic):
        return encode(x.item(), store, path)
    if isinstance(x, int):
        return int(x)
    if isinstance(x, float):
        return float(x) if math.isfinite(x) else {TAG: "float", "word": _word(x)}
    if isinstance(x, complex):
        return {TAG: "complex", "parts": [encode(x.real), encode(x.imag)]}
    if isinstance(x, np.ndarray):
        return _encode_array(x, store, path)
    if isinstance(x, Estimate):
        return _encode_estimate(x, store, path)
    if isinstance(x, tuple):
        items = [encode(v, store, (*path, str(k))) for k, v in enumerate(x)]
        return {TAG: "tuple", "items": items}
    if isinstance(x, list):
        return [encode(v, store, (*path, str(k))) for k, v in enumerate(x)]
    if isinstance(x, Mapping):
        return {str(k): encode(v, store, (*path, str(k))) for k, v in x.items()}
    if isinstance(x, Named):
        return {TAG: "activation", **import_module("chione.activations.recorded").record(x)}
    if dataclasses.is_dataclass(x) and not isinstance(x, type) and known(type(x)):
        fields = {
            f.name: encode(getattr(x, f.name), store, (*path, f.name))
            for f in dataclasses.fields(x)
            if f.init and f.compare
        }
        return {TAG: "result", "kind": kind_of(type(x)), "fields": fields}
    raise SpecError(f"a {type(x).__name__} has no place in a file.")


def _word(x: float) -> str:
    return "nan" if math.isnan(x) else "inf" if x > 0 else "-inf"


def _encode_estimate(x: Estimate, store: Store | Known | None, path: Path) -> Any:
    end = path[-1] if path else "value"
    status = np.asarray(x.status)
    return {
        TAG: "estimate",
        "value": encode(x.value, store, path),
        "error": encode(x.error, store, (*path[:-1], f"{end}_error")),
        "status": encode(Status(int(status)), store)
        if status.ndim == 0
        else encode(status.astype(np.int8), store, (*path[:-1], f"{end}_status")),
    }


def _encode_array(a: Any, store: Store | Known | None, path: Path) -> Any:
    dtype = check_dtype(a.dtype).newbyteorder("=")
    head = {TAG: "array", "dtype": dtype.str[1:], "shape": list(a.shape)}
    if isinstance(store, Known):
        name = store.find(a)
        if name is not None:
            return head | {"ref": name}
    elif store is not None:
        name = _name(path, store)
        store[name] = a
        return head | {"ref": name}
    flat = a.ravel()
    if dtype.kind == "c":
        flat = np.stack([flat.real, flat.imag], axis=1).ravel()
    cells = flat.tolist()
    if dtype.kind in "fc":
        cells = [v if math.isfinite(v) else _word(v) for v in cells]
    return head | {"data": cells}


def _name(path: Path, store: Store) -> str:
    """A name that a reader of the arrays alone understands: ``q_star``, ``q_star_error``."""
    # the entries of a mapping are named as in a labelled dataset
    name = joined(*path) if len(path) == 2 else ".".join(path)
    name = name.replace("/", "_")
    while name in store:
        name = ".".join(path) if name != ".".join(path) else f"{name}_"
    return name


# ---- back ------------------------------------------------------------------------------------


def decode_result(node: Any, arrays: Arrays | None) -> AbstractResult:
    """The result of a tree.

    Raises
    ------
    SpecError
        If the tree is not that of a result, or a field has the wrong type.
    """
    out = decode(node, arrays)
    if not isinstance(out, AbstractResult):
        raise SpecError("it holds no result.")
    return out


def decode(node: Any, arrays: Arrays | None, depth: int = 0) -> Any:
    """What a tree stands for."""
    if depth > _DEEPEST:
        raise SpecError(f"it is nested more than {_DEEPEST} deep.")
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if isinstance(node, list):
        return [decode(v, arrays, depth + 1) for v in node]
    if not isinstance(node, Mapping):
        raise SpecError("it holds something else than JSON values.")
    if TAG not in node:
        return {k: decode(v, arrays, depth + 1) for k, v in node.items()}
    tag = node[TAG]
    if tag == "result":
        return _decode_data(node, arrays, depth)
    if tag == "array":
        return _decode_array(node, arrays)
    if tag == "estimate":
        parts = (decode(node[k], arrays, depth + 1) for k in ("value", "error", "status"))
        return _estimate(*parts)
    if tag == "tuple":
        return tuple(decode(v, arrays, depth + 1) for v in _list(node["items"]))
    if tag == "status":
        return _STATUS[node["word"]]
    if tag == "float":
        return _WORDS[node["word"]]
    if tag == "complex":
        re, im = (decode(v, None, depth + 1) for v in _list(node["parts"]))
        return complex(re, im)
    if tag == "activation":
        return import_module("chione.activations.recorded").recall(dict(node))
    raise SpecError(f"it holds a part of the unknown kind {str(tag)[:60]!r}.")


def _list(x: Any) -> list[Any]:
    if not isinstance(x, list):
        raise SpecError("a part that must be a list is none.")
    return x


def _decode_data(node: Mapping[str, Any], arrays: Arrays | None, depth: int) -> Any:
    cls = class_of(node.get("kind"))
    given = node.get("fields")
    known = {f.name for f in dataclasses.fields(cls) if f.init and f.compare}
    if not isinstance(given, Mapping) or not set(given) <= known:
        raise SpecError(f"a {cls.__name__} has other fields than the file gives it.")
    fields = {k: decode(v, arrays, depth + 1) for k, v in given.items()}
    types: dict[str, Any] = hints(cls)  # type: ignore[arg-type]
    for name, value in fields.items():
        if not fits(value, types[name]):
            raise SpecError(
                f"the field {name!r} of a {cls.__name__} has the wrong type "
                f"({type(value).__name__})."
            )
    if isinstance(fields.get("depth"), int) and not 0 <= fields["depth"] <= _DEEPEST_NETWORK:
        raise SpecError(f"a depth of {str(fields['depth'])[:20]} is none.")
    try:
        out = cls(**fields)
    except TypeError:
        raise SpecError(f"fields of a {cls.__name__} are missing.") from None
    if isinstance(out, AbstractResult):
        _check_axes(out)
    return out


def _check_axes(x: AbstractResult) -> None:
    """Fields that share an axis have to agree on its length."""
    sizes: dict[str, int] = {}
    for name, axes in x.axes.items():
        value = getattr(x, name)
        for a in value.values() if isinstance(value, Mapping) else (value,):
            if a is None:
                continue
            shape = np.shape(a.value if isinstance(a, Estimate) else a)
            if len(shape) != len(axes):
                raise SpecError(f"the field {name!r} has {len(shape)} axes, not {len(axes)}.")
            for axis, n in zip(axes, shape, strict=True):
                if sizes.setdefault(axis, n) != n:
                    raise SpecError(f"the field {name!r} disagrees on the length of {axis!r}.")


def _estimate(value: Any, error: Any, status: Any) -> Estimate:
    for a in (value, error):
        number = isinstance(a, int | float) and not isinstance(a, bool)
        if not number and not (isinstance(a, np.ndarray) and a.dtype.kind in "fiu"):
            raise SpecError("an estimate is made of numbers.")
    if np.shape(value) != np.shape(error):
        raise SpecError("a value and its error have different shapes.")
    if isinstance(status, np.ndarray):
        last = max(Status)
        if status.dtype.kind not in "iu" or status.shape != np.shape(value):
            raise SpecError("the statuses of an estimate do not fit its values.")
        if status.size and not 0 <= int(status.min()) <= int(status.max()) <= last:
            raise SpecError("an estimate has a status that there is not.")
    elif not isinstance(status, Status):
        raise SpecError("an estimate has no status.")
    return Estimate(value, error, status)


def _decode_array(node: Mapping[str, Any], arrays: Arrays | None) -> Any:
    dtype = check_dtype(str(node["dtype"])[:8])
    shape = tuple(_list(node["shape"]))
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in shape) or len(shape) > _MOST_AXES:
        raise SpecError("an array has no such shape.")
    if "ref" in node:
        if arrays is None or not isinstance(node["ref"], str):
            raise SpecError("an array is missing.")
        a = arrays(node["ref"])
        same = a.dtype == dtype or (a.dtype.kind == dtype.kind == "f")
        if a.shape != shape or not same:
            raise SpecError(f"the array {node['ref'][:60]!r} is not the one that was written.")
        return a.astype(dtype, copy=False)
    cells = _list(node["data"])
    count = math.prod(shape)
    if len(cells) != count * (2 if dtype.kind == "c" else 1):
        raise SpecError("the size of an array contradicts its shape.")
    return _array(cells, dtype).reshape(shape)


def _array(cells: list[Any], dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "U":
        if not all(isinstance(c, str) and 4 * len(c) <= dtype.itemsize for c in cells):
            raise SpecError("an array of text holds something else.")
        if len(cells) * dtype.itemsize > 1 << 29:
            raise SpecError("an array of text is too large.")
        return np.array(cells, dtype=dtype)
    if dtype.kind in "fc":
        cells = [_WORDS[c] if isinstance(c, str) else c for c in cells]
        if not all(type(c) in (int, float) for c in cells):
            raise SpecError("an array of numbers holds something else.")
        flat = np.array(cells, dtype=np.float64)
        return flat.view(np.complex128).astype(dtype) if dtype.kind == "c" else flat.astype(dtype)
    allowed = (bool,) if dtype.kind == "b" else (int,)
    if not all(type(c) in allowed for c in cells):
        raise SpecError("an array of whole numbers holds something else.")
    return np.array(cells, dtype=dtype)
