"""Finite networks, sampled: plain linear algebra, no theory and no quadrature."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chione.simulation.ensemble import NAMES, simulate
from chione.simulation.gaussian_limit import GaussianLimit, gaussian_limit
from chione.simulation.geometry import CurveGeometry, great_circle
from chione.simulation.inputs import correlated_inputs, input_pair
from chione.simulation.network_result import NetworkSimulation, SimulatedRow
from chione.simulation.observables import OBSERVABLES
from chione.simulation.result import SimulationResult

# What layer kinds need is imported when it is first asked for: plain networks do without it.
if TYPE_CHECKING:
    from chione.simulation.networks import simulate_network

_LATE = {
    "simulate_network": "chione.simulation.networks",
}

__all__ = [
    "NAMES",
    "OBSERVABLES",
    "CurveGeometry",
    "GaussianLimit",
    "NetworkSimulation",
    "SimulatedRow",
    "SimulationResult",
    "correlated_inputs",
    "gaussian_limit",
    "great_circle",
    "input_pair",
    "simulate",
    "simulate_network",
]


def __getattr__(name: str) -> Any:
    """A public name of the layer kinds, imported now."""
    if name not in _LATE:
        raise AttributeError(f"module 'chione.simulation' has no attribute {name!r}")
    found = getattr(import_module(_LATE[name]), name)
    globals()[name] = found
    return found
