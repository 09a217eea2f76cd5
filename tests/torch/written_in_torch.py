"""Activations as people write them in torch, each beside an independent twin.

A twin is the catalogue's activation of the same function, or, where the catalogue has none, the
function in mpmath with the places where it breaks.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from mpmath import mp, mpf
from torch import nn
from torch.nn import functional as F

TWINS: dict[str, tuple[Any, str]] = {
    "gelu": (F.gelu, "gelu"),
    "gelu, tanh": (lambda x: F.gelu(x, approximate="tanh"), "gelu_tanh"),
    "gelu, module": (nn.GELU(), "gelu"),
    "gelu, tanh module": (nn.GELU(approximate="tanh"), "gelu_tanh"),
    "gelu, erf": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), "gelu"),
    "gelu, normal": (lambda x: x * torch.special.ndtr(x), "gelu"),
    "gelu, gpt-2": (
        lambda x: (
            0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))
        ),
        "gelu_tanh",
    ),
    "quick_gelu": (lambda x: x * torch.sigmoid(1.702 * x), "quick_gelu"),
    "silu": (F.silu, "silu"),
    "silu, module": (nn.SiLU(), "silu"),
    "silu, in place": (nn.SiLU(inplace=True), "silu"),
    "silu, product": (lambda x: x * torch.sigmoid(x), "silu"),
    "silu, method": (lambda x: x.sigmoid() * x, "silu"),
    "mish": (F.mish, "mish"),
    "mish, written": (lambda x: x * torch.tanh(F.softplus(x)), "mish"),
    "softplus, logaddexp": (lambda x: torch.logaddexp(x, torch.zeros_like(x)), "softplus"),
    "softplus, logarithm": (lambda x: torch.log(1 + torch.exp(x)), "softplus"),
    "elu": (F.elu, "elu"),
    "elu, where": (lambda x: torch.where(x > 0, x, torch.expm1(x)), "elu"),
    "elu, module": (nn.ELU(alpha=1.0, inplace=True), "elu"),
    "celu": (lambda x: F.celu(x, alpha=2.0), "celu(2)"),
    "selu": (nn.SELU(), "selu"),
    "relu": (F.relu, "relu"),
    "relu, clamp": (lambda x: torch.clamp(x, min=0), "relu"),
    "relu, maximum": (lambda x: torch.maximum(x, torch.zeros_like(x)), "relu"),
    "relu, in place": (nn.ReLU(inplace=True), "relu"),
    "relu6": (F.relu6, "relu6"),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), "leaky_relu(0.1)"),
    "leaky_relu, module": (nn.LeakyReLU(0.1), "leaky_relu(0.1)"),
    "squared_relu": (lambda x: torch.square(F.relu(x)), "squared_relu"),
    "hardtanh": (F.hardtanh, "hardtanh"),
    "hardtanh, clamp": (lambda x: x.clamp(-1, 1), "hardtanh"),
    "hardswish": (F.hardswish, "hardswish"),
    "hardswish, relu6": (lambda x: x * F.relu6(x + 3) / 6, "hardswish"),
    "hardsigmoid": (nn.Hardsigmoid(), "hardsigmoid"),
    "sigmoid": (torch.sigmoid, "sigmoid"),
    "sigmoid, written": (lambda x: 1 / (1 + torch.exp(-x)), "sigmoid"),
    "tanh": (nn.Tanh(), "tanh"),
    "tanh, method": (lambda x: x.tanh(), "tanh"),
    "logsigmoid": (F.logsigmoid, "logsigmoid"),
    "softsign": (F.softsign, "softsign"),
    "tanhshrink": (F.tanhshrink, "tanhshrink"),
    "softshrink": (F.softshrink, "softshrink"),
    "erf": (torch.erf, "erf"),
    "arctan": (torch.atan, "arctan"),
    "sin": (torch.sin, "sin"),
    "gaussian": (lambda x: torch.exp(-(x**2)), "gaussian"),
}


def _softplus(beta: int = 1, threshold: int = 20) -> Any:
    """Torch's softplus, which is the straight line beyond beta x = 20: it jumps there by 2e-9."""
    return lambda x: x if beta * x > threshold else mp.log1p(mp.exp(beta * x)) / beta


EXACT: dict[str, tuple[Any, Any, tuple[float, ...]]] = {
    "softplus": (F.softplus, _softplus(), (20.0,)),
    "softplus, module": (nn.Softplus(), _softplus(), (20.0,)),
    "softplus, beta": (lambda x: F.softplus(x, beta=4.0), _softplus(4), (5.0,)),
    "softplus, threshold": (lambda x: F.softplus(x, threshold=3.0), _softplus(1, 3), (3.0,)),
    "hardshrink": (F.hardshrink, lambda x: x if abs(x) > 0.5 else mpf(0), (-0.5, 0.5)),
    "threshold": (nn.Threshold(0.5, 0.1), lambda x: x if x > 0.5 else mpf(0.1), (0.5,)),
    "prelu": (nn.PReLU(init=0.25), lambda x: x if x > 0 else x / 4, (0.0,)),
    "lisht": (lambda x: x * torch.tanh(x), lambda x: x * mp.tanh(x), ()),
    "snake": (lambda x: x + torch.sin(x) ** 2, lambda x: x + mp.sin(x) ** 2, ()),
    "serf": (
        lambda x: x * torch.erf(F.softplus(x)),
        lambda x: x * mp.erf(_softplus()(x)),
        (20.0,),
    ),
    "inverse square root": (
        lambda x: x * torch.rsqrt(1 + x * x),
        lambda x: x / mp.sqrt(1 + x * x),
        (),
    ),
    "sequence": (
        nn.Sequential(nn.Softplus(), nn.Tanh()),
        lambda x: mp.tanh(_softplus()(x)),
        (20.0,),
    ),
}
