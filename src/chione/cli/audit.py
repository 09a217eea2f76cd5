"""`chione audit`: whether a model or a checkpoint has the initialisation that was meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chione.cli.output import echo_json
from chione.cli.parameters import COUNT, FiniteFloat, Whole, with_effort
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

_CHECKPOINTS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


class _Line(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """A line of a declaration, PATTERN=LAW."""

    name = "pattern=law"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Pattern and law, or a click error that says what is accepted."""
        if isinstance(value, tuple):
            return value
        pattern, equals, law = str(value).partition("=")
        if not (pattern.strip() and equals and law.strip()):
            self.fail(f"{value!r} is no line such as '*.bias=zeros'.", param, ctx)
        return pattern.strip(), law.strip()


@click.command()
@click.argument("model", metavar="FILE.py:FACTORY|CHECKPOINT")
@click.option(
    "--declared",
    metavar="PRESET|FILE.json",
    help="What was meant: gpt2, llama, nanogpt, torch, or a file of patterns and laws.",
)
@click.option(
    "--line",
    "lines",
    type=_Line(),
    multiple=True,
    help="One line of it, such as '*.bias=zeros'; may be given several times.",
)
@click.option("--input-shape", type=Shape(), help="Shape of one input, to find roles: 1,28,28.")
@click.option("--tokens", type=COUNT, help="Inputs are token numbers below this vocabulary size.")
@click.option(
    "--level",
    type=FiniteFloat(0.0, 0.5),
    default=1e-3,
    show_default=True,
    help="Chance of a false alarm in the whole model.",
)
@click.option(
    "--seed",
    type=Whole(0),
    default=0,
    show_default=True,
    help="Of the model and its inputs.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
@with_effort
def command(
    ctx: click.Context,
    model: str,
    declared: str | None,
    lines: tuple[tuple[str, str], ...],
    input_shape: tuple[int, ...] | None,
    tokens: int | None,
    level: float,
    seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Say which law every parameter was drawn from, and what breaks a pattern or a declaration.

    FACTORY in FILE.py makes a model; a CHECKPOINT (.safetensors, .pt) is read without running
    anything in it. Exit code 0: nothing found and all lines hold, 1: not, 2: bad usage.

    \b
    Example: chione audit net.py:Net
             chione audit net.py:Net --declared gpt2
             chione audit model.safetensors --line '*.bias=zeros'
    """
    from chione.base import MissingExtraError

    try:
        import torch

        from chione.torch import audit
    except ImportError as err:
        raise MissingExtraError("torch", "torch", "chione audit") from err

    meant = _declaration(declared, dict(lines))
    checkpoint = Path(model)
    if checkpoint.suffix in _CHECKPOINTS or checkpoint.is_dir():
        with running("auditing the checkpoint"):
            report = audit(checkpoint, meant, level=level)
    else:
        if ":" not in model:
            raise click.UsageError(
                f"{model!r} is neither FILE.py:FACTORY, such as net.py:make_model, nor a "
                f"checkpoint, whose name ends in {', '.join(_CHECKPOINTS)}."
            )
        path, factory = split(model)
        if input_shape is not None:
            check_size(2, input_shape, tokens)
        torch.manual_seed(seed)
        with contained(path), opened(path) as module:
            net = model_of(path, module, factory)
        batch = None
        if input_shape is not None:
            generator = torch.Generator().manual_seed(seed)
            batch = random_inputs(net, (2, *input_shape), tokens, generator)
        with running("auditing the model"), user_errors(path):
            report = audit(net, meant, batch=batch, level=level)
    if as_json:
        parameters = {
            "model": model, "declared": meant, "input_shape": input_shape, "tokens": tokens,
            "level": level, "seed": seed,
        }  # fmt: skip
        warnings = tuple(f.sentence for f in report.findings)
        echo_json("audit", parameters, {"result": report.to_dict()}, warnings=warnings)
    else:
        click.echo(str(report))
    if not report.passed or report.findings:
        ctx.exit(1)


def _declaration(declared: str | None, lines: dict[str, str]) -> str | dict[str, str] | None:
    """A preset, or the lines of a file and of the command line."""
    if declared is None:
        return lines or None
    if not declared.endswith(".json"):
        if lines:
            raise click.UsageError(
                "--line adds to a file of patterns, not to a preset; write the lines of the preset "
                "that you want into a .json file."
            )
        return declared
    try:
        found = json.loads(Path(declared).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise click.UsageError(f"{declared!r} cannot be read as JSON ({err}).") from err
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise click.UsageError(
            f'{declared!r} must hold one object of patterns and laws, as {{"*.bias": "zeros"}}.'
        )
    return found | lines
