"""Files of results: what goes in comes out, and a killed writer leaves no half file."""

import csv
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import chione
from chione.base import MissingExtraError


@pytest.fixture(scope="module")
def run():
    network = chione.MLP(chione.activation("tanh"), 1.4, 0.2, 3, (20, 30, 25))
    observe = ("lengths", "correlations", "ntk", "effective_rank", "preactivation_histogram")
    return chione.simulate(network, n_networks=4, observe=observe)


def test_npz_holds_means_errors_and_parameters(run, tmp_path):
    path = run.save(tmp_path / "run.npz")
    with np.load(path) as data:
        for name in run.mean:
            assert np.array_equal(data[name], run.mean[name])
            assert np.array_equal(data[f"{name}_stderr"], run.stderr[name])
            assert tuple(data[f"{name}_dims"]) == run.dims[name]
        assert json.loads(str(data["parameters"])) == run.parameters()
        assert np.array_equal(
            data["preactivation_histogram_edges"], run.edges["preactivation_histogram"]
        )


def test_csv_has_one_row_a_number_and_loses_no_digit(run, tmp_path):
    with run.save(tmp_path / "run.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == sum(m.size for m in run.mean.values())
    for row in rows:
        if row["observable"] == "lengths":
            place = int(row["layer"]) - 1, int(row["index"])
            assert float(row["mean"]) == run.mean["lengths"][place]
            assert float(row["stderr"]) == run.stderr["lengths"][place]


def test_netcdf_is_a_labelled_dataset(run, tmp_path):
    xarray = pytest.importorskip("xarray")
    path = run.save(tmp_path / "run.nc")
    with xarray.open_dataset(path, engine="scipy") as data:
        assert data["lengths"].dims == ("layer", "input")
        assert list(data["layer"].values) == [1, 2, 3]
        assert np.array_equal(data["lengths"].sel(layer=2), run.mean["lengths"][1])
        assert data.attrs["activation"] == "tanh"
    assert run.to_xarray()["ntk"].dims == ("input", "other_input")


def test_json_carries_no_nan(run):
    text = json.dumps(run.to_dict(), allow_nan=False)
    assert json.loads(text)["n_networks"] == 4


def test_missing_extras_are_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"xarray.*pip install '.\[data\]'"):
        run.save(tmp_path / "run.nc")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"torch.*pip install '.\[torch\]'"):
        chione.simulate(run.network, backend="torch")


def test_unknown_endings_are_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in .npz, .csv, .nc.*run.pickle"):
        run.save(tmp_path / "run.pickle")
    with pytest.raises(FileNotFoundError):
        run.save(tmp_path / "missing" / "run.npz")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, chione
net = chione.MLP(chione.activation("tanh"), 1.4, 0.2, 3, 30)
run = chione.simulate(net, n_networks=2, observe=("lengths", "preactivation_histogram"), bins=20000)
print("ready", flush=True)
while True:
    run.save(sys.argv[1])
"""


@pytest.mark.parametrize("ending", ["npz", "csv"])
def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path, ending):
    path = tmp_path / f"run.{ending}"
    path.write_bytes(b"old")
    sizes = set()
    for delay in (0.0, 0.013, None):  # None: as soon as a first whole file is there
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            deadline = time.monotonic() + 60.0
            while delay is None and path.read_bytes() == b"old" and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(delay or 0.0)
            process.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        if content != b"old":
            sizes.add(len(content))
            if ending == "npz":
                with np.load(path) as data:
                    assert data["lengths"].shape == (3, 2)
    assert len(sizes) == 1  # at least one file was written, and every one was whole
