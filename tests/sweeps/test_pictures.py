"""Pictures of sweeps: which one is drawn, and that its lines are those of theory."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import chione as ch
from chione.plotting.sweeps import Axis, is_geometric
from chione.sweeps import Outcome, SweepPlan
from chione.sweeps.picture import picture
from chione.sweeps.results import collected


def made_up(plan, accuracy=lambda t: 0.5):
    found = {
        k: Outcome("done", 1.0 - accuracy(t), accuracy(t), 0.9 * accuracy(t))
        for k, t in enumerate(plan.trainings())
    }
    return collected(plan, found, classes=10, inputs=64, digest="d")


def main_axes(figure):
    return [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def test_a_map_over_depth_has_the_lines_of_six_depth_scales():
    plan = SweepPlan("tanh", sigma_w=np.linspace(0.5, 3.0, 6), sigma_b=0.2, depth=[5, 10, 20, 40])
    (ax,) = main_axes(made_up(plan, lambda t: t.sigma_w / 4.0).plot())
    drawn = lines(ax)
    assert set(drawn) == {r"6 $\xi_c$ of correlations", r"6 $\xi_\chi$ of gradients"}
    for label, line in drawn.items():
        x, y = line.get_data()
        for k in (20, 150, 280):
            one = ch.mean_field("tanh", sigma_w=float(x[k]), sigma_b=0.2)
            xi = float(one.xi_c) if "xi_c" in label else 1.0 / abs(math.log(float(one.chi_perp)))
            assert y[k] == pytest.approx(6.0 * xi, rel=1e-8)
    assert ax.get_yscale() == "log" and ax.get_xscale() == "linear"
    assert "sigma_w" in ax.get_xlabel() and "weights" in ax.get_xlabel()
    assert "depth" in ax.get_ylabel()
    assert "tanh on digits" in ax.get_title(loc="left")


def test_cells_of_a_map_lie_where_their_values_are():
    plan = SweepPlan("tanh", sigma_w=[0.5, 1.0, 1.5], depth=[5, 10, 20, 40])
    found = made_up(plan, lambda t: t.depth / 100.0 + t.sigma_w / 10.0)
    (ax,) = main_axes(found.plot())
    mesh = ax.collections[0]
    corners = mesh.get_coordinates()
    for i, depth in enumerate(plan.depth):
        for j, sigma_w in enumerate(plan.sigma_w):
            (x0, y0), (x1, y1) = corners[i, j], corners[i + 1, j + 1]
            assert x0 < sigma_w < x1
            assert y0 < depth < y1
            assert mesh.get_array()[i, j] == pytest.approx(depth / 100 + sigma_w / 10)


def test_a_map_over_both_sigmas_has_the_critical_line():
    plan = SweepPlan("tanh", sigma_w=np.linspace(0.5, 3.0, 6), sigma_b=np.linspace(0.0, 1.0, 5))
    (ax,) = main_axes(made_up(plan).plot())
    (line,) = lines(ax).values()
    x, y = line.get_data()
    for k in (100, 250, 350):
        assert float(ch.mean_field("tanh", sigma_w=x[k], sigma_b=y[k]).chi_perp) == pytest.approx(1)
    assert ax.get_ylim()[0] == 0.0  # no negative biases


def test_schemes_of_their_own_get_no_lines_of_theory():
    plan = SweepPlan("tanh", scheme="he", depth=[5, 10, 20], width=[8, 16, 32])
    (ax,) = main_axes(made_up(plan).plot())
    assert not ax.lines


def test_a_list_of_activations_is_drawn_as_rows_with_their_spread():
    plan = SweepPlan(["tanh", "relu", "gelu"], scheme=["he", "xavier"], seeds=3)
    found = made_up(plan, lambda t: 0.3 + 0.1 * t.seed + 0.2 * (t.scheme == "he"))
    (ax,) = main_axes(found.plot())
    assert [t.get_text() for t in ax.get_yticklabels()] == ["tanh", "relu", "gelu"]
    _, labels = ax.get_legend_handles_labels()
    assert set(labels) == {"guessing", "he", "xavier"}
    means = [c.get_children()[0].get_xdata() for c in ax.containers]
    assert np.allclose(means[0], 0.6) and np.allclose(means[1], 0.4)
    bar = ax.containers[0].get_children()[1].get_segments()[0]
    assert np.ptp(bar[:, 0]) == pytest.approx(2 * 0.1 / np.sqrt(3))
    seeds = [x.get_xdata() for x in ax.lines if x.get_marker() == "."]
    assert sorted(float(x[0]) for x in seeds) == pytest.approx([0.3, 0.4, 0.5, 0.5, 0.6, 0.7])


def test_one_axis_of_numbers_is_a_line_with_marks_of_theory():
    plan = SweepPlan("tanh", sigma_w=1.5, sigma_b=0.2, depth=[4, 8, 16, 32, 64], seeds=2)
    (ax,) = main_axes(made_up(plan, lambda t: 1.0 / t.depth).plot())
    mark = lines(ax)[r"6 $\xi_\chi$"]
    chi = float(ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.2).chi_perp)
    assert mark.get_xdata()[0] == pytest.approx(6.0 / abs(math.log(chi)))
    assert ax.get_xscale() == "log"


def test_more_axes_make_panels_each_with_a_title():
    plan = SweepPlan(["tanh", "relu"], sigma_w=[1.0, 2.0, 3.0], depth=[5, 10], optimizer=["sgd",
                     "adam"], rate=0.01)  # fmt: skip
    found = made_up(plan, lambda t: 0.9 if t.optimizer == "adam" else 0.2)
    axes = main_axes(found.plot())
    titles = [ax.get_title(loc="left") for ax in axes]
    assert [t.split(" on ")[0] for t in titles] == ["tanh, sgd", "tanh, adam", "relu, sgd",
                                                    "relu, adam"]  # fmt: skip
    assert [float(ax.collections[0].get_array().max()) for ax in axes] == [0.2, 0.9, 0.2, 0.9]


@pytest.mark.parametrize("field", ["accuracy", "test_accuracy", "loss", "best_rate", "diverged"])
def test_every_field_has_a_picture_and_words(field):
    plan = SweepPlan("tanh", sigma_w=[1.0, 2.0, 3.0], depth=[5, 10], rate=[0.01, 0.1])
    figure = made_up(plan, lambda t: 0.1 + t.rate + t.depth / 20).plot(field=field)
    (bar,) = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert bar.get_ylabel()


def test_an_unknown_field_is_refused_with_those_there_are():
    found = made_up(SweepPlan("tanh"))
    with pytest.raises(ch.SpecError, match="field must be one of accuracy, test_accuracy, loss"):
        found.plot(field="speed")


def test_the_legend_lies_below_the_axes_and_hides_no_data():
    plan = SweepPlan("tanh", sigma_w=np.linspace(0.5, 3.0, 6), depth=[5, 10, 20, 40])
    figure = made_up(plan).plot()
    figure.canvas.draw()
    (ax,) = main_axes(figure)
    legend = ax.get_legend().get_window_extent()
    assert legend.y1 < ax.get_window_extent().y0
    assert legend.y0 >= 0.0 and legend.x0 >= 0.0
    for text in (ax.xaxis.label, ax.yaxis.label):
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.y1 <= figure.bbox.y1
        assert not box.overlaps(legend)


def test_colours_of_a_map_grow_lighter_with_the_quantity():
    plan = SweepPlan("tanh", sigma_w=np.linspace(0.5, 3.0, 30), depth=[5, 10])
    (ax,) = main_axes(made_up(plan, lambda t: t.sigma_w / 3.0).plot())
    mesh = ax.collections[0]
    colours = mesh.cmap(mesh.norm(mesh.get_array()[0]))
    grey = [np.dot(to_rgb(c), (0.299, 0.587, 0.114)) for c in colours]
    assert np.all(np.diff(grey) > 0.0)


def test_pictures_are_drawn_on_axes_of_the_users_own():
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert made_up(SweepPlan("tanh", depth=[5, 10])).plot(ax=ax) is figure
    assert ax.lines


def test_edges_of_cells_lie_halfway_on_the_scale_of_the_axis():
    assert Axis(np.array([1.0, 2.0, 4.0]), "x").edges.tolist() == [0.5, 1.5, 3.0, 5.0]
    edges = Axis(np.array([1.0, 4.0, 16.0]), "x", log=True).edges
    assert edges == pytest.approx([0.5, 2.0, 8.0, 32.0])


def test_an_axis_is_logarithmic_where_its_values_are_evenly_so():
    assert is_geometric([10, 14, 19, 27, 37, 52, 73, 102])
    assert not is_geometric(np.linspace(0.5, 4.0, 8))
    assert not is_geometric([0.0, 1.0, 10.0])
    assert not is_geometric([1.0, 1.1, 1.21])  # too short for a difference


def test_many_panels_are_cut_and_that_is_said():
    plan = SweepPlan("tanh", sigma_b=np.linspace(0, 1, 16), sigma_w=[1.0, 2.0], depth=[5, 10])
    panels = picture(made_up(plan), "accuracy").panels
    assert len(panels) == 12
    assert all("and 4 more" in title for title in panels)
