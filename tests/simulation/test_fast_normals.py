"""Normal numbers drawn faster are the same numbers, and weights that are kept are drawn once."""

import numpy as np
import pytest

import chione
from chione.simulation import normals
from chione.simulation.streams import Purpose, stream


@pytest.mark.parametrize("n", [2, 6, 4096, 100_000])
@pytest.mark.parametrize("used", [0, 1, 2])
def test_words_drawn_in_pairs_are_those_drawn_one_by_one(n, used):
    ours, plain = (stream(3, 1, 4, Purpose.WEIGHTS) for _ in range(2))
    for rng in (ours, plain):
        rng.integers(2**32, size=used, dtype=np.uint32)  # an odd number leaves half a word behind
    words = plain.integers(2**32, size=n, dtype=np.uint32)
    assert np.array_equal(normals._uniform(ours, n), words)
    assert np.array_equal(ours.standard_normal(5), plain.standard_normal(5))


@pytest.mark.parametrize("n", [7, 16, 17, 31, 32, 100, 16_384, 50_001])
def test_torch_draws_the_numbers_of_its_own_normal(n):
    torch = pytest.importorskip("torch")
    from chione.simulation import torch_normals

    theirs, ours = (torch.Generator().manual_seed(5) for _ in range(2))
    expected = torch.empty(n, dtype=torch.float64).normal_(generator=theirs)
    found = torch.empty(n, dtype=torch.float64)
    torch_normals.fill(torch, found, ours)
    assert float((found - expected).abs().max()) <= 2e-15
    assert torch.equal(ours.get_state(), theirs.get_state())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_torch_keeps_weights_within_memory_and_gives_the_same_numbers(dtype, monkeypatch):
    pytest.importorskip("torch")
    from chione.simulation import torch_normals

    drawn = []
    fill = torch_normals.fill
    monkeypatch.setattr(
        torch_normals, "fill", lambda torch, out, rng: (drawn.append(1), fill(torch, out, rng))
    )
    net = chione.MLP(chione.activation("tanh"), 1.3, 0.3, depth=6, width=40)
    options = {"n_networks": 3, "backend": "torch", "sampler": "dense", "dtype": dtype}
    size = 40 * 40 * np.dtype(dtype).itemsize
    runs, counts = [], []
    for memory in (1, 4 * size, 100 * size):
        drawn.clear()
        runs.append(chione.simulate(net, memory=memory, **options))
        counts.append(len(drawn))
    assert counts == [3 * (6 + 5), 3 * (6 + 2), 3 * 6]  # none, three or all of six are kept
    for run in runs[1:]:
        for name, value in run.mean.items():
            assert np.array_equal(value, runs[0].mean[name], equal_nan=True)
