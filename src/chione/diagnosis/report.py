"""An analysis as text, as HTML, and as plain data."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.base import Array, Estimate, Status, missing, page_width, paragraph, plain, text_table
from chione.diagnosis.alternatives import layers_text
from chione.diagnosis.findings import Findings
from chione.diagnosis.measure import Measured
from chione.diagnosis.numbers import error_text, measured_text, power_text, value_text
from chione.diagnosis.reasons import grouped, reason

_SOURCE = (
    "Error: bound on the numerical error of the theory. +-: standard error over the simulated "
    "networks."
)


@dataclass(frozen=True)
class Row:
    """One line of the table: what it is, the theory, the measurement, and why there is none."""

    key: str
    words: str
    theory: Estimate
    measured: Measured
    reason: str

    @property
    def symbol(self) -> str:
        """What the row is called in a sentence."""
        return " ".join(self.words.split()) if self.key in _NAMED else self.words.split()[0]

    def cells(self) -> tuple[str, str, str, str]:
        """The line as text."""
        return (
            self.words,
            self._value(),
            error_text(self.theory),
            measured_text(self.measured.value, self.measured.stderr),
        )

    def _value(self) -> str:
        if self.key == "survives" and not math.isfinite(self.theory.value):
            return layers_text(self.theory)
        return value_text(self.theory)


_NAMED = ("q_depth", "c_depth", "gradient_per_layer", "gradient", "survives")


def rows(analysis: Findings) -> list[Row]:
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
    own = {"survives": analysis.survives_reason}
    return [
        Row(key, words, value, measured.get(key, Measured()),
            own.get(key, reason(key, value, theory)))
        for key, words, value in lines
    ]  # fmt: skip


def as_text(analysis: Findings, *, width: int | None = None) -> str:
    """The page for a terminal of `width` columns, by default as wide as it is, at most 98."""
    width = page_width() if width is None else width
    run = analysis.simulation
    lines = rows(analysis)
    cells = [row.cells() for row in lines]
    table, choices = _heads(analysis)
    parts = [
        title(analysis),
        "",
        analysis.verdict.sentence,
        _training(analysis),
        *_notes(analysis),
        "",
        text_table(table, [line[: len(table)] for line in cells], width=width),
        f"gradient: {_decades(analysis)}",
        *grouped({row.symbol: row.reason for row in lines}),
        "",
        text_table(choices, [other.row() for other in analysis.alternatives], width=width),
        "",
        advice(analysis),
        _SOURCE if run is not None else _SOURCE.split(" +-")[0],
    ]
    return "\n".join(part if "\n" in part else paragraph(part, width=width) for part in parts)


def as_html(analysis: Findings) -> str:
    """The page for a notebook."""
    table, choices = _heads(analysis)
    lines = rows(analysis)
    cells = [row.cells()[: len(table)] for row in lines]
    why = [*_notes(analysis), *grouped({row.symbol: row.reason for row in lines})]
    return (
        f"<p><b>{html.escape(title(analysis))}</b><br>{html.escape(analysis.verdict.sentence)}<br>"
        f"{html.escape(_training(analysis))}</p>"
        f"{_html_table(table, cells)}"
        f"<p>{'<br>'.join(html.escape(line) for line in why)}</p>"
        f"{_html_table(choices, [other.row() for other in analysis.alternatives])}"
        f"<p>{html.escape(advice(analysis))}</p>"
    )


def _heads(analysis: Findings) -> tuple[list[str], list[str]]:
    """Heads of the two tables; without networks that were measured the first has no column."""
    table = ["", "theory", "error"]
    run, depth = analysis.simulation, analysis.network.depth
    if run is not None:
        table.append(f"{run.n_networks} networks, width {analysis.network.first_width}")
    choices = ["", "sigma_w", "sigma_b", "phase", f"gradient over {depth}", "survives"]
    return table, choices


def as_dict(analysis: Findings) -> dict[str, Any]:
    """Everything as plain JSON types."""
    out: dict[str, Any] = {}
    reasons = {}
    for row in rows(analysis):
        out[row.key] = row.theory.to_dict()
        if math.isfinite(row.measured.value):
            out[row.key]["measured"] = row.measured.to_dict()
        if row.reason:
            reasons[row.key] = row.reason
    if analysis.survives_reason:
        out["survives"]["reason"] = analysis.survives_reason
    net, run, width = analysis.network, analysis.simulation, analysis.finite_width
    return {
        **out,
        "activation": net.activation.name,
        "sigma_w": net.sigma_w,
        "sigma_b": net.sigma_b,
        "phase": analysis.phase.word,
        "sentence": analysis.verdict.sentence,
        "trains": analysis.verdict.trains,
        "problem": analysis.verdict.problem,
        "reason": analysis.verdict.reason,
        "optimizer": analysis.verdict.optimizer,
        "optimizers": dict(analysis.verdict.optimizers),
        "reasons": reasons,
        "log10_gradient": plain(analysis.log10_gradient),
        "log10_gradient_error": plain(analysis.log10_error),
        "reached": analysis.theory.reached,
        "power_laws": [law.sentence for law in analysis.theory.power_laws],
        "finite_width": None if width is None else width.sentence,
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
            "layer": plain(analysis.curves.layer),
            "q": plain(analysis.curves.q),
            "q_error": plain(analysis.errors.q),
            "c": plain(analysis.curves.c),
            "c_error": plain(analysis.errors.c),
            "log10_gradient": plain(analysis.layer_log10_gradient),
        },
        "recommendation": analysis.recommendation.to_dict(),
        "alternatives": [other.to_dict() for other in analysis.alternatives],
        "sigmas_recommended": analysis.chosen_here,
        "simulation": None if run is None else run.to_dict(),
    }


def title(analysis: Findings) -> str:
    """Which network this is."""
    net = analysis.network
    note = " (recommended)" if analysis.chosen_here and analysis.recommendation.exists else ""
    return (
        f"{net.activation.name}, sigma_w = {net.sigma_w:.6g}, sigma_b = {net.sigma_b:.6g}{note}, "
        f"{net.depth} layers of width {net.first_width}, {net.weights} weights"
    )


def advice(analysis: Findings) -> str:
    """What to use instead, or that nothing works."""
    return analysis.recommendation.sentence


def _training(analysis: Findings) -> str:
    depth, verdict = analysis.network.depth, analysis.verdict
    by = {"sgd": " by plain gradient descent", "momentum": " with momentum", "adam": " by Adam"}
    how = by.get(verdict.optimizer or "", "")
    answer = {
        "yes": f"It can train at {depth} layers{how}.",
        "doubtful": f"Whether it trains at {depth} layers{how} is doubtful.",
        "no": f"It will not train at {depth} layers{how}.",
    }[verdict.trains]
    return f"{answer} {verdict.reason}"


def _notes(analysis: Findings) -> list[str]:
    """What else the theory has to say: several fixed points, power laws."""
    theory, out = analysis.theory, []
    if len(theory.fixed_points.points) > 1:
        places = [f"{p.q.value:.6g} ({p.stability})" for p in theory.fixed_points.points]
        out.append(f"Fixed points of the lengths: {', '.join(places)}.")
    out += [f"Power law: {law.sentence}." for law in theory.power_laws]
    return out if analysis.finite_width is None else [*out, analysis.finite_width.sentence]


def _decades(analysis: Findings) -> str:
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


def _html_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
        for line in lines
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
