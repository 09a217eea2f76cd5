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
