"""Numbers of the atlas against formulas as its pages write them, integrated another way."""

import json
import math
import re
import sys
from pathlib import Path

import atlas_oracle as oracle
import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

from atlas import facts as atlas_facts  # noqa: E402
from atlas import schemes  # noqa: E402
from atlas.across import GATES, gate_rows, softmax_rows  # noqa: E402
from atlas.build import make_page  # noqa: E402
from atlas.entries import entries  # noqa: E402
from atlas.page import formula_of, parameters_of  # noqa: E402
from atlas.random_slope import slope_moments, training_sigma  # noqa: E402

import chione as ch  # noqa: E402
from chione.base import Status  # noqa: E402

ENTRIES = {e.slug: e for e in entries()}
# by default one of each kind: kinks, jumps, tails that are flat or grow, quick turns, random slopes
OFTEN = ("relu", "gelu", "tanh", "erf", "sign", "hardsigmoid", "cubic", "exp", "siren", "snake",
         "softplus", "elu", "rrelu", "threshold", "starrelu", "sinc")  # fmt: skip


def some(quick):
    """All entries of the atlas; those that are not quick are marked as slow."""
    rest = [pytest.param(s, marks=pytest.mark.slow) for s in ENTRIES if s not in quick]
    return [*quick, *rest]


def written(slug):
    """The formula as the page writes it, and its kinks."""
    entry = ENTRIES[slug]
    phi = entry.activation
    text = "x if x > 0 else 0.22916666666666666*x" if slug == "rrelu" else formula_of(entry, phi)
    return oracle.formula(text, parameters_of(entry, phi)), phi.kinks


@pytest.mark.parametrize("slug", some(OFTEN))
def test_moments_at_length_1_are_those_of_the_formula_on_the_page(slug):
    f, kinks = written(slug)
    found = atlas_facts.moments(ENTRIES[slug].activation)
    exact = oracle.moments(f, kinks)
    scale = math.sqrt(exact["square"])
    for name, power in (("mean", 1), ("square", 2), ("fourth", 4), ("length", 2)):
        assert abs(float(found[name].value) - exact[name]) < 1e-11 * max(scale, 1.0) ** power
    if found["slope"].status == Status.INFINITE:  # a jump: the difference grows with its step
        assert any(abs(f(k + 1e-9) - f(k - 1e-9)) > 1e-3 for k in kinks)
    else:
        assert float(found["slope"].value) == pytest.approx(exact["slope"], rel=1e-9)
    assert abs(float(found["uncorrelated"].value) - exact["mean"] ** 2) < 1e-12 * max(scale, 1) ** 2
    half = oracle.kernel_half(f, kinks)
    assert abs(float(found["half"].value) - half) < 1e-10 * max(scale, 1.0) ** 2


def test_gates_are_products_of_two_independent_normals():
    for (name, _), row in zip(GATES.items(), gate_rows(), strict=True):
        f, kinks = written(name)
        exact = oracle.moments(f, kinks)
        square, factor, sigma, gain = (float(x) for x in row[2:])
        assert square == pytest.approx(exact["square"], rel=1e-5)
        assert factor == pytest.approx(exact["square"] + exact["slope"], rel=1e-5)
        assert sigma**2 * square == pytest.approx(1.0, rel=1e-5)
        assert gain == pytest.approx(factor / square, rel=1e-5) and gain > 1.0


def test_a_softmax_of_many_normals_has_the_moments_of_the_page():
    rng = np.random.default_rng(5)
    for q, _, square in softmax_rows():
        h = rng.normal(0.0, math.sqrt(float(q)), (40, 100_000))
        p = np.exp(h) / np.exp(h).sum(axis=1, keepdims=True)
        sampled = h.shape[1] * np.sum(p**2, axis=1)
        error = sampled.std() / math.sqrt(sampled.size)
        assert abs(sampled.mean() - float(square)) < 4.0 * error


def test_random_slopes_are_those_of_torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    x = -torch.ones(1_000_000, dtype=torch.float64)
    slopes = -torch.nn.RReLU()(x)
    mean, square = slope_moments()
    assert float(slopes.mean()) == pytest.approx(mean, abs=5.0 * float(slopes.std()) / 1e3)
    assert float((slopes**2).mean()) == pytest.approx(square, abs=1e-4)
    assert training_sigma() ** 2 * (1.0 + float((slopes**2).mean())) / 2.0 == pytest.approx(1, 1e-3)


CASES = [("gelu", "he"), ("tanh", "pytorch"), ("softplus", "xavier"), ("quadratic", "xavier")]


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"),
    [("tanh", 1.5, 0.1), ("quadratic", 2.0, 0.0), ("quadratic", 0.5, 0.0), ("sign", 1.2, 0.1)],
)
@pytest.mark.parametrize("depth", [2, 9, 23])
def test_the_first_layers_of_a_deep_network_are_a_network(name, sigma_w, sigma_b, depth):
    whole = ch.trajectory(name, sigma_w, sigma_b, depth=23)
    part = schemes.first_layers(whole, depth)
    alone = ch.trajectory(name, sigma_w, sigma_b, depth=depth)
    for curve in ("q", "c", "one_minus_c", "chi", "layer", "passed"):
        there, here = getattr(part, curve), getattr(alone, curve)
        np.testing.assert_allclose(there, here, rtol=1e-14, err_msg=curve)
    assert part.status == alone.status


@pytest.mark.parametrize(("slug", "scheme"), CASES)
def test_outcomes_are_the_verdicts_of_analyze(slug, scheme):
    phi = ENTRIES[slug].activation
    s = ch.describe_scheme(phi, scheme, fan_in=512, fan_out=512)
    for out in schemes.outcomes(phi, s.sigma_w, s.sigma_b, (10, 50)):
        said = ch.analyze(phi, s.sigma_w, s.sigma_b, depth=out.depth, width=512, simulate=False)
        assert (out.trains, out.problem) == (said.verdict.trains, said.verdict.problem)
        assert out.optimizers == said.verdict.optimizers
        same = out.log10_gradient == said.log10_gradient
        assert same or (math.isnan(out.log10_gradient) and math.isnan(said.log10_gradient))


# ------------------------------------------------------------------------------- whole pages


@pytest.mark.parametrize("slug", some(("relu", "gelu", "erf")))
def test_every_number_of_a_page_is_that_of_its_formula(slug, tmp_path):
    text = page_of(slug, tmp_path)
    f, kinks = written(slug)
    _critical_line(text, f, kinks)
    _usual_ones(text, f, kinks)
    _jacobian(text, f, kinks)


def page_of(slug, folder):
    """The page as it is built, but for its neighbours."""
    make_page(ENTRIES[slug], folder, slug)
    return json.loads((folder / f"{slug}.json").read_text(encoding="utf-8"))["page"]


def section(text, title):
    found = re.search(rf"^## {title}[^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    return found.group(1) if found else ""


def table(text):
    """Cells of the last table of a section, without its head."""
    rows = [x for x in text.splitlines() if x.startswith("| ") and "---" not in x]
    return [[c.strip() for c in row.strip("|").split(" | ")] for row in rows[1:]]


def _critical_line(text, f, kinks):
    for q, w, e_w, b, _, chi, _ in table(section(text, "Order and chaos")):
        q, w, b, chi = float(q), float(w), float(b), float(chi)
        m = oracle.moments(f, kinks, q)
        assert w**2 * m["slope"] == pytest.approx(1.0, rel=1e-7) and float(e_w) < 1e-6 * w
        assert w**2 * m["square"] + b**2 == pytest.approx(q, rel=1e-7)
        assert w**2 * m["length"] == pytest.approx(chi, rel=1e-6, abs=1e-12)


def _usual_ones(text, f, kinks):
    """Gradients of each row, by a plain loop over layers."""
    for name, w, b, _, *cells in table(section(text, "Beside the usual ones")):
        if "changed" in name or _jumps(f, kinks):  # beside a jump no slope says what gradients do
            continue
        w, b = float(w), float(b)
        q, decades, known = w**2 + b**2, 0.0, {}
        for layer in range(1, 101):
            if not 1e-12 < q < 1e6:  # differences of the written formula know no slope beyond
                break
            with np.errstate(over="ignore", invalid="ignore"):
                m = oracle.moments(f, kinks, q)
            if not 0.0 < m["slope"] < math.inf:  # a dead zone, or exp
                break
            decades += math.log10(w**2 * m["slope"])
            known[layer], q = decades, w**2 * m["square"] + b**2
        for depth, cell in zip((10, 50, 100), cells, strict=True):
            shown = re.match(r"([\d.e+-]+)x:", cell)
            if shown and depth in known and float(shown.group(1)) > 1e-290:  # below: whole decades
                # two digits are shown; the sigmas of the row are rounded to six
                assert math.log10(float(shown.group(1))) == pytest.approx(known[depth], abs=0.025)


def _jumps(f, kinks):
    return any(abs(f(k + 1e-9) - f(k - 1e-9)) > 1e-3 for k in kinks)


def _jacobian(text, f, kinks):
    part = section(text, "Jacobian of 50 layers")
    if not part or "activation changed" in part:
        return
    w, q = (
        float(re.search(pattern, part).group(1))
        for pattern in (r"sigma_w = ([\d.e+-]*\d)", r"(?:q\* = |layer 50, )([\d.e+-]*\d)")
    )
    m = oracle.moments(f, kinks, q)
    for weights, mean, _, variance, *_ in table(part):
        exact = (w**2 * m["slope"]) ** 50
        s1 = -1.0 if weights == "gaussian" else 0.0
        spread = 50.0 * (m["slope_fourth"] / m["slope"] ** 2 - 1.0 - s1)
        # six digits of sigma_w are shown, and enter to the power of 100
        assert float(mean) == pytest.approx(exact, rel=1e-3)
        assert float(variance) == pytest.approx(exact**2 * spread, rel=2e-3, abs=1e-9)
