"""Files of commands are whole or not there: after SIGKILL, and on a full disk."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

COMMAND = (sys.executable, "-m", "chione")
ENTRY = "order-chaos"


def reproduce(folder: Path) -> list[str]:
    return [*COMMAND, "reproduce", ENTRY, "--quick", "--out", str(folder)]


def whole(path: Path) -> bool:
    """Whether the reader of this kind of file is content with it."""
    raw = path.read_bytes()
    if path.suffix == ".png":
        return raw[:8] == b"\x89PNG\r\n\x1a\n" and raw[-8:-4] == b"IEND"
    if path.suffix == ".svg":
        return raw.rstrip().endswith(b"</svg>")
    if path.suffix == ".npz":
        with np.load(path) as held:
            return all(held[name].size for name in held.files)
    if path.suffix == ".nc":
        return raw[:3] == b"CDF" and len(raw) > 1000
    return raw.endswith(b"\n") and b"Checks:" in raw


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part*"))


def stopped_with_a_part(child: subprocess.Popen[bytes], folder: Path, known: set[Path]) -> bool:
    """SIGSTOP the command while a new part is there: true; it ended before that: false.

    A part lives for milliseconds, so a kill after seeing one may fall later; what is stopped first
    and looked at then holds still.
    """
    end = time.monotonic() + 60.0
    while child.poll() is None and time.monotonic() < end:
        if set(parts(folder)) - known:
            child.send_signal(signal.SIGSTOP)
            if set(parts(folder)) - known:
                return True
            child.send_signal(signal.SIGCONT)
        time.sleep(0.001)
    return False


def killed_at(folder: Path, seconds: float | None) -> bool:
    """Run the command and SIGKILL it: `seconds` after its first part, or (None) within a part."""
    known = set(parts(folder))
    child = subprocess.Popen(
        reproduce(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        stopped_with_a_part(child, folder, known)
        if seconds is not None:
            child.send_signal(signal.SIGCONT)
            time.sleep(seconds)
        return child.poll() is None
    finally:
        child.kill()
        child.wait(timeout=10)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGSTOP")
def test_a_run_that_is_killed_leaves_whole_files_and_the_next_one_no_litter(tmp_path):
    rng, killed = random.Random(7), 0
    for _ in range(6):
        killed += killed_at(tmp_path, rng.uniform(0.0, 0.3))
        assert [
            p.name for p in tmp_path.iterdir() if p not in parts(tmp_path) and not whole(p)
        ] == []
    assert killed >= 3  # the kills fell while the command wrote
    assert killed_at(tmp_path, None) and parts(tmp_path)  # and this one within a file
    assert [p.name for p in tmp_path.iterdir() if p not in parts(tmp_path) and not whole(p)] == []
    done = subprocess.run(reproduce(tmp_path), capture_output=True, timeout=60, text=True)
    assert done.returncode == 0, done.stderr
    names = {p.name for p in tmp_path.iterdir()}
    assert {f"{ENTRY}.{e}" for e in ("png", "svg", "npz", "txt")} <= names
    assert not any(name.startswith(".") for name in names)


def small_disk() -> None:
    """In the child: no file can grow beyond 4096 bytes, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails with an OSError
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


PHASE = ("phase", "tanh", "--sigma-w", "0.5:3:12", "--sigma-b", "0:1:7")
SIMULATE = ("simulate", "tanh", "--sigma-w", "1.5", "--depth", "60", "--width", "20",
            "--networks", "2")  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="needs setrlimit")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((*PHASE, "--out"), "a.npz"),
        ((*PHASE, "--out"), "a.csv"),
        ((*PHASE, "--figure"), "a.png"),
        ((*SIMULATE, "--out"), "a.npz"),
        ((*SIMULATE, "--out"), "a.csv"),
        (("hessian", "--ratio", "0.5", "--energy", "0.3", "--out"), "a.csv"),
        (("hessian", "--ratio", "0.5", "--energy", "0.3", "--figure"), "a.svg"),
        (("reproduce", ENTRY, "--quick", "--out"), ""),
    ],
)  # fmt: skip
@pytest.mark.sampled(3)
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path, arguments, name):
    target = tmp_path / (name or f"{ENTRY}.png")
    target.write_text("old")
    done = subprocess.run(
        [*COMMAND, *arguments, str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=small_disk,
        env={**os.environ, "MPLCONFIGDIR": str(tmp_path.parent)},
    )
    assert done.returncode == 1, done.stderr
    assert "The file system refused" in done.stderr and "Traceback" not in done.stderr
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [target.name]
