"""Maps with stairs: the stairs touch the curve that is drawn, the key lists what is there."""

from __future__ import annotations

import numpy as np
import pytest

import chione as ch
from chione.plotting.style import VERMILLION

CASES = [("gelu", 1.5, 0.1), ("tanh", 1.5, 0.1), ("relu", np.sqrt(2.0), 0.0), ("erf", 0.8, 0.3),
         ("elu", 1.2, 0.3)]  # fmt: skip


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case[0])
def page(request):
    name, w, b = request.param
    return ch.analyze(name, w, b, depth=30, width=64, simulate=False)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.sampled(3)
def test_stairs_touch_the_curve(page, place):
    ax = page.plot().axes[place]
    curve = max(ax.lines, key=lambda line: len(line.get_xdata()))
    assert len(curve.get_xdata()) == 161
    x, y = curve.get_data()
    stairs = [line for line in ax.lines if line.get_color() == VERMILLION and line.get_ls() == "-"]
    for line in stairs:
        a, b = line.get_data()
        corners = [(p, q) for p, q in zip(a[1::2], b[1::2], strict=True) if p <= x[-1]]
        assert corners
        for p, q in corners:  # up or down from the diagonal to the curve
            assert abs(np.interp(p, x, y) - q) < 2e-3 * (x[-1] - x[0]), (p, q)


@pytest.mark.sampled(2)
def test_the_key_lists_what_is_drawn_and_nothing_else(page):
    ax = page.plot().axes[0]
    legend = ax.get_legend()
    words = set() if legend is None else {t.get_text() for t in legend.get_texts()}
    discs = [x for x in ax.lines if x.get_marker() == "o" and x.get_color() != VERMILLION]
    faces = {str(x.get_markerfacecolor()) for x in discs}
    assert ("unstable" in words) == ("white" in faces)
    assert ("stable" in words) == bool(faces - {"white"})
    stairs = any(x.get_color() == VERMILLION and x.get_ls() == "-" for x in ax.lines)
    assert ("layer by layer" in words) == stairs


@pytest.mark.sampled(3)
def test_the_correlation_map_says_at_which_length_it_is(page):
    (note,) = [t.get_text() for t in page.plot().axes[1].texts]
    assert "at" in note and "q" in note


@pytest.mark.sampled(3)
def test_layers_are_whole_numbers(page):
    figure = page.plot()
    for ax in figure.axes:
        if ax.get_xlabel() == "layer $l$":
            assert all(float(t).is_integer() for t in ax.get_xticks())
