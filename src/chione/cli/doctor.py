"""`chione doctor`: whether the model in a file can train as it is initialised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chione.cli.output import echo_json
from chione.cli.parameters import COUNT, Whole, with_effort
from chione.cli.progress import running
from chione.cli.user_code import contained
from chione.cli.user_model import (
    Shape,
    check_size,
    model_of,
    opened,
    random_inputs,
    split,
    user_errors,
)


@click.command()
@click.argument("model", metavar="FILE.py:FACTORY")
@click.option("--input-shape", type=Shape(), required=True, help="Shape of one input: 1,28,28.")
@click.option("--batch", type=COUNT, default=64, show_default=True, help="Number of inputs.")
@click.option("--tokens", type=COUNT, help="Inputs are token numbers below this vocabulary size.")
@click.option("--seed", type=Whole(0), default=0, show_default=True, help="Of the inputs.")
@click.option("--fix", is_flag=True, help="Initialise the model by theory and look again.")
@click.option("--depth", type=COUNT, help="Words of the paths of layers that are told apart.")
@click.option("--full", is_flag=True, help="Write every layer, also those of repeated blocks.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
@with_effort
def command(
    ctx: click.Context,
    model: str,
    input_shape: tuple[int, ...],
    batch: int,
    tokens: int | None,
    seed: int,
    fix: bool,
    depth: int | None,
    full: bool,
    as_json: bool,
) -> None:
    """Examine the PyTorch model that FACTORY in FILE.py makes, on random inputs.

    FACTORY is a function or class that needs no arguments, or a model. The file is run; what it
    prints goes to stderr, and it is not changed. Exit code 0: trainable as it is (with --fix: after
    it), 1: not, 2: bad usage.

    \b
    Example: chione doctor net.py:Net --input-shape 1,28,28 --fix
    """
    from chione.base import MissingExtraError

    path, factory = split(model)
    try:
        import torch

        from chione.torch import initialize_
    except ImportError as err:
        raise MissingExtraError("torch", "torch", "chione doctor") from err

    check_size(batch, input_shape, tokens)
    torch.manual_seed(seed)
    with contained(path), opened(path) as module:
        net = model_of(path, module, factory)
    generator = torch.Generator().manual_seed(seed)
    inputs = random_inputs(net, (batch, *input_shape), tokens, generator)
    look = _Look(path, inputs, seed, depth, full)
    with running("examining the model"):
        text, trainable, found = look(net, remedies=not fix)
    result: dict[str, Any] = {"result": found}
    if not as_json:
        click.echo(text)
    if fix:
        before = found
        with running("initialising the model"):
            with user_errors(path):
                done = initialize_(net, inputs, generator=generator)
            text, trainable, found = look(net)
        result = {"result": found, "before": before, "initialization": done.to_dict()}
        if not as_json:
            click.echo(f"\nInitialised by theory:\n\n{done}\n\n{text}\n\n{_ADVICE}")
    if as_json:
        parameters = {
            "model": model, "input_shape": list(input_shape), "batch": batch, "tokens": tokens,
            "seed": seed, "fix": fix,
        }  # fmt: skip
        echo_json("doctor", parameters, result, warnings=tuple(found["verdict"]["warnings"]))
    if not trainable:
        ctx.exit(1)


_ADVICE = "To keep this, call chione.torch.initialize_(model, batch) where you make the model."


@dataclass(frozen=True)
class _Look:
    """How to examine a model, and how much of it to show."""

    path: Path
    inputs: Any
    seed: int
    depth: int | None
    full: bool

    def __call__(self, net: Any, *, remedies: bool = True) -> tuple[str, bool, dict[str, Any]]:
        """The report as text, whether the model can train, and the report as plain data.

        A model whose signals overflow cannot train either, but has no report beyond that sentence.
        """
        from chione.torch import NonFiniteError, inspect

        try:
            with user_errors(self.path):
                report = inspect(net, self.inputs, seed=self.seed, remedies=remedies)
        except NonFiniteError as err:
            verdict = {"trains": "no", "trainable": False, "sentence": str(err), "warnings": []}
            return f"Not trainable: {err}", False, {"layers": [], "verdict": verdict}
        text = str(report)
        if self.full or self.depth is not None:
            text = report.page(self.depth, fold=not self.full)
        return text, report.verdict.trainable, report.to_dict()
