"""PyTorch's activations that are no function of one unit: what they are at initialisation."""

from __future__ import annotations

import math

import chione as ch
from atlas.words import number, row_table
from chione import theory
from chione.activations import activation

ACROSS = ("GLU", "Softmax", "Softmax2d", "Softmin", "LogSoftmax", "MultiheadAttention")
"""Names of torch.nn that this page is about."""
GATES = {"sigmoid": "GLU", "silu": "SwiGLU", "gelu": "GEGLU", "relu": "ReGLU", "linear": "bilinear"}


def across_page() -> str:
    """The page as Markdown."""
    lines = [
        "# GLU, softmax, attention",
        "",
        f"`torch.nn` lists {', '.join(f'`{name}`' for name in ACROSS)} among its activations. Each",
        "takes several units to make one, so none has a page with a kernel of its own. What they",
        "are when the network is drawn:",
        "",
        "## Gated units",
        "",
        "y = φ(u) v with u and v two independent dense layers of the same input.",
        "`nn.GLU` is the product alone. For u and v of mean square 1:",
        "",
        *row_table(GATE_HEAD, gate_rows()),
        "",
        "The mean square of the output is E φ(u)² E v²; the factor on the mean square",
        "gradient, through both halves, is E φ′(u)² E v² + E φ(u)². A dense layer",
        "with the sigma_w of the last but one column brings lengths back to 1; the last column",
        "is what the gradient gains per block then. It is above 1: the mean square of a product",
        "grows faster than the length, so without a norm in front lengths have no fixed point",
        "that attracts, and there is no diagram of order and chaos to draw. `chione.networks.Gate`",
        "is this layer; see [networks](../../networks.md).",
        "",
        "## Softmax, softmin, log-softmax",
        "",
        "They divide by a sum over units. Of n units of mean square q, n large, the sum is n times",
        "its mean, and each output is an exponential of one unit over n:",
        "",
        *row_table(SOFTMAX_HEAD, softmax_rows()),
        "",
        "So a softmax between dense layers shrinks signals by n and needs weights larger by that:",
        "what sigma_w is critical depends on the width, and no diagram holds for all widths.",
        "Softmin is the softmax of -x and has the same law; log-softmax is x less a number that",
        "all units share. Their usual place is at the output, or inside attention.",
        "",
        "## Attention",
        "",
        "`nn.MultiheadAttention` is a layer with four matrices of its own. How it carries lengths",
        "and correlations is on the page on [transformers](../../transformers.md); its layer is",
        "`chione.networks.Attention`.",
    ]
    return "\n".join(lines) + "\n"


GATE_HEAD = (
    "unit", "φ", "mean square of the output", "factor on the gradient",
    "sigma_w of the layer behind", "gradient per block",
)  # fmt: skip


def gate_rows() -> list[tuple[str, ...]]:
    """What each gate does to units of mean square 1."""
    rows = []
    for name, title in GATES.items():
        phi = activation(name)
        square = float(ch.second_moment(phi, 1.0).value)
        slope = float(ch.derivative_second_moment(phi, 1.0).value)
        back = 1.0 / math.sqrt(square)
        factors = (square, square + slope, back, (square + slope) / square)
        rows.append((title, f"[{name}]({name}.md)", *(number(x) for x in factors)))
    return rows


SOFTMAX_HEAD = ("q", "n times the mean of an output", "n^2 times its mean square")


def softmax_rows() -> list[tuple[str, ...]]:
    """Moments of a softmax of many units, by those of the exponential."""
    rows = []
    for q in (0.25, 1.0, 2.0):
        mean = float(theory.mean("exp", q).value)
        square = float(ch.second_moment("exp", q).value)
        rows.append((number(q), "1", number(square / mean**2)))
    return rows
