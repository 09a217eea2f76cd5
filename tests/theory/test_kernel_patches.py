"""Kernels of inputs of any norms from polynomials, against recursions and the layers one by one.

The ladder: closed recursions in plain NumPy (relu, erf) and in 30 digits (tanh, hardtanh), which
share no code; the layers one by one for everything else.
"""

import math

import mpmath as mp
import numpy as np
import pytest

from chione.activations import activation
from chione.base import ConvergenceError
from chione.networks import MLP
from chione.theory import kernel, nngp, ntk, second_moment
from chione.theory.depth import deep_lengths, deep_nodes, deep_patch, kernel_patches
from chione.theory.depth.kernel_mixed import mixed_kernels

RNG = np.random.default_rng
N = 231  # 26,796 pairs, for which polynomials are worth their nodes


def _gauss(n, d, seed=0):
    return RNG(seed).standard_normal((n, d))


def _images(n, d=60, seed=0):
    """Rows without negative entries, correlated up to 0.999, of lengths between 1 and 9."""
    rng = RNG(seed)
    prototypes = rng.random((6, d)) ** 3
    rows = prototypes[rng.integers(0, 6, n)] * rng.uniform(0.5, 1.5, (n, 1))
    return rows + 0.08 * rng.random((n, d))


def _with_odd_rows(n, d=12, seed=0):
    """A zero input, lengths 1e6 and 1e-5 times the others, equal, close and opposite rows."""
    x = _gauss(n, d, seed)
    x[3], x[4], x[11] = 0.0, 1e6 * x[4], 1e-5 * x[11]
    x[6], x[8], x[10] = x[5], x[7] * (1.0 + 1e-7), -x[9]
    return x


def _arc_cosine(x, y, w2, b2, depth):
    """Both kernels of relu by the recursion of Cho and Saul, entry by entry."""
    d = x.shape[1]
    k = w2 * x @ y.T / d + b2
    one, two = (w2 * np.einsum("ij,ij->i", z, z) / d + b2 for z in (x, y))
    theta = k.copy()
    for _ in range(depth - 1):
        root = np.sqrt(one[:, None] * two)
        angle = np.arccos(np.clip(k / root, -1.0, 1.0))
        slope = (math.pi - angle) / (2.0 * math.pi)
        k = w2 * (root * np.sin(angle) / (2.0 * math.pi) + slope * k) + b2
        one, two = w2 * one / 2.0 + b2, w2 * two / 2.0 + b2
        theta = k + w2 * slope * theta
    return k, theta


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(math.sqrt(2.0), 0.1), (1.2, 0.5), (1.7, 0.3)])
def test_relu_of_any_norms_agrees_with_a_plain_recursion(sigma_w, sigma_b):
    x = _gauss(N, 20)
    net = MLP("relu", sigma_w, sigma_b, depth=12)
    plain = _arc_cosine(x, x, sigma_w**2, sigma_b**2, 12)
    off = ~np.eye(N, dtype=bool)  # there the plain recursion has a root of its rounding
    for found, exact in zip((nngp(net, x), ntk(net, x)), plain, strict=True):
        size = np.abs(exact).max()
        np.testing.assert_array_less(
            np.abs(found.value - exact)[off], found.error[off] + 1e-13 * size
        )
        assert found.error.max() < 3e-12 * size
        np.testing.assert_array_equal(found.value, found.value.T)


def test_two_sets_of_inputs_meet_as_in_one():
    x = _images(N)
    net = MLP("relu", 1.5, 0.2, depth=8)
    exact = _arc_cosine(x[:120], x[120:], 1.5**2, 0.2**2, 8)
    for function, true in zip((nngp, ntk), exact, strict=True):
        whole, part = function(net, x), function(net, x[:120], x[120:])
        corner = whole.value[:120, 120:]
        assert np.all(np.abs(part.value - corner) <= part.error + whole.error[:120, 120:])
        np.testing.assert_allclose(part.value, true, rtol=1e-12)


LAYERS = {
    "relu": (1.4, 0.1, 10),
    "erf": (2.5, 0.1, 15),
    "gelu": (1.5, 0.0, 6),
    "tanh": (1.5, 0.05, 10),
    "hardtanh": (1.4, 0.1, 4),
    "leaky": (1.3, 0.3, 5),
    "silu": (1.6, 0.2, 4),
}


def _act(name):
    return activation((lambda h: np.where(h > 0.0, h, 0.2 * h)) if name == "leaky" else name)


def _agree_with_the_layers(name, inputs, monkeypatch):
    monkeypatch.setattr(kernel_patches, "_WORTH", 3000)  # so that there are many of them
    monkeypatch.setattr(kernel_patches, "_SHARE", 1.0)
    sigma_w, sigma_b, depth = LAYERS[name]
    x = inputs(N)
    net = MLP(_act(name), sigma_w, sigma_b, depth=depth)
    for with_ntk in (False, True):
        one = kernel_patches.patched_kernels(net, x, x, same=True, with_ntk=with_ntk)
        two = mixed_kernels(net, x, x, same=True, with_ntk=with_ntk)
        assert one is not None
        assert np.all(np.abs(one.value - two.value) <= one.error + two.error)
        assert np.median(one.error / two.error) < 20.0
        assert np.all(np.isfinite(one.error))


@pytest.mark.parametrize("name", ["relu", "erf", "gelu", "hardtanh"])
def test_polynomials_agree_with_the_layers_one_by_one(name, monkeypatch):
    _agree_with_the_layers(name, _images, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [_images, _with_odd_rows], ids=["images", "odd rows"])
@pytest.mark.parametrize("name", LAYERS)
def test_polynomials_agree_with_the_layers_for_odd_inputs_too(name, inputs, monkeypatch):
    _agree_with_the_layers(name, inputs, monkeypatch)


def _tanh(q1, q2, k):
    """E tanh tanh and E tanh' tanh' by trapezoids in 30 digits."""
    c = k / mp.sqrt(q1 * q2)
    s, step = mp.sqrt(1 - c * c), mp.mpf("0.15")
    z = [step * i for i in range(-60, 61)]
    w = [step * mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi) for x in z]
    value = slope = mp.mpf(0)
    for x, p in zip(z, w, strict=True):
        a = mp.tanh(mp.sqrt(q1) * x)
        inner = [mp.tanh(mp.sqrt(q2) * (c * x + s * y)) for y in z] if s else []
        if not s:
            b = mp.tanh(mp.sqrt(q2) * x)
            value, slope = value + p * a * b, slope + p * (1 - a * a) * (1 - b * b)
            continue
        value += p * a * mp.fsum(v * b for v, b in zip(w, inner, strict=True))
        slope += p * (1 - a * a) * mp.fsum(v * (1 - b * b) for v, b in zip(w, inner, strict=True))
    return value, slope


def _hardtanh(q1, q2, k):
    """The same for hardtanh, by one integral over u1 and the moments of a cut normal."""
    s1 = mp.sqrt(q1)
    beside = mp.sqrt(max(q2 - k * k / q1, mp.mpf(0)))

    def inner(u):
        m = k / q1 * u
        if not beside:
            return min(max(m, mp.mpf(-1)), mp.mpf(1)), mp.mpf(abs(m) < 1)
        a, b = (-1 - m) / beside, (1 - m) / beside
        mass = mp.ncdf(b) - mp.ncdf(a)
        mean = m * mass + beside * (mp.npdf(a) - mp.npdf(b)) + 1 - mp.ncdf(b) - mp.ncdf(a)
        return mean, mass

    def value(z):
        u = s1 * z
        return mp.npdf(z) * min(max(u, mp.mpf(-1)), mp.mpf(1)) * inner(u)[0]

    edge = 1 / s1
    points = sorted([-12, -6, -3, -edge, 0, edge, 3, 6, 12])
    inside = [-edge, 0, edge]
    return (
        mp.quad(value, points),
        mp.quad(lambda z: mp.npdf(z) * inner(s1 * z)[1], inside),
    )


@pytest.mark.parametrize(
    ("name", "layer", "depth"), [("tanh", _tanh, 3), ("hardtanh", _hardtanh, 3)]
)
def test_activations_without_closed_form_agree_with_thirty_digits(name, layer, depth):
    x = _gauss(N, 10, 5)
    sigma_w, sigma_b = 1.5, 0.2
    net = MLP(name, sigma_w, sigma_b, depth=depth)
    k, t = nngp(net, x), ntk(net, x)
    with mp.workdps(22):
        w2, b2 = mp.mpf(sigma_w) ** 2, mp.mpf(sigma_b) ** 2
        for i, j in ((17, 200),):
            rows = [[mp.mpf(float(v)) for v in x[r]] for r in (i, j)]
            a, m, b = (
                w2 * mp.fdot(rows[p], rows[q]) / 10 + b2 for p, q in ((0, 0), (0, 1), (1, 1))
            )
            theta = m
            for _ in range(depth - 1):
                value, slope = layer(a, b, m)
                a, b = (w2 * layer(q, q, q)[0] + b2 for q in (a, b))
                m = w2 * value + b2
                theta = m + w2 * slope * theta
            for found, exact in ((k, m), (t, theta)):
                off = abs(mp.mpf(float(found.value[i, j])) - exact)
                assert off <= found.error[i, j] < 1e-11


def test_a_second_kernel_of_the_same_network_follows_no_layer(monkeypatch):
    x = _gauss(N, 30, 2)
    net = MLP("gelu", 1.4, 0.1, depth=7)
    first = nngp(net, x)
    calls = []
    follow = deep_nodes.follow
    for module in (deep_lengths, deep_patch):
        monkeypatch.setattr(module, "follow", lambda *a: calls.append(len(a[4])) or follow(*a))
    t = ntk(net, x)
    assert not calls
    assert np.all(t.value.diagonal() > first.value.diagonal())
    other = nngp(MLP("gelu", 1.4, 0.11, depth=7), x)
    assert calls
    assert np.abs(other.value - first.value).max() > 1e-4


def test_errors_of_polynomials_are_those_of_their_nodes_and_what_they_leave_out():
    source = deep_nodes.Source(MLP("erf", 2.0, 0.3, depth=6), 1e-15, True)
    axis = deep_patch.Axis(-0.5, 0.5)
    box = deep_patch.Box(axis, axis, deep_patch.Axis(1.0, 2.0))
    (found,) = deep_patch.patches(source, [box])
    rng = RNG(3)
    t = rng.uniform(-0.5, 0.5, (2, 300))
    angle = rng.uniform(1.0, 2.0, 300)
    i = np.arange(300)
    exact = deep_nodes.follow(source, t.ravel(), i, i + 300, angle)
    bases = [axis.basis(s, n) for s, n in zip(t, found.coefficients.shape[1:3], strict=True)]
    powers = box.angle.place(angle)[:, None] ** np.arange(found.coefficients.shape[3])
    values = np.einsum("akmp,ik,im,ip->ai", found.coefficients, *bases, powers)
    off = np.abs(values - exact.value)
    assert np.all(off <= found.error[:, None])
    assert np.all(off.max(axis=1) > 0.0)
    assert np.all(found.error < 1e-12 * np.abs(exact.value).max(axis=1) * 10.0)
    steep = deep_patch.Box(axis, axis, deep_patch.Axis(0.001, 3.0))
    deep = deep_nodes.Source(MLP("erf", 4.0, 0.3, depth=30), 1e-15, True)
    assert isinstance(deep_patch.patches(deep, [steep])[0], deep_patch.Refusal)


@pytest.mark.parametrize("name", ["sign", "heaviside", "hardshrink"])
def test_many_inputs_of_a_jump_have_no_tangent_kernel_either(name):
    net, x = MLP(name, 1.3, 0.2, 5), _gauss(N, 30)
    assert np.all(np.isfinite(nngp(net, x).value))
    with pytest.raises(ConvergenceError, match="jumps, so its tangent kernel is infinite"):
        ntk(net, x)


@pytest.mark.parametrize("n", [20, N])
@pytest.mark.parametrize("phi", ["hardshrink", "sign", lambda h: np.where(abs(h) < 0.4, 0.0, h)])
def test_kernels_across_a_jump_are_those_of_single_layers(phi, n):
    act, x = activation(phi), _gauss(N, 30)
    k = nngp(MLP(act, 1.3, 0.2, 5), x[:n]).value
    for i, j in ((0, 1), (3, 7), (5, 5), (2, 19)):
        q1, q2, c = (1.69 * (x[a] @ x[b]) / 30 + 0.04 for a, b in ((i, i), (j, j), (i, j)))
        for _ in range(4):
            r = min(1.0, c / math.sqrt(q1 * q2))
            c = 1.69 * kernel(act, q1, q2, r, method="quadrature").value + 0.04
            q1, q2 = (
                1.69 * second_moment(act, q, method="quadrature").value + 0.04 for q in (q1, q2)
            )
        # a jump makes its root of the rounding of c where the inputs are one
        expected = q1 if i == j else c
        assert abs(k[i, j] - expected) < 1e-12 * math.sqrt(q1 * q2)
