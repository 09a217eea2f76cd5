"""Structures of the model Hessian: polynomials at many digits, matrices, closed forms, limits."""

import mpmath as mp
import numpy as np
import pytest

from chione.base import Status
from chione.theory.spectra.hessian import (
    critical_amplitude,
    critical_energy,
    energy_at_index,
    hessian_index,
    hessian_spectrum,
    index_onset,
)

ACTIVE = {"relu": mp.mpf(1) / 2, "linear": mp.mpf(1)}
NAMES = ("wigner", "relu", "linear", "product")


def exact(structure, ratio, energy, x, digits=45):
    """(density, distribution function) from the roots of the polynomial of 1/G."""
    with mp.workdps(digits):
        p, e, x = mp.mpf(ratio), mp.mpf(energy), mp.mpf(x)
        if structure == "wigner":
            c = [1, 1 - p - x, 2 * e + x * p, -2 * e * p]
        elif structure == "product":  # of y = ratio (x G - 1) of H0 alone
            h = 2 * e / p
            c = [1, 4 + p, 6 + 4 * p - x, 4 + 6 * p + h - 2 * x, 1 + 4 * p - x, p]
        else:
            a2, w = e * p * p / 2, ACTIVE[structure] * e * p
            c = [1, 1 - x - p, x * p - a2 + w, a2 * (x + p) - a2 - w * p, -x * p * a2]
        if x == 0 and structure in ACTIVE:
            c = c[:-1]  # F = 0 solves what F was multiplied with
        roots = mp.polyroots(c, maxsteps=3000, extraprec=6 * digits, cleanup=False)
        if structure == "product":
            y = [y for y in roots if abs(y) < 1]
            found = [(p * (1 + y) ** 2 / y, y) for y in y]
        else:
            found = [(f, None) for f in roots]
        up = [(f, y) for f, y in found if f.imag > mp.mpf(10) ** -20 * abs(f)]
        if not up:
            return 0.0, None
        ((f, y),) = up  # the theory has one, and no choice is made
        g = 1 / f
        u = x * g - mp.log(g)
        if structure == "product":
            u -= (2 * mp.log(1 + y) - y) / p
        else:
            u += mp.log(1 - p * g) / p
        if structure in ACTIVE:
            a = mp.sqrt(a2)
            u += ACTIVE[structure] / p * (mp.log(1 - a * g) + mp.log(1 + a * g))
        else:
            u -= e * g * g
        return -g.imag / mp.pi, 1 - u.imag / mp.pi


def random_cases(structure, count, seed):
    rng = np.random.default_rng(seed)
    for k in range(count):
        ratio = float(10.0 ** rng.uniform(-8, 4)) if k % 2 else float(rng.uniform(0.05, 3.2))
        energy = float(10.0 ** (rng.uniform(-30, 12) if k % 3 == 0 else rng.uniform(-4, 1)))
        yield ratio, energy, rng


@pytest.mark.parametrize("structure", NAMES)
def test_density_and_distribution_function_lie_within_their_errors_of_many_digits(structure):
    checked = 0
    for ratio, energy, rng in random_cases(structure, 12, seed=NAMES.index(structure)):
        s = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
        for low, high in s.support:
            u = rng.random(2) ** 3
            x = low + (high - low) * np.array([u[0], 1 - u[1]])
            density, cdf = s.density(x), s.cdf(x)
            for k in range(2):
                rho, share = exact(structure, ratio, energy, float(x[k]))
                if share is None:
                    continue  # x was rounded on to an edge
                checked += 1
                assert abs(float(rho - mp.mpf(density.value[k]))) <= density.error[k]
                assert abs(float(share - mp.mpf(cdf.value[k]))) <= cdf.error[k]
                assert density.error[k] < 1e-3 * density.value[k] + 1e-12
                assert cdf.error[k] < 1e-13
    assert checked >= 22


@pytest.mark.parametrize("structure", NAMES)
def test_quantiles_lie_within_their_errors_and_do_not_depend_on_the_batch(structure):
    p = np.concatenate([[0.0, 1e-12, 1e-5], np.linspace(0.02, 0.98, 25), [1 - 1e-9, 1.0]])
    for ratio, energy, _ in random_cases(structure, 5, seed=10 + NAMES.index(structure)):
        s = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
        q = s.quantile(p)
        assert np.all(np.diff(q.value) >= 0.0)
        assert [float(s.quantile(x).value) for x in p[::4]] == q.value[::4].tolist()
        for k in (1, 5, 12, 20, 26):
            x, error = float(q.value[k]), float(q.error[k])
            if (x, 0.0) in ((a, 0.0) for a, _ in s.atoms) or error == 0.0:
                continue
            below, above = s.cdf(x - error), s.cdf(x + error)
            assert below.value - below.error <= p[k] <= above.value + above.error
            assert error < 1e-3 * (s.edges[1] - s.edges[0])


def test_quantiles_know_atoms_and_gaps():
    s = hessian_spectrum(ratio=2.5, energy=0.0)
    assert s.atoms == ((0.0, 0.6),)
    assert s.quantile([0.0, 0.3, 0.6]).value.tolist() == [0.0, 0.0, 0.0]
    assert s.quantile(0.6000001).value > s.edges[0]
    gap = hessian_spectrum(ratio=4.0, energy=1e-3)
    ((_, low), (high, top)) = gap.support
    assert np.isclose(gap.cdf(0.5 * (low + high)).value, 0.75, rtol=1e-14)
    assert gap.quantile(0.75 - 1e-9).value <= low
    assert gap.quantile(0.75 + 1e-9).value >= high
    assert gap.quantile(1.0).value == top
    relu = hessian_spectrum(ratio=3.0, energy=0.5, structure="relu")
    assert np.allclose(relu.atoms, [(0.0, 1.0 / 3.0)])
    assert np.isclose(relu.cdf(-1e-9).value, 1.0 / 6.0)  # what the negative jumps reach
    assert np.isclose(relu.cdf(0.0).value, 0.5)
    assert relu.quantile([0.2, 0.49]).value.tolist() == [0.0, 0.0]
    assert relu.quantile(0.51).value > 0.0
    with pytest.raises(ValueError, match=r"p must lie between 0 and 1, but it holds 1\.5"):
        s.quantile(1.5)


@pytest.mark.parametrize("structure", NAMES)
@pytest.mark.parametrize(("ratio", "energy"), [(0.3, 0.4), (1.4, 0.2), (3.5, 0.6), (2.0, 0.0)])
def test_curve_has_the_mass_and_the_moments_and_ends_at_zero(structure, ratio, energy):
    s = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
    c = s.curve(3001)
    x, rho = c.eigenvalue, np.where(np.isfinite(c.density), c.density, 0.0)
    assert x.shape == (3001,)
    assert np.all(np.diff(x) >= 0.0)
    assert np.all(np.diff(c.cdf) >= 0.0)
    assert c.cdf[-1] == 1.0
    ends = np.isin(x, np.ravel(s.support))
    assert np.all((c.density[ends] == 0.0) | np.isinf(c.density[ends]))
    if not np.isinf(c.density).any():
        step, middle = np.diff(x), 0.5 * (rho[1:] + rho[:-1])
        mass = np.sum(step * middle) + sum(m for _, m in s.atoms)
        second = np.sum(step * middle * (0.5 * (x[1:] + x[:-1])) ** 2)
        assert abs(mass - 1.0) < 1e-4
        assert abs(second / s.moments(2)[1] - 1.0) < 1e-4


def test_moments_follow_from_the_free_cumulants_of_the_parts():
    s = hessian_spectrum(ratio=0.7, energy=0.4, structure="relu")
    # kappa: 1, phi + phi eps / 2, phi^2, phi^3 + phi^3 eps^2 / 4
    k2, k3, k4 = 0.7 + 0.14, 0.49, 0.343 + 0.343 * 0.04
    m3 = k3 + 3 * k2 + 1
    m4 = k4 + 4 * k3 + 2 * k2**2 + 6 * k2 + 1
    assert np.allclose(s.moments(4), [1.0, 1.0 + k2, m3, m4], rtol=1e-14)


def test_samples_of_the_law_have_its_distribution():
    s = hessian_spectrum(ratio=1.5, energy=0.3, structure="relu")
    x = np.sort(s.sample(4000, seed=3))
    assert np.array_equal(x, np.sort(s.sample(4000, seed=3)))
    share = np.asarray(s.cdf(x).value)
    assert np.max(abs(share - (np.arange(4000) + 0.5) / 4000)) < 1.63 / 4000**0.5  # 1 % level


def test_density_is_infinite_where_it_grows_without_end_and_known_beside_an_edge():
    flat = hessian_spectrum(ratio=1.0, energy=0.0)
    assert np.isinf(flat.density(0.0).value)
    s = hessian_spectrum(ratio=0.4, energy=0.3)
    for edge in s.edges:
        for k in range(-6, 7):
            x = edge * (1.0 + k * 2.0**-52)
            rho, _ = exact("wigner", 0.4, 0.3, x)
            found = s.density(x)
            assert abs(float(rho) - found.value) <= found.error


@pytest.mark.parametrize("structure", NAMES)
def test_stieltjes_transform_and_its_integral_agree_with_a_contour(structure):
    s = hessian_spectrum(ratio=1.7, energy=0.2, structure=structure)
    z = np.array([0.3 + 1e-8j, -1.0 + 0.5j, 9.0 + 2.0j, 40.0 + 0.0j, 2.0 - 0.7j])
    g = s.stieltjes(z)
    c = s.curve(20001)
    step, middle = np.diff(c.cdf), 0.5 * (c.eigenvalue[1:] + c.eigenvalue[:-1])
    atoms = sum(m / z[1:] for _, m in s.atoms)
    inside = np.append(np.diff(c.eigenvalue) > 0.0, False)[:-1]
    direct = np.array([np.sum((step / (w - middle))[inside]) for w in z[1:]])
    jumps = sum(m for _, m in s.atoms)
    assert abs(np.sum(step[inside]) + jumps - 1.0) < 1e-3
    assert np.allclose(g[1:], direct + atoms, rtol=2e-3)
    h = 1e-5
    up = z[:3]
    slope = (s.law.mean_log(up + h) - s.law.mean_log(up - h)) / (2 * h)
    assert np.allclose(slope[1:], g[1:3], rtol=1e-8)
    far = s.law.mean_log(np.array([1e8 + 0j]))[0]
    assert abs(far - np.log(1e8)) < 1e-7


# --------------------------------------------------------------------------------- the index


@pytest.mark.parametrize("structure", NAMES)
def test_index_lies_within_its_error_of_many_digits(structure):
    rng = np.random.default_rng(20 + NAMES.index(structure))
    wide = 8 if structure == "product" else 40
    for k in range(18):
        ratio = float(10.0 ** rng.uniform(-wide, wide) if k % 3 == 0 else rng.uniform(0.01, 3.3))
        energy = float(10.0 ** (rng.uniform(-wide, wide) if k % 3 == 0 else rng.uniform(-4, 3)))
        if k % 3 == 2 and ratio < 1.0:
            start = critical_energy(ratio, structure=structure).value
            energy = float(start * (1.0 + 10.0 ** rng.uniform(-9, 0)))
        found = hessian_index(ratio, energy, structure=structure)
        _, share = exact(structure, ratio, energy, 0.0, digits=300 if k % 3 == 0 else 45)
        if share is None:
            share = 0 if ratio < 1.0 else ACTIVE[structure] / mp.mpf(ratio)
        assert abs(float(share - mp.mpf(found.value))) <= found.error
        assert found.error < 1e-14


def test_index_broadcasts_and_is_the_negative_share_of_the_spectrum():
    ratio, energy = np.array([0.2, 1.0, 2.5])[:, None], np.array([0.0, 0.05, 0.7, 20.0])
    for structure in NAMES:
        found = hessian_index(ratio, energy, structure=structure)
        assert found.value.shape == (3, 4)
        for i, j in np.ndindex(3, 4):
            s = hessian_spectrum(ratio=ratio[i, 0], energy=energy[j], structure=structure)
            below = s.cdf(-1e-13 * s.edges[1]) if s.atoms else s.cdf(0.0)
            other = 0.0 if energy[j] == 0.0 else below.value
            assert abs(s.negative_fraction.value - other) < 1e-12
            assert s.negative_fraction == found[i, j]


def test_index_at_the_ends_of_its_range_has_its_limits():
    assert hessian_index(1e-290, 1e290).value == pytest.approx(0.5)
    assert hessian_index(1e290, 1e-290).value == pytest.approx(0.5)
    assert hessian_index(1e290, 1e290, structure="relu").value == 0.5 / 1e290
    assert hessian_index(1e-200, 0.124).value == 0.0  # a semicircle around 1: 1/8
    assert hessian_index(1e-200, 0.126).value > 0.0
    assert hessian_index(0.7, 1e250, structure="linear").value == pytest.approx(0.5)
    assert hessian_index(1.5, 1e250, structure="relu").value == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="energy must be 0 or above, but it holds -1"):
        hessian_index(0.5, -1.0)
    with pytest.raises(ValueError, match=r"ratio must be between 1e-290 and 1e\+290"):
        hessian_index(1e-300, 1.0)


@pytest.mark.parametrize("structure", NAMES)
def test_energy_at_index_inverts_the_index(structure):
    ratio = np.array([0.03, 0.4, 0.95, 1.0, 1.3])[:, None]
    alpha = np.array([0.02, 0.15, 0.24, 0.3])
    found = energy_at_index(ratio, alpha, structure=structure)
    base = np.array([index_onset(float(r), structure=structure).base for r in ratio[:, 0]])
    assert np.array_equal(found.status == 0, alpha > base[:, None])
    ok = found.status == 0
    where = np.broadcast_to(ratio, ok.shape)[ok]
    back = hessian_index(where, found.value[ok], structure=structure)
    assert np.allclose(back.value, np.broadcast_to(alpha, ok.shape)[ok], rtol=1e-12)
    assert np.all(found.error[ok] < 1e-9 * found.value[ok])
    start = energy_at_index(0.4, 0.0, structure=structure)
    assert start.value == critical_energy(0.4, structure=structure).value
    assert np.isnan(energy_at_index(0.4, 0.5, structure=structure).value)
    with pytest.raises(ValueError, match=r"index must lie between 0 and 1, but it holds -0\.1"):
        energy_at_index(0.4, -0.1)


def test_critical_energy_of_a_relu_layer_is_the_printed_formula():
    ratio = np.array([1e-3, 0.05, 0.3, 0.7])
    chi = 1 + 16 * ratio - 8 * ratio**2
    printed = (27 - 18 * chi - chi**2 + 8 * chi**1.5) / (32 * ratio * (1 - ratio) ** 3)
    assert np.allclose(critical_energy(ratio, structure="relu").value, printed, rtol=1e-11)
    with mp.workdps(40):
        p = mp.mpf(ratio[1])
        x = 1 + 16 * p - 8 * p**2
        many = (27 - 18 * x - x**2 + 8 * x ** mp.mpf("1.5")) / (32 * p * (1 - p) ** 3)
    found = critical_energy(ratio[1], structure="relu")
    assert abs(float(many - mp.mpf(found.value))) <= found.error


@pytest.mark.parametrize("structure", NAMES)
@pytest.mark.parametrize("ratio", [1e-6, 0.05, 0.5, 0.99])
def test_critical_energy_is_where_the_lower_edge_is_zero(structure, ratio):
    closed = critical_energy(ratio, structure=structure).value
    root = critical_energy(ratio, structure=structure, method="root").value
    assert np.isclose(closed, root, rtol=1e-10)
    below = hessian_spectrum(ratio=ratio, energy=closed * 0.999, structure=structure)
    above = hessian_spectrum(ratio=ratio, energy=closed * 1.001, structure=structure)
    assert below.edges[0] > 0.0 > above.edges[0]
    assert below.negative_fraction.value == 0.0
    assert above.negative_fraction.value > 0.0


@pytest.mark.parametrize("structure", NAMES)
@pytest.mark.parametrize("ratio", [0.1, 0.6, 0.95])
def test_index_leaves_zero_with_the_power_three_halves(structure, ratio):
    e = critical_energy(ratio, structure=structure).value
    amplitude = critical_amplitude(ratio, structure=structure).value
    onset = index_onset(ratio, structure=structure)
    assert (onset.energy, onset.base, onset.exponent) == (e, 0.0, 1.5)
    for d in (1e-2, 1e-4):
        share = hessian_index(ratio, e * (1 + d), structure=structure).value
        assert abs(share / (amplitude * d**1.5) - 1) < 1.2 * d


@pytest.mark.parametrize("structure", NAMES)
@pytest.mark.parametrize("ratio", [1.0, 1.2, 1.95, 2.5, 40.0])
def test_index_beyond_ratio_one_starts_with_its_own_power(structure, ratio):
    onset = index_onset(ratio, structure=structure)
    assert onset.energy == 0.0
    energy = 1e-12 if onset.exponent > 0.3 else 1e-28
    share = hessian_index(ratio, energy, structure=structure).value
    if onset.amplitude.value == 0.0:
        p = {"relu": 0.5, "linear": 1.0}[structure]
        assert share == onset.base == p / ratio
        return
    grown = onset.amplitude.value * energy**onset.exponent
    assert abs((share - onset.base) / grown - 1) < 2e-3 + 2e-15 / grown
    further = hessian_index(ratio, 1e4 * energy, structure=structure).value
    assert abs((further - onset.base) / (share - onset.base) / 1e4**onset.exponent - 1) < 0.02


def test_beyond_one_plus_two_p_zero_keeps_an_atom_at_every_energy():
    for structure, p in (("relu", 0.5), ("linear", 1.0)):
        for ratio in (1 + 2 * p, 1.5 + 2 * p, 20.0):
            index = hessian_index(ratio, np.array([1e-9, 0.3, 1e9]), structure=structure)
            assert index.value.tolist() == [p / ratio] * 3
            s = hessian_spectrum(ratio=ratio, energy=0.3, structure=structure)
            mass = 1 - (1 + 2 * p) / ratio
            assert sum(m for _, m in s.atoms) == pytest.approx(mass, abs=1e-15)


def test_bad_structures_are_refused():
    with pytest.raises(ValueError, match="structure must be one of wigner, relu, linear, product"):
        hessian_spectrum(ratio=0.5, energy=0.1, structure="tanh")
    with pytest.raises(ValueError, match="structure must be one of"):
        critical_energy(0.5, structure="tanh")


@pytest.mark.parametrize(
    ("ratio", "energy", "structure"),
    [
        (1e4, 1e-30, "product"),  # nearly all mass on 1e-15, in a band up to 4e4
        (1.0, 1e-24, "wigner"),
        (3.0, 2.0, "relu"),  # the two largest jumps are one
        (1e4, 1e12, "linear"),
        (2.0 - 1e-12, 0.3, "relu"),  # zero has no atom any more, but nearly
    ],
)
def test_bands_of_many_scales_keep_their_mass(ratio, energy, structure):
    s = hessian_spectrum(ratio=ratio, energy=energy, structure=structure)
    p = np.linspace(0.01, 0.99, 21)
    q = s.quantile(p)
    assert np.all(np.diff(q.value) >= 0.0)
    free = q.value != 0.0
    found = s.cdf(q.value[free])
    assert np.all(abs(found.value - p[free]) < 1e-9)
    c = s.curve(300)
    # the points of the curve see the mass: none of its steps holds much of it
    jumps = np.diff(c.cdf)
    assert np.sort(jumps)[-1 - len(s.atoms)] < 0.1


def test_transform_close_to_the_axis_far_inside_of_a_gap_keeps_its_imaginary_part():
    s = hessian_spectrum(ratio=1e4, energy=1e12, structure="relu")
    z = 1.0 + 1e-12j
    f = 1.0 / s.stieltjes(z)
    assert abs(f.imag / 1.00020006e-12 - 1.0) < 1e-6  # many digits: polynomial at 60 of them
    assert s.stieltjes_error(z) < 1e-14


def test_a_critical_energy_beyond_all_floats_says_so():
    found = critical_energy([5e-324, 0.5], structure="linear")
    assert np.isinf(found.value[0])
    assert found.status.tolist() == [Status.OVERFLOW, Status.OK]
    assert critical_energy(5e-324).value == 0.125
    with pytest.raises(ValueError, match="ratio must be 1e-290 or more"):
        critical_amplitude(5e-324, structure="relu")
