"""Results as files and back, without pickle.

A result becomes a tree of JSON values in which everything else is an object with the key ``$``:

===============  =====================================================================
``result``       ``kind`` and ``fields``; only the classes of :mod:`chione.base.kinds`
``estimate``     ``value``, ``error``, ``status``
``array``        ``dtype`` and ``shape``, and ``data`` or the name ``ref`` of an array
                 that the file keeps beside the tree
``activation``   see :mod:`chione.activations.recorded`
``status``, ``tuple``, ``complex``, ``float`` (one that JSON has no word for)
===============  =====================================================================
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chione.base import archive, tree
from chione.base.errors import SpecError
from chione.base.files import write_text, write_whole
from chione.base.table import Table

if TYPE_CHECKING:
    from chione.base.results import AbstractResult

ENDINGS = (".npz", ".csv", ".nc", ".json")
VERSION = 1
_LARGEST = 1 << 29  # bytes of a file, and of what may come out of it


def save(result: AbstractResult, path: str | Path) -> Path:
    """Write `result` in the format that the ending of `path` names; see `AbstractResult.save`."""
    path = Path(path)
    writers: dict[str, Callable[[AbstractResult, Path], object]] = {
        ".json": _write_json,
        ".npz": _write_npz,
        ".nc": _write_nc,
        ".csv": _write_csv,
    }
    return write_whole(path, lambda part: writers[ending(path)](result, part))


def load(path: str | Path) -> AbstractResult:
    """Read a result that was written by ``result.save(path)`` or by the command line.

    Parameters
    ----------
    path : str or Path
        Ends in ``.json``, ``.npz``, ``.nc`` or ``.csv``.

    Returns
    -------
    AbstractResult
        Equal to the one that was saved; from ``.csv`` a :class:`~chione.base.Table`. An
        activation that was a function of the user's own, not a name or a formula, comes back by
        name only and says so when it is evaluated.

    Raises
    ------
    SpecError
        If the file is damaged, too large, of a later version, or no file of chione. Nothing of a
        file is ever executed.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib, chione as ch
    >>> result = ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1)
    >>> path = result.save(pathlib.Path(tempfile.mkdtemp()) / "tanh.json")
    >>> ch.load(path) == result
    True
    """
    if not isinstance(path, (str, PathLike)):
        raise TypeError(f"path must be the name of a file, but it is {path!r:.60}.")
    path = Path(path)
    readers: dict[str, Callable[[Path], AbstractResult]] = {
        ".json": _read_json,
        ".npz": _read_npz,
        ".nc": _read_nc,
        ".csv": _read_csv,
    }
    read = readers[ending(path)]
    if path.is_dir():
        raise SpecError(f"{str(path)!r} is a folder; give the name of a file.")
    if path.stat().st_size > _LARGEST:
        raise SpecError(f"{str(path)!r} has more than 512 MB, more than chione reads.")
    try:
        return read(path)
    except SpecError as err:
        raise SpecError(f"{str(path)!r} cannot be read: {err}") from None
    except Exception as err:  # damage has no end of forms; all of them end in one sentence
        if isinstance(err, OSError) and err.filename is not None:
            raise  # the file is absent or may not be read
        what = f"{type(err).__name__}: {str(err).splitlines()[0][:120]}" if str(err) else ""
        raise SpecError(
            f"{str(path)!r} is damaged or no file of chione ({what or type(err).__name__})."
        ) from None


def ending(path: Path) -> str:
    """The ending of a data file, in lower case.

    Raises
    ------
    SpecError
        If it is none of the four.
    """
    out = path.suffix.lower()
    if out not in ENDINGS:
        raise SpecError(
            f"path must end in {', '.join(ENDINGS)}, but it is {str(path)!r}; choose one of these."
        )
    return out


def _document(encoded: Any) -> str:
    from chione import __version__  # at call time: the package is complete by then

    head = {"format": "chione", "version": VERSION, "made_by": __version__, "result": encoded}
    return json.dumps(head, allow_nan=False)


def _result(text: str, arrays: Callable[[str], Any] | None) -> AbstractResult:
    """The result of a document, with the arrays beside it."""
    archive.check_text(text)
    head = json.loads(text)
    if not isinstance(head, Mapping) or head.get("format") != "chione":
        raise SpecError("it is no file of chione.")
    version = head.get("version")
    if not isinstance(version, int) or version < 1:
        raise SpecError("its version is no whole number.")
    if version > VERSION:
        raise SpecError(
            f"it was written by a later version of chione (format {version}, this one reads "
            f"{VERSION}); update chione."
        )
    return tree.decode_result(head.get("result"), arrays)


# ---- JSON ------------------------------------------------------------------------------------


def _write_json(result: AbstractResult, path: Path) -> None:
    text = _document(tree.encode(result))
    if len(text) > archive.LONGEST_TEXT:
        raise SpecError(
            f"the result takes {len(text) / 1e6:.0f} MB as .json, more than chione reads back "
            f"({archive.LONGEST_TEXT / 1e6:.0f} MB); save it as .npz."
        )
    write_text(path, text + "\n")


def _read_json(path: Path) -> AbstractResult:
    if path.stat().st_size > archive.LONGEST_TEXT:
        raise SpecError(f"a .json file has at most {archive.LONGEST_TEXT / 1e6:.0f} MB.")
    return _result(path.read_bytes().decode("utf-8"), None)


# ---- .npz ------------------------------------------------------------------------------------


def _write_npz(result: AbstractResult, path: Path) -> None:
    arrays: dict[str, Any] = {}
    document = _document(tree.encode(result, arrays))
    archive.write_zip(path, document, arrays, result._extra_arrays())


def _read_npz(path: Path) -> AbstractResult:
    with archive.ZipArchive(path, _LARGEST) as file:
        return _result(file.document, file.array)


# ---- NetCDF ----------------------------------------------------------------------------------


def _write_nc(result: AbstractResult, path: Path) -> None:
    dataset = result.to_xarray()
    known = {str(name): v.values for name, v in dataset.variables.items()}
    dataset.attrs["chione"] = _document(tree.encode(result, archive.Known(known)))
    # NetCDF 3 through SciPy: readable everywhere, and no HDF5 library is needed
    dataset.to_netcdf(path, engine="scipy")


def _read_nc(path: Path) -> AbstractResult:
    file = archive.NetCDFArchive(path, _LARGEST)
    return _result(file.document, file.array)


# ---- tables ----------------------------------------------------------------------------------


def _write_csv(result: AbstractResult, path: Path) -> None:
    columns, rows = result._table()
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows([_cell(c) for c in row] for row in rows)


def _cell(x: Any) -> Any:
    if x is None:
        return ""
    return repr(x) if isinstance(x, float) else x


def _read_csv(path: Path) -> AbstractResult:
    with path.open(newline="", encoding="utf-8") as f:
        return Table.read(f)
