"""Ranks of one job: random tensors that are the same although each rank holds its own part."""

from __future__ import annotations

import torch

from chione.torch.audits.context import listed
from chione.torch.audits.items import Item
from chione.torch.audits.report import Finding


def find_ranks(ranks: list[list[Item]]) -> tuple[Finding, ...]:
    """Findings on tensors that two ranks have in common, and on those that a rank lacks."""
    tables = [{i.name: i for i in items} for items in ranks]
    out: list[Finding] = []
    names = set(tables[0])
    for k, table in enumerate(tables[1:], 1):
        missing = sorted(names ^ set(table))
        if missing:
            out.append(
                Finding("ranks differ", tuple(missing),
                        f"ranks 0 and {k} do not hold the same parameters: {listed(missing)}.", 0.0)
            )  # fmt: skip
    same: dict[str, list[int]] = {}
    random = 0
    for name, first in tables[0].items():
        if not first.found.random or first.found.summary.n < 4:
            continue
        random += 1
        x = first.entry.tensor
        equal = [
            k for k, table in enumerate(tables[1:], 1)
            if name in table and table[name].entry.tensor.shape == x.shape
            and torch.equal(table[name].entry.tensor.to(x.device), x)
        ]  # fmt: skip
        if equal:
            same[name] = equal
    if same:
        every = "all" if len(same) == random else f"{len(same)} of {random}"
        ranks_named = sorted({k for ks in same.values() for k in ks})
        told = (
            f"{every} random tensors of rank 0 are those of rank "
            f"{listed([str(k) for k in ranks_named])} ({listed(list(same), 3)}): the ranks drew "
            "from one seed. Shards of one tensor need seeds of their own; replicas are meant to be "
            "equal."
        )
        out.append(Finding("ranks are identical", tuple(same), told, 0.0))
    return tuple(out)
