"""Edges against closed forms, and the largest eigenvalue against simulated matrices.

A third root at zero of the semicircle plus signs: z = w - w/(1 - w^2) = -w^3 + ... near w = 0, so
the density there is sin(pi/3) |x|^(1/3) / pi. For a product of k Marchenko-Pasturs of ratio 1,
z x = (1 + x)^(k+1), so that near z = 0 zG = 1 + x = (-z)^(1/(k+1)).
"""

import numpy as np
import pytest

from chione import Status
from chione.freeprob import (
    AbstractMeasure,
    PointMasses,
    Semicircle,
    arcsine,
    bernoulli,
    edges,
    empirical,
    free_product,
    free_sum,
    marchenko_pastur,
    semicircle,
)


def holds(estimate, exact):
    assert abs(estimate.value - exact) <= estimate.error + 1e-300
    assert estimate.error <= 1e-8 * (1.0 + abs(exact))


@pytest.mark.parametrize("variance", [1.0, 0.37, 1e6])
def test_the_semicircle_has_scale_one(variance):
    low, high = edges(semicircle(variance, 0.5))
    r = 2.0 * np.sqrt(variance)
    assert (low.side, low.kind, high.side, high.kind) == ("lower", "soft", "upper", "soft")
    for edge, place in ((low, 0.5 - r), (high, 0.5 + r)):
        holds(edge.place, place)
        holds(edge.constant, variance**-0.75 / np.pi)
        holds(edge.scale, np.sqrt(variance))


@pytest.mark.parametrize("ratio", [0.1, 0.5, 2.0, 7.0])
def test_marchenko_pastur_has_the_scales_of_johnstone(ratio):
    # Johnstone's centred and scaled largest eigenvalue of X X^T / n with p = ratio n rows:
    # sigma = (sqrt n + sqrt p)(1/sqrt n + 1/sqrt p)^(1/3) / n; El Karoui's at the lower edge
    found = [e for e in edges(marchenko_pastur(ratio)) if e.side != "atom"]
    for edge, s in zip(found, (-1.0, 1.0), strict=True):
        holds(edge.place, (1.0 + s * np.sqrt(ratio)) ** 2)
        p = 1000.0
        n = p / ratio
        r, q = np.sqrt(n), s * np.sqrt(p)
        holds(edge.scale * p ** (-2 / 3), abs((r + q) / n * np.cbrt(1 / r + 1 / q)))
    atoms = [e for e in edges(marchenko_pastur(ratio)) if e.side == "atom"]
    assert len(atoms) == (ratio > 1.0)
    for atom in atoms:
        assert (atom.place.value, atom.kind) == (0.0, "atom")
        assert np.isclose(atom.constant.value, 1.0 - 1.0 / ratio, rtol=1e-14)


def test_hard_edges_have_exponent_minus_a_half():
    low, high = edges(marchenko_pastur(1.0))
    holds(low.place, 0.0)
    assert (low.exponent.value, low.kind, high.kind) == (-0.5, "hard", "soft")
    assert low.scale.status == Status.NONE
    holds(low.constant, 1.0 / np.pi)
    for edge, place in zip(edges(arcsine(2.0)), (-2.0, 2.0), strict=True):
        holds(edge.place, place)
        assert edge.exponent.value == -0.5
        holds(edge.constant, 0.5 / np.pi)


def test_the_product_of_two_square_gaussians_has_exponent_minus_two_thirds_at_zero():
    low, high = edges(free_product(marchenko_pastur(1.0), marchenko_pastur(1.0)))
    assert low.exponent.value == -2.0 / 3.0
    holds(low.constant, np.sin(np.pi / 3) / np.pi)
    holds(high.place, 27.0 / 4.0)
    # z = (1 + x)^3 / x at x = 1/2: z'' = 2 + 2 / x^3 = 18, and dG = dx / z
    holds(high.constant, np.sqrt(2.0 / 18.0) / (27.0 / 4.0) / np.pi)


def test_two_bands_that_just_meet_have_a_third_root():
    found = edges(free_sum(semicircle(1.0), bernoulli(0.5, low=-1.0, high=1.0)))
    assert [e.kind for e in found] == ["soft", "cusp", "cusp", "soft"]
    assert [e.side for e in found] == ["lower", "upper", "lower", "upper"]
    for edge in found[1:3]:
        holds(edge.place, 0.0)
        assert edge.exponent.value == 1.0 / 3.0
        holds(edge.constant, np.sin(np.pi / 3) / np.pi)
    holds(found[3].place, 1.5 * np.sqrt(3.0))


@pytest.mark.parametrize(("a", "count"), [(0.999, 2), (1.05, 4)])
def test_bands_that_nearly_meet_have_regular_edges(a, count):
    found = edges(free_sum(semicircle(1.0), bernoulli(0.5, low=-a, high=a)))
    assert [e.kind for e in found] == ["soft"] * count
    # w = a s with (a s^2 - a)^2 a^2... : z(w) = w + w/(w^2 - a^2), z' = 0 at the edges
    u = (2 * a**2 + 1 + np.array([-1.0, 1.0]) * np.sqrt(8 * a**2 + 1)) / 2  # w^2
    w = np.sqrt(u[u > 0])
    places = np.sort(np.concatenate([w + w / (w**2 - a**2), -w - w / (w**2 - a**2)]))
    for edge, place in zip(found, places, strict=True):
        holds(edge.place, place)


def test_atoms_stand_between_bands():
    found = edges(free_sum(bernoulli(0.7), bernoulli(0.8)))
    assert [e.side for e in found if e.side != "upper" or e.kind == "soft"][-1] == "atom"
    atoms = [(e.place.value, e.constant.value) for e in found if e.side == "atom"]
    assert np.allclose(atoms, [(1.0, 0.1), (2.0, 0.5)])
    assert [e.kind for e in edges(empirical([1.0, 2.0, 2.0]))] == ["atom", "atom"]
    assert edges(np.array([3.0]))[0].place.value == 3.0


class _Beta(AbstractMeasure):
    """Density proportional to x^p (1 - x)^2, by its own formula."""

    def __init__(self, power):
        self.power = power

    atoms = ()
    support = ((0.0, 1.0),)

    def density(self, x):
        x = np.asarray(x)
        inside = (x > 0) & (x < 1)
        return np.where(inside, np.where(inside, x, 0.5) ** self.power * (1 - x) ** 2, 0.0)

    def stieltjes(self, z):
        nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
        weights = self.density(nodes) * np.sqrt(nodes * (1 - nodes)) * np.pi / 4000
        z = np.asarray(z, dtype=complex)
        return np.sum(weights / (z[..., None] + 1e-9j - nodes), axis=-1)

    def stieltjes_derivative(self, z):
        raise AssertionError("not needed")

    def moments(self, n):
        raise AssertionError("not needed")


@pytest.mark.parametrize(
    ("power", "kind"), [(0.3, "other"), (0.0, "jump"), (1.0, "other"), (1.5, "other")]
)
def test_other_powers_are_found_from_the_density(power, kind):
    low, high = edges(_Beta(power))
    assert low.kind == kind
    holds(low.exponent, power)
    holds(low.constant, 1.0)
    assert (high.exponent.value, high.side) == (2.0, "upper")


def test_the_largest_eigenvalue_of_a_free_sum_fluctuates_by_tracy_widom():
    n, draws = 120, 300
    rng = np.random.default_rng(5)
    a, b = np.repeat([-1.0, 1.0], n // 2), np.linspace(0.0, 2.0, n)
    edge = edges(free_sum(a, b))[-1]
    assert edge.side == "upper" and edge.kind == "soft"
    top = []
    for _ in range(draws):
        q, r = np.linalg.qr(rng.standard_normal((n, n)))
        q = q * np.sign(np.diag(r))
        top.append(np.linalg.eigvalsh(np.diag(a) + (q * b) @ q.T)[-1])
    mean, std = edge.extreme_mean(n).value, edge.extreme_std(n).value
    # the limit is approached with corrections of relative order n^(-1/3) of the scale
    assert abs(np.mean(top) - mean) < std * (4 / np.sqrt(draws) + n ** (-1 / 3))
    assert abs(np.std(top) / std - 1.0) < 4 / np.sqrt(2 * draws) + n ** (-1 / 3)


def test_the_largest_eigenvalue_of_a_sample_covariance_with_a_population_fluctuates_so():
    p, n, draws = 100, 200, 300
    rng = np.random.default_rng(6)
    population = np.repeat([1.0, 3.0], p // 2)
    edge = edges(free_product(population, marchenko_pastur(p / n)))[-1]
    root = np.sqrt(population)[:, None]
    top = np.array(
        [
            np.linalg.svd(root * rng.standard_normal((p, n)), compute_uv=False)[0] ** 2 / n
            for _ in range(draws)
        ]
    )
    mean, std = edge.extreme_mean(p).value, edge.extreme_std(p).value
    assert abs(np.mean(top) - mean) < std * (4 / np.sqrt(draws) + p ** (-1 / 3))
    assert abs(np.std(top) / std - 1.0) < 4 / np.sqrt(2 * draws) + p ** (-1 / 3)
    low, high = (edge.extreme_quantile(q, p).value for q in (0.05, 0.95))
    assert abs(np.mean((top > low) & (top < high)) - 0.9) < 0.1


def test_the_lower_edge_counts_downwards():
    low, high = edges(semicircle(1.0))
    assert np.isclose(low.extreme_mean(64).value, -high.extreme_mean(64).value, rtol=1e-12)
    assert np.isclose(high.extreme_mean(64).value, 2.0 - 1.2065335745820 / 16.0, rtol=1e-12)
    q = low.extreme_quantile(0.1, 64).value
    assert np.isclose(q, -high.extreme_quantile(0.9, 64).value, rtol=1e-12)


def test_results_print_compare_and_travel(tmp_path):
    import chione

    edge = edges(PointMasses((0.0, 1.0), (0.5, 0.5)))[0]
    assert chione.load(edge.save(tmp_path / "edge.json")) == edge
    soft = edges(Semicircle(1.0))[1]
    assert chione.load(soft.save(tmp_path / "edge.npz")) == soft
    assert "place" in str(soft)
