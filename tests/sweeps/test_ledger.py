"""The ledger of sweeps: states, resuming, and files that are no ledgers."""

import math
import os
import sqlite3
import subprocess
import sys
from dataclasses import fields as fields_of
from dataclasses import replace

import numpy as np
import pytest

from chione import gain
from chione.base import SpecError
from chione.sweeps.ledger import VERSION, Ledger
from chione.sweeps.locks import kind_of
from chione.sweeps.training import Outcome, Training

BASE = Training("tanh", 1.5, 0.1, depth=3, width=8)
A, B, C, D = (replace(BASE, seed=s) for s in range(4))


OTHER = Training(
    "gelu", 1.0, 0.0, depth=30, width=100, scheme="chione", weights="orthogonal", optimizer="adam",
    rate=1e-3, steps=150, batch=32, dropout=0.1, dtype="float64", data="0" * 64, seed=7, until=0.9,
)  # fmt: skip
ADVISED = [
    ("tanh", 50, 1.099596, 0.0365434017), ("gelu", 10, 1.40821101, 0.415839381),
    ("silu", 50, 1.0, 0.0), ("relu", 50, 2**0.5, 0.0),
]  # fmt: skip


def test_keys_are_those_of_yesterday():
    """A change here trains all ledgers of all users anew: raise SCHEMA if it is meant."""
    assert BASE.key == "8433055d3ea1a00d0b1d386ad47b849c"
    assert OTHER.key == "c72162c8e041dd8bb2de291e25936c79"


def test_trainings_by_advice_have_keys_of_the_advice_they_follow(monkeypatch):
    before = OTHER.key, BASE.key  # of the scheme "chione", and of sigmas
    monkeypatch.setattr("chione.sweeps.training.ADVICE", 2)
    assert OTHER.key != before[0]
    assert BASE.key == before[1]


@pytest.mark.parametrize(
    ("name", "depth", "sigma_w", "sigma_b"), ADVISED, ids=[f"{a[0]} {a[1]}" for a in ADVISED]
)
def test_advice_is_that_of_the_version_in_the_keys(name, depth, sigma_w, sigma_b):
    """Red where `gain` advises otherwise: raise ADVICE, or ledgers give outcomes of old advice."""
    best = gain(name, depth=depth, width=64)
    assert (best.sigma_w, best.sigma_b) == pytest.approx((sigma_w, sigma_b), rel=1e-5, abs=1e-9)


def test_the_same_numbers_of_another_type_are_the_same_training():
    same = replace(OTHER, sigma_w=1, sigma_b=-0.0, depth=np.int64(30), rate=np.float64(1e-3))
    assert same.key == OTHER.key
    fields = {f.name for f in fields_of(Training)}
    assert set(OTHER.to_dict()) == fields  # all of them are in the key


@pytest.mark.parametrize("field", [f.name for f in fields_of(Training)])
def test_every_parameter_is_part_of_the_key(field):
    other = {"activation": "relu", "scheme": "he", "weights": "gaussian", "optimizer": "sgd"}
    other |= {"dtype": "float32", "data": "digits", "dropout": 0.2}
    changed = other[field] if field in other else getattr(OTHER, field) + 1
    assert replace(OTHER, **{field: changed}).key != OTHER.key


def test_outcomes_come_back_bit_for_bit(tmp_path):
    losses = (0.1, 1 / 3, math.inf, 5e-324)
    kept = Outcome("diverged", 0.1, 0.25, 1 / 7, losses, ((0.9, 12),), 0.5, "a word")
    with Ledger(tmp_path / "runs.sqlite") as ledger:
        ledger.record([(A, kept)])
    with Ledger(tmp_path / "runs.sqlite", write=False) as ledger:
        assert ledger.outcomes([B.key, A.key]) == [None, kept]
        ((training, outcome),) = ledger.rows()
        assert (training, outcome) == (A, kept)


def test_a_number_that_is_none_comes_back_as_one(tmp_path):
    with Ledger(tmp_path / "runs.sqlite") as ledger:
        ledger.record([(A, Outcome("failed", losses=(math.nan,), message="no"))])
        (back,) = ledger.outcomes([A.key])
    assert math.isnan(back.loss)
    assert math.isnan(back.seconds)
    assert math.isnan(back.losses[0])


def test_failed_and_lost_trainings_are_not_finished_and_never_replace_an_answer(tmp_path):
    with Ledger(tmp_path / "runs.sqlite") as ledger:
        states = ["done", "diverged", "failed", "lost"]
        ledger.record(zip([A, B, C, D], map(Outcome, states), strict=True))
        keys = [t.key for t in (A, B, C, D)]
        assert set(ledger.finished(keys)) == {A.key, B.key}
        assert ledger.counts() == {"done": 1, "diverged": 1, "failed": 1, "lost": 1}
        ledger.record([(A, Outcome("lost")), (C, Outcome("done", 0.5))])
        assert set(ledger.finished(keys)) == {A.key, B.key, C.key}
        assert [o.status for o in ledger.outcomes(keys)] == ["done", "diverged", "done", "lost"]


def test_an_outcome_that_cannot_be_written_leaves_none_of_its_bundle(tmp_path):
    with Ledger(tmp_path / "runs.sqlite") as ledger:
        with pytest.raises(SpecError, match="CHECK constraint"):
            ledger.record([(A, Outcome("done")), (B, Outcome("unheard of"))])
        assert ledger.finished([A.key, B.key]) == {}


def test_a_full_disk_is_told_of_and_what_was_recorded_stays(tmp_path):
    with Ledger(tmp_path / "runs.sqlite") as ledger:
        ledger.record([(A, Outcome("done", 0.5))])
        ledger._file.execute("PRAGMA max_page_count = 1")  # SQLite's word for a full disk
        long = Outcome("failed", message="x" * 100_000)
        with pytest.raises(OSError, match=r"disk is full\); what was recorded before is kept"):
            ledger.record([(B, long)])
        assert list(ledger.finished([A.key, B.key])) == [A.key]


def test_messages_and_names_may_hold_any_characters(tmp_path):
    path = tmp_path / "runs #1?%20 ü.sqlite"
    with Ledger(path) as ledger:
        ledger.record([(A, Outcome("failed", message="broken \udce9 é \0 end"))])
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with Ledger(path, write=False) as ledger:
        assert ledger.outcomes([A.key])[0].message == "broken ? é \0 end"


def test_a_file_that_was_cut_off_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "runs.sqlite"
    with Ledger(path) as ledger:
        ledger.record(
            (replace(BASE, seed=s), Outcome("done", losses=(1.0,) * 99)) for s in range(99)
        )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SpecError, match="or it is damaged"), Ledger(path) as ledger:
        ledger.rows()


def test_many_keys_are_looked_up(tmp_path):
    many = [replace(BASE, seed=s) for s in range(1203)]
    with Ledger(tmp_path / "runs.sqlite") as ledger:
        ledger.record((t, Outcome("done", float(t.seed))) for t in many)
        assert len(ledger.finished(t.key for t in many)) == 1203
        back = ledger.outcomes([t.key for t in reversed(many)])
    assert [o.loss for o in back] == [float(s) for s in reversed(range(1203))]


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path):
    path = tmp_path / "runs.sqlite"
    with Ledger(path) as ledger:
        with pytest.raises(SpecError, match=f"in use by another sweep .process {os.getpid()} on"):
            Ledger(path)
        ledger.record([(A, Outcome("done"))])
        with Ledger(path, write=False) as reader:
            assert set(reader.finished([A.key])) == {A.key}
    with Ledger(path) as again:
        link = tmp_path / "link.sqlite"
        link.symlink_to(path)
        with pytest.raises(SpecError, match="in use by another"):
            Ledger(link)
        link.unlink()
        assert set(again.finished([A.key])) == {A.key}
    assert os.listdir(tmp_path) == ["runs.sqlite"]


KILLED = """
import os, sys
from chione.sweeps.ledger import Ledger
from chione.sweeps.training import Outcome, Training
ledger = Ledger(sys.argv[1])
ledger.record([(Training("tanh", 1.5, 0.1, depth=3, width=8), Outcome("done", 0.5))])
os.kill(os.getpid(), 9)
"""


def test_a_killed_writer_loses_nothing_and_locks_nobody_out(tmp_path):
    path = tmp_path / "runs.sqlite"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    with Ledger(path) as ledger:
        assert ledger.outcomes([BASE.key])[0].loss == 0.5


def test_data_that_have_changed_under_their_name_are_refused(tmp_path):
    with Ledger(tmp_path / "runs.sqlite") as ledger:
        ledger.check_task("digits", "a" * 64)
        ledger.check_task("digits", "a" * 64)
        with pytest.raises(SpecError, match="other data of the name 'digits'"):
            ledger.check_task("digits", "b" * 64)


def other_version(path):
    with Ledger(path) as ledger:
        ledger.record([(A, Outcome("done"))])
    file = sqlite3.connect(path)
    file.execute(f"PRAGMA user_version = {VERSION + 1}")
    file.close()


def other_program(path):
    file = sqlite3.connect(path)
    file.execute("CREATE TABLE mine (x)")
    file.close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: p.write_text("no ledger " * 500), "is no ledger of chione, or it is damaged"),
        (lambda p: p.write_bytes(b"SQLite format 3\0"), "is no ledger of chione"),
        (lambda p: p.mkdir(), "is a folder; give the name of a file"),
        (other_program, "is no ledger of chione; give the name of another file"),
        (other_version, f"is a ledger of version {VERSION + 1}, and this chione writes version 1"),
    ],
    ids=["text", "half a header", "folder", "other program", "other version"],
)
def test_what_is_no_ledger_is_refused_in_a_sentence_and_left_as_it_was(tmp_path, make, words):
    path = tmp_path / "runs.sqlite"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(SpecError, match=words):
        Ledger(path)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert os.listdir(tmp_path) == ["runs.sqlite"]


def test_a_folder_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(SpecError, match="does not exist; make it first"):
        Ledger(tmp_path / "nowhere" / "runs.sqlite")


def test_a_folder_that_cannot_be_written_is_told_of():
    with pytest.raises(PermissionError, match="cannot be written, since its folder cannot"):
        Ledger("/proc/self/runs.sqlite")


MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:40 / /home rw - nfs4 server:/home rw,vers=4.2
41 40 0:41 / /home/me/my\\040disk rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/runs.sqlite", "nfs4"),
        ("/home/me/my disk/runs.sqlite", "tmpfs"),
        ("/homes/runs.sqlite", "ext4"),
    ],
)
def test_the_file_system_of_a_path_is_known(path, kind):
    assert kind_of(path, MOUNTS) == kind


def test_a_network_file_system_is_warned_of_and_does_without_a_write_ahead_log(
    tmp_path, monkeypatch
):
    from chione.sweeps import locks

    monkeypatch.setattr(locks, "_mounts", lambda: "22 1 0:1 / / rw - lustre disk rw\n")
    with (
        pytest.warns(UserWarning, match="network file system .lustre."),
        Ledger(tmp_path / "runs.sqlite") as ledger,
    ):
        ledger.record([(A, Outcome("done"))])
        assert not (tmp_path / "runs.sqlite-wal").exists()
        assert set(ledger.finished([A.key])) == {A.key}
