"""A callback of Lightning, of either name of the package (``lightning``, ``pytorch_lightning``).

The class is made when it is asked for, since its base is that of the package.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from chione.base import MissingExtraError
from chione.torch.monitoring.monitor import Monitor
from chione.torch.monitoring.record import MonitorRecord

_NAMES = ("lightning.pytorch", "pytorch_lightning")


def _callback_classes() -> tuple[type, ...]:
    """``Callback`` of the package in use: the one that is imported, else the one that is there."""
    loaded = [n for n in _NAMES if n in sys.modules]
    there = loaded or [n for n in _NAMES if find_spec(n.split(".")[0]) is not None][:1]
    if not there:
        raise MissingExtraError("lightning", "monitors", "chione.torch.LightningMonitor")
    found = (import_module(n).Callback for n in there)
    return tuple(dict.fromkeys(found))


@lru_cache
def lightning_monitor() -> type:
    """The class ``chione.torch.LightningMonitor``; this imports Lightning."""
    return type(
        "LightningMonitor",
        (Watching, *_callback_classes()),
        {"__module__": "chione.torch", "__doc__": Watching.__doc__},
    )


class Watching:
    """A :class:`chione.torch.Monitor` for ``Trainer(callbacks=[...])`` of Lightning.

    Parameters
    ----------
    every : int
        Steps of the optimizers from one measurement to the next.
    log : bool
        Whether numbers go to the loggers of the trainer.
    **options
        Others of :class:`chione.torch.Monitor`.

    Examples
    --------
    ``Trainer(callbacks=[chione.torch.LightningMonitor(every=100)])``; afterwards
    ``callback.record``.
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
            raise RuntimeError("nothing is recorded before trainer.fit() has begun.")
        return self.monitor.record

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin to watch."""
        options = dict(self._options)
        if self._log and trainer.loggers and "logger" not in options:
            options["logger"] = _to_all(trainer.loggers)
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        self.monitor = Monitor(pl_module, self._every, **{"scaler": scaler, **options}).start()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop."""
        self._stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Stop as well."""
        self._stop()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Stop if nothing else has."""
        self._stop()

    def _stop(self) -> None:
        if self.monitor is not None:
            self.monitor.stop()


def _to_all(loggers: Any) -> Any:
    def write(values: dict[str, float], step: int) -> None:
        for logger in loggers:
            logger.log_metrics(values, step=step)

    return write
