"""The containers of arrays: .npz and NetCDF files, read within bounds that the file cannot move."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from scipy.io import netcdf_file

from chione.base.errors import SpecError

LONGEST_TEXT = 64_000_000  # characters of a tree
_BRACKETS, _QUOTES = 1_000_000, 4_000_000  # what 600 MB of Python objects have at most
DOCUMENT = "chione.json"
TYPES = tuple("?bhilqBHILQefdFD")  # dtypes that a file may hold, besides text of up to 200
_MOST_MEMBERS = 10_000
_READS = 200_000  # of the header of a NetCDF file


class Store(Protocol):
    """Where an encoder puts arrays that shall not stand in the tree."""

    def __contains__(self, name: str, /) -> bool:
        """Whether the name is taken."""

    def __setitem__(self, name: str, a: Any, /) -> None:
        """Keep an array under a name."""


class Known:
    """Arrays that a labelled file has anyway: the tree refers to those that are the same."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        self.arrays = {n: a for n, a in arrays.items() if a.dtype.kind == "f"}

    def find(self, a: Any) -> str | None:
        """The name of a variable with exactly these numbers."""
        for name, b in self.arrays.items():
            if b.shape == a.shape and b.dtype == a.dtype and np.array_equal(a, b, equal_nan=True):
                return name
        return None


def check_text(text: str) -> None:
    """Refuse a tree that would become too many objects, before any is made."""
    if len(text) > LONGEST_TEXT:
        raise SpecError(f"its tree has more than {LONGEST_TEXT / 1e6:.0f} MB.")
    if text.count("[") + text.count("{") > _BRACKETS or text.count('"') > _QUOTES:
        raise SpecError("its tree has more parts than any result.")


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype of an array, if it is one of plain numbers or short text."""
    out: np.dtype[Any] = np.dtype(dtype)
    short_text = out.kind == "U" and 0 < out.itemsize <= 800
    if out.names is not None or not (out.char in TYPES or short_text):
        raise SpecError(f"an array of type {str(out)[:40]} has no place in a result.")
    return out


# ---- zip -------------------------------------------------------------------------------------


def write_zip(path: Path, document: str, arrays: dict[str, Any], extra: dict[str, Any]) -> None:
    """A .npz file that :func:`numpy.load` opens, with the tree beside the arrays."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        # a fixed date: the same result gives the same bytes
        for name, a in {**extra, **arrays}.items():
            with file.open(_member(f"{name}.npy"), "w", force_zip64=True) as f:
                npy.write_array(f, np.asarray(a), allow_pickle=False)
        file.writestr(_member(DOCUMENT), document)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


class ZipArchive:
    """A .npz file open for reading; each array is read when the tree asks for it."""

    def __init__(self, path: Path, largest: int) -> None:
        self.file = zipfile.ZipFile(path)
        self.left = largest
        self.read: dict[str, Any] = {}

    def __enter__(self) -> ZipArchive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.close()

    @property
    def document(self) -> str:
        """The tree."""
        if len(self.file.infolist()) > _MOST_MEMBERS:
            raise SpecError(f"it has more than {_MOST_MEMBERS} members.")
        if DOCUMENT not in self.file.namelist():
            raise SpecError("it is no file of chione: it has arrays, but not what they belong to.")
        return self._bytes(DOCUMENT, LONGEST_TEXT).decode("utf-8")

    def array(self, name: str) -> Any:
        """The array of that name."""
        if name not in self.read:
            self.read[name] = _npy(self._bytes(f"{name}.npy", self.left))
        return self.read[name]

    def _bytes(self, member: str, largest: int) -> bytes:
        size = self.file.getinfo(member).file_size
        if size > min(largest, self.left):
            raise SpecError(f"its part {member[:60]!r} claims {size / 1e6:.0f} MB, too much.")
        self.left -= size
        with self.file.open(member) as f:
            data = f.read(size + 1)
        if len(data) != size:
            raise SpecError(f"its part {member[:60]!r} is cut off.")
        return data


def _npy(data: bytes) -> Any:
    """An array in NumPy's format, its size held against the bytes that are there."""
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise SpecError("an array is in a format of NumPy that results do not use.")
    shape, fortran, dtype = readers[version](stream)
    dtype = check_dtype(dtype)
    count = math.prod(shape)
    if count * dtype.itemsize != len(data) - stream.tell() or any(n < 0 for n in shape):
        raise SpecError("the size of an array contradicts its shape.")
    flat = np.frombuffer(data, dtype, count, stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C").copy()


# ---- NetCDF ----------------------------------------------------------------------------------


class NetCDFArchive:
    """A NetCDF 3 file, read whole."""

    def __init__(self, path: Path, largest: int) -> None:
        data = path.read_bytes()
        if data[:4] not in (b"CDF\x01", b"CDF\x02"):
            raise SpecError("it is no NetCDF file of version 3.")
        self.file = netcdf_file(_Counted(data, largest), "r", mmap=False, maskandscale=False)
        self.names = self.file.variables

    @property
    def document(self) -> str:
        """The tree."""
        text = getattr(self.file, "chione", None)
        if not isinstance(text, bytes):
            raise SpecError("it is no file of chione: the attribute 'chione' is missing.")
        return text.decode("utf-8")

    def array(self, name: str) -> Any:
        """The numbers of a variable, in the byte order of this machine."""
        a = np.asarray(self.names[name].data)
        return a.astype(a.dtype.newbyteorder("="))


class _Counted(io.BytesIO):
    """Bytes that can be read a limited number of times, and only so many of them."""

    def __init__(self, data: bytes, largest: int) -> None:
        io.BytesIO.__init__(self, data)
        self.reads, self.left = _READS, 2 * largest

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size < 0:
            raise SpecError("a part has a negative size.")
        out = io.BytesIO.read(self, size)
        self.reads -= 1
        self.left -= len(out)
        if self.reads < 0 or self.left < 0:
            raise SpecError("its header has no end.")
        return out
