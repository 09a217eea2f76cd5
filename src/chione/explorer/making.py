"""What the page knows of one activation: written once by ``python -m chione.explorer.making``.

    python -m chione.explorer.making tanh gelu
    python -m chione.explorer.making --all
    python -m chione.explorer.making --measure --all

An entry is a small JSON file in ``data``: names, formula, packed tables and their measured error.
A test makes some anew and compares.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from chione.activations import AbstractActivation
from chione.activations.registry import catalogue
from chione.base import plain
from chione.base.files import write_text
from chione.explorer.packing import pack, unpack
from chione.explorer.reading import read_gap, read_moments, read_slope
from chione.explorer.relatives import RELATIVES, check, in_other_units
from chione.explorer.slopes import parity_of, slope_kernel
from chione.explorer.spelling import expression_of
from chione.explorer.tables import Tables, make_tables
from chione.theory import gain
from chione.theory.moments.moments import moments

DATA = Path(__file__).parent / "data"
DEPTHS, WIDTH = (10, 50, 200), 512  # of the recommendations
_MEASURED = 120  # places at which tables are compared with direct evaluation
_ROOM = 4.0  # times what was missed there at most
_LEAST = 2e-14

LABELS = {
    "relu": "ReLU", "leaky_relu": "leaky ReLU", "prelu": "PReLU", "relu6": "ReLU6",
    "hardtanh": "hard tanh", "shifted_relu": "shifted ReLU", "squared_relu": "squared ReLU",
    "erf_scaled": "scaled erf", "hardsigmoid": "hard sigmoid", "gelu": "GELU",
    "gelu_tanh": "GELU (tanh form)", "quick_gelu": "quick GELU", "silu": "SiLU (swish)",
    "hardswish": "hard swish", "mish": "Mish", "selu": "SELU", "elu": "ELU", "celu": "CELU",
    "siren": "SIREN", "gaussian": "Gaussian", "softshrink": "soft shrink",
    "hardshrink": "hard shrink", "tanhshrink": "tanh shrink", "logsigmoid": "log sigmoid",
}  # fmt: skip


def entry_of(name: str, text: str | None = None) -> dict[str, Any]:
    """The entry of an activation of the catalogue, with its packed tables if they are there."""
    phi = catalogue()[name]
    text = pack(tables_of(name)) if text is None else text
    return {
        "name": name,
        "label": LABELS.get(name, name),
        "formula": phi.formula,
        "expression": expression_of(phi),
        "kinks": [float(k) for k in phi.kinks],
        "even": parity_of(phi) == -1,
        "flat": bool(np.all(phi.derivative(np.linspace(-3.03, 3.01, 31)) == 0.0)),
        "error": measure(phi, unpack(text)),
        "recommendations": recommendations(phi),
        "data": text,
    }


def tables_of(name: str) -> Tables:
    """Made anew, or from those of a relative."""
    if name not in RELATIVES:
        return make_tables(catalogue()[name])
    relative, a, b = RELATIVES[name]
    check(catalogue()[name], catalogue()[relative], a, b)
    path = DATA / f"{relative}.json"
    known = json.loads(path.read_text(encoding="utf-8"))["data"] if path.exists() else None
    return in_other_units(tables_of(relative) if known is None else unpack(known), a, b)


def recommendations(phi: AbstractActivation) -> list[dict[str, Any]]:
    """What `chione.gain` recommends for the activation as it is, at a few depths."""
    out = []
    for depth in DEPTHS:
        best = gain(phi, depth=depth, width=WIDTH, change=False)
        row: dict[str, Any] = {"depth": depth, "exists": bool(best.exists)}
        if best.exists:
            row |= {"sigma_w": best.sigma_w, "sigma_b": best.sigma_b, "name": best.name}
            row |= {"q": plain(best.q_star.value), "weights": best.weights}
        out.append(row)
    return out


def measure(phi: AbstractActivation, tables: Tables, *, seed: int = 0) -> dict[str, float]:
    """Largest relative difference from direct evaluation at random places, with room.

    Slopes R are compared relative to themselves or to their mean between the angle and zero, which
    is what K(1) - K(c) is made of.
    """
    rng = np.random.default_rng(seed)
    low, high = tables.pieces[0].low, tables.pieces[-1].high
    m = moments(phi)
    worst = {"moments": _LEAST, "kernel": _LEAST}
    for _ in range(_MEASURED):
        # most of them where networks are
        q = math.exp(
            rng.uniform(max(low, -10.0), high) if rng.random() < 0.8 else rng.uniform(low, high)
        )
        found = read_moments(tables, q)
        square, fourth, slope = (float(f(q).value) for f in (m.square, m.fourth, m.slope))
        off = [found.m2 / square - 1.0, found.m4 / fourth - 1.0, (found.slope - slope) * q / square]
        if not tables.jumps:
            off.append(found.d2 / float(m.derivative_square(q).value) - 1.0)
        worst["moments"] = max(worst["moments"], *(_ROOM * abs(x) for x in off))
        theta = np.array([0.5 * math.pi * max(rng.random() ** 3, 1e-4)])
        near, far = (float(x[0]) for x in slope_kernel(phi, q, theta))
        for angle, right in ((theta[0], near), (math.pi - theta[0], far)):
            average = read_gap(tables, q, angle) / (2.0 * q * math.sin(0.5 * angle) ** 2)
            value = float(read_slope(tables, q, np.array([angle]))[0])
            off_by = abs(value - right) / max(abs(right), average)
            worst["kernel"] = max(worst["kernel"], _ROOM * off_by)
    return {key: float(f"{value:.2g}") for key, value in worst.items()}


def main(names: list[str]) -> None:
    """Write the entries of the named activations."""
    only = "--measure" in names  # tables stay as they are
    names = [name for name in names if name != "--measure"]
    for name in list(catalogue()) if names == ["--all"] else names:
        path, text = DATA / f"{name}.json", None
        if only:
            text = json.loads(path.read_text(encoding="utf-8"))["data"]
        entry = entry_of(name, text)
        DATA.mkdir(exist_ok=True)
        write_text(path, json.dumps(entry, indent=1) + "\n")
        sys.stdout.write(f"{name}: {len(entry['data'])} bytes, {entry['error']}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
