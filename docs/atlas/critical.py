"""Order and chaos on a page of the atlas: the class, and the critical line with its points."""

from __future__ import annotations

import math

import numpy as np

from atlas.facts import Facts
from atlas.words import escaped, number, row_table, sentence_of
from chione.theory import CriticalLine, critical_line


def phases(found: Facts) -> list[str]:
    """The section, from its head on."""
    lines = ["## Order and chaos", "", f"Class: **{escaped(found.criticality.universality)}**."]
    lines += [sentence_of(found.criticality.reason), ""]
    line = found.line
    if np.size(line.q) < 2:
        one = (
            f"At sigma_w = {number(float(line.sigma_w[0]), 12)}, sigma_b = 0, for every length."
            if np.size(line.q)
            else ""
        )
        return [*lines, sentence_of(f"On the critical line chi_perp is 1. {line.sentence} {one}")]
    lines += [_lowest(line)]
    rows = _line_rows(found)
    if rows:
        lines += [
            "Some of its points, each the image of a length q*; where chi_parallel is above "
            "1 lengths leave q*:",
            "",
            *row_table(LINE_HEAD, rows),
        ]
    return lines


_DECADE = 40  # points of the line for a factor of ten in q


def _lowest(line: CriticalLine) -> str:
    """Where the line has its smallest sigma_b, or that it has none."""
    low = int(np.nanargmin(line.sigma_b))  # parts of the line have a NaN between them
    there, later = float(line.sigma_w[low]), float(line.sigma_w[min(_DECADE, line.q.size - 1)])
    if low == 0 and line.sigma_b[0] > 0.0 and there > 2.0 * later:  # E phi'^2 vanishes with q
        return (
            "On the critical line chi_perp is 1. Towards small lengths sigma_b falls to 0 along "
            "it, while sigma_w grows beyond bounds."
        )
    return (
        "The critical line, where chi_perp is 1, has its smallest sigma_b, "
        f"{number(float(line.sigma_b[low]))}, at sigma_w = {number(there)}."
    )


LENGTHS = (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
LINE_HEAD = ("q*", "sigma_w", "error", "sigma_b", "error", "chi_parallel", "error")


def _line_rows(found: Facts) -> list[tuple[str, ...]]:
    line = critical_line(found.phi, q=np.array(LENGTHS))  # without those off the physical part
    columns = (line.q, line.sigma_w, line.error_w, line.sigma_b, line.error_b,
               line.chi_parallel, line.error_parallel)  # fmt: skip
    rows = []
    for q, w, e_w, b, e_b, chi, e_chi in zip(*map(np.ravel, columns), strict=True):
        pairs = ((w, e_w), (b, e_b), (chi, e_chi))
        cells = [text for x, e in pairs for text in (number(float(x), 9), f"{e:.0e}")]
        if math.isfinite(w + b):
            rows.append((number(float(q), 9), *cells))  # the line's ends are no round numbers
    return rows
