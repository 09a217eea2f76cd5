"""The page of a network's analysis: a table of places, a verdict, what to change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from chione.base import Array, Estimate, page_width, paragraph, text_table
from chione.diagnosis.network_changes import NetworkChange, trunk
from chione.diagnosis.numbers import measured_text, power_text, value_text
from chione.networks import AbstractLayer, Network, Nonlinearity, Shape
from chione.simulation.network_result import NetworkSimulation
from chione.theory.layers.network_theory import NetworkTheory
from chione.theory.meanfield.blocks import BlockPhase

_DIGITS = 5
_MARKS = {
    "sampled heads": ("h", "by sampled heads"),
    "population": ("p", "by a population of sampled channels"),
    "measured": ("m", "measured on the simulated networks"),
}
_STATES = 3  # states of a recurrent layer that are shown before the last


class Analysed(Protocol):
    """What the page is about, a :class:`~chione.diagnosis.NetworkAnalysis`."""

    @property
    def theory(self) -> NetworkTheory:
        """The numbers of theory."""

    @property
    def simulation(self) -> NetworkSimulation | None:
        """The simulated twin, if there is one."""

    @property
    def simulated(self) -> Mapping[str, Array]:
        """Its numbers by rows of the theory."""

    @property
    def trains(self) -> str:
        """The verdict."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def blocks(self) -> Mapping[str, BlockPhase]:
        """Blocks that repeat, by place."""

    @property
    def changes(self) -> tuple[NetworkChange, ...]:
        """What could be changed."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks."""

    @property
    def log10_gradient(self) -> float:
        """Decades of the total squared gradient."""


def lines(found: Analysed) -> Iterator[str]:
    """The page, line by line."""
    theory, width = found.theory, page_width()
    count = len(trunk(theory))
    yield f"{count} step{'s' * (count != 1)}, {_words(theory)}"
    yield ""
    head = ["layer", "q", "c", "gradient", "error"]
    some = set(theory.rules) != {"closed"}
    head += [""] * some
    if found.simulation is not None:
        head += ["simulated q", "gradient"]
    align = "<>>>>" + "<" * some + ">>"
    yield text_table(head, list(_table(found)), align=align[: len(head)], width=width)
    yield paragraph(_rules(theory), width=width)
    yield ""
    change = power_text(found.log10_gradient)
    yield paragraph(
        f"Trains: {found.trains}. {found.reason} Total squared gradient, first layer over "
        f"output: {change}.",
        width=width,
    )
    for place, block in found.blocks.items():
        yield paragraph(f"Block {_short(place)}: {block.sentence}", width=width)
    for proposal in found.changes:
        yield paragraph(
            f"Instead: {proposal.words}: gradient {power_text(proposal.log10_gradient)}, mean "
            f"square {power_text(proposal.log10_length)} over the depth; trains: "
            f"{proposal.trains}.",
            width=width,
        )
    for note in found.notes:
        yield paragraph(note, width=width)
    if found.simulation is not None:
        yield paragraph(
            f"Error: largest relative bound on the error of the three numbers beside it. +-: "
            f"standard error over {found.simulation.n_networks} simulated networks.",
            width=width,
        )


def _rules(theory: NetworkTheory) -> str:
    """What the marks of the rows stand for."""
    met = [f"{mark}: {words}" for rule, (mark, words) in _MARKS.items() if rule in theory.rules]
    if not met:
        return "All of it by the closed rules of the layers."
    return f"{'; '.join(met)}; all else by the closed rules of the layers."


def _words(theory: NetworkTheory) -> str:
    given = theory.network.input
    at = f" at {given.shape.positions} positions" if given.grid else ""
    inputs = "input" if given.count == 1 else "inputs"
    return f"{given.count} {inputs} of {Shape(given.width)}{at}"


def _table(found: Analysed) -> Iterator[list[str]]:
    theory, hidden = found.theory, 0
    some = set(theory.rules) != {"closed"}
    names = dict(_names(theory.network, ""))
    for row, place in enumerate(theory.places):
        if not _is_shown(place, theory.places):
            hidden += 1
            continue
        if hidden:
            yield ["...", *[""] * (4 + some + 2 * (found.simulation is not None))]
            hidden = 0
        numbers = theory.q[row], theory.c[row], theory.gradient[row]
        cells = [f"{_short(place)} {names.get(place, '')}"]
        cells += [value_text(x, _DIGITS) for x in numbers]
        cells += [f"{max(_relative(x) for x in numbers):.0e}"]
        cells += [_mark(theory, row)] * some
        if found.simulation is not None:
            twins = (found.simulated[name][row] for name in ("q", "gradient"))
            cells += [measured_text(*twin).replace(" +- ", "+-") for twin in twins]
        yield cells


def _mark(theory: NetworkTheory, row: int) -> str:
    """Letters of the rules of a row, and of those that are hidden inside it."""
    place = theory.places[row]
    met = {theory.rules[row]}
    for inside, rule in zip(theory.places, theory.rules, strict=True):
        if inside.startswith(f"{place}.") and not _is_shown(inside, theory.places):
            met.add(rule)
    return "".join(mark for rule, (mark, _) in _MARKS.items() if rule in met)


def _names(network: Network, front: str) -> Iterator[tuple[str, str]]:
    """Places of all layers, those of memories too, and what the page calls them."""
    for name, other in network.memories.items():
        yield from _names(other, f"{front}memory.{name}.")
    for place, layer in network.steps():
        yield front + place, _name(layer)


def _name(layer: AbstractLayer) -> str:
    """The word of a layer; of an activation its name."""
    return layer.activation.name if isinstance(layer, Nonlinearity) else layer.word


def _relative(x: Estimate) -> float:
    value = abs(float(x.value))
    return float(x.error) / value if value > 0.0 else 0.0


def _short(place: str) -> str:
    """The place without the words that every place has, indented as it is nested."""
    if place.startswith("memory."):
        front, name, rest = place.split(".", 2)
        return f"{front}.{name}" if rest == "input" else f" {_short(rest)}"
    depth = place.count(".")
    name = place.split(".")[-1] if depth else place.removeprefix("layers")
    return " " * depth + name.replace("layers", "")


def _is_shown(place: str, places: tuple[str, ...]) -> bool:
    """Of each block the first and the last repetition, the inside of the first alone.

    Of the states of a recurrent layer the first ones and the last.
    """
    head, _, rest = place.partition("#")
    if not rest:
        return f"{place}#0" not in places and _is_shown_state(place, places)
    number, _, inside = rest.partition(".")
    last = f"{head}#{int(number) + 1}" not in places
    if inside:
        return number == "0" and _is_shown(f"layers.{inside}", places)
    return number == "0" or last


def _is_shown_state(place: str, places: tuple[str, ...]) -> bool:
    layer, _, number = place.removesuffix("]").partition(".state[")
    return not number or int(number) < _STATES or f"{layer}.state[{int(number) + 1}]" not in places
