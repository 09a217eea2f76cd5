"""What a plan is made of: the model, how it ran, what is asked for, and what is left alone."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from chione.torch.capture.nodes import Graph
from chione.torch.initialisation.laws import Law
from chione.torch.initialisation.options import Options
from chione.torch.initialisation.plan import Entry, Plan
from chione.torch.initialisation.targets import Target
from chione.torch.initialisation.uses import Surroundings

# log q of a network of normal weights fluctuates by sqrt(5 L / n) (relu): by 0.7 from here on.
_SLENDER = 0.1


class Draft:
    """A plan under way, without the rules by which it is made.

    Parameters
    ----------
    model : Module
        The model; only read.
    graph : Graph
        How it ran.
    options : Options
        What is asked for.
    """

    def __init__(self, model: torch.nn.Module, graph: Graph, options: Options) -> None:
        self.model, self.graph = model, graph
        self.plan = Plan()
        self.around = Surroundings.of(graph)
        self.options = self._resolved(options)
        self.plan.sums = self.around.sums
        self.parameters = dict(model.named_parameters(remove_duplicate=False))
        self.names: dict[int, str] = {}
        for name, p in self.parameters.items():
            self.names.setdefault(id(p), name)
        self.targets: dict[str, Target] = {}
        self.entering: dict[str, float] = {}  # path of recurrent layers -> mean square of inputs

    def _resolved(self, options: Options) -> Options:
        """Isometries in networks that are deep for their width, where normal weights fluctuate."""
        width = self.around.width()
        if options.law != "auto":
            return replace(options, width=width)
        law = "normal" if self.around.aspect() < _SLENDER else "orthogonal"
        return replace(options, law=law, width=width)

    def add(self, entry: Entry) -> None:
        """Put an entry into the plan, or what the user wants instead of it."""
        own, sigma_w = self.options.overrides.get(entry.parameter, (None, None))
        tensor = self.value(entry.parameter)
        fan_in = entry.axes.fan_in(tensor) if tensor.dim() > 1 else 1.0
        if sigma_w is not None:
            own = Law(entry.law.kind, sigma_w / math.sqrt(fan_in))
        if own is not None and own.kind == "keep":
            self.plan.leave(entry.parameter, "kept, as asked")
            return
        if own is not None:
            size = own.scale * math.sqrt(fan_in)
            if own.kind == "orthogonal" and sigma_w is None:  # the gain of torch
                rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
                size = own.scale * math.sqrt(fan_in / max(rows, columns))
                own = Law("orthogonal", size / math.sqrt(fan_in))
            entry = Entry(
                entry.parameter, entry.name, own, entry.axes, size, entry.sigma_b, entry.bias,
                entry.bias_law, activation=entry.activation, reason="as asked",
            )  # fmt: skip
        self.plan.entries[entry.parameter] = entry

    def value(self, name: str) -> torch.Tensor:
        """The tensor of that name as it is now."""
        target = self.targets.get(name)
        return (self.parameters[name] if target is None else target.value).detach()

    def reason_to_leave(self, name: str, target: Target | None) -> str:
        """Why a weight is not touched whatever it is for; empty if it is."""
        if name in self.options.excluded:
            return "excluded, as asked"
        if target is None:
            return "its weight is computed from other parameters"
        if not target.value.is_floating_point():
            return "its weight is not floating-point"
        if target.frozen:
            return "it takes no gradient (requires_grad is False), so it stays as it is"
        return ""

    def reason_to_leave_bias(self, name: str) -> str:
        """The same of a bias."""
        if name in self.options.excluded or name not in self.parameters:
            return "excluded, as asked"
        return "" if self.parameters[name].requires_grad else "it takes no gradient"
