"""What watching costs: trainings with and without `chione.torch.Monitor`, side by side.

    python benchmarks/bench_monitor.py [--every 100] [--rounds 5] [--out monitor.json]

An MLP, a convolutional network and a small GPT. A round times single steps of two equal trainings
in turns, in CPU time, so that what else the machine does matters little; the measured step of the
monitor, which comes once in `every`, is timed by itself. The cost is what a measured step takes
beyond a plain one, over `every` plain steps, and the hooks of the optimizer in all other steps.
Theory's one pass before the first step is a cost of its own, in steps. Losses of both must be equal
to the last bit.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

import chione
from chione.torch import Monitor


class Block(nn.Module):
    """One pre-norm block of a GPT."""

    def __init__(self, n, heads):
        super().__init__()
        self.heads = heads
        self.one, self.two = nn.LayerNorm(n), nn.LayerNorm(n)
        self.qkv, self.out = nn.Linear(n, 3 * n), nn.Linear(n, n)
        self.up, self.down = nn.Linear(n, 4 * n), nn.Linear(4 * n, n)

    def forward(self, x):
        b, t, n = x.shape
        parts = self.qkv(self.one(x)).chunk(3, dim=-1)
        q, k, v = (p.reshape(b, t, self.heads, -1).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, n))
        return x + self.down(F.gelu(self.up(self.two(x))))


class GPT(nn.Module):
    """Four blocks of width 256 on 128 tokens."""

    def __init__(self, n=256, depth=4, heads=4, vocabulary=1024, length=128):
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, n), nn.Embedding(length, n)
        self.blocks = nn.ModuleList(Block(n, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(n), nn.Linear(n, vocabulary, bias=False)

    def forward(self, ids):
        x = self.token(ids) + self.place(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).flatten(0, 1)


def mlp():
    sizes = (256, 512, 512, 512, 512)
    layers = [m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.ReLU())]  # noqa: B905, RUF007
    return nn.Sequential(*layers, nn.Linear(512, 10))


def convolutions():
    layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
    for _ in range(3):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def batches(name, generator):
    """Inputs and labels without end."""
    while True:
        if name == "gpt":
            ids = torch.randint(1024, (8, 129), generator=generator)
            yield ids[:, :-1], ids[:, 1:].flatten()
        else:
            shape = (256, 256) if name == "mlp" else (64, 3, 16, 16)
            yield (
                torch.randn(shape, generator=generator),
                torch.randint(10, (shape[0],), generator=generator),
            )


MODELS = {"mlp": mlp, "convolutions": convolutions, "gpt": GPT}


class Training:
    """A training that can be stepped, with the seconds that each step took."""

    def __init__(self, name):
        torch.manual_seed(0)
        self.model = MODELS[name]()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.data = batches(name, torch.Generator().manual_seed(0))
        self.losses = []

    def step(self):
        x, y = next(self.data)
        start = time.process_time()  # others on the machine do not count
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        return time.process_time() - start


def cost(name, every, rounds, plain_steps=12):
    """Seconds of a plain step, a watched one between measurements, a measured one, and theory."""
    bare, seen = Training(name), Training(name)
    with Monitor(seen.model, every=plain_steps, warn=False) as monitor:
        bare.step()
        first = seen.step()  # theory comes here
        plain, between, measured = [], [], []
        for k in range(1, rounds * plain_steps + 1):
            plain.append(bare.step())
            (measured if k % plain_steps == 0 else between).append(seen.step())
    assert bare.losses == seen.losses, "the monitor has changed the training"
    assert len(monitor.record.steps) == rounds + 1
    step = statistics.median(plain)
    extra, other = statistics.median(measured) - step, hooks_of_a_step()
    return {
        "step_ms": 1e3 * step,
        "measured_step_ms": 1e3 * statistics.median(measured),
        "step_between_ms": 1e3 * statistics.median(between),
        "hooks_us": 1e6 * other,
        "share": (extra + (every - 1) * other) / (every * step),
        "theory_in_steps": (first - statistics.median(measured)) / step,
    }


def hooks_of_a_step(steps=2000):
    """Seconds that the hooks of the optimizer take where nothing is measured.

    Too few to be seen beside a step of a real model, so an optimizer of one number is timed.
    """
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    model.weight.grad = torch.zeros_like(model.weight)

    def seconds():
        start = time.process_time()
        for _ in range(steps):
            optimizer.step()
        return (time.process_time() - start) / steps

    alone = min(seconds() for _ in range(3))
    with Monitor(model, every=10**9, warn=False):
        optimizer.step()  # the first one is measured
        return min(seconds() for _ in range(3)) - alone


def main():
    """Run all, print a table, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", help="write the numbers as JSON")
    options = parser.parse_args()
    found = {}
    print("model          step      measured     between     hooks    cost   theory once")
    for name in MODELS:
        found[name] = x = cost(name, options.every, options.rounds)
        print(
            f"{name:12s} {x['step_ms']:6.1f} ms {x['measured_step_ms']:7.1f} ms "
            f"{x['step_between_ms']:7.1f} ms {x['hooks_us']:6.1f} us {x['share']:7.2%} "
            f"{x['theory_in_steps']:8.1f} steps"
        )
    if options.out:
        facts = {
            "chione": chione.__version__, "torch": torch.__version__, "machine": platform.machine(),
            "threads": torch.get_num_threads(), "every": options.every, "costs": found,
        }  # fmt: skip
        with open(options.out, "w") as file:
            json.dump(facts, file, indent=1)


if __name__ == "__main__":
    main()
