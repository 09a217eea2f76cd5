"""Curves over the layers and their errors. Oracles: arcsine and arc-cosine laws at 50 digits."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from chione.base import CostError, Status
from chione.theory import trajectory

FIELDS = ("q", "c", "one_minus_c", "chi", "gradient", "log10_gradient")


def erf_layer(q, c, w2, b2):
    """Length, correlation and slope of the next layer of erf units."""
    x, top = 2 * q / (1 + 2 * q), 2 / mp.pi
    after = w2 * top * mp.asin(x) + b2
    return after, (w2 * top * mp.asin(x * c) + b2) / after, w2 * 4 / mp.pi / mp.sqrt(1 + 4 * q)


def relu_layer(q, c, w2, b2):
    theta = mp.acos(c)
    kernel = (mp.sin(theta) + (mp.pi - theta) * c) / (2 * mp.pi)
    after = w2 * q / 2 + b2
    return after, (w2 * q * kernel + b2) / after, w2 / 2


def reference(layer, w, b, depth, q0, c0):
    w2, b2 = mp.mpf(w) ** 2, mp.mpf(b) ** 2
    q = w2 * q0 + b2
    c = (w2 * mp.mpf(q0) * mp.mpf(c0) + b2) / q
    rows = []
    for _ in range(depth):
        after, image, chi = layer(q, c, w2, b2)
        rows.append((q, c, 1 - c, chi))
        q, c = after, image
    logs = [mp.mpf(0)]
    for row in reversed(rows[:-1]):
        logs.insert(0, logs[0] + mp.log10(row[3]))
    return {
        **{name: [row[i] for row in rows] for i, name in enumerate(FIELDS[:4])},
        "gradient": [mp.mpf(10) ** x for x in logs],
        "log10_gradient": logs,
    }


@pytest.mark.parametrize(
    ("name", "layer", "w", "b", "q0", "c0"),
    [
        ("erf", erf_layer, 1.3, 0.3, 1.0, 0.5),
        ("erf", erf_layer, 3.0, 0.05, 2.0, 0.9999),
        ("erf", erf_layer, 0.8, 0.0, 0.3, -0.4),
        ("erf", erf_layer, 1e-4, 0.0, 1.0, 0.2),
        ("relu", relu_layer, 2.0**0.5, 0.0, 1.0, 0.5),
        ("relu", relu_layer, 1.2, 0.4, 5.0, 0.0),
        ("relu", relu_layer, 0.01, 0.0, 1.0, 0.5),
    ],
)
def test_every_number_of_a_trajectory_is_within_its_error(name, layer, w, b, q0, c0):
    ours = trajectory(name, sigma_w=w, sigma_b=b, depth=60, q0=q0, c0=c0)
    with mp.workdps(50):
        exact = reference(layer, w, b, 60, q0, c0)
        for field in FIELDS:
            for l in range(60):
                value, error = (
                    mp.mpf(float(x)) for x in (getattr(ours, field)[l], ours.errors[field][l])
                )
                missed = abs(value - exact[field][l])
                assert missed <= error or missed < mp.mpf("5e-324"), (field, l)
                if field in ("q", "one_minus_c", "chi"):
                    assert error <= 1e-9 * exact[field][l] + mp.mpf("1e-320"), (field, l)


def test_a_signal_that_underflows_keeps_its_correlation_and_its_gradient():
    ours = trajectory("relu", sigma_w=0.01, depth=100)
    assert ours.status == Status.OK
    assert ours.q[-1] == 0.0
    assert ours.q[60] > 0.0
    assert abs(ours.log10_gradient[0] - 99 * np.log10(5e-5)) <= ours.errors["log10_gradient"][0]
    still = trajectory("relu", sigma_w=2.0**0.5, depth=100)  # the same correlations at any size
    assert np.all(np.abs(ours.c - still.c) <= ours.errors["c"] + still.errors["c"])


@pytest.mark.parametrize("name", ["x**2", "x**3", "x*abs(x)"])
def test_a_signal_that_collapses_faster_than_exponentially_ends_with_a_status(name):
    ours = trajectory(name, sigma_w=0.1, depth=500)
    assert ours.status == Status.UNDEFINED
    assert np.isnan(ours.c[-1])


@pytest.mark.parametrize("depth", [10**9, 10**30, 10**290])
def test_a_trajectory_too_long_to_compute_is_refused_before_it_begins(depth):
    with pytest.raises(CostError, match="gain and large_depth take any depth"):
        trajectory("tanh", sigma_w=1.5, depth=depth)
