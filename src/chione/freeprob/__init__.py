"""Free probability: measures, their transforms, and free convolutions."""

from chione.freeprob.classical import Arcsine, FreePoisson, Semicircle
from chione.freeprob.convolution import FreeProduct, FreeSum
from chione.freeprob.dilation import Dilated
from chione.freeprob.factories import (
    arcsine,
    bernoulli,
    empirical,
    free_poisson,
    haar_orthogonal,
    marchenko_pastur,
    point_mass,
    semicircle,
)
from chione.freeprob.measure import Measure, as_measure, free_product, free_sum
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.square_law import gaussian_square
from chione.freeprob.squares import GaussianSquare

__all__ = [
    "AbstractMeasure",
    "Arcsine",
    "Dilated",
    "FreePoisson",
    "FreeProduct",
    "FreeSum",
    "GaussianSquare",
    "Measure",
    "PointMasses",
    "Semicircle",
    "arcsine",
    "as_measure",
    "bernoulli",
    "empirical",
    "free_poisson",
    "free_product",
    "free_sum",
    "gaussian_square",
    "haar_orthogonal",
    "marchenko_pastur",
    "point_mass",
    "semicircle",
]
