"""Run a model under the tracer, and refuse what cannot be followed."""

from __future__ import annotations

from typing import Any

import torch

from chione.base import UnsupportedModuleError
from chione.torch.capture import batches
from chione.torch.capture.eager import quantised, uncompiled
from chione.torch.capture.nodes import Graph
from chione.torch.capture.tracer import Tracer


def trace(model: torch.nn.Module, batch: Any, size: int, **options: Any) -> tuple[Graph, Any]:
    """Run the model under a tracer; an error of the model is raised again with the layer named."""
    tracer = Tracer(model, size, **options)
    with tracer:
        tracer.feed(batch)
        try:
            out = batches.call(model, batch)
        except Exception as err:
            where = f"layer {tracer.path!r}" if tracer.path else "its forward method"
            raise ValueError(
                f"the model rejects the batch in {where} ({type(err).__name__}: {err}); pass a "
                "batch that model(batch), model(*batch) or model(**batch) accepts."
            ) from err
        output = batches.output_tensor(out)
        graph = tracer.finish(output)
    return graph, out


def check_model(model: Any) -> torch.nn.Module:
    """Refuse what cannot be measured, in one sentence each; returns the model to look at.

    That is the module itself, or what ``torch.compile`` has wrapped: its weights are the same, and
    compiled code cannot be followed.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, but it is {type(model).__name__}; wrap a function "
            "in a module that owns its weights."
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModuleError(
            f"the model is a {type(model).__name__}: code compiled by TorchScript cannot be "
            "followed layer by layer; pass the nn.Module that was given to torch.jit."
        )
    named = list(model.named_parameters())
    packed = quantised(model)
    if packed is not None and not any(p.is_floating_point() for _, p in named):
        raise UnsupportedModuleError(
            f"the weights of {packed!r} are quantised, so there are no gradients; pass the model "
            "as it was before it was quantised."
        )
    if not named:
        raise ValueError(
            f"the model {type(model).__name__} has no parameters, so there is nothing to inspect "
            "or initialise; pass the model that holds the layers."
        )
    for name, p in named:
        if isinstance(p, torch.nn.parameter.UninitializedParameter):
            raise ValueError(
                f"parameter {name!r} is lazy and has no shape yet; run the model once first."
            )
        if p.device.type == "meta":
            raise ValueError(
                f"parameter {name!r} is on the meta device and has no values; load or create the "
                "model on a real device first, for example with model.to_empty(device='cpu')."
            )
    if not any(p.is_floating_point() for _, p in named):
        raise ValueError(
            "the model has only integer parameters, so there are no gradients; inspect it before "
            "it is quantised."
        )
    return uncompiled(model)


def shared_parameters(model: torch.nn.Module) -> tuple[tuple[str, ...], ...]:
    """Groups of names that belong to one tensor."""
    groups: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(p), []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)
