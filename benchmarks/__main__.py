"""How fast chione is beside what its users would use or write instead.

    python -m benchmarks                      # everything: one table, and benchmarks/speed.json
    python -m benchmarks --only kernels tanh  # rooms, or cases whose names contain a word
    python -m benchmarks --page               # docs/speed.md from benchmarks/speed.json

Run it in the root of the repository on an otherwise idle machine; every process has one thread.
benchmarks/README.md tells how to read the table and how to add a case.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.neural_tangents import client
from benchmarks.speed import harness, machine, page, rooms, table
from chione.base.files import write_text

_KEPT = Path(__file__).with_name("speed.json")


def main() -> None:
    """Read the options and do what they say."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a worker is stopped with it
    if options.neural_tangents:
        os.environ[client.VARIABLE] = os.path.abspath(options.neural_tangents)
    kept = options.json or _KEPT
    if options.list:
        print(_list(rooms.chosen(options.only)))
    elif options.page:
        page.write(json.loads(kept.read_text(encoding="utf-8")))
    else:
        partial = bool(options.only) or options.quick
        measure(options, None if partial and options.json is None else kept)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--list", action="store_true", help="names of the cases, nothing else")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="some cases only")
    parser.add_argument("--quick", action="store_true", help="small inputs, to try the harness")
    parser.add_argument("--rounds", type=int, default=5, help="at most so many (default 5)")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="where the samples are kept; by default benchmarks/speed.json for a whole run and "
        "nowhere for a part. With --only, cases in an existing file are replaced",
    )
    parser.add_argument("--page", action="store_true", help="write the page from the JSON file")
    parser.add_argument(
        "--neural-tangents",
        metavar="PYTHON",
        help=f"the Python of its environment (or the variable {client.VARIABLE})",
    )
    return parser.parse_args()


def _list(chosen: dict[str, list[Any]]) -> str:
    lines = []
    for room, cases in chosen.items():
        lines.append(f"{room}: {rooms.ROOMS[room][0]}")
        lines += [f"  {case.name:32}{case.what}" for case in cases]
    return "\n".join(lines)


def measure(options: argparse.Namespace, kept: Path | None) -> None:
    """Every case in turn; the file is written after each, the table printed at the end."""
    found: dict[str, Any] = {"machine": machine.described(), "cases": []}
    old = _old(kept) if options.only else {}
    start = time.perf_counter()
    for room, cases in rooms.chosen(options.only).items():
        for case in cases:
            print(f"{time.perf_counter() - start:5.0f} s  {case.name}", file=sys.stderr, flush=True)
            row = harness.run(case, room, quick=options.quick, rounds=options.rounds)
            found["cases"].append(row)
            old[case.name] = row
            if kept is not None:
                whole = {**found, "cases": [old[name] for name in rooms.names() if name in old]}
                write_text(kept, json.dumps(whole, indent=1, allow_nan=False) + "\n")
    print(table.text(found["cases"]))
    print("\n".join(["", table.machine(found["machine"]), table.skipped(found["cases"])]).rstrip())


def _old(kept: Path | None) -> dict[str, Any]:
    """Cases that an earlier run has kept, by name."""
    if kept is None or not kept.exists():
        return {}
    rows = json.loads(kept.read_text(encoding="utf-8"))["cases"]
    return {row["case"]: row for row in rows}


if __name__ == "__main__":
    main()
