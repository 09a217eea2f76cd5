"""`chione doctor`: whether the model in a file can train as it is initialised."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import click

from chione.cli.output import echo_json
from chione.cli.parameters import COUNT


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
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    input_shape: tuple[int, ...],
    batch: int,
    tokens: int | None,
    seed: int,
    fix: bool,
    as_json: bool,
) -> None:
    """Examine the PyTorch model that FACTORY in FILE.py makes, on random inputs.

    FACTORY is a function or class that needs no arguments, or a model. The file is run. Exit code
    0: trainable as it is (with --fix: after it), 1: not, 2: bad usage. The file is not changed.

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

    torch.manual_seed(seed)
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

    text, trainable, found = _look(net, inputs, seed)
    result: dict[str, Any] = {"result": found}
    if not as_json:
        click.echo(text)
    if fix:
        done = initialize_(net, inputs, generator=generator)
        before = found
        text, trainable, found = _look(net, inputs, seed)
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


def _look(net: Any, inputs: Any, seed: int) -> tuple[str, bool, dict[str, Any]]:
    """The report as text, whether the model can train, and the report as plain data.

    A model whose signals overflow cannot train either, but has no report beyond that sentence.
    """
    from chione.torch import NonFiniteError, inspect

    try:
        report = inspect(net, inputs, seed=seed)
    except NonFiniteError as err:
        verdict = {"trains": "no", "trainable": False, "sentence": str(err), "warnings": []}
        return f"Not trainable: {err}", False, {"layers": [], "verdict": verdict}
    return str(report), report.verdict.trainable, report.to_dict()


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
    """Run the file and make the model; an error in either is a usage error with its own text."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is no Python file; its name must end in .py.")
    module = module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # so that the file can import its neighbours, as when it is run
    try:
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        made = getattr(module, factory, None)
        if made is None:
            raise click.UsageError(f"{str(path)!r} defines no {factory!r}.")
        if not isinstance(made, module_class) and callable(made):
            made = made()
    except click.UsageError:
        raise
    except Exception as err:
        raise click.UsageError(
            f"{str(path)!r} could not make the model ({type(err).__name__}: {err})."
        ) from err
    finally:
        sys.path.remove(folder)
        sys.modules.pop(spec.name, None)
    if not isinstance(made, module_class):
        raise click.UsageError(
            f"{factory!r} in {str(path)!r} gives a {type(made).__name__}, not a torch.nn.Module."
        )
    return made
