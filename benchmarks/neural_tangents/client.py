"""Asks the server that runs in the environment of neural-tangents."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.case import Missing, Sample, Way

VARIABLE = "CHIONE_NEURAL_TANGENTS"  # the Python of that environment
_SERVER = Path(__file__).with_name("serve.py")


def python() -> str:
    """The Python that has neural-tangents; `Missing` where none is named."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        raise Missing(
            "neural-tangents: name the Python that has it by --neural-tangents "
            "(benchmarks/neural_tangents/requirements.txt)"
        )
    return named


class Server:
    """The process; it ends when its input does, with this process at the latest."""

    def __init__(self) -> None:
        # its own environment: chione's path is no good there
        env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        try:
            self._process = subprocess.Popen(
                [python(), str(_SERVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=env,
            )
        except OSError as err:
            raise Missing(f"neural-tangents: {python()} does not start ({err})") from err

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """One request and its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.close()
            raise Missing(f"neural-tangents: {python()} stopped; {_SERVER.name} tells why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Kernels:
    """NNGP and tangent kernels of one network, of each of several matrices of inputs."""

    def __init__(
        self, activation: str, x: Sequence[Any], sigma_w: float, sigma_b: float, depth: int
    ) -> None:
        self._network = {
            "activation": activation,
            "sigma_w": sigma_w,
            "sigma_b": sigma_b,
            "depth": depth,
        }
        self._x, self._server = list(x), None
        self._value: Any = None

    def ready(self) -> None:
        """Start it and hand over the inputs."""
        self._server = Server()
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "inputs.npz")
            np.savez(path, **{f"x{k}": x for k, x in enumerate(self._x)})
            self._server.ask("inputs", npz=path, **self._network)

    def compile(self, _: int) -> dict[str, Any]:
        """Compile; the answer holds the seconds."""
        return self._server.ask("compile")

    def run(self, k: int) -> dict[str, Any]:
        """Kernels of the k-th inputs; those of the first come back."""
        if k > 0:
            return self._server.ask("run", k=k)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernels.npz"
            answer = self._server.ask("run", k=k, npz=str(path))
            with np.load(path) as found:
                return {**answer, "value": (found["nngp"], found["ntk"])}

    def peak(self) -> float:
        """Peak memory of its process in MB."""
        return float(self._server.ask("peak")["mb"])


def clock(run: Any, k: int, loops: int) -> Sample:
    """Mean of the seconds that the server measured."""
    answers = [run(i) for i in range(k, k + loops)]
    wall = sum(a["wall"] for a in answers) / loops
    cpu = sum(a["cpu"] for a in answers) / loops
    return Sample(wall, cpu, answers[-1].get("value"))


def way(name: str, kernels: Kernels, **more: Any) -> Way:
    """It as one way to do the work of a case."""
    return Way(
        name,
        kernels.run,
        ready=kernels.ready,
        prepare=kernels.compile,
        clock=clock,
        peak=kernels.peak,
        **more,
    )


def versions() -> dict[str, str]:
    """Versions in its environment; empty where it is missing."""
    try:
        server = Server()
        found = server.ask("versions")
        server.close()
        return found
    except Missing:
        return {}
