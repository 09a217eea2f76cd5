"""Without a declaration: every seeded fault is found, and no clean model raises an alarm."""

import copy
import math

import pytest
import torch
from audit_faults import FAULTS, NotHere
from audit_models import CLEAN, LAYERS, Llama2c, NanoGPT, ResNet, encoder, he, mlp

import chione.torch as ct

nn = torch.nn
DEEP_MLP = (32, 64, 64, 64, 64, 64, 10)
ARCHITECTURES = {
    "nanoGPT": NanoGPT,
    "llama2.c": Llama2c,
    "ResNet": ResNet,
    "MLP, He": lambda: mlp(*DEEP_MLP, weights=he),
    "MLP as torch draws it": lambda: mlp(*DEEP_MLP),
    "TransformerEncoder": encoder,
}
BATCHES = {"TransformerEncoder": lambda: torch.randn(3, 5, 32)}


def kinds(report):
    return {f.kind for f in report.findings}


@pytest.mark.parametrize("name", CLEAN)
def test_no_alarm_on_a_model_as_its_authors_initialise_it(name):
    torch.manual_seed(5)
    report = ct.audit(CLEAN[name]())
    assert not report.findings, report.findings[0].sentence
    assert report.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", CLEAN)
def test_no_alarm_on_ten_more_draws_of_it(name):
    for seed in range(10):
        torch.manual_seed(100 + seed)
        report = ct.audit(CLEAN[name]())
        assert not report.findings, (seed, report.findings[0].sentence)


def with_fault(architecture, fault, seed=3):
    """The audit of a model with a fault; None where the model has no place for it."""
    torch.manual_seed(seed)
    model = ARCHITECTURES[architecture]()
    with torch.no_grad():
        try:
            FAULTS[fault](model)
        except NotHere:
            return None
    return ct.audit(model, batch=BATCHES.get(architecture, lambda: None)())


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(fault):
    reports = (with_fault(name, fault) for name in ("nanoGPT", "llama2.c", "MLP, He"))
    report = next(r for r in reports if r is not None)
    assert report.findings
    assert not report.passed


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found_in_every_architecture_that_has_a_place_for_it(fault):
    seen = 0
    for architecture in ARCHITECTURES:
        for seed in (0, 1):
            report = with_fault(architecture, fault, seed)
            assert report is None or report.findings, (architecture, seed)
            seen += report is not None
    assert seen >= 2


def test_the_layer_that_differs_is_named_and_no_other():
    torch.manual_seed(0)
    model = NanoGPT()
    with torch.no_grad():
        model.h[2].mlp.c_fc.weight.mul_(1.5)
    (finding,) = ct.audit(model).findings
    assert finding.kind == "series differs"
    assert finding.names == ("h.2.mlp.c_fc.weight",)
    assert "1.5" in finding.sentence
    assert finding.p < 1e-6


def test_depth_scaling_on_w3_is_told_with_where_it_belongs():
    torch.manual_seed(0)
    (finding,) = ct.audit(Llama2c(ends=("w3.weight", "wo.weight"))).findings
    assert finding.kind == "depth scaling on the wrong projection"
    assert set(finding.names) == {f"layers.{k}.feed_forward.w3.weight" for k in range(LAYERS)}
    assert "1/sqrt(2 L)" in finding.sentence
    assert "w2" in finding.sentence


def test_roles_come_from_the_graph_whatever_the_names():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(16, 40), nn.Linear(16, 40)
            self.c, self.d = nn.Linear(40, 16), nn.Linear(16, 5)

        def forward(self, x):
            x = x + self.c(torch.sigmoid(self.a(x)) * self.b(x))
            return self.d(x)

    report = ct.audit(Odd(), batch=torch.randn(4, 16))
    found = {p.name: (p.role, p.evidence) for p in report.parameters}
    assert found["a.weight"] == ("gate", "graph")
    assert found["b.weight"] == ("up", "graph")
    assert found["c.weight"] == ("down", "graph")
    assert found["d.weight"] == ("head", "graph")


def test_cloned_layers_are_copies():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 3)
    report = ct.audit(model)
    assert kinds(report) == {"copies"}
    assert "layers.0" in report.findings[0].sentence


def test_a_target_network_is_a_copy_that_is_meant():
    model = nn.Module()
    model.online = mlp(16, 32, 32, 4)
    model.target = copy.deepcopy(model.online)
    report = ct.audit(model)
    assert not report.findings
    assert {n.kind for n in report.notes} == {"copies"}


def test_a_tied_embedding_of_unit_std_is_told():
    torch.manual_seed(0)
    model = NanoGPT()
    nn.init.normal_(model.wte.weight)
    assert "embedding scale" in kinds(ct.audit(model))


def test_lora_with_two_zero_factors_is_told():
    model = nn.Module()
    model.base = nn.Linear(32, 32)
    model.lora_A, model.lora_B = nn.Linear(32, 4, bias=False), nn.Linear(4, 32, bias=False)
    nn.init.zeros_(model.lora_B.weight)
    assert not ct.audit(model).findings
    nn.init.zeros_(model.lora_A.weight)
    assert "zero product" in kinds(ct.audit(model))


def test_a_padding_row_that_was_drawn_again_is_told():
    model = nn.Sequential(nn.Embedding(100, 16, padding_idx=0), nn.Linear(16, 4))
    assert not ct.audit(model).findings
    nn.init.normal_(model[0].weight)
    assert kinds(ct.audit(model)) == {"padding row not zero"}


def test_float16_that_underflows_and_tails_that_are_cut_are_told():
    torch.manual_seed(0)
    small = nn.Linear(256, 256)
    nn.init.normal_(small.weight, 0.0, 1e-7)
    assert "underflow" in kinds(ct.audit(small.half()))
    coarse = nn.Linear(512, 512)
    u, v = torch.randint(1, 257, (512, 512)) / 256, torch.rand(512, 512)
    radius = torch.sqrt(-2.0 * torch.log(u - 1 / 512))  # Box and Muller with eight random bits
    radius = radius.clamp(max=3.4)
    with torch.no_grad():
        coarse.weight.copy_(0.02 * radius * torch.cos(2.0 * math.pi * v))
    found = ct.audit(coarse.bfloat16())
    assert found.parameters[0].kind != "normal"


def test_to_empty_without_an_initialisation_is_told():
    model = nn.Sequential(*(nn.Linear(32, 32, device="meta") for _ in range(3))).to_empty(
        device="cpu"
    )
    with torch.no_grad():
        for p in model.parameters():  # what fresh memory holds
            p.zero_()
    assert "not initialised" in kinds(ct.audit(model))


def test_each_finding_has_a_sentence_with_a_number_or_a_name():
    for fault in ("a layer 1.5 times as large", "std squared", "a mean", "one outlier"):
        for finding in with_fault("nanoGPT", fault).findings:
            assert finding.names
            assert any(name in finding.sentence for name in finding.names)
            assert 0.0 <= finding.p <= 1e-3
