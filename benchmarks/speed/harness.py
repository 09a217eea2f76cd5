"""Runs every case in a process of its own and collects what it measures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks.speed.case import Case
from benchmarks.speed.machine import THREADS

ROOT = Path(__file__).parents[2]

Row = dict[str, Any]


def run(case: Case, room: str, *, quick: bool, rounds: int) -> Row:
    """All samples of a case, as they are kept in the JSON file.

    Returns
    -------
    dict
        What the case is, and for each way its name, the part of the work it did, samples
        ``[wall, cpu]`` of first calls in fresh processes and of further calls, the error, peak
        memory in MB, and why there is none of these where there is none.
    """
    row: Row = {
        "case": case.name,
        "room": room,
        "what": case.what,
        "unit": case.unit,
        "count": case.count,
        "goal": case.goal,
        "quick": quick,
        "ways": [],
    }
    arguments = ["--rounds", str(rounds), *(["--quick"] if quick else [])]
    _collect(row, case, arguments)
    stopped = [k for k, way in enumerate(row["ways"]) if way["note"].startswith("stopped")]
    rest = [k for k, way in enumerate(row["ways"]) if not way["started"] and not way["note"]]
    if stopped and rest:  # the one that was stopped does not take the others with it
        _collect(row, case, [*arguments, "--ways", *map(str, rest)])
    if case.memory:
        for k, way in enumerate(row["ways"]):
            if way["first"]:
                _collect(row, case, [*arguments, "--ways", str(k), "--alone"])
    for way in row["ways"]:
        del way["started"]
    return row


def _collect(row: Row, case: Case, arguments: list[str]) -> None:
    """Start a worker and put what it tells into the row, until it ends or is stopped."""
    late = threading.Event()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.worker", case.name, *arguments],
            cwd=ROOT,
            env={**os.environ, **THREADS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,  # so that its own children are stopped with it
        )

        def stop() -> None:
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(case.limit, stop)
        with process:
            timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    _note(row["ways"], json.loads(line))
                code = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            finally:
                timer.cancel()
        said.seek(0)
        if code and not late.is_set():
            raise RuntimeError(f"{case.name}: the worker ended with {code}:\n{said.read()[-3000:]}")
    if late.is_set():
        if not row["ways"]:  # stopped before it could tell what there is
            _note(row["ways"], {"kind": "way", "way": 0, "name": "chione", "part": 1.0})
            row["ways"][0]["started"] = True
        running = [w for w in row["ways"] if w["started"] and not w["first"] and not w["note"]]
        for way in running:
            way["note"] = f"stopped after {case.limit:.0f} s"


def _note(ways: list[dict[str, Any]], told: dict[str, Any]) -> None:
    """One line of a worker."""
    kind, k = told["kind"], told["way"]
    if kind == "way":
        while len(ways) <= k:
            ways.append({"name": "", "part": 1.0, "first": [], "again": [], "error": None,
                         "peak_mb": None, "note": "", "started": False})  # fmt: skip
        ways[k]["name"], ways[k]["part"] = told["name"], told["part"]
    elif kind == "started":
        ways[k]["started"] = True
    elif kind in ("first", "again"):
        ways[k][kind].append([told["wall"], told["cpu"]])
    elif kind == "error":
        ways[k]["error"] = told["error"]
    elif kind == "peak":
        ways[k]["peak_mb"] = told["mb"] or None
    else:
        ways[k]["note"] = f"{kind}: {told['why']}"
