"""The table of a report: repeated blocks fold, nothing that is wrong is hidden, numbers add up."""

import re

import pytest

torch = pytest.importorskip("torch")

from chione.torch import inspect  # noqa: E402 - needs torch
from chione.torch.inspection.folding import Folder  # noqa: E402

nn = torch.nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.up, self.down = (
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width),
        )  # fmt: skip

    def forward(self, x):
        return x + self.down(torch.tanh(self.up(self.norm(x))))


class Tower(nn.Module):
    def __init__(self, blocks=12, width=16):
        super().__init__()
        self.first = nn.Linear(8, width)
        self.h = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.last = nn.Linear(width, 3)

    def forward(self, x):
        x = self.first(x)
        for block in self.h:
            x = block(x)
        return self.last(x)


def examined(model, *size):
    torch.manual_seed(0)
    return inspect(model, torch.randn(6, *size), remedies=False)


def parameters(model):
    return tuple((name, p.numel(), p.requires_grad) for name, p in model.named_parameters())


def folded(model, report, depth=None, *, fold=True, alone=None):
    return Folder(parameters(model), depth, fold, alone).lines(report.layers)


def total(model):
    return sum(p.numel() for p in model.parameters())


def test_twelve_equal_blocks_are_one_with_the_values_of_the_first_and_the_last():
    model = Tower()
    report = examined(model, 8)
    lines = folded(model, report)
    assert [(line.name, line.level, line.times) for line in lines] == [
        ("first", 0, 1), ("h.0..11", 0, 12), ("norm", 1, 12), ("up", 1, 12), ("down", 1, 12),
        ("sum", 1, 12), ("last", 0, 1),
    ]  # fmt: skip
    up = lines[3]
    assert [x.name for x in up.rows] == [f"h.{i}.up" for i in range(12)]
    assert up.total == 12 * (16 * 32 + 32)
    assert lines[1].total == sum(p.numel() for p in model.h.parameters())
    assert "h.0..11 (12 x)" in str(report)


def test_every_row_and_every_parameter_is_in_exactly_one_line():
    model = Tower(5)
    report = examined(model, 8)
    for depth in (None, 1, 2, 3):
        for fold in (True, False):
            lines = folded(model, report, depth, fold=fold)
            rows = [x.name for line in lines for x in line.rows]
            assert sorted(rows) == sorted(x.name for x in report.layers)
            assert sum(line.total for line in lines if line.rows) == total(model)


def test_a_depth_makes_one_line_of_what_lies_deeper():
    model = Tower(5)
    report = examined(model, 8)
    assert [line.name for line in folded(model, report, 1)] == ["first", "h", "last"]
    names = [line.name for line in folded(model, report, 2, fold=False)]
    assert names == ["first", "h", "0", "1", "2", "3", "4", "last"]
    assert len(re.findall("4 rows", report.table(2))) == 5
    assert "20 rows" in report.table(1)


def test_blocks_that_take_turns_fold_together():
    layers = [m for _ in range(9) for m in (nn.Linear(16, 16), nn.LayerNorm(16), nn.Tanh())]
    model = nn.Sequential(*layers)
    report = examined(model, 16)
    lines = folded(model, report)
    assert [(line.name, line.times) for line in lines] == [("0..24", 9), ("1..25", 9)]


def test_a_layer_that_is_blamed_is_written_by_itself():
    torch.manual_seed(0)
    model = nn.Sequential(*[m for _ in range(20) for m in (nn.Linear(64, 64), nn.ReLU())])
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(6**0.5) if p.dim() > 1 else p.zero_()
        model[20].weight.mul_(1e-6)
    report = examined(model, 64)
    assert report.verdict.layer == "20"
    table = str(report).split("\n\n")[1]
    assert [line.split("  ")[0] for line in table.splitlines()[2:]] == [
        "0..18 (10 x)", "20", "22..38 (9 x)",
    ]  # fmt: skip


def test_blocks_of_another_structure_are_not_folded_into_their_neighbours():
    model = Tower(6)
    model.h[3].down = nn.Sequential(nn.Linear(32, 4), nn.Linear(4, 16))
    lines = folded(model, examined(model, 8))
    assert [line.name for line in lines if line.level == 1] == ["0..2", "3", "4..5"]
    assert [line.name for line in lines if line.level == 3] == ["0..1"]


def test_names_that_differ_by_more_than_a_number_are_kept_apart():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))

        def forward(self, x):
            return self.q(x) * torch.sigmoid(self.k(x)) + self.v(x)

    model = Attention()
    assert [line.name for line in folded(model, examined(model, 16))][:3] == ["q", "k", "v"]


def test_a_cell_that_runs_many_times_folds_and_counts_its_weights_once():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.hidden = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x):
            h = torch.zeros_like(x)
            for _ in range(7):
                h = torch.tanh(self.inner(x) + self.hidden(h))
            return h

    model = Loop()
    lines = folded(model, examined(model, 16))
    assert len(lines) <= 4
    assert sum(line.total for line in lines) == total(model)


def test_a_narrow_screen_gets_fewer_columns_and_no_broken_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    text = str(examined(Tower(), 8))
    assert max(map(len, text.splitlines())) <= 110
    assert "off" in text.splitlines()[2]
    monkeypatch.setenv("COLUMNS", "300")
    assert "jacobian" in str(examined(Tower(), 8)).splitlines()[2]


def test_a_depth_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="depth"):
        examined(Tower(2), 8).table(0)


def test_frozen_parameters_are_counted_apart():
    model = Tower(3)
    model.h.requires_grad_(False)
    text = str(examined(model, 8))
    frozen = sum(p.numel() for p in model.h.parameters())
    assert f"parameters: {total(model):,}, {total(model) - frozen:,} of them trainable." in text
    line = next(line for line in text.splitlines() if line.startswith("h.0..2 (3 x)"))
    assert f"{frozen:,} ({frozen:,} frozen)" in line
