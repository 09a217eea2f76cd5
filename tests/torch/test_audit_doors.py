"""The doors of the audit: the command, the fixture of pytest, checkpoints, ranks."""

import json
from importlib.metadata import entry_points

import pytest
import torch
from click.testing import CliRunner

import chione.torch as ct
from chione.cli import main

nn = torch.nn
pytest_plugins = ["pytester"]


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*(nn.Linear(48, 48) for _ in range(4)))


def run(*args):
    return CliRunner().invoke(main, ["audit", *map(str, args)])


NET = """
import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(*(torch.nn.Linear(48, 48) for _ in range(4)))
def broken():
    model = make()
    torch.nn.init.normal_(model[1].weight, std=0.5)
    return model
"""


def test_the_command_passes_a_model_as_torch_draws_it_and_names_the_layer_that_differs(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(NET)
    good = run(f"{file}:make", "--declared", "torch")
    assert good.exit_code == 0, good.output
    bad = run(f"{file}:broken", "--json")
    assert bad.exit_code == 1
    found = json.loads(bad.stdout)
    assert found["result"]["findings"][0]["names"] == ["1.weight"]
    assert run(f"{file}:broken", "--line", "1.weight=normal(0, 0.4)").exit_code == 1


def test_the_command_reads_checkpoints(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(net().state_dict(), path)
    lines = ("--line", "*.weight=kaiming_uniform(sqrt(5))", "--line", "*.bias=any")
    assert run(path, *lines).exit_code == 0
    wrong = run(path, "--line", "*.weight=zeros")
    assert wrong.exit_code == 1
    assert "FAIL" in wrong.output


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nothing.pt",), "there is no checkpoint"),
        (("net.py",), "FILE.py:FACTORY"),
        (("nothing.pt", "--line", "zeros"), "no line such as"),
        (("nothing.pt", "--declared", "no.json"), "cannot be read"),
    ],
)
def test_the_command_refuses_in_a_sentence(args, words):
    out = run(*args)
    assert out.exit_code != 0
    assert words in (out.output + str(out.exception))


def test_the_fixture_fails_with_a_table_of_what_differs(pytester):
    pytester.makepyfile(
        """
        import torch

        def test_good(assert_initialized):
            torch.manual_seed(0)
            assert_initialized(torch.nn.Linear(64, 64), "torch")

        def test_bad(assert_initialized):
            torch.manual_seed(0)
            assert_initialized(torch.nn.Linear(64, 64), {"weight": "normal(0, 0.02)", "*": "any"})
        """
    )
    installed = any(e.name == "chione" for e in entry_points(group="pytest11"))
    out = pytester.runpytest_inprocess(*(() if installed else ("-p", "chione.pytest_plugin")))
    out.assert_outcomes(passed=1, failed=1)
    out.stdout.fnmatch_lines(["*not initialised as declared: 1 of 2 lines fail*"])
    out.stdout.fnmatch_lines(["*FAIL*weight: normal(0, 0.02)*0.02*"])


def test_a_checkpoint_in_safetensors_is_audited_as_the_model(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    model = net()
    safetensors.save_file(model.state_dict(), tmp_path / "m.safetensors")
    torch.save({"model": model.state_dict(), "step": 3}, tmp_path / "m.pt")
    laws = {p.name: p.law for p in ct.audit(model).parameters}
    for name in ("m.safetensors", "m.pt"):
        assert {p.name: p.law for p in ct.audit(tmp_path / name).parameters} == laws
        ct.assert_initialized(tmp_path / name, {"*weight": "kaiming_uniform(sqrt(5))", "*": "any"})


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    torch.save(net(), tmp_path / "whole.pt")
    with pytest.raises(ValueError, match="no checkpoint of tensors alone"):
        ct.audit(tmp_path / "whole.pt")


def test_ranks_that_drew_from_one_seed_are_told():
    same = ct.audit([net(0).state_dict(), net(0).state_dict()])
    assert [f.kind for f in same.findings] == ["ranks are identical"]
    assert len(same.findings[0].names) == 8
    assert not ct.audit([net(0).state_dict(), net(1).state_dict()]).findings


def state_of(model):
    return (
        {k: v.clone() for k, v in model.state_dict().items()},
        [(p.requires_grad, p.grad, p._version) for p in model.parameters()],
        [m.training for m in model.modules()],
        torch.random.get_rng_state(),
    )


class Breaks(nn.Sequential):
    def forward(self, x):
        self[1].train(not self.training)
        torch.rand(3)
        raise RuntimeError("no")


@pytest.mark.parametrize("kind", [nn.Sequential, Breaks])
def test_an_audit_changes_nothing(kind):
    model = kind(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    model[0].weight.requires_grad_(False)
    model[3].weight.grad = torch.ones(2, 8)
    before = state_of(model)
    ct.audit(model, "torch")
    after = state_of(model)
    for name, value in before[0].items():
        assert torch.equal(value, after[0][name])
    for old, new in zip(before[1], after[1], strict=True):
        assert old[0] == new[0]
        assert old[1] is new[1]
        assert old[2] == new[2]
    assert before[2] == after[2]
    assert torch.equal(before[3], after[3])


@pytest.mark.parametrize(
    ("thing", "error", "words"),
    [
        (3, TypeError, "must be a torch.nn.Module"),
        (nn.ReLU(), ValueError, "no parameters"),
        ({}, ValueError, "no floating-point tensors"),
        (nn.Linear(3, 3, device="meta"), ValueError, "meta device"),
        ([nn.Linear(3, 3)], ValueError, "two or more"),
    ],
)
def test_what_cannot_be_audited_is_refused_in_a_sentence(thing, error, words):
    with pytest.raises(error, match=words):
        ct.audit(thing)
