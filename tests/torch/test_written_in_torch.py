"""What people write in torch gives the numbers of the catalogue, or of mpmath."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

torch = pytest.importorskip("torch")

from written_in_torch import EXACT, TWINS  # noqa: E402 - needs torch

import chione as ch  # noqa: E402
from chione.activations import activation  # noqa: E402
from chione.theory.moments.moments import moments  # noqa: E402

LENGTHS = (1e-6, 0.3, 1.0, 30.0, 1e5)
PAIRS = ((1.0, 1.0, 0.3), (1e-4, 2.0, -0.9), (5.0, 5.0, 0.999))


def _agree(ours, theirs, what):
    """Both have a value and differ by the sum of their errors at most, or neither has one."""
    a, b = float(ours.value), float(theirs.value)
    assert np.isfinite(a) == np.isfinite(b), (what, ours, theirs)
    if np.isfinite(a):
        assert abs(a - b) <= float(ours.error) + float(theirs.error), (what, ours, theirs)


def some(names):
    """Every fourth by default, the others among the slow tests."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if k % 4 else [])
        for k, name in enumerate(sorted(names))
    ]


@pytest.mark.parametrize("name", some(TWINS))
def test_moments_and_kernels_are_those_of_the_twin(name):
    ours, theirs = (activation(f) for f in TWINS[name])
    for q in LENGTHS:
        for kind in ("mean", "square", "fourth", "derivative_square", "slope"):
            _agree(getattr(moments(ours), kind)(q), getattr(moments(theirs), kind)(q), (kind, q))
    for pair in PAIRS:
        _agree(ch.kernel(ours, *pair), ch.kernel(theirs, *pair), pair)
        _agree(ch.derivative_kernel(ours, *pair), ch.derivative_kernel(theirs, *pair), pair)


@pytest.mark.parametrize("name", some(TWINS))
def test_stated_errors_stay_tight(name):
    phi = activation(TWINS[name][0])
    # torch's slope of hardsigmoid holds 1/6 in single precision, so that it comes from fits
    most = 1e-10 if name != "hardsigmoid" else 3e-8
    for q in (0.3, 1.0, 30.0):
        for kind in ("square", "derivative_square"):
            got = getattr(moments(phi), kind)(q)
            assert got.error <= most * abs(got.value), (kind, q, got)


@mp.workdps(30)
def _mean(g, q, breaks):
    """E g(h), h ~ N(0, q), in mpmath, cut at the kinks and where g may change its face."""
    sigma = mp.sqrt(mpf(q))
    near = [mpf(k) / sigma for k in (*breaks, *range(-40, 41, 4))]
    cuts = sorted({*(k for k in near if abs(k) < 16), *map(mpf, range(-16, 17, 2))})
    return mp.quad(lambda z: g(sigma * z) * mp.exp(-z * z / 2), cuts) / mp.sqrt(2 * mp.pi)


@pytest.mark.parametrize("name", some(EXACT))
def test_mean_squares_are_those_of_mpmath(name):
    written, exact, breaks = EXACT[name]
    phi = moments(activation(written))
    for q in (0.05, 1.0, 60.0):
        got = phi.square(q)
        true = _mean(lambda x: exact(x) ** 2, q, breaks)
        assert abs(mpf(got.value) - true) <= got.error <= 1e-10 * true, (q, got, true)


def test_a_module_that_overwrites_its_argument_is_differentiated_by_torch():
    phi = activation(torch.nn.SiLU(inplace=True))
    assert phi.method == "autograd"
    assert phi.derivative_error == 0.0


def test_a_module_in_single_precision_is_taken_in_double_and_left_as_it_was():
    module = torch.nn.PReLU(init=0.25)
    got = ch.second_moment(module, 2.0)
    assert abs(got.value - (1 + 0.25**2)) <= got.error <= 1e-14
    assert module.weight.dtype == torch.float32


def test_numbers_that_torch_keeps_in_single_precision_are_the_functions_own():
    third = torch.tensor(1.0) / 3.0  # single precision: no third

    got = ch.second_moment(lambda x: x * third, 2.0)
    true = 2.0 * float(third) ** 2
    assert abs(got.value - true) <= got.error <= 1e-14


def test_two_solutions_of_a_symmetric_function_come_in_one_order():
    ours, twin = (
        [s.shift for s in ch.theory.critical_affine(f)] for f in (torch.sigmoid, "sigmoid")
    )
    np.testing.assert_allclose(ours, twin, rtol=1e-9)
    assert ours[0] < 0.0 < ours[1]
