"""Write a plan into a model, and take it back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from chione.torch.initialisation.laws import Law, draw_
from chione.torch.initialisation.plan import Entry, Plan
from chione.torch.initialisation.targets import Target


class Kept:
    """Parameters and buffers as they were, to go back to.

    Parameters
    ----------
    model : Module
        The model.
    generator : torch.Generator or None
        Its state goes back too, and that of torch.
    """

    def __init__(self, model: torch.nn.Module, generator: torch.Generator | None) -> None:
        held = [*model.parameters(), *model.buffers()]
        self._values = [(t, t.detach().clone()) for t in held]
        self._generator = generator
        self._states = (
            torch.get_rng_state(), None if generator is None else generator.get_state()
        )  # fmt: skip

    @contextmanager
    def before(self) -> Iterator[None]:
        """The model as it was, for a while."""
        now = [(tensor, tensor.detach().clone()) for tensor, _ in self._values]
        self.restore(randomness=False)
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in now:
                    tensor.copy_(value)

    def restore(self, *, randomness: bool) -> None:
        """Write back what differs; random states too, where nothing shall have happened."""
        with torch.no_grad():
            for tensor, value in self._values:
                if not torch.equal(tensor, value):
                    tensor.copy_(value)
        if randomness:
            torch.set_rng_state(self._states[0])
            if self._generator is not None and self._states[1] is not None:
                self._generator.set_state(self._states[1])


def write(
    plan: Plan,
    targets: dict[str, Target],
    parameters: dict[str, torch.nn.Parameter],
    padding: dict[str, int],
    generator: torch.Generator | None,
) -> None:
    """Draw all entries of a plan; those that cannot be written go to what is left."""
    with torch.no_grad():
        for name, entry in list(plan.entries.items()):
            try:
                written = _weight(entry, targets[name], generator)
            except Exception as err:  # whatever a parametrisation of others raises
                del plan.entries[name]
                plan.leave(name, f"its parametrisation cannot be inverted ({_first_line(err)})")
                continue
            plan.entries[name] = written
            if name in padding:
                targets[name].value[padding[name]].zero_()
            if entry.bias is not None:
                law = entry.bias_law or Law("normal", entry.sigma_b)
                _fill_bias(parameters[entry.bias], law, entry, generator)


def _fill_bias(
    bias: torch.Tensor, law: Law, entry: Entry, generator: torch.Generator | None
) -> None:
    if law.kind == "normal" and law.scale == 0.0:
        bias.zero_()
    else:
        draw_(bias, law, entry.axes, generator)


def _weight(entry: Entry, target: Target, generator: torch.Generator | None) -> Entry:
    value = target.value
    if target.kind == "plain":
        draw_(value, entry.law, entry.axes, generator)
        return entry
    drawn = draw_(torch.empty_like(value.detach()), entry.law, entry.axes, generator)
    target.write(drawn)
    target.settle()
    wanted = entry.law.scale
    if target.kind == "spectral_norm":
        why = "its norm is held at 1 by the spectral norm, whatever is drawn"
        return replace(entry, role="fixed", reason=f"{entry.reason}; {why}")
    found = float(target.value.detach().double().square().mean().sqrt())
    if wanted > 0.0 and abs(found / wanted - 1.0) > 0.05 * max(
        1.0, 10.0 / math.sqrt(value.numel())
    ):
        sigma_w = entry.sigma_w * found / wanted
        why = "its parametrisation holds the scale"
        law = replace(entry.law, scale=found)
        return replace(
            entry, sigma_w=sigma_w, law=law, role="fixed", reason=f"{entry.reason}; {why}"
        )
    return entry


def _first_line(err: Exception) -> str:
    return (
        f"{type(err).__name__}: {str(err).splitlines()[0][:80]}"
        if str(err)
        else (type(err).__name__)
    )
