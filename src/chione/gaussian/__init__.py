"""Gaussian expectations in one and two variables, Hermite expansions, tables in log q."""

from chione.gaussian.expectation import Integrator, expectation, gaussian_nodes

__all__ = ["Integrator", "expectation", "gaussian_nodes"]
