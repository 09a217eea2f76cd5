"""`chione doctor`: whether the model in a file can train as it is initialised."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import click

from chione.cli.output import echo_json
from chione.cli.parameters import COUNT, with_effort
from chione.cli.progress import running
from chione.cli.user_code import contained


class Shape(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """Sizes separated by commas, such as 1,28,28."""

    name = "n,n,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The sizes, or a click error that says what is accepted."""
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            sizes = ()
        if not sizes or min(sizes) < 1:
            self.fail(f"{value!r} is no list of sizes such as 1,28,28.", param, ctx)
        return sizes


@click.command()
@click.argument("model", metavar="FILE.py:FACTORY")
@click.option("--input-shape", type=Shape(), required=True, help="Shape of one input: 1,28,28.")
@click.option("--batch", type=COUNT, default=64, show_default=True, help="Number of inputs.")
@click.option("--tokens", type=COUNT, help="Inputs are token numbers below this vocabulary size.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the inputs.")
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

    path, factory = _split(model)
    try:
        import torch

        from chione.torch import initialize_
    except ImportError as err:
        raise MissingExtraError("torch", "torch", "chione doctor") from err

    _check_size(batch, input_shape, tokens)
    torch.manual_seed(seed)
    with contained(path):
        net = _make(path, factory, torch.nn.Module)
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, *input_shape)
    if tokens is None:
        inputs = torch.randn(shape, generator=generator)
    else:
        inputs = torch.randint(tokens, shape, generator=generator)
    parameter = next(net.parameters(), None)
    if parameter is not None and parameter.device.type != "meta":
        inputs = inputs.to(parameter.device)
        if tokens is None and parameter.is_floating_point():
            inputs = inputs.to(parameter.dtype)

    look = _Look(path, inputs, seed, depth, full)
    with running("examining the model"):
        text, trainable, found = look(net, remedies=not fix)
    result: dict[str, Any] = {"result": found}
    if not as_json:
        click.echo(text)
    if fix:
        before = found
        with running("initialising the model"):
            with _user_errors(path):
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


_LARGEST = 2**63 - 1  # sizes and token numbers are 64-bit integers in PyTorch


def _check_size(batch: int, input_shape: tuple[int, ...], tokens: int | None) -> None:
    """Refuse inputs that do not fit into memory, or into PyTorch's integers."""
    from chione.base import cost

    numbers = batch * math.prod(input_shape)
    if max(numbers, tokens or 0) > _LARGEST:
        raise click.UsageError(
            "--batch, --input-shape and --tokens must stay below 2^63 numbers; choose smaller ones."
        )
    # the inputs, and a first layer of their size forward and backward; 3e7 numbers a second
    one = numbers / batch
    cost.check(
        f"a batch of {batch} inputs of shape {','.join(map(str, input_shape))}",
        gigabytes=3 * (4 if tokens is None else 8) * numbers / 1e9,
        seconds=numbers / 3e7,
        fits=f"a batch of {max(1, int(3e8 // one))} fits" if one < 3e8 else "smaller inputs fit",
    )


@contextmanager
def _user_errors(path: Path) -> Iterator[None]:
    """The model's own code runs contained; chione's errors about the model keep their words."""
    from chione.base import ChioneError

    kept: list[Exception] = []
    with contained(path):
        try:
            yield
        except (ChioneError, ValueError, TypeError) as err:
            kept.append(err)
    if kept:
        raise kept[0]


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
            with _user_errors(self.path):
                report = inspect(net, self.inputs, seed=self.seed, remedies=remedies)
        except NonFiniteError as err:
            verdict = {"trains": "no", "trainable": False, "sentence": str(err), "warnings": []}
            return f"Not trainable: {err}", False, {"layers": [], "verdict": verdict}
        text = str(report)
        if self.full or self.depth is not None:
            text = report.page(self.depth, fold=not self.full)
        return text, report.verdict.trainable, report.to_dict()


def _split(model: str) -> tuple[Path, str]:
    """FILE.py and FACTORY."""
    file, colon, factory = model.rpartition(":")
    if not colon or not factory.isidentifier():
        raise click.UsageError(
            f"{model!r} is not of the form FILE.py:FACTORY, such as net.py:make_model."
        )
    path = Path(file)
    if not path.is_file():
        raise click.UsageError(f"there is no file {file!r}.")
    return path, factory


def _make(path: Path, factory: str, module_class: type) -> Any:
    """Run the file and make the model."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is no Python file; its name must end in .py.")
    module = module_from_spec(spec)
    folder, before = str(path.resolve().parent), list(sys.path)
    sys.path.insert(0, folder)  # so that the file can import its neighbours, as when it is run
    try:
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        made = getattr(module, factory, None)
        if made is None:
            raise click.UsageError(f"{str(path)!r} defines no {factory!r}.")
        if not isinstance(made, module_class) and callable(made):
            made = made()
    finally:
        # what the file has added stays, what it has taken away comes back
        sys.path[:] = before + [p for p in sys.path if p not in (folder, *before)]
        sys.modules.pop(spec.name, None)
    if not isinstance(made, module_class):
        raise click.UsageError(
            f"{factory!r} in {str(path)!r} gives a {type(made).__name__}, not a torch.nn.Module."
        )
    return made
