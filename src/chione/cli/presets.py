"""Presets of `chione network`: their names, their options, and what each of them has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chione.cli.parameters import COUNT, SIGMA, FiniteFloat

if TYPE_CHECKING:
    from chione.networks import Network

PRESETS = (
    "mlp", "resnet", "densenet", "convnet", "mixer", "transformer", "gpt2", "llama", "bert", "vit",
    "convnext", "resnet18", "resnet50", "lstm",
)  # fmt: skip
TRANSFORMER = (
    "depth", "width", "heads", "norm", "mlp", "init", "tokens", "causal", "expansion", "positions",
    "qk_norm", "kv_heads", "scale", "embedding", "parallel",
)  # fmt: skip
_WEIGHTS = ("gaussian", "orthogonal", "uniform", "truncated", "delta", "delta_orthogonal")
_NUMBER = FiniteFloat()
_POSITIVE = FiniteFloat(minimum=0.0)


def _words(*words: str) -> click.Choice[str]:
    return click.Choice(words)


# option of a builder -> its type (bool: a flag and its opposite) and what the help says
_OPTIONS: dict[str, tuple[Any, str]] = {
    "depth": (COUNT, "Blocks or layers."),
    "width": (COUNT, "Channels."),
    "heads": (COUNT, "Heads of attention."),
    "activation": (str, "Activation."),
    "sigma_w": (SIGMA, "Weights; of an lstm those of the state."),
    "sigma_b": (SIGMA, "Biases."),
    "sigma_u": (SIGMA, "Weights of the input of an lstm."),
    "norm": (_words("layer", "rms", "batch", "pre", "post", "deepnorm", "none"),
             "The norm; of a transformer where it stands."),
    "placement": (_words("pre", "post"), "Of a resnet's norm."),
    "scheme": (_words("plain", "stable", "fixup", "skipinit", "rezero"),
               "Branch scale of a resnet."),
    "hidden": (COUNT, "Channels inside a branch."),
    "growth": (COUNT, "Channels that each block of a densenet adds."),
    "kernel": (COUNT, "Taps along each axis."),
    "padding": (_words("zero", "circular"), "What stands beyond the edge."),
    "weights": (_words(*_WEIGHTS), "Law of the weights."),
    "mlp": (str, "Dense branch: an activation, swiglu, geglu, reglu, glu, bilinear, relu2, none."),
    "init": (str, "gpt2, llama, bert, neox, torch, xavier, lecun, deepnorm, ds, fixup, rezero."),
    "tokens": (COUNT, "Positions of a transformer."),
    "causal": (bool, "Whether positions see only those before them."),
    "expansion": (_POSITIVE, "Channels inside the dense branch over those of the stream."),
    "residual_scale": (_NUMBER, "Factor of both branches."),
    "norm_form": (_words("layer", "rms"), "The norm of a transformer."),
    "eps": (_POSITIVE, "What norms add to a variance."),
    "final_norm": (bool, "Whether a norm ends a pre-norm transformer."),
    "parallel": (bool, "Whether both branches stand side by side."),
    "positions": (_words("learned", "sinusoidal", "none"), "Embedding of positions."),
    "rope": (_POSITIVE, "Base of rotary positions."),
    "alibi": (bool, "Slopes of scores over distance."),
    "qk_norm": (bool, "Norms of queries and keys."),
    "kv_heads": (COUNT, "Heads of keys and values."),
    "head_size": (COUNT, "Channels of a head."),
    "scale": (_words("sqrt", "linear"), "Scores over the root of a head's channels, or over them."),
    "embedding": (_POSITIVE, "Standard deviation of token embeddings."),
    "image": (COUNT, "Pixels along the edge of an image."),
    "patch": (COUNT, "Pixels along the edge of a patch."),
    "classes": (COUNT, "Outputs of a readout."),
    "training": (bool, "Batch norm in training mode, or out of the way."),
    "layer_scale": (_NUMBER, "Factor of the branches of a convnext."),
    "cell": (_words("lstm", "gru", "rnn"), "The cell of an lstm."),
    "steps": (COUNT, "Steps of time."),
    "sequence": (bool, "Whether all states leave a recurrent network."),
    "input_width": (COUNT, "Channels of the input."),
    "correlation": (FiniteFloat(-1.0, 1.0), "Of the input at any two positions."),
}  # fmt: skip


def preset_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each of the presets' own; they arrive as ``**options``."""
    return transformer_options(function, only=None)


def transformer_options(
    function: Callable[..., None], only: tuple[str, ...] | None = TRANSFORMER
) -> Callable[..., None]:
    """The same for those alone that say what kind of transformer it is."""
    for name, (kind, words) in reversed(_OPTIONS.items()):
        if only is not None and name not in only:
            continue
        flag = name.replace("_", "-")
        if kind is bool:
            option = click.option(f"--{flag}/--no-{flag}", default=None, help=words)
        else:
            option = click.option(f"--{flag}", type=kind, help=words)
        function = option(function)
    return function


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the presets' options that were given."""
    return {name: options[name] for name in _OPTIONS if options.get(name) is not None}


def flags(names: Any) -> str:
    """Options as one writes them."""
    return " and ".join(f"--{name.replace('_', '-')}" for name in names)


def build(name: str, options: dict[str, Any]) -> Network:
    """The network of a preset with these options.

    Raises
    ------
    click.UsageError
        If it has no such option.
    """
    from chione import networks

    builder = getattr(networks, name)
    known = inspect.signature(builder).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        have = ", ".join(f"--{option.replace('_', '-')}" for option in _OPTIONS if option in known)
        raise click.UsageError(f"the preset {name!r} has no {flags(unknown)}; it has {have}.")
    if name == "mlp":
        options = {"activation": "tanh", "sigma_w": 1.0} | options
    built: Network = builder(**options)
    return built


def described_network(name: str, options: dict[str, Any]) -> Network:
    """The network of a preset with these options, or of a file.

    Raises
    ------
    click.UsageError
        If there is neither, or an option that it does not have.
    SpecError
        With the place, if something is wrong in the file.
    """
    return build(name, options) if name in PRESETS else _read(name, options)


def _read(name: str, some: dict[str, Any]) -> Network:
    """The network of a file; options change presets alone."""
    from chione.networks import Network

    path = Path(name)
    if not path.is_file():
        raise click.UsageError(f"{name!r} is neither a preset ({', '.join(PRESETS)}) nor a file.")
    if some:
        raise click.UsageError(
            f"{flags(some)} changes presets alone; change the file {name!r} itself."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise click.UsageError(f"{name!r} cannot be read ({err}).") from err
    return Network.from_json(text, repr(name))


def listing() -> str:
    """Each preset with its first sentence and its options."""
    from chione import networks
    from chione.base import text_table

    rows = []
    for name in PRESETS:
        builder = getattr(networks, name)
        first = (inspect.getdoc(builder) or "").split("\n", 1)[0].rstrip(".")
        has = inspect.signature(builder).parameters
        rows.append([name, first, " ".join(option for option in _OPTIONS if option in has)])
    return text_table(["preset", "what it is", "options"], rows)
