"""Rows of a report as lines of a table: repeated blocks once, and blocks down to some depth.

A row stands at a path such as ``h.3.attn.c_proj``. Rows with one first word are a block; blocks of
the same structure that follow one another, also in turn, are one block that says how often it is
there, and each of its rows goes from the first to the last of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from chione.torch.expected.layer_report import LayerReport

_PERIOD = 12  # blocks that may take turns

# Name of a parameter, its number of entries, and whether it can be trained.
Parameter: TypeAlias = tuple[str, int, bool]


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Parameters
    ----------
    name : str
        Path below the line that it is indented under.
    level : int
        How far it is indented.
    rows : tuple of LayerReport
        What it stands for, in order of execution; empty for the head of a block.
    total, trainable : int
        Entries of its parameters, and those of them that can be trained.
    times : int
        How many copies it stands for.
    whole : bool
        Whether its rows are all those of a block, and not copies of one row.
    """

    name: str
    level: int
    rows: tuple[LayerReport, ...]
    total: int
    trainable: int
    times: int = 1
    whole: bool = False


@dataclass(frozen=True)
class _Item:
    """Copies of a row, below the blocks that are open, and the full paths of those blocks."""

    path: tuple[str, ...]
    copies: tuple[LayerReport, ...]
    blocks: tuple[str, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """What copies have in common."""
        first = self.copies[0]
        return *map(_alike, self.path), first.kind, first.operation, first.activation or ""


_Block: TypeAlias = list[_Item]


class Folder:
    """Make lines of rows.

    Parameters
    ----------
    parameters : sequence of Parameter
        Of the model, shared ones once.
    depth : int or None
        Words of a path that are told apart; None for all.
    fold : bool
        Whether repeated blocks are written once.
    alone : str or None
        A row that is written by itself, since something is wrong there.
    """

    def __init__(
        self, parameters: Sequence[Parameter], depth: int | None, fold: bool, alone: str | None
    ) -> None:
        self.parameters, self.depth = parameters, depth
        self.fold, self.alone = fold, alone
        self._owned: dict[str, list[Parameter]] = {}
        for parameter in parameters:
            for owner in {parameter[0], parameter[0].rpartition(".")[0]}:
                self._owned.setdefault(owner, []).append(parameter)
        self._told: set[str] = set()

    def lines(self, layers: Sequence[LayerReport]) -> list[Line]:
        """The lines of all rows."""
        if not self.fold and self.depth is None:
            return [self._line(x.name, 0, (x,)) for x in layers]
        return self._inside([_Item(tuple(x.name.split(".")), (x,), ("",)) for x in layers], 0, 0)

    def _inside(self, items: _Block, level: int, used: int) -> list[Line]:
        """Lines of what stands in one block; `used` words of the paths are gone."""
        blocks = [list(group) for _, group in groupby(items, key=lambda item: _bare(item.path[0]))]
        keys = [self._key(block) for block in blocks]
        out: list[Line] = []
        at = 0
        while at < len(blocks):
            period, times = _repeated(keys[at:]) if self.fold else (1, 1)
            for j in range(period):
                copies = [blocks[at + j + k * period] for k in range(times)]
                out += self._block(copies, level, used)
            at += period * times
        return out

    def _key(self, block: _Block) -> tuple[tuple[str, ...], ...]:
        alone = [x.name for item in block for x in item.copies if x.name == self.alone]
        return (*(item.key for item in block), tuple(alone))

    def _block(self, copies: list[_Block], level: int, used: int) -> list[Line]:
        """Lines of copies of a block."""
        first, last = copies[0], copies[-1]
        same = _common(first)
        name = _between(first[0].path[:same], last[0].path[:same])
        merged = [
            _Item(
                items[0].path[same:] or ("itself",),
                tuple(x for item in items for x in item.copies),
                tuple(_joined(b, item.path[:same]) for item in items for b in item.blocks),
            )
            for items in zip(*copies, strict=True)
        ]
        if len(first) == 1:
            return [self._line(name, level, merged[0].copies)]
        blocks = merged[0].blocks
        total, trainable = self._below(blocks)
        if self.depth is not None and used + same >= self.depth:
            rows = tuple(x for item in merged for x in item.copies)
            return [Line(name, level, rows, total, trainable, len(blocks), whole=True)]
        inner = self._inside(merged, level + 1, used + same)
        alone = not inner[0].rows and all(line.level > level + 1 for line in inner[1:])
        if alone:  # a block with one (folded) block in it
            head = replace(inner[0], name=f"{name}.{inner[0].name}", level=level)
            return [head, *(replace(line, level=line.level - 1) for line in inner[1:])]
        return [Line(name, level, (), total, trainable, len(blocks)), *inner]

    def _line(self, name: str, level: int, copies: tuple[LayerReport, ...]) -> Line:
        total = trainable = 0
        for x in copies:
            row = _bare(x.name)
            for owner in (row, row.removesuffix(".attention")):
                for full, entries, trains in self._owned.get(owner, ()):
                    if full not in self._told:
                        self._told.add(full)
                        total, trainable = total + entries, trainable + entries * trains
        return Line(name, level, copies, total, trainable, len(copies))

    def _below(self, blocks: tuple[str, ...]) -> tuple[int, int]:
        """Parameters below modules, shared ones where they are named first."""
        starts = tuple(f"{block}." for block in blocks)
        found = [(n, trains) for full, n, trains in self.parameters if full.startswith(starts)]
        return sum(n for n, _ in found), sum(n for n, trains in found if trains)


def _repeated(keys: Sequence[object]) -> tuple[int, int]:
    """How many of the first keys take turns, and how often."""
    best = (1, 1)
    for period in range(1, min(_PERIOD, len(keys) // 2) + 1):
        times = 1
        while keys[times * period : (times + 1) * period] == keys[:period]:
            times += 1
        if times > 1 and times * period > best[0] * best[1]:
            best = period, times
    return best


def _bare(word: str) -> str:
    """Without the mark of a second execution."""
    return re.sub(r" \(\d+\)$", "", word)


def _alike(word: str) -> str:
    return re.sub(r"\d+", "#", _bare(word))


def _common(block: _Block) -> int:
    """How many words all paths of a block share, the last word of one row not counted."""
    if len(block) == 1:
        return len(block[0].path)
    shared = 0
    for words in zip(*(item.path[:-1] for item in block), strict=False):
        if len(set(words)) > 1:
            break
        shared += 1
    return max(shared, 1)


def _joined(block: str, words: tuple[str, ...]) -> str:
    return ".".join((block, *words)) if block else ".".join(words)


def _between(first: tuple[str, ...], last: tuple[str, ...]) -> str:
    """Two paths as one, such as h.0..11."""
    words = []
    for a, b in zip(map(_bare, first), map(_bare, last), strict=True):
        number = re.search(r"\d+$", b)
        words.append(a if a == b else f"{a}..{number[0] if number else b}")
    return ".".join(words)
