"""Files that lie: each is refused in one sentence, in bounded time and memory, nothing executed."""

import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import chione as ch
from chione.base import storage
from chione.base.archive import DOCUMENT


@pytest.fixture(scope="module")
def run():
    return ch.trajectory("tanh", sigma_w=1.5, sigma_b=0.1, depth=5)


@pytest.fixture(scope="module")
def field():
    return ch.mean_field("tanh", sigma_w=1.5, sigma_b=0.1)


def tree_of(result, tmp_path):
    return json.loads(result.save(tmp_path / "good.json").read_text())


def refused(path, match="be read|damaged"):
    with pytest.raises(ch.SpecError, match=match) as caught:
        ch.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    assert path.name in message


def refuse_tree(tree, tmp_path, match="be read|damaged"):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(tree))
    refused(path, match)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"chione"',
        "{",
        "NaN",
        '{"format": "chione"}',
        '{"format": "chione", "version": 1}',
        '{"format": "chione", "version": 1, "result": null}',
        '{"format": "chione", "version": 1, "result": [1, 2]}',
        '{"format": "chione", "version": 1, "result": {"$": "status", "word": "ok"}}',
        '{"format": "chione", "version": true, "result": {}}',
        '{"format": "chione", "version": "1", "result": {}}',
        '{"format": "chione", "version": -1, "result": {}}',
        '{"format": "chione", "version": ' + "9" * 5000 + "}",
        "\ufeff{}",
        "[" * 5000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 20_000 + "1" + "}" * 20_000,
        '{"format": "chione", "version": 1, "result": {"$": {"$": {"$": 1}}}}',
        '{"format": "chione", "version": 1, "result": {"$": "result", "kind": ["x"]}}',
    ],
)
def test_text_that_is_no_result_is_refused(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    refused(path)


def test_a_file_of_the_future_says_to_update(tmp_path, run):
    refuse_tree(tree_of(run, tmp_path) | {"version": 2}, tmp_path, "later version .* update chione")


@pytest.mark.parametrize(
    "kind",
    ["theory.Nothing", "os.system", "builtins.eval", "Trajectory", "", "base.Estimate",
     "activations.Custom", "theory.MeanField.__init__", None, 7, {"a": 1}],
)  # fmt: skip
def test_only_kinds_of_the_table_are_made(tmp_path, run, kind):
    tree = tree_of(run, tmp_path)
    tree["result"]["kind"] = kind
    refuse_tree(tree, tmp_path, "does not know")


@pytest.mark.parametrize(
    "value",
    [None, 1.5, "text", True, [1.0, 2.0], {}, {"$": "status", "word": "ok"},
     {"$": "array", "dtype": "O", "shape": [1], "data": [None]},
     {"$": "array", "dtype": "|O", "shape": [1], "data": [None]},
     {"$": "array", "dtype": "f8", "shape": [1 << 40, 1 << 40], "data": []},
     {"$": "array", "dtype": "f8", "shape": [-1], "data": [1.0]},
     {"$": "array", "dtype": "f8", "shape": [5.0], "data": [1.0] * 5},
     {"$": "array", "dtype": "f8", "shape": [True], "data": [1.0]},
     {"$": "array", "dtype": "f8", "shape": [5], "data": [1.0] * 4},
     {"$": "array", "dtype": "f8", "shape": [4], "data": [1.0] * 4},
     {"$": "array", "dtype": "f8", "shape": [5, 1], "data": [1.0] * 5},
     {"$": "array", "dtype": "f8", "shape": [5], "data": [1.0, 1.0, 1.0, 1.0, "x"]},
     {"$": "array", "dtype": "f8", "shape": [5], "data": [1.0, 1.0, 1.0, 1.0, [1.0]]},
     {"$": "array", "dtype": "f8", "shape": [5], "data": [10**400] * 5},
     {"$": "array", "dtype": "i1", "shape": [5], "data": [1000] * 5},
     {"$": "array", "dtype": "U5", "shape": [5], "data": ["a"] * 5},
     {"$": "array", "dtype": "U999999999", "shape": [5], "data": ["a"] * 5},
     {"$": "array", "dtype": "V8", "shape": [5], "data": [1.0] * 5},
     {"$": "array", "dtype": "M8[s]", "shape": [5], "data": [1] * 5},
     {"$": "array", "dtype": "f8,f8", "shape": [5], "data": [1.0] * 5},
     {"$": "array", "dtype": None, "shape": [5], "data": [1.0] * 5},
     {"$": "array", "dtype": "f8", "shape": [5], "ref": "q"},
     {"$": "array", "shape": [5], "data": [1.0] * 5},
     {"$": "float", "word": "huge"}, {"$": "float"}, {"$": "complex", "parts": [1.0]},
     {"$": "complex", "parts": ["a", "b"]}, {"$": "tuple", "items": 3}, {"$": "pickle", "x": "y"},
     {"$": "activation", "name": "no such name"}, {"$": "activation"},
     {"$": "activation", "formula": "x" * 10_000}, {"$": "activation", "name": 3},
     {"$": "activation", "affine": {"affine": {}}, "scale": "x", "shift": 0, "offset": 0}],
)  # fmt: skip
def test_a_field_of_the_wrong_type_is_refused(tmp_path, run, value):
    tree = tree_of(run, tmp_path)
    tree["result"]["fields"]["q"] = value
    refuse_tree(tree, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{"status": {"$": "status", "word": "splendid"}}, {"error": -0.5}, {"value": "0.5"},
     {"value": True}, {"status": None}, {"status": 77},
     {"value": {"$": "array", "dtype": "f8", "shape": [2], "data": [1.0, 2.0]}}],
)  # fmt: skip
def test_an_estimate_is_made_of_numbers_with_a_status(tmp_path, field, changes):
    tree = tree_of(field, tmp_path)
    tree["result"]["fields"]["q_star"].update(changes)
    if changes == {"error": -0.5}:  # a number all the same: what it means is the reader's affair
        path = tmp_path / "odd.json"
        path.write_text(json.dumps(tree))
        assert ch.load(path) != field
    else:
        refuse_tree(tree, tmp_path)


def test_missing_and_surplus_fields_are_refused(tmp_path, run):
    tree = tree_of(run, tmp_path)
    surplus = json.loads(json.dumps(tree))
    surplus["result"]["fields"]["__class__"] = 1
    refuse_tree(surplus, tmp_path, "other fields")
    del tree["result"]["fields"]["q"]
    refuse_tree(tree, tmp_path, "missing")
    tree["result"]["fields"] = []
    refuse_tree(tree, tmp_path)


def test_a_result_within_itself_without_end_is_refused(tmp_path, field):
    tree = tree_of(field, tmp_path)
    inner = tree["result"]
    for _ in range(200):
        inner = {"$": "tuple", "items": [inner]}
    tree["result"] = inner
    refuse_tree(tree, tmp_path, "nested")


def test_a_network_of_a_billion_layers_is_not_laid_out(tmp_path):
    network = ch.MLP(ch.activation("tanh"), 1.5, 0.1, 2, 8)
    tree = tree_of(ch.simulate(network, n_networks=2), tmp_path)
    tree["result"]["fields"]["network"]["fields"]["depth"] = 10**12
    refuse_tree(tree, tmp_path, "depth")


def test_a_hostile_formula_is_neither_run_nor_accepted_when_it_is_evaluated(tmp_path, field):
    tree = tree_of(field, tmp_path)
    flag = tmp_path / "flag"
    for text in (
        f"__import__('os').system('touch {flag}')",
        f"open({str(flag)!r}, 'w')",
        "().__class__.__base__.__subclasses__()",
        "9**9**9**9**9",
        "x" + "+x" * 250,
        "(" * 290,
    ):
        tree["result"]["fields"]["activation"] = {"$": "activation", "formula": text, "name": "f"}
        path = tmp_path / "formula.json"
        path.write_text(json.dumps(tree))
        back = ch.load(path)
        assert "f" in str(back)
        if text.startswith("x"):
            continue  # an honest one, if long
        with pytest.raises((ch.ChioneError, ValueError)):
            back.activation(1.0)
    assert not flag.exists()


# ---- containers ------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".json", ".npz", ".nc", ".csv"])
def test_every_cut_of_a_file_is_refused_or_read_whole(tmp_path, run, ending):
    data = run.save(tmp_path / f"good{ending}").read_bytes()
    path = tmp_path / f"cut{ending}"
    whole = ch.load(tmp_path / f"good{ending}")
    for n in np.unique(np.linspace(0, len(data) - 1, 60).astype(int)):
        path.write_bytes(data[:n])
        try:
            back = ch.load(path)
        except ch.SpecError as err:
            assert "\n" not in str(err)
        else:
            assert back == whole or ending == ".csv"


@pytest.mark.parametrize("ending", [".json", ".npz", ".nc", ".csv"])
def test_every_flipped_byte_is_refused_or_harmless(tmp_path, run, ending):
    data = bytearray(run.save(tmp_path / f"good{ending}").read_bytes())
    path = tmp_path / f"flip{ending}"
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 150):
        broken = bytearray(data)
        broken[place] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            back = ch.load(path)
        except ch.SpecError as err:
            assert len(str(err)) < 600
        else:
            assert isinstance(back, ch.AbstractResult)


def test_folders_other_endings_and_absent_files_are_named(tmp_path):
    (tmp_path / "folder.json").mkdir()
    refused(tmp_path / "folder.json", "is a folder")
    refused(tmp_path / "result.pkl", "must end in .npz, .csv, .nc, .json")
    refused(tmp_path / "result", "must end in")
    with pytest.raises(FileNotFoundError):
        ch.load(tmp_path / "absent.json")


def test_foreign_arrays_and_pickles_are_no_files_of_chione(tmp_path):
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    refused(tmp_path / "foreign.npz", "no file of chione")
    np.savez(tmp_path / "object.npz", allow_pickle=True, a=np.array([{}], dtype=object))
    refused(tmp_path / "object.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"a": 1}))
    refused(tmp_path / "pickle.npz")
    (tmp_path / "zeros.nc").write_bytes(bytes(5000))
    refused(tmp_path / "zeros.nc", "NetCDF")
    (tmp_path / "empty.nc").write_bytes(b"CDF\x01" + bytes(40))
    refused(tmp_path / "empty.nc", "no file of chione|damaged")


def repacked(source, target, **members):
    """A copy of a .npz file with some members replaced."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, members.get(name, old.read(name)))
    return target


def test_an_array_of_objects_in_place_of_numbers_never_reaches_pickle(tmp_path, run):
    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    source = run.save(tmp_path / "good.npz")
    refused(repacked(source, tmp_path / "trap.npz", **{"q.npy": stream.getvalue()}), "no place")
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_claims_more_than_is_there_is_refused(tmp_path, run):
    source = run.save(tmp_path / "good.npz")
    for shape in ((1 << 30,), (1 << 40, 1 << 20), (-1,), (5, -5), (6,)):
        stream = io.BytesIO()
        head = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, head)
        stream.write(bytes(40))
        refused(repacked(source, tmp_path / "claim.npz", **{"q.npy": stream.getvalue()}))
    refused(
        repacked(source, tmp_path / "noise.npz", **{"q.npy": b"\x93NUMPY\x01\x00\xff\xff{" * 9})
    )


BOUNDED = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
import chione as ch, chione.base.storage
start = time.process_time()
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    ch.load(sys.argv[1])
except ch.SpecError as err:
    print("refused", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024)
else:
    print("read", 0)
"""


def memory_to_refuse(path):
    """Megabytes that a fresh process needs to refuse the file."""
    out = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(path)], capture_output=True, text=True, timeout=120
    )
    word, megabytes = out.stdout.split()
    assert word == "refused", out.stderr
    return int(megabytes)


def test_a_bomb_in_a_zip_file_is_refused_before_it_goes_off(tmp_path, run):
    source = run.save(tmp_path / "good.npz")
    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(source) as old,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for name in old.namelist():
            if name != "q.npy":
                new.writestr(name, old.read(name))
        with new.open("q.npy", "w", force_zip64=True) as f:
            for _ in range(540):
                f.write(bytes(1 << 20))
    assert bomb.stat().st_size < 6_000_000
    assert memory_to_refuse(bomb) < 100


def test_a_tree_bomb_is_refused_in_bounded_memory(tmp_path, run):
    head = '{"format": "chione", "version": 1, "result": '
    for k, part in enumerate(("[],", "{},", '"ab",')):
        path = tmp_path / f"tree{k}.json"
        path.write_text(head + "[" + part * (60_000_000 // len(part)) + "1]}")
        assert memory_to_refuse(path) < 400
    source = run.save(tmp_path / "good.npz")
    large = (head + "[" + "[]," * 20_000_000 + "1]}").encode()
    assert memory_to_refuse(repacked(source, tmp_path / "t.npz", **{DOCUMENT: large})) < 400


def test_a_netcdf_header_without_an_end_is_refused(tmp_path):
    path = tmp_path / "loop.nc"
    dimension = struct.pack(">i4si", 1, b"a\0\0\0", 1)
    many = 3_000_000
    path.write_bytes(b"CDF\x01" + struct.pack(">iii", 0, 10, many) + dimension * many)
    assert memory_to_refuse(path) < 400


def test_a_file_over_the_limit_is_not_opened(tmp_path):
    path = tmp_path / "huge.npz"
    with path.open("wb") as f:
        f.truncate(storage._LARGEST + 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "512 MB")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_tables_with_ragged_rows_or_no_heading_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    for text in ("", "\n", "a,b\n1\n", "a,,b\n1,2,3\n", "a\x00,b\n", '"a\n', "a,b\n1,2,3\n"):
        path.write_text(text)
        refused(path)
    path.write_bytes(b"\xff\xfe\x00a,b\n")
    refused(path)
    path.write_text("a,b\n1.5,ok\n,nan\n")
    table = ch.load(path)
    assert table.columns == ("a", "b")
    assert table.rows[0] == (1.5, "ok")
    assert table.rows[1][0] is None


def test_saving_refuses_what_could_not_be_read_back(tmp_path, run, monkeypatch):
    monkeypatch.setattr("chione.base.archive.LONGEST_TEXT", 100)
    with pytest.raises(ch.SpecError, match=r"save it as .npz"):
        run.save(tmp_path / "long.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ch.SpecError, match="must end in"):
        run.save(tmp_path / "result.pickle")
    with pytest.raises(FileNotFoundError):
        run.save(tmp_path / "nowhere" / "result.npz")
