"""The law of a tensor: right at every usual size, and with the false alarms that were stated."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from chione.torch.audits.identify import identify
from chione.torch.audits.summary import summarize

init = torch.nn.init


def drawn(fill, *shape, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return fill(torch.empty(*shape, dtype=dtype))


NORMAL = {"mean": 0.0, "std": 0.02}
LAWS = {
    "normal": lambda w: init.normal_(w, **NORMAL),
    "truncated normal": lambda w: init.trunc_normal_(w, 0.0, 0.02, -0.04, 0.04),
    "uniform": lambda w: init.uniform_(w, -0.1, 0.1),
    "orthogonal": lambda w: init.orthogonal_(w, 1.4),
    "zeros": init.zeros_,
    "ones": init.ones_,
    "constant": lambda w: init.constant_(w, 0.3),
    "identity": init.eye_,
    "sparse": lambda w: init.sparse_(w, 0.3),
}


@pytest.mark.parametrize("kind", LAWS)
@pytest.mark.parametrize("shape", [(96, 160), (640, 192)])
def test_every_law_of_torch_is_named_at_usual_sizes(kind, shape):
    for seed in range(3):
        assert identify(drawn(LAWS[kind], *shape, seed=seed)).kind == kind


def test_what_a_truncation_that_is_out_of_reach_leaves_is_a_normal_law():
    found = identify(drawn(lambda w: init.trunc_normal_(w, std=0.02), 512, 256))  # cut at 100 sigma
    assert found.kind == "normal"
    assert math.isinf(found.cut)


@pytest.mark.parametrize("cut", [1.0, 2.0, 3.0])
def test_the_cut_of_a_truncated_law_is_measured_in_its_own_sigma(cut):
    def fill(w):
        return init.trunc_normal_(w, 0.0, 0.02, -0.02 * cut, 0.02 * cut)

    found = identify(drawn(fill, 400, 300))
    assert found.kind == "truncated normal"
    # half the range is known to 1/n, the ratio to the std to its standard error
    assert found.cut == pytest.approx(cut, rel=6 * found.summary.relative_error * 2)
    assert found.sigma == pytest.approx(0.02, rel=6 * found.summary.relative_error * 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounding_to_half_precision_changes_no_law(dtype):
    for kind in ("normal", "uniform", "orthogonal", "truncated normal"):
        narrow = drawn(LAWS[kind], 600, 400).to(dtype)
        assert identify(narrow).kind == kind
        assert identify(narrow.float()).kind == kind  # and widened again, as checkpoints are
    assert identify(drawn(LAWS["normal"], 800, 800, dtype=dtype)).kind == "normal"


def test_kernels_with_one_tap_and_gates_one_above_another():
    assert identify(drawn(init.dirac_, 8, 8, 3, 3)).kind == "dirac"
    delta = torch.zeros(16, 12, 3)
    delta[:, :, 1] = drawn(init.orthogonal_, 16, 12)
    assert identify(delta).kind == "delta-orthogonal"
    gates = torch.cat([drawn(init.orthogonal_, 32, 32, seed=s) for s in range(4)])
    found = identify(gates)
    assert found.kind == "orthogonal"
    assert found.value == pytest.approx(1.0, abs=1e-5)


def test_blocks_of_rows_and_of_columns_are_found_where_they_are():
    torch.manual_seed(1)
    parts = [torch.randn(n, 128) * s for n, s in ((320, 0.02), (64, 0.02), (64, 0.01))]
    for along, w in (("rows", torch.cat(parts)), ("columns", torch.cat(parts).T.contiguous())):
        found = identify(w)
        assert (found.kind, found.along, found.inner) == ("mixed", along, "normal")
        assert len(found.blocks) == 2
        assert abs(found.blocks[0].stop - 384) <= 2


def test_a_padding_row_is_told_and_left_out():
    table = drawn(lambda w: init.normal_(w, 0.0, 1.0), 500, 32)
    table[7] = 0.0
    found = identify(table)
    assert (found.kind, found.zero_rows) == ("normal", (7,))


def test_what_memory_holds_is_no_law():
    torch.manual_seed(0)
    bits = torch.randint(0, 1000, (64, 64), dtype=torch.int32)
    assert identify(bits.view(torch.float32)).kind == "garbage"
    for bad in (math.nan, math.inf, 1e30):
        w = drawn(LAWS["normal"], 32, 32)
        w[3, 4] = bad
        assert identify(w).kind == "garbage"


def test_the_moments_agree_with_numpy_in_float64():
    w = drawn(lambda w: init.normal_(w, 3.0, 0.2), 301, 77).double()
    s, x = summarize(w), w.numpy()
    assert s.mean == pytest.approx(x.mean(), rel=1e-12)
    assert s.std == pytest.approx(x.std(), rel=1e-11)
    assert s.kurtosis == pytest.approx(stats.kurtosis(x.ravel(), fisher=False), rel=1e-9)
    np.testing.assert_allclose(s.rows, (x**2).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(s.columns, (x**2).mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("law", ["normal", "uniform", "laplace"])
def test_the_standard_error_of_the_std_is_what_draws_scatter_by(law):
    rng = np.random.default_rng(3)
    draw = getattr(rng, law)
    found = [summarize(torch.from_numpy(draw(size=(20, 25)))) for _ in range(1500)]
    scatter = np.std([s.std for s in found])
    stated = np.median([s.std_error for s in found])
    # 1500 draws know their scatter to 2 %; a Laplace law of 500 entries underrates its kurtosis
    assert scatter == pytest.approx(stated, rel=0.08 if law != "laplace" else 0.2)
