"""The page's verdict on networks of blocks is that of `analyze` on the network it hands out."""

from __future__ import annotations

import numpy as np
import pytest

import chione as ch
from chione.explorer import build

SIZES = ((1.0, 1.0, 24), (2.0, 1.0, 24), (1.0, 0.2, 24), (3.0, 1.0, 50), (1.0, 1.0, 4))
CASES = [
    {
        "activation": "gelu", "sigma_w": w, "sigma_b": 0.1, "depth": depth, "width": 512, "q": 1.0,
        "c": 0.5, "weights": "gaussian", "mode": mode, "dropout": 0.05, "alpha": alpha, "tokens": 8,
    }
    for mode in ("residual", "prenorm", "dropout", "transformer")
    for w, alpha, depth in SIZES
]  # fmt: skip

_JUDGED = """
async ([data, cases]) => {
  const tables = await import("/tables.js");
  const engine = await import("/engine.js");
  const text = await import("/network_text.js");
  tables.provideTables(data);
  const out = [];
  for (const network of cases) {
    const activation = await tables.loadActivation(network.activation);
    const { kind, problem, sentences } = engine.solve(network, activation).verdict;
    out.push([kind, problem, sentences[1], text.networkDescription(network)]);
  }
  return out;
}
"""


@pytest.mark.slow
def test_the_verdict_on_blocks_is_that_of_analyze(browser, static_address):
    page = browser.new_page()
    page.goto(f"{static_address}/index.html")
    found = page.evaluate(_JUDGED, [build.tables(), CASES])
    page.close()
    for case, (answer, problem, reason, description) in zip(CASES, found, strict=True):
        network = ch.Network.from_dict(description)
        theirs = ch.analyze(network, simulate=False)
        assert (answer, problem) == (theirs.trains, theirs.problem), case
        if case["mode"] == "transformer":
            assert reason.split(":")[0] == theirs.reason.split(":")[0], case
    assert {answer for answer, *_ in found} == {"yes", "doubtful"}


_PICTURES = """
async ([data, cases]) => {
  const tables = await import("/tables.js");
  const engine = await import("/engine.js");
  tables.provideTables(data);
  return Promise.all(cases.map(async (network) => {
    const activation = await tables.loadActivation(network.activation);
    const { lengthMap, correlationMap, depth } = engine.solve(network, activation);
    const { q, image, path } = lengthMap;
    const { c, image: after, path: stairs } = correlationMap;
    return { lengths: [[...q], [...image], path], last: [...depth.q].slice(-2),
             correlations: [[...c], [...after], stairs] };
  }));
}
"""


def test_stairs_touch_the_maps_in_every_mode(browser, static_address):
    modes = ("plain", "dropout", "residual", "prenorm", "transformer")
    cases = [CASES[0] | {"mode": mode, "alpha": 0.6, "c": -0.1} for mode in modes]
    page = browser.new_page()
    page.goto(f"{static_address}/index.html")
    found = page.evaluate(_PICTURES, [build.tables(), cases])
    page.close()
    for case, pictures in zip(cases, found, strict=True):
        for key in ("lengths", "correlations"):
            x, y, path = map(np.array, pictures[key])
            seen = path[(path[:, 0] >= x[0]) & (path[:, 0] <= x[-1])]
            assert len(seen) > 3, (case["mode"], key)
            step = np.abs(np.diff(y)).max()  # of a polygon beside a curve
            assert np.abs(np.interp(seen[:, 0], x, y) - seen[:, 1]).max() < 0.05 * step
        assert pictures["correlations"][0][0] == (-1 / 7 if case["mode"] == "transformer" else -1.0)
        # behind the last layers the map is the network's own
        x, y, _ = pictures["lengths"]
        before, after = pictures["last"]
        line = y[-1] + (before - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
        image = np.interp(before, x, y) if before <= x[-1] else line
        assert abs(image - after) < 0.01 * after


_FIELDS = """
async ([data, cases]) => {
  const tables = await import("/tables.js");
  const engine = await import("/engine.js");
  const { diagram } = await import("/diagram_fields.js");
  tables.provideTables(data);
  return Promise.all(cases.map(async (network) => {
    const activation = await tables.loadActivation(network.activation);
    const found = engine.solve(network, activation);
    const [cell] = diagram(network, activation, "chi_perp", [network.sigma_w], [network.sigma_b]);
    const { q, c, log10Gradient } = found.depth;
    return { cell, chi: found.chiPerp.value, sentence: found.verdict.sentences[0],
             q: q.at(-1), c: c.at(-1), total: log10Gradient[0] };
  }));
}
"""


def _found(browser, static_address, cases):
    page = browser.new_page()
    page.goto(f"{static_address}/index.html")
    found = page.evaluate(_FIELDS, [build.tables(), cases])
    page.close()
    return found


def test_the_factor_of_a_stream_is_the_mean_from_its_first_block_to_its_last(
    browser, static_address
):
    cases = [
        CASES[0] | {"mode": mode, "alpha": alpha, "depth": depth, "activation": name}
        for mode in ("residual", "prenorm", "transformer")
        for alpha, depth in ((0.3, 2), (1.0, 25), (0.1, 400 if mode != "transformer" else 30))
        for name in ("gelu", "sin")
    ]
    for case, found in zip(cases, _found(browser, static_address, cases), strict=True):
        steps = case["depth"] - 1
        assert abs(found["chi"] ** steps / 10 ** found["total"] - 1) < 1e-9, case
        # the colours follow the stream until its factors have settled
        assert abs(found["cell"] / found["chi"] - 1) < 2e-4, case
        assert f"from the first block to the last of {case['depth']}." in found["sentence"]


def test_a_stream_whose_branches_have_no_weights_stays_as_it_is(browser, static_address):
    cases = [
        CASES[0] | {"mode": mode, "sigma_w": 0.0, "sigma_b": 0.0, "depth": 5, "activation": name}
        for mode in ("residual", "prenorm", "transformer")
        for name in ("gelu", "step")
    ]
    for case, found in zip(cases, _found(browser, static_address, cases), strict=True):
        assert (found["q"], found["c"], found["chi"], found["total"]) == (1.0, 0.5, 1.0, 0.0), case


@pytest.mark.parametrize(("tokens", "least"), [(6, "-0.2"), (4, "-0.3333"), (64, "-0.0158")])
def test_tokens_have_no_correlation_that_so_many_cannot_have(desk, tokens, least):
    desk.go(f"#activation=gelu&mode=transformer&depth=4&width=80&c=-0.9&tokens={tokens}")
    note = desk.page.locator("#notes")
    assert f"became {least}: {tokens} tokens cannot" in note.inner_text()
    assert desk.hash()["c"] == least
    desk.set("c", -0.8)
    assert desk.hash()["c"] == least and f"became {least}" in note.inner_text()
    desk.set("c", 0.1)
    assert desk.hash()["c"] == "0.1" and note.inner_text() == ""


def test_the_colours_of_streams_say_over_how_many_blocks_and_follow_the_depth(desk):
    words = desk.page.locator("#key-words")
    desk.go("#activation=gelu&mode=residual&depth=7&field=q_star")
    assert "After 7 blocks." in words.inner_text()
    high = desk.page.locator("#key .high")
    seven = high.inner_text()
    desk.set("depth", 9)
    assert "After 9 blocks." in words.inner_text() and high.inner_text() != seven
    desk.go("#activation=gelu&mode=transformer&depth=50&tokens=8&width=64")
    assert "Over the first 30 blocks." in words.inner_text()
    desk.go("#activation=gelu&mode=prenorm&depth=50&field=xi_c")
    assert words.inner_text().endswith("Streams of blocks have none.")
    desk.go("#activation=gelu&mode=residual&depth=50")
    assert words.inner_text() == "Colour: factor on the mean square gradient a layer."
