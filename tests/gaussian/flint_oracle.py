"""Reference values for the Gaussian tests: ball arithmetic (Arb), every digit proven.

The catalogue is written out a second time, as analytic pieces of acb, and integrated between its
kinks. Nothing here is shared with chione; each integral comes with a proven enclosure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from flint import acb, arb, ctx, fmpq

PRECISION = 230  # bits; the enclosures end up narrower than 1e-30, relative


@dataclass(frozen=True)
class Piecewise:
    """Analytic pieces and derivatives: pieces[i] between knots[i - 1] and knots[i]."""

    knots: tuple[object, ...]
    pieces: tuple[Callable[[acb, bool], acb], ...]
    derivatives: tuple[Callable[[acb, bool], acb], ...]


def exact(x) -> arb:
    """A number exactly as given: int, float, fmpq or a decimal string."""
    return arb(fmpq(x.p, x.q)) if isinstance(x, fmpq) else arb(x)


def _smooth(f, df):
    return Piecewise((), (f,), (df,))


def _const(a):
    return lambda z, _: z * 0 + a


def _line(a, b=0):
    return lambda z, _: a * z + b


def _root2():
    return acb(2).sqrt()


def _phi(z):
    return (-z * z / 2).exp() / (2 * acb.pi()).sqrt()


def _cdf(z):
    return (-z / _root2()).erfc() / 2


def _sigmoid(z):
    return 1 / (1 + (-z).exp()) if z.real.mid() > 0 else z.exp() / (1 + z.exp())


def _softplus(z, an):
    if z.real.mid() > 0:
        return z + (1 + (-z).exp()).log(an)
    return (1 + z.exp()).log(an)


def _gate(z):
    return 2 * (2 / acb.pi()).sqrt() * (z + fmpq(44715, 10**6) * z**3)


def _gate_slope(z):
    return 2 * (2 / acb.pi()).sqrt() * (1 + 3 * fmpq(44715, 10**6) * z**2)


def _mish_ratio(z):
    """tanh(softplus(z)) and its derivative, with u = e^z."""
    if z.real.mid() > 0:
        v = (-z).exp()
        n, d = 1 + 2 * v, 1 + 2 * v + 2 * v * v
        return n / d, 4 * v * v * (1 + v) / (d * d)
    u = z.exp()
    d = u * u + 2 * u + 2
    return (u * u + 2 * u) / d, 4 * u * (u + 1) / (d * d)


def _mish(z, _):
    return z * _mish_ratio(z)[0]


def _d_mish(z, _):
    t, dt = _mish_ratio(z)
    return t + z * dt


SELU_A = fmpq(16732632423543772848170429916717, 10**31)
SELU_L = fmpq(10507009873554804934193349852946, 10**31)
_zero, _one = _const(0), _const(1)
_exp, _expm1 = (lambda z, _: z.exp()), (lambda z, _: z.exp() - 1)
_q = fmpq(1702, 1000)
_elu = Piecewise((0,), (_expm1, _line(1)), (_exp, _one))
_third = fmpq(1, 6)


def _sech2(z):
    e = (-2 * z if z.real.mid() > 0 else 2 * z).exp()
    return 4 * e / (1 + e) ** 2


CATALOGUE = {
    "linear": _smooth(_line(1), _one),
    "relu": Piecewise((0,), (_zero, _line(1)), (_zero, _one)),
    "leaky_relu": Piecewise((0,), (_line(acb(0.01)), _line(1)), (_const(acb(0.01)), _one)),
    "prelu": Piecewise((0,), (_line(acb(0.25)), _line(1)), (_const(acb(0.25)), _one)),
    "abs": Piecewise((0,), (_line(-1), _line(1)), (_const(-1), _one)),
    "relu6": Piecewise((0, 6), (_zero, _line(1), _const(6)), (_zero, _one, _zero)),
    "hardtanh": Piecewise((-1, 1), (_const(-1), _line(1), _const(1)), (_zero, _one, _zero)),
    "shifted_relu": Piecewise((-1,), (_const(-1), _line(1)), (_zero, _one)),
    "squared_relu": Piecewise((0,), (_zero, lambda z, _: z * z), (_zero, _line(2))),
    "tanh": _smooth(lambda z, _: z.tanh(), lambda z, _: _sech2(z)),
    "erf": _smooth(lambda z, _: z.erf(), lambda z, _: 2 * (-z * z).exp() / acb.pi().sqrt()),
    "erf_scaled": _smooth(
        lambda z, _: (acb.pi().sqrt() / 2 * z).erf(), lambda z, _: (-acb.pi() / 4 * z * z).exp()
    ),
    "sigmoid": _smooth(lambda z, _: _sigmoid(z), lambda z, _: _sigmoid(z) * _sigmoid(-z)),
    "hardsigmoid": Piecewise(
        (-3, 3), (_zero, lambda z, _: (z + 3) / 6, _one), (_zero, _const(_third), _zero)
    ),
    "softplus": _smooth(_softplus, lambda z, _: _sigmoid(z)),
    "gelu": _smooth(lambda z, _: z * _cdf(z), lambda z, _: _cdf(z) + z * _phi(z)),
    "gelu_tanh": _smooth(
        lambda z, _: z * _sigmoid(_gate(z)),
        lambda z, _: _sigmoid(_gate(z)) * (1 + z * _gate_slope(z) * _sigmoid(-_gate(z))),
    ),
    "quick_gelu": _smooth(
        lambda z, _: z * _sigmoid(_q * z),
        lambda z, _: _sigmoid(_q * z) * (1 + _q * z * _sigmoid(-_q * z)),
    ),
    "silu": _smooth(
        lambda z, _: z * _sigmoid(z), lambda z, _: _sigmoid(z) * (1 + z * _sigmoid(-z))
    ),
    "hardswish": Piecewise(
        (-3, 3),
        (_zero, lambda z, _: z * (z + 3) / 6, _line(1)),
        (_zero, lambda z, _: (2 * z + 3) / 6, _one),
    ),
    "mish": _smooth(_mish, _d_mish),
    "selu": Piecewise(
        (0,),
        (lambda z, _: SELU_L * SELU_A * (z.exp() - 1), lambda z, _: SELU_L * z),
        (lambda z, _: SELU_L * SELU_A * z.exp(), lambda z, _: z * 0 + SELU_L),
    ),
    "elu": _elu,
    "celu": _elu,
    "softsign": Piecewise(
        (0,),
        (lambda z, _: z / (1 - z), lambda z, _: z / (1 + z)),
        (lambda z, _: 1 / (1 - z) ** 2, lambda z, _: 1 / (1 + z) ** 2),
    ),
    "arctan": _smooth(lambda z, an: _atan(z, an), lambda z, _: 1 / (1 + z * z)),
    "arcsinh": _smooth(lambda z, an: _asinh(z, an), lambda z, an: 1 / (1 + z * z).sqrt(an)),
    "sin": _smooth(lambda z, _: z.sin(), lambda z, _: z.cos()),
    "cos": _smooth(lambda z, _: z.cos(), lambda z, _: -z.sin()),
    "siren": _smooth(lambda z, _: (30 * z).sin(), lambda z, _: 30 * (30 * z).cos()),
    "gaussian": _smooth(lambda z, _: (-z * z).exp(), lambda z, _: -2 * z * (-z * z).exp()),
    "exp": _smooth(_exp, _exp),
    "quadratic": _smooth(lambda z, _: z * z, _line(2)),
    "cubic": _smooth(lambda z, _: z**3, lambda z, _: 3 * z * z),
    "step": Piecewise((0,), (_zero, _one), (_zero, _zero)),
    "sign": Piecewise((0,), (_const(-1), _one), (_zero, _zero)),
    "softshrink": Piecewise(
        (-0.5, 0.5), (_line(1, 0.5), _zero, _line(1, -0.5)), (_one, _zero, _one)
    ),
    "hardshrink": Piecewise((-0.5, 0.5), (_line(1), _zero, _line(1)), (_one, _zero, _one)),
    "tanhshrink": _smooth(lambda z, _: z - z.tanh(), lambda z, _: z.tanh() ** 2),
    "logsigmoid": _smooth(lambda z, an: -_softplus(-z, an), lambda z, _: _sigmoid(-z)),
}


def _atan(z, analytic):
    """Arctan on the strip |Im z| < 1, where it is analytic."""
    if analytic and not bool(abs(z.imag) < 1) and z.real.contains(0):
        return acb("nan")
    return z.atan()


def _asinh(z, analytic):
    if z.real.mid() < 0:
        return -_asinh(-z, analytic)
    return (z + (1 + z * z).sqrt(analytic)).log(analytic)


def expectation(f: Piecewise, q, *, derivative: bool = False, power: int = 1) -> arb:
    """Enclosure of E f(h)^p (or f') for h ~ N(0, q)."""
    pieces = f.derivatives if derivative else f.pieces
    q = exact(q)

    def weighted(piece):
        return lambda z, an: piece(z, an) ** power * (-z * z / (2 * q)).exp()

    return _integral(f.knots, [weighted(p) for p in pieces], q) / (2 * arb.pi() * q).sqrt()


def _integral(knots, integrands, q, layers=()) -> arb:
    """Sum over pieces, split further at the scales 10 and sqrt(q) times 1 and 30."""
    before = ctx.prec
    ctx.prec = PRECISION
    try:
        sigma = exact(q).sqrt()
        # beyond 75 standard deviations nothing of the catalogue weighs more than e^-800
        ends = sorted({float(s) * x for x in (1, 4, 15, 75) for s in (sigma,)} | {1.0, 10.0})
        ends = [x for x in ends if x <= 75 * float(sigma)]
        cuts = sorted({0.0, *ends, *(-x for x in ends)})
        cuts = sorted({*cuts, *(x for x in layers if abs(x) < ends[-1])})
        cuts = sorted({*cuts, *(float(k) for k in knots if abs(float(k)) < ends[-1])})
        total = arb(0)
        for a, b in pairwise(cuts):
            index = sum(float(k) <= a for k in knots)
            part = acb.integral(integrands[index], exact(a), exact(b), abs_tol=arb("1e-400"))
            total += part.real
        return total
    finally:
        ctx.prec = before


def bivariate(f: Piecewise, flow, q1, q2, one_minus_c, *, anti=False, knots=()) -> arb:
    """Enclosure of E f(u1) g(u2), where the mean of g under N(m, v) is known: flow(m, v).

    `one_minus_c` is exact; with `anti` the correlation is its negative, -(1 - one_minus_c).
    `knots` are the places where g breaks: its flow has layers there.
    """
    before = ctx.prec
    ctx.prec = PRECISION
    try:
        q1, q2, gap = exact(q1), exact(q2), exact(one_minus_c)
        v = q2 * gap * (2 - gap)
        rho = (1 - gap) * (-1 if anti else 1) * (q2 / q1).sqrt()

        def weighted(piece):
            return lambda z, an: piece(z, an) * flow(rho * z, v, an) * (-z * z / (2 * q1)).exp()

        layers = []
        if float(abs(rho)) > 0:
            width = float(v.sqrt() / abs(rho))
            layers = [float(k) / float(rho) + s * width for k in knots for s in (-30, -4, 0, 4, 30)]
        pieces = [weighted(p) for p in f.pieces]
        return _integral(f.knots, pieces, q1, layers) / (2 * arb.pi() * q1).sqrt()
    finally:
        ctx.prec = before


def flow_relu(b):
    """Heat flow of max(x - b, 0)."""
    b = exact(b)

    def flow(m, v, an):
        s = acb(v).sqrt()
        t = (m - b) / s
        return (m - b) * _cdf(t) + s * _phi(t)

    return flow


def flow_step(b):
    b = exact(b)
    return lambda m, v, an: _cdf((m - b) / acb(v).sqrt())


def flow_erf(a):
    """Heat flow of erf(a x)."""
    a = exact(a)
    return lambda m, v, an: (a * m / acb(1 + 2 * a * a * v).sqrt()).erf()


def flow_sin(w):
    w = exact(w)
    return lambda m, v, an: (w * m).sin() * (-w * w * v / 2).exp()


def flow_exp(b):
    b = exact(b)
    return lambda m, v, an: (b * m + b * b * v / 2).exp()


def flow_bump(a, s):
    """Heat flow of exp(-(x - a)^2 / (2 s^2))."""
    a, s = exact(a), exact(s)
    return lambda m, v, an: s / (s * s + v).sqrt() * (-((m - a) ** 2) / (2 * (s * s + v))).exp()


def flow_cube():
    return lambda m, v, an: m**3 + 3 * m * v
