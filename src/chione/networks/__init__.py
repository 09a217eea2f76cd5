"""Networks as plain data: frozen descriptions without mathematics."""

from chione.networks.layers import WEIGHT_LAWS, AbstractLayer, Dense, Nonlinearity, Weights
from chione.networks.mlp import MLP, as_network

__all__ = ["MLP", "WEIGHT_LAWS", "AbstractLayer", "Dense", "Nonlinearity", "Weights", "as_network"]
