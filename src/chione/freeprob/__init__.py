"""Free probability: measures, their transforms, and free convolutions.

Which file holds which formula. What is exported here is the door; the rest is inside.

What a measure answers
    measures (every law: G, M, E log(z - t), moments), readings (the same with errors and statuses),
    measure (operators and powers), factories (named measures), naming (names in words), grammar
    (formulas as text), answers (arrays into Estimates), curve, quantiles.
Laws in closed form
    classical (semicircle, free Poisson, arcsine), uniform, point_masses (atoms, with plain_sums),
    dilation (a t + b), resized (A A^T into A^T A, t into t^2), tracy_widom.
Laws from a density or from moments
    density_law, density_build, density_pieces, cauchy (integrals of u^a p(u) / (z - u));
    moment_law and jacobi (what finitely many moments determine).
The law of v(h)^2 for a Gaussian h
    squares (G by quadrature with the poles taken out), square_law (how it is built), pieces,
    poles, near_logs (E log beside a pole), branches (density), waves (many turning points),
    stretches, spread.
Transforms and series
    transforms (R and S), inverses (of G, M, R, S), series (moments, cumulants, coefficients),
    cumulants, contour (moments by a contour).
Free sums, products, powers
    convolution (the door), free_sum, free_product, free_power (mu^{boxplus t}, mu^{boxtimes t},
    compression), combine (which way is taken), summands, subordination (sum of omega = z + (n-1)/G,
    followed along the axis), charts (z for sums, log z for products), solved.
Support, edges, outliers
    gaps and arcs (support), edges and local_form (exponents, Tracy-Widom scale), spiked and
    outliers (spikes that leave the bulk).
Rectangular matrices
    rectangular (sums and products), rectangular_law, rectangular_system, rectangular_series
    (rectangular cumulants).
"""

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
