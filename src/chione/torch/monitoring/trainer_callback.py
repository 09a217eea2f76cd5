"""A callback of the Trainer of transformers.

The class is made when it is asked for, since its base is that of the package.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from chione.base import MissingExtraError
from chione.torch.monitoring.monitor import Monitor
from chione.torch.monitoring.record import MonitorRecord


def _callback_class() -> Any:
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", "monitors", "chione.torch.TrainerMonitor")
    return import_module("transformers").TrainerCallback


@lru_cache
def trainer_monitor() -> type:
    """The class ``chione.torch.TrainerMonitor``; this imports transformers."""
    return type(
        "TrainerMonitor",
        (Watching, _callback_class()),
        {"__module__": "chione.torch", "__doc__": Watching.__doc__},
    )


class Watching:
    """A :class:`chione.torch.Monitor` for ``Trainer(callbacks=[...])`` of transformers.

    Parameters
    ----------
    every : int
        Steps of the optimizer from one measurement to the next.
    log : bool
        Whether numbers go to ``trainer.state.log_history`` where no logger is given.
    **options
        Others of :class:`chione.torch.Monitor`, such as ``path`` and ``logger``.

    Notes
    -----
    The Trainer tells its callbacks nothing of an exception: after one, call ``stop()``, or go on
    with another ``train()``, which does so too.
    """

    def __init__(self, every: int = 100, *, log: bool = True, **options: Any) -> None:
        super().__init__()
        self._every, self._log, self._options = every, log, options
        self.monitor: Monitor | None = None

    @property
    def record(self) -> MonitorRecord:
        """Everything seen so far.

        Raises
        ------
        RuntimeError
            Before the training.
        """
        if self.monitor is None:
            raise RuntimeError("nothing is recorded before trainer.train() has begun.")
        return self.monitor.record

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin to watch."""
        self.stop()
        options = dict(self._options)
        if self._log and "logger" not in options:
            options["logger"] = lambda values, step: state.log_history.append(
                {"step": step, **values}
            )
        self.monitor = Monitor(kwargs["model"], self._every, **options).start()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop."""
        self.stop()

    def stop(self) -> None:
        """Remove everything."""
        if self.monitor is not None:
            self.monitor.stop()
