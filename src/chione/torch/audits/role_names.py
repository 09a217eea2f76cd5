"""Roles from names: the last resort where a model cannot be run, the only one for a checkpoint."""

from __future__ import annotations

import re

_BRANCH = r"(attn|attention|self_attn|self|crossattention|cross_attn|mixer)"
# The first pattern that matches the path (without ".weight") gives the role.
_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"lora_?a(\.|$)", "lora a"),
    (r"lora_?b(\.|$)", "lora b"),
    (r"(wpe|pos_?embed\w*|position\w*_?embed\w*|pos_?emb|positional_embedding|pos_encoding)"
     r"(\.|$)", "position"),
    (r"(wte|wte_?emb\w*|tok(en)?s?_?emb\w*|token_embedding|embed_tokens|embed_in|word_?embed\w*|"
     r"embeddings?|shared|token_type_embeddings|cls_token|class_token|class_embedding|mask_token|"
     r"embed)$", "embedding"),
    (r"(ln|norm|bn|layer_?norm|rms_?norm|layernorm)[_\w]*$", "norm gain"),
    (r"(^|\.)(\w*norm|ln_\w+|ln\d*|bn\d*)$", "norm gain"),
    (r"(router|gate\.wg|mlp\.gate|moe\.gate|block_sparse_moe\.gate)$", "router"),
    (r"(c_attn|qkv(_proj)?|in_proj(_weight)?|query_key_value|wqkv|w_qkv|to_qkv|attn_qkv)$", "qkv"),
    (r"(to_kv|kv_proj|wkv)$", "kv"),
    (r"(q_proj|query|wq|to_q|q_lin|w_q|q|query_proj|linear_q)$", "q"),
    (r"(k_proj|key|wk|to_k|k_lin|w_k|k|key_proj|linear_k)$", "k"),
    (r"(v_proj|value|wv|to_v|v_lin|w_v|v|value_proj|linear_v)$", "v"),
    (rf"{_BRANCH}[\w.]*\.(c_proj|out_proj|o_proj|o|dense|proj|wo|to_out(\.0)?|output\.dense|"
     r"out_lin|o_lin)$", "o"),
    (r"(o_proj|wo|to_out(\.0)?|attn_out|attention\.output\.dense|out_lin|w_o)$", "o"),
    (r"(gate_up_proj|gate_and_up|w12|wi_fused)$", "gate up"),
    (r"(gate_proj|w1|wi_0|w_gate|gate|fc1_g|linear_gate)$", "gate"),
    (r"(up_proj|w3|wi_1|w_up|c_fc|fc1|fc_in|intermediate\.dense|linear1|lin1|wi|dense_h_to_4h|"
     r"fc1_x|w_in)$", "up"),
    (r"(down_proj|w2|c_proj|fc2|fc_out|output\.dense|linear2|lin2|wo|dense_4h_to_h|w_down|w_out)$",
     "down"),
    (r"(lm_head|head|heads\.head|classifier|score|output|logits|fc|cls\.predictions\.decoder|"
     r"embed_out|unembed|policy_head|value_head|qa_outputs)$", "head"),
    (r"weight_ih_l\d+\w*$|w_ih$", "recurrent input"),
    (r"weight_hh_l\d+\w*$|w_hh$", "recurrent"),
    (r"(conv\w*|downsample\.0|patch_embed\.proj|patch_embedding)$", "conv"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern), role) for pattern, role in _PATTERNS)
_WEIGHT = re.compile(r"^w\d*$|^w_|weight|kernel|proj|matrix|^original\d?$|^lora", re.IGNORECASE)
_T5_DOWN = re.compile(r"dense\w*\.wo$")


def role_of_name(name: str, shape: tuple[int, ...]) -> tuple[str, str]:
    """Role and evidence of a tensor by name and shape."""
    path, _, leaf = name.rpartition(".")
    if leaf in ("bias", "b", "bias_ih", "bias_hh", "in_proj_bias", "beta") or re.match(
        r"bias_(ih|hh|k|v)", leaf
    ):
        of = role_of_path(path.lower()) if path else ""
        return ("norm shift", "name") if of == "norm gain" else ("bias", "name")
    if leaf in ("original0", "weight_g", "lora_magnitude_vector", "m"):
        return "magnitude", "name"  # of weight_norm: lengths of rows
    whole = name.lower()
    if leaf in ("weight", "w", "kernel", "gain", "scale", "gamma", "g"):
        whole = path.lower()
    role = role_of_path(whole)
    if len(shape) <= 1:
        if role in ("norm gain", "embedding", "position"):
            return role, "name"
        if leaf in ("gamma", "gain") or re.search(r"(layer_?scale|ls\d|gamma_\d|lambda_\d)", whole):
            return "scale", "name"
        return ("scale", "shape") if shape in ((), (1,)) else ("parameter", "shape")
    if role and role != "norm gain":
        return ("conv" if len(shape) > 3 and role in ("o", "down", "up") else role), "name"
    if not _WEIGHT.search(leaf):  # decays, mixing weights and tokens of modules of one's own
        return "parameter", "shape"
    return ("conv" if len(shape) > 2 else "hidden"), "shape"


def role_of_path(path: str) -> str:
    """The role that a path of names speaks of; empty if none."""
    if _T5_DOWN.search(path):
        return "down"
    return next((role for pattern, role in _COMPILED if pattern.search(path)), "")
