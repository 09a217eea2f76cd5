"""With a declaration: lines pass at the stated rate, fail on usual mistakes, are read safely."""

import math

import pytest
import torch
from audit_models import LAYERS, Llama2c, NanoGPT

import chione.torch as ct
from chione.base import SpecError
from chione.torch.audits.declared import holm, match
from chione.torch.audits.expression import names_in, read

nn, init = torch.nn, torch.nn.init

DECLARED = {
    "normal(0, 0.02)": lambda w: init.normal_(w, 0.0, 0.02),
    "normal(1, 0.5)": lambda w: init.normal_(w, 1.0, 0.5),
    "trunc_normal(0, 0.02, -0.04, 0.04)": lambda w: init.trunc_normal_(w, 0, 0.02, -0.04, 0.04),
    "trunc_normal(0, 1)": lambda w: init.trunc_normal_(w),
    "uniform(-0.1, 0.1)": lambda w: init.uniform_(w, -0.1, 0.1),
    "xavier_uniform": init.xavier_uniform_,
    "xavier_uniform(gain=5/3)": lambda w: init.xavier_uniform_(w, 5 / 3),
    "xavier_normal": init.xavier_normal_,
    "kaiming_uniform(sqrt(5))": lambda w: init.kaiming_uniform_(w, math.sqrt(5)),
    "kaiming_normal(mode=fan_out)": lambda w: init.kaiming_normal_(w, mode="fan_out"),
    "kaiming_normal": init.kaiming_normal_,
    "lecun_normal": lambda w: init.normal_(w, 0.0, w.shape[1] ** -0.5),
    "orthogonal(sqrt(2))": lambda w: init.orthogonal_(w, math.sqrt(2)),
    "constant(0.3)": lambda w: init.constant_(w, 0.3),
    "zeros": init.zeros_,
    "ones": init.ones_,
    "identity": init.eye_,
    "any": lambda w: w,
}


def layer(fill, seed=0, shape=(96, 60)):
    torch.manual_seed(seed)
    made = nn.Linear(shape[1], shape[0], bias=False)
    with torch.no_grad():
        fill(made.weight)
    return made


def fails(model, declared, level):
    try:
        ct.assert_initialized(model, declared, level=level)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("law", DECLARED)
def test_a_law_of_torch_passes_its_own_line_and_no_other(law):
    model = layer(DECLARED[law])
    ct.assert_initialized(model, {"weight": law})
    for other in DECLARED:
        same = {law, other} & {"any"} or law == other
        if not same:
            assert fails(model, {"weight": other}, 1e-3), other


@pytest.mark.parametrize("law", ["normal(0, 0.02)", "uniform(-0.1, 0.1)", "trunc_normal(0, 1)"])
@pytest.mark.parametrize("shape", [(5, 4), (20, 30)])
def test_the_rate_of_false_alarms_is_the_level(law, shape):
    level, draws = 0.02, 150
    failed = sum(
        fails(layer(DECLARED[law], k, shape), {"weight": law}, level) for k in range(draws)
    )
    # six standard deviations of a binomial count above its mean
    assert failed <= level * draws + 6 * math.sqrt(level * draws)


def test_all_lines_together_keep_one_level():
    level, draws, failed = 0.05, 25, 0
    for seed in range(draws):
        torch.manual_seed(seed)
        failed += fails(NanoGPT(layers=1), "nanogpt", level)
    assert failed <= level * draws + 6 * math.sqrt(level * draws)


@pytest.mark.parametrize(
    "wrong", [("normal(0, 0.02)", 0.0206), ("normal(0, 0.02)", 0.0194), ("normal(0, 0.02)", 0.0004)]
)
def test_three_per_cent_of_a_std_are_seen_in_a_matrix_of_usual_size(wrong):
    model = layer(lambda w: init.normal_(w, 0.0, wrong[1]), shape=(256, 256))
    with pytest.raises(AssertionError, match="std"):
        ct.assert_initialized(model, {"weight": wrong[0]})


def test_the_presets_hold_for_the_models_they_are_named_after():
    torch.manual_seed(0)
    for model, preset in ((NanoGPT(), "nanogpt"), (Llama2c(()), "llama")):
        report = ct.audit(model, preset)
        assert report.passed, str(report)
        assert all(line.names for line in report.lines)
        assert not report.undeclared


@pytest.mark.slow
def test_the_presets_hold_for_transformers():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ids = {"bos_token_id": 1, "eos_token_id": 1}
    gpt2 = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            n_layer=3, n_head=2, n_embd=48, vocab_size=100, n_positions=16, **ids
        )
    )
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "vocab_size": 100}
    llama = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**sizes, num_attention_heads=4, initializer_range=0.03, **ids)
    )
    ct.assert_initialized(gpt2, "gpt2")
    ct.assert_initialized(llama, "llama")
    with torch.no_grad():
        gpt2.transformer.h[1].mlp.c_proj.weight.mul_(math.sqrt(6))  # scaling forgotten in a layer
    with pytest.raises(AssertionError, match=r"c_proj\.weight"):
        ct.assert_initialized(gpt2, "gpt2")


MODULES = {
    "linear": lambda: nn.Linear(40, 70),
    "convolution": lambda: nn.Conv2d(6, 8, 3, groups=2),
    "transposed convolution": lambda: nn.ConvTranspose2d(6, 8, 3),
    "embedding": lambda: nn.Embedding(50, 20, padding_idx=3),
    "LSTM": lambda: nn.LSTM(12, 20, 2, bidirectional=True),
    "attention": lambda: nn.MultiheadAttention(24, 4),
    "attention, other keys": lambda: nn.MultiheadAttention(24, 4, kdim=10, vdim=12),
    "bilinear": lambda: nn.Bilinear(10, 12, 8),
    "norms": lambda: nn.Sequential(nn.LayerNorm(9), nn.BatchNorm2d(4), nn.GroupNorm(2, 8)),
}


@pytest.mark.parametrize("name", MODULES)
def test_the_preset_torch_says_what_modules_draw_by_themselves(name):
    for seed in range(5):
        torch.manual_seed(seed)
        report = ct.audit(MODULES[name](), "torch")
        assert report.passed, str(report)
        assert not any(line.declared == "any" for line in report.lines)


def test_the_more_specific_pattern_wins():
    patterns = ["*.weight", "*.c_proj.weight", "h.0.c_proj.weight", "h.?.c_proj.weight"]
    assert match("h.0.c_proj.weight", patterns) == "h.0.c_proj.weight"
    assert match("h.1.c_proj.weight", patterns) == "h.?.c_proj.weight"
    assert match("h.12.c_proj.weight", patterns) == "*.c_proj.weight"
    assert match("h.1.c_fc.weight", patterns) == "*.weight"
    assert match("h.1.c_fc.bias", patterns) is None


def test_lines_that_fit_nothing_fail_and_parameters_without_a_line_are_told():
    report = ct.audit(nn.Linear(8, 8), {"*.wieght": "zeros", "bias": "any"})
    assert [line.passed for line in report.lines] == [False, True]
    assert report.lines[0].why == "no parameter has that name"
    assert report.undeclared == ("weight",)
    assert "No line speaks of weight." in str(report)


def test_expressions_know_the_sizes_of_the_model_and_of_each_tensor():
    torch.manual_seed(0)
    model = NanoGPT()
    for k, block in enumerate(model.h):
        init.normal_(block.mlp.c_proj.weight, 0.0, 0.02 / math.sqrt(2 * (k + 1)))
    lines = {
        "*": "any",
        "h.*.mlp.c_proj.weight": "normal(0, 0.02 / sqrt(2 * (layer + 1)))",
        "h.*.attn.c_proj.weight": "normal(0, s / sqrt(2 * n_layer))",
        "h.*.mlp.c_fc.weight": "normal(0, 0.02 * fan_in / n_embd)",
        "lm_head.weight": "same_as('wte.weight')",
    }
    report = ct.audit(model, lines, sizes={"s": 0.02})
    assert report.passed, str(report)
    assert {LAYERS} == {len(line.names) for line in report.lines if "h.*" in line.pattern}
    assert names_in("normal(0, 0.02/sqrt(2*n_layer))") == {"n_layer"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__import__('os').system('true')", "no law"),
        ("normal(0, (1).__class__)", "not accepted"),
        ("normal(0, [0.02][0])", "not accepted"),
        ("normal(0, open('x'))", "no function"),
        ("normal(0, 10**10**10)", "no value"),
        ("normal(0, 1/0)", "no value"),
        ("normal(0, 'a')", "no number"),
        ("normal(0, n_layers_)", "did you mean"),
        ("norml(0, 1)", "did you mean 'normal'"),
        ("normal(0, 1, 2)", "takes"),
        ("normal(0, sd=1)", "not 'sd'"),
        ("constant", "needs value"),
        ("normal(0, 0.02", "cannot be read"),
        ("0.02", "no law"),
        ("normal(0, " + "(" * 200 + "1" + ")" * 200 + ")", "characters|nested|read"),
        ("normal(0, " + "-" * 100 + "1)", "nested"),
    ],
)
def test_what_is_no_declaration_is_refused_in_a_sentence(text, words):
    with pytest.raises(SpecError, match=words):
        read(text, {"n_layers": 3.0})


def test_a_preset_that_is_not_there_and_one_that_needs_modules():
    with pytest.raises(SpecError, match="one of gpt2, llama, nanogpt, torch"):
        ct.audit(nn.Linear(3, 3), "bert")
    with pytest.raises(SpecError, match="a checkpoint has no modules"):
        ct.audit(nn.Linear(3, 3).state_dict(), "torch")


def test_the_correction_is_holms():
    # by hand: 3 * .01, 2 * .02, then not below the one before
    assert holm([0.02, 0.01, 0.9]) == pytest.approx([0.04, 0.03, 0.9])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
