"""Is 2 / lambda the limit? Eleven models are trained at half and at twice the rate it gives.

The criterion, fixed before looking: a run is unstable if, within 50 full-batch steps, the loss is
above twice its start or not finite; else it is stable. Since a squared loss may jump less than that
and settle, the first step at which the loss rises is shown beside it. Run as

    python benchmarks/largest_learning_rates.py
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import torch
from sklearn.datasets import load_digits

from chione.torch import largest_learning_rate

nn = torch.nn
STEPS, FACTOR = 50, 2.0


def digits(n=128):
    data = load_digits()
    x = torch.tensor(data.data[:n] / 16.0, dtype=torch.float32)
    return (x - x.mean()) / x.std(), torch.tensor(data.target[:n])


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.branch = nn.Sequential(nn.LayerNorm(n), nn.Linear(n, n), nn.GELU(), nn.Linear(n, n))

    def forward(self, x):
        return x + self.branch(x)


class Gated(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.up, self.gate, self.down = nn.Linear(n, n), nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        return self.down(self.up(x) * nn.functional.silu(self.gate(x)))


class Rows(nn.Module):
    """The eight rows of a digit as a sequence."""

    def forward(self, x):
        return x.reshape(len(x), 8, 8)


class Last(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        return self.cell(x)[0][:, -1]


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(dim=1)


def dense(act, depth, width, gain=None):
    layers = [nn.Linear(64, width), act()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), act()]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    if gain is not None:
        for m in model:
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=math.sqrt(gain / m.in_features))
                nn.init.zeros_(m.bias)
    return model


def image(*layers):
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), *layers)


def transformer():
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(Rows(), nn.Linear(8, 32), encoder, Mean(), nn.Linear(32, 10))


MODELS = {
    "tanh, 3 x 256, critical": (lambda: dense(nn.Tanh, 3, 256, 1.0), "mse"),
    "relu, 3 x 256, He": (lambda: dense(nn.ReLU, 3, 256, 2.0), "mse"),
    "gelu, 2 x 128, default": (lambda: dense(nn.GELU, 2, 128), "mse"),
    "relu, 4 x 256, He": (lambda: dense(nn.ReLU, 4, 256, 2.0), "cross entropy"),
    "tanh, 2 x 512, default": (lambda: dense(nn.Tanh, 2, 512), "cross entropy"),
    "convolutional": (
        lambda: image(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(512, 10),
        ), "mse"),
    "convolutional, batch norm": (
        lambda: image(
            nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3),
            nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
        ), "mse"),
    "residual, pre-norm": (
        lambda: nn.Sequential(
            nn.Linear(64, 96), Residual(96), Residual(96), nn.LayerNorm(96), nn.Linear(96, 10)
        ), "mse"),
    "gated": (
        lambda: nn.Sequential(nn.Linear(64, 96), Gated(96), nn.LayerNorm(96), nn.Linear(96, 10)),
        "cross entropy"),
    "LSTM": (
        lambda: nn.Sequential(Rows(), Last(nn.LSTM(8, 64, batch_first=True)), nn.Linear(64, 10)),
        "mse"),
    "transformer": (transformer, "cross entropy"),
}  # fmt: skip


def objective(kind, y):
    if kind == "mse":
        target = nn.functional.one_hot(y, 10).float()
        return lambda out: (out - target).square().mean()
    return lambda out: nn.functional.cross_entropy(out, y)


def trained(model, x, loss, rate, steps=STEPS):
    """Losses of full-batch gradient descent."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(x))
        losses.append(float(value.detach()))
        if not math.isfinite(losses[-1]):
            break
        value.backward()
        optimizer.step()
    return losses


def verdict(losses):
    """Stable or not, the largest loss beside the first, and the first step that raised the loss."""
    worst = max(losses) if all(map(math.isfinite, losses)) else math.inf
    rises = (i + 1 for i, (a, b) in enumerate(pairwise(losses)) if not b <= a * 1.001)
    word = "unstable" if worst > FACTOR * losses[0] else "stable"
    return word, f"{worst / losses[0]:.3g}", str(next(rises, "none"))


def main():
    x, y = digits()
    print(
        "| model | loss | 2 / lambda | theory | critical | at half | worst | rises | at twice | "
        "worst | rises |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, (make, kind) in MODELS.items():
        torch.manual_seed(0)
        model, loss = make(), objective(kind, y)
        found = largest_learning_rate(model, x, loss, rehearse=40)
        rate = float(found.learning_rate.value)
        cells = [name, kind, f"{rate:.3g}"]
        cells.append("" if found.theory is None else f"{float(found.theory.value):.3g}")
        cells += [f"{float(e.value):.3g}" for e in (found.critical, found.later)]
        for factor in (0.5, 2.0):
            cells += verdict(trained(model, x, loss, factor * rate))
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
