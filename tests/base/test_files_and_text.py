"""Files are whole or not there; tables fold; costs are refused before they arise; plain data."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from chione.base import (
    CostError,
    Estimate,
    Status,
    check_writable,
    cost,
    plain,
    text_table,
    write_text,
    write_whole,
)


def test_a_writer_that_fails_leaves_the_old_file_and_no_part(tmp_path):
    path = write_text(tmp_path / "a.csv", "old")

    def broken(part):
        part.write_text("half")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_whole(path, broken)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_the_part_of_a_killed_run_goes_at_the_next_one_and_a_living_one_stays(tmp_path):
    code = (
        "import os, sys, signal\nfrom chione.base import write_whole\n"
        "def write(part):\n    part.write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(sys.argv[1], write)"
    )
    target = tmp_path / "b.npz"
    subprocess.run([sys.executable, "-c", code, str(target)], timeout=60)
    assert len(os.listdir(tmp_path)) == 1 and not target.exists()
    living = tmp_path / f".c.{os.getppid()}-0123abcd.part.csv"
    living.write_text("another run is at work")
    mine = tmp_path / ".notes.part"
    mine.write_text("not ours")
    write_text(target, "whole")
    assert sorted(os.listdir(tmp_path)) == sorted([living.name, mine.name, "b.npz"])


@pytest.mark.skipif(os.name != "posix", reason="modes of files are a matter of POSIX")
def test_a_new_file_has_the_modes_of_an_ordinary_one(tmp_path):
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "text")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "ours").chmod(0o600)
    write_text(tmp_path / "ours", "again")
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        check_writable(tmp_path / "no" / "a.csv")
    with pytest.raises(ValueError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(PermissionError, match="cannot be written"):
        check_writable("/proc/a.csv")
    assert check_writable(tmp_path / "a.csv") == tmp_path / "a.csv"
    assert os.listdir(tmp_path) == []


def test_a_table_folds_where_the_screen_is_narrow():
    head, rows = ("name", "value", "error"), [("q*", "0.607", "1e-15"), ("a longer name", "2", "")]
    wide = text_table(head, rows, align="<>>", width=80)
    assert wide.splitlines()[0] == "name           value  error"
    assert wide.splitlines()[2] == "q*             0.607  1e-15"
    narrow = text_table(head, rows, width=20)
    assert narrow == "q*\n  value: 0.607\n  error: 1e-15\na longer name\n  value: 2"
    assert all(len(line) <= 20 for line in narrow.splitlines())


def test_a_cost_above_the_limit_is_a_sentence_with_a_way_out():
    cost.check("a small thing", seconds=59.0, gigabytes=3.9)
    with pytest.raises(CostError, match=r"about 2 h and 1\.2 GB, above .* 60 s and 4 GB") as info:
        cost.check("a large thing", seconds=7200.0, gigabytes=1.2, fits="a depth of 9 fits")
    assert "A depth of 9 fits." in str(info.value) and "effort=120" in str(info.value)
    cost.check("a large thing", seconds=7200.0, gigabytes=1.2, effort=120)
    with cost.allowing(120):
        cost.check("a large thing", seconds=7200.0, gigabytes=1.2)
    with pytest.raises(CostError, match="universe"):
        cost.check("an endless thing", seconds=float("inf"))
    with pytest.raises(ValueError, match="effort must be above 0"):
        cost.check("anything", effort=0.0)


def test_the_effort_that_is_named_suffices():
    for seconds in np.geomspace(61.0, 5e7, 50):
        with pytest.raises(CostError) as info:
            cost.check("it", seconds=seconds)
        named = float(str(info.value).split("effort=")[1].rstrip("."))
        cost.check("it", seconds=seconds, effort=named)


def test_everything_becomes_json():
    value = {
        "a": np.float64(1.5),
        "b": [np.nan, np.inf, 2],
        3: np.arange(4).reshape(2, 2),
        "s": Status.OVERFLOW,
        "e": Estimate(1.0, 0.1),
        "t": (True, None, np.bool_(False)),
        "c": 1 + 2j,
    }
    text = json.dumps(plain(value), allow_nan=False)
    back = json.loads(text)
    assert back["b"] == [None, None, 2] and back["3"] == [[0, 1], [2, 3]]
    assert back["s"] == "overflow" and back["e"]["status"] == "ok" and back["c"] == [1.0, 2.0]
    with pytest.raises(TypeError, match="no JSON form for a object"):
        plain(object())
