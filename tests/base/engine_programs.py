"""Programs that use engines, and whether their processes are there."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path


def script(tmp_path, text, *arguments, feed=None):
    """Run a program of its own, from a file or through stdin."""
    code = textwrap.dedent(text)
    path = tmp_path / "script.py"
    path.write_text(code)
    command = [sys.executable, "-W", "error", *([str(path)] if feed is None else ["-"]), *arguments]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ), code


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids, seconds=20.0):
    """Whether all processes end in time."""
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)
