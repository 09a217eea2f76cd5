"""What the explorer gives to take along: figures as files, the network as code that runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import pytest

import chione as ch
from chione.activations.registry import catalogue

FORMULA = "x*tanh(softplus(x))"
TYPED = f"#activation={quote(FORMULA, safe='')}"


def _csv(path):
    lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    rows = [[float(cell) if cell else np.nan for cell in line.split(",")] for line in lines[1:]]
    return lines[0].split(","), np.array(rows)


def test_figures_are_saved_as_svg_png_and_csv(desk, tmp_path):
    want = ch.trajectory("tanh", 1.5, 0.1, depth=50)
    desk.go("#activation=tanh&sigma_w=1.5&sigma_b=0.1&depth=50")

    def save(figure, form):
        desk.page.select_option("#export-figure", figure)
        with desk.page.expect_download() as got:
            desk.page.click(f"[data-format={form}]")
        path = tmp_path / got.value.suggested_filename
        got.value.save_as(path)
        return path

    desk.page.click("#open-export")
    for figure in ("diagram", "length", "correlation", "spectrum", "q", "c", "gradient"):
        root = ElementTree.parse(save(figure, "svg")).getroot()
        assert root.tag.endswith("svg")
        assert "tanh" in root.find("{http://www.w3.org/2000/svg}title").text
    assert save("diagram", "png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    names, rows = _csv(save("gradient", "csv"))
    assert names[:2] == ["layer", "gradient"]
    np.testing.assert_allclose(rows[:, 1], want.gradient, rtol=1e-9)
    names, rows = _csv(save("diagram", "csv"))
    desk.page.click("#close-export")
    line = ch.critical_line("tanh", q=[0.5, 1.0])
    for w, b in zip(line.sigma_w, line.sigma_b, strict=True):
        assert np.min(np.hypot(rows[:, 0] - w, rows[:, 1] - b)) < 0.1


def test_copied_python_runs_and_gives_the_numbers_of_the_page(desk, capsys):
    fragment = "#activation=gelu&sigma_w=1.5&sigma_b=0.1&depth=12&width=64&q=2&c=0.25"
    desk.go(fragment)
    code = desk.code("python").replace("width=64", "width=64, simulate=False")
    q_star = desk.page.locator("#numbers dd span").first.inner_text()
    names: dict[str, object] = {}
    exec(code, names)
    assert "gelu, sigma_w = 1.5" in capsys.readouterr().out
    assert float(q_star) == pytest.approx(float(names["result"].theory.q_star), rel=1e-6)
    desk.page.locator("#chart-gradient .plot").focus()
    desk.page.keyboard.press("Home")
    text = desk.page.locator("#chart-gradient .readout").inner_text()
    shown = re.match(r"layer 1: gradient = ([0-9.]+)", text).group(1)
    assert float(shown) == pytest.approx(float(names["layers"].gradient[0]), rel=1e-5)


@pytest.mark.parametrize("mode", ["dropout", "residual", "prenorm", "transformer"])
def test_copied_python_of_blocks_is_the_network_of_the_page(desk, mode):
    state = "sigma_w=1.4&sigma_b=0.2&depth=4&width=64&q=2&c=0.3&dropout=0.2&alpha=0.5&tokens=8"
    desk.go(f"#activation=gelu&{state}&mode={mode}")
    desk.page.locator("#chart-q .plot").focus()
    desk.page.keyboard.press("End")
    shown = desk.page.locator("#chart-q .readout").inner_text()
    code = desk.code("python")
    assert code.endswith("print(ch.analyze(network))")
    names: dict[str, object] = {}
    exec(code.removesuffix("print(ch.analyze(network))"), names)
    want = float(ch.network_theory(names["network"]).q[-1])
    assert float(re.match(r"layer 4: q = ([0-9.]+)", shown).group(1)) == pytest.approx(
        want, rel=1e-5
    )
    assert shlex.split(desk.code("shell"))[-2:] == ["network", "network.json"]


@pytest.mark.slow
def test_copied_shell_is_a_command_that_chione_takes(desk):
    fragment = f"{TYPED}&sigma_w=1.4&sigma_b=0.2&depth=9&width=40&weights=orthogonal"
    desk.go(fragment)
    words = shlex.split(desk.code("shell").replace("\\\n", " "))
    assert words[0] == "chione"
    run = subprocess.run(
        [sys.executable, "-m", *words, "--networks", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    shown = " ".join(run.stdout.split())
    assert f"{FORMULA}, sigma_w = 1.4, sigma_b = 0.2, 9 layers of width 40, orthogonal" in shown


FORMULAS = [
    FORMULA,
    "max(x, 0)**2 - 0.5",
    "x if x > 0 else 0.3*expm1(x)",
    "clip(x, -1, 1) + sin(pi*x)/4",
    "min(abs(x), 2) % 1.5",
    "where(x > 1 > 0, -x**2, cbrt(x)) + hypot(x, 1)",
    "arctan2(x, 2) - logaddexp(x, e) + ndtr(-x)*swish(x) + erfc(x)",
    "sinc(x)/2 + log1p(square(x)) - round(3*x)/3",
]
MODULE = """async ([activation, weights]) => {
    const { torchModule } = await import("./torch_text.js");
    return torchModule({ activation, weights, sigma_w: 1.5, sigma_b: 0.1, depth: 3, width: 400,
                         mode: "plain", dropout: 0 });
}"""


def _torch_network(code):
    names: dict[str, object] = {}
    exec(code, names)
    return names["model"]


@pytest.mark.slow
def test_copied_pytorch_has_each_activation(modules):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    for name in [*catalogue(), *FORMULAS]:
        model = _torch_network(modules.evaluate(MODULE, [name, "gaussian"])).double()
        want = ch.activation(name).value(x.numpy())
        np.testing.assert_allclose(model[1](x).detach().numpy(), want, atol=3e-7, err_msg=name)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_copied_pytorch_draws_what_the_page_shows(desk, weights):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    desk.go(f"#activation=gelu&sigma_w=1.5&sigma_b=0.1&depth=3&width=400&weights={weights}")
    model = _torch_network(desk.code("torch"))
    assert [type(layer).__name__ for layer in model] == ["Linear", "GELU"] * 3
    w, b = (p.detach().double() for p in (model[2].weight, model[2].bias))
    assert float(w.std()) == pytest.approx(1.5 / 20, rel=0.02)
    assert float(b.std()) == pytest.approx(0.1, rel=0.2)
    square = w @ w.T - 1.5**2 * torch.eye(400)
    assert (float(square.abs().max()) < 1e-5) == (weights == "orthogonal")


def test_copied_pytorch_drops_units_where_the_page_does(desk):
    pytest.importorskip("torch", reason="torch is not installed")
    desk.go("#activation=relu&sigma_w=1.4&sigma_b=0&depth=2&width=40&mode=dropout&dropout=0.25")
    model = _torch_network(desk.code("torch"))
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Dropout"] * 2
    assert model[2].p == 0.25


@pytest.mark.parametrize(
    ("mode", "weights"),
    [("residual", "orthogonal"), ("prenorm", "gaussian"), ("transformer", "gaussian")],
)
def test_copied_pytorch_of_blocks_does_what_the_page_says(desk, mode, weights):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    width, depth, tokens, q, c = 200, 5, 6, 0.7, 0.6
    desk.go(
        f"#activation=gelu&sigma_w=1.4&sigma_b=0.3&depth={depth}&width={width}&q={q}&c={c}"
        f"&weights={weights}&mode={mode}&alpha=0.3&tokens={tokens}"
    )
    code = desk.code("torch")
    shown = {}
    for key in ("q", "c"):
        numbers = desk.page.locator(f"#chart-{key} details")
        if numbers.get_attribute("open") is None:
            numbers.locator("summary").click()
        lines = numbers.locator("table").inner_text().strip().split("\n")
        shown[key] = [float(line.split("\t")[1]) for line in lines[1:]]
    torch.manual_seed(7)
    rows = tokens if mode == "transformer" else 2
    root = torch.linalg.cholesky(q * (c + (1.0 - c) * torch.eye(rows)))
    measured = []
    for _ in range(24):
        model = _torch_network(code)
        directions = torch.randn(width, rows + 1).index_fill_(1, torch.tensor(0), 1.0)
        frame, _ = torch.linalg.qr(directions)
        h = width**0.5 * root @ frame[:, 1:].T  # exactly these second moments, and a mean of 0
        h = h[None] if mode == "transformer" else h
        lengths, alike = [], []
        for block in model:
            with torch.no_grad():
                h = block(h)
            gram = h.reshape(rows, width) @ h.reshape(rows, width).T / width
            lengths.append(float(gram.diagonal().mean()))
            alike.append(float((gram.sum() - gram.trace()) / (rows - 1) / gram.trace()))
        measured.append([lengths, alike])
    mean, error = np.mean(measured, 0), np.std(measured, 0, ddof=1) / 24**0.5
    theory = np.array([shown["q"], shown["c"]])
    assert np.all(error < 0.03 * theory)  # else it would not tell
    assert np.all(np.abs(mean - theory) <= 4.5 * error + theory * depth / width), (mean, theory)
