"""The power of ten that all numbers of an axis share, written as a power."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter


def write_powers(figure: Figure) -> None:
    """Write ``x 10^-5`` at an axis whose numbers share a factor, in place of ``1e-5``.

    The style lets plain numbers be plain text: as formulas they are a quarter of the time that a
    picture takes. Only axes with a common factor need formulas.
    """
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            numbers = axis.get_major_formatter()
            if isinstance(numbers, ScalarFormatter) and axis.get_visible():
                numbers.set_locs(list(axis.get_majorticklocs()))
                if numbers.get_offset():
                    numbers.set_useMathText(True)
