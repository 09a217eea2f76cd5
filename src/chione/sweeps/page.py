"""A sweep as a page of text: what was trained, its numbers, and how theory did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from chione.base import page_width, paragraph, text_table
from chione.sweeps.axes import READS_SIGMAS, STATUSES, Swept

_ROWS, _COLUMNS = 24, 11  # of a grid; more are thinned out
_LONGEST = 30  # rows of a list


def page(result: Swept) -> str:
    """The page."""
    width = page_width()
    blocks = ["SweepResult", paragraph(_head(result), width=width)]
    varied = result.varied
    grid = [n for n in ("depth", "sigma_b", "sigma_w") if n in varied]
    if len(varied) == 2 and len(grid) == 2 and result.rate.size >= 1:
        blocks += _grid(result, grid[0], grid[1], width)
    else:
        blocks += _list(result, varied, width)
    blocks += [paragraph(reason, width=width) for reason in result.problems]
    words = agreement_words(result)
    if words:
        blocks.append(paragraph(words, width=width))
    return "\n\n".join(blocks)


def _head(result: Swept) -> str:
    counts = Counter(result.outcome.ravel().tolist())
    ends = ", ".join(f"{counts[word]} {word}" for word in STATUSES if counts[word])
    over = " x ".join(f"{getattr(result, n).size} {n}" for n in result.varied) or "one network"
    rates = result.rate.size
    chosen = f", best of {rates} learning rates" if rates > 1 else f", rate {result.rate[0]:g}"
    fixed = [
        f"{name} {_cell(getattr(result, name)[0])}"
        for name in ("activation", "scheme", "optimizer", "width", "depth", "sigma_w", "sigma_b")
        if name not in result.varied and (READS_SIGMAS in result.scheme or "sigma" not in name)
    ]
    seeds = result.seed.size
    return (
        f"{result.outcome.size} trainings on {Path(result.data).name} ({ends}): {over}{chosen}, "
        f"{seeds} {'seed' if seeds == 1 else 'seeds'}, {result.steps} steps. {', '.join(fixed)}."
    )


def _grid(result: Swept, rows: str, columns: str, width: int) -> list[str]:
    """Accuracy over two axes."""
    values = np.squeeze(result.mean["accuracy"])  # CELL has depth before sigma_b before sigma_w
    y, x = getattr(result, rows), getattr(result, columns)
    i, j = _thinned(y.size, _ROWS), _thinned(x.size, min(_COLUMNS, max(2, width // 7 - 1)))
    head = (f"{rows} \\ {columns}", *(f"{v:.3g}" for v in x[j]))
    lines = [(f"{y[a]:.3g}", *(_cell(values[a, b], 2) for b in j)) for a in i[::-1]]
    title = "accuracy on the training set"
    if len(i) < y.size or len(j) < x.size:
        title += f" ({len(i)} of {y.size} rows, {len(j)} of {x.size} columns)"
    return [title, text_table(head, lines, align=">" * len(head), width=width)]


def _list(result: Swept, varied: tuple[str, ...], width: int) -> list[str]:
    """Means with standard errors, a line a cell."""
    names = varied or ("activation",)
    shape = result.counted.shape
    head = (*names, "accuracy", "test", "loss", "rate", "diverged")
    lines = []
    for place in list(np.ndindex(shape))[:_LONGEST]:
        at = dict(zip(result.axes["counted"], place, strict=True))
        cells = [_cell(getattr(result, name)[at[name]]) for name in names]
        for quantity, digits in (("accuracy", 3), ("test_accuracy", 3), ("loss", 3)):
            mean, stderr = result.mean[quantity][place], result.stderr[quantity][place]
            spread = f" +- {stderr:.1g}" if np.isfinite(stderr) else ""
            cells.append(f"{_cell(mean, digits)}{spread}")
        cells += [_cell(result.best_rate[place]), _cell(result.diverged[place])]
        lines.append(tuple(cells))
    out = [text_table(head, lines, align="<" * len(names) + ">>>>>", width=width)]
    hidden = int(np.prod(shape)) - len(lines)
    if hidden > 0:
        out.append(f"{hidden} more cells: save('cells.csv') or to_xarray() has them all.")
    return out


def _cell(x: Any, digits: int | None = None) -> str:
    if isinstance(x, str):
        return x if len(x) <= 24 else x[:21] + "..."
    if not np.isfinite(x):
        return "-"
    return f"{x:g}" if digits is None else f"{x:.{digits}f}"


def _thinned(n: int, most: int) -> np.ndarray[Any, Any]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def agreement_words(result: Swept) -> str:
    """In how many cells theory's 6 xi and training say the same."""
    found = result.agreement()
    if found is None:
        return ""
    names = {"smaller": "the smaller of both"}
    shares = ", ".join(f"{100 * v:.0f} % for {names.get(n, n)}" for n, v in found.items())
    return (
        f"Theory expects training at depths below 6 xi; networks count as trained at an accuracy "
        f"above {result.threshold:.2f}, halfway from guessing to the best. Both say the same in "
        f"this share of the cells: {shares}."
    )
