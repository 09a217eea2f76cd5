"""Faults of the kinds that public reports tell of, put into a model that was initialised well."""

import math
import re
from collections import defaultdict

import torch
from audit_models import DOWNS, ENDS, LAYERS, VOCAB

nn, init = torch.nn, torch.nn.init
DEEP = 0.02 / math.sqrt(2 * LAYERS)


class NotHere(Exception):
    """The model has no place for the fault."""


def matrices(model, pattern=""):
    found = [(n, p) for n, p in model.named_parameters() if p.dim() >= 2 and re.search(pattern, n)]
    if not found:
        raise NotHere
    return found


def siblings(model):
    """The longest series of matrices of one shape."""
    groups = defaultdict(list)
    for name, p in matrices(model):
        groups[re.sub(r"(^|\.)\d+(?=\.)", r"\1*", name), tuple(p.shape)].append(p)
    found = max(groups.values(), key=len)
    if len(found) < 2:
        raise NotHere
    return found


def vectors(model, test, pattern=""):
    found = [
        p for n, p in model.named_parameters()
        if p.dim() == 1 and test(p) and re.search(pattern, n)
    ]  # fmt: skip
    if not found:
        raise NotHere
    return found


def is_uniform(w):
    return float(w.abs().max() / w.std()) < 1.8


def other_law(model):
    w = siblings(model)[1]
    std = float(w.std())
    if is_uniform(w):
        init.normal_(w, 0.0, std)
    else:
        init.uniform_(w, -std * math.sqrt(3), std * math.sqrt(3))


def cut_at_two_sigma(model):
    w = siblings(model)[1]
    if is_uniform(w):
        raise NotHere
    sigma = float(w.std()) / 0.8796
    init.trunc_normal_(w, 0.0, sigma, -2 * sigma, 2 * sigma)


def denormals(model):
    w = siblings(model)[0]
    w.copy_(torch.randint(0, 100, w.shape, dtype=torch.int32).view(torch.float32))


def bias_not_zero(model):
    found = vectors(model, lambda p: not p.any(), r"^(?!.*([Nn]orm|ln|bn)).*bias")
    init.normal_(found[len(found) // 2], 0.0, 0.02)


def gain_of_a_half(model):
    found = vectors(model, lambda p: (p == 1).all())
    found[len(found) // 2].fill_(0.5)


def all_gains_zero(model):
    for p in vectors(model, lambda p: (p == 1).all()):
        p.zero_()


def shift_drawn(model):
    found = vectors(model, lambda p: not p.any(), r"([Nn]orm|ln_?|bn)\w*\.bias")
    init.normal_(found[len(found) // 2], 0.0, 0.1)


def tables(model):
    found = [m for m in model.modules() if isinstance(m, nn.Embedding)]
    if not found:
        raise NotHere
    return found


def embedding_drawn_by_torch(model):
    init.normal_(tables(model)[0].weight)


def positions_drawn_by_torch(model):
    if len(tables(model)) < 2:
        raise NotHere
    init.normal_(tables(model)[1].weight)


def scaled(model, pattern, factor):
    for _, p in matrices(model, pattern):
        p.mul_(factor)


def depth_scaling_on_up(model):
    scaled(model, r"(w3|up_proj)\.weight", (2 * LAYERS) ** -0.5)
    for _, p in matrices(model, DOWNS):
        init.normal_(p, 0.0, 0.02)


def depth_scaling_on_values(model):
    scaled(model, r"(wv|v_proj|value)\.weight", (2 * LAYERS) ** -0.5)


def depth_scaling_on_one_branch(model, o=DEEP, down=0.02):
    for pattern, std in ((ENDS, o), (DOWNS, down)):
        for _, p in matrices(model, pattern):
            init.normal_(p, 0.0, std)


def fused_xavier(model):
    for _, p in matrices(model, r"c_attn\.weight"):
        init.xavier_uniform_(p)


def part_of_the_fused_matrix(model):
    for _, p in matrices(model, r"c_attn\.weight"):
        d = min(p.shape)
        (p[:d] if p.shape[0] > d else p[:, :d]).mul_(0.5)


def every_matrix(model, std):
    tables(model)  # only where one std for all is usual
    for _, p in matrices(model):
        init.normal_(p, 0.0, std)


def variance_of_he(model):
    if any(isinstance(m, (nn.Embedding, nn.LayerNorm)) for m in model.modules()):
        raise NotHere
    for _, p in matrices(model):
        init.normal_(p, 0.0, 2.0 / p[0].numel())


def one_left_at_default(model):
    w = siblings(model)[1]
    if is_uniform(w):
        raise NotHere
    init.kaiming_uniform_(w, math.sqrt(5))


def role_left_at_default(model):
    for _, p in matrices(model, ENDS):
        init.kaiming_uniform_(p, math.sqrt(5))


def head_left_at_default(model):
    head = getattr(model, "lm_head", getattr(model, "output", None))
    if head is None or len(head.weight) != VOCAB:
        raise NotHere
    head.weight = nn.Parameter(torch.empty_like(head.weight))  # no longer tied
    init.kaiming_uniform_(head.weight, math.sqrt(5))


def one_seed_for_all(model):
    for _, p in matrices(model):
        if is_uniform(p):
            raise NotHere
        std = float(p.std())
        torch.manual_seed(1)
        init.normal_(p, 0.0, std)


def all_rows_the_same(model):
    w = siblings(model)[1]
    w.copy_(w[:1].clone().expand_as(w))


def half_is_a_copy(model):
    w = siblings(model)[1]
    half = len(w) // 2
    w[half : 2 * half] = w[:half].clone()


def from_zero_to_one(model):
    w = siblings(model)[1]
    init.uniform_(w, 0.0, float(w.std()) * math.sqrt(12))


def one_outlier(model):
    w = siblings(model)[1]
    w.view(-1)[5] = 100.0 * float(w.std())


FAULTS = {
    "a layer 1.5 times as large": lambda m: siblings(m)[len(siblings(m)) // 2].mul_(1.5),
    "a layer 1.2 times as large": lambda m: siblings(m)[1].mul_(1.2),
    "the last layer twice as large": lambda m: siblings(m)[-1].mul_(2.0),
    "the first layer smaller": lambda m: siblings(m)[0].mul_(0.7),
    "a layer of zeros": lambda m: siblings(m)[1].zero_(),
    "all zero": lambda m: [p.zero_() for p in m.parameters()],
    "another law": other_law,
    "one layer cut at two sigma": cut_at_two_sigma,
    "a layer copied": lambda m: siblings(m)[-1].copy_(siblings(m)[0]),
    "a NaN": lambda m: siblings(m)[1].view(-1)[3].fill_(math.nan),
    "memory nobody wrote to": denormals,
    "all entries 0.01": lambda m: siblings(m)[1].fill_(0.01),
    "all rows the same": lambda m: siblings(m)[1].copy_(
        siblings(m)[1][:1].expand_as(siblings(m)[1])
    ),
    "half is a copy": half_is_a_copy,
    "drawn from 0 to 1": from_zero_to_one,
    "a mean": lambda m: siblings(m)[1].add_(float(siblings(m)[1].std())),
    "one outlier": one_outlier,
    "a bias that is not zero": bias_not_zero,
    "a gain of a half": gain_of_a_half,
    "all gains zero": all_gains_zero,
    "a shift that was drawn": shift_drawn,
    "the embedding as torch draws it": embedding_drawn_by_torch,
    "positions as torch draws them": positions_drawn_by_torch,
    "depth scaling on up, not on down": depth_scaling_on_up,
    "depth scaling on values": depth_scaling_on_values,
    "depth scaling on attention alone": depth_scaling_on_one_branch,
    "depth scaling on feed-forward alone": lambda m: depth_scaling_on_one_branch(m, 0.02, DEEP),
    "Xavier over the fused matrix": fused_xavier,
    "queries half as large in the fused matrix": part_of_the_fused_matrix,
    "std squared": lambda m: every_matrix(m, 0.02**2),
    "variance for std": lambda m: every_matrix(m, math.sqrt(0.02)),
    "variance for std in He's rule": variance_of_he,
    "one layer left at the default": one_left_at_default,
    "one role left at the default": role_left_at_default,
    "the head left at the default": head_left_at_default,
    "one seed for every layer": one_seed_for_all,
}
