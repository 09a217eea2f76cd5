"""What pictures of spectra show, as numbers: windows, labels, closed curves, bars, bins."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from chione.networks import MLP
from chione.plotting.spectra import (
    draw_spectrum,
    limit_picture,
    simulated_picture,
    spectrum_figure,
    spectrum_picture,
)
from chione.plotting.spectrum_axis import SpectrumLabels, SpectrumLocator, log_ticks, spectrum_axis
from chione.plotting.spectrum_bins import clusters, histogram
from chione.plotting.spectrum_parts import Curve, bands_of, closed, edges_of, window
from chione.plotting.torch_report import (
    draw_distribution,
    staircase_of_measures,
    staircase_of_values,
)
from chione.simulation.spectra import simulate_spectrum
from chione.theory.spectra.jacobian import jacobian_spectrum
from chione.theory.spectra.jacobian_limits import LimitLaw

TEN = np.log(10.0)


def law(name, depth, q_star=1.0, weights="gaussian", **other):
    return jacobian_spectrum(name, depth=depth, q_star=q_star, weights=weights, **other)


def sampled(spectrum, width=200, networks=2, method="plain"):
    network = MLP(
        spectrum.activation, spectrum.sigma_w, 0.0, spectrum.depth, width, spectrum.weights
    )
    return simulate_spectrum(
        network, q_star=spectrum.q_star, n_networks=networks, method=method, seed=1
    )  # fmt: skip


def area(edges, heights):
    return float(np.sum(np.diff(edges) * heights))


# ---- windows and axes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "depth", "weights", "decades"),
    [("tanh", 64, "gaussian", 80), ("tanh", 64, "orthogonal", 40), ("relu", 4, "orthogonal", 3),
     ("linear", 64, "gaussian", 45), ("gelu", 16, "gaussian", 60)],
)  # fmt: skip
def test_the_axis_is_as_long_as_the_mass_needs_and_tells_what_it_leaves_out(
    name, depth, weights, decades
):
    s = law(name, depth, weights=weights)
    picture = spectrum_picture(s)
    low, high = picture.axis.low, picture.axis.high
    assert (high - low) / TEN < decades
    cdf = s.solver.values(np.array([2.0 * low, 2.0 * high])).cdf
    left = cdf[0] - (1.0 - s.rank_fraction)
    assert left < 0.051 * s.rank_fraction
    assert cdf[1] > 0.9999
    said = float(picture.notes[0].split(" %")[0])
    assert abs(said / 100.0 - left) < 0.002
    assert "left of the axis" in picture.notes[0]


def test_a_law_between_two_edges_is_shown_whole():
    picture = spectrum_picture(law("leaky_relu(0.5)", 2, weights="orthogonal"))
    (a, b) = law("leaky_relu(0.5)", 2, weights="orthogonal").log_support[0]
    assert picture.axis.low < 0.5 * a
    assert picture.axis.high > 0.5 * b
    assert picture.notes == ()


def test_a_tail_that_cannot_be_seen_does_not_stretch_the_axis():
    s = law("gelu", 3, q_star=1e3)
    picture = spectrum_picture(s)
    assert (picture.axis.high - picture.axis.low) / TEN < 30
    share = float(picture.notes[0].split(" %")[0]) / 100.0
    assert abs(share - s.solver.values(np.array([2 * picture.axis.low])).cdf[0]) < 0.01


@pytest.mark.parametrize("length", [1e-2, 0.1, 0.3, 0.7, 1.0, 1.5, 2.4, 3.0, 6.5, 17.0, 50.0, 112.0,
                                    157.0, 1e3, 3e6])  # fmt: skip
@pytest.mark.parametrize("start", [-1000.3, -9.62, -0.77, 0.0, 0.31, 5.0])
def test_logarithmic_axes_have_three_to_seven_labels_inside_the_window(length, start):
    low, high = start * TEN, (start + length) * TEN
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert min(ticks) >= low - 1e-6
    assert max(ticks) <= high + 1e-6
    assert np.all(np.diff(ticks) > 0)


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [(-3.0, 1.0, "log"), (-0.2, 0.1, "log"), (-170.0, 3.0, "log"), (-2000.0, 10.0, "decades"),
     (-1.0 - 4e-8, -1.0, "offset")],
)  # fmt: skip
@pytest.mark.parametrize("zero", [True, False])
def test_labels_name_the_places_at_which_they_stand(low, high, kind, zero):
    axis = spectrum_axis("log", low, high, zero=zero)
    assert axis.kind == kind
    left, right = (float(axis.x(np.array(p))) for p in axis.limits)
    ticks = SpectrumLocator(axis).tick_values(left, right)
    labels = SpectrumLabels(axis).format_ticks(ticks)
    if zero:
        assert labels[0] == "0"
        assert left < ticks[0] < float(axis.x(np.array(axis.ends[0])))
        ticks, labels = ticks[1:], labels[1:]
    assert 3 <= len(ticks) <= 8
    assert len(set(labels)) == len(labels)
    for x, text in zip(ticks, labels, strict=True):
        plain = text.strip("$").replace("\N{MINUS SIGN}", "-").replace(r" \times ", "*")
        value = eval(plain.replace("^{", "**(").replace("}", ")").replace("10**", "10.0**"))
        if kind == "decades":
            assert text == f"$10^{{{round(x)}}}$"
        elif kind == "log" or x != 0.0:
            assert abs(value - x) < 2e-6 * abs(x)


def test_decades_beyond_float64_are_drawn():
    s = law("tanh", 1000)
    picture = spectrum_picture(s)
    assert picture.axis.kind == "decades"
    ax = Figure().add_subplot()
    draw_spectrum(ax, s)
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert "$10^{-1000}$" in labels
    assert "$10^{0}$" in labels
    x = ax.lines[0].get_xdata()
    assert min(x) < -1000
    assert abs(max(x) - 0.5 * s.log_support[-1][1] / TEN) < 1e-9


def test_a_narrow_bulk_is_drawn_by_its_distance_from_the_middle():
    s = law("leaky_relu(0.9999999)", 2, weights="orthogonal")
    picture = spectrum_picture(s)
    axis = picture.axis
    assert axis.kind == "offset"
    x, _ = picture.drawn(picture.curves[0])
    back = axis.log_v(x)
    (a, b) = s.log_support[0]
    assert abs(back.max() - 0.5 * b) < 1e-14
    assert abs(back.min() - 0.5 * a) < 1e-14
    assert 1.0 < max(abs(x)) < 10.0
    assert r"\times 10^{" in axis.label
    position, y = axis.position(picture.curves[0].log_v), picture.drawn(picture.curves[0])[1]
    inner = (position > 0.98 * x.min()) & (position < 0.98 * x.max())
    assert 0.8 < np.trapezoid(y[inner], position[inner]) < 1.0


# ---- curves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "depth", "weights", "ends"),
    [("tanh", 3, "gaussian", [0.0]), ("linear", 1, "gaussian", [0.0]),
     ("leaky_relu(0.1)", 2, "orthogonal", [np.inf, np.inf]), ("relu", 2, "orthogonal", [np.inf]),
     ("tanh", 1, "orthogonal", [np.inf]), ("leaky_relu(0.5)", 3, "gaussian", [0.0]),
     ("hardtanh", 4, "orthogonal", [0.0]), ("selu", 1, "orthogonal", [0.0])],
)  # fmt: skip
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_curves_close_at_their_edges(name, depth, weights, ends, scale):
    s = law(name, depth, 0.5, weights)
    curves = spectrum_picture(s, scale=scale).curves
    assert len(curves) == len(s.log_support)  # selu: an atom parts the bulk
    band = s.log_support[0][0], s.log_support[-1][1]
    seen = [(c.log_v[k], c.density[k]) for c, k in ((curves[0], 0), (curves[-1], -1))]
    wanted = [(0.5 * e, v) for e, v in zip([e for e in band if np.isfinite(e)], ends, strict=True)]
    for (place, value), (edge, right) in zip(seen[-len(wanted) :], wanted, strict=True):
        assert place == edge
        assert value == right


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        pytest.param(name, scale, marks=pytest.mark.slow if (i + j) % 2 else ())
        for i, name in enumerate(["tanh", "leaky_relu(0.2)", "hardtanh", "erf_scaled", "selu"])
        for j, scale in enumerate(["log", "linear"])
    ],
)
def test_the_area_below_the_curve_is_the_mass_without_points_and_what_is_left_out(name, scale):
    s = law(name, 3, 0.5, "orthogonal")
    picture = spectrum_picture(s, scale=scale)
    (curve,) = picture.curves
    with np.errstate(over="ignore"):
        x, y = picture.axis.position(curve.log_v), picture.axis.density(*curve)
    good = np.isfinite(y)
    left = max(0.0, s.solver.values(np.array([2.0 * picture.axis.low])).cdf[0] - 1.0
               + s.rank_fraction) if scale == "log" else 0.0  # fmt: skip
    points = sum(m for _, m in s.atoms)
    assert abs(np.trapezoid(y[good], x[good]) - (1.0 - points - left)) < 0.01


def test_stored_points_break_at_gaps_and_close_where_a_root_ends():
    x = np.concatenate([np.linspace(-1, 1, 60) ** 3 * 0.5 - 2.0, np.linspace(-0.9, 0.9, 60) + 1.0])
    first, second = x < 0, x > 0
    density = np.where(first, 0.8 * np.sqrt(np.maximum(0.3 - (x + 2.0) ** 2, 0.0)),
                       np.sqrt(np.maximum(1.0 - (x - 1.0) ** 2, 0.0)))  # fmt: skip
    steps = np.concatenate([[0.0], 0.5 * (density[1:] + density[:-1]) * np.diff(x)])
    steps[60] = 1e-4
    bands = bands_of(x, density, np.cumsum(steps))
    assert bands == [(x[0], x[59]), (x[60], x[-1])]
    low, high = edges_of(Curve(x[second], density[second]))
    assert abs(low) < 0.01
    assert abs(high - 2.0) < 0.01
    whole = closed(Curve(x[second], density[second]), (0.0, 2.0))
    assert whole.density[0] == whole.density[-1] == 0.0
    assert abs(np.trapezoid(whole.density, whole.log_v) - np.pi / 2) < 2e-3


def test_a_window_keeps_bands_with_mass_and_leaves_out_those_without():
    x = np.linspace(-10.0, 0.0, 1001)
    mass = np.interp(x, [-10.0, -9.0, -1.0, 0.0], [0.0, 0.02, 0.02, 1.0])
    assert window(x, mass, [(-10.0, -9.0), (-1.0, 0.0)])[:2] == (-10.0, 0.0)
    none = np.interp(x, [-10.0, -9.0, -1.0, 0.0], [0.0, 1e-5, 1e-5, 1.0])
    found = window(x, none, [(-10.0, -9.0), (-1.0, 0.0)])
    assert found[:2] == (-1.0, 0.0)
    assert np.isclose(found.left, 1e-5)


# ---- networks and point masses -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "depth", "weights"),
    [("relu", 4, "orthogonal"), ("hardtanh", 4, "orthogonal"), ("selu", 1, "orthogonal"),
     ("relu", 1, "orthogonal"), ("hardtanh", 3, "gaussian")],
)  # fmt: skip
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_point_masses_are_bars_and_no_part_of_the_histogram(name, depth, weights, scale):
    s = law(name, depth, 0.5, weights)
    picture = spectrum_picture(s, sampled(s), scale=scale)
    assert [(b.log_v, b.mass) for b in picture.bars] == [(0.5 * a, m) for a, m in s.solver.atoms]
    for bar in picture.bars:
        assert abs(bar.seen - bar.mass) < 0.03
    assert picture.mass_top > max(b.mass for b in picture.bars)
    seen = sum(b.seen for b in picture.bars)
    if picture.bins is None:
        assert np.isclose(seen, 1.0)
        return
    hidden = max(0.0, s.solver.values(np.array([2.0 * picture.axis.ends[0]])).cdf[0] - 1.0
                 + s.rank_fraction) if scale == "log" else 0.0  # fmt: skip
    assert abs(area(picture.bins.edges, picture.bins.heights) - (1.0 - seen - hidden)) < 0.02


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_masses_have_an_axis_of_their_own(scale):
    s = law("relu", 4, weights="orthogonal")
    figure = spectrum_figure(s, sampled(s), scale=scale)
    density, mass = figure.axes
    assert "density" in density.get_ylabel()
    assert mass.get_ylabel() == "mass of a point"
    ends = [float(line.get_segments()[0][1][1]) for line in mass.collections]
    assert sorted(ends) == [0.5, 0.5]
    at = float(mass.collections[-1].get_segments()[0][0][0])
    labels = dict(zip(density.get_xticks(), density.get_xticklabels(), strict=True))
    nearest = min(labels, key=lambda x: abs(x - at))
    assert np.isclose(nearest, at)
    assert labels[nearest].get_text() == "0"


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_no_bin_lies_on_both_sides_of_a_band_edge(scale):
    low, high = np.log(0.2), np.log(2.0)
    bands = [(low, low + 0.5), (high - 0.3, high)]
    rng = np.random.default_rng(0)
    own = np.concatenate([rng.uniform(*b, 300) for b in bands])
    axis = spectrum_axis(scale, low - 0.1, high + 0.1, zero=False)
    bins = histogram(axis, own, 1200, bands)
    edges = axis.position(np.array(bands).ravel())
    assert all(np.min(abs(bins.edges - e)) < 1e-12 for e in edges)
    middle = 0.5 * (bins.edges[1:] + bins.edges[:-1])
    inside = np.any(
        [(middle > a) & (middle < b) for a, b in axis.position(np.array(bands))], axis=0
    )
    assert np.all(bins.heights[~inside] == 0.0)
    assert np.isclose(area(bins.edges, bins.heights), 0.5)
    assert 20 <= np.count_nonzero((middle > edges[0]) & (middle < edges[1])) <= 60


@pytest.mark.parametrize(("few", "many"), [(30, 300), (300, 3000)])
def test_more_values_fill_more_bins(few, many):
    axis = spectrum_axis("log", 0.0, 1.0, zero=False)
    rng = np.random.default_rng(0)
    counts = [histogram(axis, rng.random(n), n, [(0.0, 1.0)]).edges.size for n in (few, many)]
    assert counts[1] > 2 * counts[0]


def test_rounding_of_networks_is_left_out_and_counted_in_words():
    s = law("tanh", 64)
    run = sampled(s, 120)
    picture = spectrum_picture(s, run)
    lost = int(run.lost.sum())
    assert lost > 50
    assert f"networks: {lost} of 240 values are rounding (shaded) and are left out" in picture.notes
    assert picture.floor == 0.5 * run.log_floor
    assert picture.bins.edges[0] == picture.floor
    above = np.count_nonzero(run.log_singular_values > picture.floor) / 240
    assert abs(area(picture.bins.edges, picture.bins.heights) - above) < 0.01
    all_known = spectrum_picture(s, sampled(s, 120, method="stabilised"))
    assert not any("rounding" in n for n in all_known.notes)


def test_a_law_of_point_masses_alone_has_bars_and_a_sentence():
    s = law("linear", 8, weights="orthogonal")
    picture = spectrum_picture(s, sampled(s, 60))
    assert picture.curves == ()
    assert picture.bins is None
    (bar,) = picture.bars
    assert (bar.log_v, bar.mass, bar.seen) == (0.0, 1.0, 1.0)
    assert "no density" in picture.notes[0]
    (ax,) = spectrum_figure(s).axes
    assert ax.get_ylabel() == "mass of a point"


def test_a_linear_axis_says_what_it_cannot_show():
    picture = spectrum_picture(law("tanh", 64), scale="linear")
    share = law("tanh", 64).solver.values(np.array([2 * np.log(0.01 * picture.axis.ends[1])])).cdf
    assert f"{100 * share[0]:.0f} % of the mass lies in the first 1 %" in picture.notes[0]
    assert not spectrum_picture(law("tanh", 2, 0.1), scale="linear").notes


def test_outliers_are_marked_where_they_do_not_stretch_the_axis_and_named_beyond():
    near = law("silu", 4, 0.5)
    picture = spectrum_picture(near, scale="linear")
    assert np.allclose(np.exp(picture.outliers), near.outliers[0].singular_value)
    assert picture.axis.high > picture.outliers[0]
    far = law("gelu", 42, 0.2)
    value = far.outliers[0].singular_value
    assert value > 3.0 * far.edges[1] ** 0.5
    picture = spectrum_picture(far, scale="linear")
    assert picture.outliers == ()
    assert f"outlier along the input at s = ${value:.3g}$, right of the axis" in picture.notes
    assert spectrum_picture(far).outliers


def test_equal_values_of_networks_alone_are_bars():
    run = sampled(law("hardtanh", 4, 0.5, "orthogonal"), 200)
    bars = simulated_picture(run).bars
    assert [b.log_v == -np.inf for b in bars] == [True, False]
    assert np.isclose(bars[0].seen, np.mean(np.isneginf(run.log_singular_values)))
    assert abs(bars[1].seen - 0.37) < 0.02
    log = np.array([0.0, 1e-14, 2e-14, -1e-14, 0.5, 0.6, 0.7])
    assert clusters(log, np.full(7, 1e-14)) == [(5e-15, 4)]
    assert clusters(log, np.full(7, 0.4)) == clusters(log, np.full(7, 1e-7))


def test_the_staircase_of_a_model_leaves_out_rounding_and_counts_it():
    log_s = np.array([1.0, 0.5, -20.0, -36.0, -36.5, -np.inf])
    errors = np.array([1e-15, 1e-15, 1e-3, 2.0, np.inf, 0.0])
    found = staircase_of_values(log_s, errors, 8)
    assert found.log_lambda.tolist() == [-40.0, 1.0, 2.0]
    assert found.cdf.tolist() == [6 / 8, 7 / 8, 1.0]
    assert (found.floor, found.lost, found.total) == (-72.0, 2, 6)
    ax = Figure().add_subplot()
    draw_distribution(ax, found, (np.array([-90.0, 0.0, 2.0]), np.array([0.3, 0.8, 1.0])))
    assert ax.get_xlim()[0] < np.exp(-40.0)
    assert "2 of 6 singular values are rounding" in ax.texts[0].get_text()
    assert np.all(ax.lines[1].get_xdata() > 1e-30)


def test_the_staircase_of_probes_leaves_out_what_rounding_makes_of_zero():
    nodes, weights = np.array([[4.0, 1.0, 1e-17]]), np.array([[0.25, 0.25, 0.5]])
    found = staircase_of_measures(nodes, weights)
    assert np.allclose(np.exp(found.log_lambda), [1.0, 4.0])
    assert found.cdf.tolist() == [0.75, 1.0]


@pytest.mark.parametrize(
    "limit", [LimitLaw("bernoulli", 0.25), LimitLaw("smooth", 0.25), LimitLaw("smooth", 1e-9)]
)
def test_limit_laws_close_and_have_their_point_mass_as_a_bar(limit):
    picture = limit_picture(limit)
    assert [(np.exp(b.log_v), b.mass) for b in picture.bars] == [
        pytest.approx(pair) for pair in limit.atoms
    ]
    (curve,) = picture.curves
    assert curve.density[-1] == 0.0
    x, y = picture.axis.position(curve.log_v), picture.axis.density(*curve)
    left = limit.cdf(np.exp(curve.log_v[0])).value
    assert abs(np.trapezoid(y, x) - (1.0 - left - sum(m for _, m in limit.atoms))) < 0.01
    assert picture.axis.kind == ("offset" if limit.variance < 1e-6 else "linear")


KINDS = [
    ("sin", 3, 9.0, "gaussian"), ("erf", 10**6, 1.0, "gaussian"), ("gelu", 3, 1e3, "gaussian"),
    ("silu", 4, 0.5, "orthogonal"), ("elu", 1, 1.0, "orthogonal"), ("relu6", 2, 1.0, "gaussian"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "depth", "q_star", "weights", "scale"),
    [
        pytest.param(*kind, scale, marks=pytest.mark.slow if (i + j) % 2 else ())
        for i, kind in enumerate(KINDS)
        for j, scale in enumerate(["log", "linear"])
    ],
)
def test_every_kind_of_law_is_drawn_on_both_axes(name, depth, q_star, weights, scale, tmp_path):
    from chione.plotting import save

    s = law(name, depth, q_star, weights)
    figure = spectrum_figure(s, scale=scale)
    save(figure, tmp_path / "a.png")
    ax = figure.axes[0]
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert 3 <= len(labels) <= 8
    assert all(labels)
    low, high = ax.get_ylim()
    assert low == 0.0
    top = max(np.max(line.get_ydata()) for line in ax.lines)
    assert high < 50.0 * top
