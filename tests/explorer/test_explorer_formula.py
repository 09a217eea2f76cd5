"""Typed formulas: the explorer's reader in the browser against that of the Python package."""

from __future__ import annotations

from typing import Any

import numpy as np
from formula_corpus import HOSTILE, valid_formulas

from chione.activations import jets
from chione.activations.expression import compile_expression
from chione.base import SpecError

X = [-7.3, -2.0, -1.1, -0.31, -1e-3, 0.0, 1e-3, 0.27, 0.5, 1.0, 1.7, 2.9, 6.1]

READ = """async ([texts, points]) => {
  const { compileFormula } = await import("/formula.js");
  return texts.map((text) => {
    try {
      const f = compileFormula(text);
      const plain = (v) => Number.isFinite(v) ? v : String(v).toLowerCase().replace("inity", "");
      const all = (g) => points.map((x) => plain(g(x)));
      return { values: all(f.value), slopes: all(f.slope) };
    } catch (error) {
      return { error: error.constructor.name, message: error.message };
    }
  });
}"""


def in_python(text: str, x: Any) -> tuple[Any, Any]:
    closure = compile_expression(text)
    with np.errstate(all="ignore"):
        jet = jets.lift(closure(jets.variable(x)))
        values = np.broadcast_to(np.asarray(closure(x), dtype=float), x.shape)
        return values, np.broadcast_to(jet.derivative(1), x.shape)


def test_random_formulas_have_the_values_and_slopes_that_python_gives(modules: Any) -> None:
    formulas = valid_formulas(800, seed=16)
    read = modules.evaluate(READ, [formulas, X])
    x = np.array(X)
    compared = 0
    for text, js in zip(formulas, read, strict=True):
        try:
            values, slopes = in_python(text, x)
        except SpecError:
            assert js.get("error") == "FormulaError", text
            continue
        assert "error" not in js, (text, js)
        compared += 1
        # where neighbours of x give other values, the last digits are not the formula's to keep
        shaken = [in_python(text, x + s * 4e-16 * np.abs(x)) for s in (-1.0, 1.0)]
        for k, (mine, theirs) in enumerate(((js["values"], values), (js["slopes"], slopes))):
            mine = np.array(mine, dtype=float)
            with np.errstate(all="ignore"):
                loose = np.nan_to_num(sum(np.abs(s[k] - theirs) for s in shaken), nan=np.inf)
                size = np.nan_to_num(np.abs(theirs)) + np.nan_to_num(np.abs(values))
                off = ~(np.abs(mine - theirs) <= 1e-13 * (1.0 + size) + 40.0 * loose)
            off &= ~((mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
            assert not off.any(), (text, k, x[off], mine[off], theirs[off])
    assert compared >= 300


def test_hostile_formulas_are_refused_by_both_in_a_sentence(modules: Any) -> None:
    assert len(HOSTILE) >= 200
    read = modules.evaluate(READ, [HOSTILE, X])
    for text, js in zip(HOSTILE, read, strict=True):
        refused = False
        try:
            compile_expression(text)
        except SpecError:
            refused = True
        assert (js.get("error") == "FormulaError") == refused, (text, js)
        if refused:
            assert js["message"].endswith(".") and " " in js["message"], js
