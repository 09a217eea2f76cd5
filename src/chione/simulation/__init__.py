"""Finite networks, sampled: plain linear algebra, no theory and no quadrature."""

from chione.simulation.ensemble import simulate
from chione.simulation.inputs import correlated_inputs, input_pair
from chione.simulation.result import SimulationResult

__all__ = ["SimulationResult", "correlated_inputs", "input_pair", "simulate"]
