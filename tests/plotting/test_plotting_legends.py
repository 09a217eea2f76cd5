"""No legend lies on data: looked at in the pixels of the picture without its legends."""

from __future__ import annotations

import numpy as np
import pytest

from chione.gallery import find
from chione.plotting import COLOURS, look, new_figure, settle_legends, style
from chione.plotting.legends import _hides


def covered(figure) -> list[tuple[str, int]]:
    """For each legend how many pixels that are not white lie below it."""
    with style():
        figure.draw_without_rendering()
        owners = [ax for ax in figure.axes if ax.get_legend() is not None and _hides(ax)]
        boxes = [ax.get_legend().get_window_extent() for ax in owners]
        for ax in owners:
            ax.get_legend().set_visible(False)
            ax.get_legend().set_in_layout(True)
        canvas = figure.canvas
        layout = figure.get_layout_engine()
        figure.set_layout_engine("none")  # places stay where they were with the legends
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        figure.set_layout_engine(layout)
    found = []
    for ax, box in zip(owners, boxes, strict=True):
        high = pixels.shape[0]
        part = pixels[int(high - box.y1) : int(high - box.y0), int(box.x0) : int(box.x1)]
        found.append((ax.get_title(loc="left"), int((part.min(axis=-1) < 200).sum())))
        ax.get_legend().set_visible(True)
    return found


def crowded(kind: str):
    """Axes whose every corner holds data, with a legend over some of it."""
    figure = new_figure(4.0, 3.0)
    ax = figure.add_subplot()
    x = np.linspace(0.0, 40.0, 400)
    if kind == "lines":
        ax.plot(x, np.sin(x), label="fast")
    elif kind == "bars":
        ax.errorbar(x[::8], np.cos(x[::8]), 0.5, fmt="o", label="measured")
    elif kind == "logarithmic":
        ax.plot(x, 10.0 ** (4 * np.sin(x)), label="fast")
        ax.set_yscale("log")
    elif kind == "stairs":
        ax.stairs(1.0 + np.arange(400) % 3, np.arange(401) / 10.0, label="counted")
    elif kind == "discs":
        ax.scatter(x, np.sin(7.0 * x), s=30, label="seen")
    ax.plot([0, 40], [np.nan, np.nan], "--", label="nothing")
    ax.legend(loc="upper right")
    return figure


@pytest.mark.parametrize("kind", ["lines", "bars", "logarithmic", "stairs", "discs"])
def test_a_legend_moves_off_data_of_every_kind(kind):
    with style():
        figure = crowded(kind)
    assert covered(figure)[0][1] > 0
    settle_legends(figure)
    assert covered(figure) == [("", 0)]


def test_a_legend_in_a_free_place_stays_there_and_the_axis_as_it_is():
    with style():
        figure = new_figure(4.0, 3.0)
        ax = figure.add_subplot()
        ax.plot([0, 1], [0, 1], label="line")
        ax.legend(loc="lower right")
        limits = ax.get_ylim()
    figure.draw_without_rendering()
    before = ax.get_legend().get_window_extent().bounds
    settle_legends(figure)
    figure.draw_without_rendering()
    np.testing.assert_allclose(ax.get_legend().get_window_extent().bounds, before, atol=1.0)
    assert ax.get_ylim() == limits


def test_settling_twice_changes_nothing():
    with style():
        figure = crowded("lines")
    settle_legends(figure)
    limits = figure.axes[0].get_ylim()
    settle_legends(figure)
    assert figure.axes[0].get_ylim() == limits


def test_a_long_legend_goes_beside_the_axes():
    with style():
        figure = new_figure(4.0, 2.0)
        ax = figure.add_subplot()
        for k in range(9):
            ax.plot([0, 1], [k, 9 - k], label=f"series {k}")
        ax.legend()
    settle_legends(figure)
    figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().x0 > ax.get_window_extent().x1


@pytest.mark.parametrize("name", ["problem-set", "length-decay", "glorot-figure-6",
                                  "edge-of-chaos-curves", "critical-correlation-functions",
                                  "length-map-fixed-points"])  # fmt: skip
@pytest.mark.sampled(4)
def test_legends_of_the_gallery_lie_on_nothing(name):
    figure = find(name).make(True).figure
    settle_legends(figure)
    found = covered(figure)
    assert found
    assert [where for where in found if where[1]] == []


def lightness(colour: str) -> float:
    """CIE L* / 100 of a colour, as a grey print shows it."""
    rgb = np.array([int(colour[k : k + 2], 16) / 255.0 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = float(linear @ [0.2126, 0.7152, 0.0722])
    return 1.16 * np.cbrt(y) - 0.16


def test_twelve_series_differ_in_greyscale():
    looks = [look(i) for i in range(12)]
    assert len({one["color"] for one in looks}) == 12
    for i, one in enumerate(looks):
        for other in looks[:i]:
            apart = abs(lightness(one["color"]) - lightness(other["color"]))
            assert one["ls"] != other["ls"] or apart > 0.1, (one, other)
    assert all(lightness(colour) < 0.77 for colour in COLOURS)  # seen on white
