"""Whole pages and results: no legend lies on data, and the bytes are the same on repeat."""

from __future__ import annotations

import numpy as np
import pytest
from test_plotting_legends import covered

import chione as ch
from chione.plotting import save

PICTURES = {
    "analysis of tanh": lambda: ch.analyze("tanh", 1.5, 0.1, depth=12, width=40, n_networks=6),
    "analysis of selu": lambda: ch.analyze("selu", 1.0, 0.0, depth=12, width=40, n_networks=6),
    "simulation": lambda: ch.simulate(ch.MLP(ch.activation("selu"), 1.0, 0.0, 8, 40), n_networks=5),
    "mean field": lambda: ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1),
    "hermite": lambda: ch.hermite_expansion(np.tanh, 1.0, 10),
    "network": lambda: ch.networks.resnet(depth=3),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.sampled(4)
def test_no_legend_lies_on_data(name):
    figure = ch.plot(PICTURES[name]())
    maps = {ax.get_title(loc="left") for ax in figure.axes for c in ax.collections
            if type(c).__name__ == "QuadMesh"}  # fmt: skip
    assert [place for place in covered(figure) if place[1] and place[0] not in maps] == []


@pytest.mark.parametrize("field", ["q_star", "xi_c"])
def test_a_diagram_with_levels_has_the_same_bytes_on_repeat(field, tmp_path):
    grid = {"sigma_w": np.linspace(0.1, 3.0, 20), "sigma_b": np.linspace(0.0, 1.0, 15)}
    diagram = ch.phase_diagram("gelu", **grid)
    for k in (1, 2):
        save(diagram.plot(field=field), tmp_path / f"{k}.svg")
    one, two = ((tmp_path / f"{k}.svg").read_bytes() for k in (1, 2))
    assert len(one) > 5000 and one == two
