"""Names and parameters as one types them: the page reads what the Python package reads.

Ladder: an independent implementation (the page's reader) against `chione.activation`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import chione as ch
from chione.activations import registry
from chione.base import SpecError
from chione.explorer import build

X = [-7.3, -2.0, -1.1, -0.31, -1e-3, 0.0, 1e-3, 0.27, 0.6, 1.3, 2.9, 6.1]

ACCEPTED = (
    "leaky_relu(0.2)", "LeakyReLU(slope=-0.3)", "prelu(0.1)", "PReLU( slope = +1e-1 )", "elu(0.5)",
    "ELU(alpha=-2)", "celu(0.7)", "hardtanh(-2, 2)", "hardtanh(high=3.5)", "hardtanh(0.5, 0.75,)",
    "shifted_relu(0.4)", "shifted relu(-0.4)", "shifted-relu(0)", "erf(0.3)", "silu(1.702)",
    "swish(beta=-1.5)", "silu(0)", "siren(w0=3)", "SIREN(-2.5)", "gaussian(0.7)", "softshrink(0.8)",
    "hardshrink(threshold=0.1)", "leaky_relu(0x1)", "leaky_relu(1_0)", "leaky_relu(--.25)", "erf()",
    "leaky_relu(0.01)", "GELU", "Gelu_New", "heaviside", "identity", "relu2", "Leaky ReLU", "ATan",
    "affine(gelu, scale=2)", "affine(tanh, shift=-0.3, offset=0.1)", "affine(relu)",
    "affine(leaky_relu(0.3), scale=-1.5, shift=0.25)", "affine(x**2 - x, offset=-1)",
    "affine(affine(sin, scale=3), shift=0.5)", "affine(siren(3), scale=0.5)", "leaky_relu(x)",
)  # fmt: skip

REFUSED = (
    "gleu", "nothing", "relu(0.1)", "leaky_relu(inf)", "leaky_relu(1e999)",
    "leaky_relu(0.1, 0.2)", "leaky_relu(slop=0.1)", "leaky_relu(slope=0.1, slope=0.2)",
    "leaky_relu(0.1, slope=0.2)", "leaky_relu(0.2", "leaky_relu(0.2))", "leaky_relu('0.2')",
    "leaky_relu(True)", "leaky_relu(*0.2)", "leaky_relu(**2)", "leaky_relu(0.1+0.1)", "elu(nan)",
    "hardtanh(2, 1)", "hardtanh(low=3)", "celu(0)", "celu(-1)", "erf(0)", "gaussian(-1)",
    "siren(0)", "softshrink(0)", "hardshrink(-0.5)", "leaky_relu[0.2]", "affine(gelu, scale=1e999)",
    "affine(gelu, 2)", "affine(gelu, scale=x)", "affine(gelu, size=2)", "affine(gleu, scale=2)",
    "affine()", "affine(gelu", "tanh(1)(2)", "leaky_relu(1j)", "constructor", "__proto__(1)", "",
    "leaky_relu(" + "9" * 400 + ")", "leaky_relu(" + "-" * 400 + "1)",
)  # fmt: skip

READ = """async ([texts, points]) => {
  const { readActivation } = await import("/named_activation.js");
  const { phiOf } = await import("/formula.js");
  return texts.map((typed) => {
    try {
      const { text } = readActivation(typed), phi = phiOf(typed);
      const values = points.map(phi.value), slopes = points.map(phi.slope);
      return { text, values, slopes, kinks: phi.kinks() };
    } catch (error) {
      return { error: error.constructor.name, message: error.message };
    }
  });
}"""

FAMILIES = """async () => {
  const { ACTIVATION_ALIASES, ACTIVATION_FAMILIES } = await import("/named_activation.js");
  const takes = Object.entries(ACTIVATION_FAMILIES).map(([name, { takes }]) => [name, takes]);
  return [ACTIVATION_ALIASES, Object.fromEntries(takes)];
}"""

SCALED = """async ([data, texts, points]) => {
  const { provideTables } = await import("/tables.js");
  const { readActivation } = await import("/named_activation.js");
  const { loadChosen } = await import("/other_units.js");
  provideTables(data);
  return await Promise.all(texts.map(async (text) => {
    const made = await loadChosen(readActivation(text));
    const at = (q, left) => ({ moments: made.moments(q), kernel: made.kernelAtGap(q, left) });
    return points.map(([q, left]) => at(q, left));
  }));
}"""


def test_the_page_knows_the_names_and_parameters_of_the_catalogue(modules: Any) -> None:
    aliases, takes = modules.evaluate(FAMILIES)
    assert aliases == registry._ALIASES
    theirs = {
        name: {field.name: field.default for field in dataclasses.fields(phi)}  # type: ignore[arg-type]
        for name, phi in registry.catalogue().items()
    }
    assert takes == {name: fields for name, fields in theirs.items() if fields}


def test_names_with_parameters_are_the_functions_that_python_makes(modules: Any) -> None:
    x = np.array(X)
    for typed, js in zip(ACCEPTED, modules.evaluate(READ, [ACCEPTED, X]), strict=True):
        assert "error" not in js, (typed, js)
        phi = ch.activation(typed)
        # the text that the page writes into its address and its code is the same activation
        assert ch.activation(js["text"]).name == phi.name, (typed, js["text"])
        np.testing.assert_allclose(
            js["values"], phi.value(x), rtol=2e-14, atol=1e-15, err_msg=typed
        )
        away = np.all([x != kink for kink in phi.kinks], axis=0) if phi.kinks else x == x
        slopes = np.array(js["slopes"], dtype=float)[away]
        np.testing.assert_allclose(slopes, phi.derivative(x[away]), rtol=2e-14, atol=1e-15)
        np.testing.assert_allclose(js["kinks"], sorted(phi.kinks), atol=1e-15, err_msg=typed)


def test_what_python_refuses_is_refused_in_a_sentence(modules: Any) -> None:
    for typed, js in zip(REFUSED, modules.evaluate(READ, [REFUSED, X]), strict=True):
        with pytest.raises(SpecError):
            ch.activation(typed)
        assert js.get("error") == "FormulaError", (typed, js)
        assert js["message"].endswith("."), js
    near = modules.evaluate(READ, [["gleu", "tnah", "LeakyRelo"], X])
    for js, name in zip(near, ("gelu", "tanh", "leaky_relu"), strict=True):
        assert f"did you mean '{name}'?" in js["message"]


def test_tables_in_other_units_agree_with_python(modules: Any) -> None:
    texts = ["siren(w0=3)", "silu(1.702)", "erf(0.3)", "gaussian(2)", "hardtanh(-2, 2)",
             "celu(0.7)", "softshrink(0.8)", "hardshrink(0.1)", "shifted_relu(0.4)",
             "affine(gelu, scale=-2)"]  # fmt: skip
    points = [(q, left) for q in (0.02, 0.9, 150.0) for left in (1.83, 0.77, 1e-5)]
    rows = modules.evaluate(SCALED, [build.tables(), texts, points])
    for text, row in zip(texts, rows, strict=True):
        phi = ch.activation(text)
        for (q, left), js in zip(points, row, strict=True):
            m2, slope = ch.second_moment(phi, q), ch.length_slope(phi, q)
            moments, kernel = js["moments"], js["kernel"]
            room = moments["error"] * m2.value + m2.error
            assert abs(moments["m2"] - m2.value) <= room <= 1e-10 * m2.value, (text, q)
            assert abs(moments["slope"] - slope.value) * q <= 3.0 * room + slope.error * q
            value = ch.kernel(phi, q, q, 1.0 - left)
            assert abs(kernel["value"] - value.value) <= room + value.error, (text, q, left)
            if text != "hardshrink(0.1)":
                d2 = ch.derivative_second_moment(phi, q)
                assert abs(moments["d2"] - d2.value) <= moments["error"] * d2.value + d2.error


TORCH = """async (texts) => {
  const { torchModule } = await import("/torch_text.js");
  const { startState } = await import("/state.js");
  const network = { ...startState(), depth: 2, width: 3 };
  return texts.map((activation) => torchModule({ ...network, activation }));
}"""


def test_names_with_parameters_become_torch_code_that_runs(modules: Any) -> None:
    torch = pytest.importorskip("torch")
    texts = ["leaky_relu(0.2)", "elu(0.5)", "siren(w0=3)", "hardtanh(-1, 2)", "softshrink(0.8)",
             "affine(tanh, shift=-0.3, offset=0.1)"]  # fmt: skip
    for text, code in zip(texts, modules.evaluate(TORCH, texts), strict=True):
        made: dict[str, Any] = {}
        exec(code, made)
        x = torch.tensor(X, dtype=torch.float64)
        found = made["Activation"]()(x).numpy()
        np.testing.assert_allclose(found, ch.activation(text).value(np.array(X)), rtol=1e-12)


@pytest.mark.parametrize(
    ("typed", "text"),
    [("LeakyReLU(0.2)", "leaky_relu(slope=0.2)"), ("siren(w0=3)", "siren(w0=3)"), ("ELU", "elu")],
)
def test_a_name_with_parameters_is_drawn_and_linked(desk: Any, typed: str, text: str) -> None:
    desk.go("#activation=tanh&sigma_w=1.2&sigma_b=0.3")
    desk.page.fill("#activation", typed)
    desk.page.press("#activation", "Enter")
    desk.page.locator(f'#activation[data-shown="{text}"]').wait_for()
    assert desk.hash()["activation"] == text
    theirs = ch.mean_field(typed, sigma_w=1.2, sigma_b=0.3)
    shown = desk.page.locator("#numbers dd span").first.inner_text()
    assert float(shown) == pytest.approx(theirs.q_star.value, rel=2e-7)
    assert f'"{text}"' in desk.code("python")
    desk.page.reload()
    desk.settle()
    assert desk.page.input_value("#activation") == text


@pytest.mark.parametrize("text", ["hardshrink(threshold=0.3)", "x if abs(x) > 0.3 else 0*x"])
def test_beside_jumps_the_verdict_follows_the_slope_as_analyze_does(desk: Any, text: str) -> None:
    desk.go("#activation=tanh&sigma_w=1.1&sigma_b=0.2&depth=20")
    desk.activation(text)
    theirs = ch.analyze(text, 1.1, 0.2, depth=20, width=512, simulate=False).verdict
    titles = {"yes": "Trains", "doubtful": "May train", "no": "Does not train"}
    assert desk.page.inner_text("#verdict-title") == titles[theirs.trains]
    assert theirs.reason in desk.page.inner_text("#verdict-text")


@pytest.mark.parametrize(
    ("text", "twin"),
    [("leaky_relu(slope=0.2)", "leaky_relu(0.2)"), ("tanh(x)", "tanh"),
     ("x*tanh(softplus(x))", "mish")],
)  # fmt: skip
def test_a_typed_activation_has_its_fixed_point_at_zero_too(
    desk: Any, text: str, twin: str
) -> None:
    desk.go("#activation=tanh&sigma_w=0.9&sigma_b=0")
    desk.activation(text)
    theirs = ch.mean_field(twin, sigma_w=0.9, sigma_b=0.0)
    q, c, chi, slope = desk.page.locator("#numbers dd span").all_inner_texts()[:4]
    assert theirs.q_star.value == 0.0 and q == "0"
    known = np.isfinite(theirs.c_star.value)  # next to zero the others keep every correlation
    assert known == text.startswith("leaky")
    assert float(c) == theirs.c_star.value if known else c == "none"
    assert float(chi) == pytest.approx(theirs.chi_perp.value, rel=1e-6)
    assert float(slope) == pytest.approx(theirs.chi_parallel.value, rel=1e-6)
