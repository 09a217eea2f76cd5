"""Free probability: measures, their transforms, and free convolutions."""

from chione.freeprob.classical import (
    Arcsine,
    FreePoisson,
    PointMasses,
    Semicircle,
    bernoulli,
    haar_orthogonal,
    marchenko_pastur,
    point_mass,
)
from chione.freeprob.convolution import FreeProduct, FreeSum, free_product, free_sum
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.square_law import gaussian_square
from chione.freeprob.squares import GaussianSquare

__all__ = [
    "AbstractMeasure",
    "Arcsine",
    "FreePoisson",
    "FreeProduct",
    "FreeSum",
    "GaussianSquare",
    "PointMasses",
    "Semicircle",
    "bernoulli",
    "free_product",
    "free_sum",
    "gaussian_square",
    "haar_orthogonal",
    "marchenko_pastur",
    "point_mass",
]
