"""A described network place by place: theory as lines, a simulated twin as points."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from chione.base import Array, Estimate
from chione.plotting.depth import wants_log
from chione.plotting.panels import Panel, Picture, assemble
from chione.plotting.style import BLUE, GREY, VERMILLION
from chione.theory.layers.network_theory import NetworkTheory

_WORDS = {
    "q": "mean square $q$",
    "c": "correlation $c$ of two inputs",
    "gradient": "mean-square gradient",
}
_TITLES = {"q": "Lengths", "c": "Correlation of two inputs", "gradient": "Gradient"}
_MOST_NAMES = 24


def network_picture(theory: NetworkTheory, simulated: Mapping[str, Array] | None = None) -> Picture:
    """One panel each for q, c and the gradient."""
    twins = simulated or {}
    return Picture(
        {
            name: Panel(partial(_draw, theory=theory, name=name, twin=twins.get(name)), (4.4, 3.4))
            for name in _WORDS
        }
    )


def network_figure(
    theory: NetworkTheory,
    simulated: Mapping[str, Array] | None = None,
    *,
    ax: Axes | None = None,
    field: str | None = None,
) -> Figure:
    """The picture as a figure, or one of its panels on given axes."""
    return assemble(network_picture(theory, simulated), ax=ax, field=field)


def _draw(ax: Axes, theory: NetworkTheory, name: str, twin: Array | None) -> None:
    found: Estimate = getattr(theory, name)
    kinds = np.array(theory.kinds)
    # of a long network only what stands between its outermost layers
    shown = np.ones(len(kinds), bool) if len(kinds) <= _MOST_NAMES else _outer(theory.places)
    value, error = np.asarray(found.value)[shown], np.asarray(found.error)[shown]
    x, known = np.arange(len(value)), np.isfinite(value)
    low, high = (value - error)[known], (value + error)[known]
    ax.plot(x[known], value[known], "-o", ms=3, color=BLUE, lw=1.2, label="infinite width")
    ax.fill_between(x[known], low, high, color=BLUE, alpha=0.2, lw=0)
    rules = np.array(theory.rules)[shown]
    for law, mark in (("measured", "s"), ("population", "D"), ("sampled heads", "^")):
        here = known & (rules == law)
        if here.any():
            ax.plot(x[here], value[here], mark, ms=4, color=GREY, label=law)
    if twin is not None and np.isfinite(twin).any():
        at, spread = twin[shown, 0], np.nan_to_num(twin[shown, 1])
        ax.errorbar(x, at, yerr=spread, fmt=".", ms=4, lw=0.8, color=VERMILLION, label="simulated")
    if name != "c" and wants_log(value[known]):
        ax.set_yscale("log")
    if len(x) <= _MOST_NAMES:
        ax.set_xticks(x, _numbered(kinds[shown].tolist()), rotation=90, fontsize=7)
    else:
        ax.set_xlabel("outermost step")
    ax.set_ylabel(_WORDS[name])
    ax.set_title(_TITLES[name])
    ax.legend()


def _numbered(kinds: list[str]) -> list[str]:
    """Kinds with their number where there are several in a row of places."""
    seen: dict[str, int] = {}
    out = []
    for kind in kinds:
        seen[kind] = seen.get(kind, 0) + 1
        out.append(f"{kind} {seen[kind]}" if kinds.count(kind) > 1 else kind)
    return out


def _outer(places: tuple[str, ...]) -> NDArray[np.bool_]:
    """Rows that lie in no other one, the last repetition of a block once."""
    whole = {place.split("#")[0] for place in places if "#" in place}
    return np.array(["." not in place and place not in whole for place in places])
