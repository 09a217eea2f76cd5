"""Pictures of the model Hessian: what is drawn, where, and on which axis."""

import numpy as np
import pytest

from chione.plotting.hessian import critical_figure, hessian_figure, index_figure
from chione.plotting.hessian_bands import band_views, histogram
from chione.simulation.hessian import sample_model_hessian
from chione.theory.spectra.hessian import critical_energy, hessian_index, hessian_spectrum


def lines(ax, label):
    return [x for x in ax.lines if x.get_label() == label]


def test_the_title_tells_the_energy_in_units_of_the_critical_one_and_zero_is_marked():
    figure = hessian_figure(hessian_spectrum(ratio=0.25, energy=0.3))
    (ax,) = figure.axes
    assert "0.3 = 6.9 $\\epsilon_c$" in ax.get_title(loc="left")
    assert "0.17 negative" in ax.get_title(loc="left")
    assert any(np.array_equal(x.get_xdata(), [0.0, 0.0]) for x in ax.lines)
    beyond = hessian_figure(hessian_spectrum(ratio=2.0, energy=0.3))
    assert "($\\epsilon_c$ = 0)" in beyond.axes[0].get_title(loc="left")


def test_curves_end_at_zero_at_both_edges_of_each_band():
    s = hessian_spectrum(ratio=3.5, energy=0.6, structure="relu")
    ax = hessian_figure(s).axes[0]
    drawn = lines(ax, "theory")
    assert len(drawn) == 2
    for line, (low, high) in zip(drawn, s.support, strict=True):
        x, y = line.get_data()
        assert (x[0], x[-1]) == (low, high)
        assert (y[0], y[-1]) == (0.0, 0.0)


def test_an_atom_is_a_bar_of_its_mass_on_an_axis_of_its_own():
    s = hessian_spectrum(ratio=3.5, energy=0.6, structure="relu")
    ev = sample_model_hessian(ratio=3.5, energy=0.6, structure="relu", size=200, seed=0)
    figure = hessian_figure(s, ev)
    left, right = figure.axes
    assert right.get_ylim() == (0.0, 1.0)
    (bar,) = right.patches
    assert np.isclose(bar.get_height(), 3 / 7)
    assert np.isclose(bar.get_x() + bar.get_width() / 2, 0.0)
    assert left.get_ylim()[1] < 0.5  # no spike of a density at zero
    assert any("of it at 0" in t.get_text() for t in left.get_legend().get_texts())


def test_a_band_that_nobody_could_see_is_drawn_again_in_an_inset():
    figure = hessian_figure(hessian_spectrum(ratio=4.0, energy=1e-6))
    left, right = figure.axes
    (inset,) = left.child_axes
    assert np.isclose(right.patches[0].get_height(), 0.75)
    assert left.get_ylim()[1] < 0.1  # of the wide band
    assert inset.get_ylim()[1] > 50.0
    assert abs(inset.get_xlim()[0]) < 0.01


def test_bins_fill_bands_from_edge_to_edge_and_hold_what_is_not_at_an_atom():
    s = hessian_spectrum(ratio=3.5, energy=0.6, structure="relu")
    ev = sample_model_hessian(ratio=3.5, energy=0.6, structure="relu", size=300, seed=2)
    drawn = histogram(s, ev)
    assert abs(drawn.at_atoms / 300 - 3 / 7) < 0.01
    held = 0.0
    for (edges, height), (low, high) in zip(drawn.stairs, s.support, strict=True):
        assert np.min(abs(edges - low)) < 1e-12
        assert np.min(abs(edges - high)) < 1e-12
        assert not (edges[0] < 0.0 < edges[-1])
        held += np.sum(height * np.diff(edges))
    assert abs(held + drawn.at_atoms / 300 - 1.0) < 1e-12


@pytest.mark.parametrize(
    ("ratio", "energy", "structure"),
    [(1e4, 1e-30, "wigner"), (1e-8, 1e12, "relu"), (1.0, 0.0, "wigner"), (2.5, 0.0, "product"),
     (1e-8, 0.0, "linear"), (1.0, 1e-12, "product"), (2.0, 1e-9, "relu")],
)  # fmt: skip
def test_odd_spectra_are_drawn_with_their_mass_in_view(ratio, energy, structure):
    s = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
    figure = hessian_figure(s)
    figure.draw_without_rendering()
    views = band_views(s)
    assert abs(sum(v.mass for v in views) + sum(m for _, m in s.atoms) - 1.0) < 1e-9
    for view in views:
        over = np.diff(s.cdf(view.eigenvalue).value)[
            np.minimum(view.density[1:], view.density[:-1]) > 1.25 * view.top
        ]
        assert np.sum(over) <= 0.04 * view.mass


def test_index_curves_start_at_the_critical_energy_and_follow_the_index():
    figure = index_figure((0.2, 0.6, 1.2, 3.0), structure="relu", highest=5.0)
    (ax,) = figure.axes
    for ratio in (0.2, 0.6, 1.2, 3.0):
        (line,) = lines(ax, f"$\\phi$ = {ratio:g}")
        x, y = line.get_data()
        assert np.allclose(y[3:], hessian_index(ratio, x[3:], structure="relu").value)
    marks = [x for x in ax.lines if x.get_marker() == "v" and len(x.get_xdata())]
    expected = critical_energy([0.2, 0.6], structure="relu").value
    assert np.allclose([x.get_xdata()[0] for x in marks], expected)
    circles = [x for x in ax.lines if x.get_marker() == "o" and len(x.get_xdata())]
    assert np.allclose([x.get_ydata()[0] for x in circles], [1 / 12, 1 / 6])


def test_the_phase_curve_is_the_critical_energy():
    (ax,) = critical_figure().axes
    for name, structure in (("Wishart + Wigner", "wigner"), ("product + Wigner", "product")):
        (line,) = lines(ax, name)
        x, y = line.get_data()
        assert np.array_equal(y, critical_energy(x, structure=structure).value)
