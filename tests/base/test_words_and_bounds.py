"""Text in one byte an entry, error bounds in four: what is read is what was put in, or above."""

import numpy as np
import pytest

from chione.base.rounded import Bounds
from chione.base.words import Coded, coded
from chione.theory import phase_diagram


def test_bounds_are_rounded_upwards_and_hardly():
    rng = np.random.default_rng(1)
    exact = 10.0 ** rng.uniform(-37.0, 38.0, (3, 500))
    exact[0, :3] = 0.0, np.nan, np.inf
    held = Bounds(exact.shape)
    held.put(np.s_[:, :200], exact[:, :200])
    held.put(np.s_[:, 200:], exact[:, 200:])
    assert held.array.dtype == np.float32
    with np.errstate(invalid="ignore"):
        off = np.asarray(held.array, np.float64) / exact - 1.0
    assert np.nanmin(off) >= 0.0
    assert np.nanmax(off) <= 2.0**-23
    assert np.array_equal(held.array[0, :3], exact[0, :3].astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("far", [1e-300, 5e-324, 1e-40, 1e39, 1e300])
def test_bounds_outside_the_range_of_float32_are_kept_as_they_are(far):
    held = Bounds((2, 2))
    held.put(np.s_[:, :1], np.array([[1e-9], [np.nan]]))
    held.put(np.s_[:, 1:], np.array([[far], [0.0]]))
    assert held.array.dtype == np.float64
    assert held.array[0, 1] == far
    assert 1e-9 <= held.array[0, 0] <= 1e-9 * (1.0 + 2.0**-23)


def test_few_words_read_as_text_and_share_out():
    words = Coded(np.array([[0, 2], [2, 2]], np.int8), ("ordered", "critical", "chaotic"))
    text = words.text()
    assert text.tolist() == [["ordered", "chaotic"], ["chaotic", "chaotic"]]
    assert not text.flags.writeable
    assert (words.share("chaotic"), words.share("critical")) == (0.75, 0.0)


def test_a_diagram_holds_its_phases_in_bytes_and_shows_text():
    d = phase_diagram("tanh", sigma_w=[0.5, 1.3, 3.0], sigma_b=[0.0, 0.3])
    held = coded(d, "phase")
    assert held.codes.dtype == np.int8
    assert d.phase.dtype.kind == "U"
    assert np.array_equal(held.text(), d.phase)


def test_a_diagram_that_was_read_has_the_same_phases(tmp_path):
    import pickle

    import chione

    d = phase_diagram("relu", sigma_w=[0.5, 1.3, 3.0], sigma_b=[0.0, 0.3])
    for back in (chione.load(d.save(tmp_path / "d.npz")), pickle.loads(pickle.dumps(d))):
        assert back == d
        assert np.array_equal(back.phase, d.phase)
        assert np.array_equal(coded(back, "phase").text(), d.phase)


def test_the_errors_of_a_diagram_take_four_bytes_a_cell_where_they_can():
    near = phase_diagram("tanh", sigma_w=[0.5, 1.3], sigma_b=[0.1])
    assert {e.dtype for e in near.errors.values()} == {np.dtype(np.float32)}
    far = phase_diagram("relu", sigma_w=[1.0], sigma_b=[1e-30])
    assert far.errors["q_star"].dtype == np.float64
    assert 0.0 < far.errors["q_star"][0, 0] < 1e-70


def test_rows_of_a_long_table_are_made_while_they_are_read(tmp_path):
    d = phase_diagram("tanh", sigma_w=np.linspace(0.5, 3.0, 90), sigma_b=np.linspace(0.0, 0.5, 70))
    columns, rows = d._table()
    assert len(rows) == d.q_star.size > 4096  # more than are made at a time
    at = columns.index("q_star"), columns.index("phase"), columns.index("status")
    for k, row in enumerate(rows):
        i, j = divmod(k, 90)
        assert row[at[0]] == d.q_star[i, j]
    assert rows[4097] == list(rows)[4097]
    assert (rows[-1][at[1]], rows[-1][at[2]]) == (d.phase[-1, -1], "ok")
    pandas = pytest.importorskip("pandas")
    frame, plain = d.to_pandas(), pandas.DataFrame(list(rows), columns=list(columns))
    pandas.testing.assert_frame_equal(frame, plain)


def test_a_picture_shows_a_thousand_rows_of_many_with_both_ends():
    from chione.plotting.diagram import shown

    assert shown(7).tolist() == list(range(7))
    some = shown(12_345)
    assert some.size == 1000
    assert (some[0], some[-1]) == (0, 12_344)
