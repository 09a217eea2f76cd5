"""Tokens of one input that attention makes alike are part of the verdict.

Ladder: sampled networks in plain NumPy, which share no code with the theory.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import chione as ch
from chione.diagnosis.network_changes import passage
from chione.networks import Network
from chione.theory.layers.network_theory import network_theory

TOKENS, WIDTH = 6, 128


def blocks(sigma: float, depth: int, tokens: int = TOKENS) -> Network:
    """Pre-norm blocks whose attention looks at all tokens alike."""
    mixing = {"kind": "attention", "sigma_q": 0, "sigma_k": 0, "sigma_v": sigma, "sigma_o": sigma}
    dense = {"kind": "dense", "sigma_w": sigma, "sigma_b": 0.1, "out": WIDTH}
    feed = [{"kind": "norm"}, dense, {"kind": "nonlinearity", "activation": "gelu"}, dense]
    layers = [{"kind": "residual", "branch": [{"kind": "norm"}, {**mixing, "heads": 1}]},
              {"kind": "residual", "branch": feed}]  # fmt: skip
    entering = {"width": WIDTH, "grid": [tokens], "inputs": [[1.0]], "positions": 0.5}
    repeated = {"kind": "repeat", "times": depth, "layers": layers}
    return Network.from_dict({"input": entering, "layers": [repeated]})


def sampled_difference(sigma: float, depth: int, networks: int) -> np.ndarray:
    """log (1 - c) of two tokens behind the blocks, less that before them, network by network."""
    rng = np.random.default_rng(16)
    out = []
    for _ in range(networks):
        common, own = rng.standard_normal(WIDTH), rng.standard_normal((TOKENS, WIDTH))
        h = (common + own) / math.sqrt(2.0)
        gaps = [_gap(h)]
        for _ in range(depth):
            a, b, v, o = sigma / math.sqrt(WIDTH) * rng.standard_normal((4, WIDTH, WIDTH))
            shifts = 0.1 * rng.standard_normal((2, WIDTH))
            h = h + _normed(h).mean(axis=0) @ v @ o
            inner = _normed(h) @ a + shifts[0]
            h = h + inner * special.ndtr(inner) @ b + shifts[1]
        gaps.append(_gap(h))
        out.append(math.log(gaps[1] / gaps[0]))
    return np.array(out)


def _normed(h: np.ndarray) -> np.ndarray:
    centred = h - h.mean(axis=1, keepdims=True)
    return centred / centred.std(axis=1, keepdims=True)


def _gap(h: np.ndarray) -> float:
    """Mean 1 - c over pairs of tokens."""
    unit = h / np.linalg.norm(h, axis=1, keepdims=True)
    return float(1.0 - (unit @ unit.T)[np.triu_indices(TOKENS, 1)].mean())


def test_the_difference_of_tokens_is_that_of_sampled_networks():
    sampled = sampled_difference(2.0, 8, 40)
    way = passage(network_theory(blocks(2.0, 8)))
    assert way.pair == "tokens"
    error = sampled.std(ddof=1) / math.sqrt(len(sampled))
    # the mean over networks moves by O(depth / width)
    assert abs(way.difference - sampled.mean()) < 4.0 * error + 2.0 * 8 / WIDTH
    assert way.difference < -1.5


def test_tokens_that_become_alike_are_told():
    found = ch.analyze(blocks(3.0, 50), simulate=False)
    assert (found.trains, found.problem) == ("doubtful", "collapsed inputs")
    assert found.reason.startswith("Tokens become alike: their squared distance shrinks by ")
    assert ch.analyze(blocks(3.0, 2), simulate=False).trains == "yes"


@pytest.mark.parametrize("tokens", [1, 2])
def test_tokens_are_judged_where_there_are_two(tokens):
    way = passage(network_theory(blocks(2.0, 3, tokens)))
    assert math.isnan(way.difference) == (tokens == 1)
    assert way.pair == ("inputs" if tokens == 1 else "tokens")
