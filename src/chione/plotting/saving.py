"""How chione's figures are written, so that two runs give the same bytes."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from chione.base import write_whole
from chione.plotting.legends import settle_legends
from chione.plotting.powers import write_powers
from chione.plotting.style import style

_NO_DATE = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def save(figure: Figure, path: str | Path) -> None:
    """Write the figure as ``.png``, ``.svg`` or ``.pdf``; equal figures give equal bytes.

    The file is whole or not there: a run that is killed leaves an old picture as it was.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        A figure that chione made. Its legends move off the data, see
        :func:`~chione.plotting.settle_legends`.
    path : str or Path
        Its ending chooses the format.

    Raises
    ------
    ValueError
        If the ending is another one.
    """
    ending = Path(path).suffix.lower()
    if ending not in _NO_DATE:
        raise ValueError(
            f"a figure must be written as {', '.join(_NO_DATE)}, but the name is {str(path)!r}."
        )

    settle_legends(figure)
    write_powers(figure)

    def write(part: Path) -> None:
        with style():
            figure.savefig(part, format=ending[1:], metadata=_NO_DATE[ending])

    write_whole(path, write)
