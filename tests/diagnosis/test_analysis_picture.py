"""The picture of an analysis: data that is computed once, saved, read and drawn without more."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pytest

from chione.diagnosis import AnalysisPicture, analyze
from chione.gaussian import Integrator
from chione.plotting import save
from chione.theory import correlation_map, length_map


@pytest.fixture(scope="module")
def result():
    return analyze("tanh", 1.6, 0.2, depth=9, width=60, n_networks=4, seed=2, picture=True)


def bytes_of(figure, path):
    save(figure, path)
    return path.read_bytes()


def test_a_picture_that_was_saved_is_drawn_again_to_the_byte(result, tmp_path):
    text = json.dumps(result.picture.to_dict(), allow_nan=False)
    again = AnalysisPicture.from_dict(json.loads(text))
    mine = bytes_of(result.plot(), tmp_path / "a.png")
    assert bytes_of(again.plot(), tmp_path / "b.png") == mine
    assert len(text) < 1_500_000


def test_nothing_is_computed_while_a_page_is_written_or_drawn(result, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("computed in a printer")

    for name in ("picture", "analyze", "drawing", "report", "verdict", "alternatives"):
        module = import_module(f"chione.diagnosis.{name}")
        for theory in ("length_map", "correlation_map", "critical_line", "phase_diagram", "trust",
                       "mean_field", "trajectory", "gain", "curve_errors"):  # fmt: skip
            if theory in vars(module):
                monkeypatch.setattr(module, theory, refuse)
    monkeypatch.setattr(Integrator, "__call__", refuse)
    assert repr(result) and result._repr_html_() and result.to_dict() and result.plot()


def test_without_being_asked_for_no_picture_is_held_and_the_step_adds_it():
    bare = analyze("relu", 1.3, 0.1, depth=5, simulate=False)
    assert bare.picture is None
    full = bare.with_picture()
    assert full.picture is not None and full.with_picture() is full
    assert repr(full) == repr(bare)


def test_the_maps_of_the_picture_carry_their_errors(result):
    maps = result.picture
    for data in (maps.lengths, maps.correlations):
        assert data.error.shape == data.y.shape == data.x.shape
        assert np.all(data.error >= 0.0) and np.all(data.error < 1e-9)
    k = 80
    exact = length_map("tanh", float(maps.lengths.x[k]), sigma_w=1.6, sigma_b=0.2)
    assert abs(maps.lengths.y[k] - exact.value) <= maps.lengths.error[k] + exact.error
    q = float(result.theory.q_star.value)
    c = correlation_map("tanh", float(maps.correlations.x[k]), q=q, sigma_w=1.6, sigma_b=0.2)
    assert abs(maps.correlations.y[k] - c.value) <= maps.correlations.error[k] + c.error


@pytest.mark.parametrize("broken", [{}, {"activation": "tanh"}])
def test_data_that_is_no_picture_is_refused(broken):
    with pytest.raises((KeyError, TypeError, ValueError)):
        AnalysisPicture.from_dict(broken)
