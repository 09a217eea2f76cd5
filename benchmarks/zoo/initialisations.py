"""Initialisations of the zoo: six that people use, and ways to break a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from zoo.dense import Net

Change = Callable[[Net, torch.Tensor], None]


def _weights(model: Net) -> list[tuple[nn.Module, torch.Tensor]]:
    """Matrices and filters, embeddings and positions left out, with the modules that hold them."""
    return [
        (m, p)
        for m in model.modules()
        if not isinstance(m, nn.Embedding)
        for name, p in m.named_parameters(recurse=False)
        if p.dim() >= 2 and name != "positions"
    ]


def _zero_biases(model: Net) -> None:
    for name, p in model.named_parameters():
        if "bias" in name:
            nn.init.zeros_(p)


def _all(model: Net, batch: torch.Tensor, draw: Callable[[torch.Tensor], object]) -> None:
    for _, p in _weights(model):
        draw(p)
    _zero_biases(model)


def _scaled(model: Net, batch: torch.Tensor, sigma: float) -> None:
    """Weights of standard deviation sigma / sqrt(fan_in), biases zero."""
    for _, p in _weights(model):
        nn.init.normal_(p, std=sigma / math.sqrt(p[0].numel()))
    _zero_biases(model)


def _normal02(model: Net, batch: torch.Tensor) -> None:
    """As GPT-2: everything N(0, 0.02), embeddings too."""
    for p in model.parameters():
        if p.dim() >= 2:
            nn.init.normal_(p, std=0.02)
    _zero_biases(model)


def _constant(model: Net, batch: torch.Tensor, value: float) -> None:
    for _, p in _weights(model):
        nn.init.constant_(p, value)


def _copies(model: Net, batch: torch.Tensor) -> None:
    """Every unit of a layer has the same weights."""
    for _, p in _weights(model):
        p.data.copy_(p.data[:1].expand_as(p))
    _zero_biases(model)


def _chione(model: Net, batch: torch.Tensor) -> None:
    from chione.torch import initialize_

    initialize_(model, batch)


class Cut(nn.Module):
    """Passes the signal on and no gradient back."""

    def __init__(self, inner: nn.Module, how: str) -> None:
        super().__init__()
        self.inner, self.how = inner, how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "no_grad":
            with torch.no_grad():
                return self.inner(x)
        y = self.inner(x)
        return (y > 0).float() if self.how == "step" else y.detach()


def _cut(model: Net, batch: torch.Tensor, how: str, where: float) -> None:
    k = min(int(where * len(model.body)), len(model.body) - 1)
    model.body[k] = Cut(model.body[k], how)


def _frozen(model: Net, batch: torch.Tensor) -> None:
    """Only the read-out is trained, on features that are drawn."""
    model.entry.requires_grad_(False)
    model.body.requires_grad_(False)


class LoRA(nn.Module):
    """A frozen linear layer and a correction of low rank."""

    def __init__(self, base: nn.Linear, rank: int, zero: bool) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))
        if zero:
            nn.init.zeros_(self.a)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + x @ self.a.T @ self.b.T


def _lora(model: Net, batch: torch.Tensor, zero: bool) -> None:
    model.requires_grad_(False)
    found = [
        (m, name, child)
        for m in model.modules()
        for name, child in m.named_children()
        if isinstance(child, nn.Linear)
    ]
    for m, name, child in found:
        setattr(m, name, LoRA(child, 4, zero))


def _one(model: Net, batch: torch.Tensor, factor: float) -> None:
    """One layer in the middle of the body is scaled."""
    inner = _weights(model)
    inner[len(inner) // 2][1].data.mul_(factor)


def _dead(model: Net, batch: torch.Tensor) -> None:
    """Biases so low that no unit of the first block is ever on."""
    for name, p in model.body[0].named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(p, -30.0)


def _sharp(model: Net, batch: torch.Tensor, factor: float) -> None:
    """Queries and keys are enlarged, so that softmax looks at one position only."""
    for name, p in model.named_parameters():
        if "qkv.weight" in name or "in_proj_weight" in name:
            p.data[: 2 * p.shape[1]].mul_(factor)


def _zero_last(model: Net, batch: torch.Tensor) -> None:
    end = [m for m in model.end.modules() if isinstance(m, nn.Linear)][-1]
    nn.init.zeros_(end.weight)
    nn.init.zeros_(end.bias)


INITIALISATIONS: dict[str, Change] = {
    "default": lambda model, batch: None,
    "kaiming": partial(_all, draw=partial(nn.init.kaiming_normal_, nonlinearity="relu")),
    "xavier": partial(_all, draw=nn.init.xavier_uniform_),
    "orthogonal": partial(_all, draw=nn.init.orthogonal_),
    "normal02": _normal02,
    "sigma0.1": partial(_scaled, sigma=0.1),
    "sigma0.5": partial(_scaled, sigma=0.5),
    "sigma0.8": partial(_scaled, sigma=0.8),
    "sigma2": partial(_scaled, sigma=2.0),
    "sigma3": partial(_scaled, sigma=3.0),
    "sigma5": partial(_scaled, sigma=5.0),
    "sigma10": partial(_scaled, sigma=10.0),
    "chione": _chione,
    "constant": partial(_constant, value=0.01),
    "constant0.1": partial(_constant, value=0.1),
    "zeros": partial(_all, draw=nn.init.zeros_),
    "copies": _copies,
    "detached": partial(_cut, how="detach", where=1.0),
    "detached-middle": partial(_cut, how="detach", where=0.6),
    "step": partial(_cut, how="step", where=0.6),
    "no_grad": partial(_cut, how="no_grad", where=1.0),
    "frozen": _frozen,
    "lora": partial(_lora, zero=False),
    "lora-zero": partial(_lora, zero=True),
    "one-tiny": partial(_one, factor=1e-4),
    "one-huge": partial(_one, factor=1e3),
    "dead": _dead,
    "sharp": partial(_sharp, factor=8.0),
    "zero-head": _zero_last,
}
