"""Plain fully connected networks, sine networks, residual ones and gated ones."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F


class Sine(nn.Module):
    def __init__(self, omega: float = 1.0) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sin(self.omega * x)


class Swish(nn.Module):
    """x sigmoid(beta x), written by hand."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS = {
    "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "sigmoid": nn.Sigmoid,
    "elu": nn.ELU, "selu": nn.SELU, "softplus": nn.Softplus, "leaky": lambda: nn.LeakyReLU(0.1),
    "sin": Sine, "swish": Swish, "mish": nn.Mish, "linear": nn.Identity, "hard": nn.Hardtanh,
}  # fmt: skip
NORMS = {"none": lambda n: nn.Identity(), "layer": nn.LayerNorm, "batch": nn.BatchNorm1d,
         "rms": nn.RMSNorm}  # fmt: skip


class Net(nn.Module):
    """An entry, a body of blocks, an end: every model of the zoo has these three."""

    def __init__(self, entry: nn.Module, blocks: list[nn.Module], end: nn.Module) -> None:
        super().__init__()
        self.entry, self.body, self.end = entry, nn.Sequential(*blocks), end

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.end(self.body(self.entry(x)))


def mlp(
    shape: tuple[int, ...], out: int, phi: str, depth: int, width: int, norm: str = "none",
    neck: int = 0,
) -> Net:  # fmt: skip
    """`depth` hidden layers; `neck` is the width of the last of them."""
    act = ACTIVATIONS[phi]
    sizes = [math.prod(shape)] + [width] * depth
    if neck:
        sizes[-1] = neck
    blocks = [
        nn.Sequential(nn.Linear(a, b), NORMS[norm](b), act()) if norm != "none"
        else nn.Sequential(nn.Linear(a, b), act())
        for a, b in pairwise(sizes)
    ]  # fmt: skip
    return Net(nn.Flatten(), blocks, nn.Linear(sizes[-1], out))


def siren(
    shape: tuple[int, ...], out: int, depth: int, width: int, omega: float = 30.0,
    hidden: float = 30.0, own: bool = True,
) -> Net:  # fmt: skip
    """Sitzmann et al. 2020; with `own` their initialisation, else that of torch."""
    sizes = [shape[0]] + [width] * depth
    blocks = []
    for i, (a, b) in enumerate(pairwise(sizes)):
        lin = nn.Linear(a, b)
        if own:
            bound = 1.0 / a if i == 0 else math.sqrt(6.0 / a) / hidden
            nn.init.uniform_(lin.weight, -bound, bound)
        blocks.append(nn.Sequential(lin, Sine(omega if i == 0 else hidden)))
    return Net(nn.Identity(), blocks, nn.Linear(width, out))


class Block(nn.Module):
    """x + a f(norm(x)) with f of two layers; `how` says what keeps the stream in check."""

    def __init__(self, phi: str, n: int, norm: str, how: str, depth: int) -> None:
        super().__init__()
        self.norm, self.act = NORMS[norm](n), ACTIVATIONS[phi]()
        self.first, self.second = nn.Linear(n, 2 * n), nn.Linear(2 * n, n)
        self.post = how == "post"
        self.scale: nn.Parameter | float = 1.0
        if how == "rezero":
            self.scale = nn.Parameter(torch.zeros(()))
        elif how == "layerscale":
            self.scale = nn.Parameter(torch.full((n,), 0.1))
        elif how == "fixup":  # Zhang et al. 2019: last layer zero, first scaled by L^-1/2
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.second.bias)
            nn.init.normal_(self.first.weight, std=math.sqrt(2.0 / n / depth))
            self.scale = nn.Parameter(torch.ones(()))
        elif how == "depth":
            self.scale = 1.0 / math.sqrt(depth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.post:
            return self.norm(x + self.second(self.act(self.first(x))))
        return x + self.scale * self.second(self.act(self.first(self.norm(x))))


def residual(
    shape: tuple[int, ...], out: int, phi: str, depth: int, width: int, norm: str = "none",
    how: str = "plain", zero_head: bool = False,
) -> Net:  # fmt: skip
    blocks: list[nn.Module] = [Block(phi, width, norm, how, depth) for _ in range(depth)]
    head = nn.Linear(width, out)
    if zero_head or how == "fixup":
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    end = nn.Sequential(nn.LayerNorm(width), head) if norm in ("layer", "rms") else head
    return Net(nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width)), blocks, end)


GATES = {"swiglu": F.silu, "geglu": F.gelu, "glu": torch.sigmoid, "reglu": F.relu,
         "bilinear": lambda x: x}  # fmt: skip


class Gated(nn.Module):
    """W3 (g(W1 x) * W2 x), alone or as a residual branch behind an RMSNorm."""

    def __init__(self, gate: str, n: int, norm: str, residual: bool) -> None:
        super().__init__()
        self.norm = NORMS[norm](n)
        self.w1, self.w2 = nn.Linear(n, 2 * n, bias=False), nn.Linear(n, 2 * n, bias=False)
        self.w3 = nn.Linear(2 * n, n, bias=False)
        self.gate, self.residual = GATES[gate], residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        y = self.w3(self.gate(self.w1(y)) * self.w2(y))
        return x + y if self.residual else y


def gated(
    shape: tuple[int, ...], out: int, gate: str, depth: int, width: int, norm: str = "rms",
    residual: bool = True,
) -> Net:  # fmt: skip
    blocks: list[nn.Module] = [Gated(gate, width, norm, residual) for _ in range(depth)]
    end = nn.Linear(width, out)
    entry = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), width))
    return Net(entry, blocks, nn.Sequential(NORMS[norm](width), end) if residual else end)
