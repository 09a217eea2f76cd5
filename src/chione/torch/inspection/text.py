"""Reports as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chione.base import paragraph, text_table
from chione.torch.expected.layer_report import LayerReport

_HEAD = ("layer", "does", "then", "sigma_w", "sigma_b", "q", "theory", "c", "theory",
         "gradient", "theory", "jacobian", "sat", "dead")  # fmt: skip


def report_text(
    title: str, layers: Sequence[LayerReport], notes: Sequence[str], verdict: str
) -> str:
    """A table with one line for each layer, and the notes and the verdict below it."""
    table = text_table(_HEAD, [_row(layer) for layer in layers], align="<<<" + ">" * 11)
    legend = (
        "q, c: mean square of h and mean correlation between inputs; gradient: mean square of "
        "dLoss/dh; jacobian: |dy/dh|^2 / n_y; theory '?': no rule for this layer."
    )
    say = [paragraph(line) if line else "" for line in (legend, *notes, "", verdict)]
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
