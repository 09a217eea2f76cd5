"""Results with named axes: variables of a dataset, rows of a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chione.base.errors import MissingExtraError
from chione.base.estimate import Estimate
from chione.base.leaves import AbstractData
from chione.base.plain import Named
from chione.base.status import Status

Axes = tuple[str, ...]
Rows = tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]
_TOGETHER = 1 << 12  # rows of a long table that are made at a time
_WORDS = np.array([s.word for s in Status], dtype=object)
ERRORS = {"errors": "error", "stderr": "stderr", "variance": "variance", "edges": "edges"}
"""How the entries of a mapping ``errors`` are called beside their quantity: ``q_star_error``."""


def along(axes: str, *fields: str) -> dict[str, Axes]:
    """The same axes, separated by blanks, for each of some fields."""
    return {f: tuple(axes.split()) for f in fields}


@dataclass
class Labelled:
    """Variables (axes, array) by name, coordinates of axes, and attributes."""

    variables: dict[str, tuple[Axes, Any]] = field(default_factory=dict)
    coordinates: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, axes: Axes, x: Any) -> None:
        """One field under one or more names."""
        if isinstance(x, Estimate):
            status = np.broadcast_to(np.asarray(x.status, np.int8), x.shape)
            axes = axes or _nameless(name, x.shape)
            self.variables[name] = (axes, np.asarray(x.value))
            self.variables[f"{name}_error"] = (axes, np.asarray(x.error))
            self.variables[f"{name}_status"] = (axes, status)
        elif isinstance(x, np.ndarray):
            self.variables[name] = (axes or _nameless(name, x.shape), x)
        elif isinstance(x, bool | int | float | np.generic) and not isinstance(x, Status):
            self.variables[name] = ((), np.asarray(x))
        elif isinstance(x, Mapping):
            for k, v in x.items():
                # an error has the axes of its quantity
                own, of = self.variables.get(str(k), ((), None))
                same = name in ERRORS and np.shape(of) == np.shape(v)
                self.add(joined(name, str(k)), axes or (own if same else ()), v)
        elif isinstance(x, tuple | list) and x and all(isinstance(v, AbstractData) for v in x):
            self._stack(name, list(x))
        elif isinstance(x, tuple | list):
            if x and all(isinstance(v, int | float) for v in x):
                self.variables[name] = (axes or (name,), np.asarray(x))
            elif x:
                self.attributes[name] = "; ".join(str(v) for v in x)
        elif isinstance(x, Status):
            self.attributes[name] = x.word
        elif isinstance(x, Named):
            self.attributes[name] = x.name
        elif dataclasses.is_dataclass(x) and not isinstance(x, type):
            for f in dataclasses.fields(x):
                self.add(f"{name}_{f.name}", (), getattr(x, f.name))
        elif x is not None:
            self.attributes[name] = str(x)

    def _stack(self, name: str, parts: list[Any]) -> None:
        """Parts of one kind side by side along an axis that has the name of the field."""
        axis = name.removesuffix("s")
        for f in dataclasses.fields(parts[0]):
            column: list[Any] = [getattr(p, f.name, None) for p in parts]
            label = f.name if f.name not in self.variables else f"{axis}_{f.name}"
            if all(isinstance(v, Estimate) and v.shape == () for v in column):
                self.add(label, (axis,), Estimate.stack(column))
            elif all(isinstance(v, bool | int | float) for v in column):
                self.variables[label] = ((axis,), np.asarray([float(v) for v in column]))
            elif all(isinstance(v, str) for v in column):
                self.variables[label] = ((axis,), np.asarray(column))


def labelled(x: Any) -> Labelled:
    """The fields of a result with its declared axes, as variables and attributes."""
    out = Labelled()
    names = {f.name for f in dataclasses.fields(x)}
    out.attributes["kind"] = type(x).__name__
    for f in dataclasses.fields(x):
        value, axes = getattr(x, f.name), tuple(x.axes.get(f.name, ()))
        if axes == (f.name,) and np.ndim(value) == 1:
            out.coordinates[f.name] = np.asarray(value)
        else:
            out.add(f.name, axes, value)
    for axes, array in list(out.variables.values()):
        for axis, n in zip(axes, np.shape(array), strict=True):
            if axis == "layer" and "layer" not in out.coordinates and "layer" not in names:
                out.coordinates["layer"] = np.arange(1, n + 1)
    return out


def joined(name: str, entry: str) -> str:
    """The name of an entry of a mapping: ``errors`` of ``q_star`` is ``q_star_error``."""
    if name == "mean":
        return entry
    return f"{entry}_{ERRORS[name]}" if name in ERRORS else f"{name}_{entry}"


def _nameless(name: str, shape: tuple[int, ...]) -> Axes:
    return tuple(f"{name}_{k}" for k in range(len(shape)))


# ---- tables ----------------------------------------------------------------------------------


def table(x: Any) -> Rows:
    """Columns and rows of a result.

    One row for each place where the result has arrays with named axes, for each part where it is
    a list of parts, otherwise one for each number, with value, error and status.
    """
    if any(len(axes) > 0 for name, axes in x.axes.items()):
        return _long(labelled(x))
    for f in dataclasses.fields(x):
        parts = getattr(x, f.name)
        if isinstance(parts, tuple) and parts and all(isinstance(p, AbstractData) for p in parts):
            columns, rows = _of_parts(parts)
            if columns:
                return columns, rows
    return _scalars(x)


def _long(data: Labelled) -> Rows:
    """Rows over the axes that most of the variables have."""
    sizes: dict[Axes, int] = {}
    for axes, _ in data.variables.values():
        sizes[axes] = sizes.get(axes, 0) + bool(axes)
    main = max(sizes, key=lambda axes: (sizes[axes], len(axes)))
    chosen = {n: np.asarray(a) for n, (axes, a) in data.variables.items() if axes == main}
    coordinates = {axis: data.coordinates.get(axis) for axis in main}
    rows = LongRows(coordinates, chosen, str(data.attributes.get("status", "ok")))
    return rows.columns, rows


class LongRows(Sequence[tuple[Any, ...]]):
    """The rows of a long table, made while they are read: millions of tuples take gigabytes.

    Parameters
    ----------
    coordinates : dict
        Values along each axis, by name; None where an axis only counts.
    arrays : dict of str to ndarray
        Variables over all axes.
    status : str
        Word for all rows where no variable is a status.
    """

    def __init__(self, coordinates: dict[str, Any], arrays: dict[str, Any], status: str) -> None:
        self._coordinates, self._status = coordinates, status
        self._shape = next(iter(arrays.values())).shape
        self._flat = {name: a.ravel() for name, a in arrays.items()}
        known = any(n == "status" or n.endswith("_status") for n in (*coordinates, *arrays))
        self.columns = (*coordinates, *arrays, *(() if known else ("status",)))

    def __len__(self) -> int:
        return int(np.prod(self._shape))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return [self[k] for k in range(*key.indices(len(self)))]
        k = range(len(self))[key]
        return next(self._rows(k, k + 1))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(self), _TOGETHER):
            yield from self._rows(start, min(start + _TOGETHER, len(self)))

    def _rows(self, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
        part = self.part(start, stop)
        return zip(*(part[name].tolist() for name in self.columns), strict=True)

    def part(self, start: int, stop: int) -> dict[str, Any]:
        """Arrays of the cells of some rows, by column."""
        out: dict[str, Any] = {}
        places = np.unravel_index(np.arange(start, stop), self._shape)
        for (axis, known), place in zip(self._coordinates.items(), places, strict=True):
            out[axis] = place if known is None else np.asarray(known)[place]
        out |= {name: _cells(name, a[start:stop]) for name, a in self._flat.items()}
        if "status" in self.columns and "status" not in out:
            out["status"] = np.full(stop - start, self._status, dtype=object)
        return out


def _cells(name: str, a: Any) -> Any:
    if name == "status" or name.endswith("_status"):
        return _WORDS[np.asarray(a, dtype=np.intp)]
    return a.astype(object) if a.dtype.kind == "U" else a


def _of_parts(parts: tuple[Any, ...]) -> Rows:
    rows = []
    for part in parts:
        row: dict[str, Any] = {}
        for f in dataclasses.fields(part):
            row |= dict(_flat(f.name, getattr(part, f.name)))
        rows.append(row)
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return columns, [tuple(row.get(c) for c in columns) for row in rows]


def _scalars(x: Any) -> Rows:
    rows: list[tuple[Any, ...]] = []
    for f in dataclasses.fields(x):
        rows += _quantities(f.name, getattr(x, f.name))
    return ("quantity", "value", "error", "status"), rows


def _quantities(name: str, x: Any) -> Iterator[tuple[Any, ...]]:
    """Rows (quantity, value, error, status) of one field."""
    if isinstance(x, Estimate):
        status = np.broadcast_to(np.asarray(x.status), x.shape)
        for place in np.ndindex(x.shape):
            at = "".join(f"[{k}]" for k in place)
            cells = (np.asarray(a)[place] for a in (x.value, x.error))
            yield name + at, *(float(a) for a in cells), Status(int(status[place])).word
    elif isinstance(x, np.ndarray):
        for place in np.ndindex(x.shape):
            yield name + "".join(f"[{k}]" for k in place), x[place].item(), None, "ok"
    elif isinstance(x, Mapping):
        for k, v in x.items():
            yield from _quantities(f"{name}.{k}", v)
    elif isinstance(x, tuple | list):
        for k, v in enumerate(x):
            yield from _quantities(f"{name}[{k}]", v)
    elif isinstance(x, Named):
        yield name, x.name, None, "ok"
    elif isinstance(x, Status):
        yield name, x.word, None, x.word
    elif dataclasses.is_dataclass(x) and not isinstance(x, type):
        for f in dataclasses.fields(x):
            yield from _quantities(f"{name}.{f.name}", getattr(x, f.name))
    else:
        yield name, x, None, "ok"


def _flat(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """Cells of one field in a row."""
    if isinstance(x, Estimate) and x.shape == ():
        yield name, float(x.value)
        yield f"{name}_error", float(x.error)
        yield f"{name}_status", Status(int(x.status)).word
    elif isinstance(x, Status):
        yield name, x.word
    elif isinstance(x, Named):
        yield name, x.name
    elif isinstance(x, bool | int | float | str | np.generic):
        yield name, x.item() if isinstance(x, np.generic) else x
    elif isinstance(x, AbstractData):
        for f in dataclasses.fields(x):  # type: ignore[arg-type]
            yield from _flat(f"{name}_{f.name}", getattr(x, f.name))


# ---- other people's containers ---------------------------------------------------------------


def dataset(data: Labelled) -> Any:
    """An :class:`xarray.Dataset`; MissingExtraError without xarray."""
    try:
        import xarray
    except ImportError as err:
        raise MissingExtraError("xarray", "data", "a labelled dataset") from err
    return xarray.Dataset(data.variables, coords=data.coordinates, attrs=data.attributes)


def frame(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> Any:
    """A :class:`pandas.DataFrame`; MissingExtraError without pandas."""
    try:
        import pandas  # type: ignore[import-untyped]
    except ImportError as err:
        raise MissingExtraError("pandas", "data", "a data frame") from err
    if isinstance(rows, LongRows):  # column by column, without a tuple for each row
        cells = rows.part(0, len(rows))
        return pandas.DataFrame({name: _wide(cells[name]) for name in columns}, copy=False)
    return pandas.DataFrame(rows, columns=list(columns))


def _wide(a: Any) -> Any:
    """The numbers of Python, as rows of them have."""
    kind = a.dtype.kind
    return a.astype(np.float64 if kind == "f" else np.int64) if kind in "fiu" else a
