"""The page's numbers in a real browser against Python's, for every activation of the catalogue.

Ladder: another implementation (JavaScript from tables) against chione's theory, at 1e-10 and
within the stated errors; tables against direct evaluation at places they were not made at.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from mpmath import mp

import chione as ch
from chione.activations.registry import catalogue
from chione.explorer import build
from chione.explorer.packing import pack, unpack
from chione.explorer.reading import read_gap, read_moments, read_slope
from chione.explorer.slopes import slope_kernel
from chione.explorer.tables import make_tables
from chione.theory.layers.block import BlockMap

NAMES = tuple(catalogue())
# what costs Python a second each: every fourth by default
SAMPLED = [
    pytest.param(n, marks=() if i % 4 == 0 else pytest.mark.slow) for i, n in enumerate(NAMES)
]
POINTS = ((1.5, 0.1), (1.0, 0.0), (2.5, 0.3), (0.8, 0.5))
DEPTH, WIDTH = 30, 300
AGREE = 1e-10  # relative
_USUAL = {"depth": DEPTH, "width": WIDTH, "q": 1.0, "c": 0.5, "weights": "gaussian",
          "mode": "plain", "dropout": 0.1, "alpha": 1.0, "tokens": 7}  # fmt: skip

_SOLVE = """
async ([data, cases]) => {
  const tables = await import("/tables.js");
  const engine = await import("/engine.js");
  tables.provideTables(data);
  const plain = (x) => {
    if (typeof x === "number") return Number.isFinite(x) ? x : String(x);
    if (x instanceof Float64Array || Array.isArray(x)) return Array.from(x, plain);
    if (x !== null && typeof x === "object") {
      return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, plain(v)]));
    }
    return x;
  };
  const out = [];
  for (const network of cases) {
    const activation = await tables.loadActivation(network.activation);
    out.push(plain(engine.solve(network, activation)));
  }
  return out;
}
"""


def numbers(x):
    """JavaScript's NaN and Infinity, which JSON does not have, as floats."""
    if isinstance(x, list):
        return [numbers(v) for v in x]
    if isinstance(x, dict):
        return {k: numbers(v) for k, v in x.items()}
    if x in ("NaN", "Infinity", "-Infinity"):
        return float(x.replace("Infinity", "inf"))
    return x


@pytest.fixture(scope="module")
def ask(browser, static_address):
    """Run a function of JavaScript on a page that has the modules and the tables."""
    page = browser.new_page()
    page.goto(f"{static_address}/index.html")
    yield lambda code, *data: numbers(page.evaluate(code, [build.tables(), *data]))
    page.close()


@pytest.fixture(scope="module")
def solved(ask):
    """What the page says of every activation at every point."""
    names = [e["name"] for e in build.tables()["activations"]]
    cases = [
        {**_USUAL, "activation": n, "sigma_w": w, "sigma_b": b} for n in names for w, b in POINTS
    ]
    found = ask(_SOLVE, cases)
    return {
        (c["activation"], c["sigma_w"], c["sigma_b"]): f for c, f in zip(cases, found, strict=True)
    }


def agrees(mine, theirs, *, scale=0.0):
    """Whether a number of the page is Python's at 1e-10, and within both stated errors."""
    x, y = float(mine["value"]), float(theirs.value)
    if int(theirs.status) == ch.Status.INFINITE:
        return x == math.inf
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    if math.isinf(x) or math.isinf(y):
        return x == y
    # what is exact to the page's error may lie outside Python's smaller one by rounding
    stated = float(mine["error"]) + float(theirs.error) + 1e-13 * abs(y)
    if mine["status"] == "instant":
        return abs(x - y) <= stated
    return abs(x - y) <= stated and abs(x - y) <= AGREE * max(abs(y), scale)


def test_every_activation_of_the_catalogue_is_in_the_page():
    assert [e["name"] for e in build.tables()["activations"]] == list(NAMES)


def test_the_tables_are_small_enough_for_a_page():
    assert len(json.dumps(build.tables())) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_fixed_points_and_phase_are_those_of_python(solved, name):
    phi = ch.activation(name)
    for w, b in POINTS:
        mine, theirs = solved[name, w, b], ch.mean_field(phi, w, b)
        assert mine["phase"] == theirs.phase
        kinds = [p["stability"] for p in mine["fixedPoints"]]
        assert kinds == [p.stability for p in theirs.fixed_points.points]
        if theirs.phase == "divergent":
            continue
        assert mine["reached"] == theirs.reached
        assert agrees(mine["qStar"], theirs.q_star)
        assert agrees(mine["cStar"], theirs.c_star, scale=1.0)
        assert agrees(mine["chiPerp"], theirs.chi_perp)
        assert agrees(mine["chiParallel"], theirs.chi_parallel, scale=1.0)
        assert agrees(mine["xiQ"], theirs.xi_q, scale=1.0)
        assert agrees(mine["xiC"], theirs.xi_c, scale=1.0)


@pytest.mark.parametrize("name", SAMPLED)
def test_curves_over_depth_are_those_of_python(solved, name):
    phi, (low, high) = ch.activation(name), ends(name)
    for w, b in POINTS:
        mine = solved[name, w, b]["depth"]
        theirs = ch.trajectory(phi, w, b, depth=DEPTH)
        before = np.append(0.0, np.array(theirs.q)[:-1])
        inside = (before < high) & (np.array(theirs.q) < high) & (np.array(theirs.q) > low)
        for key, right in (
            ("q", theirs.q),
            ("oneMinusC", theirs.one_minus_c),
            ("chi", theirs.chi),
        ):
            found, right = np.array(mine[key], dtype=float), np.asarray(right)
            known = inside & np.isfinite(right)
            off = np.abs(found - right)[known]
            assert np.all(off <= AGREE * np.abs(right[known])), (key, w, b)
        if inside.all() and np.all(np.isfinite(theirs.log10_gradient)):
            found = np.array(mine["log10Gradient"], dtype=float)
            assert found == pytest.approx(np.asarray(theirs.log10_gradient), abs=AGREE)


def recursion(name, w, b):
    """(q, 1 - c) of the layers in 60 digits, by the polynomials or angles of three powers."""

    def square(q, p):
        t = mp.acos(p / q)
        there = 3 * mp.sin(t) * mp.cos(t) + (mp.pi - t) * (1 + 2 * mp.cos(t) ** 2)
        return q * q * there / (2 * mp.pi)

    kernel = {
        "quadratic": lambda q, p: q * q + 2 * p * p,
        "cubic": lambda q, p: 9 * q * q * p + 6 * p**3,
        "squared_relu": square,
    }[name]
    with mp.workdps(60):
        w2, b2 = mp.mpf(w) ** 2, mp.mpf(b) ** 2
        q, p, out = w2 + b2, w2 / 2 + b2, []
        while mp.mpf("1e-290") < q < mp.mpf("1e290") and len(out) < DEPTH:
            out.append((float(q), float(1 - p / q)))
            q, p = w2 * kernel(q, q) + b2, w2 * kernel(q, p) + b2
    return np.array(out).T


@pytest.mark.parametrize("name", ["quadratic", "cubic", "squared_relu"])
def test_powers_keep_their_digits_far_beyond_the_tables(solved, name):
    for w, b in POINTS:
        q, left = recursion(name, w, b)
        assert q[-1] > 1e100
        mine, theirs = solved[name, w, b]["depth"], ch.trajectory(name, w, b, depth=DEPTH)
        # an error of q doubles or trebles in every layer
        assert np.array(mine["q"], dtype=float)[: q.size] == pytest.approx(q, rel=1e-11)
        assert np.array(mine["oneMinusC"], dtype=float)[: q.size] == pytest.approx(left, rel=1e-12)
        assert theirs.one_minus_c[: q.size] == pytest.approx(left, rel=1e-14)


def ends(name):
    """The lengths between which the tables of an activation are."""
    entry = next(e for e in build.tables()["activations"] if e["name"] == name)
    pieces = unpack(entry["data"]).pieces
    return math.exp(pieces[0].low), math.exp(pieces[-1].high)


@pytest.mark.parametrize("name", SAMPLED)
def test_the_verdict_is_that_of_analyze(solved, name):
    # a point each by turns
    for w, b in [POINTS[NAMES.index(name) % len(POINTS)]]:
        mine = solved[name, w, b]["verdict"]
        theirs = ch.analyze(name, w, b, depth=DEPTH, width=WIDTH, simulate=False).verdict
        assert (mine["kind"], mine["problem"]) == (theirs.trains, theirs.problem)
        assert mine["sentences"][1] == theirs.reason


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "relu", "gelu", "elu"])
def test_the_band_is_the_spread_of_finite_width(ask, name, weights):
    case = {**_USUAL, "activation": name, "sigma_w": 1.3, "sigma_b": 0.2, "weights": weights}
    (found,) = ask(_SOLVE, [case])
    theirs = ch.finite_width(name, sigma_w=1.3, sigma_b=0.2, depth=DEPTH, weights=weights)
    spread = np.array(found["depth"]["high"]) - np.array(found["depth"]["q"])
    assert spread == pytest.approx(np.sqrt(theirs.variance(WIDTH).value), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_critical_line_has_chi_one_and_is_pythons(ask, name):
    line = ask(
        """async ([data, name]) => {
          const tables = await import("/tables.js");
          const { criticalLine } = await import("/critical_line.js");
          tables.provideTables(data);
          const line = criticalLine(await tables.loadActivation(name));
          return Object.fromEntries(Object.entries(line).map(([k, v]) => [k, v.map(
            (x) => Number.isFinite(x) ? x : String(x))]));
        }""",
        name,
    )
    w, b, q = (np.array(line[k], dtype=float) for k in ("sigma_w", "sigma_b", "q"))
    known = np.flatnonzero(np.isfinite(q) & (q > 1e-6))
    for i in known[:: max(1, len(known) // 7)]:
        steep = ch.derivative_second_moment(name, q[i])
        square = ch.second_moment(name, q[i])
        assert w[i] ** 2 * steep.value == pytest.approx(1.0, rel=1e-10)
        left = q[i] - w[i] ** 2 * square.value
        assert b[i] ** 2 == pytest.approx(left, abs=1e-10 * q[i])


# ---- modes -------------------------------------------------------------------------------------
def _branch(mode, w, b):
    from chione.networks import Dense, Dropout, Nonlinearity, Norm, Residual

    phi = Nonlinearity("gelu")
    return {
        "dropout": [phi, Dropout(0.9), Dense(w, b)],
        "residual": [Residual([phi, Dense(w, b)], scale=0.7)],
        "prenorm": [Residual([Norm("layer"), Dense(w, b), phi, Dense(w, b)], scale=0.7)],
    }[mode]


@pytest.mark.parametrize("mode", ["dropout", "residual", "prenorm"])
def test_a_block_of_each_mode_is_that_of_python(ask, mode):
    w, b, places = 1.2, 0.3, [0.3, 1.7, 12.0]
    found = ask(
        """async ([data, network, places]) => {
          const tables = await import("/tables.js");
          const { blockOf } = await import("/modes.js");
          tables.provideTables(data);
          const map = blockOf(network, await tables.loadActivation(network.activation));
          return places.map((q) => [map.length(q), map.lengthSlope(q), map.gradient(q),
            map.pair(q, 0.4).distance / map.length(q), map.pair(q, 0.4).slope]);
        }""",
        {
            **_USUAL,
            "activation": "gelu",
            "sigma_w": w,
            "sigma_b": b,
            "alpha": 0.7,
            "mode": mode,
        },
        places,
    )
    block = BlockMap(_branch(mode, w, b), width=64)
    for q, (length, slope, gradient, gap, shared) in zip(places, found, strict=True):
        assert length == pytest.approx(float(block.value(q).value), rel=1e-7)
        assert slope == pytest.approx(float(block.slope(q).value), rel=1e-6)
        assert gradient == pytest.approx(float(block.gradient(q).value), rel=1e-7)
        assert gap == pytest.approx(float(block.gap(q, 0.4).value), rel=1e-7)
        assert shared == pytest.approx(float(block.covariance_slope(q, 0.4).value), rel=1e-7)


# ---- tables ------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_tables_hold_what_they_state_at_places_of_their_own(name):
    entry = next(e for e in build.tables()["activations"] if e["name"] == name)
    tables, phi = unpack(entry["data"]), ch.activation(name)
    rng = np.random.default_rng(11)
    low, high = tables.pieces[0].low, tables.pieces[-1].high
    for q in np.exp(rng.uniform(max(low, -8.0), high, 12)):
        found = read_moments(tables, float(q))
        square = ch.second_moment(phi, q)
        assert abs(found.m2 - square.value) <= entry["error"]["moments"] * square.value
        theta = 0.5 * math.pi * max(rng.random() ** 2, 1e-4)
        near, far = slope_kernel(phi, float(q), np.array([theta]))
        for angle, right in ((theta, near[0]), (math.pi - theta, far[0])):
            average = read_gap(tables, float(q), angle) / (2.0 * q * math.sin(0.5 * angle) ** 2)
            value = read_slope(tables, float(q), np.array([angle]))[0]
            assert abs(value - right) <= entry["error"]["kernel"] * max(abs(right), average)


@pytest.mark.parametrize("name", ["tanh", "relu6", "gelu", "selu", "step", "softsign", "cos"])
def test_kernels_of_the_tables_are_those_of_double_integrals(name):
    entry = next(e for e in build.tables()["activations"] if e["name"] == name)
    tables, phi = unpack(entry["data"]), ch.activation(name)
    for q in (0.3, 2.0, 17.0):
        square = float(ch.second_moment(phi, q).value)
        for c in (-0.8, 0.0, 0.6, 0.95):
            right = ch.kernel(phi, q, q, c, method="auto")
            gap = read_gap(tables, q, math.acos(c))
            assert square - gap == pytest.approx(right.value, abs=1e-11 * square + right.error)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "erf", "quadratic"])
def test_tables_made_anew_are_those_that_are_shipped(name):
    entry = next(e for e in build.tables()["activations"] if e["name"] == name)
    tables, phi = make_tables(ch.activation(name)), ch.activation(name)
    shipped = unpack(entry["data"])
    assert phi.kinks == tuple(entry["kinks"])
    for mine, theirs in zip(tables.pieces, shipped.pieces, strict=True):
        assert np.allclose(mine.columns, theirs.columns, rtol=0.0, atol=1e-12)
        assert np.allclose(mine.near, theirs.near, rtol=0.0, atol=1e-12)
    assert unpack(pack(shipped)).pieces[0].high == shipped.pieces[0].high


@pytest.mark.slow
def test_a_transformer_is_that_of_sampled_networks(ask):
    torch = pytest.importorskip("torch")
    w, b, alpha, T, q, c, n, depth, draws = 1.2, 0.3, 0.7, 5, 1.7, 0.4, 500, 3, 10
    case = {**_USUAL, "activation": "gelu", "sigma_w": w, "sigma_b": b, "mode": "transformer"}
    (found,) = ask(_SOLVE, [case | {"tokens": T, "q": q, "c": c, "depth": depth, "alpha": alpha}])
    curves = found["depth"]
    torch.manual_seed(3)

    def weights(size):
        return size * torch.randn(n, n, dtype=torch.float64) / math.sqrt(n)

    def norm(x):
        return torch.nn.functional.layer_norm(x, (n,), eps=0.0)

    rows = []
    for _ in range(draws):
        mixing = torch.full((T, T), c, dtype=torch.float64) + (1.0 - c) * torch.eye(T)
        root = torch.linalg.cholesky(q * mixing)
        x = root @ torch.randn(T, n, dtype=torch.float64)
        for layer in range(depth):
            read = norm(x).mean(0, keepdim=True)  # all weights are 1 / T
            x = x + alpha * (read @ weights(w) @ weights(w))
            inner = norm(x) @ weights(w) + b * torch.randn(n, dtype=torch.float64)
            outer = torch.nn.functional.gelu(inner) @ weights(w)
            x = x + alpha * (outer + b * torch.randn(n, dtype=torch.float64))
            if layer == 0:
                first = x = x.detach().requires_grad_()
        x.backward(torch.randn_like(x))
        gram = (x @ x.T / n).detach()
        length = gram.diagonal().mean()
        alike = (gram.sum() - gram.trace()) / (T * (T - 1))
        rows.append([float(length), float(alike), math.log10(float(first.grad.square().mean()))])
    mean, error = np.mean(rows, 0), np.std(rows, 0, ddof=1) / math.sqrt(draws)
    last = curves["q"][-1]
    theory = np.array([last, last * curves["c"][-1], curves["log10Gradient"][0]])
    assert np.all(np.abs(mean - theory) <= 4.5 * error + np.abs(theory) * 3.0 / n)
    assert np.all(error <= 0.05 * np.maximum(np.abs(theory), 0.2))  # else it would not tell


def test_dropout_parts_inputs_whose_lengths_fade(ask):
    cases = [
        {**_USUAL, "activation": n, "mode": "dropout", "sigma_w": 0.5, "sigma_b": 0.0}
        for n in ("tanh", "relu", "quadratic", "softshrink")
    ]
    linear, bent, square, still = ask(_SOLVE, cases)
    assert abs(linear["cStar"]["value"]) <= linear["cStar"]["error"] < 1e-9
    # one mask keeps 0.9 of the kernel of two inputs: c = 0.9 C(c) for the map C without dropout
    kernels = (
        lambda c: (mp.sqrt(1 - c * c) + c * (mp.pi - mp.acos(c))) / mp.pi,
        lambda c: (1 + 2 * c * c) / 3,
    )
    for found, kernel in zip((bent, square), kernels, strict=True):
        right = mp.findroot(lambda c, k=kernel: mp.mpf("0.9") * k(c) - c, 0.5)
        assert abs(found["cStar"]["value"] - float(right)) <= found["cStar"]["error"] + 1e-13
        assert found["cStar"]["error"] < 1e-9
    assert still["cStar"]["value"] == 0.0
