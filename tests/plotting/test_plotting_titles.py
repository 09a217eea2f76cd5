"""Every panel has a title and a key, simulated histograms can be read, no point is cut off."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes

import chione as ch
from chione.diagnosis.compare import compare
from chione.plotting.criticality import criticality_figure
from chione.plotting.histograms import draw_histograms
from chione.plotting.stability import stability_figure
from chione.plotting.style import new_figure, style

RESULTS = {
    "trajectory": lambda: ch.trajectory("tanh", sigma_w=1.5, sigma_b=0.1, depth=10),
    "finite width": lambda: ch.finite_width("tanh", sigma_w=1.0, depth=10),
    "mean field": lambda: ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1),
    "network": lambda: ch.networks.resnet(depth=3),
    "criticality": lambda: ch.criticality("gelu"),
    "line": lambda: ch.critical_line("gelu"),
    "diagram": lambda: ch.phase_diagram("tanh", sigma_w=[1.0, 2.0, 3.0], sigma_b=[0.0, 1.0]),
}


def panels(figure) -> list[Axes]:
    """Axes that are no scale of colours."""
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


@pytest.mark.parametrize("name", RESULTS)
def test_every_panel_has_a_title(name):
    figure = ch.plot(RESULTS[name]())
    assert [ax.get_title(loc="left") for ax in panels(figure) if not ax.get_title(loc="left")] == []


@pytest.fixture(scope="module")
def simulated():
    net = ch.MLP(ch.activation("relu"), np.sqrt(2.0), 0.0, 6, 100)
    names = ("lengths", "gradients", "activation_histogram", "preactivation_histogram")
    return ch.simulate(net, n_networks=8, observe=names)


def test_a_simulation_has_titles_a_heading_and_one_key(simulated):
    figure = compare(simulated).plot()
    assert all(ax.get_title(loc="left") for ax in figure.axes)
    assert "relu" in figure.texts[0].get_text()
    (key,) = figure.legends
    words = " ".join(t.get_text() for t in key.get_texts())
    assert "theory" in words and "8 networks of width 100" in words
    alone = simulated.plot().legends[0]
    assert not any("theory" in t.get_text() for t in alone.get_texts())


def test_a_point_mass_does_not_hide_the_histogram_of_relu(simulated):
    ax = simulated.plot(field="activation_histogram").axes[0]
    tops = [float(np.nanmax(s.get_data().values)) for s in ax.patches]
    assert max(tops) > 0.6 * ax.get_ylim()[1]
    words = [t.get_text() for t in ax.get_legend().get_texts()]
    (mass,) = [w for w in words if "in the bin at 0" in w]
    share = float(mass.split()[0])  # half of the units are off, some more in the same bin
    assert 45.0 < share < 65.0


def test_bins_that_are_put_together_keep_their_mass():
    edges = np.tile(np.linspace(-4.0, 4.0, 201), (3, 1))
    middle = 0.5 * (edges[:, 1:] + edges[:, :-1])
    density = np.exp(-0.5 * middle**2) / np.sqrt(2.0 * np.pi)
    with style():
        ax = new_figure(4.0, 3.0).add_subplot()
        draw_histograms(ax, edges, density, density)
    for drawn in ax.patches:
        values, places, _ = drawn.get_data()
        assert len(values) < 80
        assert abs(np.sum(values * np.diff(places)) - 1.0) < 1e-3
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "layer 1", "layer 2", "layer 3", "theory",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["gelu", "tanh", "relu", "sigmoid"])
def test_critical_lengths_are_drawn_zero_as_well(name):
    found = ch.criticality(name)
    top, bottom = criticality_figure(name).axes
    marks = [x.get_marker() for x in top.lines if x.get_marker() in ("o", "<")]
    assert ("<" in marks) == any(p.k_star.value == 0.0 for p in found.points)
    assert ("o" in marks) == any(p.k_star.value > 0.0 for p in (*found.points, *found.discarded))
    words = {t.get_text() for t in bottom.get_legend().get_texts()}
    assert words == {x.get_label() for x in bottom.lines if not x.get_label().startswith("_")}
    assert ("negative" in words) == (name == "sigmoid")


@pytest.mark.parametrize("name", ["selu", "tanh", "gelu"])
def test_no_fixed_point_of_mean_and_variance_is_cut_off(name):
    found = ch.norm_stability(name)
    ax = stability_figure(name, result=found).axes[2]
    drawn = [tuple(x.get_xydata()[0]) for x in ax.lines if x.get_marker() in ("o", "s")]
    assert len(drawn) == len(found.points) > 0
    for x, y in drawn:
        assert ax.get_xlim()[0] <= x <= ax.get_xlim()[1]
        assert y <= ax.get_ylim()[1]
    if name == "selu":
        assert min(x for x, _ in drawn) == pytest.approx(-1.25882, abs=1e-5)


def test_no_tick_stands_on_another_on_a_line_of_fixed_points():
    figure = ch.plot(ch.fixed_points("gelu", sigma_w=1.5, sigma_b=0.1))
    figure.draw_without_rendering()
    ax = figure.axes[0]
    boxes = [t.get_window_extent() for t in ax.get_xticklabels() if t.get_text()]
    for one, two in pairwise(boxes):
        assert one.x1 < two.x0
