"""Outliers against closed forms, and against simulated matrices with spikes."""

import numpy as np
import pytest

from chione import SpecError, Status
from chione.freeprob import (
    free_product,
    free_sum,
    marchenko_pastur,
    outliers,
    point_mass,
    semicircle,
)


def holds(estimate, exact):
    assert abs(estimate.value - exact) <= estimate.error <= 1e-9 * (1.0 + abs(exact))


@pytest.mark.parametrize("c", [0.2, 0.5, 3.0])
def test_spiked_covariance_has_the_place_and_overlap_of_bbp(c):
    above = [1.0 + 1.05 * np.sqrt(c), 4.0, 50.0]
    hidden = [1.0 + 0.95 * np.sqrt(c), 1.0]
    found = outliers(free_product(point_mass(1.0), marchenko_pastur(c)), above + hidden)
    assert found.kind == "product"
    for o, theta in zip(found.found, above, strict=False):
        assert (o.side, o.spike, o.part) == ("above", theta, 0)
        holds(o.place, theta * (1 + c / (theta - 1)))
        holds(o.overlap, (1 - c / (theta - 1) ** 2) / (1 + c / (theta - 1)))
    for o in found.found[3:]:
        assert (o.side, o.place.status, o.overlap.status) == ("none", Status.NONE, Status.NONE)
    upper = [t for t in found.thresholds if t.side == "upper"][-1]
    holds(upper.spike, 1 + np.sqrt(c))
    holds(upper.edge, (1 + np.sqrt(c)) ** 2)
    assert len(found.places) == 3


def test_small_spikes_of_a_covariance_come_out_below():
    found = outliers(free_product(point_mass(1.0), marchenko_pastur(0.5)), [0.1, 0.25, 0.4, 0.0])
    assert [o.side for o in found.found] == ["below", "below", "none", "below"]
    for o, theta in zip(found.found, [0.1, 0.25], strict=False):
        holds(o.place, theta * (1 + 0.5 / (theta - 1)))
        holds(o.overlap, (1 - 0.5 / (theta - 1) ** 2) / (1 + 0.5 / (theta - 1)))
    holds(next(t for t in found.thresholds if t.side == "lower").spike, 1 - np.sqrt(0.5))
    assert (found.found[3].place.value, found.found[3].overlap.value) == (0.0, 1.0)


def test_a_rank_one_perturbation_of_a_wigner_matrix():
    found = outliers(semicircle(1.0), [2.0, 1.01, 1.0, 0.5, -3.0])
    assert [o.side for o in found.found] == ["above", "above", "none", "none", "below"]
    for o in found.found:
        if o.side != "none":
            holds(o.place, o.spike + 1 / o.spike)
            holds(o.overlap, 1 - 1 / o.spike**2)
    assert [(t.side, round(float(t.spike), 9)) for t in found.thresholds] == [
        ("lower", -1.0),
        ("upper", 1.0),
    ]


def test_a_rank_one_perturbation_has_the_g_of_its_law_at_one_over_theta():
    law = marchenko_pastur(0.5)
    for o in outliers(law, [1.5, -0.7]).found:
        z = o.place.value
        g, slope = (complex(f(z).value).real for f in (law.stieltjes, law.stieltjes_derivative))
        assert np.isclose(g, 1 / o.spike, rtol=1e-12)
        assert np.isclose(o.overlap.value, -(g**2) / slope, rtol=1e-11)
    # multiplied: z G(z) - 1 = M(z) = 1/(theta - 1)
    for o in outliers(law, [3.0, 0.2], kind="product").found:
        m = complex(law.stieltjes(o.place.value).value).real * o.place.value - 1
        assert np.isclose(m, 1 / (o.spike - 1), rtol=1e-11)


def test_a_spike_has_an_outlier_in_every_gap_that_its_function_reaches():
    a = 3.0
    found = outliers(free_sum([-a, a], semicircle(1.0)), {0: [0.0, 2.0, 9.0], 1: [3.0]})
    # the semicircle adds G: z = theta + G_A(theta) for spikes of A, overlap 1 - int (theta - t)^-2
    for o, side in zip(found.found[:3], ["gap", "gap", "above"], strict=True):
        assert o.side == side
        holds(o.place, o.spike + o.spike / (o.spike**2 - a**2))
        share = 0.5 * ((o.spike - a) ** -2 + (o.spike + a) ** -2)
        holds(o.overlap, 1 - share)
    # spikes of B: omega_B = theta means G = (theta - sqrt(theta^2 - 4)) / 2 and z from A's side
    g = (3.0 - np.sqrt(5.0)) / 2.0
    w = np.array([-1.0, 1.0]) * np.sqrt(a**2 + 0.25 / g**2) + 0.5 / g  # G_A(w) = g
    assert [o.side for o in found.found[3:]] == ["gap", "above"]
    for o, place in zip(found.found[3:], w + g, strict=True):
        holds(o.place, place)


def haar(n, rng):
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return q * np.sign(np.diag(r))


def test_simulated_sums_have_their_outliers_in_place_and_direction():
    n = 700
    rng = np.random.default_rng(3)
    a = np.r_[3.0, -4.0, np.repeat([-1.0, 1.0], (n - 2) // 2)]
    b = np.r_[4.5, 0.5 * (1 - np.cos(np.pi * (np.arange(n - 1) + 0.5) / (n - 1)))]
    q = haar(n, rng)
    values, vectors = np.linalg.eigh(np.diag(a) + (q * b) @ q.T)
    found = outliers(free_sum(a[2:], b[1:]), {0: [3.0, -4.0], 1: [4.5]})
    assert len(found.found) >= 3
    tops = {(0, 3.0): np.eye(n)[0], (0, -4.0): np.eye(n)[1], (1, 4.5): q[:, 0]}
    for o in found.found:
        k = np.argmin(abs(values - o.place.value))
        assert abs(values[k] - o.place.value) < 3 * 2 / np.sqrt(n)
        share = (vectors[:, k] @ tops[o.part, o.spike]) ** 2
        assert abs(share - o.overlap.value) < 4 / np.sqrt(n)


def test_simulated_covariances_with_a_population_have_their_outliers():
    p, n = 400, 1200
    rng = np.random.default_rng(4)
    population = np.r_[9.0, 0.1, np.repeat([1.0, 3.0], (p - 2) // 2)]
    x = np.sqrt(population)[:, None] * rng.standard_normal((p, n))
    values, vectors = np.linalg.eigh(x @ x.T / n)
    found = outliers(free_product(population[2:], marchenko_pastur(p / n)), [9.0, 0.1])
    assert [o.side for o in found.found] == ["above", "below"]
    for o, k, i in zip(found.found, [p - 1, 0], [0, 1], strict=True):
        assert abs(values[k] / o.place.value - 1) < 4 * np.sqrt(2 / n)
        assert abs(vectors[i, k] ** 2 - o.overlap.value) < 4 / np.sqrt(n)


def test_spikes_that_belong_nowhere_are_refused():
    law = free_product(point_mass(1.0), marchenko_pastur(0.5))
    with pytest.raises(SpecError, match="there are 2 parts"):
        outliers(law, {2: [3.0]})
    with pytest.raises(SpecError, match="must be 0 or above"):
        outliers(law, [-1.0])
    with pytest.raises(ValueError, match="kind must be one of parts, sum, product"):
        outliers(law, [3.0], kind="both")


def test_outliers_print_and_travel(tmp_path):
    import chione

    found = outliers(semicircle(1.0), [2.0, 0.5])
    assert chione.load(found.save(tmp_path / "outliers.json")) == found
    assert "none" in str(found)
