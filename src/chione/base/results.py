"""What every result can do: print, compare, travel, be labelled, be written and be drawn."""

from __future__ import annotations

import dataclasses
from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

from chione.base import labels
from chione.base.estimate import Estimate
from chione.base.leaves import AbstractData, key, largest, short, summary, words
from chione.base.plain import Named, plain
from chione.base.text import page_width, paragraph, text_table
from chione.base.words import few_words

_LONGEST = 300  # characters of a repr: three lines of a usual screen

C = TypeVar("C", bound=type)


@dataclass_transform(
    frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field, few_words)
)
def result(cls: C) -> C:
    """The decorator of every result class: a frozen dataclass that keeps what the base gives it."""
    return dataclass(frozen=True, eq=False, repr=False)(cls)  # type: ignore[return-value]


class AbstractResult(AbstractData, ABC):
    """A result of chione.

    Subclasses are final and decorated with :func:`result`; their fields are numbers, text,
    statuses, arrays, estimates, activations, networks, other results, and tuples and mappings of
    these. ``repr`` is one short line, ``print`` a page, ``==`` compares all numbers (NaN equals
    NaN) and never raises, equal results have equal hashes.

    Attributes
    ----------
    axes : mapping of str to tuple of str
        Names of the axes of array fields, by the name of the field; for a mapping of arrays that
        of all its entries. An axis that is itself a field is a coordinate.
    """

    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    __array_ufunc__: ClassVar[None] = None  # array == result is ours to answer, with one False

    # ---- comparing ---------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        """Same class and same content."""
        if not isinstance(other, AbstractResult):
            return NotImplemented
        return type(self) is type(other) and key(self) == key(other)

    def __hash__(self) -> int:
        return hash(key(self))

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what was computed on demand is computed again.

        An activation that no other process could import goes by its name, as into a file.
        """
        return {name: _portable(x) for name, x in _fields(self)}

    def __copy__(self) -> Self:
        return self  # frozen

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    # ---- printing ----------------------------------------------------------------------------

    def __repr__(self) -> str:
        name, parts = type(self).__name__, []
        left = _LONGEST - len(name) - 8
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            if not f.repr:
                continue
            parts.append(f"{f.name}={short(getattr(self, f.name))}")
            left -= len(parts[-1]) + 2
            if left < 0:
                parts[-1] = "..."
                break
        return f"{name}({', '.join(parts)})"

    def __str__(self) -> str:
        width = page_width()
        rows, sentences = self._page()
        head = ("", "value", "error")
        blocks = [text_table(head, rows, align="<>>", width=width)] if rows else []
        blocks += [paragraph(s, width=width) for s in sentences]
        return "\n\n".join([type(self).__name__, *blocks])

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        rows, sentences = self._page()
        cells = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in rows)
        text = "".join(f"<p>{escape(s)}</p>" for s in sentences)
        return (
            f"<table><caption>{escape(type(self).__name__)}</caption><thead><tr><th></th>"
            f"<th>value</th><th>error</th></tr></thead><tbody>{cells}</tbody></table>{text}"
        )

    def _page(self) -> tuple[list[tuple[str, str, str]], list[str]]:
        """Rows (name, value, error) of the page and the sentences below them."""
        rows, sentences = [], []
        errors = getattr(self, "errors", {})
        errors = errors if isinstance(errors, Mapping) else {}
        for name, x in _fields(self):
            if isinstance(x, str) and len(x) > 40:
                sentences.append(x)
            elif isinstance(x, Estimate) and x.shape == ():
                value, _, error = format(x).partition(" +- ")
                rows.append((name, value, error))
            elif isinstance(x, Estimate):
                rows.append((name, words(x), largest(x.error)))
            elif isinstance(x, AbstractResult):
                rows.append((name, summary(x), ""))
            elif x is errors and errors:
                continue  # beside their quantities
            elif isinstance(x, tuple) and x and all(isinstance(v, AbstractResult) for v in x):
                rows += [(f"{name}[{k}]", summary(v), "") for k, v in enumerate(x)]
            else:
                rows.append((name, words(x), largest(errors[name]) if name in errors else ""))
        return rows, sentences

    # ---- converting --------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON types; ``kind`` is the name of its class."""
        return {"kind": type(self).__name__, **plain(self._parts())}

    def _parts(self) -> dict[str, Any]:
        """Entries of :meth:`to_dict`; every field unless a subclass has its own."""
        return {name: plain(x) for name, x in _fields(self)}

    def to_xarray(self) -> Any:
        """A labelled :class:`xarray.Dataset`.

        Arrays and numbers are variables, an estimate ``q`` becomes ``q``, ``q_error`` and
        ``q_status``, text is an attribute.

        Raises
        ------
        MissingExtraError
            If xarray is not installed (extra ``data``).
        """
        return labels.dataset(self._labelled())

    def to_pandas(self) -> Any:
        """The table of the result as a :class:`pandas.DataFrame`.

        Raises
        ------
        MissingExtraError
            If pandas is not installed (extra ``data``).
        """
        return labels.frame(*self._table())

    def _labelled(self) -> labels.Labelled:
        """Variables with named axes, coordinates and attributes."""
        return labels.labelled(self)

    def _table(self) -> tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]:
        """Columns and rows; what .csv and pandas show."""
        return labels.table(self)

    def _extra_arrays(self) -> dict[str, Any]:
        """Arrays that a .npz file holds beside the fields, for readers without chione."""
        return {}

    # ---- files and pictures ------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the result; :func:`chione.load` reads it back.

        Parameters
        ----------
        path : str or Path
            Ends in ``.json``, ``.npz``, ``.nc`` (NetCDF, extra ``data``) or ``.csv``. The first
            three come back as an equal result; ``.csv`` is its table alone. A file of that name
            is replaced at once or stays as it was.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        SpecError
            If the ending is another one.
        MissingExtraError
            If ``.nc`` is asked for without xarray.
        """
        path = import_module("chione.base.storage").save(self, path)
        return Path(path)

    def plot(self, *, ax: Any = None, field: str | None = None) -> Any:
        """Draw the result.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a figure of its own by default.
        field : str, optional
            Which quantity, where the picture can show several.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        NoPictureError
            If there is no picture for this kind of result; a TypeError.
        """
        # pictures live upstairs; the ground floor knows the door by its name alone
        return import_module("chione.plotting.plot").draw(self, ax=ax, field=field)

    def explore(self) -> Any:
        """The explorer at the network of this result.

        Returns
        -------
        chione.explorer.Explorer
            Shows in a notebook; ``.show()`` opens the browser, ``.write(path)`` makes a file.

        Raises
        ------
        SpecError
            If the result does not know its activation, or the page cannot read it.
        """
        return import_module("chione.explorer.explore").explore(self)


def _fields(x: Any) -> list[tuple[str, Any]]:
    return [(f.name, getattr(x, f.name)) for f in dataclasses.fields(x)]


def _portable(x: Any) -> Any:
    """`x` with every activation in a form that can be pickled."""
    if isinstance(x, Named):
        return import_module("chione.activations.recorded").portable(x)
    if isinstance(x, tuple):
        parts = tuple(_portable(part) for part in x)
        return x if all(a is b for a, b in zip(parts, x, strict=True)) else parts
    if dataclasses.is_dataclass(x) and not isinstance(x, type | AbstractData | Estimate):
        # a network, or one of its layers
        others = {name: _portable(v) for name, v in _fields(x) if isinstance(v, tuple | Named)}
        changed = {name: v for name, v in others.items() if v is not getattr(x, name)}
        return dataclasses.replace(x, **changed) if changed else x
    return x
