"""One thread for linear algebra, so that sums are taken in one order on every machine.

A matrix product that two threads share is split in other places than one of four threads, and
rounds otherwise: the same seed would give other last digits in a worker than in its parent.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

_NAMES = ("openblas", "mkl_rt", "blis")  # libraries whose number of threads can be set
_PAIRS = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
    ("bli_thread_get_num_threads", "bli_thread_set_num_threads"),
)
_guard = Lock()
_holders = 0
_undo = ExitStack()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the linear algebra of this process use one thread while the block runs.

    Blocks may overlap, in other threads too: the first to begin sets it, the last to end takes it
    back. Where a library cannot be told (Apple's Accelerate), nothing happens.
    """
    global _holders
    with _guard:
        if _holders == 0:
            for path in _libraries(len(sys.modules)):
                controls = _controls(path)
                if controls is not None:
                    get, put = controls
                    _undo.callback(put, get())
                    put(1)
        _holders += 1
    try:
        yield
    finally:
        with _guard:
            _holders -= 1
            if _holders == 0:
                _undo.close()


@lru_cache(maxsize=1)
def _libraries(modules: int) -> list[str]:
    """Files of the linear algebra libraries that are loaded; looked for as modules come."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = maps.read_text(errors="replace").splitlines()
        files = {line[line.index("/") :] for line in lines if _known(line) and "/" in line}
    else:
        files = {str(file) for name in ("numpy", "scipy") for file in _bundled(name)}
    return sorted(file for file in files if _known(Path(file).name))


def _known(text: str) -> bool:
    return any(name in text for name in _NAMES)


def _bundled(package: str) -> Iterator[Path]:
    """Libraries that a wheel brings with it, if the package is loaded."""
    module = sys.modules.get(package)
    if module is None or module.__file__ is None:
        return
    home = Path(module.__file__).parent
    for folder in (home / ".dylibs", home.with_name(f"{package}.libs")):
        if folder.is_dir():
            yield from folder.iterdir()


@cache
def _controls(path: str) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Functions that read and set the number of threads of a library."""
    try:
        library = ctypes.CDLL(path)  # it is loaded already, so this finds it
    except OSError:
        return None
    for get, put in _PAIRS:
        try:
            read, write = library[get], library[put]
        except AttributeError:
            continue
        read.restype, write.argtypes, write.restype = ctypes.c_int, [ctypes.c_int], None
        return read, write
    return None
