"""What the trace of a model has not seen, or theory not followed, in sentences."""

from __future__ import annotations

import torch

from chione.torch.capture.nodes import Graph


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
