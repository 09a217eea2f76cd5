"""Reports as plain text."""

from __future__ import annotations

import math

from chione.base import paragraph, text_table
from chione.torch.report import InspectionReport, LayerReport

_HEAD = ("layer", "does", "then", "sigma_w", "sigma_b", "q", "theory", "c", "theory",
         "gradient", "theory", "jacobian", "sat", "dead")  # fmt: skip


def report_text(report: InspectionReport) -> str:
    """A table with one line for each layer, and the verdict below it."""
    table = text_table(_HEAD, [_row(layer) for layer in report.layers], align="<<<" + ">" * 11)
    mode = "training" if report.training else "evaluation"
    title = (
        f"{report.model}: {len(report.layers)} layers, batch of {report.batch}, {mode} mode, "
        f"gradients of {report.loss}"
    )
    legend = (
        "q, c: mean square of h and mean correlation between inputs; gradient: mean square of "
        "dLoss/dh; jacobian: |dy/dh|^2 / n_y; theory '?': no rule for this layer."
    )
    tail = [f"warning: {w}" for w in report.verdict.warnings]
    tail += [f"note: {n}" for n in report.notes]
    tail += [f"shared: {' = '.join(names)}" for names in report.shared]
    say = [paragraph(line) if line else "" for line in (legend, *tail, "", report.verdict.sentence)]
    return "\n".join([paragraph(title), "", table, "", *say])


def _row(layer: LayerReport) -> tuple[str, ...]:
    e = layer.expected
    unknown = "?"
    return (
        _cut(layer.name, 40),
        layer.operation,
        _cut(layer.activation or "", 16),
        _number(layer.sigma_w),
        _number(layer.sigma_b),
        _number(layer.mean_square),
        _number(e.mean_square, unknown),
        _correlation(layer.one_minus_c, ""),
        _correlation(1.0 - e.correlation, unknown),
        _number(layer.gradient),
        _number(e.gradient, unknown),
        _number(layer.jacobian),
        _percent(layer.saturation),
        _percent(layer.dead),
    )


def _number(x: float | None, missing: str = "") -> str:
    if x is None or not math.isfinite(x):
        return missing
    if x == 0.0:
        return "0"
    return f"{x:.3f}" if 0.01 <= abs(x) < 100.0 else f"{x:.1e}"


def _correlation(one_minus_c: float, missing: str) -> str:
    if not math.isfinite(one_minus_c):
        return missing
    return f"{1.0 - one_minus_c:.4f}" if abs(one_minus_c) > 1e-3 else f"1-{one_minus_c:.0e}"


def _percent(x: float) -> str:
    return "" if not math.isfinite(x) else f"{x:.0%}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else "..." + text[3 - width :]
