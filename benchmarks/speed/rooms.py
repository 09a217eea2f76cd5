"""All cases, by room."""

from __future__ import annotations

from benchmarks.speed import (
    commands,
    diagrams,
    expectations,
    free,
    kernels,
    maps,
    moments,
    simulation,
    spectra,
)
from benchmarks.speed.case import Case

ROOMS: dict[str, tuple[str, list[Case]]] = {
    "kernels": ("Kernels of infinitely wide networks", kernels.CASES),
    "maps": ("Maps of two inputs", maps.CASES),
    "moments": ("Moments of arrays of lengths", moments.CASES),
    "expectations": ("Single Gaussian expectations", expectations.CASES),
    "diagrams": ("Fixed points and phase diagrams", diagrams.CASES),
    "commands": ("The command line, whole processes", commands.CASES),
    "spectra": ("Jacobian spectra", spectra.CASES),
    "free": ("Free sums and products", free.CASES),
    "simulation": ("Simulated networks", simulation.CASES),
}
"""Name -> title and cases."""


def chosen(only: list[str]) -> dict[str, list[Case]]:
    """Cases whose name or room contains one of the words; all, if there are none."""

    def wanted(room: str, case: Case) -> bool:
        return not only or any(word in (room, case.name) or word in case.name for word in only)

    found = {room: [c for c in cases if wanted(room, c)] for room, (_, cases) in ROOMS.items()}
    return {room: cases for room, cases in found.items() if cases}


def names() -> list[str]:
    """Names of all cases, in the order of the page."""
    return [c.name for _, cases in ROOMS.values() for c in cases]


def case(name: str) -> Case:
    """The case of that name."""
    return next(c for _, cases in ROOMS.values() for c in cases if c.name == name)
