"""The initialisations of one activation that can be recommended at a depth, weighed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array, Estimate, Status
from chione.theory.critical.affine_solutions import AffineSolution, smallest_affine
from chione.theory.critical.criticality import criticality
from chione.theory.critical.edge_of_chaos import edge_errors
from chione.theory.critical.options import option, root_error
from chione.theory.critical.recommendation import Recommendation
from chione.theory.critical.usual_schemes import SCHEMES, scheme_sigmas
from chione.theory.depth.advice_rule import (
    AFFINE_MARGIN,
    CRITICAL_BONUS,
    HOLDS,
    LEAST,
    REFUSED,
    total,
)
from chione.theory.depth.candidates import (
    Candidates,
    Setting,
    critical_starts,
    edge,
    holding,
    joined,
    single,
)
from chione.theory.moments.layer_table import LayerTable
from chione.theory.moments.moments import moments

_CHANGE = "affine change"
_SAME = 1e-6  # relative, of the numbers of two mirror images
_SMALLEST = 2  # shifts that are looked at; with larger ones little is left of the activation


@dataclass(frozen=True)
class Weighed:
    """One pair with its figures.

    Parameters
    ----------
    pair : Candidates
        The pair.
    figures : dict of str to float
        What it is weighed by.
    cost : float
        Their total.
    label : int or str or None
        Number of the critical point, name of the scheme, None on the edge of chaos.
    """

    pair: Candidates
    figures: dict[str, float]
    cost: float
    label: int | str | None = None


class Options:
    """All options of an activation in a setting.

    Parameters
    ----------
    act : AbstractActivation
        The activation.
    setting : Setting
        Depth, width, inputs and weights.
    """

    def __init__(self, act: AbstractActivation, setting: Setting) -> None:
        self.act, self.setting = act, setting
        self.found = criticality(act)
        self.refusal = self.found.reason
        self._table = None if moments(act).slope_is_infinite else LayerTable.of(act)
        if self._table is not None and not self._table.usable:
            self._table = None
        self._schemes = dict[str, Weighed]()
        self._changed = dict[str, AbstractActivation]()
        self._described = dict[tuple[float, float], Recommendation]()
        self._own: list[Weighed] = []
        if self._table is not None:
            self._weigh(self._table)

    def _weigh(self, table: LayerTable) -> None:
        """Critical points, the best of the edge of chaos, and the schemes, in one walk."""
        setting = self.setting
        groups: list[tuple[int | str | None, Candidates]] = [*critical_starts(self.found, setting)]
        line = edge(self.act, table, setting)
        if line.q.size:
            groups.append((None, line))
        else:
            self.refusal += (
                " No point on the edge of chaos has sigma_b^2 >= 0 and holds lengths at this depth."
            )
        for name in SCHEMES:
            sigmas = self._sigmas(name)
            if sigmas is not None:
                groups.append((name, as_it_is(sigmas, setting)))
        many = joined([g for _, g in groups])
        figures = many.figures(table, setting)
        costs, at = total(figures), 0
        for label, group in groups:
            i = at + int(np.argmin(costs[at : at + group.q.size]))
            at += group.q.size
            here = {name: float(d[i]) for name, d in figures.items()}
            w = Weighed(many.one(i), here, float(costs[i]), label)
            if isinstance(label, str):
                self._schemes[label] = w
            elif w.cost <= REFUSED:
                self._own.append(w)
            else:
                self.refusal += _refused(w, setting)
        self._own.sort(key=self._rank)

    def _rank(self, w: Weighed) -> float:
        """Cost, less for a critical point where somebody else may look the sigmas up."""
        known = w.label is not None and not self.setting.scaled
        return w.cost - (CRITICAL_BONUS if known else 0.0)

    def _sigmas(self, name: str) -> tuple[float, float] | None:
        width = self.setting.width
        return scheme_sigmas(name, self.act, fan_in=width, fan_out=width)

    @cached_property
    def own(self) -> list[Recommendation]:
        """Options without a change of the activation, the best first."""
        made = [self._made(w) for w in self._own]
        if made:
            made[0] = self._held(made[0], self._own[0].pair, self._table)
        return made

    def best(self, *, change: bool = True) -> Recommendation | None:
        """The best; an affine change where it may be and is clearly better."""
        own = self.own[0] if self.own else None
        changed = self.changes[0] if change and self.changes else None
        if changed is None or (own is not None and changed.total >= own.total - AFFINE_MARGIN):
            return own
        return changed

    def others(self, best: Recommendation) -> tuple[Recommendation, ...]:
        """The rest, in the order of their totals within each kind."""
        return tuple(o for o in (*self.own, *self.changes) if o is not best)

    def scheme(self, name: str) -> Recommendation | None:
        """A usual scheme; None where it does not cover the activation."""
        sigmas = self._sigmas(name)
        if sigmas is None:
            return None
        made = self._described.get(sigmas)
        if made is None:
            depth, q0 = self.setting.depth, self.setting.start.q0
            made = option(self.act, name, "scheme", *sigmas, depth=depth, q0=q0)
            self._described[sigmas] = made
        made, w = replace(made, name=name), self._schemes.get(name)
        return made if w is None else _told(made, w, self.setting)

    @cached_property
    def changes(self) -> list[Recommendation]:
        """Affine changes that hold at this depth and width, the best first."""
        straight = any(p.universality == "scale-invariant" for p in self.found.points)
        good = bool(self._own) and self._own[0].cost < LEAST + AFFINE_MARGIN
        if self._table is None or straight or good or (self.setting.scaled and self._own):
            return []
        out, refused = [], 0
        for found in smallest_affine(self.act, self.setting.start.q0, _SMALLEST):
            if abs(found.shift) + abs(found.offset) < 1e-3:
                continue  # no more than another sigma_w
            made = self._change(found)
            refused += made is None
            out += [] if made is None else [made]
        if refused and not out:
            self.refusal += (
                " Its affine changes that are critical on paper do not hold over "
                f"{self.setting.depth} layers at width {self.setting.width}: inputs of half or "
                "twice the mean square, or chance, leave the fixed point."
            )
        return _without_mirrors(sorted(out, key=lambda o: o.total))

    def activation_of(self, made: Recommendation) -> AbstractActivation:
        """The activation that an option is meant for."""
        return self._changed.get(made.activation, self.act)

    def _change(self, found: AffineSolution) -> Recommendation | None:
        """An affine change as an option; None where it does not hold."""
        table = LayerTable.of(found.activation)
        if not table.usable:
            return None
        act, setting = found.activation, self.setting
        point = single(found.sigma_w**2, found.sigma_b**2, found.k)
        # the edge of chaos of the changed activation, which holds lengths where the point does not
        many = joined([point, edge(act, table, setting)])
        least = total(many.figures(table, setting, pairs=False)).min()
        if not least <= min(REFUSED, self._own[0].cost if self._own else math.inf):
            return None  # whatever it does to pairs
        figures = many.figures(table, setting)
        i = int(np.argmin(total(figures)))
        here = {name: float(d[i]) for name, d in figures.items()}
        w = Weighed(many.one(i), here, float(total(figures)[i]))
        if w.cost > REFUSED or any(abs(here[k]) > HOLDS[k] for k in ("gradient", "inputs")):
            return None
        words = (
            f"Replace {self.act} by {found.scale:.9g} * {self.act}(x {signed(found.shift)}) "
            f"{signed(found.offset)}: then "
        )
        if i == 0:
            k, status = Estimate(found.k, 0.0), Status.HALF_STABLE
            errors = (0.0, found.errors["sigma_b"])
            made = self._option(act, _CHANGE, "critical", point, k, status, errors)
            words += f"both susceptibilities are 1 at q* = {found.k:g}."
        else:
            made = self._on_the_edge(act, float(w.pair.q[0]), _CHANGE)
            words += (
                f"sigma_w = {made.sigma_w:.6g}, sigma_b = {made.sigma_b:.6g} keep gradients at "
                f"q* = {made.q_star.value:g} (chi_parallel = {made.chi_parallel.value:.3g})."
            )
        self._changed[act.name] = act
        made = _told(replace(made, reason=f"{words} {made.reason}"), w, setting)
        return self._held(made, w.pair, table)

    def _made(self, w: Weighed) -> Recommendation:
        """A candidate in the terms of a recommendation."""
        if not isinstance(w.label, int):
            made = self._on_the_edge(self.act, float(w.pair.q[0]), "edge of chaos")
            return _told(made, w, self.setting)
        p = self.found.points[w.label]
        invariant = p.universality == "scale-invariant"
        made = self._option(
            self.act,
            f"critical point, {p.universality}",
            "critical",
            w.pair,
            p.weight_variance * self.setting.start.q0 if invariant else p.k_star,
            Status.HALF_STABLE if p.universality == "half-stable" else Status.OK,
            (root_error(p.weight_variance), root_error(p.bias_variance)),
        )
        return _told(replace(made, sigma_w=p.sigma_w, sigma_b=p.sigma_b), w, self.setting)

    def _on_the_edge(self, act: AbstractActivation, q: float, name: str) -> Recommendation:
        m = moments(act)
        w2 = 1.0 / m.derivative_square(q)
        b2 = q - w2 * m.square(q)
        return self._option(
            act,
            name,
            "edge of chaos",
            single(float(w2.value), max(float(b2.value), 0.0), q),
            Estimate(q, 0.0),
            Status.OK,
            edge_errors(act, q),
        )

    def _option(
        self,
        act: AbstractActivation,
        name: str,
        kind: str,
        pair: Candidates,
        q_star: Estimate,
        status: Status,
        errors: tuple[float, float],
    ) -> Recommendation:
        return option(
            act,
            name,
            kind,
            math.sqrt(pair.w2[0]),
            math.sqrt(pair.b2[0]),
            depth=self.setting.depth,
            q0=self.setting.start.q0,
            q_star=q_star,
            status=status,
            sigma_errors=errors,
        )

    def _held(
        self, made: Recommendation, pair: Candidates, table: LayerTable | None
    ) -> Recommendation:
        assert table is not None
        width = float(self.setting.width)
        return replace(made, holds={**holding(pair, table, self.setting), "at_width": width})


def as_it_is(sigmas: tuple[float, float], setting: Setting) -> Candidates:
    """A pair that nobody scales the first layer for: lengths start where they start."""
    w2, b2 = sigmas[0] ** 2, sigmas[1] ** 2
    return single(w2, b2, w2 * setting.start.q0 + b2)


def plain_option(
    act: AbstractActivation, name: str, sigmas: tuple[float, float], setting: Setting
) -> Recommendation:
    """A pair that others choose, in the same terms."""
    made = option(act, name, "scheme", *sigmas, depth=setting.depth, q0=setting.start.q0)
    table = None if moments(act).slope_is_infinite else LayerTable.of(act)
    if table is None or not table.usable:
        return made
    return _told(made, weighed(as_it_is(sigmas, setting), table, setting), setting)


def weighed(pair: Candidates, table: LayerTable, setting: Setting) -> Weighed:
    """One pair by itself."""
    figures = pair.figures(table, setting)
    return Weighed(pair, {name: float(d[0]) for name, d in figures.items()}, _only(total(figures)))


def _without_mirrors(sorted_options: list[Recommendation]) -> list[Recommendation]:
    """One of each pair that do the same: phi is odd about a point, and shifted to either side."""
    kept: list[Recommendation] = []
    for o in sorted_options:
        if not any(
            math.isclose(o.sigma_w, k.sigma_w, rel_tol=_SAME)
            and math.isclose(o.sigma_b, k.sigma_b, rel_tol=_SAME, abs_tol=_SAME)
            and math.isclose(o.total, k.total, rel_tol=_SAME)
            for k in kept
        ):
            kept.append(o)
    return kept


def _only(x: Array) -> float:
    return float(x[0])


def _told(made: Recommendation, w: Weighed, setting: Setting) -> Recommendation:
    """The same with what it was weighed by."""
    return replace(
        made,
        weighed=w.figures,
        total=w.cost,
        weights=setting.start.weights,
        first_layer=math.sqrt(_only(w.pair.first(setting) / w.pair.w2)),
    )


def _refused(w: Weighed, setting: Setting) -> str:
    """Why a pair is not even offered."""
    what = "point that lengths stay at" if w.label is not None else "point on the edge of chaos"
    worst = max(w.figures, key=lambda k: abs(w.figures[k]))
    size = f"{w.figures[worst]:+.3g} decades" if math.isfinite(w.figures[worst]) else "all of it"
    return f" Its best {what} costs too much over {setting.depth} layers ({worst}: {size})."


def signed(x: float) -> str:
    """A number with its sign apart, for a formula."""
    return f"{'-' if x < 0 else '+'} {abs(x):.9g}"
