"""Pictures of recommendations show the decades that stand in the results, each mark in its row."""

from __future__ import annotations

import numpy as np
import pytest

import chione as ch
from chione.base import NoPictureError
from chione.diagnosis import gain_table


def row_of(ax, y):
    """The name of the row that a mark stands in."""
    names = [label.get_text() for label in ax.get_yticklabels()]
    return names[int(np.floor(y + 0.5))]


@pytest.mark.parametrize("name", ["tanh", "gelu", "exp"])
def test_marks_are_the_decades_that_were_weighed(name):
    best = ch.gain(name, depth=30, width=256)
    figure = best.plot()
    ax = figure.axes[0]
    options = [o for o in (best, *best.alternatives) if o.weighed]
    marks = [line for line in ax.lines if line.get_marker() != "None"]
    assert len(marks) == len(options) > 2
    for line, option in zip(marks, options, strict=True):
        drawn = {row_of(ax, y): x for x, y in zip(*line.get_data(), strict=True)}
        assert drawn == {k: d for k, d in option.weighed.items() if np.isfinite(d)}
        assert line.get_label().startswith(option.name)
    assert f"of {name} cost over 30 layers" in ax.get_title(loc="left")
    assert ("a mark is missing" in ax.get_xlabel()) == (name == "exp")


def test_marks_of_one_picture_differ_in_shape():
    marks = [m for m in ch.gain("tanh").plot().axes[0].lines if m.get_marker() != "None"]
    looks = {(m.get_marker(), m.get_markerfacecolor()) for m in marks}
    assert len(looks) == len(marks)


def test_what_was_not_weighed_has_no_picture():
    best = ch.gain("step")
    assert not any(o.weighed for o in (best, *best.alternatives))
    with pytest.raises(NoPictureError, match="nothing was weighed for step"):
        best.plot()


def test_the_table_of_one_activation_draws_its_recommendation():
    figure = gain_table("gelu").plot()
    assert "initialisations of gelu" in figure.axes[0].get_title(loc="left")


def test_the_table_of_all_draws_both_rules():
    table = gain_table(depth=20)
    ax = table.plot().axes[0]
    marks = {line.get_label(): line for line in ax.lines}
    own, changed = marks["recommended"], marks["recommended, for a changed activation"]
    drawn = {row_of(ax, y): x for m in (own, changed) for x, y in zip(*m.get_data(), strict=True)}
    torch = {row_of(ax, y): x for x, y in zip(*marks["calculate_gain"].get_data(), strict=True)}
    for row in table.rows:
        best, rule = row.recommended, row.calculate_gain
        assert np.isnan(drawn[row.activation]) == (not best.exists)
        if best.exists:
            assert drawn[row.activation] == best.log10_gradient
        if rule is not None:
            assert torch[row.activation] == rule.log10_gradient
    assert {t.get_text() for t in ax.texts} == {"none"}
    assert len(ax.texts) == sum(
        not r.recommended.exists and r.calculate_gain is None for r in table.rows
    )
