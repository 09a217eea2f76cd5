"""Networks as JSON: every layer is an object with its kind and those fields that differ.

A wrong one is refused with its place in the file, such as ``layers[2].branch[0].sigma_w``.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from chione.activations import activation
from chione.base import SpecError
from chione.networks.input import Input
from chione.networks.kinds import BY_WORD
from chione.networks.layer import AbstractLayer, Layers

T = TypeVar("T")
_ALIKE = 0.7  # from which likeness on another word is proposed
_DEEPEST = 200  # layers inside layers, far from where Python's own stack ends


def read_json(text: str, name: str = "the text") -> Any:
    """What a JSON text holds; `name` stands for it in messages.

    Raises
    ------
    SpecError
        If it is no JSON, an object has a key twice, or lists are nested too deeply.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in pairs:
            if key in out:
                inside = f" of kind {out['kind']!r:.60}" if "kind" in out else ""
                raise SpecError(
                    f"{name}: the key {key!r:.60} stands twice in one object{inside}; keep one."
                )
            out[key] = value
        return out

    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=once)
    except json.JSONDecodeError as err:
        raise SpecError(
            f"{name} is no JSON: line {err.lineno}, column {err.colno}: {err.msg}."
        ) from err
    except RecursionError:
        raise SpecError(
            f"{name}: lists are nested too deeply; at most {_DEEPEST} layers may stand inside "
            f"each other."
        ) from None
    except ValueError as err:  # a number of more digits than Python reads
        raise SpecError(f"{name} holds a number that is too long ({err}).") from err


def layer_to_dict(layer: AbstractLayer) -> dict[str, Any]:
    """The layer as JSON types: ``kind``, and the fields that differ from their defaults."""
    out: dict[str, Any] = {"kind": layer.word}
    for field in dataclasses.fields(layer):  # type: ignore[arg-type]  # kinds are dataclasses
        value = getattr(layer, field.name)
        if value == field.default:
            continue
        out[field.name] = _field_to_plain(field, value)
    return out


def _field_to_plain(field: dataclasses.Field[Any], value: Any) -> Any:
    role = field.metadata.get("role")
    if role == "activation":
        return _spelled(value)
    if role == "layers":
        return [layer_to_dict(layer) for layer in value]
    if role == "branches":
        return [[layer_to_dict(layer) for layer in branch] for branch in value]
    return list(value) if isinstance(value, tuple) else value


def _spelled(phi: Any) -> str:
    """The name from which the activation comes back."""
    try:
        found = activation(phi.name)
    except SpecError:
        found = None
    if found != phi:
        raise SpecError(
            f"the activation {phi.name!r} cannot be written to a file, since no name or expression "
            f"stands for it; write it as an expression such as 'x*tanh(x)'."
        )
    return str(phi.name)


def input_to_dict(given: Input) -> dict[str, Any]:
    """The input as JSON types, fields that differ from their defaults."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        if value != field.default:
            out[field.name] = _lists(value)
    return out


def _lists(x: Any) -> Any:
    return [_lists(y) for y in x] if isinstance(x, tuple) else x


def input_from_dict(data: Any, place: str) -> Input:
    """The inverse of :func:`input_to_dict`."""
    values = _fields(Input, _object(data, place, "an input such as {'width': 64}"), place)
    return _made(Input, values, place)


def layers_from_list(data: Any, place: str) -> Layers:
    """Layers from a list of objects.

    Raises
    ------
    SpecError
        With the place, if something is wrong.
    """
    if isinstance(data, (str, dict)) or not isinstance(data, Iterable):
        raise SpecError(f"{place} must be a list of layers, but it is {data!r:.60}.")
    if place.count("[") > _DEEPEST:
        raise SpecError(
            f"{place[:60]}...: at most {_DEEPEST} layers may stand inside each other; write them "
            f"one after the other."
        )
    return tuple(layer_from_dict(item, f"{place}[{i}]") for i, item in enumerate(data))


def layer_from_dict(data: Any, place: str) -> AbstractLayer:
    """One layer from an object with ``kind`` and fields.

    Raises
    ------
    SpecError
        With the place, if something is wrong.
    """
    data = _object(data, place, "a layer such as {'kind': 'dense', 'sigma_w': 1.4}")
    word = data.get("kind")
    kind = BY_WORD.get(word) if isinstance(word, str) else None
    if kind is None:
        raise SpecError(
            f"{place}: kind must be one of {', '.join(BY_WORD)}, but it is {word!r:.60}"
            f"{_nearest(word, BY_WORD)}."
        )
    values = _fields(kind, {k: v for k, v in data.items() if k != "kind"}, place)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]  # kinds are dataclasses
        if field.name not in values:
            continue
        role, value, here = field.metadata.get("role"), values[field.name], f"{place}.{field.name}"
        if role == "layers":
            values[field.name] = layers_from_list(value, here)
        elif role == "branches":
            if isinstance(value, (str, dict)) or not isinstance(value, Iterable):
                raise SpecError(
                    f"{here} must be a list of lists of layers, but it is {value!r:.60}."
                )
            values[field.name] = tuple(
                layers_from_list(branch, f"{here}[{i}]") for i, branch in enumerate(value)
            )
    return _made(kind, values, place)


def _object(data: Any, place: str, example: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise SpecError(f"{place} must be {example}, but it is {data!r:.60}.")
    return data


def _fields(kind: type, data: dict[str, Any], place: str) -> dict[str, Any]:
    """Known and complete fields; lists become tuples."""
    fields = dataclasses.fields(kind)
    known = [field.name for field in fields]
    for name in data:
        if name not in known:
            listed = f"it has {', '.join(known)}" if known else "it has none"
            raise SpecError(
                f"{place}: there is no field {name!r:.60}; {listed}{_nearest(name, known)}."
            )
    for field in fields:
        bare = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if bare and field.name not in data:
            raise SpecError(f"{place}: the field {field.name!r} is missing.")
    return dict(data)


def _nearest(word: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word).lower(), list(known), n=1, cutoff=_ALIKE)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _made(kind: Callable[..., T], values: dict[str, Any], place: str) -> T:
    try:
        return kind(**values)
    except (TypeError, ValueError, SpecError) as err:
        raise SpecError(f"{place}: {err}") from err
