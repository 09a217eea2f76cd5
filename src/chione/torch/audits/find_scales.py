"""Spreads that break the rule of the model: fused Xavier, embeddings, variances, defaults left."""

from __future__ import annotations

import math
from collections.abc import Callable

from chione.torch.audits.context import Context, listed
from chione.torch.audits.items import LEAST, Item
from chione.torch.audits.report import template

_EMBEDDING = 10.0  # times the std of everything else
_LOGITS = 4.0  # rms of logits whose first loss is far above that of a uniform guess
_FEWEST = 4
_KNOWN = ("q", "k", "v", "qkv", "kv", "o", "gate", "up", "gate up", "down", "head")
_VARIANCES: dict[str, Callable[[float, float], float]] = {
    "1/fan_in": lambda fan_in, fan_out: 1.0 / fan_in,
    "2/fan_in": lambda fan_in, fan_out: 2.0 / fan_in,
    "2/(fan_in+fan_out)": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),
}
_FUSED = {"qkv": 3, "kv": 2, "gate up": 2}


def find_scales(model: Context) -> None:
    """Add what is out of the scale that the model keeps."""
    _fused(model)
    _mixed(model)
    _embeddings(model)
    _tied(model)
    variances = _variances(model)
    if not variances:
        _defaults(model)
        _deviants(model)


# ---- several matrices in one tensor ----------------------------------------------------------


def _fused(model: Context) -> None:
    """Xavier's fan_out counts all of the fused matrices, and each becomes too small."""
    hit: list[Item] = []
    own: list[Item] = []
    for item in model.matrices:
        parts = _parts(item)
        if parts < 2 or item.is_default:
            continue
        fan_in, fan_out = item.entry.fan_in, item.entry.fan_out
        fused = math.sqrt(2.0 / (fan_in + fan_out))
        if abs(math.log(item.std / fused)) > max(0.02, 4.0 * item.error):
            continue
        style = model.style
        one_std = style is not None and item in style.members and style.unit == "std"
        if one_std and style and len({i.entry.tensor.shape for i in style.members}) > 2:
            continue  # one std for all shapes happens to be near
        (own if item.entry.kind == "MultiheadAttention" else hit).append(item)
    for items, add in ((hit, True), (own, False)):
        if not items:
            continue
        one, n = items[0], _parts(items[0])
        apart = math.sqrt(2.0 / (one.entry.fan_in + one.entry.fan_out / n))
        told = (
            f"{listed([i.name for i in items])}: std {one.std:.4g} is Xavier's for the fused "
            f"{one.entry.fan_out:.0f} x {one.entry.fan_in:.0f} matrix; its {n} parts are matrices "
            f"of their own, for which it is {apart:.4g}"
        )
        if add:
            model.find(
                "Xavier over a fused matrix", items, f"{told}. Initialise the parts one by one."
            )
        else:
            model.remark(
                "Xavier over a fused matrix", items,
                f"{told}. nn.MultiheadAttention does so by itself.",
            )  # fmt: skip


def _parts(item: Item) -> int:
    """How many matrices a tensor holds: by role and shape."""
    parts = _FUSED.get(item.role, 1)
    if item.role == "qkv":
        ratio = item.entry.fan_out / max(item.entry.fan_in, 1.0)
        return 3 if abs(ratio - 3.0) < 1e-9 else 1
    return parts


def _mixed(model: Context) -> None:
    """Blocks of rows or columns with spreads of their own."""
    for item in model.items:
        found = item.found
        if found.kind != "mixed" or not item.is_matrix or found.inner == "constant":
            continue
        stds = [b.std for b in found.blocks]
        parts = "; ".join(f"{found.along} {b.start}:{b.stop} std {b.std:.3g}" for b in found.blocks)
        dead = [b for b in found.blocks if b.std == 0.0]
        if dead and item.role not in ("qkv", "kv"):
            model.remark("blocks differ", [item], f"{item.name} has blocks of zeros: {parts}.")
            continue
        model.find(
            "blocks differ", [item],
            f"{item.name} ({item.role}) is made of {len(stds)} blocks with laws of their own: "
            f"{parts} (p = {found.p:.1e}); initialise its parts alike, or declare them.",
            min(1.0, found.p * model.comparisons),
        )  # fmt: skip


# ---- embeddings ------------------------------------------------------------------------------


def _embeddings(model: Context) -> None:
    tables = [
        i for i in model.items if i.role in ("embedding", "position") and i.found.drawn
        and i.entry.tensor.dim() == 2 and i.std > 0.0
    ]  # fmt: skip
    style = model.style
    if not tables or not model.matrices:
        return
    if model.has_small_style and style is not None:
        typical = math.exp(_median([i.log_std for i in style.members]))
        large = [i for i in tables if i.std > _EMBEDDING * typical and i.std > 0.2]
        if large:
            model.find(
                "embedding scale", large,
                f"{listed([i.name for i in large])}: std {large[0].std:.3g}, "
                f"{large[0].std / typical:.3g} times the {typical:.3g} of the other matrices: "
                "nn.Embedding draws N(0, 1) by itself; initialise it like the rest.",
            )  # fmt: skip
            return
    elif not model.custom:
        return
    small = [
        (i, j) for i in tables for j in tables
        if i.role == j.role == "embedding" and i.std > _EMBEDDING * j.std
        and i.entry.tensor.shape[1] == j.entry.tensor.shape[1]
    ]  # fmt: skip
    if small:
        i, j = small[0]
        model.find(
            "embedding scale", [i],
            f"{i.name} has std {i.std:.3g}, {i.std / j.std:.3g} times that of {j.name}, to which "
            "it is added; initialise all tables alike.",
        )  # fmt: skip


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _tied(model: Context) -> None:
    """An embedding drawn for its own sake that is the head as well."""
    for item in model.items:
        entry = item.entry
        tied = entry.aliases and item.role in ("embedding", "head") and entry.tensor.dim() == 2
        if not tied or entry.detail.get("scaled") or not item.found.drawn:
            continue
        logits = item.std * math.sqrt(entry.tensor.shape[1])
        told_already = any(item.name in f.names for f in model.findings)
        heads = any("embed" not in a.rpartition(".")[0].rpartition(".")[2] for a in entry.aliases)
        seen_head = "order" in entry.detail
        if logits > _LOGITS and not told_already and heads and seen_head:
            model.find(
                "tied embedding", [item],
                f"{item.name} is tied to {entry.aliases[0]}: behind a norm its std {item.std:.3g} "
                f"makes logits of size {logits:.3g} and a first loss far above log(n); draw it "
                f"with std {1 / math.sqrt(entry.tensor.shape[1]):.2g} or 0.02, or scale the "
                "logits.",
            )  # fmt: skip


# ---- std and variance ------------------------------------------------------------------------


def _variances(model: Context) -> bool:
    """Whether the std of most matrices is the variance, or the root of the std, of a recipe."""
    pool = [i for i in model.custom if i.role not in ("embedding", "position")]
    pool = [i for i in pool if not i.entry.frozen]
    style = model.style
    if style is None or len(pool) < 3:
        return False
    if style.unit == "std" and 2 * len(style.members) >= len(pool):
        for usual in {0.02, model.sizes.get("initializer_range", 0.02)}:
            for value, words in ((usual**2, "variance"), (math.sqrt(usual), "root")):
                if abs(style.value / value - 1.0) < 0.03:
                    _mixed_up(model, list(style.members), value, usual, words)
                    return True
    for words, rule in _VARIANCES.items():
        for power, what in ((1.0, "variance"), (0.25, "root")):
            hit = [
                i for i in pool
                if abs(i.log_std - power * math.log(rule(i.entry.fan_in, i.entry.fan_out)))
                < max(0.02, 4.0 * i.error)
            ]  # fmt: skip
            fans = {(i.entry.fan_in, i.entry.fan_out) for i in hit}
            more = len(hit) > len(style.members) or (len(hit) == len(pool) and len(fans) > 1)
            if len(hit) >= 3 and len(fans) > 1 and 2 * len(hit) >= len(pool) and more:
                model.find(
                    "std and variance mixed up", hit,
                    f"{listed([i.name for i in hit])}: the std is ({words})^{power:g}, where that "
                    f"expression is a variance, whose root is the std"
                    f"{' (the root was taken twice)' if what == 'root' else ''}.",
                )  # fmt: skip
                return True
    return False


def _mixed_up(model: Context, items: list[Item], value: float, usual: float, words: str) -> None:
    how = (
        f"{usual:g}^2: {usual:g} was squared, and the variance passed as a std"
        if words == "variance"
        else f"sqrt({usual:g}): {usual:g} was passed as a variance"
    )
    model.find(
        "std and variance mixed up", items,
        f"{listed([i.name for i in items])}: the std {value:.4g} is {how}; normal_ takes the std.",
    )  # fmt: skip


def _in_state_space(model: Context, item: Item) -> bool:
    """Whether it stands beside the decays of a state-space layer, whose recipe is of its own."""
    parent = item.entry.module.rpartition(".")[0]
    return any(
        i.entry.module == parent and i.entry.leaf in ("A_log", "dt_bias") for i in model.items
    )


# ---- the rule of the model -------------------------------------------------------------------


def _defaults(model: Context) -> None:
    """Matrices that were left as PyTorch draws them, beside others of their class that were not."""
    style = model.style
    if style is None:
        return
    left = [
        i for i in model.matrices
        if i.is_default and i.found.kind == "uniform" and not i.entry.frozen
        and not i.role.startswith("recurrent") and i.role not in ("lora a", "router")
    ]  # fmt: skip
    templates = {template(i.name) for i in style.members}
    known = [i for i in left if i.role in _KNOWN or template(i.name) in templates]
    known = [i for i in known if not _in_state_space(model, i)]
    other = [i for i in left if i not in known]
    if other and len(style.members) >= _FEWEST:
        model.remark(
            "PyTorch's default", other,
            f"{listed([i.name for i in other])}: uniform within 1/sqrt(fan_in), as PyTorch draws "
            f"by itself, beside {len(style.members)} matrices that follow {style.words}.",
        )  # fmt: skip
    for kind in {i.entry.kind for i in known}:
        own = [i for i in known if i.entry.kind == kind]
        set_ = [i for i in style.members if i.entry.kind == kind and i.found.kind != "uniform"]
        if len(set_) < _FEWEST or len(own) > len(set_):
            continue
        model.find(
            "left at PyTorch's default", own,
            f"{listed([i.name for i in own])}: uniform within 1/sqrt(fan_in), as "
            f"{kind or 'PyTorch'} draws by itself, while {len(set_)} others follow "
            f"{style.words} ({set_[0].found.words}); they were not reached by the initialisation.",
        )  # fmt: skip


def _deviants(model: Context) -> None:
    """Matrices out of line with a rule that nearly all others of the model follow."""
    style = model.style
    if style is None or len(style.members) < _FEWEST:
        return
    plain = ("hidden", "up", "gate", "q", "k", "v", "qkv", "input", "conv")
    pool = [i for i in (*style.members, *style.others) if i.role in plain]
    inside = [i for i in pool if i in style.members]
    odd = [i for i in pool if i not in style.members]
    if not odd or len(odd) > max(1, len(inside) // 4) or len(inside) < _FEWEST:
        return
    told = {n for f in model.findings for n in f.names}
    for item in odd:
        same = [i for i in inside if i.entry.kind == item.entry.kind]
        if item.name in told or len(same) < _FEWEST or item.role == "input" or _ends(model, item):
            continue
        if item.role not in _KNOWN and template(item.name) not in {template(i.name) for i in same}:
            continue  # alone of its kind: its recipe may be of its own, as that of a time embedding
        log = item.in_units(style.unit) - math.log(style.value)
        p = model.corrected(log / item.error)
        if abs(log) > math.log1p(2.0 * LEAST) and p < model.level:
            model.find(
                "out of line", [item],
                f"{item.name} ({item.role}) has std {item.std:.4g}, {math.exp(log):.3g} times what "
                f"{len(inside)} others follow ({style.words}; p = {p:.1e}).", p,
            )  # fmt: skip


def _ends(model: Context, item: Item) -> bool:
    """First and last matrices, and ends of branches, often have a scale of their own."""
    order = model.matrices
    return item in (order[0], order[-1]) or bool(item.entry.detail.get("branch end"))
