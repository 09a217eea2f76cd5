"""Gaussian expectations in one and two variables, Hermite expansions, tables in log q."""

from chione.gaussian.bivariate import bivariate
from chione.gaussian.expectation import Integrator, expectation, gaussian_nodes
from chione.gaussian.hermite import HermiteExpansion, hermite_expansion
from chione.gaussian.tables import Table

__all__ = [
    "HermiteExpansion",
    "Integrator",
    "Table",
    "bivariate",
    "expectation",
    "gaussian_nodes",
    "hermite_expansion",
]
