"""What a command writes: one JSON object on stdout, files that are whole or not there."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

import chione


def echo_json(
    command: str,
    parameters: Mapping[str, Any],
    result: Mapping[str, Any],
    *,
    warnings: tuple[str, ...] = (),
) -> None:
    """Write one JSON object: command, version, parameters, warnings and the keys of the result.

    Numbers that are not finite become null (JSON has no NaN); the status beside each value says
    why it is missing.
    """
    document = {
        "command": command,
        "version": chione.__version__,
        "parameters": dict(parameters),
        "warnings": list(warnings),
        **result,
    }
    click.echo(json.dumps(plain(document), allow_nan=False))


def plain(x: Any) -> Any:
    """`x` as JSON types: arrays become lists, what is not finite becomes None."""
    if x is None or isinstance(x, bool | str):
        return x
    if isinstance(x, Mapping):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [plain(v) for v in x]
    if isinstance(x, int):
        return int(x)
    if isinstance(x, float):
        return float(x) if math.isfinite(x) else None
    if isinstance(x, Path):
        return str(x)
    if isinstance(x, np.generic | np.ndarray):
        return plain(x.tolist())
    raise TypeError(f"no JSON form for {type(x).__name__}.")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, then move it into place in one step.

    A run that is stopped half-way leaves no half-written file and no change to an old one.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)  # mkstemp makes files private; a result is an ordinary file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
