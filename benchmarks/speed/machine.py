"""The machine and the versions that a table was measured with."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import chione
from benchmarks.neural_tangents import client

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Environment of every measured process: one thread, on one core."""


def described() -> dict[str, Any]:
    """CPU, cores, memory, system, versions, and how busy the machine was."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index]
    versions = {"chione": chione.__version__, "Python": platform.python_version()}
    for name in ("numpy", "scipy", "torch", "scikit-learn"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": 1,
        "memory_gb": round(_kilobytes("MemTotal") / 1e6, 1),
        "system": platform.system(),
        "blas": f"{blas['name']} {blas['version']}",
        "load_before": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions | client.versions(),
    }


def _field(path: str, name: str) -> str:
    """The value of the first line ``name : value`` of a file of Linux; empty elsewhere."""
    if not Path(path).exists():
        return ""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _kilobytes(name: str) -> float:
    found = _field("/proc/meminfo", name)
    return float(found.split()[0]) if found else 0.0
