"""Theory beside simulation: honest z-scores, no false alarms, and alarms where one is due."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import chione
from chione.diagnosis.compare import compare
from chione.simulation import NAMES, correlated_inputs, great_circle, input_pair
from chione.theory.depth.infinite_geometry import circle_geometry
from chione.theory.depth.infinite_width import infinite_width

ACTIVATIONS = (("gelu", 1.5, 0.3), ("relu", 1.3, 0.2), ("erf", 1.5, 0.2), ("sin", 1.2, 0.3))


def run(name="tanh", sigma_w=1.5, sigma_b=0.2, depth=5, width=200, **options):
    weights = options.pop("weights", "gaussian")
    network = chione.MLP(chione.activation(name), sigma_w, sigma_b, depth, width, weights)
    return chione.simulate(network, **options)


@pytest.mark.parametrize("observable", ["lengths", "correlations", "gradients"])
@pytest.mark.sampled(2)
def test_z_scores_over_200_independent_comparisons_follow_students_law(observable, all_z):
    z = all_z[observable]
    assert z.size == 200
    nu = 11
    variance = nu / (nu - 2)
    assert abs(z.mean()) < 4.0 * math.sqrt(variance / 200)
    # the fourth moment of Student's law sets how far the mean square of 200 may stray
    spread = math.sqrt((2.0 + 6.0 / (nu - 4)) / 200)
    assert abs(np.mean(z**2) / variance - 1.0) < 4.0 * spread
    assert stats.kstest(z, stats.t(nu).cdf).pvalue > 1e-3


@pytest.fixture(scope="module")
def all_z():
    """The last of 3 layers in 200 independent runs: four activations, both weight laws."""
    out = {"lengths": [], "correlations": [], "gradients": []}
    for k in range(200):
        name, sigma_w, sigma_b = ACTIVATIONS[k % 4]
        law = "orthogonal" if (k // 4) % 2 else "gaussian"
        result = run(name, sigma_w, sigma_b, 3, 500, weights=law, n_networks=12, seed=1000 + k)
        comparison = compare(result)
        out["lengths"].append(comparison.z["lengths"][2, 0])
        out["correlations"].append(comparison.z["correlations"][2, 0])
        out["gradients"].append(comparison.z["gradients"][0, 0])
    return {name: np.array(values) for name, values in out.items()}


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("tanh", "gaussian"),
        ("gelu", "orthogonal"),
        ("gelu", "uniform"),
        ("relu", "truncated"),
        ("relu", "orthogonal"),
        ("sign", "gaussian"),
    ],
)
def test_every_observable_agrees_with_its_theory(name, weights):
    options = {"n_networks": 60, "observe": NAMES, "seed": 2, "bins": 11}
    result = run(name, weights=weights, depth=4, width=60, **options)
    comparison = compare(result)
    assert comparison.contradictions == ()
    assert comparison.without_theory == ()
    wanted = 85 if name != "sign" else 65  # back-propagation does not see the jump of a step
    assert comparison.n_comparisons > wanted


@pytest.mark.parametrize(
    ("change", "loud"),
    [
        ({"sigma_w": 1.6}, {"lengths", "gradients"}),
        ({"sigma_b": 0.6}, {"lengths", "correlations"}),
        ({"activation": chione.activation("erf")}, {"lengths", "gradients"}),
        ({"weights": "orthogonal"}, {"fluctuations"}),
    ],
)
def test_a_wrong_theory_is_contradicted(change, loud):
    """The description is changed after the run, so that the theory belongs to other networks."""
    observe = ("lengths", "correlations", "gradients", "fluctuations")
    result = run("tanh", width=400, n_networks=120, observe=observe)
    assert compare(result).agrees
    wrong = compare(replace(result, network=replace(result.network, **change)))
    assert not wrong.agrees
    assert loud <= {sentence.split(" ")[0] for sentence in wrong.contradictions}
    assert all("z = " in sentence for sentence in wrong.contradictions)


@pytest.mark.parametrize(
    ("name", "width", "weights"),
    [
        (
            "squared_relu",
            8,
            "orthogonal",
        ),  # the mean is made by networks that nobody will ever draw
        ("relu", 1, "gaussian"),  # half of the networks are dead, three may well be
        ("tanh", (30, 1, 40), "uniform"),
        ("sign", (30, 1, 400), "orthogonal"),
    ],
)
def test_three_networks_that_agree_by_chance_raise_no_alarm(name, width, weights):
    for seed in range(3):
        network = chione.MLP(chione.activation(name), 1.2, 0.0, 3, width, weights, input_width=20)
        result = chione.simulate(network, n_networks=3, seed=seed, observe=NAMES)
        assert compare(result).contradictions == ()


def test_unequal_inputs_and_widths_have_their_own_theory():
    widths = (150, 300, 200, 250)
    network = chione.MLP(chione.activation("silu"), 1.7, 0.3, 4, widths, input_width=120)
    x = np.vstack([input_pair(120), 2.0 * input_pair(120, seed=5)[:1]])
    observe = tuple(n for n in NAMES if not n.endswith("histogram"))
    comparison = compare(chione.simulate(network, x, n_networks=80, observe=observe))
    assert comparison.agrees
    assert comparison.theory["correlations"].shape == (4, 3)
    assert np.abs(comparison.z["lengths"]).max() < 5.0
    ratio = comparison.theory["gradients"][2] / comparison.theory["gradients"][3]
    assert np.all(ratio != 1.0)


def relu_curves(sigma_w, depth, c):
    """Closed forms of ReLU at sigma_b = 0: lengths, cosines, tangent kernel."""
    q, theta, before = sigma_w**2, np.zeros((2, 2)), np.zeros((2, 2))
    rows = []
    for _ in range(depth):
        k = q * np.array([[1.0, c], [c, 1.0]])
        angle = math.acos(c)
        slope = sigma_w**2 / 2 * np.array([[1.0, 1 - angle / math.pi], [1 - angle / math.pi, 1.0]])
        theta = k + before * theta
        before = slope
        rows.append((q, c))
        c = (math.sqrt(1 - c * c) + (math.pi - angle) * c) / math.pi
        q *= sigma_w**2 / 2
    return rows, theta


def test_infinite_width_curves_of_relu_equal_their_closed_forms():
    network = chione.MLP(chione.activation("relu"), 1.3, 0.0, 6, 64)
    x = input_pair(64)
    limit = infinite_width(network, x @ x.T / 64, ((0, 1),))
    rows, theta = relu_curves(1.3, 6, 0.5)
    assert np.allclose(limit.q[:, 0], [q for q, _ in rows], rtol=1e-12)
    assert np.allclose(limit.c[:, 0], [c for _, c in rows], rtol=1e-12)
    assert np.allclose(limit.tangent_kernel(), theta, rtol=1e-11)
    vertex = 64 * limit.kernel_variance()[:, 0] / limit.q[:, 0] ** 2
    assert np.allclose(vertex, 5.0 * np.arange(6), atol=1e-10)  # V = 5 (l - 1) K^2
    assert np.allclose(limit.length_bias(), 0.0, atol=1e-9)
    assert np.allclose(limit.backward(limit.slope)[:, 0], (1.3**2 / 2) ** np.arange(5, -1, -1))


def test_infinite_width_kernels_equal_those_of_the_theory_room():
    x = correlated_inputs(40, [[1.0, 0.3, 0.1], [0.3, 2.0, 0.2], [0.1, 0.2, 0.7]])
    network = chione.MLP(chione.activation("gelu"), 1.5, 0.3, 5, 40)
    limit = infinite_width(network, x @ x.T / 40, ((0, 1), (0, 2), (1, 2)))
    for other, mine in (
        (chione.nngp(network, x), limit.gram()[-1]),
        (chione.ntk(network, x), limit.tangent_kernel()),
    ):
        assert np.allclose(mine, other.value, rtol=1e-11)


def test_finite_width_bias_of_lengths_is_the_one_that_narrow_networks_show():
    """phi = x^2: E q' = 3 sigma_w^2 (K^2 + Var K) + sigma_b^2, so the bias is no small thing."""
    result = run("quadratic", 0.5, 0.3, 3, 16, n_networks=6000, observe="lengths", seed=3)
    comparison = compare(result)
    bias, error = comparison.bias["lengths"][2], result.stderr["lengths"][2]
    assert np.all(bias > 4.0 * error)  # it is seen ...
    assert np.all(np.abs(comparison.z["lengths"][2]) < 4.5)  # ... and explained
    assert np.all(np.abs(result.mean["lengths"][2] - comparison.theory["lengths"][2]) > 4 * error)


@pytest.mark.parametrize(("name", "weights"), [("relu", "gaussian"), ("hardtanh", "orthogonal")])
def test_histograms_have_the_shape_that_theory_gives_them(name, weights):
    names = tuple(n for n in NAMES if n.endswith("histogram"))
    options = {"weights": weights, "n_networks": 60, "observe": names}
    comparison = compare(run(name, 1.4, 0.1, 4, 400, **options))
    for histogram in names:
        z = comparison.z[histogram]
        assert np.isfinite(z).sum() >= 8, histogram  # two atoms in each of four layers
        assert 0.5 < np.sqrt(np.nanmean(z**2)) < 1.8, histogram
        share = comparison.theory[histogram] * np.diff(comparison.result.edges[histogram], axis=1)
        assert np.all(np.nansum(share, axis=1) > 0.9)
    # flat pieces: half of ReLU's units carry no gradient, and their activation is zero
    if name == "relu":
        densities = comparison.result.mean["gradient_histogram"][0], comparison.theory[names[2]][0]
        width = np.diff(comparison.result.edges["gradient_histogram"][0])[0]
        assert all(density[50] * width > 0.5 for density in densities)


def test_delta_weights_have_no_theory():
    with pytest.raises(ValueError, match="no Gaussian limit"):
        compare(run(weights="delta", n_networks=2))


def test_signals_that_overflow_are_compared_no_further():
    comparison = compare(run("quadratic", 3.0, 0.0, 12, 50, n_networks=4))
    assert np.isnan(comparison.z["lengths"][-1]).all()
    assert comparison.agrees
    assert comparison.to_dict()["observables"]["lengths"]["z"][-1] == [None, None]


def test_geometry_of_the_circle_agrees_with_simulated_networks():
    network = chione.MLP(chione.activation("erf"), 2.2, 0.3, 4, 500)
    curve, theory = great_circle(network, n_points=30, n_networks=10), circle_geometry(network)
    for name, values in theory.items():
        relative = np.abs(curve.mean[name] / values - 1.0)
        noise = curve.stderr[name] / values
        assert np.all(relative < 5.0 * noise + 10.0 / 500), name  # biases of roots are O(1/n)
    corner = circle_geometry(replace(network, activation=chione.activation("relu")))
    assert np.all(np.isnan(corner["curvature"]))
    assert np.allclose(corner["metric"], 2.2**2 * (2.2**2 / 2) ** np.arange(4), rtol=1e-12)


def test_fluctuations_of_orthogonal_networks_are_those_of_isometries():
    x = input_pair(64)
    network = chione.MLP(chione.activation("linear"), 1.3, 0.0, 4, 64, "orthogonal")
    limit = infinite_width(network, x @ x.T / 64, ((0, 1),))
    assert np.allclose(64 * limit.kernel_variance() + 2 * limit.q**2, 0.0, atol=1e-10)
    relu = replace(network, activation=chione.activation("relu"))
    limit = infinite_width(relu, x @ x.T / 64, ((0, 1),))
    vertex = 64 * limit.kernel_variance()[:, 0] / limit.q[:, 0] ** 2
    assert np.allclose(vertex, 3.0 * np.arange(4) - 2.0, atol=1e-10)  # V = (3 (l - 1) - 2) K^2
    options = {"weights": "orthogonal", "n_networks": 1500, "observe": "fluctuations"}
    comparison = compare(run("tanh", 1.3, 0.8, 3, 150, **options))
    gap = comparison.result.mean["fluctuations"] - comparison.theory["fluctuations"]
    # two inputs, three layers; the next order is a few per cent at this width
    assert np.all(np.abs(gap) < 4 * comparison.result.stderr["fluctuations"] + 0.05)
    assert np.all(
        comparison.theory["fluctuations"] > 3.0
    )  # 5.1, 3.4, 3.1; without biases 0 to 0.15


@pytest.mark.parametrize("dtype, sigma_w", [("float64", 1e-150), ("float32", 1e-20)])
def test_signals_that_underflow_are_named_and_contradict_nothing(dtype, sigma_w):
    net = chione.MLP("tanh", sigma_w, 0.0, depth=4, width=16)
    found = chione.compare(chione.simulate(net, n_networks=4, observe=NAMES, dtype=dtype, seed=0))
    assert found.contradictions == ()
    assert any("lengths: below" in sentence for sentence in found.underflows)
    ordinary = chione.MLP("tanh", 1.3, 0.1, depth=4, width=16)
    assert chione.compare(chione.simulate(ordinary, n_networks=4, seed=0)).underflows == ()
