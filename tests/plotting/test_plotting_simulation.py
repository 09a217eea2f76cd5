"""Pictures of simulations: everything that was measured is in them, the same bytes on repeat."""

import numpy as np
import pytest

import chione
from chione.diagnosis.compare import compare
from chione.plotting import save
from chione.plotting.geometry import gaussian_limit_figure, geometry_figure
from chione.plotting.simulation import observable_figure, simulation_figure
from chione.simulation import NAMES, gaussian_limit, great_circle, input_pair


@pytest.fixture(scope="module")
def result():
    network = chione.MLP(chione.activation("tanh"), 1.5, 0.2, 6, 50)
    return chione.simulate(network, n_networks=6, observe=NAMES)


def test_every_observable_has_a_panel_with_points_and_a_theory_line(result):
    comparison = compare(result)
    figure = comparison.plot()
    assert len(figure.axes) == len(NAMES)
    for ax, name in zip(figure.axes, NAMES, strict=True):
        assert ax.get_ylabel() != name, name  # words and a symbol, not the key
        assert ax.lines or ax.patches, name
    lengths = figure.axes[0]
    theory, points = lengths.lines[0], lengths.containers[0].lines[0]
    assert np.array_equal(theory.get_ydata(), comparison.theory["lengths"][:, 0])
    assert np.array_equal(points.get_ydata(), result.mean["lengths"][:, 0])


def test_a_single_observable_is_drawn_alone_and_unknown_ones_are_refused(result):
    assert len(observable_figure(result, "ntk").axes) == 1
    assert len(simulation_figure(result).axes) == len(NAMES)
    with pytest.raises(ValueError, match=r"name must be one of lengths.*'volume'"):
        observable_figure(result, "volume")


def test_the_same_result_gives_the_same_bytes(result, tmp_path):
    for ending in ("png", "svg"):
        paths = [tmp_path / f"{k}.{ending}" for k in (1, 2)]
        for path in paths:
            save(observable_figure(result, "lengths"), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_geometry_and_gaussian_limit_are_drawn():
    network = chione.MLP(chione.activation("tanh"), 1.5, 0.2, 5, 30)
    figure = geometry_figure(great_circle(network, n_networks=2, n_points=12))
    assert len(figure.axes) == 8
    corners = geometry_figure(
        great_circle(chione.MLP(chione.activation("relu"), 1.4, 0.0, 2, 30), n_networks=2)
    )
    assert any("no curvature" in t.get_text() for ax in corners.axes for t in ax.texts)
    limit = gaussian_limit(network, input_pair(30), kernel=np.eye(2), widths=(8, 16), n_networks=20)
    assert len(gaussian_limit_figure(limit).axes) == 2
