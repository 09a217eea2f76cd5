"""Models of others with random weights: measured right, left untouched, in bounded time."""

import math

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from chione.torch import initialize_, inspect  # noqa: E402 - needs torch

TOKENS = {"input_ids": torch.arange(8 * 16).reshape(8, 16) * 7 % 100}
PIXELS = {"pixel_values": torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))}


def gpt2():
    config = transformers.GPT2Config(
        n_layer=3, n_embd=64, n_head=4, vocab_size=100, n_positions=32, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config), TOKENS


def bert():
    config = transformers.BertConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        vocab_size=100,
    )  # fmt: skip
    return transformers.BertModel(config), {**TOKENS, "attention_mask": torch.ones(8, 16)}


def vit():
    config = transformers.ViTConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        image_size=32, patch_size=8,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config), PIXELS


def llama():
    config = transformers.LlamaConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        vocab_size=100, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config), TOKENS


def resnet():
    config = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[2, 2], layer_type="basic"
    )
    return transformers.ResNetForImageClassification(config), PIXELS


MODELS = [gpt2, bert, vit, llama, resnet]


def make(build):
    torch.manual_seed(0)
    return build()


def weighted(model):
    """The modules that have weights of their own and run as modules."""
    return {
        name: module
        for name, module in model.named_modules()
        if any(p.dim() >= 1 for p in module.parameters(recurse=False))
        and not list(module.children())
    }


def final(out):
    return out.logits if "logits" in out else out.last_hidden_state


@pytest.mark.parametrize("build", MODELS)
def test_measured_values_of_every_layer_are_those_of_plain_hooks(build):
    model, batch = make(build)
    model.eval()
    outputs = {}
    handles = [
        # a clone goes on, since some models add to the output in place
        module.register_forward_hook(lambda m, a, out, n=name: outputs.setdefault(n, out).clone())
        for name, module in weighted(model).items()
    ]
    out = final(model(**batch))
    for handle in handles:
        handle.remove()
    v = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
    grads = torch.autograd.grad(out, list(outputs.values()), v, allow_unused=True)
    report = inspect(model, batch, projections=1)
    for (name, h), g in zip(outputs.items(), grads, strict=True):
        layer = report[name]
        x = h.detach().double()
        assert layer.mean_square == pytest.approx(float(x.square().mean()), rel=1e-4)
        size = 0.0 if g is None else float(g.double().square().mean())
        expected = size / float(v.double().square().mean())
        assert layer.gradient == pytest.approx(expected, rel=1e-3, abs=1e-14)
        if len(x) == report.batch:
            rows = torch.nn.functional.normalize(x.reshape(len(x), -1), dim=1)
            c = (float((rows @ rows.T).sum()) - len(x)) / (len(x) * (len(x) - 1))
            assert layer.correlation == pytest.approx(c, abs=1e-5)


@pytest.mark.parametrize("build", MODELS)
def test_the_model_is_untouched(build):
    model, batch = make(build)
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    buffers = {k: (id(b), b.clone()) for k, b in model.named_buffers()}
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    rng = torch.get_rng_state()
    inspect(model, batch)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for k, b in model.named_buffers():
        assert id(b) == buffers[k][0]
        assert torch.equal(b, buffers[k][1])
    assert all(p.grad is None for p in model.parameters())
    assert model.training
    assert hooks == sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    assert torch.equal(rng, torch.get_rng_state())


def test_theory_follows_the_stream_of_gpt2_and_llama():
    for build in (gpt2, llama):
        model, batch = make(build)
        model.eval()
        report = inspect(model, batch, projections=8)
        sums = [layer for layer in report.layers if layer.residual]
        assert len(sums) == 2 * model.config.num_hidden_layers
        for layer in sums:
            assert layer.mean_square == pytest.approx(layer.expected.mean_square, rel=0.2)
            assert layer.gradient == pytest.approx(layer.expected.gradient, rel=0.4)


def test_activations_gates_and_ties_are_found():
    model, batch = make(gpt2)
    report = inspect(model, batch)
    assert report["transformer.h.0.mlp.c_fc"].activation == "gelu_tanh"
    assert ("transformer.wte.weight", "lm_head.weight") in report.shared
    model, batch = make(llama)
    report = inspect(model, batch)
    assert report["model.layers.0.mlp.gate_proj"].activation == "silu"
    assert report["model.norm"].operation == "rms_norm"
    assert "attention" in {layer.operation for layer in report.layers}
    model, batch = make(resnet)
    report = inspect(model, batch)
    assert report["resnet.embedder.embedder.normalization"].activation == "relu"


@pytest.mark.parametrize("build", MODELS)
def test_a_real_model_is_initialised_and_stays_trainable(build):
    model, batch = make(build)
    done = initialize_(model, batch, generator=torch.Generator().manual_seed(1))
    assert done.residual_sums >= 2
    report = inspect(model, batch)
    report.assert_trainable()
    stream = [layer.mean_square for layer in report.layers if layer.residual]
    assert max(stream) <= math.exp(3.0) * max(stream[0], 1.0)


@pytest.mark.parametrize("build", MODELS)
def test_it_takes_one_pass_forwards_and_one_backwards(build, monkeypatch):
    """Times are measured in benchmarks/bench_torch.py; theory costs the same at any width."""
    model, batch = make(build)
    forwards, backwards = [], []
    model.register_forward_hook(lambda *_: forwards.append(1))
    grad = torch.autograd.grad

    def counted(outputs, inputs, *args, **kwargs):
        backwards.extend([1] * isinstance(inputs, list))  # slopes of activations have one input
        return grad(outputs, inputs, *args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    inspect(model, batch, projections=1, remedies=False)
    assert (len(forwards), len(backwards)) == (1, 1)
