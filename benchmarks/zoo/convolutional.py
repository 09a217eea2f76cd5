"""Convolutional networks on images of eight by eight pixels."""

from __future__ import annotations

import torch
from torch import nn

from zoo.dense import ACTIVATIONS, Net


def _norm(norm: str, n: int) -> list[nn.Module]:
    made = {"none": [], "batch": [nn.BatchNorm2d(n)], "group": [nn.GroupNorm(4, n)]}
    return made[norm]  # type: ignore[return-value]


def cnn(
    shape: tuple[int, ...], out: int, phi: str, depth: int, channels: int, norm: str = "none",
    depthwise: bool = False, pool: bool = True,
) -> Net:  # fmt: skip
    """3 x 3 convolutions; average pooling at the end, or all positions into the read-out."""
    blocks: list[nn.Module] = []
    n = shape[0]
    for i in range(depth):
        conv: list[nn.Module] = [nn.Conv2d(n, channels, 3, padding=1)]
        if depthwise and i:
            conv = [nn.Conv2d(n, n, 3, padding=1, groups=n), nn.Conv2d(n, channels, 1)]
        blocks.append(nn.Sequential(*conv, *_norm(norm, channels), ACTIVATIONS[phi]()))
        if i == depth // 2 and pool:
            blocks.append(nn.AvgPool2d(2))
        n = channels
    if pool:
        end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, out))
    else:
        end = nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, out))
    return Net(nn.Identity(), blocks, end)


class ConvBlock(nn.Module):
    """The basic block of a ResNet; `how`: post (act behind the sum), pre, zero (last gain zero)."""

    def __init__(self, phi: str, n: int, norm: str, how: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[phi]()
        last = _norm(norm, n)
        self.branch = nn.Sequential(
            nn.Conv2d(n, n, 3, padding=1), *_norm(norm, n), ACTIVATIONS[phi](),
            nn.Conv2d(n, n, 3, padding=1), *last,
        )  # fmt: skip
        self.post = how != "pre"
        if how == "zero":
            zero = last[0] if last else self.branch[-1]
            nn.init.zeros_(zero.weight)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.post:
            return self.act(x + self.branch(x))
        return x + self.branch(self.act(x))


def resnet(
    shape: tuple[int, ...], out: int, phi: str, depth: int, channels: int, norm: str = "batch",
    how: str = "post",
) -> Net:  # fmt: skip
    blocks: list[nn.Module] = [ConvBlock(phi, channels, norm, how) for _ in range(depth)]
    blocks.insert(depth // 2, nn.AvgPool2d(2))
    end = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, out))
    return Net(nn.Conv2d(shape[0], channels, 3, padding=1), blocks, end)
