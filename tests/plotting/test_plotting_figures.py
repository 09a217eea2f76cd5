"""The pictures: right data on the axes, same bytes on repeat, readable without colour."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from chione.plotting import (
    COLOURS,
    DepthCurve,
    DiagramPicture,
    MapPicture,
    Page,
    cobweb,
    correlation_map_figure,
    depth_figure,
    length_map_figure,
    page_figure,
    phase_diagram_figure,
    save,
    wants_log,
)
from chione.plotting.style import BLACK, BLUE, HEAT, VERMILLION, one_axes, style

Q = np.linspace(0.0, 2.0, 21)


def diagram(rows: int = 11, columns: int = 17) -> DiagramPicture:
    sigma_w, sigma_b = np.linspace(0.5, 3.0, columns), np.linspace(0.0, 1.0, rows)
    q = sigma_w[None, :] ** 2 * 0.3 + sigma_b[:, None] ** 2
    phase = np.where(sigma_w[None, :] < 1.5 + 0 * sigma_b[:, None], "ordered", "chaotic")
    line = (np.array([1.5, 1.5]), np.array([0.0, 1.0]))
    return DiagramPicture(sigma_w, sigma_b, q, phase, line, (2.0, 0.2))


def page() -> Page:
    orbit = np.array([1.5, 0.9, 0.6, 0.5])
    lengths = MapPicture(Q, 0.4 + 0.2 * Q, orbit, ((0.5, True),))
    curve = DepthCurve(
        orbit, "mean square", "$q^l$", measured=orbit * 1.02, stderr=0.05 * orbit, log=False
    )
    empty = DepthCurve(10.0**-orbit, "gradient", "$d^l$", log=True)
    return Page("tanh", "Fine.", lengths, "There is no map.", diagram(), (curve, curve, empty))


FIGURES = {
    "length map": lambda: length_map_figure(
        Q, 0.4 + 0.2 * Q, orbit=np.array([2.0, 0.8, 0.56]), fixed_points=[(0.5, True)]
    ),
    "correlation map": lambda: correlation_map_figure(
        Q / 2, (Q / 2) ** 2, fixed_points=[(0.0, True), (1.0, False)]
    ),
    "diagram": lambda: phase_diagram_figure(diagram()),
    "depth": lambda: depth_figure(page().depth),
    "page": lambda: page_figure(page()),
}


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("length map", ".svg"),
        ("length map", ".pdf"),
        ("correlation map", ".png"),
        ("diagram", ".svg"),
        ("depth", ".png"),
        ("page", ".png"),
    ],
)
def test_two_runs_give_the_same_bytes(name, ending, tmp_path):
    for k in (1, 2):
        save(FIGURES[name](), tmp_path / f"{k}{ending}")
    first, second = ((tmp_path / f"{k}{ending}").read_bytes() for k in (1, 2))
    assert len(first) > 2000
    assert first == second


def test_drawing_and_saving_leave_the_users_settings_alone(tmp_path):
    with mpl.rc_context({"font.size": 17.0, "axes.spines.top": True}):
        before = dict(mpl.rcParams)
        save(FIGURES["page"](), tmp_path / "page.png")
        assert dict(mpl.rcParams) == before


def test_the_users_style_does_not_change_our_bytes(tmp_path):
    save(FIGURES["diagram"](), tmp_path / "plain.png")
    with mpl.rc_context({"font.size": 17.0, "image.cmap": "jet"}):
        save(FIGURES["diagram"](), tmp_path / "styled.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_no_figure_enters_the_global_list_of_pyplot():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    FIGURES["page"]()
    assert pyplot.get_fignums() == before


def test_another_ending_is_refused_with_the_accepted_ones(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf"):
        save(FIGURES["depth"](), tmp_path / "page.gif")


def test_the_cobweb_goes_up_to_the_map_and_over_to_the_diagonal():
    x, y = cobweb([3.0, 2.0, 1.5])
    assert list(zip(x, y, strict=True)) == [(3, 3), (3, 2), (2, 2), (2, 1.5), (1.5, 1.5)]


def test_the_length_map_shows_the_map_the_diagonal_and_the_orbit():
    ax = FIGURES["length map"]().axes[0]
    lines = {line.get_color(): line for line in ax.lines if line.get_color() in (BLUE, VERMILLION)}
    np.testing.assert_array_equal(lines[BLUE].get_xydata(), np.column_stack([Q, 0.4 + 0.2 * Q]))
    assert "q^l" in ax.get_xlabel() and "mean square" in ax.get_xlabel()


def test_simulated_points_carry_their_standard_errors():
    figure = depth_figure([page().depth[0]])
    (bars,) = figure.axes[0].containers
    segments = np.array(bars.lines[2][0].get_segments())  # (L, 2, 2): lower and upper ends
    half = (segments[:, 1, 1] - segments[:, 0, 1]) / 2
    np.testing.assert_allclose(half, page().depth[0].stderr, rtol=1e-12)
    np.testing.assert_allclose(bars.lines[0].get_ydata(), page().depth[0].measured)


def test_an_empty_panel_says_why():
    texts = [t.get_text() for ax in page_figure(page()).axes for t in ax.texts]
    assert "There is no map." in texts


def test_both_phases_are_named_inside_their_regions():
    ax = FIGURES["diagram"]().axes[0]
    places = {t.get_text(): t.get_position()[0] for t in ax.texts}
    assert places["ordered"] < 1.5 < places["chaotic"]


def test_a_divergent_region_is_hatched_and_named():
    plain = diagram()
    q = np.where(plain.sigma_w > 2.2, np.nan, plain.q_star)
    phase = np.where(plain.sigma_w > 2.2, "divergent", plain.phase)
    picture = DiagramPicture(plain.sigma_w, plain.sigma_b, q, phase, plain.line)
    ax = phase_diagram_figure(picture).axes[0]
    assert ax.patch.get_hatch()
    assert {t.get_text() for t in ax.texts} >= {"ordered", "divergent"}


def luminance(colour: object) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_theory_and_simulation_differ_in_greyscale_and_the_heat_map_is_monotone():
    assert abs(luminance(BLUE) - luminance(VERMILLION)) > 0.05
    assert luminance(BLACK) < 0.02
    assert len(set(COLOURS)) == len(COLOURS)
    shades = [luminance(mpl.colormaps[HEAT](t)) for t in np.linspace(0, 1, 64)]
    assert np.all(np.diff(shades) > -1e-3)


@pytest.mark.parametrize(
    ("values", "log"),
    [([1.0, 20.0], True), ([1.0, 2.0], False), ([0.0, 20.0], False), ([np.nan], False)],
)
def test_an_axis_is_logarithmic_only_where_it_helps(values, log):
    assert wants_log(np.array(values)) is log


@pytest.mark.parametrize(("size", "power"), [(3e-6, True), (2e7, True), (1.5, False)])
def test_only_a_common_power_of_ten_is_written_as_a_formula(size, power, tmp_path):
    with style():
        figure, ax = one_axes()
        ax.plot([0.0, 1.0, 2.0], [0.0, size, 3.0 * size])
    save(figure, tmp_path / "a.png")
    shared = ax.yaxis.get_offset_text().get_text()
    assert ("10^" in shared) is power and "e" not in shared.replace("mathdefault", "").replace(
        "times", ""
    )
    plain = [t.get_text() for t in ax.get_xticklabels()]
    assert plain and not any("$" in text for text in plain)
