"""Layers of a series that differ from their siblings, or follow a trend in depth."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from chione.base import Array
from chione.torch.audits.context import Context, series
from chione.torch.audits.items import LEAST, Item
from chione.torch.audits.report import template

# Entries above which normal and uniform laws are never confused.
_TELLS_SHAPE = 400
_BEYOND = 1.15  # times the cut of its siblings: further out than rounding or luck


def find_series(model: Context) -> None:
    """Add what differs within series."""
    for group in series(model.items):
        group = [i for i in group if i.found.kind != "garbage" and i.role != "magnitude"]
        if len(group) < 2:
            continue
        if not _laws(model, group) and not _cuts(model, group):
            _spreads(model, [i for i in group if i.found.random or i.found.drawn])


def _laws(model: Context, group: list[Item]) -> bool:
    """Members whose law is another one; whether there were some."""
    labels = [_label(i) for i in group]
    counts = Counter(labels)
    if len(counts) == 1:
        return False
    usual, most = counts.most_common(1)[0]
    if "" in counts and len(counts) == 2:  # too few entries to tell; may be like the others
        return False
    if len(group) == 2 and _plain(model, group[1]) and not _plain(model, group[0]):
        usual = labels[1]
    odd = [i for i, label in zip(group, labels, strict=True) if label not in (usual, "")]
    if not odd:
        return False
    what = "; ".join(f"{i.name} is {i.found.words}" for i in odd[:3])
    if len(odd) > 3:
        what += f"; and {len(odd) - 3} more"
    like = next(i for i, label in zip(group, labels, strict=True) if label == usual)
    frozen = {i.entry.frozen for i in odd} != {like.entry.frozen}
    told = f"{what}, while {most} of {len(group)} of {template(odd[0].name)} are like {like.name}: "
    told += f"{like.found.words}."
    if frozen:
        model.remark("series differs", odd, told)
    else:
        model.find("series differs", odd, told, model.level / model.comparisons)
    return True


def _plain(model: Context, item: Item) -> bool:
    """Whether a rule explains it: PyTorch's default, or what most matrices of the model follow."""
    return item.is_default or (model.style is not None and item in model.style.members)


def _label(item: Item) -> str:
    """The law as far as it can be told with so many entries; empty where it cannot."""
    kind, n = item.found.kind, item.found.summary.n
    if kind in ("constant", "orthogonal", "identity", "dirac", "delta-orthogonal"):
        return f"{kind} {item.found.value:.3g}" if kind == "constant" else kind
    if kind in ("zeros", "ones", "sinusoidal", "two values", "repeated rows"):
        return kind
    if kind == "undecided" or n < _TELLS_SHAPE:
        return "drawn" if n < _TELLS_SHAPE and item.std > 0.0 else ""
    if kind in ("normal", "truncated normal"):
        return "normal"  # told apart by their largest entries
    if kind in ("mixed", "rows differ"):
        return f"{kind} {item.found.along} {len(item.found.blocks)}"
    return kind


def _cuts(model: Context, group: list[Item]) -> bool:
    """Whether some members are cut and others reach beyond that cut."""
    cut = [i for i in group if i.found.kind == "truncated normal"]
    if not cut:
        return False
    furthest = max(_largest(i) for i in cut)
    beyond = [
        i for i in group if i.found.kind == "normal" and _largest(i) > _BEYOND * furthest
    ]  # fmt: skip
    if not beyond:
        return False
    odd, usual = (beyond, cut) if len(beyond) <= len(cut) else (cut, beyond)
    what = "reaches" if odd is beyond else "ends at"
    told = "; ".join(f"{i.name} {what} {_largest(i):.3g} sigma" for i in odd[:4])
    model.find(
        "series differs", odd,
        f"{told}, while {len(usual)} of {len(group)} of {template(odd[0].name)} "
        f"{'end at' if odd is beyond else 'reach'} {_largest(usual[0]):.3g} (such as "
        f"{usual[0].name}: {usual[0].found.words}).", model.level / model.comparisons,
    )  # fmt: skip
    return True


def _largest(item: Item) -> float:
    """The largest entry in standard deviations."""
    s = item.found.summary
    return max(s.high - s.mean, s.mean - s.low) / s.std if s.std > 0.0 else 0.0


def _spreads(model: Context, group: list[Item]) -> None:
    if len(group) < 2:
        return
    logs = np.array([i.log_std for i in group])
    errors = np.array([i.error for i in group])
    centre = _centre(logs)
    away = logs - centre
    room = np.hypot(errors, np.median(errors) / math.sqrt(len(group)))
    p = np.array([model.corrected(z) for z in away / room])
    odd = (np.abs(away) > math.log1p(LEAST)) & (p < model.level)
    if not odd.any() or _trend(model, group, logs, errors):
        return
    names = [i for i, yes in zip(group, odd, strict=True) if yes]
    usual = math.exp(centre)
    if len(group) == 2:
        names = [i for i in group if not _plain(model, i)] or group
        told = (
            f"{group[0].name} has std {group[0].std:.4g} and {group[1].name} {group[1].std:.4g}, "
            "though they have one role and one shape"
        )
    else:
        told = "; ".join(f"{i.name} has std {i.std:.4g}" for i in names[:4])
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        told += f"{more}, {_times(math.exp(float(away[odd][0])))} the {usual:.4g} of "
        told += f"{len(group) - len(names)} of {len(group)} of {template(names[0].name)}"
    model.find("series differs", names, f"{told} (p = {p[odd].min():.1e}).", float(p[odd].min()))


def _centre(logs: Array) -> float:
    """The value that most members are near to; the median where none is."""
    near = (np.abs(logs[:, None] - logs[None, :]) < math.log1p(LEAST)).sum(axis=1)
    best = int(np.argmax(near))
    return float(np.median(logs[np.abs(logs - logs[best]) < math.log1p(LEAST)]))


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if ratio >= 0.01 else f"{ratio:.1e} times"


def _trend(model: Context, group: list[Item], logs: Array, errors: Array) -> bool:
    """Whether the spread follows a power or an exponential of the layer: meant, so a note."""
    if len(group) < 4:
        return False
    at = np.arange(len(group), dtype=np.float64)
    for x, words in ((np.log(at + 1.0), "l^{:.2f}"), (at, "exp({:.3g} l)")):
        centred = x - x.mean()
        slope = float(centred @ logs / (centred @ centred))
        miss = np.abs(logs - logs.mean() - slope * centred)
        if np.all(miss <= np.maximum(0.5 * LEAST, 4.0 * errors)):
            model.remark(
                "depth trend", group,
                f"{template(group[0].name)}: the std follows {words.format(slope)} over "
                f"{len(group)} layers, from {group[0].std:.3g} to {group[-1].std:.3g}.",
            )  # fmt: skip
            return True
    return False
