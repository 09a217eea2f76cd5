"""An analysis as text, as HTML, and as plain data."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.base import Array, ConvergenceError, Estimate, Status, missing
from chione.diagnosis.alternatives import finite_or_none
from chione.diagnosis.measure import Measured
from chione.diagnosis.numbers import error_text, measured_text, power_text, value_text
from chione.theory import trust

if TYPE_CHECKING:
    from chione.diagnosis.analyze import Analysis

_WIDTH = 98
_SOURCE = (
    "Error: bound on the numerical error of the theory. +-: standard error over the simulated "
    "networks."
)


@dataclass(frozen=True)
class Row:
    """One line of the table: what it is, the theory, the measurement."""

    key: str
    words: str
    theory: Estimate
    measured: Measured

    def cells(self) -> tuple[str, str, str, str]:
        """The line as text."""
        return (
            self.words,
            value_text(self.theory),
            error_text(self.theory),
            measured_text(self.measured.value, self.measured.stderr),
        )


def rows(analysis: Analysis) -> list[Row]:
    """The lines of the table in the order a reader needs them."""
    theory, depth = analysis.theory, analysis.network.depth
    measured = analysis.measured()
    per_layer = _root(analysis.gradient, depth)
    lines = [
        ("q_star", "q*            mean square", theory.q_star),
        ("c_star", "c*            correlation", theory.c_star),
        ("chi_parallel", "chi_parallel  slope of lengths", theory.chi_parallel),
        ("chi_perp", "chi_perp      gradient a layer", theory.chi_perp),
        ("xi_q", "xi_q          layers", theory.xi_q),
        ("xi_c", "xi_c          layers", theory.xi_c),
        ("q_depth", f"q             in layer {depth}", _last(analysis.curves.q, analysis.errors.q)),
        ("c_depth", f"c             in layer {depth}", _last(analysis.curves.c, analysis.errors.c)),
        ("gradient_per_layer", "gradient      a layer, mean", per_layer),
        ("gradient", f"gradient      over {depth} layers", analysis.gradient),
        ("survives", "a signal survives, layers", analysis.survives),
    ]
    return [Row(key, words, value, measured.get(key, Measured())) for key, words, value in lines]


def as_text(analysis: Analysis) -> str:
    """The page for a terminal."""
    run = analysis.simulation
    heading = ["", "theory", "error"]
    lines = [row.cells() for row in rows(analysis)]
    if run is None:
        table = _columns([heading, *[line[:3] for line in lines]])
    else:
        networks = f"{run.n_networks} networks, width {analysis.network.widths[1]}"
        table = _columns([[*heading, networks], *lines])
    depth = analysis.network.depth
    choices = [
        ["", "sigma_w", "sigma_b", "phase", f"gradient over {depth}", "survives"],
        *[other.row() for other in analysis.alternatives],
    ]
    parts = [
        title(analysis),
        "",
        *_wrap(analysis.verdict.sentence),
        *_wrap(_training(analysis)),
        *_notes(analysis),
        "",
        *table,
        f"{'':16}gradient: {_decades(analysis)}",
        "",
        *_columns(choices),
        "",
        *_wrap(advice(analysis)),
        *_wrap(_SOURCE if run is not None else _SOURCE.split(" +-")[0]),
    ]
    return "\n".join(line.rstrip() for line in parts)


def as_html(analysis: Analysis) -> str:
    """The page for a notebook."""
    head = ["", "theory", "error"]
    cells = [row.cells() for row in rows(analysis)]
    if analysis.simulation is not None:
        run = analysis.simulation
        head.append(f"{run.n_networks} networks, width {analysis.network.widths[1]}")
    else:
        cells = [line[:3] for line in cells]  # type: ignore[misc]  # one column fewer
    depth = analysis.network.depth
    choices = ["", "sigma_w", "sigma_b", "phase", f"gradient over {depth}", "survives"]
    return (
        f"<p><b>{html.escape(title(analysis))}</b><br>{html.escape(analysis.verdict.sentence)}<br>"
        f"{html.escape(_training(analysis))}</p>"
        f"{_html_table(head, cells)}"
        f"{_html_table(choices, [other.row() for other in analysis.alternatives])}"
        f"<p>{html.escape(advice(analysis))}</p>"
    )


def as_dict(analysis: Analysis) -> dict[str, Any]:
    """Everything as plain JSON types."""
    measured = analysis.measured()
    out: dict[str, Any] = {}
    for row in rows(analysis):
        out[row.key] = row.theory.to_dict()
        if row.key in measured:
            out[row.key]["measured"] = measured[row.key].to_dict()
    net, run = analysis.network, analysis.simulation
    return {
        **out,
        "activation": net.activation.name,
        "sigma_w": net.sigma_w,
        "sigma_b": net.sigma_b,
        "phase": analysis.theory.phase,
        "sentence": analysis.verdict.sentence,
        "trains": analysis.verdict.trains,
        "reason": analysis.verdict.reason,
        "log10_gradient": finite_or_none(analysis.log10_gradient),
        "theory_sentence": analysis.theory.sentence,
        "reached": analysis.theory.reached,
        "power_laws": [law.sentence for law in analysis.theory.power_laws],
        "finite_width": width_sentence(analysis),
        "fixed_points": [
            {
                "q": point.q.to_dict(),
                "chi_parallel": point.chi_parallel.to_dict(),
                "chi_perp": point.chi_perp.to_dict(),
                "stability": point.stability,
            }
            for point in analysis.theory.fixed_points.points
        ],
        "layers": {
            "q": _plain(analysis.curves.q),
            "c": _plain(analysis.curves.c),
            "log10_gradient": _plain(np.asarray(layer_log10_gradient(analysis))),
        },
        "recommendation": analysis.recommendation.to_dict(),
        "alternatives": [other.to_dict() for other in analysis.alternatives],
        "sigmas_recommended": analysis.chosen_here,
        "simulation": None if run is None else run.to_dict(),
    }


def title(analysis: Analysis) -> str:
    """Which network this is."""
    net = analysis.network
    note = " (recommended)" if analysis.chosen_here and analysis.recommendation.exists else ""
    return (
        f"{net.activation.name}, sigma_w = {net.sigma_w:.6g}, sigma_b = {net.sigma_b:.6g}{note}, "
        f"{net.depth} layers of width {net.widths[1]}, {net.weights} weights"
    )


def advice(analysis: Analysis) -> str:
    """What to use instead, or that nothing works."""
    return analysis.recommendation.sentence


def layer_log10_gradient(analysis: Analysis) -> list[float]:
    """Decades between the error signal in layer l and at the read-out, for each l."""
    with np.errstate(divide="ignore"):
        logs = np.log10(np.asarray(analysis.curves.chi, dtype=np.float64))
    return [float(x) for x in np.cumsum(logs[::-1])[::-1]]


def _training(analysis: Analysis) -> str:
    depth, verdict = analysis.network.depth, analysis.verdict
    answer = {
        "yes": f"It can train at {depth} layers.",
        "doubtful": f"Whether it trains at {depth} layers is doubtful.",
        "no": f"It will not train at {depth} layers.",
    }[verdict.trains]
    return f"{answer} {verdict.reason}"


def _notes(analysis: Analysis) -> list[str]:
    """What else the theory has to say: several fixed points, power laws."""
    theory, out = analysis.theory, []
    if len(theory.fixed_points.points) > 1:
        places = [f"{p.q.value:.6g} ({p.stability})" for p in theory.fixed_points.points]
        out.append(f"Fixed points of the lengths: {', '.join(places)}.")
    out += [f"Power law: {law.sentence}." for law in theory.power_laws]
    width = width_sentence(analysis)
    out += [] if width is None else [width]
    return [line for note in out for line in _wrap(note)]


def width_sentence(analysis: Analysis) -> str | None:
    """How far infinite-width figures hold at this width; None where lengths leave float64."""
    net = analysis.network
    try:
        return trust(
            net.activation,
            sigma_w=net.sigma_w,
            sigma_b=net.sigma_b,
            depth=net.depth,
            width=net.widths[1],
            weights=net.weights,
        ).sentence
    except ConvergenceError:  # the verdict says so already
        return None


def _decades(analysis: Analysis) -> str:
    log10 = analysis.log10_gradient
    if math.isnan(log10):
        return "no finite mean square"
    if math.isinf(log10):
        return power_text(log10)
    return f"{log10:+.2f} decades in the mean square, {log10 / 2:+.2f} in size"


def _last(curve: Array, errors: Array) -> Estimate:
    """The last layer of a curve with its error."""
    value = float(curve[-1])
    return Estimate(value, float(errors[-1])) if math.isfinite(value) else missing(Status.OVERFLOW)


def _root(gradient: Estimate, depth: int) -> Estimate:
    """The factor a layer of which `gradient` is the product."""
    if not (np.isfinite(gradient.value) and gradient.value > 0.0):
        return gradient
    rate = gradient.value ** (1.0 / depth)
    return Estimate(rate, rate * gradient.error / gradient.value / depth + 4e-16 * rate)


def _columns(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells padded into columns, with a rule below the first line."""
    wide = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    out = ["  ".join(f"{cell:<{w}}" for cell, w in zip(line, wide, strict=True)) for line in lines]
    return [out[0], "-" * len(out[0].rstrip()), *out[1:]]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False)


def _html_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _plain(x: Any) -> list[float | None]:
    return [finite_or_none(float(v)) for v in x]
