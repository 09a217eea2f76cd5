"""Finite networks, sampled: plain linear algebra, no theory and no quadrature."""

from chione.simulation.ensemble import NAMES, simulate
from chione.simulation.gaussian_limit import GaussianLimit, gaussian_limit
from chione.simulation.geometry import CurveGeometry, great_circle
from chione.simulation.inputs import correlated_inputs, input_pair
from chione.simulation.network_result import NetworkSimulation, SimulatedRow
from chione.simulation.networks import simulate_network
from chione.simulation.observables import OBSERVABLES
from chione.simulation.result import SimulationResult

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
