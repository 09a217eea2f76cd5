"""Recurrent networks and transformers on short sequences."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from zoo.dense import GATES, NORMS, Net

CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Cells(nn.Module):
    """The states at all times."""

    def __init__(self, kind: str, n_in: int, n: int, layers: int, **more: str) -> None:
        super().__init__()
        self.cells = CELLS[kind](n_in, n, layers, batch_first=True, **more)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cells(x)[0]


class Last(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1]


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=1)


def recurrent(
    shape: tuple[int, ...], out: int, kind: str, hidden: int, layers: int = 1, phi: str = "tanh"
) -> Net:
    """The last state is read out, or each state where the inputs are tokens."""
    more = {"nonlinearity": phi} if kind == "rnn" else {}
    if len(shape) == 1:
        embedded = nn.Embedding(out, hidden)
        cells = Cells(kind, hidden, hidden, layers, **more)
        return Net(embedded, [cells], nn.Linear(hidden, out))
    cells = Cells(kind, shape[-1], hidden, layers, **more)
    return Net(nn.Identity(), [cells], nn.Sequential(Last(), nn.Linear(hidden, out)))


class Positions(nn.Module):
    """Embeds tokens, or vectors by a linear layer, and adds learned positions."""

    def __init__(self, shape: tuple[int, ...], out: int, n: int) -> None:
        super().__init__()
        discrete = len(shape) == 1
        self.embed = nn.Embedding(out, n) if discrete else nn.Linear(shape[-1], n)
        self.positions = nn.Parameter(0.1 * torch.randn(shape[0], n))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.embed(x) + self.positions


def _end(shape: tuple[int, ...], out: int, n: int, *, norm: bool = True) -> nn.Module:
    parts = [nn.LayerNorm(n)] if norm else []
    if len(shape) == 1:
        return nn.Sequential(*parts, nn.Linear(n, out))
    return nn.Sequential(*parts, Mean(), nn.Linear(n, out))


def encoder(
    shape: tuple[int, ...], out: int, depth: int, width: int, first: bool = False, phi: str = "relu"
) -> Net:
    """The layers of torch itself, `first`: normalisation before the branch."""
    blocks: list[nn.Module] = [
        nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=first, activation=phi
        )
        for _ in range(depth)
    ]
    return Net(Positions(shape, out, width), blocks, _end(shape, out, width, norm=first))


class Attention(nn.Module):
    """Written by hand, as in nanoGPT."""

    def __init__(self, n: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.qkv, self.project = nn.Linear(n, 3 * n), nn.Linear(n, n)
        self.heads, self.causal = heads, causal

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, n = x.shape
        q, k, v = (
            y.view(b, t, self.heads, n // self.heads).transpose(1, 2)
            for y in self.qkv(x).split(n, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.project(y.transpose(1, 2).reshape(b, t, n))


class Feed(nn.Module):
    def __init__(self, n: int, gate: str) -> None:
        super().__init__()
        self.w1, self.w3 = nn.Linear(n, 2 * n), nn.Linear(2 * n, n)
        self.w2 = nn.Linear(n, 2 * n) if gate else None
        self.gate = GATES[gate] if gate else F.gelu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.gate(self.w1(x))
        return self.w3(y if self.w2 is None else y * self.w2(x))


class TransformerBlock(nn.Module):
    """Pre-norm attention and feed forward; norm "none" leaves the stream without any."""

    def __init__(self, n: int, causal: bool, norm: str, gate: str, skip: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = NORMS[norm](n), NORMS[norm](n)
        self.attention, self.feed = Attention(n, 4, causal), Feed(n, gate)
        self.skip = skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.skip * x + self.attention(self.norm1(x))
        return self.skip * x + self.feed(self.norm2(x))


def transformer(
    shape: tuple[int, ...], out: int, depth: int, width: int, norm: str = "layer", gate: str = "",
    skip: float = 1.0,
) -> Net:  # fmt: skip
    """A decoder on tokens, a ViT on patches of an image."""
    causal = len(shape) == 1
    blocks: list[nn.Module] = [
        TransformerBlock(width, causal, norm, gate, skip) for _ in range(depth)
    ]
    return Net(Positions(shape, out, width), blocks, _end(shape, out, width, norm=norm != "none"))


class MixerBlock(nn.Module):
    def __init__(self, positions: int, n: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.tokens = nn.Sequential(
            nn.Linear(positions, 2 * positions), nn.GELU(), nn.Linear(2 * positions, positions)
        )
        self.channels = nn.Sequential(nn.Linear(n, 2 * n), nn.GELU(), nn.Linear(2 * n, n))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


def mixer(shape: tuple[int, ...], out: int, depth: int, width: int) -> Net:
    blocks: list[nn.Module] = [MixerBlock(shape[0], width) for _ in range(depth)]
    return Net(nn.Linear(shape[-1], width), blocks, _end(shape, out, width))
