"""One word, number, address or client, and the engine that is meant."""

from __future__ import annotations

import sys
from typing import Any

from chione.base import checks
from chione.base.engines.cores import cores
from chione.base.engines.local import Borrowed, Here, Threads
from chione.base.engines.pool import Pool
from chione.base.engines.task import AbstractEngine
from chione.base.errors import SpecError

WORDS = ("here", "threads", "processes", "dask")
"""Words that name an engine."""

_MOST = 256  # workers on one machine; more would only wait for each other


def engine(
    which: Any = None, *, workers: int | None = None, scheduler: str | None = None
) -> AbstractEngine:
    """What runs many tasks: this process, its threads, processes on this machine, or a cluster.

    Parameters
    ----------
    which : None, str, int, AbstractEngine or distributed.Client
        ``"here"``: one task after another in this process. ``"threads"`` and ``"processes"``:
        `workers` of them. ``"dask"``: a local cluster of `workers` processes, or the cluster of
        `scheduler`. An address such as ``"tcp://10.0.0.5:8786"``, or a client: that cluster.
        A number is a number of processes. None means processes for two workers or more, and
        this process for one. An engine is taken as it is.
    workers : int, optional
        How many tasks run at a time on this machine; where `which` asks for several, as many as
        there are cores by default.
    scheduler : str, optional
        Address of a dask scheduler.

    Returns
    -------
    AbstractEngine
        Used as ``with engine(...) as e: for done in e.run(function, tasks): ...``. An engine or
        a client that was handed in stays open, for its owner to close.

    Raises
    ------
    SpecError
        For an unknown word, or combinations that mean nothing.
    MissingExtraError
        If dask is asked for and not installed.
    EngineError
        If the scheduler does not answer.

    Examples
    --------
    >>> with engine(None) as e:
    ...     sorted(done.value for done in e.run(abs, [-2, 1]))
    [1, 2]
    """
    if isinstance(which, int) and not isinstance(which, bool) and workers is None:
        which, workers = None, which
    count = None if workers is None else min(checks.integer("workers", workers), _MOST)
    if scheduler is not None:
        if not (which is None or _is(which, "dask")):
            raise SpecError(
                f"a scheduler belongs to engine='dask', but engine is {which!r:.40}; leave one "
                "away."
            )
        which = scheduler
        if not _address(scheduler):
            raise SpecError(
                f"scheduler must be an address such as 'tcp://10.0.0.5:8786', but it is "
                f"{scheduler!r:.60}."
            )
    if which is None:
        which = "here" if count in (None, 1) else "processes"
    if _is(which, "here"):
        return Here()
    if _is(which, "threads"):
        return Threads(count or cores())
    if _is(which, "processes"):
        return Pool(count or cores())
    if _is(which, "dask") or _address(which) or _is_client(which):
        from chione.base.engines.cluster import Dask  # needs an extra, so only here

        return Dask(which, workers=count or cores())
    if isinstance(which, AbstractEngine):
        return Borrowed(which)
    raise SpecError(
        f"engine must be one of {', '.join(WORDS)}, the address of a dask scheduler such as "
        f"'tcp://10.0.0.5:8786', or a distributed.Client, but it is {which!r:.60}."
    )


def _is(which: Any, word: str) -> bool:
    return isinstance(which, str) and which == word  # an array would be compared entry by entry


def _address(which: Any) -> bool:
    """Whether it looks like tcp://host:port, or the path of a scheduler file."""
    return isinstance(which, str) and ("://" in which or which.endswith(".json"))


def _is_client(which: Any) -> bool:
    """Whether it is a client of distributed, which is not imported for the question."""
    module = sys.modules.get("distributed")
    return module is not None and isinstance(which, module.Client)
