"""Free additive and free multiplicative convolution of any number of laws."""

from __future__ import annotations

from chione.freeprob.free_power import FreeCompression, FreeMultiplicativePower, FreePower
from chione.freeprob.free_product import FreeProduct
from chione.freeprob.free_sum import FreeSum
from chione.freeprob.measures import AbstractMeasure

__all__ = [
    "FreeCompression",
    "FreeMultiplicativePower",
    "FreePower",
    "FreeProduct",
    "FreeSum",
    "free_product",
    "free_sum",
]


def free_sum(*laws: AbstractMeasure) -> FreeSum:
    """Law of the sum of free variables with these laws."""
    return FreeSum(laws)


def free_product(*laws: AbstractMeasure) -> FreeProduct:
    """Law of the product (in symmetric form) of free positive variables with these laws."""
    return FreeProduct(laws)
