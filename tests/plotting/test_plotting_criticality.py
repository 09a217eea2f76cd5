"""Pictures of criticality and norm stability: what they show, not how they look."""

import numpy as np

from chione.plotting.criticality import criticality_figure, criticality_picture
from chione.plotting.stability import stability_figure


def test_the_ratio_crosses_one_at_the_critical_point():
    picture = criticality_picture("gelu")
    ((k, physical),) = picture.points
    assert physical
    below, above = picture.ratio[picture.k < k][-1], picture.ratio[picture.k > k][0]
    assert (below - 1.0) * (above - 1.0) < 0.0
    assert np.interp(k, picture.k, picture.bias) > 0.0


def test_the_figure_marks_the_point_on_the_line_of_equal_slopes():
    figure = criticality_figure("silu")
    top, bottom = figure.axes
    marks = [line for line in top.lines if line.get_marker() == "o"]
    assert len(marks) == 1
    assert np.allclose(marks[0].get_data(), [[14.320173618], [1.0]])
    assert bottom.get_xscale() == "log"


def test_an_activation_without_point_has_a_figure_without_mark():
    top = criticality_figure("softplus").axes[0]
    assert not [line for line in top.lines if line.get_marker() == "o"]
    assert "none" in top.get_title(loc="left")


def test_the_stability_picture_of_selu_shows_activation_coefficients_and_saddle():
    figure = stability_figure("selu")
    left, middle, right = figure.axes[:3]
    assert left.get_title(loc="left") == "selu"
    # the first two coefficients: mean 0 and c_1 = E phi' = 0.98523
    heights = next(line for line in middle.lines if line.get_marker() == "o").get_ydata()
    assert np.allclose(heights[:2], [0.0, 0.98523], atol=5e-6)
    squares = [line for line in right.lines if line.get_marker() == "s"]
    assert np.allclose(squares[0].get_data(), [[0.0], [1.0]], atol=1e-9)
