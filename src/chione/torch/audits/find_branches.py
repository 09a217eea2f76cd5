"""Spreads of the projections of a block beside each other: depth scaling where it does not belong.

The last map of each residual branch (o, down) may be scaled down with the depth; what stands
before it may not, and both branches are scaled or none.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from chione.torch.audits.context import Context, listed
from chione.torch.audits.items import LEAST, UNITS, Item, two_sided

_PARTS = ("q", "k", "v", "qkv", "kv", "o", "gate", "up", "gate up", "down")
_FIRST_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
_ERRORS = 6.0  # standard errors


@dataclass(frozen=True)
class Part:
    """All matrices of one role in a stack of blocks: centre of log std by unit, and its error."""

    role: str
    items: tuple[Item, ...]

    def log(self, unit: str = "std") -> float:
        """Median of log std in a unit."""
        return float(np.median([i.in_units(unit) for i in self.items]))

    @property
    def error(self) -> float:
        """Standard error of it, loosely."""
        return float(np.median([i.error for i in self.items])) * 1.25 / math.sqrt(len(self.items))


def find_branches(model: Context) -> None:
    """Add projections that are out of line with those of their block."""
    for stem, parts in _stacks(model).items():
        _gates(model, stem, parts)
        _values(model, stem, parts)
        _ends(model, stem, parts)
        _before_ends(model, stem, parts)


def _stacks(model: Context) -> dict[str, dict[str, Part]]:
    """Stack of blocks -> role -> its matrices; experts and encoder apart."""
    found: dict[str, dict[str, list[Item]]] = {}
    for item in model.matrices:
        if item.role not in _PARTS or "cross" in item.name.lower() or "EncDec" in item.name:
            continue
        number = _FIRST_NUMBER.search(item.name)
        stem = item.name[: number.start()] if number else ""
        found.setdefault(stem, {}).setdefault(item.role, []).append(item)
    return {
        stem: {role: Part(role, tuple(items)) for role, items in roles.items()}
        for stem, roles in found.items()
    }


def _apart(a: Part, b: Part, unit: str = "std") -> float:
    """Log ratio of two parts where it is certain and large enough, else 0."""
    log = a.log(unit) - b.log(unit)
    sure = abs(log) > _ERRORS * math.hypot(a.error, b.error)
    return log if sure and abs(log) > math.log1p(LEAST) else 0.0


def _p(model: Context, a: Part, b: Part) -> float:
    z = (a.log() - b.log()) / math.hypot(a.error, b.error)
    return min(1.0, model.comparisons * two_sided(z))


def _depth_words(model: Context, ratio: float, blocks: int) -> str:
    """How a ratio below 1 is written with the number of blocks, if it is."""
    layers = max(blocks, 1)
    for text, value in (("1/sqrt(2 L)", (2 * layers) ** -0.5), ("1/sqrt(L)", layers**-0.5)):
        if layers > 1 and abs(ratio / value - 1.0) < 0.04:
            return f", which is {text} for L = {layers} blocks"
    return ""


def _gates(model: Context, stem: str, parts: dict[str, Part]) -> None:
    gate, up, down = (parts.get(r) for r in ("gate", "up", "down"))
    if gate is None or up is None or not _apart(gate, up):
        return
    small, large = (gate, up) if gate.log() < up.log() else (up, gate)
    ratio = math.exp(small.log() - large.log())
    told = (
        f"the {small.role} projections ({_example(small)}) have std {_std(small)}, {ratio:.3g} "
        f"times that of the {large.role} projections ({_example(large)})"
        f"{_depth_words(model, ratio, _blocks(small))}"
    )
    if down is not None and not _apart(down, large):
        told += (
            f". The scaling belongs on down ({_example(down)}), which ends the branch and has std "
            f"{_std(down)}"
        )
    elif down is not None:
        told += f". Down ({_example(down)}) has {_std(down)}; gate and up are drawn alike as a rule"
    model.find(
        "depth scaling on the wrong projection", [*small.items], told + ".", _p(model, gate, up)
    )


def _values(model: Context, stem: str, parts: dict[str, Part]) -> None:
    """Values scaled alone; DeepNorm scales them together with all of the feed-forward part."""
    k, v, up = (parts.get(r) for r in ("k", "v", "up"))
    if k is not None and v is not None:
        log = _apart(v, k)
        if log:
            like = [p for p in (up, parts.get("o")) if p is not None]
            together = any(all(abs(v.log(u) - p.log(u)) < LEAST for p in like) for u in UNITS)
            if up is None or not together:
                _differs(model, v, k, math.exp(log))
    q = parts.get("q")
    if q is not None and k is not None and _apart(q, k):
        ratio = math.exp(q.log() - k.log())
        heads = model.sizes.get("n_head", 0.0)
        width = q.items[0].entry.tensor.shape[0]
        per_head = {model.sizes.get("d_kv", 0.0), model.sizes.get("head_dim", 0.0)}
        per_head |= {width / heads} if heads else set()
        known = any(d > 0 and abs(ratio * math.sqrt(d) - 1.0) < 0.05 for d in per_head)
        fans = abs(q.log("sqrt(2/(fan_in+fan_out))") - k.log("sqrt(2/(fan_in+fan_out))")) < LEAST
        fans |= abs(q.log("1/sqrt(fan_out)") - k.log("1/sqrt(fan_out)")) < LEAST
        if not known and not fans:  # 1/sqrt(d) of the scores may be drawn into q, as T5 does
            _differs(model, q, k, ratio)


def _differs(model: Context, a: Part, b: Part, ratio: float) -> None:
    if any(abs(a.log(u) - b.log(u)) < LEAST for u in UNITS):
        return  # the same recipe for other fans
    words = _depth_words(model, min(ratio, 1 / ratio), _blocks(a))
    model.find(
        "projections differ", [*a.items],
        f"the {a.role} projections ({_example(a)}) have std {_std(a)}, {ratio:.3g} times that of "
        f"{b.role} ({_example(b)}){words}; scaling with depth belongs on the projection that ends "
        "the branch.", _p(model, a, b),
    )  # fmt: skip


def _ends(model: Context, stem: str, parts: dict[str, Part]) -> None:
    """One of the two branches is scaled with depth and the other is not."""
    o, down = parts.get("o"), parts.get("down")
    rest = [p for r, p in parts.items() if r in ("up", "gate", "gate up", "q", "k", "v", "qkv")]
    if o is None or down is None or not rest:
        return
    if any(abs(o.log(u) - down.log(u)) < LEAST for u in UNITS):
        return
    for unit in UNITS:
        logs = [p.log(unit) for p in rest]
        if max(logs) - min(logs) > LEAST:
            continue
        centre = float(np.median(logs))
        off = {p.role: p.log(unit) - centre for p in (o, down)}
        plain = [p for p in (o, down) if abs(off[p.role]) < LEAST]
        scaled = [p for p in (o, down) if off[p.role] < -math.log1p(LEAST)]
        if len(plain) == 1 and len(scaled) == 1:
            ratio = math.exp(off[scaled[0].role])
            model.find(
                "depth scaling on one branch", [*plain[0].items],
                f"{scaled[0].role} ({_example(scaled[0])}) is scaled down to std {_std(scaled[0])}"
                f", {ratio:.3g} of the other projections"
                f"{_depth_words(model, ratio, _blocks(o))}, and {plain[0].role} ({_example(plain[0])}, std "
                f"{_std(plain[0])}) is not: scale the "
                "ends of both branches, or neither.", _p(model, o, down),
            )  # fmt: skip
            return


def _before_ends(model: Context, stem: str, parts: dict[str, Part]) -> None:
    """What stands first in a branch is scaled with depth, and what ends it is not."""
    for first, last in (("up", "down"), ("qkv", "o")):
        a, b = parts.get(first), parts.get(last)
        if a is None or b is None or ("gate" in parts and first == "up"):
            continue
        blocks = _blocks(a)
        rest = [p for r, p in parts.items() if r not in (first, last)]
        if blocks < 2 or not rest:
            continue
        for unit in ("std", "1/sqrt(fan_in)", "sqrt(2/(fan_in+fan_out))"):
            ratio = math.exp(a.log(unit) - b.log(unit))
            like = any(abs(b.log(unit) - p.log(unit)) < LEAST for p in rest)
            if like and _apart(a, b, unit) and _depth_words(model, ratio, blocks):
                model.find(
                    "depth scaling on the wrong projection", [*a.items],
                    f"{first} ({_example(a)}) has std {_std(a)}"
                    f"{_depth_words(model, ratio, blocks)} beside {last} ({_example(b)}, "
                    f"std {_std(b)}): the scaling belongs on {last}, "
                    "which ends the branch.", _p(model, a, b),
                )  # fmt: skip
                break


def _blocks(part: Part) -> int:
    """Blocks of the stack: different first numbers in the names."""
    numbers = (_FIRST_NUMBER.search(i.name) for i in part.items)
    return len({m.group() for m in numbers if m})


def _example(part: Part) -> str:
    return listed([part.items[0].name], 1)


def _std(part: Part) -> str:
    return f"{math.exp(part.log()):.4g}"
