"""The model in a user's file, and random inputs for it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import click

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


_LARGEST = 2**63 - 1  # sizes and token numbers are 64-bit integers in PyTorch


def check_size(batch: int, input_shape: tuple[int, ...], tokens: int | None) -> None:
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
def user_errors(path: Path) -> Iterator[None]:
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


def split(model: str) -> tuple[Path, str]:
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


@contextmanager
def opened(path: Path) -> Iterator[ModuleType]:
    """Run the file; inside the block it can import its neighbours, as when it is run."""
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise click.UsageError(f"{str(path)!r} is no Python file; its name must end in .py.")
    module = module_from_spec(spec)
    folder, before = str(path.resolve().parent), list(sys.path)
    sys.path.insert(0, folder)
    try:
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        # what the file has added stays, what it has taken away comes back
        sys.path[:] = before + [p for p in sys.path if p not in (folder, *before)]
        sys.modules.pop(spec.name, None)


def defined(path: Path, module: ModuleType, name: str) -> Any:
    """What a file defines under a name."""
    found = getattr(module, name, None)
    if found is None:
        raise click.UsageError(f"{str(path)!r} defines no {name!r}.")
    return found


def model_of(path: Path, module: ModuleType, factory: str, *arguments: Any) -> Any:
    """The model that a factory makes, or a model itself."""
    import torch

    made = defined(path, module, factory)
    if not isinstance(made, torch.nn.Module) and callable(made):
        made = made(*arguments)
    if not isinstance(made, torch.nn.Module):
        raise click.UsageError(
            f"{factory!r} in {str(path)!r} gives an object of type {type(made).__name__}, not a "
            "torch.nn.Module."
        )
    return made


def random_inputs(net: Any, shape: tuple[int, ...], tokens: int | None, generator: Any) -> Any:
    """N(0, 1), or token numbers, where the model is and in its precision."""
    import torch

    if tokens is None:
        inputs = torch.randn(shape, generator=generator)
    else:
        inputs = torch.randint(tokens, shape, generator=generator)
    parameter = next(net.parameters(), None)
    if parameter is not None and parameter.device.type != "meta":
        inputs = inputs.to(parameter.device)
        if tokens is None and parameter.is_floating_point():
            inputs = inputs.to(parameter.dtype)
    return inputs
