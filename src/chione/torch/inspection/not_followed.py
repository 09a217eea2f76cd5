"""What the trace of a model has not seen, or theory not followed, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from chione.torch.capture.batches import tensors
from chione.torch.capture.nodes import Graph
from chione.torch.expected.layer_report import LayerReport

_SHARP = 0.5  # share of saturated rows of an attention that is worth a word


def unseen(model: torch.nn.Module, graph: Graph) -> list[str]:
    """Code that ran where nothing can be measured."""
    out = []
    scripted = [n for n, m in model.named_modules() if isinstance(m, torch.jit.ScriptModule)]
    top = [n for n in scripted if not any(n.startswith(f"{other}.") for other in scripted)]
    if top:
        out.append(f"Compiled by TorchScript, and not seen inside: {', '.join(top[:5])}.")
    if graph.hidden:
        names = ", ".join(name or "the model" for name in list(graph.hidden)[:5])
        out.append(
            f"Inside a transform of torch.func (vmap, grad, functional Jacobians) tensors hold no "
            f"values, so nothing is seen of what runs in {names}."
        )
    return out


def sharp_attention(layers: Sequence[LayerReport]) -> list[str]:
    """A softmax that looks at one key only passes next to no gradient to queries and keys."""
    found = [x for x in layers if x.kind == "attention" and x.saturation > _SHARP]
    if not found:
        return []
    worst = max(found, key=lambda x: x.saturation)
    return [
        f"The softmax of attention is saturated in {len(found)} layers, most of all in "
        f"{worst.name!r}: {worst.saturation:.0%} of its rows have a weight above 0.99 (entropy "
        f"{worst.entropy:.2f} of that of even weights), so queries and keys get next to no "
        "gradient; divide the scores by the root of the size of a head, or make the weights of "
        "queries and keys smaller."
    ]


def without_rule(
    model: torch.nn.Module, layers: Sequence[LayerReport], out: Any, output: torch.Tensor
) -> list[str]:
    """Weights that theory does not follow, and outputs that gradients do not start from."""
    said = []
    found = [f"{x.name!r} ({x.operation})" for x in layers if x.kind == "unknown"]
    if found:
        said.append(f"Measured, but not followed by theory: {', '.join(found[:5])}.")
    intricate = [name for name, p in model.named_parameters() if p.is_complex()]
    if intricate:
        said.append(f"Complex weights are not followed by theory: {', '.join(intricate[:5])}.")
    others = [t for t in tensors(out) if t is not output and t.is_floating_point() and t.dim() > 0]
    if others:
        said.append(
            f"The model returns {len(others) + 1} tensors; gradients start from the one of shape "
            f"{tuple(output.shape)}. Pass a loss that reads all of them to look at the others."
        )
    return said
