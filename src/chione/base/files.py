"""Files that are whole or not there: the one writer of every room.

A file is filled beside its place under a name that nobody reads, ``.NAME.PID.part``, flushed to
the disk, and moved into place in one step. A run that is killed leaves at most that part; the next
one that writes to the folder takes it away, since the process of its number is gone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

_PART = re.compile(r"\..+\.(\d+)-[0-9a-f]{8}\.part(?:\.[A-Za-z0-9]+)?")


def write_whole(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `path`, then move it there in one step.

    Parameters
    ----------
    path : str or Path
        Where the file is to be; one that is there is replaced at once or stays as it was.
    write : callable
        Takes the path to fill, which has the ending of `path`.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    OSError
        If the folder cannot be written, or the disk is full; then nothing has changed.
    """
    path = Path(path)
    sweep(path.parent)
    part = path.with_name(f".{path.stem}.{os.getpid()}-{uuid4().hex[:8]}.part{path.suffix}")
    try:
        write(part)
        with part.open("rb+") as f:
            os.fsync(f.fileno())  # a full disk speaks up here at the latest
        if path.exists():
            part.chmod(path.stat().st_mode & 0o7777)  # who could read it before still can
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write UTF-8 text as :func:`write_whole` does."""
    return write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def check_writable(path: str | Path) -> Path:
    """Find out before a long computation whether its result can be written.

    Raises
    ------
    ValueError
        If the folder is not there, or `path` is a folder.
    PermissionError
        If the folder is read-only.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; give the name of a file.")
    if not path.parent.is_dir():
        raise ValueError(f"the folder {str(path.parent)!r} does not exist; make it first.")
    probe = path.with_name(f".{path.stem}.{os.getpid()}-{uuid4().hex[:8]}.part")
    try:  # permission bits do not tell: the file system itself may be read-only
        probe.touch()
    except OSError as err:
        reason = err.strerror or str(err)
        raise PermissionError(
            f"the folder {str(path.parent)!r} cannot be written ({reason}); choose another one."
        ) from err
    finally:
        if probe.exists():
            probe.unlink()
    return path


def sweep(folder: str | Path) -> None:
    """Take away the parts that killed runs left in a folder; those of living processes stay."""
    folder = Path(folder)
    for name in os.listdir(folder) if folder.is_dir() else ():
        match = _PART.fullmatch(name)
        if match and not _alive(int(match.group(1))):
            (folder / name).unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's process; a number too large to be one
        return True
    return True
