"""Tensors that are wrong by themselves: garbage, zeros, copies of units, rounding, outliers."""

from __future__ import annotations

import math

import numpy as np

from chione.torch.audits.context import Context, listed
from chione.torch.audits.items import Item

# Roles whose zeros are meant: the branch or the output starts as nothing.
_MAY_BE_ZERO = frozenset(
    ("o", "down", "head", "lora b", "position", "q", "scale", "router", "norm shift", "bias")
)
_USUAL_CUTS = (2.0, 3.0)
_MEAN = 0.1  # of the std; less moves no signal that noise does not
_FAR = 8.0  # sigma that no draw of fewer than 1e14 numbers reaches


def find_values(model: Context) -> None:
    """Add what is wrong with single tensors."""
    _garbage(model)
    _zeros(model)
    for item in model.items:
        if item.is_matrix or item.role in ("embedding", "position"):
            _units(model, item)
            _rounding(model, item)
            _outliers(model, item)
    _means(model)


def _garbage(model: Context) -> None:
    bad = [i for i in model.items if i.found.kind == "garbage"]
    if bad:
        model.find(
            "not initialised", bad,
            f"{listed([f'{i.name} ({i.found.words})' for i in bad])}: this is what memory holds "
            "before anybody writes to it (torch.empty, to_empty); initialise these parameters.",
        )  # fmt: skip


def _zeros(model: Context) -> None:
    matrices = [i for i in model.items if i.is_matrix or _is_table(i)]
    zero = [i for i in matrices if i.found.kind == "zeros"]
    if matrices and len(zero) == len(matrices):
        model.find(
            "not initialised", zero,
            f"all {len(zero)} weight matrices are zero, so nothing passes and no gradient returns; "
            "after to_empty or a failed load, initialise the model.",
        )  # fmt: skip
        return
    wrong = [i for i in zero if not _meant(model, i)]
    if wrong:
        model.find(
            "zero weights", wrong,
            f"{listed([i.name for i in wrong])}: all entries are zero where a signal has to pass; "
            "initialise them, or put the zeros at the end of a residual branch.",
        )  # fmt: skip
    _dead_products(model)
    meant = [i for i in zero if i not in wrong]
    if meant:
        model.remark(
            "starts as nothing", meant,
            f"{listed([i.name for i in meant])}: zero, so that their branch or output starts as "
            "nothing. Such a layer learns from the second step on.",
        )  # fmt: skip


def _is_table(item: Item) -> bool:
    """An embedding of more rows than the one of a class or mask token, which may be zero."""
    return item.role == "embedding" and item.found.summary.n > item.found.summary.shape[-1]


def _meant(model: Context, item: Item) -> bool:
    """Whether zeros of a matrix are a known way to start."""
    if item.role in _MAY_BE_ZERO or item.entry.detail.get("branch end") or item.entry.frozen:
        return True
    words = item.name.lower()
    known = (
        "zero",
        "ada",
        "modulation",
        "gate_proj_out",
        "proj_out",
        "lora_b",
        "out_conv",
        "final",
    )
    if any(word in words for word in known):
        return True
    # the last map of every block of a series, where the graph did not tell
    order = [i for i in model.items if i.entry.module.rpartition(".")[0] ==
             item.entry.module.rpartition(".")[0] and i.is_matrix]  # fmt: skip
    return len(order) > 1 and order[-1].name == item.name and item.entry.evidence != "graph"


def _dead_products(model: Context) -> None:
    """LoRA with A = B = 0: each takes the gradient of the other away."""
    by_module: dict[str, dict[str, Item]] = {}
    for item in model.items:
        if item.role in ("lora a", "lora b"):
            key = item.name.lower().replace("lora_a", "lora").replace("lora_b", "lora")
            by_module.setdefault(key, {})[item.role] = item
    dead = [
        pair for pair in by_module.values()
        if len(pair) == 2 and all(i.found.kind == "zeros" for i in pair.values())
    ]  # fmt: skip
    if dead:
        both = [i for pair in dead for i in pair.values()]
        model.find(
            "zero product", both,
            f"{listed([i.name for i in both])}: both factors of a product are zero, so neither "
            "ever gets a gradient; draw A at random and keep B = 0.",
        )  # fmt: skip


def _units(model: Context, item: Item) -> None:
    shape = item.entry.tensor.shape
    if item.entry.frozen or len(shape) < 2 or min(shape[0], item.entry.tensor[0].numel()) < 2:
        return
    kind = item.found.kind
    if kind in ("constant", "ones") or (kind == "repeated rows" and item.is_matrix):
        value = f" = {item.found.value:.3g}" if kind == "constant" else ""
        model.find(
            "units are copies", [item],
            f"{item.name}: {'all entries are equal' if kind != 'repeated rows' else 'all rows are'}"
            f"{value or ' the same'}, so that all units compute the same and get the same "
            "gradient; draw the weights at random.",
        )  # fmt: skip


def _means(model: Context) -> None:
    """Random matrices whose entries are not centred: signals get a mean that grows with the fan."""
    off = []
    for item in model.items:
        s = item.found.summary
        drawn = (item.is_matrix or item.role == "embedding") and item.found.random and s.std > 0.0
        if not drawn or item.found.kind == "orthogonal" or s.n < 16:
            continue
        z = s.mean / s.std * math.sqrt(s.n)
        if abs(s.mean) > _MEAN * s.std and model.corrected(z) < model.level:
            off.append((item, z))
    if off:
        names = [f"{i.name} ({i.found.words})" for i, _ in off]
        p = max(model.corrected(z) for _, z in off)
        model.find(
            "mean not zero", [i for i, _ in off],
            f"{listed(names)}: the mean is {off[0][0].found.summary.mean:.3g}, "
            f"{abs(off[0][0].found.summary.mean) / off[0][0].std:.2g} of the std, where weights "
            f"are drawn around 0 (p = {p:.1e}); torch.rand draws from 0 to 1.", p,
        )  # fmt: skip


def _rounding(model: Context, item: Item) -> None:
    s, found = item.found.summary, item.found
    if s.dtype == "float16" and s.zero > max(3, 0.01 * s.n) and s.zero < s.n:
        model.find(
            "underflow", [item],
            f"{item.name}: {s.zero / s.n:.1%} of the entries are zero in float16, whose smallest "
            f"number is 6e-8, at std {s.std:.2g}; draw in float32, or with a larger std.",
        )  # fmt: skip
    if found.kind != "truncated normal" or found.cut < 3.02:
        return
    if s.bits < 24 and all(abs(found.cut - usual) > 0.02 * usual for usual in _USUAL_CUTS):
        model.find(
            "tail cut by rounding", [item],
            f"{item.name}: no entry lies beyond {found.cut:.3g} sigma, where a normal law of "
            f"{s.n} entries reaches {_reach(s.n):.2g}: drawn from too few random bits "
            f"({s.dtype}); draw in float32 and cast.", found.p,
        )  # fmt: skip


def _reach(n: int) -> float:
    """Where the largest of n normal numbers lies."""
    return math.sqrt(2.0 * math.log(max(n, 2)))


def _outliers(model: Context, item: Item) -> None:
    s = item.found.summary
    if s.n < 100 or s.std == 0.0 or item.found.kind not in ("other", "sparse", "rows differ"):
        return
    x = s.entries
    middle = float(np.median(x))
    spread = float(np.median(np.abs(x - middle))) / 0.6745
    if spread <= 0.0:
        return
    far = max(s.high - middle, middle - s.low) / spread
    beyond = float(np.mean(np.abs(x - middle) > 5.0 * spread))
    if far > _FAR and beyond < 1e-3 and item.found.kind == "other":
        model.find(
            "outliers", [item],
            f"{item.name}: the largest entry stands {far:.3g} sigma out "
            f"({max(abs(s.low), abs(s.high)):.3g} beside a std of {spread:.3g}), which no normal "
            "draw reaches; trunc_normal_ with a cut far out puts rounding errors there.",
        )  # fmt: skip
