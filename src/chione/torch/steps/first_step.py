"""Take the first steps of training on a model and say what they did, then put everything back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from chione.base import checks
from chione.torch.capture import batches
from chione.torch.steps.bench import Bench, Loss, bench
from chione.torch.steps.example import Example, example
from chione.torch.steps.looks import UNSEEN, Look, look, rms
from chione.torch.steps.optimizers import OptimizerLike, label, stepped
from chione.torch.steps.report import ExampleStep, FirstStep, LayerStep, ParameterStep
from chione.torch.steps.runs import NO_BAND, Band, Ran, alone, band, draw, once, run


def first_step(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss,
    optimizer: OptimizerLike,
    *,
    lr: float | None = None,
    steps: int = 1,
    draws: int = 8,
    seed: int = 0,
) -> FirstStep:
    r"""Say what the first step of training will do, layer by layer, and take nothing for good.

    .. math:: \frac{|\Delta W|}{|W|}, \qquad
       |dh| = \sqrt{\langle (h_{\rm after} - h_{\rm before})^2 \rangle}, \qquad
       \Delta L \approx g \cdot \Delta\theta \quad (= -\eta |g|^2 \text{ for SGD})

    Parameters
    ----------
    model : Module
        Runs in the mode that it is in. Parameters, buffers, gradients, modes and random states
        are afterwards as before, also after an exception.
    batch : Tensor, tuple, list or mapping
        As :func:`inspect` takes it.
    loss : callable
        From what the model returns to a number: ``lambda out: cross_entropy(out, labels)``.
    optimizer : torch.optim.Optimizer, callable or str
        An optimizer of the model's parameters, whose state and groups are afterwards as before; a
        function that makes one from the list of trainable parameters; or a name such as "sgd",
        "adam", "adamw", with `lr`.
    lr : float, optional
        Learning rate of an optimizer that is given by its name.
    steps : int
        Number of steps, all on this batch.
    draws : int
        Other draws of the weights for the noise band, each as many steps as asked for; 0 for none.
    seed : int
        Seed of the draws, and of dropout masks, which are the same in each forward pass.

    Returns
    -------
    FirstStep
        ``print`` shows tables; ``.layers``, ``.parameters``, ``.example``, ``.plot()``.

    Raises
    ------
    ValueError
        For a batch that the model rejects, a loss that is no finite number or does not depend on
        a trainable parameter, or an optimizer of other parameters.
    TypeError
        If an argument is of another kind.

    Notes
    -----
    Measured values are exact for this batch. The noise band says where dh of other networks of
    this width lies: rows and columns of each weight are permuted and their signs flipped, which is
    another draw of any usual initialisation; it means nothing for a trained model.

    Theory knows a step of SGD or Adam on one example (:func:`chione.feature_update`), so the first
    input is also taken alone, with the gradient of the loss at its output, without weight decay
    and with the gains of norms held. It knows networks of dense layers, activations, layer and rms
    norms and, for SGD, residual blocks.

    Where the activation or the loss is piecewise linear, dh is exact all the same, but the
    first-order change of the loss does not see the kinks that a step crosses. Cost: two forward
    and one backward pass, and as many for each draw.

    Examples
    --------
    Adam moves each parameter by its learning rate:

    >>> import torch
    >>> from chione.torch import first_step
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
    >>> found = first_step(
    ...     net, torch.randn(16, 8), lambda out: out.square().mean(), "adam", lr=1e-3)
    >>> round(found["0"].update, 6)
    0.001
    """
    count = checks.integer("steps", steps)
    others = checks.integer("draws", draws, minimum=0)
    with bench(model, batch, loss, optimizer, lr, seed) as b:
        start = {name: p.detach().clone() for name, p in b.model.named_parameters()}
        before = look(b)
        one, why = example(b, before.graph, _cotangent(b, before))
        notes = [why] if why else []
        with once(b, start):
            ran = run(b, before, count)
            parameters = _parameters(b, start, ran)
        mine = None if one is None else alone(one, start)
        if others and stepped(b.optimizer):
            notes.append("No noise band: the optimizer has taken steps before.")
            others = 0
        drawn = draw(b, one, start, count, others)
        output = batches.output_tensor(before.out)
        return FirstStep(
            layers=tuple(_layers(before, ran, band(drawn.rows))),
            parameters=parameters,
            example=() if one is None or mine is None else _example(one, mine, band(drawn.alone)),
            model=type(b.model).__name__,
            optimizer=label(b.optimizer),
            steps=count,
            batch=b.size,
            loss=ran.loss,
            loss_after=ran.loss_after,
            predicted=ran.predicted,
            output=rms(output),
            output_change=ran.output_change,
            draws=drawn.count,
            seed=seed,
            notes=tuple(notes),
        )


def _cotangent(b: Bench, before: Look) -> torch.Tensor:
    """Gradient of the loss at the output."""
    value, y = b.loss_of(before.out), batches.output_tensor(before.out)
    if not (value.requires_grad and y.requires_grad):
        return torch.zeros_like(y)
    (g,) = torch.autograd.grad(value, y, retain_graph=True, allow_unused=True)
    return torch.zeros_like(y) if g is None else g


def _layers(before: Look, ran: Ran, bands: dict[str, Band]) -> Iterator[LayerStep]:
    for node in before.graph.rows():
        here = ran.rows.get(node.name, UNSEEN)
        low, high = bands.get(node.name, NO_BAND)
        yield LayerStep(
            node.name,
            node.kind,
            node.operation or node.kind,
            node.shape,
            here.weight,
            here.update,
            here.value,
            here.change,
            low,
            high,
        )


def _parameters(b: Bench, start: dict[str, torch.Tensor], ran: Ran) -> tuple[ParameterStep, ...]:
    moving = {id(p) for p in b.parameters}
    found = []
    for name, p in b.model.named_parameters():
        update, gradient = rms(p.detach() - start[name]), ran.gradients.get(name, math.nan)
        state = "moved"
        if update == 0.0 or not p.requires_grad:
            state = "still" if gradient == gradient else "no gradient"
            state = state if id(p) in moving else "not in the optimizer"
            state = state if p.requires_grad else "frozen"
        found.append(ParameterStep(name, p.numel(), rms(start[name]), gradient, update, state))
    return tuple(found)


def _example(
    one: Example, mine: dict[str, float], bands: dict[str, Band]
) -> tuple[ExampleStep, ...]:
    return tuple(
        ExampleStep(name, change, *bands.get(name, NO_BAND), one.theory[name])
        for name, change in mine.items()
        if name in one.theory
    )
