"""One writer for a file, and whether the file lies where locks can be trusted."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from chione.base import SpecError

_NETWORK = frozenset({
    "nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "lustre", "gpfs",
    "beegfs", "beegfs_nodev", "ceph", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.ceph",
    "fuse.rclone", "fuse.s3fs", "9p", "panfs", "orangefs", "pvfs2", "davfs", "fuse.davfs",
    "webdav", "afpfs",
})  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")


class Lock:
    """A lock that its process holds, and that the system lifts when the process is gone.

    Parameters
    ----------
    path : Path
        The file that is to have one writer; the lock is a small file ``PATH-lock`` beside it.

    Raises
    ------
    SpecError
        If another process holds it.
    OSError
        If the folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        real = Path(os.path.realpath(path))  # a link is another name of the same file
        self._path = real.with_name(f"{real.name}-lock")
        while True:
            self._handle = self._open(path)
            if not _locked(self._handle):
                holder = os.read(self._handle, 200).decode("utf-8", "replace").strip()
                os.close(self._handle)
                raise SpecError(
                    f"the ledger {str(path)!r} is in use by another sweep"
                    f"{f' ({holder})' if holder else ''}; wait until it ends, or use another file."
                )
            if self._mine():
                break
            os.close(self._handle)  # its holder took it away just before; make a new one
        os.truncate(self._handle, 0)
        os.write(self._handle, f"process {os.getpid()} on {socket.gethostname()}".encode())

    def _open(self, path: Path) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as err:
            raise PermissionError(
                f"the ledger {str(path)!r} cannot be written, since its folder cannot "
                f"({err.strerror}); choose another one."
            ) from err

    def _mine(self) -> bool:
        """Whether the file that was locked is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._handle), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Give it back, once or more often."""
        if self._handle < 0:
            return
        with suppress(OSError):  # Windows keeps files that are open
            self._path.unlink()
        os.close(self._handle)
        self._handle = -1


def _locked(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the text, which others may then read
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def network_file_system(path: Path) -> bool:
    """Whether a path lies on another machine's disk, which is warned of."""
    kind = kind_of(path.absolute(), _mounts())
    if kind not in _NETWORK and not str(path.absolute()).startswith("\\\\"):
        return False
    warnings.warn(
        f"the ledger {str(path)!r} lies on a network file system ({kind or 'a share'}), where "
        "locks are not reliable: start one sweep at a time on it, or put it on a local disk and "
        "copy it afterwards.",
        stacklevel=2,
    )
    return True


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return ""


def kind_of(path: Path, mounts: str) -> str:
    """Kind of the file system of a path, from a table as in ``/proc/self/mountinfo``."""
    best, kind = -1, ""
    real = os.path.realpath(path)
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = fields[4].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:  # a later mount on the same place hides the earlier
            best, kind = len(point), right.split(" ")[0]
    return kind
