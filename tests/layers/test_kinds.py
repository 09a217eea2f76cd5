"""Each layer kind is one file of its word's name in every room, and has its tests and its row."""

from __future__ import annotations

import ast
import dataclasses
from importlib import import_module
from pathlib import Path

import pytest
from layer_cases import CASES as SAMPLED
from test_layer_theory import CASES as SOLVED

import chione
from chione.networks import BY_WORD, KINDS, Network
from chione.simulation.layers import draw
from chione.theory.layers.rule import forward

PACKAGE = Path(chione.__file__).parent
ROOMS = {
    "theory": ("chione.theory.layers", forward),
    "simulation": ("chione.simulation.layers", draw),
}


def met(network):
    """Words of the layers of a network, inner ones included."""
    return {layer.word for _, _, layer, _ in network.rows()}


def test_every_file_of_a_kind_is_in_the_list():
    """A file whose class derives from AbstractLayer is a kind of the list, and no kind is twice."""
    found = set()
    for path in (PACKAGE / "networks").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and "AbstractLayer" in map(ast.unparse, node.bases):
                found.add((path.stem, node.name))
    assert found == {(kind.word, kind.__name__) for kind in KINDS}
    assert len(BY_WORD) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=list(BY_WORD))
def test_a_kind_is_a_frozen_dataclass_in_a_file_of_its_name(kind):
    assert kind.__module__ == f"chione.networks.{kind.word}"
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("kind", KINDS, ids=list(BY_WORD))
def test_each_room_has_a_file_of_the_kind_and_what_is_registered_stands_there(kind, room):
    package, door = ROOMS[room]
    module = import_module(f"{package}.{kind.word}")
    assert door.dispatch(kind) is not door.dispatch(object)
    assert door.dispatch(kind).__module__ == module.__name__


@pytest.mark.parametrize("kind", KINDS, ids=list(BY_WORD))
def test_a_kind_has_a_case_at_50_digits_and_one_for_its_sampler(kind):
    assert any(kind.word in met(network) for network in SOLVED.values())
    assert any(type(layer) is kind for layer, _ in SAMPLED.values())


@pytest.mark.parametrize("name", SOLVED)
def test_every_case_is_written_and_read_again(name):
    assert Network.from_dict(SOLVED[name].to_dict()) == SOLVED[name]


@pytest.mark.parametrize("room", ["theory", "simulation"])
def test_a_room_imports_the_files_of_the_list_and_names_none_of_them(room):
    """So that a kind in the list needs no other line: only its own files and the list name it."""
    package = ROOMS[room][0]
    for path in (PACKAGE / room / "layers").glob("*.py"):
        if path.stem not in BY_WORD:
            text = path.read_text()
            named = [w for w in BY_WORD if f"import {w}\n" in text or f"    {w},\n" in text]
            assert not named, path
    assert any(
        f'import_files("{package}")' in path.read_text()
        for path in (PACKAGE / room / "layers").glob("*.py")
    )
