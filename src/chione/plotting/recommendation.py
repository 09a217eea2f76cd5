"""What initialisations cost over the depth, in decades: dots for one activation, or for many."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from chione.base import Array, NoPictureError
from chione.plotting.panels import Panel, Picture
from chione.plotting.style import BLUE, COLOURS, MARKERS, VERMILLION
from chione.theory import Recommendation

_LINEAR = 1.0  # decades: within it the axis is linear, so that 0 and both signs have a place
_ROW = 0.38  # inches


def recommendation_picture(best: Recommendation) -> Picture:
    """The decades that a recommendation and its alternatives were weighed by.

    Raises
    ------
    NoPictureError
        If nothing was weighed, as for an activation that jumps.
    """
    options = [o for o in (best, *best.alternatives) if o.weighed]
    if not options:
        raise NoPictureError(
            f"nothing was weighed for {best.activation}, so there is nothing to draw; "
            "its sentence says why."
        )
    figures = list(options[0].weighed)
    height = 1.5 + _ROW * len(figures)
    return Picture(
        {"decades": Panel(lambda ax: _draw_options(ax, options, figures), (7.4, height))}
    )


def gain_table_picture(
    activations: Sequence[str], ours: Array, theirs: Array, changed: Array, depth: int
) -> Picture:
    """What two rules do to the gradient of each activation.

    Parameters
    ----------
    activations : sequence of str, length A
        Their names.
    ours, theirs : ndarray, shape (A,)
        Decades of the mean square gradient over the depth, recommended and by
        ``calculate_gain``; NaN where there is no number.
    changed : ndarray of bool, shape (A,)
        Whether the activation was changed for it.
    depth : int
        Number of layers.
    """

    def draw(ax: Axes) -> None:
        rows = np.arange(len(activations))
        ax.hlines(rows, np.fmin(ours, theirs), np.fmax(ours, theirs), color="#bbbbbb", lw=0.9)
        for found, fill, words in (
            (np.logical_not(changed), BLUE, "recommended"),
            (changed, "white", "recommended, for a changed activation"),
        ):
            ax.plot(ours[found], rows[found], ls="", marker="o", ms=5.0, mec=BLUE, mfc=fill,
                    label=words)  # fmt: skip
        ax.plot(theirs, rows, ls="", marker="s", ms=8.0, mec=VERMILLION, mfc="none", mew=1.3,
                label="calculate_gain")  # fmt: skip
        for row in rows[~(np.isfinite(ours) | np.isfinite(theirs))]:
            ax.text(0.1, row, "none", color="#666666", fontsize=7.5, va="center")
        _decades(ax, f"mean square gradient over {depth} layers, in decades; 0 is ideal")
        _name_rows(ax, activations)
        ax.set_title("Gradients as recommended, and by torch.nn.init.calculate_gain")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / height), ncols=3)

    height = 1.6 + 0.2 * len(activations)
    return Picture({"gradient": Panel(draw, (7.0, height))})


def _draw_options(ax: Axes, options: Sequence[Recommendation], figures: Sequence[str]) -> None:
    rows = np.arange(len(figures))
    shift = 0.7 * (np.arange(len(options)) / max(1, len(options) - 1) - 0.5)
    whole = True
    for k, option in enumerate(options):
        decades = np.array([option.weighed[name] for name in figures])
        known = np.isfinite(decades)
        whole &= bool(known.all())
        colour = COLOURS[k % len(COLOURS)]
        ours = option.kind != "scheme"
        ax.plot(
            decades[known], (rows + shift[k] if len(options) > 1 else rows)[known], ls="",
            marker=MARKERS[k % len(MARKERS)], ms=7.0 if k == 0 else 5.0, mec=colour,
            mfc=colour if ours else "white", mew=1.1,
            label=f"{option.name}: {option.total:.3g}" if np.isfinite(option.total)
            else f"{option.name}: lost",
        )  # fmt: skip
    for edge in rows[1:] - 0.5:
        ax.axhline(edge, color="#dddddd", lw=0.6, zorder=0)
    words = "decades; 0 is ideal"
    if not whole:
        words += "\na mark is missing where the figure is beyond every number"
    _decades(ax, words)
    _name_rows(ax, figures)
    ax.set_title(
        f"What initialisations of {_asked(options[0])} cost over {options[0].depth} layers"
    )
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="filled: can be recommended\n"
              "number: what it costs in all", alignment="left")  # fmt: skip


def _asked(option: Recommendation) -> str:
    """The activation that was asked about: of ``affine(gelu, scale=...)`` it is gelu."""
    name = option.activation
    return name.removeprefix("affine(").split(", ")[0] if option.name == "affine change" else name


def _decades(ax: Axes, words: str) -> None:
    """An axis of decades of both signs, linear around 0, which is ideal."""
    ax.set_xscale("symlog", linthresh=_LINEAR)
    ax.margins(x=0.08)
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, -_LINEAR), max(high, _LINEAR))
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:+g}" if x else "0")
    ax.axvline(0.0, color="#444444", lw=0.8, zorder=0)
    ax.set_xlabel(words)


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(np.arange(len(names)), list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
