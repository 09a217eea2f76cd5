"""The four-point vertex of theory beside that of simulated networks."""

import json

import numpy as np
import pytest

from chione.activations import activation
from chione.base import cost
from chione.diagnosis.finite_width import compare_finite_width
from chione.networks import MLP

# activation, sigma_w, sigma_b: critical points, and tanh off criticality
CASES = {
    "relu": (2**0.5, 0.0),
    "linear": (1.0, 0.0),
    "tanh": (1.3, 0.2),
    "gelu": (1.983058257**0.5, 0.172922391**0.5),
}


def _extrapolated(name, law, *, depth, widths, n_networks):
    """n Var at infinite width from two widths, with its standard error, and the theory's."""
    sigma_w, sigma_b = CASES[name]
    small, large = (
        compare_finite_width(
            MLP(activation(name), sigma_w, sigma_b, depth, n, law), n_networks=n_networks, seed=n
        )
        for n in widths
    )
    value = 2 * large.measured - small.measured
    error = np.hypot(2 * large.stderr, small.stderr)
    return value, error, large.theory


@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["relu", "tanh"])
@pytest.mark.sampled(3)
def test_fluctuations_extrapolate_to_the_vertex_in_every_layer(name, law):
    value, error, theory = _extrapolated(name, law, depth=5, widths=(64, 128), n_networks=2500)
    assert np.all(np.abs(value - theory.value) < 4 * error + theory.error + 1e-9)
    # a factor is resolved here, a tenth of it by the slow test below
    assert np.all(4 * error[1:] < 0.5 * np.maximum(theory.value[1:], 1.0))


def test_orthogonal_linear_networks_do_not_fluctuate_at_all():
    net = MLP(activation("linear"), 1.0, 0.0, 5, 32, "orthogonal")
    found = compare_finite_width(net, n_networks=50)
    assert np.all(found.measured < 1e-20)
    assert np.all(np.abs(found.theory.value) <= found.theory.error)
    assert np.all(found.sigmas == 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", list(CASES))
def test_a_ten_percent_slip_of_the_vertex_would_be_seen(name, law):
    value, error, theory = _extrapolated(name, law, depth=6, widths=(64, 128), n_networks=30000)
    assert np.all(np.abs(value - theory.value) < 3.5 * error + theory.error + 1e-9)
    if (name, law) != ("linear", "orthogonal"):
        assert np.all(3 * error[2:] < 0.12 * np.maximum(theory.value[2:], 1.0))


@pytest.mark.slow
@pytest.mark.parametrize("law", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("width", [32, 64, 128])
def test_fifty_layers_of_tanh_fluctuate_as_predicted_at_small_widths(law, width):
    net = MLP(activation("tanh"), 1.3, 0.2, 50, width, law)
    with cost.allowing(2):
        found = compare_finite_width(net, n_networks=10000)
    # what is left is of relative order 1 / n: a few units of it
    rest = 4.0 / width * found.theory.value
    assert np.all(np.abs(found.measured - found.theory.value) < 3.5 * found.stderr + rest)


def test_the_comparison_prints_a_row_for_each_layer_and_is_plain_data():
    found = compare_finite_width(MLP(activation("tanh"), 1.3, 0.2, 4, 32), n_networks=20)
    assert str(found).splitlines()[0].split() == ["layer", "theory", "measured", "stderr"]
    assert len(str(found).splitlines()) == 6
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.sigmas.shape == (4,)


def test_unequal_widths_are_sent_elsewhere():
    net = MLP(activation("tanh"), 1.3, 0.2, 2, (10, 20))
    with pytest.raises(ValueError, match="mean_square_variance"):
        compare_finite_width(net)


def test_the_analysis_says_how_far_infinite_width_can_be_trusted():
    import chione

    found = chione.analyze("relu", 2**0.5, 0.0, depth=40, width=128, simulate=False)
    assert "depth-to-width" in found.to_dict()["finite_width"]
    assert "depth-to-width" in repr(found).replace("\n", " ")
