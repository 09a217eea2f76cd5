r"""Batch normalisation over an infinite batch of inputs of equal length and correlation.

.. math:: K'_{ab} = g^2\,\frac{K_{ab} - \kappa}{q - \kappa + \epsilon} + b^2, \qquad
   P = g^2\,\frac{P'}{q - \kappa + \epsilon} \text{ on the diagonal, else } 0

with :math:`\kappa` the covariance of two different inputs. The mean over the batch is the part
that all inputs share, a constant of the channel, and the variance around it is
:math:`q - \kappa` in every channel; so the channels stay Gaussian. What the norm takes from the
gradient, its mean over the batch and its part along y, is the common part, which is zero for
independent cotangents from then on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from chione.base import EPS
from chione.networks import AbstractLayer, Layers, Norm, Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import gaussian
from chione.theory.layers.rule import Passed, Walker, forward, unclosed
from chione.theory.layers.stream import Gradient, Stream


@final
@dataclass(frozen=True)
class LargeBatch(AbstractLayer):
    """A batch norm whose batch is infinite; inputs 2 i and 2 i + 1 stand for any two of it.

    Parameters
    ----------
    norm : Norm
        The norm.
    """

    norm: Norm

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape


@forward.register
def large_batch(layer: LargeBatch, stream: Stream, walk: Walker) -> Passed:
    """Through the norm."""
    gaussian(stream, walk)
    orbits, gain2 = stream.orbits, layer.norm.gain**2
    n, p = orbits.sites, stream.positions
    site = np.arange(n)
    partner = (site // p ^ 1) * p + site % p
    # q - k is half the distance, which is exact where the inputs are close
    spread = stream.d.at(orbits.index[site, partner]).scaled(0.5)
    divisor = spread.shifted(layer.norm.eps)
    if not np.all(divisor.value > 0.0):
        raise unclosed(walk, "this norm", "the variance over the batch is zero")
    share = spread.over(divisor).scaled(gain2).at(orbits.rows)
    apart = orbits.index[site, partner][orbits.rows] == np.arange(orbits.count)
    zero = Bounded.exact(np.zeros(orbits.count))
    k = Bounded(*(np.where(apart, 0.0, x) for x in share))
    if layer.norm.eps == 0.0:
        k = Bounded(np.where(apart, 0.0, gain2), np.where(apart, 0.0, EPS * gain2))
    d = Bounded(*(np.where(apart, 2.0 * x, 0.0) for x in (k.at(orbits.one))))
    one = Bounded.exact(np.full(n, gain2)).over(divisor).at(orbits.rows)
    factor = Bounded(*(np.where(apart, 0.0, x) for x in one))
    after = stream.with_(
        k=k.shifted(layer.norm.bias**2),
        d=d,
        mean=Bounded.exact(np.zeros(n)),
        theta=zero if not np.any(stream.theta.value) else stream.theta.times(factor),
    )

    def pullback(g: Gradient) -> Gradient:
        return g.times(orbits, factor)

    return after, pullback


def with_large_batches(layers: Layers) -> Layers:
    """The layers with every batch norm over an infinite batch."""
    return tuple(_with_large_batch(layer) for layer in layers)


def _with_large_batch(layer: AbstractLayer) -> AbstractLayer:
    if isinstance(layer, Norm):
        return LargeBatch(layer) if layer.form == "batch" else layer
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(layer):  # type: ignore[arg-type]  # kinds are dataclasses
        value, role = getattr(layer, field.name), field.metadata.get("role")
        if role == "layers":
            changes[field.name] = with_large_batches(value)
        elif role == "branches":
            changes[field.name] = tuple(with_large_batches(branch) for branch in value)
    return dataclasses.replace(layer, **changes) if changes else layer  # type: ignore[type-var]


def has_batch_norm(layers: Layers) -> bool:
    """Whether a batch norm stands anywhere among the layers."""
    return any(
        (isinstance(layer, Norm) and layer.form == "batch")
        or any(has_batch_norm(inner) for _, inner in layer.inner())
        for layer in layers
    )
