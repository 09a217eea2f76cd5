"""Numbers in the page's sentences, digit for digit those of Python."""

from __future__ import annotations

import math

import numpy as np

from chione.diagnosis.numbers import factor_text, power_text
from chione.theory.depth.trainability import _decades

WORDS = """async (sizes) => {
  const words = await import("/spoken_numbers.js");
  const list = (values, write) => values.map((x) => write(Number(x)));
  return {
    factor: list(sizes.factor, words.factorText),
    power: list(sizes.power, words.powerText),
    decades: list(sizes.decades, words.decadesText),
    places: sizes.places.map(([x, n]) => [words.fixedText(x, n), words.exponentText(x, n)]),
  };
}"""
# halfway cases and edges of the rules
FACTORS = [665.4, 99.5, 100.0, 99.96, 100.5, 101.5, 9999.5, 1e4, 9999.4, 0.01, 0.00999, 0.8, 1.25,
           1.0, 1.0 + 4e-10, 1.0 - 3e-7, 9.995, 0.125, 0.375, 1.125, 12.5, 13.5, 2.5, 10.5,
           22500.0, 23500.0, 2.5e-4, 1e-300, 5e-324, 1.7e308, 0.0, math.inf, math.nan]  # fmt: skip
POWERS = [2.8233, 299.97, 300.0, 300.5, 301.5, -299.97, -300.5, -4000.0, 0.0, math.inf, -math.inf,
          math.nan]  # fmt: skip


def test_factors_and_decades_have_the_words_of_python(modules):
    rng = np.random.default_rng(7)
    factors = FACTORS + list(np.exp(rng.uniform(-30.0, 30.0, 2000)))
    factors += list(rng.uniform(0.7, 1.3, 1000)) + list(np.arange(0.5, 12000.0, 10.5))
    powers = POWERS + list(rng.uniform(-350.0, 350.0, 1000))
    logs = [math.inf, 0.0, *rng.uniform(-900.0, 900.0, 1000), *rng.uniform(-25.0, 25.0, 1000)]
    places = [(float(x), n) for x in (0.125, 0.375, 2.5, 3.5, 225.0, 0.0625) for n in range(4)]
    places += [(-0.5, 0), (-1.5, 0), (1e15 + 0.5, 0)]
    sizes = {"factor": factors, "power": powers, "decades": logs}
    sent = {key: [_word(x) for x in values] for key, values in sizes.items()}
    said = modules.evaluate(WORDS, sent | {"places": places})
    assert said["factor"] == [factor_text(float(x)) for x in factors]
    assert said["power"] == [power_text(float(x)) for x in powers]
    assert said["decades"] == [_decades(float(x)) for x in logs]
    assert said["places"] == [[f"{x:.{n}f}", f"{x:.{n}e}"] for x, n in places]


def _word(x):
    """A number in the spelling of JavaScript, every digit kept."""
    return repr(float(x)).replace("inf", "Infinity").replace("nan", "NaN")
