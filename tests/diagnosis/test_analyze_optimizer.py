"""`analyze` answers for an optimiser: by name, for all, and where jumps or silence stand there."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import chione
from chione.cli import main


def verdict(name, sigma_w, sigma_b, depth, **options):
    return chione.analyze(name, sigma_w, sigma_b, depth=depth, simulate=False, **options).verdict


def test_the_answer_depends_on_who_trains():
    ordered = {"name": "tanh", "sigma_w": 0.8, "sigma_b": 0.2, "depth": 20}
    free = verdict(**ordered)
    assert (free.trains, free.optimizer) == ("doubtful", None)
    assert free.optimizers["sgd"] == "no" and free.optimizers["adam"] == "yes"
    for name in ("sgd", "momentum", "adam"):
        asked = verdict(**ordered, optimizer=name)
        assert asked.trains == free.optimizers[name]
        assert asked.optimizer == name and asked.optimizers == free.optimizers


def test_the_page_names_the_optimiser():
    found = chione.analyze("tanh", 0.8, 0.2, depth=20, simulate=False, optimizer="adam")
    assert "It can train at 20 layers by Adam." in " ".join(repr(found).split())
    data = found.to_dict()
    assert data["optimizer"] == "adam" and set(data["optimizers"]) == {"sgd", "momentum", "adam"}


def test_the_width_counts():
    # weights of wide layers move an output more: fewer rates are small enough
    narrow, wide = (verdict("relu", 1.55, 0.0, 30, width=n).optimizers for n in (64, 4096))
    assert (narrow["momentum"], wide["momentum"]) == ("yes", "doubtful")


def test_the_command_takes_it():
    line = "analyze tanh --sigma-w 0.8 --sigma-b 0.2 --depth 20 --no-simulate --json"
    run = CliRunner().invoke(main, [*line.split(), "--optimizer", "sgd"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.output)
    assert found["parameters"]["optimizer"] == "sgd"
    assert (found["trains"], found["optimizer"]) == ("no", "sgd")
    bad = CliRunner().invoke(main, [*line.split(), "--optimizer", "lion"])
    assert bad.exit_code == 2 and "'sgd', 'momentum', 'adam'" in bad.output


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match=r"optimizer.*lion"):
        chione.analyze("tanh", 1.0, depth=5, simulate=False, optimizer="lion")


def test_a_network_of_any_layers_has_no_answer_by_optimiser():
    network = chione.networks.mlp("relu", sigma_w=1.4, sigma_b=0.0, depth=3, width=8)
    with pytest.raises(TypeError, match="plain networks"):
        chione.analyze(network, simulate=False, optimizer="adam")


def test_back_propagation_passes_over_a_jump():
    assert verdict("hardshrink", 2.272, 0.02286, 6, width=64).optimizers["adam"] == "yes"
    for stairs in ("sign", "step"):
        found = verdict(stairs, 1.0, 0.1, 4)
        assert (found.trains, found.problem) == ("no", "no gradient")


@pytest.mark.parametrize(("name", "sigma_w"), [("softshrink", 0.5), ("tanh(x)**3", 0.5)])
def test_a_signal_that_dies_is_called_vanishing_and_not_infinite(name, sigma_w):
    found = verdict(name, sigma_w, 0.0, 12)
    assert (found.trains, found.problem) == ("no", "vanishing signal")


def test_jumps_that_a_short_signal_does_not_reach_do_not_stop_the_analysis():
    assert verdict("hardshrink", 0.5967, 0.01204, 11).trains == "no"
