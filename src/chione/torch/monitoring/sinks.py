"""Where measured steps go: a file of JSON lines, and the logger in use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from chione.base.files import check_writable

Write: TypeAlias = Callable[[Mapping[str, float], int], None]


class LineFile:
    """A file that gets whole lines: a run that is killed leaves all lines but perhaps the last."""

    def __init__(self, path: str | Path) -> None:
        self._file = check_writable(path).open("a", encoding="utf-8")
        if self._file.tell() and not _ends_a_line(Path(path)):
            self._file.write("\n")

    def write(self, line: str) -> None:
        """One line, handed to the system at once."""
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as f:
        f.seek(-1, 2)
        return f.read(1) == b"\n"


def writer(logger: Any) -> Write | None:
    """How to hand numbers to a logger.

    Raises
    ------
    TypeError
        If it has none of the methods that are known.
    """
    if logger is None:
        return None
    add_scalar = getattr(logger, "add_scalar", None)
    if callable(add_scalar):  # torch.utils.tensorboard.SummaryWriter

        def scalars(values: Mapping[str, float], step: int) -> None:
            for tag, x in values.items():
                add_scalar(tag, x, step)

        return scalars
    for name in ("log_metrics", "log"):  # a logger of Lightning; wandb, or a run of it
        method = getattr(logger, name, None)
        if callable(method):
            return lambda values, step: method(dict(values), step=step)
    if callable(logger):
        return lambda values, step: logger(dict(values), step)
    raise TypeError(
        f"logger must have add_scalar (TensorBoard), log (wandb) or log_metrics (Lightning), or be "
        f"a function of (values, step), but it is {type(logger).__name__}."
    )
