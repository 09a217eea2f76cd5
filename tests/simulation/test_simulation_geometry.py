"""Geometry of the great circle: finite differences, exact circles, and Poole et al.'s recursion."""

import math

import numpy as np
import pytest

import chione
from chione.simulation import correlated_inputs, great_circle
from chione.simulation.geometry import QUANTITIES, principal_components
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import dense_weights


def image(network, seed, index, inputs):
    """Plain forward pass, last pre-activations."""
    x = inputs
    for l, dense in enumerate(network.matrices, start=1):
        w = dense_weights(dense, stream(seed, index, l, Purpose.WEIGHTS))
        b = stream(seed, index, l, Purpose.BIASES).standard_normal(dense.fan_out)
        h = x @ w.T + network.sigma_b * b
        x = network.activation(h)
    return h


def test_lengths_and_curvature_equal_those_of_a_fine_polygon():
    network = chione.MLP(chione.activation("tanh"), 1.8, 0.3, 3, (23, 31, 27), input_width=19)
    g = great_circle(network, q0=1.3, n_points=240, n_networks=1, seed=6)
    frame = correlated_inputs(19, 1.3 * np.eye(2), seed=6)
    theta = 2 * math.pi * np.arange(20_000) / 20_000
    h = image(network, 6, 0, np.cos(theta)[:, None] * frame[0] + np.sin(theta)[:, None] * frame[1])
    edges = np.diff(np.vstack([h, h[:1]]), axis=0)
    steps = np.linalg.norm(edges, axis=1)
    length = steps.sum()
    assert math.isclose(g.mean["euclidean_length"][-1], length / math.sqrt(27), rel_tol=1e-5)
    tangents = edges / steps[:, None]
    turns = np.linalg.norm(np.diff(np.vstack([tangents, tangents[:1]]), axis=0), axis=1)
    assert math.isclose(g.mean["grassmannian_length"][-1], turns.sum(), rel_tol=1e-5)
    middle = 0.5 * (steps + np.roll(steps, -1))
    curvature = np.mean(turns / middle) * math.sqrt(27)
    assert math.isclose(g.mean["curvature"][-1], curvature, rel_tol=1e-5)


def test_an_orthogonal_linear_network_keeps_the_circle_a_circle():
    network = chione.MLP(chione.activation("linear"), 1.5, 0.7, 4, 20, "orthogonal")
    g = great_circle(network, q0=2.0, n_points=7, n_networks=2)
    for l in range(4):
        radius2 = 2.0 * 1.5 ** (2 * (l + 1))
        assert math.isclose(g.mean["metric"][l], radius2, rel_tol=1e-12)
        assert math.isclose(g.mean["euclidean_length"][l], 2 * math.pi * math.sqrt(radius2))
        assert math.isclose(g.mean["curvature"][l], 1 / math.sqrt(radius2), rel_tol=1e-12)
        assert math.isclose(g.mean["grassmannian_length"][l], 2 * math.pi, rel_tol=1e-12)
        assert np.allclose(g.explained[l], [0.5, 0.5, 0.0], atol=1e-12)


def test_metric_and_curvature_follow_the_recursion_of_poole_and_others():
    sigma_w, sigma_b, width = 2.0, 0.3, 600
    phi = chione.activation("tanh")
    g = great_circle(chione.MLP(phi, sigma_w, sigma_b, 4, width), n_points=40, n_networks=12)
    z = np.linspace(-9.0, 9.0, 20_001)
    weight = np.exp(-(z**2) / 2)
    weight /= weight.sum()
    q, metric, acceleration = sigma_w**2 + sigma_b**2, sigma_w**2, sigma_w**2
    for l in range(4):
        close = 5.0 * g.stderr["metric"][l] + 10.0 * metric / width
        assert abs(g.mean["metric"][l] - metric) < close
        kappa = math.sqrt(acceleration) / metric
        assert abs(g.mean["curvature"][l] / kappa - 1.0) < 0.03  # bias of a heavy-tailed root
        h = math.sqrt(q) * z
        slope2 = weight @ phi.derivative(h) ** 2
        bend2 = weight @ phi.second_derivative(h) ** 2
        acceleration = sigma_w**2 * (3 * metric**2 * bend2 + acceleration * slope2)
        metric *= sigma_w**2 * slope2
        q = sigma_w**2 * (weight @ phi(h) ** 2) + sigma_b**2
    assert g.mean["curvature"][-1] > 4.0 * g.mean["curvature"][0]


def test_curves_with_corners_have_a_length_and_no_curvature():
    g = great_circle(chione.MLP(chione.activation("relu"), 1.4, 0.0, 3, 30), n_networks=3)
    assert np.all(np.isfinite(g.mean["euclidean_length"]))
    assert np.all(np.isnan(g.mean["curvature"]))
    assert np.all(np.isnan(g.mean["grassmannian_length"]))
    assert g.to_dict()["observables"]["curvature"]["mean"] == [None] * 3
    smooth = great_circle(chione.MLP(chione.activation("elu"), 1.4, 0.0, 3, 30), n_networks=3)
    assert np.all(np.isfinite(smooth.mean["curvature"]))  # elu' has a corner, elu has none


def test_principal_components_carry_all_variance_of_a_plane_curve():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 9)) + 5.0
    coordinates, share = principal_components(points)
    assert np.allclose(coordinates.mean(axis=0), 0.0, atol=1e-12)
    assert math.isclose(share[:2].sum(), 1.0)
    distance = np.linalg.norm(points[3] - points[8])
    assert math.isclose(np.linalg.norm(coordinates[3] - coordinates[8]), distance)
    single, nothing = principal_components(np.ones((4, 2)))
    assert single.shape == (4, 3)
    assert np.all(nothing == 0.0)


def test_the_same_seed_gives_the_same_geometry_and_bad_input_is_refused():
    network = chione.MLP(chione.activation("sin"), 1.4, 0.1, 2, 15)
    a, b = (great_circle(network, n_networks=3, n_points=11, seed=5) for _ in range(2))
    for name in QUANTITIES:
        assert np.array_equal(a.mean[name], b.mean[name])
    assert a.components.shape == (2, 11, 3)
    with pytest.raises(ValueError, match="n_points must be at least 3"):
        great_circle(network, n_points=2)
    with pytest.raises(ValueError, match="q0 must be above 0"):
        great_circle(network, q0=0.0)
    with pytest.raises(ValueError, match="input_width must be at least 2"):
        great_circle(chione.MLP(chione.activation("sin"), 1.4, 0.1, 2, 15, input_width=1))
    with pytest.raises(TypeError, match=r"network must be a chione\.MLP"):
        great_circle("sin")
