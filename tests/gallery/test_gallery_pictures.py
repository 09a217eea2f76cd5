"""What the gallery's pictures show: whole lines, peaks on their lines, titles, keys."""

from __future__ import annotations

import numpy as np
import pytest

from chione.gallery import find

# entry, axes, how many lines begin or end where sigma_b or sigma_w is 0 or beyond the frame
LEVELS = [("poole-figure-1", 2, 9), ("problem-set", 2, 6), ("edge-of-chaos-curves", 0, 11)]


def assert_whole(ax, count):
    """Every long line of the axes ends at a bias or weights of 0, or outside of the picture."""
    right, top = ax.get_xlim()[1], ax.get_ylim()[1]
    lines = [line for line in ax.lines if len(line.get_xdata()) > 20]
    assert len(lines) == count
    for line in lines:
        points = np.array([p for p in line.get_xydata() if np.isfinite(p).all()])
        for w, b in (points[0], points[-1]):
            assert w > right or b > top or w < 1e-6 or b < 2e-3, (line.get_label(), w, b)


@pytest.mark.parametrize(("name", "place", "count"), LEVELS)
def test_level_lines_do_not_end_inside_the_picture(name, place, count):
    assert_whole(find(name).make(True).figure.axes[place], count)


@pytest.mark.slow
def test_level_lines_of_the_second_figure_of_poole_are_whole():
    figure = find("poole-figure-2").make(True).figure
    assert_whole(figure.axes[3], 6)  # the critical one twice
    ax = figure.axes[2]
    for line in ax.lines[:6]:  # c*: from (1, 0), where all of them begin
        w, b = line.get_xydata()[0]
        assert (abs(w - 1.0), b) < (0.01, 0.01)


def test_depth_scales_rise_on_the_critical_line():
    made = find("depth-scales").make(True)
    for i in range(2):
        peak = int(np.argmax(made["xi_c"][i]))
        assert made["xi_c"][i, peak] > 1e3
        assert abs(made["sigma_w"][i, peak] - made["critical_sigma_w"][i]) < 1e-3


def test_no_count_of_layers_takes_the_whole_scale_of_colours():
    figure = find("poole-figure-1").make(True).figure
    (mesh,) = figure.axes[3].collections
    shades = np.unique(mesh.norm(mesh.get_array()))
    assert len(shades) >= 8  # one cell of 39 layers left two of them


@pytest.mark.parametrize("name", ["universality-classes", "jacobian-table-1"])
def test_tables_have_a_title(name):
    (ax,) = find(name).make(True).figure.axes
    assert ax.get_title(loc="left")
    assert ax.tables


def test_the_table_of_the_jacobian_has_the_moment_function():
    made = find("jacobian-table-1").make(True)
    cells = made.figure.axes[0].tables[0].get_celld().values()
    words = [cell.get_text().get_text() for cell in cells]
    assert any("M_{D^2}(z)" in w for w in words) and any("Phi" in w for w in words)
    np.testing.assert_allclose(made["moment_function"][:2], [1.0, 0.5], rtol=1e-13)


def test_the_problem_set_names_its_questions():
    titles = [ax.get_title(loc="left") for ax in find("problem-set").make(True).figure.axes]
    assert [t.split()[0] for t in titles] == ["3(e)", "3(d)", "5(d)"]


def test_twelve_edges_of_chaos_have_twelve_looks():
    ax = find("edge-of-chaos-curves").make(True).figure.axes[0]
    lines = [line for line in ax.lines if len(line.get_xdata()) > 20]
    assert len({line.get_color() for line in lines}) == len(lines) == 11
