"""Seconds that the audit of a model takes: 14 and 124 million parameters of a GPT-2.

Run as ``python benchmarks/bench_audit.py``; needs the extras torch and models.
"""

import time

import torch
import transformers

import chione.torch

SIZES = {
    "14M": {"n_layer": 6, "n_head": 4, "n_embd": 256},
    "124M": {"n_layer": 12, "n_head": 12, "n_embd": 768},
}


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, sizes in SIZES.items():
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))
        count = sum(p.numel() for p in model.parameters())
        plain = seconds(lambda: chione.torch.audit(model))  # noqa: B023 - called at once
        held = seconds(lambda: chione.torch.assert_initialized(model, "gpt2"))  # noqa: B023
        state = seconds(lambda: chione.torch.audit(model.state_dict()))  # noqa: B023
        print(f"{name}: {count:,} parameters, audit {plain:.2f} s, assert_initialized {held:.2f} s,"
              f" state dict {state:.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
