r"""The larger of two Gaussian entries, of two positions or of two maps.

.. math:: \max(u, v) = \tfrac12 (S + |\Delta|), \qquad S = u + v, \quad \Delta = u - v
"""

from __future__ import annotations

import numpy as np

from chione.activations import activation
from chione.networks import Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import apply
from chione.theory.layers.orbits import Index, Orbits, mixed
from chione.theory.layers.rule import Passed, Walker
from chione.theory.layers.stream import Gradient, Law, Stream
from chione.theory.layers.windows import Windows

_SIGNS = ((1.0, 1.0), (1.0, -1.0))


def largest_of_two(stream: Stream, shape: Shape, windows: Windows, walk: Walker) -> Passed:
    """The larger of the two positions that each window reads."""
    reads = windows.sites(stream.inputs)
    orbits = _classes(stream.orbits, reads)
    at = orbits.rows, orbits.columns
    k, d = (x.at(stream.orbits.index) for x in (stream.k, stream.d))
    total, apart = (_combined(k, d, reads, signs, at) for signs in _SIGNS)
    across = Stream(
        shape,
        orbits,
        apart[0],
        apart[1],
        Bounded.exact(np.zeros(len(reads))),
        Bounded.exact(np.zeros(orbits.count)),
        stream.law,
        stream.sources,
    )
    size, same = apply(across, activation("abs"), walk)
    agree = [same.scaled(sign).shifted(1.0).scaled(0.25) for sign in (1.0, -1.0)]
    theta = stream.theta.at(stream.orbits.index)
    after = size.with_(
        k=total[0].plus(size.k).scaled(0.25),
        d=total[1].plus(size.d).scaled(0.25),
        mean=size.mean.scaled(0.5),
        theta=_won(theta, reads, at, agree),
        law=Law(False, "not Gaussian after a maximum"),
    )
    sites = stream.orbits.sites
    old = stream.orbits

    def pullback(g: Gradient) -> Gradient:
        both, mine, theirs = g.orbits.meet(orbits)
        p = [g.p.at(mine).times(a.at(theirs)) for a in agree]
        return _home(both, p, reads, sites, old)

    return after, pullback


def _classes(orbits: Orbits, reads: Index) -> Orbits:
    """Pairs of windows whose four pairs of sites agree, in one order or the other."""
    labels = orbits.labels[orbits.index]
    total = np.zeros((len(reads),) * 2, dtype=np.uint64)
    equal = np.zeros_like(total)
    for i, one in enumerate(reads.T):
        for j, two in enumerate(reads.T):
            part = labels[one[:, None], two[None, :]]
            total += part
            equal += part * np.uint64(1 if i == j else 3)
    # a swap within one window turns the sign of Delta, and with it nothing that is even
    return Orbits.labelled(mixed(total + equal * np.uint64(0x5851F42D4C957F2D)))


def _combined(
    k: Bounded, d: Bounded, reads: Index, signs: tuple[float, float], at: tuple[Index, Index]
) -> tuple[Bounded, Bounded]:
    """K and D of u + v or u - v, pair by pair."""
    one, two = reads[at[0]], reads[at[1]]
    terms = [
        k.at((one[:, i], two[:, j])).scaled(signs[i] * signs[j]) for i in (0, 1) for j in (0, 1)
    ]
    covariance = terms[0].plus(terms[1]).plus(terms[2]).plus(terms[3])
    sites = np.concatenate([one, two], axis=1)  # (pairs, 4)
    weights = np.array([signs[0], signs[1], -signs[0], -signs[1]])
    # the weights of a difference of sums add up to zero: -1/2 sum w_i w_j D_ij
    out = Bounded.exact(np.zeros(len(sites)))
    for i in range(4):
        for j in range(i):
            out = out.plus(d.at((sites[:, i], sites[:, j])).scaled(-weights[i] * weights[j]))
    same = at[0] == at[1]
    value = np.where(same, 0.0, np.maximum(out.value, 0.0))
    return covariance, Bounded(value, np.where(same, 0.0, out.error))


def _won(theta: Bounded, reads: Index, at: tuple[Index, Index], agree: list[Bounded]) -> Bounded:
    """Theta of the winners: each pair of entries by the probability that both win."""
    one, two = reads[at[0]], reads[at[1]]
    out = Bounded.exact(np.zeros(len(one)))
    for i in (0, 1):
        for j in (0, 1):
            chance = agree[0 if i == j else 1]
            out = out.plus(theta.at((one[:, i], two[:, j])).times(chance))
    return out


def _home(orbits: Orbits, p: list[Bounded], reads: Index, sites: int, old: Orbits) -> Gradient:
    """The gradient of both entries of every window."""
    value, error = np.zeros((sites, sites)), np.zeros((sites, sites))
    for i in (0, 1):
        for j in (0, 1):
            part = p[0 if i == j else 1].at(orbits.index)
            where = reads[:, i][:, None], reads[:, j][None, :]
            np.add.at(value, where, part.value)
            np.add.at(error, where, part.error)
    classes = Orbits.apart_all(sites)
    at = classes.rows, classes.columns
    return Gradient(classes, Bounded(value[at], error[at]))
