"""Compiled, scripted, wrapped and transformed models: right answers, or one sentence."""

import sys

import pytest

torch = pytest.importorskip("torch")

from chione.torch import initialize_, inspect  # noqa: E402 - needs torch
from chione.torch.capture.eager import eager  # noqa: E402

nn = torch.nn


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 16))


def inputs():
    return torch.randn(8, 16, generator=torch.Generator().manual_seed(1))


pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Holder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(16, 16), inner, nn.Linear(16, 3)

    def forward(self, x):
        return self.last(self.inner(torch.relu(self.first(x))))


class Refuses(Exception):
    """Raised where compiled code would have run."""


def never(*args, **kwargs):
    raise Refuses


def compiled_call():
    model = mlp()
    model._compiled_call_impl = never  # what Module.compile keeps
    return model


def compiled_inside():
    model = Holder(mlp())
    model.inner._compiled_call_impl = never
    return model


def wrapped_inside():
    class Optimized(nn.Module):  # as torch.compile makes it
        def __init__(self, inner):
            super().__init__()
            self._orig_mod, self.forward = inner, never

    return Holder(Optimized(mlp()))


@pytest.mark.parametrize("make", [compiled_call, compiled_inside, wrapped_inside])
def test_compiled_code_is_set_aside_and_put_back(make):
    model = make()
    with pytest.raises(Refuses):
        model(inputs())
    report = inspect(model, inputs())
    assert any(layer.activation == "tanh" for layer in report.layers)
    with pytest.raises(Refuses):
        model(inputs())
    with pytest.raises(ValueError, match="rejects the batch"):
        inspect(model, inputs()[:, :5])
    with pytest.raises(Refuses):
        model(inputs())


@pytest.mark.parametrize("how", ["model.compile()", "submodule", "torch.compile", "inner"])
def test_compiled_models_are_measured_as_they_are_written(how):
    plain, model = Holder(mlp()), Holder(mlp())
    model.load_state_dict(plain.state_dict())
    if how == "model.compile()":
        model.compile(backend="eager")
    elif how == "submodule":
        model.inner.compile(backend="eager")
    elif how == "inner":
        model.inner = torch.compile(model.inner, backend="eager")
    else:
        model = torch.compile(model, backend="eager")
    found, expected = inspect(model, inputs()), inspect(plain, inputs())
    for a, b in zip(found.layers, expected.layers, strict=True):
        assert (a.mean_square, a.gradient, a.activation) == (
            b.mean_square,
            b.gradient,
            b.activation,
        )


def test_a_compiled_model_is_initialised_too():
    model = mlp()
    model.compile(backend="eager")
    changes = initialize_(model, inputs()).changes
    assert [change.name for change in changes] == ["0", "2"]


def test_what_torchscript_has_compiled_is_told_in_one_sentence():
    for model in (torch.jit.script(mlp()), torch.jit.trace(mlp(), inputs())):
        with pytest.raises(TypeError, match="TorchScript cannot be followed") as caught:
            inspect(model, inputs())
        assert "\n" not in str(caught.value)
    report = inspect(Holder(torch.jit.script(mlp())), inputs())
    assert "Compiled by TorchScript, and not seen inside: inner." in report.notes
    assert [layer.name for layer in report.layers] == ["first", "last"]


def test_modules_of_torchscript_come_back_as_they_were():
    model = Holder(torch.jit.script(nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16))))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inspect(model, inputs())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_quantised_weights_are_told():
    class Packed(nn.Module):
        def forward(self, x):
            return x

    Packed.__module__ = "torch.ao.nn.quantized.dynamic.modules.linear"
    with pytest.raises(TypeError, match="weights of '0' are quantised"):
        inspect(nn.Sequential(Packed()), inputs())


def test_wrappers_and_graphs_are_seen_through():
    expected = [layer.mean_square for layer in inspect(mlp(), inputs()).layers]
    for model in (nn.DataParallel(mlp()), torch.fx.symbolic_trace(mlp())):
        assert [layer.mean_square for layer in inspect(model, inputs()).layers] == expected


class Transformed(nn.Module):
    def __init__(self, way):
        super().__init__()
        self.net, self.way = mlp(), way

    def forward(self, x):
        if self.way == "vmap":
            return torch.vmap(self.net)(x)
        if self.way == "grad":
            return torch.func.grad(lambda y: self.net(y).square().sum())(x)
        return torch.vmap(torch.func.jacrev(self.net))(x)


@pytest.mark.parametrize("way", ["vmap", "grad", "jacrev"])
def test_transforms_of_functions_are_named_as_not_seen(way):
    report = inspect(Transformed(way), inputs(), remedies=False)
    assert any("torch.func" in note for note in report.notes)


def test_without_a_compiler_loaded_nothing_is_loaded_for_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    monkeypatch.setattr(torch.compiler, "set_stance", never, raising=False)
    with eager(mlp()):
        pass
