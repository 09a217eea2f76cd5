"""Initialisations that could be recommended, and the figures that they are weighed by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array
from chione.theory.critical.criticality import Criticality
from chione.theory.depth.advice_rule import HOLDS, LEAVING, LEAVING_LAYER, deviation
from chione.theory.depth.weighing import LONGEST, Start, Walked, walk
from chione.theory.moments.growth_profile import own_unit
from chione.theory.moments.layer_table import LayerTable

# Fixed points that are tried on the edge of chaos, two digits each.
_DIGITS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_DECADES = range(-3, 3)
_FURTHER = 4  # times the depth asked for, to see how deep a pair holds
_INPUTS = (1.0, 0.5, 2.0)  # mean squares of the inputs that are followed, in units of q0
_STARTS = np.geomspace(1e-3, 1.0, 13)  # first lengths tried where they fade to 0 or all are kept


@dataclass(frozen=True)
class Setting:
    """What advice is asked for.

    Parameters
    ----------
    depth, width : int
        Size of the network.
    start : Start
        Its inputs and the law of its weights.
    scaled : bool
        Whether the first layer brings inputs to q*; else all layers are equal.
    shortest : float
        Mean square below which lengths are not wanted.
    """

    depth: int
    width: int
    start: Start
    scaled: bool = False
    shortest: float = 0.0


@dataclass(frozen=True)
class Candidates:
    r"""Pairs of one activation, side by side.

    Parameters
    ----------
    w2, b2 : ndarray, shape (n,)
        Variances.
    q : ndarray, shape (n,)
        Where lengths shall start: the fixed point.
    """

    w2: Array
    b2: Array
    q: Array

    def first(self, setting: Setting) -> Array:
        """Variance of the first layer's weights that starts lengths at `q`."""
        with np.errstate(all="ignore"):
            first = (self.q - self.b2) / setting.start.q0
        return np.where(np.isfinite(first) & (first > 0.0), first, self.w2)

    def figures(
        self, table: LayerTable, setting: Setting, *, pairs: bool = True
    ) -> dict[str, Array]:
        """All that is weighed, in decades; see ``advice_rule.WEIGHED``.

        Without `pairs`, which are most of the work, the distance is left out.
        """
        n, start = self.w2.size, setting.start
        scaled = self.first(setting)
        first = scaled if setting.scaled else self.w2
        rows: list[Walked] = []
        many = np.concatenate([first * f for f in _INPUTS])
        # inputs of another length: the same first layer, so its variance times theirs
        w2, b2 = np.tile(self.w2, 3), np.tile(self.b2, 3)
        walked = walk(table, w2, b2, many, setting.depth, start, pairs=pairs)
        rows = [walked.part(slice(i * n, (i + 1) * n)) for i in range(len(_INPUTS))]
        own = rows[0]
        with np.errstate(all="ignore"):
            inputs = np.maximum.reduce(
                [
                    np.maximum(np.abs(r.gradient - own.gradient), np.abs(r.length - own.length))
                    for r in rows[1:]
                ]
            )
            inputs = np.where(np.isnan(inputs), np.inf, inputs)
            chance = np.maximum(own.vertex + 2.0, own.slopes) / setting.width
        return {
            "gradient": own.gradient,
            "weight gradients": own.spread,
            "distance": own.distance,
            "length": own.length,
            "inputs": inputs,
            "output": own.output,
            "first layer": np.log10(scaled) - np.log10(self.w2),
            "fluctuation": deviation(chance),
        }

    def one(self, i: int) -> Candidates:
        """A single one."""
        return Candidates(*(np.atleast_1d(x[i]) for x in (self.w2, self.b2, self.q)))


def edge(act: AbstractActivation, table: LayerTable, setting: Setting) -> Candidates:
    """The edge of chaos at each length that is tried, where sigma_b^2 is not negative.

    Also where lengths leave it, if that comes to little over the depth.
    """
    q = np.array([a * 10.0**k for k in _DECADES for a in _DIGITS]) * own_unit(act)
    m = table.moments(np.log(q))
    with np.errstate(all="ignore"):
        w2 = np.exp(-m[:, 1])
        b2 = q - w2 * np.exp(m[:, 0])
        chi = w2 * np.exp(m[:, 0]) * m[:, 2] / q
        good = np.isfinite(w2) & (b2 >= 1e-6 * q)
        good &= np.log(np.maximum(chi, 1e-3)) <= min(LEAVING_LAYER, LEAVING / setting.depth)
        good &= q >= setting.shortest
    return Candidates(w2[good], b2[good], q[good])


def critical_starts(found: Criticality, setting: Setting) -> list[tuple[int, Candidates]]:
    """Critical points that lengths stay at, by number, with the lengths they could start at."""
    out = []
    for i, p in enumerate(found.points):
        if not p.is_reached:
            continue
        w2, b2 = float(p.weight_variance.value), max(float(p.bias_variance.value), 0.0)
        q = float(p.k_star.value)
        if p.universality == "scale-invariant":
            starts = np.array([setting.start.q0 * (1.0 if setting.scaled else w2)])
        elif q > 0.0 and math.isfinite(q):
            starts = np.array([q])
        else:  # K* = 0: the deeper the network, the smaller lengths have to start
            starts = _STARTS * w2 * setting.start.q0
            if setting.shortest > 0.0:
                continue  # they fade below any
        starts = starts[starts >= setting.shortest]
        if starts.size == 0:
            continue
        out.append((i, Candidates(np.full(starts.size, w2), np.full(starts.size, b2), starts)))
    return out


def joined(groups: list[Candidates]) -> Candidates:
    """All of some groups, in their order."""
    return Candidates(*(np.concatenate([getattr(g, x) for g in groups]) for x in ("w2", "b2", "q")))


def single(w2: float, b2: float, q: float) -> Candidates:
    """One pair."""
    return Candidates(np.array([w2]), np.array([b2]), np.array([q]))


def holding(c: Candidates, table: LayerTable, setting: Setting) -> dict[str, float]:
    """How deep one pair holds at its width (infinite: as far as was looked), and how wide it must
    be at its depth.

    The width is infinite where none helps: what fails then is theory's own figure.
    """
    layers = min(max(_FURTHER * setting.depth, 100), LONGEST)
    past: list[Array] = []
    first = c.first(setting) if setting.scaled else c.w2
    many = np.concatenate([first * f for f in _INPUTS])
    w2, b2 = np.tile(c.w2, 3), np.tile(c.b2, 3)
    walk(table, w2, b2, many, layers, setting.start, past, pairs=False)
    gradient, length, vertex, slopes = np.moveaxis(np.array(past), 1, 0)
    with np.errstate(all="ignore"):
        drift = np.maximum(np.abs(gradient - gradient[:, :1]), np.abs(length - length[:, :1]))
        chance = np.maximum(vertex[:, 0] + 2.0, slopes[:, 0])
        theory = (np.abs(gradient[:, 0]) <= HOLDS["gradient"]) & (
            drift.max(axis=1) <= HOLDS["inputs"]
        )
        good = theory & (deviation(chance / setting.width) <= HOLDS["fluctuation"])
    at = min(setting.depth, layers) - 1
    wide = math.inf
    if theory[at]:
        limit = (HOLDS["fluctuation"] * math.log(10.0)) ** 2
        wide = math.ceil(max(float(chance[at]), 0.0) / limit * (setting.depth / (at + 1)))
    return {"depth": math.inf if good.all() else float(np.argmin(good)), "width": float(wide)}
