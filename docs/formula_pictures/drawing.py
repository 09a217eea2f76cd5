"""What the pictures of the formulas have in common: size, labels, lines that differ in grey."""

from chione.plotting import COLOURS, LINES, new_figure, style
from chione.plotting import save as write
from chione.plotting.style import GREY


def save(draw, path):
    """Draw in chione's style and write; equal pictures give equal bytes."""
    with style():
        write(draw(), path)


def panels(count=2, height=2.9):
    """A figure with `count` axes side by side."""
    figure = new_figure(3.6 * count, height)
    axes = figure.subplots(1, count)
    return figure, axes


def line(ax, x, y, i, label=None, **more):
    """The i-th line of a picture: colour and dashes differ together."""
    kept = {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)]} | more
    return ax.plot(x, y, label=label, **kept)


def dots(ax, x, y, error, i, label=None):
    """Simulated means with their standard errors."""
    ax.errorbar(x, y, error, fmt="o", ms=3.5, color=COLOURS[i], mec="white", mew=0.5, label=label)


def finish(ax, title, across, up, *, legend="best"):
    """Title, labels, key."""
    ax.set_title(title)
    ax.set_xlabel(across)
    ax.set_ylabel(up)
    if legend:
        ax.legend(loc=legend)


def diagonal(ax, high):
    """The line on which a map has its fixed points."""
    ax.plot([0, high], [0, high], color=GREY, lw=0.8, zorder=0)
    ax.set_xlim(0, high)
    ax.set_ylim(0, high)
