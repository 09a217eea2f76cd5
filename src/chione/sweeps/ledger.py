"""The ledger of a sweep: what has been trained, in one file that survives any kill."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from chione.base import SpecError
from chione.sweeps.locks import Lock, network_file_system
from chione.sweeps.training import Outcome, Training

VERSION = 1
"""Version of the tables."""

FINISHED = ("done", "diverged")
"""States that are answers. A failed or lost training is tried again."""

STATES = (*FINISHED, "failed", "lost")

_APPLICATION = 0x43484E4C  # "CHNL", by which a file says whose it is (PRAGMA application_id)
_AT_A_TIME = 500  # keys in one query; SQLite allows 999 in old builds
_FLOATS = "<f8"

_TABLES = """
CREATE TABLE runs (
    key TEXT PRIMARY KEY,
    status TEXT NOT NULL CHECK (status IN ('done', 'diverged', 'failed', 'lost')),
    training TEXT NOT NULL,  -- JSON of all parameters
    loss REAL, accuracy REAL, test_accuracy REAL,  -- NULL where not a number
    losses BLOB NOT NULL,  -- float64, little-endian
    steps_to TEXT NOT NULL,  -- JSON: [[share, step], ...]
    message TEXT NOT NULL,
    seconds REAL,
    attempts INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
CREATE TABLE tasks (name TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
"""

_COLUMNS = (
    "key, status, training, loss, accuracy, test_accuracy, losses, steps_to, message, seconds"
)
# an answer is never replaced by a failure, whatever comes later
_RECORD = f"""
INSERT INTO runs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET status = excluded.status, loss = excluded.loss,
    accuracy = excluded.accuracy, test_accuracy = excluded.test_accuracy,
    losses = excluded.losses, steps_to = excluded.steps_to, message = excluded.message,
    seconds = excluded.seconds, attempts = runs.attempts + 1
WHERE runs.status NOT IN ('done', 'diverged')
"""


class Ledger:
    """Outcomes of trainings under their keys, in a file of SQLite.

    One process writes: the one that runs the sweep. Workers hand their outcomes to it, and each
    call of :meth:`record` is one transaction. So a kill of a worker or of the process itself
    loses the trainings that were on their way, and nothing else.

    Parameters
    ----------
    path : str or PathLike
        The file; made if it is not there.
    write : bool
        Whether to record. Without it the file is only read, also while a sweep writes.

    Raises
    ------
    SpecError
        If the file is not a ledger, is one of another version, or is in use by another sweep.
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> a, b = (Training("tanh", 1.5, 0.1, depth=3, width=8, seed=s) for s in (0, 1))
    >>> with tempfile.TemporaryDirectory() as folder, Ledger(f"{folder}/runs.sqlite") as ledger:
    ...     ledger.record([(a, Outcome("done", loss=0.5)), (b, Outcome("failed"))])
    ...     list(ledger.finished([a.key, b.key])) == [a.key]
    True
    """

    def __init__(self, path: str | PathLike[str], *, write: bool = True) -> None:
        self.path = Path(path)
        check_place(self.path, write=write)
        self._lock = Lock(self.path) if write else None
        try:
            self._file = _opened(self.path, write)
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing waits to be written."""
        self._file.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def record(self, rows: Iterable[tuple[Training, Outcome]]) -> None:
        """Write outcomes in one transaction: all of them or, should the process die, none.

        An outcome that is an answer (done, diverged) stays when the same training is recorded
        again; one that is not is replaced.
        """
        values = [_row(training, outcome) for training, outcome in rows]
        with _told(self.path), self._file:
            self._file.executemany(_RECORD, values)

    def check_task(self, name: str, digest: str) -> None:
        """Note which data a task's name stands for; other data of the same name are refused.

        Raises
        ------
        SpecError
            If trainings of this ledger had other data under that name.
        """
        with _told(self.path), self._file:
            self._file.execute("INSERT OR IGNORE INTO tasks VALUES (?, ?)", (name, digest))
            (known,) = self._file.execute(
                "SELECT digest FROM tasks WHERE name = ?", (name,)
            ).fetchone()
        if known != digest:
            raise SpecError(
                f"the ledger {str(self.path)!r} has trainings on other data of the name {name!r} "
                f"(digest {known[:12]}, now {digest[:12]}); use another file."
            )

    def finished(self, keys: Iterable[str]) -> dict[str, Outcome]:
        """Answers of the keys that have one; failed and lost trainings are to be tried again."""
        query = (
            f"SELECT {_COLUMNS} FROM runs WHERE status IN ('done', 'diverged') AND key IN ({{}})"
        )
        return {row[0]: _outcome(row) for row in self._select(query, list(keys))}

    def outcomes(self, keys: Sequence[str]) -> list[Outcome | None]:
        """What each training came to, in the order of the keys; None for those never tried."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE key IN ({{}})"
        found = {row[0]: _outcome(row) for row in self._select(query, list(keys))}
        return [found.get(key) for key in keys]

    def rows(self) -> list[tuple[Training, Outcome]]:
        """All trainings with their outcomes, in the order of their parameters."""
        with _told(self.path):
            rows = self._file.execute(f"SELECT {_COLUMNS} FROM runs ORDER BY training").fetchall()
        return [(Training(**json.loads(row[2])), _outcome(row)) for row in rows]

    def counts(self) -> Mapping[str, int]:
        """How many trainings are in each state."""
        with _told(self.path):
            query = "SELECT status, count(*) FROM runs GROUP BY status"
            return dict.fromkeys(STATES, 0) | dict(self._file.execute(query).fetchall())

    def _select(self, query: str, keys: list[str]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(keys), _AT_A_TIME):
            some = keys[start : start + _AT_A_TIME]
            with _told(self.path):
                yield from self._file.execute(query.format(",".join("?" * len(some))), some)


def check_place(path: Path, *, write: bool) -> None:
    """Refuse a path that cannot hold a ledger, before anything is made there."""
    if path.is_dir():
        raise SpecError(f"{str(path)!r} is a folder; give the name of a file for the ledger.")
    if not write and not path.exists():
        raise SpecError(f"there is no ledger {str(path)!r}.")
    if not path.parent.is_dir():
        raise SpecError(f"the folder {str(path.parent)!r} does not exist; make it first.")


def _opened(path: Path, write: bool) -> sqlite3.Connection:
    new = write and (not path.exists() or path.stat().st_size == 0)
    with _told(path):
        where = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
        file = sqlite3.connect(where, uri=True, timeout=10.0)
        try:
            if not new:
                _check(file, path)
            if write:
                _prepare(file, path, new)
        except BaseException:
            file.close()
            raise
    return file


def _check(file: sqlite3.Connection, path: Path) -> None:
    (owner,) = file.execute("PRAGMA application_id").fetchone()
    (version,) = file.execute("PRAGMA user_version").fetchone()
    if owner != _APPLICATION:
        raise SpecError(f"{str(path)!r} is no ledger of chione; give the name of another file.")
    if version != VERSION:
        later = "update chione" if version > VERSION else "finish it with the older chione"
        raise SpecError(
            f"{str(path)!r} is a ledger of version {version}, and this chione writes version "
            f"{VERSION}; {later}, or use another file."
        )


def _prepare(file: sqlite3.Connection, path: Path, new: bool) -> None:
    remote = network_file_system(path)
    # a write-ahead log needs memory that all processes share; without it every transaction is
    # brought to the disk by itself
    file.execute(f"PRAGMA journal_mode = {'DELETE' if remote else 'WAL'}")
    file.execute(f"PRAGMA synchronous = {'FULL' if remote else 'NORMAL'}")
    if new:
        file.executescript(
            f"BEGIN; {_TABLES} PRAGMA application_id = {_APPLICATION}; "
            f"PRAGMA user_version = {VERSION}; COMMIT;"
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors of SQLite as one sentence."""
    try:
        yield
    except sqlite3.OperationalError as err:
        raise OSError(
            f"the ledger {str(path)!r} cannot be used ({err}); what was recorded before is kept."
        ) from err
    except sqlite3.DatabaseError as err:
        raise SpecError(
            f"{str(path)!r} is no ledger of chione, or it is damaged ({err}); give the name of "
            "another file."
        ) from err


def _row(training: Training, outcome: Outcome) -> tuple[Any, ...]:
    numbers = (outcome.loss, outcome.accuracy, outcome.test_accuracy, outcome.seconds)
    loss, accuracy, test, seconds = (None if math.isnan(x) else float(x) for x in numbers)
    return (
        training.key,
        outcome.status,
        json.dumps(training.to_dict(), sort_keys=True, allow_nan=False),
        *(loss, accuracy, test),
        np.asarray(outcome.losses, _FLOATS).tobytes(),
        json.dumps([[float(share), int(step)] for share, step in outcome.steps_to]),
        outcome.message.encode("utf-8", "replace").decode(),  # of any error, so of any characters
        seconds,
    )


def _outcome(row: tuple[Any, ...]) -> Outcome:
    _, status, _, loss, accuracy, test, losses, steps_to, message, seconds = row
    numbers = (math.nan if x is None else float(x) for x in (loss, accuracy, test, seconds))
    loss, accuracy, test, seconds = numbers
    return Outcome(
        status=sys.intern(status),
        loss=loss,
        accuracy=accuracy,
        test_accuracy=test,
        losses=tuple(np.frombuffer(losses, _FLOATS).tolist()),
        steps_to=tuple((float(share), int(step)) for share, step in json.loads(steps_to)),
        seconds=seconds,
        message=message,
    )
