"""A kernel of many inputs as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chione.base import Estimate


def draw_kernel(ax: Axes, kernel: Estimate, title: str) -> None:
    """One cell for each pair of inputs, with a key; in words where the kernel does not exist."""
    value = np.asarray(kernel.value)
    ax.set_title(title)
    ax.set_xlabel("input")
    ax.set_ylabel("input")
    if not np.any(np.isfinite(value)):
        ax.annotate(
            "no value: the activation jumps", (0.5, 0.5), ha="center", xycoords="axes fraction"
        )
        ax.set(xticks=[], yticks=[])
        return
    shown = ax.imshow(value, cmap="cividis", interpolation="nearest", aspect="auto")
    figure = ax.get_figure(root=True)
    if isinstance(figure, Figure):
        figure.colorbar(shown, ax=ax)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
