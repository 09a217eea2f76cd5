"""What is typed into a shell, from the start of the process to its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.speed.case import Case, Way

_README = ("--sigma-w", "1.5", "--sigma-b", "0.1", "--depth", "50", "--width", "512")
_SIGMAS = _README[:4]


def _process(arguments: tuple[str, ...]) -> Callable[[int], Any]:
    """Run this Python; an exit code other than 0 and 1 (no answer exists) is an error."""

    def run(_: int) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout

    return run


def _plain(arguments: tuple[str, ...], quick: bool) -> list[Way]:
    return [Way("chione", _process(arguments))]


def _start(quick: bool) -> list[Way]:
    return [
        Way("chione", _process(("-c", "import chione"))),
        Way("import scipy.stats", _process(("-c", "import scipy.stats"))),
        Way("import torch", _process(("-c", "import torch")), ready=_torch),
    ]


def _torch() -> None:
    import torch  # noqa: F401


def _page(expression: str, formula: str, more: tuple[str, ...], quick: bool) -> list[Way]:
    """`analyze`, beside the script that a user writes for a third of the page, if there is one."""
    ours = Way("chione", _process(("-m", "chione", "analyze", expression, *more)))
    if not formula:
        return [ours]
    script = ("-m", "benchmarks.speed.page_by_hand", formula, "3" if quick else "50")
    return [ours, Way("NumPy script, a third of the page", _process(script))]


def _analyze(
    name: str, expression: str, goal: float, formula: str = "", more: tuple[str, ...] = _SIGMAS
) -> Case:
    shown = f"'{expression}'" if set(expression) & set("(/*") else expression
    return Case(
        f"analyze-{name}",
        f"chione analyze {shown} {' '.join(more)}",
        partial(_page, expression, formula, more),
        goal=goal,
    )


CASES = [
    Case("import", "python -c 'import chione'", _start),
    Case("help", "chione --help", partial(_plain, ("-m", "chione", "--help"))),
    _analyze("readme", "gelu", 1.5, "x * ndtr(x)", _README),
    _analyze("tanh", "tanh", 2.0, "tanh(x)"),
    *(_analyze(name, name, 2.0) for name in ("relu", "softplus", "silu", "mish")),
    _analyze("mish-written", "x*tanh(log(1+exp(x)))", 2.0),
    _analyze("silu-written", "x/(1+exp(-x))", 3.0),
    _analyze("softplus-written", "log(1+exp(x))", 3.0),
    _analyze("sigmoid-written", "1/(1+exp(-x))", 3.0),
    _analyze("snake", "x+sin(x)**2", 3.0, "x + sin(x)**2"),
    _analyze("sinc", "sinc(x)", 3.0),
    Case("gain", "chione gain", partial(_plain, ("-m", "chione", "gain")), goal=3.0),
    Case(
        "phase", "chione phase tanh, 200 x 200", partial(_plain, ("-m", "chione", "phase", "tanh"))
    ),
]
