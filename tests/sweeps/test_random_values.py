"""No true error above a stated one: random activations written by hand, against closed forms."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from families import Member, draw

import chione as ch

LARGEST = 1e-9  # a stated error may not hide behind its size: relative to the size of the terms


def check(
    label: str, estimate: ch.Estimate, truth: mp.mpf, size: mp.mpf, rounding: float = 0.0
) -> str:
    """What is wrong with one value; empty if nothing is."""
    value, error = float(estimate.value), float(estimate.error)
    if estimate.status not in (ch.Status.OK, ch.Status.INEXACT):
        # only what float64 cannot hold may stay without an answer
        return "" if not 1e-280 < abs(truth) < 1e280 else f"{label}: {estimate!r} for {truth}"
    if not np.isfinite(value):
        return f"{label}: {value} with status {estimate.status!r} for {truth}"
    off = abs(mp.mpf(value) - truth)
    if off > error:
        ratio = mp.nstr(off / error, 3) if error else "infinite"
        return f"{label}: {value!r} +- {error:.1e} for {mp.nstr(truth, 20)}, ratio {ratio}"
    allowed = max(LARGEST, 64.0 * rounding)  # what the values do not hold nobody can tell
    if estimate.status == ch.Status.OK and error > allowed * max(abs(truth), size):
        return f"{label}: {value!r} +- {error:.1e} is hardly a value"
    return ""


def values(member: Member, rng: np.random.Generator) -> list[str]:
    """Eight values of one activation, each beside its closed form."""
    q1, q2 = (float(10.0 ** rng.uniform(-8.0, 4.0)) for _ in range(2))
    gap = float(10.0 ** rng.uniform(-14.0, 0.3))
    c = 1.0 - gap if rng.uniform() < 0.7 else float(rng.uniform(-1.0, 1.0))
    w, b = (float(10.0 ** rng.uniform(-2.0, 2.0)) for _ in range(2))
    Q1, Q2, C = mp.mpf(q1), mp.mpf(q2), mp.mpf(c)
    s = C * mp.sqrt(Q1 * Q2)
    square, f = member.square(Q1), member.f
    out = [
        check("second_moment", ch.second_moment(f, q1), square, square),
        check(
            "length_map",
            ch.length_map(f, q1, sigma_w=w, sigma_b=b),
            mp.mpf(w) ** 2 * square + mp.mpf(b) ** 2,
            mp.mpf(0),
        ),
        check("length_slope", ch.length_slope(f, q1), member.slope(Q1), square / Q1),
        check(
            "kernel",
            ch.kernel(f, q1, q2, c),
            member.kernel(Q1, Q2, s),
            mp.sqrt(square * member.square(Q2)),
        ),
        check("unequal c", *_map(member, f, q1, q2, c, w, b)),
        check("1 - c", *_gap(member, f, q1, c, w, b), member.rounding),
    ]
    if member.derivative_kernel is not None:
        out += [
            check(
                "derivative_second_moment",
                ch.derivative_second_moment(f, q1),
                member.derivative_square(Q1),
                mp.mpf(0),
            ),
            check(
                "derivative_kernel",
                ch.derivative_kernel(f, q1, q2, c),
                member.derivative_kernel(Q1, Q2, s),
                mp.sqrt(member.derivative_square(Q1) * member.derivative_square(Q2)),
            ),
        ]
    return [f"{member.label}, q1={q1!r}, q2={q2!r}, c={c!r}, {text}" for text in out if text]


def _map(member, f, q1, q2, c, w, b):
    Q1, Q2, W, B = (mp.mpf(x) for x in (q1, q2, w, b))
    v1, v2 = (W**2 * member.square(q) + B**2 for q in (Q1, Q2))
    covariance = W**2 * member.kernel(Q1, Q2, mp.mpf(c) * mp.sqrt(Q1 * Q2)) + B**2
    got = ch.correlation_map(f, c, q=q1, q2=q2, sigma_w=w, sigma_b=b)
    return got, covariance / mp.sqrt(v1 * v2), mp.mpf(1)


def _gap(member, f, q, c, w, b):
    Q, W, B, gap = mp.mpf(q), mp.mpf(w), mp.mpf(b), mp.mpf(1.0 - c)
    with mp.workdps(60):
        v = W**2 * member.square(Q) + B**2
        truth = W**2 * (member.square(Q) - member.kernel(Q, Q, (1 - gap) * Q)) / v
    got = ch.one_minus_correlation_map(f, 1.0 - c, q=q, sigma_w=w, sigma_b=b)
    return got, truth, mp.mpf(0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_true_error_above_a_stated_one(seed):
    rng = np.random.default_rng(1000 + seed)
    wrong = [text for _ in range(12) for text in values(draw(rng), rng)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(20))
def test_no_true_error_above_a_stated_one_in_ten_thousand_values(seed):
    rng = np.random.default_rng(2000 + seed)
    wrong = [text for _ in range(68) for text in values(draw(rng), rng)]
    assert not wrong, "\n".join(wrong)
