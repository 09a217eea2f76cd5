"""What theory says of each network before training: `python -m verdicts.features` in benchmarks/.

One line for each network: the numbers of `Passage`, by which the rule judges. Nothing here depends
on labels.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chione.activations import activation
from chione.base import ConvergenceError
from chione.diagnosis.verdict import passage
from chione.theory import deep_trajectory, finite_width, mean_field
from chione.theory.depth.passage import Passage
from verdicts.networks import Net, everything

FILE = Path(__file__).with_name("features.jsonl")


def features(net: Net) -> dict[str, Any]:
    """Number, passage (None for what is not finite) and spread."""
    act, sigmas = activation(net.activation), {"sigma_w": net.sigma_w, "sigma_b": net.sigma_b}
    way = passage(
        act, deep_trajectory(act, depth=net.depth, **sigmas), **sigmas, width=net.width,
        mean=mean_field(act, **sigmas), spread=spread(net),
    )  # fmt: skip
    numbers = {k: v for k, v in asdict(way).items() if not isinstance(v, str)}
    return {"number": net.number, **{k: _short(v) for k, v in numbers.items()}}


def spread(net: Net) -> float:
    """Relative spread of the last mean square at the network's width."""
    try:
        vertex = finite_width(
            net.activation, sigma_w=net.sigma_w, sigma_b=net.sigma_b, depth=net.depth
        ).relative_vertex[-1]
    except ConvergenceError:
        return math.nan
    return math.sqrt(max(2.0 + float(vertex), 0.0) / net.width)


def _short(x: float) -> float | str:
    """Six digits; what JSON has no number for in words."""
    return float(f"{x:.6g}") if math.isfinite(x) else str(x)


def read(path: Path = FILE) -> dict[int, dict[str, float]]:
    """By number."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = [json.loads(line) for line in text.split("\n")[:-1]]
    return {row["number"]: {k: float(v) for k, v in row.items() if k != "number"} for row in rows}


def way(row: dict[str, float]) -> Passage:
    """The passage of a line."""
    return Passage(**row)


def fill() -> None:
    """Ask theory for what has no line yet."""
    known = read()
    with FILE.open("a", encoding="utf-8") as file:
        for net in everything():
            if net.number not in known:
                file.write(json.dumps(features(net)) + "\n")
                file.flush()


if __name__ == "__main__":
    fill()
