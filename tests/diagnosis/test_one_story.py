"""Headline, table, notes, data and picture of one analysis say the same, for any network."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from chione.activations import catalogue
from chione.diagnosis import analyze
from chione.diagnosis.numbers import power_text
from chione.theory import length_map

ANSWER = {"yes": "It can train", "doubtful": "is doubtful", "no": "It will not train"}
QUANTITIES = ("q_star", "c_star", "chi_parallel", "chi_perp", "xi_q", "xi_c", "q_depth", "c_depth",
              "gradient_per_layer", "gradient", "survives")  # fmt: skip
SETTLING = ("ordered", "critical", "chaotic")


def networks(n, seed, depths):
    """Random activations, sigmas (often zero biases) and depths; every activation comes in turn."""
    rng = np.random.default_rng(seed)
    names = list(catalogue())
    for k in range(n):
        sigma_w = float(np.exp(rng.uniform(math.log(0.2), math.log(5.0))))
        sigma_b = float(rng.choice([0.0, rng.uniform(0.01, 1.0)]))
        yield names[k % len(names)], sigma_w, sigma_b, int(rng.choice(depths))


def check(result):
    text, data = repr(result), json.loads(json.dumps(result.to_dict(), allow_nan=False))
    check_words(result, text, data)
    check_missing_values(text, data)
    check_direction(result, data)
    check_choices(result, text, data)
    narrow = result.to_text(width=40)
    assert max(map(len, narrow.splitlines())) <= 40
    assert "".join(narrow.split())[:60] == "".join(text.split())[:60]


def check_words(result, text, data):
    flat = " ".join(text.split())
    word = re.match(r"\w+", data["sentence"])[0]
    assert word == data["phase"] == data["alternatives"][0]["phase"]
    assert data["sentence"] in flat and data["reason"] in flat
    assert [key for key, words in ANSWER.items() if words in flat] == [data["trains"]]
    assert (data["problem"] == "none") == (data["trains"] == "yes")
    diverges = "diverge" in data["sentence"] or "without bound" in data["sentence"]
    known = data["log10_gradient"] is not None
    if known:
        assert diverges == (not data["reached"]), data["sentence"]
    assert not re.search(r"\b(nan|inf|None)\b", text), text


def check_missing_values(text, data):
    flat = " ".join(text.split())
    for key in QUANTITIES:
        if data[key]["value"] is None:
            assert len(data["reasons"][key]) > 10, key
            assert data["reasons"][key] in flat, key
        else:
            assert key not in data["reasons"]
    for choice in data["alternatives"]:
        assert (choice["survives"]["value"] is None) == ("reason" in choice["survives"])
        if choice["log10_gradient"] is not None:
            assert choice["log10_gradient_error"] is not None


def check_direction(result, data):
    decades, sentence = data["log10_gradient"], data["sentence"]
    if decades is None or abs(decades) < 1e-9:
        return
    assert ("gradients grow" in sentence) == (decades > 0)
    assert ("gradients shrink" in sentence) == (decades < 0)
    assert power_text(decades) in sentence
    if data["reached"] and data["phase"] in ("ordered", "chaotic"):
        against = (decades > 0) == (data["phase"] == "ordered")
        assert ("once lengths have settled" in sentence) == against


def check_choices(result, text, data):
    for choice in data["alternatives"]:
        if choice["name"] == "recommended":
            assert choice["phase"] == "critical"
            advice = data["recommendation"]
            slow = advice["chi_parallel"]["value"] > 1.0  # lengths leave it, in many layers
            assert choice["reached"] or slow or advice["status"] == "half_stable"
        line = re.search(rf"^{re.escape(choice['name'])} +[\d.e+-]+ +[\d.e+-]+ +(\w+)", text, re.M)
        assert line[1] == choice["phase"]


@pytest.mark.parametrize("network", list(networks(24, seed=5, depths=(1, 3, 8))), ids=str)
@pytest.mark.sampled(5)
def test_a_page_tells_one_story(network):
    name, sigma_w, sigma_b, depth = network
    check(analyze(name, sigma_w, sigma_b, depth=depth, simulate=False))


@pytest.mark.sweep
@pytest.mark.parametrize("network", list(networks(92, seed=6, depths=(40, 90))), ids=str)
def test_a_page_of_a_deep_network_tells_one_story(network):
    name, sigma_w, sigma_b, depth = network
    check(analyze(name, sigma_w, sigma_b, depth=depth, simulate=False))


@pytest.mark.sweep
@pytest.mark.parametrize("name", catalogue())
def test_every_page_over_a_grid_tells_one_story(name):
    for sigma_w in (0.1, 0.6, 1.0, 1.45, 2.2, 6.0):
        for sigma_b in (0.0, 0.1, 1.0):
            for depth in (2, 20):
                check(analyze(name, sigma_w, sigma_b, depth=depth, simulate=False))


@pytest.mark.parametrize("name", ["gelu", "relu", "tanh", "hardtanh(3*x)", "softplus", "elu"])
@pytest.mark.sampled(4)
def test_the_page_of_the_recommended_sigmas_calls_them_critical(name):
    result = analyze(name, depth=40, simulate=False)
    check(result)
    if result.recommendation.exists:
        again = analyze(name, result.recommendation.sigma_w, result.recommendation.sigma_b,
                        depth=40, simulate=False)  # fmt: skip
        assert again.phase.word == result.phase.word == "critical"
        # and with the digits that the page shows
        typed = (float(f"{x:.6g}") for x in (again.network.sigma_w, again.network.sigma_b))
        assert analyze(name, *typed, depth=40, simulate=False).phase.word == "critical"


def settles(phi, sigma_w, sigma_b, q0):
    """Whether lengths stay bounded, by plain iteration of the map."""
    q = sigma_w**2 * q0 + sigma_b**2
    for _ in range(3000):
        q = float(length_map(phi, q, sigma_w=sigma_w, sigma_b=sigma_b).value)
        if not q < 1e6:
            return False
        if q < 1e-12:
            return True
    return True


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"),
    [("relu", 1.6, 0.0), ("gelu", 2.2, 0.1), ("gelu", 1.5, 0.1), ("silu", 1.6, 0.05),
     ("linear", 1.2, 0.0), ("softplus", 1.8, 0.1), ("mish", 1.7, 0.0), ("leaky_relu", 2.0, 0.3)],
)  # fmt: skip
def test_small_inputs_are_spoken_of_only_where_they_settle(name, sigma_w, sigma_b):
    result = analyze(name, sigma_w, sigma_b, depth=8, simulate=False)
    assert not result.theory.reached and not settles(name, sigma_w, sigma_b, 1.0)
    small = "small inputs" in result.verdict.sentence
    assert small == settles(name, sigma_w, sigma_b, 1e-4)


def test_no_panel_of_the_picture_contradicts_the_headline():
    picture = analyze("hardtanh(3*x)", depth=40, simulate=False, picture=True).picture
    assert "pass through all layers" in picture.verdict
    assert not isinstance(picture.correlations, str)
    assert "signals die" not in str(vars(picture).values())
    assert np.all(np.isfinite(picture.correlations.y))
