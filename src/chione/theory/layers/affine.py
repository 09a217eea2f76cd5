r"""Fresh weights: what every kind of weight matrix shares.

.. math:: K' = g\,\Sigma(K) + \sigma_b^2, \quad D' = g\,\Sigma(D), \quad m' = 0, \quad
   \Theta' = g\,\Sigma(\Theta) + K', \quad P = \frac{n_{out}}{n_{in}}\,g\,\Sigma^*(P')

with the sum :math:`\Sigma` over the taps (the identity for a dense layer) and the gain
:math:`g = n_{in} \mathrm{Var} W`. By the central limit the channels are Gaussian again.
"""

from __future__ import annotations

from chione.networks import Shape
from chione.theory.layers.rule import Passed
from chione.theory.layers.stream import GAUSSIAN, Gradient, Law, Stream, gaussian_stream
from chione.theory.layers.windows import Together, Windows


def fresh(
    stream: Stream, shape: Shape, gain: float, sigma_b: float, windows: Windows | None = None
) -> Passed:
    """Through a weight matrix of that gain, over the taps of `windows` where there are some."""
    orbits, k, d, theta = stream.orbits, stream.k, stream.d, stream.theta
    if windows is not None:
        taps = Together.of(orbits, windows, stream.inputs)
        orbits = taps.orbits
        k, d = taps.covariance(stream.k), taps.distance(stream.k, stream.d)
        theta = taps.covariance(stream.theta)
    k = k.scaled(gain).shifted(sigma_b**2)
    law = Law(True, random=stream.law.random) if stream.law.random else GAUSSIAN
    d, theta = d.scaled(gain), theta.scaled(gain).plus(k)
    after = gaussian_stream(shape, orbits, k, d, theta, law)
    ratio, inputs = shape.width / stream.shape.width, stream.inputs

    def pullback(g: Gradient) -> Gradient:
        if windows is None:
            return Gradient(g.orbits, g.p.scaled(ratio * gain))
        home = Together.of(g.orbits, windows.adjoint, inputs)
        return Gradient(home.orbits, home.covariance(g.p).scaled(ratio * gain))

    return after, pullback
