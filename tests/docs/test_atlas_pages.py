"""The atlas has a page for every activation, and its lines of code do what they say."""

import ast
import functools
import json
import math
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from scipy import special

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))

from atlas import build, measured, neighbours, snippets  # noqa: E402
from atlas.across import ACROSS, across_page  # noqa: E402
from atlas.entries import entries  # noqa: E402
from atlas.index_page import index_page, torch_names  # noqa: E402
from atlas.page import explorer_link  # noqa: E402
from atlas.snippets import Numbers  # noqa: E402

import chione as ch  # noqa: E402
from chione.activations import catalogue  # noqa: E402

ENTRIES = entries()
POINTS = np.linspace(-7.1, 7.3, 97)
LAWS = [Numbers(1.23457, 0.0987, law, 1.5) for law in ("gaussian", "orthogonal")]


def test_every_name_of_the_catalogue_and_of_torch_has_a_page():
    slugs = [e.slug for e in ENTRIES]
    assert len(slugs) == len(set(slugs)) and set(catalogue()) <= set(slugs)
    assert all(e.activation.name for e in ENTRIES)
    torch = pytest.importorskip("torch")
    named = torch_names(ENTRIES)
    assert set(torch.nn.modules.activation.__all__) <= set(named)
    assert set(named.values()) <= {*slugs, "across"}
    page = across_page()
    assert all(f"`{name}`" in page for name in ACROSS)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.torch], ids=lambda e: e.slug)
def test_torch_s_expression_is_the_activation(entry):
    torch = pytest.importorskip("torch")
    f = eval(entry.torch, {"torch": torch})
    f = f.double() if isinstance(f, torch.nn.Module) else f
    with torch.no_grad():
        there = f(torch.from_numpy(POINTS)).numpy()
    np.testing.assert_allclose(there, entry.activation.value(POINTS), rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore")
def test_expressions_of_jax_are_the_activations():
    jax = pytest.importorskip("jax")
    pytest.importorskip("jax.scipy.special")
    jax.config.update("jax_enable_x64", True)
    for entry in ENTRIES:
        if entry.jax:
            there = eval(entry.jax, {"jax": jax, "functools": functools})(POINTS)
            here = entry.activation.value(POINTS)
            np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-12, err_msg=entry.jax)


@pytest.mark.parametrize("numbers", LAWS, ids=lambda n: n.weights)
def test_lines_for_torch_draw_weights_of_that_size(numbers):
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    for sigma_b in (0.0987, 0.0):
        n = Numbers(numbers.sigma_w, sigma_b, numbers.weights)
        layer = torch.nn.Linear(601, 601)
        exec(snippets.pytorch(n), {"torch": torch, "math": math, "layer": layer})
        size = float(layer.weight.detach().std()) * math.sqrt(601)
        assert size == pytest.approx(n.sigma_w, rel=5e-3)
        assert float(layer.bias.detach().std()) == pytest.approx(sigma_b, rel=0.15)
        if n.weights == "orthogonal":
            weight = layer.weight.detach()
            square = weight.T @ weight
            torch.testing.assert_close(square, n.sigma_w**2 * torch.eye(601), atol=1e-4, rtol=0)


def call(code):
    """The keywords and arguments of the innermost call that makes the weights."""
    tree = ast.parse(code, mode="eval").body
    given = {k.arg: k.value for k in tree.keywords}
    kernel = next(v for name, v in given.items() if name.startswith("kernel"))
    bias = next(v for name, v in given.items() if name.startswith("bias"))
    return kernel, bias


def value(node):
    return eval(compile(ast.Expression(node), "code", "eval"))


@pytest.mark.parametrize("write", [snippets.flax, snippets.keras], ids=["flax", "keras"])
@pytest.mark.parametrize("numbers", LAWS, ids=lambda n: n.weights)
def test_lines_for_flax_and_keras_hold_the_numbers(write, numbers):
    kernel, bias = call(write(numbers))
    name = ast.unparse(kernel.func).rpartition(".")[2]
    values = [*kernel.args, *(k.value for k in kernel.keywords)]
    if numbers.weights == "orthogonal":
        assert name.lower() == "orthogonal" and value(values[0]) == pytest.approx(numbers.sigma_w)
    else:  # the scale of either is a variance, and the normal is not a truncated one
        assert name in ("variance_scaling", "VarianceScaling")
        assert value(values[0]) == pytest.approx(numbers.sigma_w**2)
        plain = "normal" if write is snippets.flax else "untruncated_normal"
        assert [value(v) for v in values[1:]] == ["fan_in", plain]
    given = [*bias.args, *(k.value for k in bias.keywords)]
    assert value(given[0]) == pytest.approx(numbers.sigma_b)
    zero = call(write(Numbers(1.0, 0.0)))[1]
    assert "zeros" in ast.unparse(zero).lower()


@pytest.mark.filterwarnings("ignore")
def test_lines_for_flax_draw_weights_of_that_size():
    jax = pytest.importorskip("jax")
    nn = pytest.importorskip("flax.linen")
    for n in LAWS:
        layer = eval(snippets.flax(n), {"nn": nn, "width": 601})
        drawn = layer.init(jax.random.PRNGKey(0), np.zeros((1, 601)))["params"]
        assert np.std(drawn["kernel"]) * math.sqrt(601) == pytest.approx(n.sigma_w, rel=5e-3)
        assert np.std(drawn["bias"]) == pytest.approx(n.sigma_b, rel=0.15)


@pytest.mark.filterwarnings("ignore")
def test_lines_for_keras_draw_weights_of_that_size():
    keras = pytest.importorskip("keras")
    for n in LAWS:
        layer = eval(snippets.keras(n), {"keras": keras, "width": 601})
        layer.build((1, 601))
        assert np.std(layer.kernel) * math.sqrt(601) == pytest.approx(n.sigma_w, rel=5e-3)
        assert np.std(layer.bias) == pytest.approx(n.sigma_b, rel=0.15)


def test_a_truncated_normal_has_the_size_of_the_page():
    # by parts: the variance of a normal cut at c is 1 - 2 c density(c) / (2 Phi(c) - 1)
    density = math.exp(-2.0) / math.sqrt(2.0 * math.pi)
    variance = 1.0 - 4.0 * density / special.erf(math.sqrt(2.0))
    std, square = snippets.truncation()
    assert square == pytest.approx(variance, rel=1e-12) and std**2 == pytest.approx(square)
    assert snippets.decades_lost(50) == pytest.approx(50 * math.log10(variance), rel=1e-12)


def test_a_change_of_an_activation_is_the_library_s():
    phi = ch.activation("affine(gelu, scale=1.25, shift=-0.5, offset=0.125)")
    code = snippets.changed(phi)
    f = ch.activation("gelu")
    assert code == "1.25 * f(x - 0.5) + 0.125"
    np.testing.assert_allclose(eval(code, {"f": f, "x": POINTS}), phi(POINTS), rtol=1e-14)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.slug)
def test_the_link_holds_the_point_and_a_name_that_is_understood(entry):
    link = urlparse(explorer_link(entry.spec, 1.25, 0.0625))
    state = {k: v[0] for k, v in parse_qs(link.fragment, strict_parsing=True).items()}
    assert link.path == "../../explorer.html" and not link.query
    assert "+" not in link.fragment  # which a page need not read as a space
    assert ch.activation(state["activation"]).name == entry.activation.name
    assert (float(state["sigma_w"]), float(state["sigma_b"])) == (1.25, 0.0625)


def test_neighbours_are_the_nearest_by_correlation():
    slugs = ("relu", "tanh", "erf", "abs", "linear", "gelu")
    chosen = {e.slug: e.activation for e in ENTRIES if e.slug in slugs}
    near = neighbours.nearest({s: neighbours.standard_values(a) for s, a in chosen.items()})
    rng = np.random.default_rng(2)
    z = rng.normal(size=400_000)
    z = np.concatenate([z, -z])
    for slug, found in near.items():
        sampled = {s: np.corrcoef(chosen[slug](z), a(z))[0, 1] for s, a in chosen.items()}
        assert [abs(r) for _, r in found] == sorted((abs(r) for _, r in found), reverse=True)
        assert all(abs(sampled[s] - r) < 6e-3 for s, r in found)
    assert near["gelu"][0][0] == "relu" and near["tanh"][0][0] == "erf"
    # (max(z, 0), z): sqrt(1/2) / sqrt(1 - 1/pi)
    exact = math.sqrt(0.5 / (1.0 - 1.0 / math.pi))
    assert dict(near["linear"])["relu"] == pytest.approx(exact, abs=1e-5)


def test_measured_accuracies_are_those_of_the_file():
    assert measured.section("snake") == []
    text = "\n".join(measured.section("tanh"))
    table = ch.load(measured.FILE)
    at = (table.activation.index("tanh"), 2, table.optimizer.index("adam"))
    seeds = table.test_accuracy[(*at, table.scheme.index("he"))]
    row = next(x for x in text.splitlines() if x.startswith("| adam | he |"))
    assert int(table.depth[2]) == 50
    assert row.split(" | ")[4] == f"{np.median(seeds):.3f}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    build.write_atlas(folder, tuple(e for e in ENTRIES if e.slug in ("relu", "sign")))
    return folder


def test_a_second_build_computes_and_writes_nothing(built, monkeypatch):
    before = {p.name: p.stat().st_mtime_ns for p in built.rglob("*.*")}
    monkeypatch.setattr(build, "make_page", None)
    build.write_atlas(built, tuple(e for e in ENTRIES if e.slug in ("relu", "sign")))
    assert {p.name: p.stat().st_mtime_ns for p in built.rglob("*.*")} == before
    assert {"relu.md", "sign.md", "relu.png", "sign.png", "across.md", "index.md"} <= set(before)


def test_other_code_makes_the_pages_again_and_forgets_the_old(built, tmp_path, monkeypatch):
    wanted = tuple(e for e in ENTRIES if e.slug == "sign")
    build.write_atlas(tmp_path, wanted)
    (tmp_path / "gone.md").write_text("old")
    old = {p.name for p in (tmp_path / ".kept").iterdir()}
    monkeypatch.setattr(build, "code_hash", lambda: "other code")
    build.write_atlas(tmp_path, wanted)
    new = {p.name for p in (tmp_path / ".kept").iterdir()}
    assert len(new) == len(old) == 2 and not new & old and not (tmp_path / "gone.md").exists()
    # the same page, and the same picture to the byte, from another process
    assert (tmp_path / "sign.png").read_bytes() == (built / "sign.png").read_bytes()


def test_the_first_page_has_a_row_for_each_page(built):
    text = (built / "index.md").read_text(encoding="utf-8")
    row = next(x for x in text.splitlines() if x.startswith("| [relu](relu.md) |"))
    cells = [c.strip() for c in row.strip("|").split(" | ")]
    assert cells[1:5] == ["scale-invariant", "critical", "1.41421", "0"]
    assert "\nrelu\nsign\nacross\n" in text
    kept = next((built / ".kept").glob("*.json"))
    one = json.loads(kept.read_text(encoding="utf-8"))["row"]
    assert index_page({"x": one}, {}).count("](x.md)") == 1
