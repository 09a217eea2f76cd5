"""What the explorer's worker computes, in a real browser, against the Python package.

Ladder: an independent implementation (circle means in polar coordinates, a law of phi'^2 on halved
panels) against chione's theory.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

import chione as ch
from chione.activations.registry import catalogue
from chione.explorer import build
from chione.theory.moments.kernel_drop import kernel_drop

NAMES = tuple(catalogue())
JUMPS = ("step", "sign", "hardshrink")
LENGTHS = (1e-4, 0.3, 1.7, 12.0)
LEFT = (1.9, 1.0, 0.5, 0.01, 1e-6)  # 1 - c

MOMENTS = """async ([names, lengths]) => {
  const { phiOf } = await import("/formula.js");
  const { gaussianRule, momentsByRule } = await import("/gaussian_rule.js");
  return names.map((name) => {
    const rule = gaussianRule(phiOf(name));
    const inside = (q) => q >= rule.range[0] && q <= rule.range[1];
    return lengths.map((q) => inside(q) ? momentsByRule(rule, q) : null);
  });
}"""

GAPS = """async ([names, lengths, left]) => {
  const { phiOf } = await import("/formula.js");
  const { gaussianRule } = await import("/gaussian_rule.js");
  const { panelCoordinate } = await import("/panel_coordinate.js");
  const { affordableReach, circleMeans, gapFromCircles } = await import("/polar_kernel.js");
  const { angleOfGap } = await import("/tabled_formula.js");
  return names.map((name) => {
    const rule = gaussianRule(phiOf(name)), coordinate = panelCoordinate(rule);
    coordinate.reach = affordableReach(rule, coordinate, 2e4);
    const top = Math.min(rule.range[1], (coordinate.reach / 8.5) ** 2);
    return left.map((gap) => {
      const circles = circleMeans(rule, coordinate, angleOfGap(gap));
      return lengths.map((q) => q > top || q < rule.range[0] ? null : gapFromCircles(circles, q));
    });
  });
}"""

TABLES = """async ([texts, points]) => {
  const { buildTables } = await import("/formula_tables.js");
  const { activationFromTables } = await import("/tabled_formula.js");
  return texts.map((text) => {
    const made = activationFromTables(structuredClone(buildTables(text)));
    const at = (q, left) => ({ moments: made.moments(q), kernel: made.kernelAtGap(q, left) });
    return points.map(([q, left]) => at(q, left));
  });
}"""

REFUSED = """async (text) => {
  const { buildTables } = await import("/formula_tables.js");
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  try { buildTables(text); } catch (error) { return [error.message, seconds()]; }
  return ["accepted", seconds()];
}"""

SPECTRA = """async (cases) => {
  const { jacobianSpectrum } = await import("/spectrum.js");
  return cases.map((one) => {
    const start = performance.now(), found = jacobianSpectrum(one);
    return { ...found, ms: performance.now() - start };
  });
}"""

CLIENT = """async ([data, script]) => {
  const { provideTables } = await import("/tables.js");
  provideTables(data);
  const { ask } = await import("/worker_client.js");
  return await (new Function("ask", `return (async () => { ${script} })()`))(ask);
}"""


def test_moments_of_the_catalogue_agree_with_python(modules: Any) -> None:
    read = modules.evaluate(MOMENTS, [NAMES, LENGTHS])
    for name, rows in zip(NAMES, read, strict=True):
        compared = 0
        for q, js in zip(LENGTHS, rows, strict=True):
            if js is None:
                continue
            compared += 1
            m2, d2 = ch.second_moment(name, q), ch.derivative_second_moment(name, q)
            slope = ch.length_slope(name, q)
            assert abs(js["m2"] - m2.value) <= js["error"] * m2.value + m2.error, (name, q)
            assert abs(js["m2"] - m2.value) <= 1e-12 * m2.value, (name, q)
            assert abs(js["slope"] - slope.value) * q <= 1e-12 * m2.value + slope.error * q
            if name in JUMPS:
                assert js["d2"] in (None, np.inf)
            else:
                assert abs(js["d2"] - d2.value) <= js["error"] * d2.value + 2.0 * d2.error, name
        assert compared >= 2, name


def test_kernels_in_polar_coordinates_agree_with_python(modules: Any) -> None:
    read = modules.evaluate(GAPS, [NAMES, LENGTHS, LEFT])
    for name, rows in zip(NAMES, read, strict=True):
        phi = ch.activation(name)
        for left, row in zip(LEFT, rows, strict=True):
            for q, js in zip(LENGTHS, row, strict=True):
                if js is None:
                    continue
                gap = kernel_drop(phi, q, left)
                # phi(u1) - phi(u2) is known to rounding of phi, and m2 - K of Python to its error
                noise = 4e-15 * np.sqrt(ch.second_moment(phi, q).value * gap.value)
                assert abs(js - gap.value) <= 1e-11 * gap.value + gap.error + noise, (name, q, left)


@pytest.mark.parametrize(
    "text",
    ["x*tanh(softplus(x))", "max(x, -0.3) if x < 1 else x**2", "1 if x > 0.2 else -1",
     "x + sin(x)**2", "x*cos(2*x + 1) - x/3",
     *(pytest.param(text, marks=pytest.mark.slow) for text in
       ("sin(x)", "cubic(sin(x)/2) + cos(5*x)**2", "x - sin(x)", "leaky_relu(0.3)"))],
)  # fmt: skip
def test_tables_of_a_formula_agree_with_python_within_their_errors(modules: Any, text: str) -> None:
    points = [(q, left) for q in (1e-3, 0.21, 1.9, 35.0) for left in (1.83, 0.77, 0.09, 1e-5)]
    (rows,) = modules.evaluate(TABLES, [[text], points])
    phi = ch.activation(text)
    assert sum(not np.isnan(js["moments"]["m2"]) for js in rows) >= 8
    for (q, left), js in zip(points, rows, strict=True):
        m2, gap = ch.second_moment(phi, q), kernel_drop(phi, q, left)
        moments, kernel = js["moments"], js["kernel"]
        if np.isnan(moments["m2"]):
            continue
        assert moments["error"] < 1e-10
        assert abs(moments["m2"] - m2.value) <= moments["error"] * m2.value + m2.error
        # x - sin(x) is x^3/6 near zero: digits cancel for nearly equal inputs, and the page says so
        assert kernel["error"] < (1e-6 if text == "x - sin(x)" and left < 1e-3 else 5e-9)
        assert abs(kernel["gap"] - gap.value) <= kernel["error"] * gap.value + gap.error, (q, left)
        slope = ch.derivative_kernel(phi, q, q, 1.0 - left)
        allowed = 1e-8 * abs(slope.value) + 1e-9 * m2.value / q + slope.error
        assert abs(kernel["slope"] - slope.value) <= allowed, (q, left)


def test_the_kernel_of_many_kinks_is_that_of_its_fourier_series(modules: Any) -> None:
    # |sin x| = 2/pi - (4/pi) sum cos(2 k x) / (4 k^2 - 1), and each pair of waves in closed form
    k = np.arange(1.0, 1200.0)
    size = 4.0 / np.pi / (4.0 * k**2 - 1.0)
    points = [(q, left) for q in (0.03, 0.5, 1.1) for left in (1.83, 0.77, 0.09)]
    (rows,) = modules.evaluate(TABLES, [["abs(sin(x))"], points])
    for (q, left), js in zip(points, rows, strict=True):
        apart, shared = -2.0 * q * (k[:, None] - k) ** 2, 4.0 * q * k[:, None] * k
        waves = 0.5 * (np.exp(apart) - np.exp(apart - left * shared))
        waves += 0.5 * (np.exp(apart - 2.0 * shared) - np.exp(apart - (2.0 - left) * shared))
        exact = size @ waves @ size
        # of the series at most, with the neighbours that a pair of waves has
        beyond = 0.5 * (4.0 / np.pi) ** 2 / (48.0 * k[-1] ** 3) * (1.0 + np.sqrt(np.pi / 2.0 / q))
        assert js["kernel"]["error"] < 1e-8
        room = js["kernel"]["error"] * exact + beyond
        assert abs(js["kernel"]["gap"] - exact) <= room, (q, left)


@pytest.mark.parametrize(
    ("text", "root", "most"),  # the kink at 1 is five deviations out: its share is known less well
    [("sqrt(abs(x))", 0.0, 1e-8), *(pytest.param(*x, marks=pytest.mark.slow) for x in
     (("cbrt(x)", 0.0, 1e-8), ("sqrt(abs(x - 1))", 1.0, 1e-5), ("abs(x)**1.5 - x", 0.0, 1e-8)))],
)  # fmt: skip
def test_kernels_beside_kinks_of_infinite_slope_agree_with_double_integrals(
    modules: Any, text: str, root: float, most: float
) -> None:
    points = [(q, left) for q in (0.04, 1.7) for left in (1.83, 0.77, 0.09, 1e-5)]
    (rows,) = modules.evaluate(TABLES, [[text], points])
    for (q, left), js in zip(points, rows, strict=True):
        exact = gap_by_double_integral(ch.activation(text).value, root, q, left)
        assert js["kernel"]["error"] < most, (q, left)
        assert abs(js["kernel"]["gap"] / exact - 1.0) <= js["kernel"]["error"] + 1e-9, (q, left)


def gap_by_double_integral(phi: Any, root: float, q: float, left: float) -> float:
    """E (phi(s + d) - phi(s - d))^2 / 2 over independent s, d; each is cut at phi's kink."""
    spread_s, spread_d = np.sqrt(q * (1.0 - left / 2.0)), np.sqrt(q * left / 2.0)
    x, w = np.polynomial.legendre.leggauss(24)

    def graded(cuts: Any) -> tuple[Any, Any]:
        # towards both ends of each panel as t^6, from which roots come out as polynomials
        nodes, weights = [], []
        for a, b in itertools.pairwise(cuts):
            t = (1.0 + x) / 2.0
            for end, step in ((a, (b - a) / 2.0), (b, (a - b) / 2.0)):
                nodes.append(end + step * t**6)
                weights.append(abs(step) * 6.0 * t**5 * w / 2.0)
        return np.concatenate(nodes), np.concatenate(weights)

    total = 0.0
    steps = np.array([3.0**-k for k in range(12)])
    d_cuts = np.concatenate([[0.0], steps[::-1], [2.0, 4.0, 6.0, 9.0]]) * spread_d
    for d, weight in zip(*graded(d_cuts), strict=True):
        # phi(s + d) and phi(s - d) have their kinks at root - d and root + d
        far = d + d * 4.0 ** np.arange(1, 14)
        near = [[root - d, root, root + d], root - far, root + far]
        around = np.concatenate([*near, np.arange(-9.0, 10.0) * spread_s])
        limit = 9.0 * spread_s
        s, s_weights = graded(np.unique(np.clip(around, -limit, limit)))
        density = np.exp(-0.5 * (s / spread_s) ** 2) / (spread_s * np.sqrt(2.0 * np.pi))
        inner = np.sum(s_weights * density * (phi(s + d) - phi(s - d)) ** 2)
        total += weight * 2.0 * np.exp(-0.5 * (d / spread_d) ** 2) * inner
    return float(0.5 * total / (spread_d * np.sqrt(2.0 * np.pi)))


@pytest.mark.parametrize(
    ("text", "words"),
    [("exp(exp(x))", "grows too fast"), ("0*x + 1", "does not change with x"),
     ("tanh(1e6*x)", "too abruptly"), ("sin(1000*x)", "oscillates"), ("tan(x)", "oscillates"),
     ("1/(x - 1)", "breaks"), ("log(x)", "infinite at 0"), ("sqrt(x)", "NaN at"),
     ("x*log(abs(x))", "NaN at 0"), ("where(x % 1 > 0.5, x, 0)", "breaks too quickly"),
     ("round(9*x)/9", "breaks too quickly"), ("sqrt(abs(sin(x)))", "breaks too quickly")],
)  # fmt: skip
def test_what_cannot_be_integrated_is_soon_refused_in_a_sentence(
    modules: Any, text: str, words: str
) -> None:
    said, seconds = modules.evaluate(REFUSED, text)
    assert seconds < 2.0
    assert words in said and said.endswith(".") and text in said


@pytest.mark.slow
def test_beyond_the_tables_straight_ends_are_followed_within_the_stated_error(modules: Any) -> None:
    texts, points = ["x*tanh(softplus(x))", "tanh(x)"], [(2.5e3, 0.5), (1e5, 0.7), (1e9, 1e-3)]
    mish, tanh = modules.evaluate(TABLES, [texts, points])
    for (q, left), js in zip(points, mish, strict=True):
        m2, d2 = ch.second_moment("mish", q).value, ch.derivative_second_moment("mish", q).value
        gap = m2 - ch.kernel("mish", q, q, 1.0 - left).value
        moments, kernel = js["moments"], js["kernel"]
        assert abs(moments["m2"] - m2) <= moments["error"] * m2 + 1e-9 * m2 < 1e-2 * m2
        assert abs(moments["d2"] - d2) <= moments["error"] * d2
        assert abs(kernel["gap"] - gap) <= kernel["error"] * gap + 1e-9 * m2 < 2e-2 * m2
    assert all(np.isnan(js["moments"]["m2"]) for js in tanh)  # no straight ends: no number


@pytest.mark.parametrize(
    ("depth", "part"),
    [(1, 0), *(pytest.param(*x, marks=pytest.mark.slow) for x in ((2, 1), (13, 2), (1000, 0)))],
)
def test_spectra_of_the_catalogue_agree_with_python_within_their_errors(
    modules: Any, depth: int, part: int
) -> None:
    cases = [
        {"activation": name, "sigma_w": 1.3, "depth": depth, "weights": weights, "qStar": 0.8}
        for name in (NAMES[0::2], NAMES[1::2], NAMES)[part]
        for weights in ("gaussian", "orthogonal")
    ]
    drawn = 0
    for case, js in zip(cases, modules.evaluate(SPECTRA, cases), strict=True):
        label = (case["activation"], case["weights"])
        if case["activation"] in JUMPS:
            assert js["status"] != "ok" and not js["logLambda"], label
            continue
        options = {"sigma_w": 1.3, "q_star": 0.8, "depth": depth, "weights": case["weights"]}
        theory = ch.jacobian_spectrum(case["activation"], **options)
        atoms = np.array([(a["at"], a["mass"]) for a in js["atoms"]]).reshape(-1, 2)
        np.testing.assert_allclose(atoms[np.argsort(atoms[:, 0])], theory.atoms or atoms, rtol=1e-9)
        assert len(theory.atoms) == len(atoms), label
        x = np.array(js["logLambda"])
        if not x.size:
            assert sum(mass for _, mass in theory.atoms) > 1.0 - 1e-9, label
            continue
        drawn += 1
        cdf, density = theory.cdf_of_log(x), theory.density_of_log(x)
        off = np.abs(density.value - js["density"])
        assert np.all(off <= np.array(js["error"]) + density.error), (label, x[np.argmax(off)])
        off = np.abs(cdf.value - js["cdf"])
        allowed = np.array(js["cdfError"]) + cdf.error
        assert np.all(off <= allowed), (label, x[np.argmax(off - allowed)], np.max(off - allowed))
        assert np.median(js["error"]) < (1e-4 if (depth, label[1]) == (1, "orthogonal") else 1e-7)
        assert np.all(np.diff(x) > 0.0) and np.all(np.diff(js["cdf"]) >= -1e-9), label
    assert drawn > 20


ALONE = """([source, question]) => new Promise((resolve, reject) => {
  const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  worker.onerror = (event) => reject(new Error(event.message));
  worker.onmessage = ({ data }) => resolve({ ok: data.ok, layers: data.result?.layer.length });
  worker.postMessage({ id: 7, kind: "sample", count: 3, seed: 1, network: question });
})"""


def test_the_joined_worker_names_nothing_twice_and_answers(modules: Any) -> None:
    text = build.joined("worker.js")
    names = re.findall(r"^(?:async )?(?:const|let|function|class) (\w+)", text, re.MULTILINE)
    twice = [name for name, n in Counter(names).items() if n > 1]
    assert not twice
    network = {"activation": "tanh(x)", "sigma_w": 1.5, "sigma_b": 0.1, "depth": 9, "width": 32,
               "q": 1, "c": 0.5, "weights": "gaussian", "mode": "plain"}  # fmt: skip
    assert modules.evaluate(ALONE, [text, network]) == {"ok": True, "layers": 9}


def test_the_client_gives_sentences_and_cancels(modules: Any) -> None:
    network = {"activation": "tanh", "sigma_w": 1.5, "sigma_b": 0.1, "depth": 20, "width": 64,
               "q": 1, "c": 0.5, "weights": "gaussian", "mode": "plain", "dropout": 0.1,
               "alpha": 1, "tokens": 4}  # fmt: skip
    script = (
        f"const network = {network!r}".replace("True", "true")
        + """;
      const settled = (promise) => promise.catch((error) => error.message);
      const older = settled(ask("spectrum", { network: { ...network, sigma_w: 1 } }));
      const newer = settled(ask("spectrum", { network }));
      const refused = settled(ask("formula", { text: "tahn(x)" }));
      const spectrum = await newer;
      const picture = settled(ask("diagram", { network, field: "chi_perp",
        sigmaW: Float64Array.of(1, 2), sigmaB: Float64Array.of(0.1, 0.2, 0.4) }));
      const sample = settled(ask("sample", { network, count: 6, seed: 1 }));
      return { older: await older, refused: await refused, n: spectrum.logLambda.length,
               picture: Array.from(await picture), layers: (await sample).layer.length,
               unknown: await settled(ask("nothing", {})) };
    """
    )
    js = modules.evaluate(CLIENT, [build.tables(), script])
    assert "cancelled" in js["older"]
    assert "tahn" in js["refused"] and "tanh" in js["refused"]
    assert js["n"] > 50 and js["layers"] == 20
    assert len(js["picture"]) == 6 and all(np.isfinite(js["picture"]))
    assert "nothing" in js["unknown"]
    chi = ch.mean_field("tanh", sigma_w=2.0, sigma_b=0.2).chi_perp
    assert abs(js["picture"][3] - float(getattr(chi, "value", chi))) < 1e-6
