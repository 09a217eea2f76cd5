"""Measures one case in this process, and writes what it finds line by line as JSON.

python -m benchmarks.speed.worker CASE [--quick] [--rounds N] [--ways 0 1 ...] [--alone]

First every way once: its first call in a fresh process, imports done; its error. Then in turn,
round after round, so that a machine that slows down slows all of them. A way whose first call takes
long is not called again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed import rooms
from benchmarks.speed.case import Case, Missing, Way
from chione.base import CostError

_LONG = 12.0  # seconds of a call that is not repeated
_SHORT = 0.02  # seconds that a sample takes at least: calls are repeated within it
_BUDGET = 8.0  # seconds for the rounds of a case


def main() -> None:
    """Measure the case that is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", type=int, nargs="*")
    parser.add_argument("--alone", action="store_true", help="first call and peak memory only")
    options = parser.parse_args()
    out, sys.stdout = sys.stdout, sys.stderr  # what the work prints is no part of the protocol

    def tell(kind: str, way: int, **what: Any) -> None:
        print(json.dumps({"kind": kind, "way": way, **what}), file=out, flush=True)

    measure(rooms.case(options.case), tell, options)


def measure(case: Case, tell: Callable[..., None], options: argparse.Namespace) -> None:
    """First calls, errors, rounds; `tell` is given each as soon as it is known."""
    ways = list(case.ways(options.quick))
    chosen = range(len(ways)) if options.ways is None else options.ways
    for k in chosen:
        tell("way", k, name=ways[k].name, part=ways[k].part)
    first = {}
    for k in chosen:
        found = _first(k, ways[k], tell)
        if found is None:
            continue
        first[k], value = found
        if options.alone:
            tell("peak", k, mb=_peak(ways[k]))
        elif ways[k].error is not None:
            error = float(ways[k].error(value))
            tell("error", k, error=error if math.isfinite(error) else "nan")
    if not options.alone:
        _rounds(ways, first, tell, options.rounds)


def _first(k: int, way: Way, tell: Callable[..., None]) -> tuple[float, Any] | None:
    """Seconds and value of the first call; None where there is none, with the reason told."""
    try:
        if way.ready is not None:
            way.ready()
        tell("started", k)
        prepared = way.clock(way.prepare, 0, 1) if way.prepare is not None else None
        sample = way.clock(way.run, 0, 1)
    except (Missing, ImportError) as err:
        tell("skipped", k, why=str(err))
        return None
    except CostError as err:
        tell("refused", k, why=str(err))
        return None
    except Exception as err:
        traceback.print_exc()
        tell("failed", k, why=f"{type(err).__name__}: {err}")
        return None
    wall, cpu = sample.wall, sample.cpu
    if prepared is not None:  # a call after the preparation is one of those that come again
        tell("again", k, wall=wall, cpu=cpu)
        # that of the whole work costs no more: the share of it will be divided away
        wall, cpu = wall + prepared.wall * way.part, cpu + prepared.cpu * way.part
    tell("first", k, wall=wall, cpu=cpu)
    return sample.wall, sample.value


def _rounds(
    ways: list[Way], seconds: dict[int, float], tell: Callable[..., None], rounds: int
) -> None:
    """The ways in turn."""
    short = {k: t for k, t in seconds.items() if t < _LONG}
    calls = dict.fromkeys(short, 1)
    loops = dict.fromkeys(short, 1)
    for k in short:  # once more: the first call may have been a long one
        sample = ways[k].clock(ways[k].run, 1, 1)
        calls[k] += 1
        short[k] = sample.wall
        loops[k] = max(1, min(10_000, math.ceil(_SHORT / max(sample.wall, 1e-9))))
        if loops[k] == 1:
            tell("again", k, wall=sample.wall, cpu=sample.cpu)
    one = sum(max(_SHORT, t) for t in short.values())
    for _ in range(max(1, min(rounds, int(_BUDGET / max(one, 1e-9)))) - (one > _BUDGET / 2)):
        for k in short:
            sample = ways[k].clock(ways[k].run, calls[k], loops[k])
            calls[k] += loops[k]
            tell("again", k, wall=sample.wall, cpu=sample.cpu)


def _peak(way: Way) -> float:
    """Peak memory in MB of the process that did the work (Linux), 0 where it is not known."""
    if way.peak is not None:
        return way.peak()
    status = Path("/proc/self/status")  # ru_maxrss would include the parent's peak
    if not status.exists():
        return 0.0
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000.0


if __name__ == "__main__":
    main()
