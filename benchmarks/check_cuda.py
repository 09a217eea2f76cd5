"""What `chione.torch` says on a GPU in bfloat16 beside the CPU in float32.

    python benchmarks/check_cuda.py [--device cuda]

Runs inspect, initialize_, first_step and precision on an MLP, a convolutional network and a small
transformer, on both, from the same weights and inputs, and prints by how much the numbers differ.
Ends with exit code 1 if a verdict differs, or a number by more than bfloat16 explains. Takes about
a minute; without a GPU it says so and ends.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys

import torch
from torch import nn
from torch.nn import functional as F

from chione.torch import first_step, initialize_, inspect, precision

# bfloat16 has 8 digits: an entry is 0.4 % off, and over a dozen layers a mean square by some of
# that. A step is taken in float32 on both, since weights in bfloat16 round most of it away.
SIGNALS, GRADIENTS, STEPS = 0.05, 0.1, 0.02
_SIXTEEN_BITS = ("float16", "bfloat16")


class Attention(nn.Module):
    """Two pre-norm blocks on 16 tokens."""

    def __init__(self, n=128, heads=4):
        super().__init__()
        self.table = nn.Embedding(64, n)
        layer = nn.TransformerEncoderLayer(
            n, heads, 4 * n, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(n, 10)

    def forward(self, ids):
        return self.head(self.blocks(self.table(ids)).mean(dim=1))


def mlp():
    layers = []
    for _ in range(6):
        layers += [nn.Linear(256, 256), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(256, 10))


def convolutions():
    layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def cases():
    """Name, model and batch of each."""
    g = torch.Generator().manual_seed(0)
    for name, make, batch in (
        ("mlp", mlp, torch.randn(64, 256, generator=g)),
        ("convolutions", convolutions, torch.randn(64, 3, 16, 16, generator=g)),
        ("transformer", Attention, torch.randint(64, (32, 16), generator=g)),
    ):
        torch.manual_seed(0)
        yield name, make(), batch


def looked_at(model, batch, labels):
    """Everything that is compared, by quantity."""

    def loss(out):
        return F.cross_entropy(out.float(), labels)

    report = inspect(model, batch, loss)
    full, given = (
        copy.deepcopy(model).float(),
        batch.float() if batch.is_floating_point() else batch,
    )
    step = first_step(full, given, loss, "sgd", lr=0.05, draws=0)
    shares = precision(model, batch, loss)
    return {
        "q": {x.name: x.mean_square for x in report.layers},
        "gradient": {x.name: x.gradient for x in report.layers},
        "verdict": report.verdict.trains,
        "dh": {x.name: x.change for x in step.layers},
        "formats": {v.format: v.answer for v in shares.verdicts if v.format in _SIXTEEN_BITS},
    }


def worst(one, two):
    """The largest difference of logarithms and where it is."""
    found = [
        (abs(math.log(two[n] / one[n])), n)
        for n in one
        if n in two and one[n] > 0.0 and two[n] > 0.0
    ]
    return max(found, default=(0.0, "-"))


def compare(name, model, batch, device, dtype):
    """Print the differences of one model; returns what is wrong."""
    labels = torch.arange(len(batch)) % 10
    there = copy.deepcopy(model).to(device=device, dtype=dtype)
    model.load_state_dict(there.state_dict())  # the same weights, rounded once
    far = batch.to(device)
    far = far.to(dtype) if far.is_floating_point() else far
    wrong = []
    for state in ("default", "initialize_"):
        if state == "initialize_":
            initialize_(there, far, generator=torch.Generator().manual_seed(0))
            model.load_state_dict(there.state_dict())
        a, b = looked_at(model, batch, labels), looked_at(there, far, labels.to(device))
        parts = []
        for key, room in (("q", SIGNALS), ("gradient", GRADIENTS), ("dh", STEPS)):
            size, where = worst(a[key], b[key])
            parts.append(f"{key} {size:.1%} at {where}")
            if size > room:
                wrong.append(f"{name}, {state}: {key} differs by {size:.0%} at {where}")
        for key in ("verdict", "formats"):
            if a[key] != b[key]:
                wrong.append(f"{name}, {state}: {key} is {b[key]}, on the CPU {a[key]}")
        print(f"{name}, {state}: largest differences: {', '.join(parts)}; verdict {b['verdict']}")
    return wrong


def main():
    """Compare all models; exit code 1 where something differs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself")
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here, so nothing was compared; run this where there is one.")
        return 0
    words = torch.cuda.get_device_name() if options.device == "cuda" else "the CPU"
    print(f"torch {torch.__version__}, {options.dtype} on {words} beside float32 on the CPU")
    wrong = []
    for name, model, batch in cases():
        wrong += compare(name, model, batch, options.device, getattr(torch, options.dtype))
    print("\n".join(wrong) if wrong else "No verdict and no number differs by more than expected.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
