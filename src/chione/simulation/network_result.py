"""What a simulation of a described network returns: second moments at every place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from chione.base import AbstractResult, Array, SpecError, page_width, plain, result, text_table
from chione.base.labels import Labelled
from chione.networks import Network
from chione.simulation.result import few_networks

QUANTITIES = ("second_moments", "channel_means", "iid", "shared")
_MOST_ROWS = 60  # of a printed page


@result
class SimulatedRow(AbstractResult):
    r"""Means over random networks at one place of a network.

    Indices at and bs run over inputs and measured positions, inputs slowest.

    Parameters
    ----------
    place : str
        Where: ``input``, ``layers[2]`` (what leaves layer 2), ``layers[2]#3`` (what leaves
        repetition 3 of its block, counted from 0), ``layers[2]#3.layers[0].branch[1]`` and so on.
    kind : str
        Word of the layer's kind.
    width : int
        Channels n.
    grid : tuple of int
        Extents of the axes of positions.
    measured : tuple of int
        The P positions that were measured; all of them unless fewer were asked for.
    second_moments : ndarray, shape (A P, A P)
        :math:`\frac1n \sum_i x_i(a,t)\,x_i(b,s)`.
    channel_means : ndarray, shape (A P,)
        :math:`\frac1n \sum_i x_i(a,t)`.
    iid, shared : ndarray, shape (A P, A P)
        :math:`\frac1n \sum_i g_i(a,t)\,g_i(b,s)` of the gradients g of <cotangent, output>; the
        cotangent is standard normal, independent everywhere (`iid`), or one vector of mean square
        1 for all inputs and positions (`shared`).
    stderr : mapping of str to ndarray
        Standard errors of the four, by their names.
    """

    place: str
    kind: str
    width: int
    grid: tuple[int, ...]
    measured: tuple[int, ...]
    second_moments: Array
    channel_means: Array
    iid: Array
    shared: Array
    stderr: Mapping[str, Array]

    axes = {  # noqa: RUF012  a ClassVar of the base
        "second_moments": ("at", "bs"),
        "channel_means": ("at",),
        "iid": ("at", "bs"),
        "shared": ("at", "bs"),
    }

    @property
    def positions(self) -> int:
        """Number of positions, measured or not."""
        return math.prod(self.grid)


@result
class NetworkSimulation(AbstractResult):
    r"""Means over random networks of a described network, place by place.

    Parameters
    ----------
    network : Network
        The network that was drawn again and again.
    rows : tuple of SimulatedRow
        The input, then every layer, outer ones before inner ones, and every repetition.
    ntk, ntk_stderr : ndarray, shape (A, A), or None
        Tangent kernel :math:`\langle \partial f_a, \partial f_b \rangle` of
        :math:`f = v \cdot y(\text{position } 0)/\sqrt n`, :math:`|v|^2 = n`, over all N(0, 1)
        parameters, and its standard error; None where it was not asked for.
    n_networks, requested : int
        Networks that the means hold, and that were asked for (more after an interrupt).
    replicas : int
        Copies of the inputs that went through each network.
    seed : int
        Seed with which the same numbers come out again.
    """

    network: Network
    rows: tuple[SimulatedRow, ...]
    ntk: Array | None
    ntk_stderr: Array | None
    n_networks: int
    requested: int
    replicas: int
    seed: int

    @property
    def places(self) -> tuple[str, ...]:
        """The places of all rows."""
        return tuple(row.place for row in self.rows)

    def row(self, place: str) -> SimulatedRow:
        """The row of a place.

        Raises
        ------
        ValueError
            If there is none.
        """
        for row in self.rows:
            if row.place == place:
                return row
        some = ", ".join(self.places[:6]) + (", ..." if len(self.rows) > 6 else "")
        raise ValueError(f"place must be one of {some}, but it is {place!r:.80}.")

    @property
    def interrupted(self) -> bool:
        """Whether fewer networks were run than asked for."""
        return self.n_networks < self.requested

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what limits the numbers; empty if nothing does."""
        out = few_networks(self.n_networks, self.requested)
        for name in QUANTITIES:
            bad = [r.place for r in self.rows if not np.all(np.isfinite(getattr(r, name)))]
            if bad:
                first, last = (bad[0], bad[-1]) if name in QUANTITIES[:2] else (bad[-1], bad[0])
                out.append(f"{name}: not finite from {first} to {last}; the signal overflowed.")
        return tuple(out)

    def _parts(self) -> dict[str, Any]:
        """The fields, with the network in its JSON form where it has one."""
        try:
            described: Any = self.network.to_dict()
        except SpecError:  # a function of the user's own has no spelling
            described = str(self.network)
        names = ("rows", "ntk", "ntk_stderr", "n_networks", "requested", "replicas", "seed")
        rest = {name: plain(getattr(self, name)) for name in names}
        return {"network": described, **rest, "warnings": list(self.warnings)}

    def _labelled(self) -> Labelled:
        """Variables such as ``second_moments_at_3`` for row 3; its place is an attribute."""
        out = Labelled(attributes={"kind": type(self).__name__, "places": "; ".join(self.places)})
        for k, row in enumerate(self.rows):
            for name in QUANTITIES:
                axes = tuple(f"{axis}_{k}" for axis in row.axes[name])
                out.variables[f"{name}_at_{k}"] = (axes, getattr(row, name))
                out.variables[f"{name}_at_{k}_stderr"] = (axes, row.stderr[name])
        for name in ("ntk", "ntk_stderr"):
            if getattr(self, name) is not None:
                out.variables[name] = (("input", "other"), getattr(self, name))
        for name in ("n_networks", "requested", "replicas", "seed"):
            out.variables[name] = ((), np.asarray(getattr(self, name)))
        return out

    def _table(self) -> tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]:
        """One row a number."""
        columns = ("place", "kind", "quantity", "index", "mean", "stderr", "n_networks", "status")
        return columns, list(self._numbers())

    def _numbers(self) -> Iterator[tuple[Any, ...]]:
        groups = [
            (row.place, row.kind, name, getattr(row, name), row.stderr[name])
            for row in self.rows
            for name in QUANTITIES
        ]
        if self.ntk is not None and self.ntk_stderr is not None:
            groups.append(("output", "", "ntk", self.ntk, self.ntk_stderr))
        for place, kind, name, mean, error in groups:
            for at in np.ndindex(mean.shape):
                cells = (float(mean[at]), float(error[at]))
                status = "ok" if np.isfinite(cells[0]) else "overflow"
                index = " ".join(map(str, at))
                yield place, kind, name, index, *cells, self.n_networks, status

    def _folded(self) -> list[SimulatedRow]:
        """The rows of a page: layers alone where all would be too many."""
        outer = [row for row in self.rows if "." not in row.place]
        rows = list(self.rows) if len(self.rows) <= _MOST_ROWS else outer
        half = _MOST_ROWS // 2
        return rows if len(rows) <= _MOST_ROWS else rows[:half] + rows[-half:]

    def _page(self) -> tuple[list[tuple[str, str, str]], list[str]]:
        rows = [
            (f"{r.place} {r.kind}", _number(r.second_moments), _number(r.stderr["second_moments"]))
            for r in self._folded()
        ]
        return rows, [_CAPTION, *self.warnings]

    def __str__(self) -> str:
        head = ("place", "kind", "channels", "K[0,0]", "+-", "P[0,0]", "+-")
        cells = [
            (
                *(r.place, r.kind, str(r.width)),
                *(_number(r.second_moments), _number(r.stderr["second_moments"])),
                *(_number(r.iid), _number(r.stderr["iid"])),
            )
            for r in self._folded()
        ]
        table = text_table(head, cells, align="<<>>>>>", width=page_width())
        hidden = len(self.rows) - len(cells)
        more = f"{hidden} more places are not shown." if hidden else ""
        title = f"NetworkSimulation: {self.n_networks} networks"
        return "\n\n".join(s for s in (title, table, _CAPTION, more, *self.warnings) if s)


_CAPTION = "K, P: mean square of signals and of gradients, at input 0 and position 0."


def _number(a: Array) -> str:
    """The entry of input 0 and position 0."""
    return f"{float(np.ravel(a)[0]):.4g}"
