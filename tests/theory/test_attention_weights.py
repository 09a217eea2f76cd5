"""Moments of softmax weights against integrals over scores, simulation and limits.

The oracles integrate over the scores themselves; the package integrates over Laplace variables.
"""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

import chione.theory.moments.attention_lines as lines
import chione.theory.moments.attention_weights as weights
from chione.theory.moments.attention_weights import (
    head_size_correction,
    pair_moments,
    row_moments,
    weight_distance,
)


def gaussian_grid(reach=9.0, step=0.05):
    z = np.arange(-reach, reach + step / 2, step)
    return z, step * np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)


def softmax(u):
    e = np.exp(u - u.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ---- one row -----------------------------------------------------------------------------------


@pytest.mark.parametrize("v", ["1e-8", "0.3", "1", "6", "40", "1e4"])
def test_a_row_of_two_tokens_is_an_integral_over_their_difference(v):
    """w = (p, 1 - p), p = sigmoid of a difference of variance 2 v, at 30 digits."""
    with mp.workdps(30):
        s = mp.sqrt(2 * mp.mpf(v))
        cuts = sorted({-12, 12, 0, *(float(x / s) for x in (-60, -5, 5, 60) if abs(x / s) < 12)})

        def mean(f):
            return mp.quad(lambda z: f(1 / (1 + mp.exp(-s * z))) * mp.npdf(z), cuts)

        square = mean(lambda p: p**2 + (1 - p) ** 2)
        cube = mean(lambda p: p**3 + (1 - p) ** 3)
        squared = mean(lambda p: (p**2 + (1 - p) ** 2) ** 2)
        slope = mean(lambda p: 4 * (p * (1 - p)) ** 2)
    row = row_moments(float(v), 2)
    for found, wanted, error in zip(row, (square, cube, squared, slope), row.errors, strict=False):
        assert abs(found - wanted) <= error
        assert error < 1e-8


def test_a_row_of_three_tokens_is_an_integral_over_three_scores():
    z, w = gaussian_grid(8.0, 0.2)
    for v in (0.5, 3.0):
        u = math.sqrt(v) * np.stack(np.meshgrid(z, z, z, indexing="ij"), axis=-1)
        mass = w[:, None, None] * w[:, None] * w
        p = softmax(u)
        row = row_moments(v, 3)
        square = (p**2).sum(axis=-1)
        wanted = [square, (p**3).sum(axis=-1), square**2]
        for found, one, error in zip(row, wanted, row.errors, strict=False):
            assert abs(found - (mass * one).sum()) <= error + 1e-13


@pytest.mark.parametrize(
    ("v", "tokens", "square", "slope"),
    [(1.0, 6, 0.29001, 0.15019), (4.0, 64, 0.1607, None), (2.0, 1024, 0.00677, None)],
)
def test_rows_have_the_values_that_were_simulated_before(v, tokens, square, slope):
    row = row_moments(v, tokens)
    assert abs(row.square / square - 1.0) < 1e-3
    assert slope is None or abs(row.slope / slope - 1.0) < 1e-3


def test_rows_have_their_limits():
    """Uniform weights, one token, and the log-normal law at a number of tokens far above e^v."""
    for tokens in (2, 7, 10**9):
        row = row_moments(0.0, tokens)
        assert abs(row.square - 1.0 / tokens) <= row.errors[0] <= 1e-10 / tokens
        assert abs(row.slope - (tokens - 1) / tokens**2) <= row.errors[3] <= 1e-9 / tokens
    assert row_moments(3.0, 1) == weights.RowMoments(1.0, 1.0, 1.0, 0.0, (0.0,) * 4)
    row = row_moments(1.0, 10**9)
    # E w^2 T = e^v (1 + O(e^{3 v} / T))
    assert abs(row.square * 1e9 / math.e - 1.0) < 1e-7


# ---- two rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [-1.0, -0.6, 0.0, 0.3, 0.95, 1.0])
@pytest.mark.parametrize(("v1", "v2"), [(0.8, 0.8), (0.5, 3.0), (5.0, 5.0)])
def test_two_rows_of_two_tokens_are_an_integral_over_two_differences(v1, v2, rho):
    z, w = gaussian_grid(9.0, 0.04)
    one = math.sqrt(2.0 * v1) * z[:, None]
    two = math.sqrt(2.0 * v2) * (rho * z[:, None] + math.sqrt(1.0 - rho**2) * z)
    p, q = 1.0 / (1.0 + np.exp(-one)), 1.0 / (1.0 + np.exp(-two))
    overlap = w @ (p * q + (1.0 - p) * (1.0 - q)) @ w
    slope = w @ (4.0 * p * (1.0 - p) * q * (1.0 - q)) @ w
    found = pair_moments(v1, v2, rho, (2,), (2,))
    assert abs(found.overlap[0] - overlap) <= found.overlap_error[0] + 1e-14
    assert abs(found.slope[0] - slope) <= found.slope_error[0] + 1e-14
    assert found.overlap_error[0] < 1e-7


@pytest.mark.parametrize(
    ("v1", "v2", "rho", "t1", "t2"),
    [
        (1.0, 1.0, 0.2, 6, 6),
        (1.0, 3.0, 0.5, 3, 7),
        (3.0, 1.0, -0.7, 7, 4),
        (9.0, 9.0, 0.9, 40, 64),
        (200.0, 50.0, 0.8, 5, 9),
        (1.0, 0.0, 0.4, 2, 5),
    ],
)
def test_two_rows_are_what_drawn_scores_give(v1, v2, rho, t1, t2):
    rng = np.random.default_rng(7)
    n, most = 400_000 // max(t1, t2), max(t1, t2)
    drawn = []
    for _ in range(10):
        z = rng.standard_normal((2, n, most))
        u = [math.sqrt(v1) * z[0], math.sqrt(v2) * (rho * z[0] + math.sqrt(1 - rho**2) * z[1])]
        both = np.zeros((2, n, most))
        for i, t in enumerate((t1, t2)):
            both[i, :, :t] = softmax(u[i][:, :t])
        a, b = both
        x = (a * b).sum(axis=1)
        # tr D D', written out with both matrices' entries
        trace = x - (a * a * b).sum(axis=1) - (a * b * b).sum(axis=1) + x * x
        drawn.append([x, trace])
    drawn = np.concatenate(drawn, axis=1)
    mean, se = drawn.mean(axis=1), drawn.std(axis=1) / math.sqrt(drawn.shape[1])
    found = pair_moments(v1, v2, rho, (t1,), (t2,))
    for value, error, wanted, spread in (
        (found.overlap[0], found.overlap_error[0], mean[0], se[0]),
        (found.slope[0], found.slope_error[0], mean[1], se[1]),
    ):
        assert abs(value - wanted) <= 4.0 * spread + error
        assert error < 0.02 * value


def test_rows_that_are_one_row_agree_with_it():
    for v, tokens in ((0.7, 5), (12.0, 30), (2.0, 10**6)):
        row, pair = row_moments(v, tokens), pair_moments(v, v, 1.0, (tokens,), (tokens,))
        assert abs(row.square - pair.overlap[0]) <= row.errors[0] + pair.overlap_error[0]
        assert abs(row.slope - pair.slope[0]) <= row.errors[3] + pair.slope_error[0]


def test_several_numbers_of_tokens_in_one_call_are_those_of_single_calls():
    counts = list(itertools.product((1, 2, 5), (1, 3, 6)))
    first, second = zip(*counts, strict=True)
    found = pair_moments(1.2, 0.6, 0.5, first, second)
    for i, (a, b) in enumerate(counts):
        one = pair_moments(1.2, 0.6, 0.5, (a,), (b,))
        assert abs(found.overlap[i] - one.overlap[0]) <= found.overlap_error[i] + 1e-12
        assert abs(found.slope[i] - one.slope[0]) <= found.slope_error[i] + one.slope_error[0]


def test_stated_errors_hold_against_finer_rules(monkeypatch):
    """Random arguments, condensed rows among them; the finer rule has half the steps."""
    rng = np.random.default_rng(3)
    cases = []
    for _ in range(30):
        v1, v2 = 10.0 ** rng.uniform(-3, 2.0, 2)
        rho = rng.choice([rng.uniform(-1, 1), 1 - 10.0 ** rng.uniform(-6, 0)])
        t = np.sort((2 + 10.0 ** rng.uniform(0, 6, 2)).astype(int))
        cases.append((v1, v1 if rng.random() < 0.5 else v2, rho, (int(t[0]),), (int(t[1]),)))
    coarse = [pair_moments(*case) for case in cases]
    rows = [row_moments(case[0], case[3][0]) for case in cases]
    monkeypatch.setattr(lines, "_STEP", 0.14)
    monkeypatch.setattr(lines, "_EXPONENT", 50.0)
    weights._pairs.cache_clear()
    row_moments.cache_clear()
    try:
        for case, found, row in zip(cases, coarse, rows, strict=True):
            fine, fine_row = pair_moments(*case), row_moments(case[0], case[3][0])
            assert abs(found.overlap[0] - fine.overlap[0]) <= found.overlap_error[0], case
            assert abs(found.slope[0] - fine.slope[0]) <= found.slope_error[0], case
            for a, b, error in zip(row[:4], fine_row[:4], row.errors, strict=True):
                assert abs(a - b) <= error, case
    finally:
        weights._pairs.cache_clear()
        row_moments.cache_clear()


@pytest.mark.parametrize("gap", [0.3, 1e-2, 1e-6, 1e-14])
def test_distances_of_near_rows_keep_their_digits(gap):
    """Two tokens: 2 E (p - q)^2 over mean and difference of the two score differences."""
    v, (z, w) = 1.3, gaussian_grid(9.0, 0.04)
    middle = math.sqrt(2.0 * v - gap / 2.0) * z[:, None]
    half = math.sqrt(gap / 2.0) * z  # each difference is the middle plus or minus this
    # sigmoid(m + h) - sigmoid(m - h) without cancellation
    step = np.sinh(half) / (np.cosh(middle) + np.cosh(half))
    wanted = 2.0 * w @ step**2 @ w
    value, error = weight_distance(v, gap, 2)
    assert abs(value - wanted) <= error + 1e-13 * wanted
    assert error <= 2e-9 * wanted


def test_the_correction_for_the_size_of_heads_is_what_drawn_heads_show():
    rng = np.random.default_rng(5)
    v, tokens, size = 5.0, 6, 32
    q = rng.standard_normal((200_000, 1, size), dtype=np.float32)
    total = []
    for _ in range(2):
        # given the query a score is N(0, v |q|^2 / d)
        length = math.sqrt(v) * np.sqrt((q**2).mean(axis=2))
        w = softmax(length * rng.standard_normal((len(q), tokens)))
        total.append((w**2).sum(axis=1))
    total = np.concatenate(total)
    change, se = total.mean() / row_moments(v, tokens).square - 1.0, total.std() / len(total) ** 0.5
    theory = head_size_correction(v, tokens, size)
    assert abs(change - theory) < 4.0 * se / total.mean() + 0.15 * abs(theory)
    assert theory < -0.008
