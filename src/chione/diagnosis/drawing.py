"""The picture of an analysis, drawn from its data. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.diagnosis.picture_data import CurveData, DiagramData, MapData
from chione.plotting import DepthCurve, DiagramPicture, MapPicture, Page, wants_log
from chione.plotting.page import page_picture
from chione.plotting.panels import assemble

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Words, symbol, and from which ratio of largest to smallest on the axis is logarithmic.
_AXES = (
    ("mean square", "$q^l$", None),
    ("correlation", "$c^l$", None),
    ("mean square gradient", "$d^{\\,l} / d^{\\,out}$", 3.0),
)


def draw(page: Page, *, ax: Any = None, field: str | None = None) -> Figure:
    """The one-page figure, or one of its panels."""
    return assemble(page_picture(page), ax=ax, field=field)


def page_of(
    title: str,
    verdict: str,
    *,
    maps: tuple[MapData | str, MapData | str],
    diagram: DiagramData | str,
    point: tuple[float, float],
    curves: Sequence[CurveData],
) -> Page:
    """The content in the terms of :mod:`chione.plotting`; `point` is the network's own."""
    lengths, correlations = maps
    return Page(
        title,
        verdict,
        _map(lengths),
        _map(correlations),
        _diagram(diagram, point),
        tuple(_curve(k, curve) for k, curve in enumerate(curves)),
    )


def _map(data: MapData | str) -> MapPicture | str:
    if isinstance(data, str):
        return data
    return MapPicture(data.x, data.y, data.orbit, data.fixed_points, data.note)


def _diagram(data: DiagramData | str, point: tuple[float, float]) -> DiagramPicture | str:
    if isinstance(data, str):
        return data
    line = (data.line[0], data.line[1])
    return DiagramPicture(
        data.sigma_w, data.sigma_b, data.q_star, data.phase, line, point,
        unstable=data.line[2:].sum(axis=0) > 1.0, reached=data.reached | np.isnan(data.q_star),
    )  # fmt: skip


def _curve(k: int, data: CurveData) -> DepthCurve:
    words, symbol, factor = _AXES[k]
    log = False
    if k != 1:  # a correlation has a linear axis
        log = wants_log(data.theory) if factor is None else wants_log(data.theory, factor=factor)
    return DepthCurve(data.theory, words, symbol, data.measured, data.stderr, log, data.layer)
