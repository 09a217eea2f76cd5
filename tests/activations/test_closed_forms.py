"""Closed forms against the integrals themselves, with Arb's proven error bounds.

The moments integrate phi, phi' (written out here a second time) under the Gaussian weight. The
kernels integrate phi(u1) E[phi(u2) | u1], with the conditional mean in elementary form.
"""

from itertools import pairwise

import numpy as np
import pytest

from chione.activations import activation, catalogue

flint = pytest.importorskip("flint")
acb, arb, ctx = flint.acb, flint.arb, flint.ctx

PI = arb.pi


@pytest.fixture(autouse=True)
def _precision():
    old = ctx.prec
    ctx.prec = 140
    yield
    ctx.prec = old


def cdf(x):
    return (-x / acb(2).sqrt()).erfc() / 2


def pdf(x):
    return (-x * x / 2).exp() / (2 * acb.pi()).sqrt()


class Reference:
    """Pieces (low, high, phi, phi') and conditional means of one activation, in Arb.

    `mean_given(m, s)` is E phi(m + s z), `slope_given` that of phi'.
    """

    def __init__(self, pieces, mean_given, slope_given, tied=None):
        self.pieces, self.mean_given, self.slope_given = pieces, mean_given, slope_given


LINE = (None, None)


def _relu_given(m, s):
    return m * cdf(m / s) + s * pdf(m / s)


def _square_given(m, s):
    return (m * m + s * s) * cdf(m / s) + m * s * pdf(m / s)


def _two_slopes(above, below):
    a, b = acb(above), acb(below)
    return Reference(
        [(None, 0, lambda x: b * x, lambda x: b), (0, None, lambda x: a * x, lambda x: a)],
        lambda m, s: a * _relu_given(m, s) - b * _relu_given(-m, s),
        lambda m, s: a * cdf(m / s) + b * cdf(-m / s),
    )


def _smooth(f, df, given, slope_given):
    return Reference([(None, None, f, df)], given, slope_given)


def _erf(scale):
    def given(m, s):
        k = scale()
        return (k * m / (1 + 2 * k * k * s * s).sqrt()).erf()

    def slope_given(m, s):
        k = scale()
        v = 1 + 2 * k * k * s * s
        return 2 * k / acb.pi().sqrt() / v.sqrt() * (-k * k * m * m / v).exp()

    return _smooth(
        lambda x: (scale() * x).erf(),
        lambda x: 2 * scale() / acb.pi().sqrt() * (-((scale() * x) ** 2)).exp(),
        given,
        slope_given,
    )


def _wave(w):
    w = acb(w)

    def damp(s):
        return (-w * w * s * s / 2).exp()

    return _smooth(
        lambda x: (w * x).sin(),
        lambda x: w * (w * x).cos(),
        lambda m, s: damp(s) * (w * m).sin(),
        lambda m, s: w * damp(s) * (w * m).cos(),
    )


def _gelu_given(m, s):
    r = (1 + s * s).sqrt()
    return m * cdf(m / r) + s * s / r * pdf(m / r)


def _gelu_slope_given(m, s):
    r = (1 + s * s).sqrt()
    return cdf(m / r) + m / r**3 * pdf(m / r)


REFERENCES = {
    "linear": lambda: _smooth(lambda x: x, lambda x: acb(1), lambda m, s: m, lambda m, s: acb(1)),
    "relu": lambda: _two_slopes(1, 0),
    "leaky_relu": lambda: _two_slopes(1, acb(arb(0.01))),
    "prelu": lambda: _two_slopes(1, arb(0.25)),
    "abs": lambda: _two_slopes(1, -1),
    "leaky_relu(-0.5)": lambda: _two_slopes(1, arb(-0.5)),
    "squared_relu": lambda: Reference(
        [(0, None, lambda x: x * x, lambda x: 2 * x)],
        _square_given,
        lambda m, s: 2 * _relu_given(m, s),
    ),
    "step": lambda: Reference([(0, None, lambda x: acb(1), None)], lambda m, s: cdf(m / s), None),
    "sign": lambda: Reference(
        [(None, 0, lambda x: acb(-1), None), (0, None, lambda x: acb(1), None)],
        lambda m, s: (m / s / acb(2).sqrt()).erf(),
        None,
    ),
    "shifted_relu": lambda: Reference(
        [
            (None, -1, lambda x: acb(-1), lambda x: acb(0)),
            (-1, None, lambda x: x, lambda x: acb(1)),
        ],
        None,
        None,
    ),
    "shifted_relu(-0.7)": lambda: Reference(
        [
            (None, 0.7, lambda x: acb(arb(0.7)), lambda x: acb(0)),
            (0.7, None, lambda x: x, lambda x: acb(1)),
        ],
        None,
        None,
    ),
    "erf": lambda: _erf(lambda: acb(1)),
    "erf_scaled": lambda: _erf(lambda: acb.pi().sqrt() / 2),
    "erf(0.3)": lambda: _erf(lambda: acb(arb(0.3))),
    "gelu": lambda: _smooth(
        lambda x: x * cdf(x), lambda x: cdf(x) + x * pdf(x), _gelu_given, _gelu_slope_given
    ),
    "sin": lambda: _wave(1),
    "siren": lambda: _wave(30),
    "cos": lambda: _smooth(
        lambda x: x.cos(),
        lambda x: -x.sin(),
        lambda m, s: (-s * s / 2).exp() * m.cos(),
        lambda m, s: -(-s * s / 2).exp() * m.sin(),
    ),
    "gaussian": lambda: _smooth(
        lambda x: (-x * x).exp(),
        lambda x: -2 * x * (-x * x).exp(),
        lambda m, s: (-m * m / (1 + 2 * s * s)).exp() / (1 + 2 * s * s).sqrt(),
        lambda m, s: -2 * m / (1 + 2 * s * s) ** acb(1.5) * (-m * m / (1 + 2 * s * s)).exp(),
    ),
    "exp": lambda: _smooth(
        lambda x: x.exp(),
        lambda x: x.exp(),
        lambda m, s: (m + s * s / 2).exp(),
        lambda m, s: (m + s * s / 2).exp(),
    ),
    "quadratic": lambda: _smooth(
        lambda x: x * x, lambda x: 2 * x, lambda m, s: m * m + s * s, lambda m, s: 2 * m
    ),
    "cubic": lambda: _smooth(
        lambda x: x**3,
        lambda x: 3 * x * x,
        lambda m, s: m**3 + 3 * m * s * s,
        lambda m, s: 3 * (m * m + s * s),
    ),
}


def integral(pieces, q, weight=None, scales=()):
    """Integral of each piece under N(0, q), cut at `scales` on both sides of 0 and of the ends."""
    q = acb(arb(q))
    sigma = float(q.real) ** 0.5
    reach = 45.0 * sigma
    total = acb(0)
    for low, high, f in pieces:
        a = -reach if low is None else float(low)
        b = reach if high is None else float(high)
        b = max(b, a)
        cuts = {a, b, *(x for s in scales for x in (-s, s) if a < x < b)}
        if a < 0.0 < b:
            cuts.add(0.0)
        cuts |= {x for k in (0.02, 1, 5, 15) for x in (-k * sigma, k * sigma) if a < x < b}
        cuts = sorted(cuts)
        for u, v in pairwise(cuts):
            total += acb.integral(
                lambda x, _: f(x) * (-x * x / (2 * q)).exp(),  # noqa: B023
                acb(arb(u)),
                acb(arb(v)),
                rel_tol=arb(2) ** -100,
                abs_tol=arb(10) ** -400,
                eval_limit=200000,
                depth_limit=2000,
            )
    return total.real / (2 * PI() * q.real).sqrt()


def agrees(ours, exact, relative, scale=0.0):
    """Relative agreement, or relative to `scale` where the value itself crosses zero."""
    radius = float(exact.rad())
    middle = exact.mid()
    error = abs(float(arb(float(ours)) - middle))
    size = max(abs(float(middle)), scale)
    assert radius <= 0.1 * relative * size + 1e-320, (float(middle), radius)
    assert error <= relative * size + 1e-320, (float(ours), middle.str(20), error / size)


VARIANCES = (1e-8, 3e-4, 0.37, 1.0, 5.3, 47.0, 811.0, 1e8)
MAY_OVERFLOW = {"exp": 300.0}


def _fast(name, q):
    """Oscillation and growth beyond which the integral is not the way to check."""
    if name in MAY_OVERFLOW:
        return q > MAY_OVERFLOW[name]
    return (name == "siren" and q > 1.0) or (name in ("sin", "cos") and q > 100.0)


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.sampled(3)
def test_moments_agree_with_the_integral(name):
    forms, reference = activation(name).closed_forms, REFERENCES[name]()
    for q in VARIANCES:
        if _fast(name, q):
            continue
        scales = (1e-3, 0.1, 1.0, 6.0, 30.0)
        value = [(a, b, f) for a, b, f, _ in reference.pieces]
        square = [(a, b, lambda x, f=f: f(x) ** 2) for a, b, f, _ in reference.pieces]
        qs = np.array([q])
        agrees(forms.mean_square(qs)[0], integral(square, q, scales=scales), 1e-13)
        if np.any(forms.mean(qs)):
            agrees(forms.mean(qs)[0], integral(value, q, scales=scales), 1e-13)
        else:
            assert abs(float(integral(value, q, scales=scales).mid())) < 1e-25
        v = acb(arb(q))
        stein = [
            (a, b, lambda x, f=f, v=v: f(x) ** 2 * (x * x / v - 1) / (2 * v))
            for a, b, f, _ in reference.pieces
        ]
        slope = integral(stein, q, scales=scales)
        if name in ("step", "sign"):
            assert forms.length_slope(qs)[0] == 0.0
        else:
            # Stein's integrand cancels where the slope is far below E phi^2 / q
            natural = forms.mean_square(qs)[0] / q
            agrees(forms.length_slope(qs)[0], slope, 1e-13, 1e-12 * natural)
        if forms.derivative_mean_square is not None:
            squared = [(a, b, lambda x, d=d: d(x) ** 2) for a, b, _, d in reference.pieces]
            exact = integral(squared, q, scales=scales)
            agrees(forms.derivative_mean_square(qs)[0], exact, 1e-13)


PAIRS = ((1.0, 1.0), (1e-8, 1e-8), (0.4, 7.1), (300.0, 299.0), (1e8, 1e8), (1e-3, 1e5))
CORRELATIONS = (-1.0, -1.0 + 2e-13, -0.999, -0.4, 0.0, 1e-9, 0.73, 1.0 - 1e-6, 1.0 - 2.0**-53, 1.0)


def _kernel_pieces(reference, q1, q2, c, derivative):
    """phi(u1) E[phi(u2) | u1] on the pieces of u1, or the same with phi'."""
    c = arb(c)
    ratio = acb(c * (arb(q2) / arb(q1)).sqrt())
    spread = acb((arb(q2) * (1 - c * c)).sqrt())
    given = reference.slope_given if derivative else reference.mean_given
    out = []
    for a, b, f, d in reference.pieces:
        g = d if derivative else f
        out.append((a, b, lambda x, g=g: g(x) * given(ratio * x, spread)))
    narrow = abs(float(spread.real) / max(abs(float(ratio.real)), 1e-300))
    return out, (narrow * 0.1, narrow, 7.0 * narrow)


def _degenerate_pieces(reference, q1, q2, c, derivative):
    """At c = +-1 the second argument is a multiple of the first."""
    factor = acb((arb(q2) / arb(q1)).sqrt() * arb(c))
    edges = sorted(
        {float(e) for p in reference.pieces for e in p[:2] if e is not None}
        | {float(e) / float(factor.real) for p in reference.pieces for e in p[:2] if e is not None}
    )

    def piece_at(x):
        for a, b, f, d in reference.pieces:
            if (a is None or x > a) and (b is None or x < b):
                return d if derivative else f
        return lambda _: acb(0)

    bounds = [None, *edges, None]
    out = []
    for a, b in pairwise(bounds):
        inside = (b - 1e-3 if b is not None else 1.0) if a is None else a + 1e-3
        f, g = piece_at(inside), piece_at(inside * float(factor.real))
        out.append((a, b, lambda x, f=f, g=g: f(x) * g(factor * x)))
    return out


@pytest.mark.parametrize("name", sorted(n for n in REFERENCES if "shifted" not in n))
@pytest.mark.parametrize("derivative", [False, True], ids=["kernel", "derivative_kernel"])
@pytest.mark.parametrize(
    "everything", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["some", "all"]
)
@pytest.mark.sampled(3)
def test_kernels_agree_with_the_integral_at_every_corner(name, derivative, everything):
    forms, reference = activation(name).closed_forms, REFERENCES[name]()
    form = forms.derivative_kernel if derivative else forms.kernel
    if form is None:
        assert name in ("step", "sign")
        return
    for q1, q2 in PAIRS:
        if _fast(name, max(q1, q2)):
            continue
        a = np.array([q1])
        b = np.array([q2])
        moment = forms.derivative_mean_square if derivative else forms.mean_square
        natural = float(np.sqrt(moment(a))[0] * np.sqrt(moment(b))[0])
        for c in CORRELATIONS:
            hardest = q1 == q2 == 1e8 and c == -1.0
            turn = PAIRS.index((q1, q2)) + CORRELATIONS.index(c)
            if not (everything or hardest or turn % 7 == 0):
                continue
            scales: tuple[float, ...] = ()
            if abs(c) == 1.0:
                pieces = _degenerate_pieces(reference, q1, q2, c, derivative)
            else:
                pieces, scales = _kernel_pieces(reference, q1, q2, c, derivative)
            exact = integral(pieces, q1, scales=(*scales, 1e-2, 1.0, 10.0))
            if float(exact.mid()) == 0.0 or abs(float(exact.mid())) < 1e-25 * natural:
                assert abs(form(a, b, np.array([c]))[0]) <= 1e-16 * natural
                continue
            agrees(form(a, b, np.array([c]))[0], exact, 1e-12)


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_closed_forms_broadcast_and_are_symmetric(name):
    forms = catalogue()[name].closed_forms
    q1, q2 = np.array([[0.3], [2.0], [7.0]]), np.array([0.9, 1.7])
    c = np.array([-0.2, 0.8])
    for form in (forms.kernel, forms.derivative_kernel):
        if form is not None:
            ours = form(q1, q2, c)
            assert ours.shape == (3, 2)
            np.testing.assert_allclose(ours, form(q2, q1, c), rtol=1e-14)
    for moment in (forms.mean, forms.mean_square, forms.derivative_mean_square, forms.length_slope):
        if moment is not None:
            assert moment(q1).shape == (3, 1)
            zero = moment(np.array([0.0]))
            assert np.all(np.isfinite(zero)), "the limit of small q exists"


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_value_at_zero_variance_is_the_value_at_zero(name):
    phi = catalogue()[name]
    zero = np.array([0.0])
    if phi.closed_forms.mean_square is not None and name not in ("step", "sign"):
        assert phi.closed_forms.mean_square(zero)[0] == phi.value(zero)[0] ** 2
