"""The page on networks: fields are those of the layers, files are read, output is real."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from chione.cli import main
from chione.networks import BY_WORD, Input, Network
from chione.networks.written import _lists
from chione.theory import propagate

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", PAGE, re.M | re.S))
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.M)
FILES = re.findall(r"```json\n(.*?)```", PAGE, re.S)


def written_default(field):
    """The default as it stands in a file, or ``none``."""
    if field.default is dataclasses.MISSING:
        return "none"
    role, value = field.metadata.get("role"), field.default
    return f"`{json.dumps(value.name if role == 'activation' else _lists(value))}`"


@pytest.mark.parametrize("word", ["input", *BY_WORD])
def test_the_table_of_a_kind_has_its_fields_and_defaults(word):
    kind = Input if word == "input" else BY_WORD[word]
    rows = [(name, default) for name, _, _, default in ROW.findall(SECTIONS[word])]
    assert rows == [(f.name, written_default(f)) for f in dataclasses.fields(kind)]


def test_choices_in_a_table_are_those_of_the_layer():
    """A word that the table offers is taken, and one that it does not is refused with the list."""
    found = 0
    for word, kind in BY_WORD.items():
        needed = {"dropout": {"keep": 0.5}, "parallel": {"branches": ((),)}}.get(word, {})
        for name, _, choices, default in ROW.findall(SECTIONS[word]):
            words = choices.split(", ")
            if default.startswith('`"') and len(words) > 1:
                found += 1
                assert json.loads(default.strip("`")) in words
                for choice in words:
                    kind(**needed, **{name: choice})
                with pytest.raises(ValueError, match=f"must be one of {choices}, but"):
                    kind(**needed, **{name: "no such word"})
    assert found >= 9


@pytest.mark.parametrize("text", FILES)
def test_every_file_of_the_page_is_read_written_and_walked(text):
    network = Network.from_json(text)
    assert Network.from_dict(network.to_dict()) == network
    assert propagate(network).output.shape == network.output
    assert len(FILES) >= 4


def test_the_page_of_the_command_is_what_it_prints():
    block = r"`chione (network .*?)` prints\n\n```text\n(.*?)```"
    command, shown = re.search(block, PAGE, re.S).groups()
    out = CliRunner().invoke(main, command.split())
    assert out.exit_code == 0, out.output

    def cells(text):
        """Words of each line; bounds on errors may differ in their digit."""
        return [re.sub(r"\d+e-\d+$", "", line).split() for line in text.splitlines()]

    assert cells(out.stdout) == cells(shown)
