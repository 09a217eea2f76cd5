"""Tensors that are the same, or were made from the same random numbers."""

from __future__ import annotations

import math

import numpy as np
import torch

from chione.torch.audits.context import Context, listed
from chione.torch.audits.items import Item

_FIRST = 2048  # leading entries that are compared; seeds set anew give them again
_FEWEST = 24
_TWINS = ("target", "ema", "momentum", "teacher", "encoder_k", "key_encoder", "shadow", "ref",
          "average", "frozen", "old")  # fmt: skip


def find_copies(model: Context) -> None:
    """Add tensors that equal each other and rows that do."""
    pool = [i for i in model.items if i.found.random and i.found.summary.n >= 4 and i.std > 0.0]
    groups = _equal(pool)
    told: set[str] = set()
    pairs: dict[tuple[str, ...], list[list[Item]]] = {}
    for group in groups:
        told |= {i.name for i in group}
        pairs.setdefault(_where(group), []).append(group)
    for where, found in pairs.items():
        if not any(i.is_matrix or i.role == "embedding" for group in found for i in group):
            continue  # decays and steps that are the same in all layers, as state spaces have them
        items = [i for group in found for i in group]
        if _meant(items):
            model.remark(
                "copies", items,
                f"{listed([i.name for i in items])} hold the same numbers; as targets, teachers or "
                "frozen copies usually do.",
            )  # fmt: skip
            continue
        model.find(
            "copies", items,
            f"{listed(list(where))} hold the same numbers in {len(found)} tensors (such as "
            f"{listed([i.name for i in found[0]], 2)}): layers that start as copies of each other "
            "(copy.deepcopy, nn.TransformerEncoder); initialise each by itself.",
        )  # fmt: skip
    _related(model, [i for i in pool if i.name not in told])
    _within(model)


def _equal(pool: list[Item]) -> list[list[Item]]:
    keys: dict[tuple[object, ...], list[Item]] = {}
    for item in pool:
        s = item.found.summary
        keys.setdefault((s.shape, s.std, s.low, s.high), []).append(item)
    out = []
    for group in keys.values():
        while len(group) > 1:
            first, rest = group[0], group[1:]
            same = [i for i in rest if torch.equal(i.entry.tensor, first.entry.tensor)]
            if same:
                out.append([first, *same])
            group = [i for i in rest if i not in same]
    return out


def _where(group: list[Item]) -> tuple[str, ...]:
    """The parts of the model that a group of equal tensors stands in."""
    parts = [i.name.split(".") for i in group]
    tail = 0
    while all(len(p) > tail for p in parts) and len({p[-1 - tail] for p in parts}) == 1:
        tail += 1
    return tuple(".".join(p[: len(p) - tail]) or i.name for p, i in zip(parts, group, strict=True))


def _meant(items: list[Item]) -> bool:
    if len({i.entry.frozen for i in items}) == 2:
        return True
    return any(word in i.name.lower() for i in items for word in _TWINS)


def _related(model: Context, pool: list[Item]) -> None:
    """Tensors whose leading entries are multiples of each other: one seed for several layers."""
    pool = [i for i in pool if i.found.drawn and i.found.summary.n >= _FEWEST][:1500]
    pool = [i for i in pool if i.found.kind != "orthogonal"]
    if len(pool) < 2:
        return
    first = [_leading(i) for i in pool]
    full = np.zeros((len(pool), _FIRST))
    for row, x in zip(full, first, strict=True):
        row[: len(x)] = x
    lengths = np.array([len(x) for x in first])
    seen: set[int] = set()
    found: list[list[int]] = []
    for k, x in enumerate(first):
        if k in seen:
            continue
        overlap = np.minimum(lengths, len(x))
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = np.array([np.sum(full[j, : overlap[j]] ** 2) for j in range(len(pool))])
            own = np.array([np.sum(full[k, : overlap[j]] ** 2) for j in range(len(pool))])
            r = full @ np.pad(x, (0, _FIRST - len(x))) / np.sqrt(squares * own)
        limit = np.minimum(0.999, 9.0 / np.sqrt(overlap))
        near = [
            j for j in range(k + 1, len(pool))
            if j not in seen and abs(r[j]) > max(limit[j], 0.9) and overlap[j] >= _FEWEST
        ]  # fmt: skip
        if near:
            seen |= set(near)
            found.append([k, *near])
    for group in found:
        items = [pool[j] for j in group]
        model.find(
            "same random numbers", items,
            f"{listed([i.name for i in items])} are multiples of each other entry by entry: the "
            "seed was set again before each of them; set it once.",
        )  # fmt: skip


def _leading(item: Item) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    x = item.entry.tensor.detach()
    if x.is_complex():
        x = torch.view_as_real(x)
    values = x.reshape(-1)[:_FIRST].double().cpu().numpy()
    return np.asarray(values - item.found.summary.mean)


def _within(model: Context) -> None:
    """Blocks of rows of a matrix that equal each other."""
    for item in model.items:
        x = item.entry.tensor.detach()
        if not (item.is_matrix and item.found.random and x.dim() >= 2):
            continue
        for blocks in (2, 3, 4):
            rows = x.shape[0] // blocks
            if x.shape[0] % blocks or rows < 1 or math.prod(x.shape[1:]) < 4 or x.shape[0] < 4:
                continue
            parts = x.chunk(blocks)
            if all(torch.equal(parts[0], part) for part in parts[1:]):
                model.find(
                    "units are copies", [item],
                    f"{item.name}: its {blocks} blocks of {rows} rows are the same, so that their "
                    "units start as copies; draw the whole matrix.",
                )  # fmt: skip
                break
