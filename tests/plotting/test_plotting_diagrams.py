"""Phase diagrams: level lines of every quantity, critical points, narrow phases, dashes, keys."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.contour import QuadContourSet

import chione as ch
from chione.cli import main
from chione.plotting import phase_figure
from chione.plotting.diagram import FIELD_WORDS

W, B = np.linspace(0.05, 3.0, 60), np.linspace(0.0, 1.5, 46)
DIAGRAMS: dict[str, ch.PhaseDiagram] = {}


def diagram(name: str) -> ch.PhaseDiagram:
    if name not in DIAGRAMS:
        DIAGRAMS[name] = ch.phase_diagram(name, sigma_w=W, sigma_b=B)
    return DIAGRAMS[name]


def figure(name: str, field: str = "q_star", levels=()):
    return phase_figure(diagram(name), ch.critical_line(name), field=field, levels=levels)


def level_lines(figure) -> list[tuple[float, np.ndarray]]:
    """Each unbroken line of the level lines with its level, in sigmas."""
    found = []
    for drawn in figure.axes[0].collections:
        if isinstance(drawn, QuadContourSet) and not drawn.filled:
            for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
                found += [(level, part) for part in path.to_polygons(closed_only=False)]
    return found


# by default each field once, and each activation
OFTEN = dict(
    zip(FIELD_WORDS, ["tanh", "gelu", "relu", "tanh", "elu", "sigmoid", "gelu"], strict=True)
)
LINES = [
    pytest.param(name, field, marks=() if OFTEN[field] == name else pytest.mark.slow)
    for name in ("tanh", "relu", "gelu", "elu", "sigmoid")
    for field in FIELD_WORDS
]


@pytest.mark.parametrize(("name", "field"), LINES)
def test_level_lines_end_on_the_frame_or_where_the_quantity_ends(name, field):
    values = np.asarray(getattr(diagram(name), field))
    plain = phase_figure(diagram(name), None, field=field, levels=None)
    cell = (W[1] - W[0], B[1] - B[0])
    unknown = np.argwhere(np.isnan(values))
    holes = np.stack([W[unknown[:, 1]], B[unknown[:, 0]]], axis=1)
    ends = []
    for _, part in level_lines(plain):
        closed = np.allclose(part[0], part[-1])
        ends += [] if closed else [part[0], part[-1]]
    # a line has a gap where its label is
    labels = np.array([t.get_position() for t in plain.axes[0].texts]).reshape(-1, 2)
    for w, b in ends:
        frame = min(w - W[0], W[-1] - w) < 1e-9 or min(b - B[0], B[-1] - b) < 1e-9
        hole = len(holes) and np.any(np.all(abs(holes - [w, b]) <= np.array(cell) * 1.01, axis=1))
        label = len(labels) and np.any(np.all(abs(labels - [w, b]) < (0.25, 0.2), axis=1))
        assert frame or hole or label, (w, b)


def test_level_lines_have_their_value_by_another_way():
    lines = level_lines(figure("tanh", "chi_perp", levels=(0.5, 1.5)))
    assert {level for level, _ in lines} == {0.5, 1.5}
    for level, part in lines:
        for w, b in part[3:-3:9]:
            found = ch.mean_field("tanh", sigma_w=float(w), sigma_b=float(b)).chi_perp.value
            assert abs(found - level) < 4e-3, (w, b)


def test_level_lines_of_relu_are_its_closed_form():
    lines = level_lines(figure("relu", "q_star", levels=(0.5,)))
    assert lines
    for _, part in lines:
        w, b = part[np.all(part > 0.3, axis=1)].T
        np.testing.assert_allclose(b**2 / (1.0 - w**2 / 2.0), 0.5, rtol=0.02)


@pytest.mark.parametrize("field", list(FIELD_WORDS))
def test_plot_draws_every_field_with_words_on_its_scale(field):
    drawn = diagram("tanh").plot(field=field)
    assert FIELD_WORDS[field] in [ax.get_ylabel() for ax in drawn.axes]
    assert "tanh" in drawn.axes[0].get_title(loc="left")


def labels(figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    return [] if legend is None else [t.get_text() for t in legend.get_texts()]


def test_the_critical_point_of_relu_is_drawn():
    picture = figure("relu")
    places = [line.get_xydata() for line in picture.axes[0].lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(places, [[[np.sqrt(2.0), 0.0]]])
    assert labels(picture) == ["critical point"]
    assert any("point" in text for text in labels_of_line("relu"))


def labels_of_line(name: str) -> list[str]:
    return labels(ch.critical_line(name).plot())


def test_a_line_out_of_sight_is_not_in_the_key():
    assert ch.critical_line("sigmoid").sigma_w.min() > W[-1]
    assert labels(figure("sigmoid")) == []


def test_the_line_is_dashed_where_lengths_leave_its_fixed_point():
    picture = figure("gelu")
    line = ch.critical_line("gelu")
    whole, dashed = (
        next(x for x in picture.axes[0].lines if (x.get_linestyle() == "--") is dash)
        for dash in (False, True)
    )
    w = dashed.get_xdata()[np.isfinite(dashed.get_xdata())]
    np.testing.assert_array_equal(np.sort(w), np.sort(line.sigma_w[line.chi_parallel > 1.0]))
    assert np.isfinite(whole.get_xdata()).sum() < line.sigma_w.size
    assert any("unstable" in text for text in labels(picture))


def test_cells_that_small_inputs_alone_reach_are_dotted():
    assert any("small inputs" in text for text in labels(figure("gelu")))
    assert not any("small inputs" in text for text in labels(figure("tanh")))
    assert not any("small inputs" in text for text in labels(figure("relu")))


def test_a_narrow_phase_is_named_with_an_arrow_into_it():
    found = diagram("elu")
    assert 0.002 < np.mean(found.phase == "chaotic") < 0.06
    picture = figure("elu")
    ax = picture.axes[0]
    (text,) = [t for t in ax.texts if t.get_text() == "chaotic"]
    i, j = np.argmin(abs(B - text.xy[1])), np.argmin(abs(W - text.xy[0]))
    assert found.phase[i, j] == "chaotic"
    others = [t for t in ax.texts if t is not text]
    assert {t.get_text() for t in others} == {"ordered", "divergent"}


def test_the_command_draws_any_field(tmp_path):
    small = ["--sigma-w", "0.5:3:9", "--sigma-b", "0:1:7"]
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    for path, more in ((one, []), (two, ["--field", "xi_c", "--levels", "1,3"])):
        done = CliRunner().invoke(main, ["phase", "tanh", *small, *more, "--figure", str(path)])
        assert done.exit_code == 0, done.output
    assert one.read_bytes() != two.read_bytes()


def test_the_command_draws_any_field_of_a_network(tmp_path):
    small = ["--depth", "2", "--attention-scale", "0.2:3:3", "--residual-scale", "0.2:1:2"]
    paths = {}
    for field in (None, "region", "one_minus_c", "log10_gradient"):
        paths[field] = path = tmp_path / f"{field}.png"
        more = [] if field is None else ["--field", field]
        arguments = ["phase", "--network", "transformer", *small, *more, "--figure", str(path)]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    assert paths[None].read_bytes() == paths["region"].read_bytes()
    assert len({path.read_bytes() for path in paths.values()}) == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--field", "q_star", "--figure", "a.png"], "--field of a network is one of region, one"),
        (["--field", "attended"], "give --figure FILE, too"),
        (["--levels", "1", "--figure", "a.png"], "--levels needs an activation"),
    ],
)
def test_fields_and_levels_of_activations_are_refused_for_networks(more, words):
    done = CliRunner().invoke(main, ["phase", "--network", "transformer", *more])
    assert done.exit_code == 2
    assert words in done.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--field", "region", "--figure", "a.png"], "--field of an activation is one of q_star"),
        (["--field", "chi"], "c_star"),
        (["--levels", "x", "--figure", "a.png"], "auto, none, or a list"),
        (["--levels", "nan", "--figure", "a.png"], "must be finite"),
        (["--field", "xi_c"], "--figure FILE"),
    ],
)
def test_bad_fields_and_levels_are_refused_in_a_sentence(more, words):
    done = CliRunner().invoke(main, ["phase", "tanh", *more])
    assert done.exit_code == 2
    assert words in done.output
