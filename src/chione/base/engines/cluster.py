"""An engine of dask workers: a local cluster, SLURM, Kubernetes, or any other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chione.base.engines.task import AbstractEngine, Done


class Dask(AbstractEngine):
    """Workers of a dask cluster."""

    def __init__(self, which: Any, *, workers: int) -> None:
        self.workers = workers
        raise NotImplementedError(which)

    def run(
        self, function: Callable[[Any], Any], tasks: Iterable[Any], *, ahead: int | None = None
    ) -> Iterator[Done]:
        """See :class:`~chione.base.engines.task.AbstractEngine`."""
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        return None
