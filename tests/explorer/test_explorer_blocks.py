"""The page's verdict on networks of blocks is that of `analyze` on the network it hands out."""

from __future__ import annotations

import pytest

import chione as ch
from chione.explorer import build

SIZES = ((1.0, 1.0, 24), (2.0, 1.0, 24), (1.0, 0.2, 24), (3.0, 1.0, 50), (1.0, 1.0, 4))
CASES = [
    {
        "activation": "gelu", "sigma_w": w, "sigma_b": 0.1, "depth": depth, "width": 512, "q": 1.0,
        "c": 0.5, "weights": "gaussian", "mode": mode, "dropout": 0.05, "alpha": alpha, "tokens": 8,
    }
    for mode in ("residual", "prenorm", "dropout")
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
    const { kind, problem } = engine.solve(network, activation).verdict;
    out.push([kind, problem, text.networkDescription(network)]);
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
    for case, (answer, problem, description) in zip(CASES, found, strict=True):
        network = ch.Network.from_dict(description)
        theirs = ch.analyze(network, simulate=False)
        assert (answer, problem) == (theirs.trains, theirs.problem), case
    assert {answer for answer, *_ in found} == {"yes", "doubtful"}
