"""Free sums, products and powers of laws: by subordination, or by moments where they are all."""

from __future__ import annotations

import numpy as np

from chione.freeprob import convolution
from chione.freeprob.dilation import dilated
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.moment_law import product_of_moments, sum_of_moments
from chione.freeprob.point_masses import PointMasses


def total(*laws: AbstractMeasure) -> AbstractMeasure:
    """Free sum."""
    if all(law.is_determined for law in laws):
        whole = convolution.free_sum(*laws)
        # constants alone are one: a product takes it as its dilation, not as a law
        return whole if whole.system.laws else PointMasses((whole.constant,), (1.0,))
    return sum_of_moments(laws, (1.0,) * len(laws))


def product(*laws: AbstractMeasure) -> AbstractMeasure:
    """Free product."""
    if all(law.is_determined for law in laws):
        whole = convolution.free_product(*laws)
        if whole.system.laws:
            return whole
        return PointMasses((float(np.exp(whole.log_constant)),), (1.0,))
    return product_of_moments(laws, (1.0,) * len(laws))


def additive_power(law: AbstractMeasure, t: float) -> AbstractMeasure:
    """Free additive power."""
    if law.is_determined:
        return convolution.FreePower(law, t).answer
    return sum_of_moments((law,), (t,))


def multiplicative_power(law: AbstractMeasure, t: float) -> AbstractMeasure:
    """Free multiplicative power."""
    if law.is_determined:
        return convolution.FreeMultiplicativePower(law, t).answer
    return product_of_moments((law,), (t,))


def compression(law: AbstractMeasure, alpha: float) -> AbstractMeasure:
    """Free compression to a share alpha."""
    if law.is_determined:
        return convolution.FreeCompression(law, alpha).answer
    return dilated(sum_of_moments((law,), (1.0 / alpha,)), alpha, 0.0)
