r"""How far features move in the first step of training, layer by layer.

A step on one example changes the pre-activations of layer l by

.. math:: dh^l = -\bigl(B_l\,g^l + c_l \operatorname{sign} g^l\bigr) + \gamma_l\,\xi, \qquad
   g^l = \frac{\partial L}{\partial h^l}, \quad P_l = \tfrac1{n_l} |g^l|^2

with :math:`\xi` independent N(0, 1). With :math:`g^l = \phi'(h^l)\,y`, y ~ N(0, s^2), moments
:math:`m_k = E |\phi'|^k` and :math:`E|y| = s \sqrt{2 / \pi}`

.. math:: S = B m_2 s^2 + c\,m_1 E|y|, \qquad
   Q = B^2 m_4 s^2 + 2 B c\,m_3 E|y| + (c^2 + \gamma^2) m_2

.. math:: B' = k + \frac{n S}{n' P'}, \qquad \gamma'^2 = \sigma_w^2 Q

since W x has a part along g' and one that is fresh. The layer's own part is, for SGD of learning
rate :math:`\eta`, :math:`k = \eta_W\,n\,E x^2 + \eta_b` (rates of weights and biases; in the NTK
parametrisation :math:`\eta\,(\sigma_w^2 E x^2 + \sigma_b^2)`), and for Adam, whose first step has
the size :math:`\eta` in each parameter, k = 0 and :math:`c' = \eta\,(n\,E|x| + 1)`. Then

.. math:: \tfrac1n |dh|^2 = B^2 P + 2 B c\,E|g| + c^2\,P(g \ne 0) + \gamma^2

For SGD this is :math:`\eta^2 P\,T_2` with B = eta Theta and :math:`T_2 = \operatorname{tr} M^2 / n`
of the tangent kernel matrix M of all channels, which is larger than :math:`\Theta^2`:

.. math:: T_2' = (k + \sigma_w^2 m_2 \Theta)^2
   + \sigma_w^4 \tfrac{n'}{n} \bigl[m_4 \Theta^2 + m_2^2 (T_2 - \Theta^2)\bigr]

A residual block :math:`h' = a h + b f(h)` gives :math:`B' = a^2 B + b^2 B_f` and
:math:`\gamma'^2 = a^2 (\gamma^2 + B^2 P_f) + b^2 \gamma_f^2`, where the branch, whose gradient has
mean square :math:`P_f` at its start, begins with B and :math:`\gamma^2 + a^2 B^2 P'` (SGD alone).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array, UnsupportedLayerError
from chione.gaussian import expectation
from chione.networks import (
    AbstractLayer,
    Dense,
    Layers,
    Nonlinearity,
    Norm,
    Repeat,
    Residual,
    Scale,
)
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.stream import Stream

ZERO, _ONE = Bounded.exact(0.0), Bounded.exact(1.0)
_ABS = Bounded.rounded(math.sqrt(2.0 / math.pi))  # E |z|
_CHANNELWISE = (Nonlinearity, Scale, Norm)
Item: TypeAlias = tuple[str, AbstractLayer]


def items_of(layers: Layers, place: str) -> Iterator[Item]:
    """Places and layers one after the other, repetitions unfolded."""
    for i, layer in enumerate(layers):
        here = f"{place}[{i}]"
        if isinstance(layer, Repeat):
            for number in range(layer.times):
                yield from items_of(layer.layers, f"{here}#{number}.layers")
        else:
            yield here, layer


@dataclass(frozen=True)
class Change:
    """dx = -(along g + sign sign(g)) + xi, with the mean square of xi."""

    along: Bounded
    sign: Bounded
    rest: Bounded


@dataclass(frozen=True)
class _Run:
    """Channelwise layers in a row, with the derivative D: g = D y at their start.

    Parameters
    ----------
    slopes : tuple of Bounded
        P(D != 0) and E|D|^k, k = 1 to 4.
    nonlinear : AbstractActivation or None
        The activation among them.
    absolute : Bounded
        E|x| behind them.
    factors : tuple of Bounded
        What x has been multiplied by behind each of those in front of the activation.
    """

    slopes: tuple[Bounded, ...] = (_ONE,) * 5
    nonlinear: AbstractActivation | None = None
    absolute: Bounded = ZERO
    factors: tuple[Bounded, ...] = ()

    def scaled(self, factor: Bounded) -> _Run:
        """With D and x times a number above zero."""
        power, scaled = _ONE, [self.slopes[0]]
        for m in self.slopes[1:]:
            power = power.times(factor)
            scaled.append(m.times(power))
        return replace(self, slopes=tuple(scaled), absolute=self.absolute.times(factor))

    def square(self, change: Change, y2: Bounded) -> Bounded:
        """Mean square Q of the change behind them, for y of mean square y2."""
        _, _, m2, m3, m4 = self.slopes
        b, c = change.along, change.sign
        out = b.times(b).times(m4).times(y2)
        out = out.plus(b.times(c).times(m3).times(_mean_abs(y2)).scaled(2.0))
        return out.plus(c.times(c).plus(change.rest).times(m2))

    def square_before(self, change: Change, y2: Bounded) -> Bounded:
        """Mean square of the change in front of them."""
        alive, m1, m2, _, _ = self.slopes  # the sign of a gradient that is zero is zero
        b, c = change.along, change.sign
        out = b.times(b).times(m2).times(y2).plus(c.times(c).times(alive)).plus(change.rest)
        return out.plus(b.times(c).times(m1).times(_mean_abs(y2)).scaled(2.0))

    def overlap(self, change: Change, y2: Bounded) -> Bounded:
        """S, the mean of -g dx."""
        _, m1, m2, _, _ = self.slopes
        out = change.along.times(m2).times(y2)
        return out.plus(change.sign.times(m1).times(_mean_abs(y2)))


def _mean_abs(square: Bounded) -> Bounded:
    return square.sqrt().times(_ABS)


class Steps:
    """The recursion through layers.

    Parameters
    ----------
    rate : float
        Learning rate.
    adam, ntk : bool
        The optimizer and the parametrisation.
    streams : dict of str to Stream
        What passes each place.
    gradients : dict of str to Bounded
        P at each place.

    Attributes
    ----------
    squares : dict of str to Bounded
        Mean square of the change at each place.
    """

    def __init__(
        self,
        rate: float,
        adam: bool,
        ntk: bool,
        streams: dict[str, Stream],
        gradients: dict[str, Bounded],
    ) -> None:
        self._rate, self._adam, self._ntk = rate, adam, ntk
        self._streams, self._p = streams, gradients
        self.squares: dict[str, Bounded] = {}

    def through(
        self, items: list[Item], change: Change, site: str, p: Bounded, *, inside: bool = False
    ) -> Change:
        """Layers one after the other, from a site where the gradient has mean square `p`."""
        i = 0
        while True:
            end = i
            while end < len(items) and isinstance(items[end][1], _CHANNELWISE):
                end += 1
            run, y2 = self._run(items[i:end], change, site, p)
            square = run.square_before(change, y2)
            if not (inside and i == 0):
                self.squares[site] = square
            for factor, (place, _) in zip(run.factors, items[i:end], strict=False):
                self.squares[place] = square.times(factor).times(factor)
            site = items[end - 1][0] if end > i else site
            if end == len(items):
                return change
            place, layer = items[end]
            if isinstance(layer, Dense):
                change = self._dense(place, layer, change, run, (site, y2))
            elif isinstance(layer, Residual) and run.nonlinear is None:
                change = self._residual(place, layer, _scaled(change, run), (site, y2))
            else:
                raise _unknown(place, layer)
            site, p, i = place, self._p[place], end + 1

    def _run(
        self, items: list[Item], change: Change, site: str, p: Bounded
    ) -> tuple[_Run, Bounded]:
        """Channelwise layers in a row, and the mean square of y behind them."""
        run, before = _Run(absolute=_mean_abs(self._streams[site].k.at(0))), self._streams[site]
        for place, layer in items:
            after = self._streams[place]
            if isinstance(layer, Nonlinearity):
                if run.nonlinear is not None:
                    raise _unknown(place, layer, " behind another one")
                scale = run.slopes[1]
                made = _activated(layer.activation, before.k.at(0))
                run = replace(made.scaled(scale), absolute=made.absolute, factors=run.factors)
            else:
                run = run.scaled(_factor(layer, before, place))
                if run.nonlinear is None:
                    run = replace(run, factors=(*run.factors, run.slopes[1]))
            p, before = self._p[place], after
            if run.nonlinear is not None:
                self.squares[place] = run.square(change, p)
        return run, p

    def _dense(
        self, place: str, layer: Dense, change: Change, run: _Run, behind: tuple[str, Bounded]
    ) -> Change:
        if layer.weights in ("orthogonal", "delta") or layer.form != "plain":
            raise _unknown(place, layer, f" of {layer.weights} weights, {layer.form}")
        site, y2 = behind
        x, p = self._streams[site], self._p[place]
        n, biased = x.shape.width, layer.sigma_b > 0.0
        ratio = n / self._streams[place].shape.width
        along = run.overlap(change, y2).scaled(ratio).over(p)
        own = ZERO
        if self._adam:
            scale = layer.sigma_w / math.sqrt(n) if self._ntk else 1.0
            bias = layer.sigma_b if self._ntk else float(biased)
            own = run.absolute.scaled(n * scale).shifted(bias).scaled(self._rate)
        else:
            scale = layer.sigma_w**2 / n if self._ntk else 1.0
            bias = layer.sigma_b**2 if self._ntk else float(biased)
            k = x.k.at(0).scaled(n * scale).shifted(bias).scaled(self._rate)
            along = along.plus(k)
        return Change(along, own, run.square(change, y2).scaled(layer.sigma_w**2))

    def _residual(
        self, place: str, layer: Residual, change: Change, behind: tuple[str, Bounded]
    ) -> Change:
        if self._adam:
            raise _unknown(place, layer, " under Adam")
        branch = [
            (f"{place}.branch{at.removeprefix('branch')}", inner)
            for at, inner in items_of(layer.branch, "branch")
        ]
        if layer.shortcut or not branch or not isinstance(branch[-1][1], Dense):
            raise _unknown(place, layer, " whose branch does not end in a dense layer")
        site, before = behind
        a2, b2, p = layer.skip**2, layer.scale**2, self._p[place]
        at_branch = before.minus(p.scaled(a2))
        squared = change.along.times(change.along)
        inside = replace(change, rest=change.rest.plus(squared.times(p).scaled(a2)))
        made = self.through(branch, inside, site, at_branch, inside=True)
        rest = change.rest.plus(squared.times(at_branch)).scaled(a2)
        return Change(
            change.along.scaled(a2).plus(made.along.scaled(b2)),
            ZERO,
            rest.plus(made.rest.scaled(b2)),
        )


def _scaled(change: Change, run: _Run) -> Change:
    """Behind a constant factor f: dx is f times that before, and g is 1 / f times that."""
    one, two = run.slopes[1:3]
    return Change(change.along.times(two), change.sign.times(one), change.rest.times(two))


def _activated(act: AbstractActivation, q: Bounded) -> _Run:
    """Moments of an activation's slope, and of its size, at u ~ N(0, q)."""

    def slope(h: Array) -> Array:
        return np.abs(act.derivative(h))

    def mean(f: Any, power: int) -> Bounded:
        found = expectation(f, float(q.value), breakpoints=act.kinks, power=power)
        moved = 8.0 * abs(float(found.value)) * float(q.error) / max(float(q.value), 1e-300)
        return Bounded(np.asarray(found.value), np.asarray(found.error) + moved)

    alive = mean(lambda h: (act.derivative(h) != 0.0).astype(np.float64), 1)
    slopes = alive, *(mean(slope, power) for power in (1, 2, 3, 4))
    return _Run(slopes, act, mean(lambda h: np.abs(act.value(h)), 1))


def _factor(layer: AbstractLayer, x: Stream, place: str) -> Bounded:
    """What a layer without a shape of its own multiplies by."""
    if isinstance(layer, Scale):
        return Bounded.exact(abs(layer.factor))
    if isinstance(layer, Norm) and layer.form in ("layer", "rms") and layer.bias == 0.0:
        if not x.law.gaussian:
            raise _unknown(place, layer, f" of channels that are {x.law.reason}")
        return Bounded.exact(abs(layer.gain)).over(x.k.at(0).shifted(layer.eps).sqrt())
    raise _unknown(place, layer)


def _unknown(place: str, layer: AbstractLayer, how: str = "") -> UnsupportedLayerError:
    return UnsupportedLayerError(
        f"{place}: the size of a feature update is not known through a {layer.word}{how}; it is "
        f"through dense layers, nonlinearities, scales, layer and rms norms of Gaussian channels "
        f"and, for SGD, residual blocks of these. Take the step itself, with "
        f"chione.torch.parametrization or by hand."
    )
