"""Schemes by name in `analyze`: their sigmas and laws, beside weights drawn here by hand."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import chione as ch
from chione.base import SpecError
from chione.cli import main
from chione.cli.parameters import INITS
from chione.theory.critical.usual_schemes import NAMED, scheme_law


def test_standard_weights_are_those_of_glorot_and_bengio_drawn_by_hand():
    found = ch.analyze("tanh", init="standard", depth=4, width=64, simulate=False)
    net = found.network
    assert (net.weights, net.sigma_b) == ("uniform", 0.0)
    assert net.sigma_w**2 == pytest.approx(1.0 / 3.0, rel=1e-15)
    n, networks = 400, 60
    rng = np.random.default_rng(5)
    q = []
    for _ in range(networks):
        x = np.ones(n)  # mean square 1
        row = []
        for _ in range(4):
            h = rng.uniform(-1.0, 1.0, (n, n)) / np.sqrt(n) @ x
            row.append(np.mean(h**2))
            x = np.tanh(h)
        q.append(row)
    mean, spread = np.mean(q, axis=0), np.std(q, axis=0) / np.sqrt(networks)
    theory = np.asarray(found.curves.q)
    assert np.all(abs(mean - theory) < 4.5 * spread + 3.0 * theory / n)


@pytest.mark.parametrize("scheme", NAMED)
def test_every_scheme_is_that_of_describe_scheme(scheme):
    told = ch.describe_scheme("tanh", scheme, fan_in=128)
    net = ch.analyze("tanh", init=scheme, depth=3, width=128, simulate=False).network
    assert (net.sigma_w, net.sigma_b) == (told.sigma_w, told.sigma_b)
    assert net.weights == scheme_law(scheme)


def test_a_law_that_is_given_stays():
    net = ch.analyze("relu", init="standard", weights="orthogonal", depth=2, simulate=False).network
    assert net.weights == "orthogonal"


def test_init_beside_sigmas_or_a_network_is_refused():
    with pytest.raises(TypeError, match="sigma_w cannot be given beside init='he'"):
        ch.analyze("tanh", 1.0, init="he")
    with pytest.raises(ValueError, match=r"init must be one of xavier.*standard"):
        ch.analyze("tanh", init="glorot")
    with pytest.raises(SpecError, match="calculate_gain has no number for gelu"):
        ch.analyze("gelu", init="calculate_gain")
    with pytest.raises(TypeError, match="init cannot be given beside a MLP"):
        ch.analyze(ch.MLP(ch.activation("tanh"), 1.0, 0.0, 2, 8), init="he")


def test_the_command_takes_the_same_names():
    assert INITS == NAMED
    plain = ["--depth", "3", "--width", "32", "--no-simulate"]
    done = CliRunner().invoke(main, ["analyze", "tanh", "--init", "standard", *plain])
    assert done.exit_code == 0
    assert "sigma_w = 0.57735, sigma_b = 0" in done.output and "uniform weights" in done.output
    both = CliRunner().invoke(main, ["analyze", "tanh", "--init", "he", "--sigma-w", "1", *plain])
    assert both.exit_code == 2 and "--init chooses both sigmas" in both.output
