r"""Dense layers.

.. math:: K' = \sigma_w^2 K + \sigma_b^2, \quad m' = 0, \quad
   P = \frac{n_{out}}{n_{in}}\,\sigma_w^2 P', \quad \Theta' = \sigma_w^2 \Theta + K'

All laws of weights share their second moment, and with it these maps. Rows of fixed norm
(weight_norm) change nothing in the limit. Divided by its largest singular value
:math:`\sigma\,(1 + \sqrt{n_{out} / n_{in}})` (Marchenko and Pastur 1967) a matrix keeps

.. math:: \sigma_{w,\text{eff}}^2 = \sigma_w^2 / (1 + \sqrt{n_{out} / n_{in}})^2 .
"""

from __future__ import annotations

import math

from chione.networks import Dense, Shape
from chione.theory.layers.affine import fresh
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Stream


@forward.register
def dense(layer: Dense, stream: Stream, walk: Walker) -> Passed:
    """Through a dense layer, at every position alike."""
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    gain = layer.sigma_w**2
    if layer.form == "spectral_norm":
        gain /= (1.0 + math.sqrt(shape.width / stream.shape.width)) ** 2
    return fresh(stream, shape, gain, layer.sigma_b)
