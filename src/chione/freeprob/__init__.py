"""Free probability: measures, their transforms, and free convolutions."""

from chione.freeprob.classical import Arcsine, FreePoisson, Semicircle
from chione.freeprob.convolution import FreeProduct, FreeSum
from chione.freeprob.curve import MeasureCurve
from chione.freeprob.density_law import DensityLaw
from chione.freeprob.dilation import Dilated
from chione.freeprob.edges import Edge, edges
from chione.freeprob.factories import (
    arcsine,
    bernoulli,
    empirical,
    free_poisson,
    free_product,
    free_sum,
    from_density,
    from_moments,
    haar_orthogonal,
    marchenko_pastur,
    point_mass,
    semicircle,
    uniform,
)
from chione.freeprob.measure import Measure, as_measure
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.outliers import Outlier, Outliers, Threshold, outliers
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.rectangular import (
    rectangular_cumulants,
    rectangular_product,
    rectangular_sum,
)
from chione.freeprob.rectangular_law import RectangularSum
from chione.freeprob.square_law import gaussian_square
from chione.freeprob.squares import GaussianSquare
from chione.freeprob.tracy_widom import TracyWidom
from chione.freeprob.uniform import Uniform

__all__ = [
    "AbstractMeasure",
    "Arcsine",
    "DensityLaw",
    "Dilated",
    "Edge",
    "FreePoisson",
    "FreeProduct",
    "FreeSum",
    "GaussianSquare",
    "Measure",
    "MeasureCurve",
    "Outlier",
    "Outliers",
    "PointMasses",
    "RectangularSum",
    "Semicircle",
    "Threshold",
    "TracyWidom",
    "Uniform",
    "arcsine",
    "as_measure",
    "bernoulli",
    "edges",
    "empirical",
    "free_poisson",
    "free_product",
    "free_sum",
    "from_density",
    "from_moments",
    "gaussian_square",
    "haar_orthogonal",
    "marchenko_pastur",
    "outliers",
    "point_mass",
    "rectangular_cumulants",
    "rectangular_product",
    "rectangular_sum",
    "semicircle",
    "uniform",
]
