"""A dask cluster on this machine that ends with the process that asked for it.

Its scheduler lives in a process of its own, a program of this file, for two reasons. dask starts
workers by :mod:`multiprocessing`, which runs the user's script again in each of them, unless it
has a ``__main__`` guard; the script of this process is chione's. And its pipe ends when the parent
is killed, so that scheduler and workers end as well.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from queue import Empty, SimpleQueue

from chione.base.errors import EngineError

_START = 60.0  # seconds for a cluster to start
_END = 5.0  # seconds for it to end by itself


class LocalCluster:
    """A scheduler and workers of one thread each.

    Parameters
    ----------
    workers : int
        Number of worker processes.

    Raises
    ------
    EngineError
        If it does not start.
    """

    def __init__(self, workers: int) -> None:
        from chione.base.engines.worker import Inbox, Worker

        inbox: Inbox = SimpleQueue()
        self._process = Worker(inbox, "local_cluster", str(workers))
        try:
            _, message = inbox.get(timeout=_START)
        except Empty:
            message = None
        except BaseException:
            self.close()
            raise
        if message is None:
            self.close()
            raise EngineError(
                "a local dask cluster did not start; what it wrote to stderr says why, and "
                "engine='processes' does without."
            )
        self.address: str = message[2]

    @property
    def pid(self) -> int:
        """Number of the process of the scheduler."""
        return self._process.pid

    def close(self) -> None:
        """End it and its workers."""
        self._process.close(patience=_END)


def main() -> None:
    """Serve until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from chione.base.engines import frames
    from chione.base.engines.child import pipes

    inbound, outbound = pipes()
    import distributed

    with distributed.LocalCluster(
        n_workers=int(sys.argv[1]),
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",  # its pages are off, but it would take port 8787
        scheduler_kwargs={"dashboard": False},
        silence_logs=logging.CRITICAL,
    ) as cluster:
        frames.send(outbound, ("ready", os.getpid(), cluster.scheduler_address))
        inbound.read()
    os._exit(0)
