"""Number formats: constants and rounding against real casts, probability masses against mpmath.

Ladder: casts of torch (exact), mpmath at 30 digits (1e-13), simulation of finite networks.
"""

import math

import mpmath
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.base import SpecError  # noqa: E402 - needs torch
from chione.torch.formats.counting import count  # noqa: E402
from chione.torch.formats.floats import FORMATS, format_of  # noqa: E402
from chione.torch.formats.laws import on_arrays, slope_on_arrays  # noqa: E402
from chione.torch.formats.masses import (  # noqa: E402
    activated_masses,
    gaussian_masses,
    scales,
    sent_back_masses,
    uniform_masses,
)

DTYPES = {name: getattr(torch, name) for name in FORMATS}
EVERY = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


def one(q, fluctuation=0.0):
    return scales(np.array([q]), np.ones(1), fluctuation)


def classes(x, form):
    """(becomes zero, subnormal, too large) by really casting."""
    y = x.to(DTYPES[form.name]).double().abs()
    told = x != 0
    normal = torch.finfo(DTYPES[form.name]).smallest_normal
    if form.saturates:  # what saturates cannot be told from what rounds to the largest number
        large = x.abs() > 464.0
    else:
        large = torch.isinf(y)
    return told & (y == 0), (y > 0) & (y < normal), large


@EVERY
def test_constants_are_those_of_torch(form):
    info = torch.finfo(DTYPES[form.name])
    assert form.largest == info.max
    assert form.smallest_normal == info.smallest_normal
    assert form.smallest == info.smallest_normal * info.eps
    assert form.smallest == torch.tensor(form.smallest).double().to(DTYPES[form.name]).double()


@EVERY
def test_borders_of_rounding_are_those_of_real_casts(form):
    zero = 2.0**form.zero_exponent

    def cast(x):
        return float(torch.tensor(x, dtype=torch.float64).to(DTYPES[form.name]).double())

    assert cast(zero) == 0.0
    # float64 goes through float32, which is subnormal itself below the smallest bfloat16
    assert cast(zero * (1.01 if form.name == "bfloat16" else 1.0 + 2e-7)) == form.smallest
    assert cast(form.normal_border) == form.smallest_normal
    assert cast(form.normal_border - form.smallest / 64) < form.smallest_normal
    edge = form.overflow_border
    step = edge * 2e-7  # what float32, through which the cast may go, still sees
    largest = form.largest
    assert cast(edge - step) == largest
    if not form.saturates:
        assert math.isinf(cast(edge)) == form.tie_overflows
        assert math.isinf(cast(edge + step))
    else:
        assert cast(edge) == largest and not form.tie_overflows


@EVERY
def test_counts_are_those_of_a_real_cast(form):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, generator=generator) * torch.exp2(
        torch.randint(-30, 20, (20_000,), generator=generator).float()
    )
    x[:7] = 0.0
    ties = torch.tensor(
        [2.0**form.zero_exponent, form.normal_border, form.smallest_normal, form.largest]
    )
    x = torch.cat([x, ties, -ties])
    found = count(x, [form])
    zero, subnormal, large = classes(x, form)
    assert found.zeros == 7 and found.told == x.numel() - 7
    assert found.up_to(form.zero_exponent) == int(zero.sum())
    assert found.subnormal[form.name] == int(subnormal.sum())
    assert found.overflow[form.name] == int(large.sum())
    for k in (-3, 4, 9):  # a power of two multiplies exactly
        zero = classes(x * 2.0**k, form)[0]
        assert found.underflow(form, k) == int(zero.sum()) / found.told


def test_what_is_not_finite_is_counted_apart():
    found = count(torch.tensor([1.0, math.nan, -math.inf, 0.0]), FORMATS.values())
    assert (found.size, found.zeros, found.broken, found.told) == (4, 1, 2, 1)
    assert found.square == 0.5 and found.largest == found.smallest == 1.0


def test_a_tensor_of_zeros_has_no_shares():
    found = count(torch.zeros(5), FORMATS.values())
    assert found.told == 0 and math.isnan(found.underflow(FORMATS["float16"]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_tensors_of_other_formats_are_counted_as_they_are(dtype):
    x = torch.tensor([0.5, 2.0**-20, 3.0], dtype=dtype)
    found = count(x, [FORMATS["float8_e4m3fn"]])
    assert found.up_to(-10) == 1 and found.largest == 3.0


def test_unknown_formats_are_refused_with_those_that_are_known():
    with pytest.raises(SpecError, match="float8_e4m3fn, float8_e5m2, but received 'float4'"):
        format_of("float4")
    assert format_of(torch.float8_e4m3fn) is format_of("e4m3") is format_of("float8_e4m3")


# ---- masses -------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("q", [1e-12, 3e-5, 1.7, 2e6])
def test_gaussian_masses_are_those_of_mpmath(form, q):
    found = gaussian_masses(form, one(q)).mean
    with mpmath.workdps(40):
        root = mpmath.sqrt(2 * mpmath.mpf(q))
        p, lowest = form.digits, form.lowest
        zero = mpmath.erf(mpmath.mpf(2) ** (lowest - p) / root)
        normal = mpmath.mpf(2) ** lowest - mpmath.mpf(2) ** (lowest - p)
        edge = mpmath.mpf(form.largest) + mpmath.mpf(2) ** (form.highest - p)
        exact = [zero, mpmath.erf(normal / root) - zero, mpmath.erfc(edge / root)]
        exact = [float(x) for x in exact]
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-300)


def test_a_fluctuating_length_is_the_mean_over_it():
    form, q, r = FORMATS["float16"], 1e-12, 0.3
    found = gaussian_masses(form, one(q, r))
    with mpmath.workdps(30):
        s2 = mpmath.log(1 + mpmath.mpf(r))

        def share(y):
            scale = mpmath.mpf(q) * mpmath.exp(mpmath.sqrt(s2) * y - s2 / 2)
            return mpmath.erf(mpmath.mpf(2) ** -25 / mpmath.sqrt(2 * scale))

        def density(y):
            return mpmath.exp(-y * y / 2) / mpmath.sqrt(2 * mpmath.pi)

        grid = [-12, -4, 0, 4, 12]
        mean = mpmath.quad(lambda y: share(y) * density(y), grid)
        square = mpmath.quad(lambda y: share(y) ** 2 * density(y), grid)
    assert found.mean[0] == pytest.approx(float(mean), rel=1e-10)
    assert found.variance[0] == pytest.approx(float(square - mean**2), rel=1e-8)
    assert one(q, r).mean == pytest.approx(q, rel=1e-12)


def test_sites_with_lengths_of_their_own_are_averaged():
    form = FORMATS["float8_e5m2"]
    both = scales(np.array([1e-6, 1e-9]), np.array([0.25, 0.75]), 0.0)
    each = [gaussian_masses(form, one(q)).mean for q in (1e-6, 1e-9)]
    np.testing.assert_allclose(
        gaussian_masses(form, both).mean, 0.25 * each[0] + 0.75 * each[1], rtol=1e-14
    )
    assert gaussian_masses(form, both).variance.max() == 0.0  # the sites are known


@EVERY
def test_uniform_masses_are_lengths_of_intervals(form):
    a = 2.0**form.zero_exponent * 3.0
    zero, subnormal, large = uniform_masses(form, a * a / 3.0).mean
    assert zero == pytest.approx(1.0 / 3.0, rel=1e-14)
    assert zero + subnormal == pytest.approx(min(form.normal_border / a, 1.0), rel=1e-14)
    assert large == 0.0


def silu(x):
    return x / (1 + mpmath.exp(-x))


@pytest.mark.parametrize(
    ("name", "value", "edges"),
    [
        ("relu", torch.relu, lambda t: [(mpmath.mpf(0), t)]),
        ("tanh", torch.tanh, lambda t: [(-mpmath.atanh(t), mpmath.atanh(t))]),
        (
            "silu",
            torch.nn.functional.silu,
            lambda t: [
                (
                    -mpmath.inf,
                    mpmath.findroot(lambda x: silu(x) + t, (-12, -3), solver="anderson"),
                ),
                (
                    mpmath.findroot(lambda x: silu(x) + t, (-1, 0), solver="anderson"),
                    mpmath.findroot(lambda x: silu(x) - t, (0, 1), solver="anderson"),
                ),
            ],
        ),
    ],
    ids=["relu", "tanh", "silu"],
)
@pytest.mark.parametrize("q", [0.3, 8.0])
def test_masses_behind_an_activation_are_those_of_mpmath(name, value, edges, q):
    form = FORMATS["float8_e4m3fn"]
    found = activated_masses(form, on_arrays(value, torch.float64), one(q)).mean
    with mpmath.workdps(30):
        root = mpmath.sqrt(mpmath.mpf(q))
        told = mpmath.mpf(1) / 2 if name == "relu" else mpmath.mpf(1)
        zero, below = (
            sum(mpmath.ncdf(b / root) - mpmath.ncdf(a / root) for a, b in edges(mpmath.mpf(t)))
            / told
            for t in (2.0**-10, 2.0**-6 - 2.0**-10)
        )
    np.testing.assert_allclose(found[:2], [float(zero), float(below - zero)], rtol=1e-10)
    assert found[2] == pytest.approx(0.0, abs=1e-14)


def test_a_square_that_is_too_large_is_seen_behind_its_activation():
    form = FORMATS["float8_e4m3fn"]
    found = activated_masses(form, on_arrays(torch.square, torch.float64), one(400.0)).mean
    exact = math.erfc(math.sqrt(464.0 / 800.0))
    assert found[2] == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("q", [0.5, 3.0])
def test_masses_of_what_tanh_sends_back_are_those_of_mpmath(q):
    form, square = FORMATS["float16"], 1e-14
    slope = slope_on_arrays(torch.tanh, torch.float64)
    found = sent_back_masses(form, slope, q, one(square)).mean
    with mpmath.workdps(30):
        root = mpmath.sqrt(mpmath.mpf(q))

        def density(z):
            return mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)

        grid = [-13, -4, -1, 0, 1, 4, 13]
        passed = mpmath.quad(lambda z: mpmath.sech(root * z) ** 4 * density(z), grid)
        u = mpmath.sqrt(mpmath.mpf(square) / passed)
        exact = mpmath.quad(
            lambda z: (
                mpmath.erf(mpmath.mpf(2) ** -25 / (mpmath.sech(root * z) ** 2 * u * mpmath.sqrt(2)))
                * density(z)
            ),
            grid,
        )
    assert found[0] == pytest.approx(float(exact), rel=1e-9)


def test_what_relu_stops_does_not_count():
    form = FORMATS["float16"]
    slope = slope_on_arrays(torch.relu, torch.float64)
    found = sent_back_masses(form, slope, 1.0, one(1e-14)).mean
    assert found[0] == pytest.approx(math.erf(2.0**-25 / math.sqrt(2.0 * 2e-14)), rel=1e-12)
