"""The transformer diagram: regions over attention and residual scale, with two contours."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from chione.base import Array
from chione.plotting.style import HEAT, one_axes, style
from chione.theory.depth.transformer_phase import REGIONS, TransformerPhase

_COLOURS = {
    "trains": "#4daf7c",
    "tokens collapse": "#5b8db8",
    "attention condenses": "#e0b04f",
    "gradients vanish": "#8d7bb0",
    "gradients explode": "#c8553d",
    "signal vanishes": "#b8b8b8",
    "signal explodes": "#e58f7b",
}
FIELD_WORDS = {
    "one_minus_c": "$1 - c$ of two tokens behind the last block",
    "attended": r"largest $E \sum_s w_{ts}^2$ of all layers",
    "log10_gradient": "decades of the squared gradient, first block over last",
    "log10_length": "decades of the mean square, last block over first",
}
_TITLES = {
    "one_minus_c": "Difference of tokens",
    "attended": "How sharply tokens attend",
    "log10_gradient": "Gradients through the blocks",
    "log10_length": "Lengths through the blocks",
}


def transformer_figure(found: TransformerPhase, *, title: str = "Transformer diagram") -> Figure:
    """The regions, named."""
    with style():
        figure, ax = one_axes(6.2, 4.4)
        draw_regions(ax, found)
        ax.set_title(title)
    return figure


def draw_regions(ax: Axes, found: TransformerPhase) -> None:
    """One colour a region."""
    code = np.array([[REGIONS.index(word) for word in row] for row in found.region])
    colours = ListedColormap([_COLOURS[word] for word in REGIONS])
    norm = BoundaryNorm(np.arange(len(REGIONS) + 1) - 0.5, len(REGIONS))
    ax.pcolormesh(*_axes(found), code, cmap=colours, norm=norm, shading="nearest", rasterized=True)
    met = [word for word in REGIONS if np.any(found.region == word)]
    ax.legend(
        handles=[Patch(color=_COLOURS[word], label=word) for word in met],
        loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False,
    )  # fmt: skip
    ax.set_title("What becomes of a transformer")
    _label(ax, found)


def draw_transformer_field(ax: Axes, found: TransformerPhase, name: str) -> None:
    """One quantity of the diagram as a heat map."""
    values = np.ma.masked_invalid(np.asarray(getattr(found, name)))
    mesh = ax.pcolormesh(*_axes(found), values, cmap=HEAT, shading="nearest", rasterized=True)
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(mesh, ax=ax).set_label(FIELD_WORDS[name])
    ax.set_title(_TITLES[name])
    _label(ax, found)


def _axes(found: TransformerPhase) -> tuple[Array, Array]:
    return np.asarray(found.attention_scale), np.asarray(found.residual_scale)


def _label(ax: Axes, found: TransformerPhase) -> None:
    x, y = _axes(found)
    for axis, values in (("x", x), ("y", y)):
        steps = np.diff(np.log(values)) if np.all(values > 0.0) else np.empty(0)
        if steps.size > 1 and np.allclose(steps, steps[0], rtol=1e-6):
            getattr(ax, f"set_{axis}scale")("log")
    ax.set_xlabel(r"attention scale $\sigma_q \sigma_k$")
    ax.set_ylabel("residual scale $b$")
