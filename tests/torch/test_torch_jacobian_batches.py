"""Jacobian spectra of tokens, dictionaries and tuples against the dense matrix of torch."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from chione.torch import jacobian_spectrum  # noqa: E402 - needs torch

nn = torch.nn


def check(found, function, start):
    """Singular values against those of the matrix that torch's own function forms."""
    exact = torch.autograd.functional.jacobian(function, start).reshape(-1, start.numel())
    s = torch.linalg.svdvals(exact.double())
    assert (found.outputs, found.inputs) == exact.shape
    assert abs(found.largest.value - float(s[0])) <= found.largest.error
    assert abs(found.smallest.value - float(s[-1])) <= found.smallest.error
    moment = float((s**4).sum()) / found.outputs
    assert abs(found.moments.value[1] - moment) <= found.moments.error[1]
    assert found.moments.error[1] <= 1e-10 * moment


class Reader(nn.Module):
    """Tokens and positions, an LSTM, a head; overwrites what its embedding returns."""

    def __init__(self):
        super().__init__()
        self.places = nn.Embedding(20, 5)
        self.embed, self.cell = nn.Embedding(11, 5), nn.LSTM(5, 6, batch_first=True)
        self.head = nn.Linear(6, 4)

    def behind(self, h):
        return self.head(torch.tanh(self.cell(h * 2.0 + 0.5)[0]))

    def forward(self, ids):
        h = self.embed(ids)
        h *= 2.0
        h += 0.5
        return self.behind((h - 0.5) / 2.0)


def test_tokens_start_at_the_output_of_the_embedding():
    torch.manual_seed(0)
    model, ids = Reader().double(), torch.tensor([[3, 1, 4, 1, 5, 9]])
    found = jacobian_spectrum(model, ids)
    check(found, model.behind, model.embed(ids).detach())
    assert "the output of the embedding, of shape (1, 6, 5)" in found.note
    largest = jacobian_spectrum(model, ids, method="lanczos", probes=3, steps=30).largest
    assert largest.value == pytest.approx(float(found.largest.value), rel=1e-9)


@pytest.mark.parametrize("form", ["tensor", "dictionary", "encoding"])
def test_a_transformer_of_tokens_is_taken_in_the_forms_that_it_takes(form):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    config = transformers.GPT2Config(
        vocab_size=40,
        n_positions=16,
        n_embd=12,
        n_layer=2,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config).double().eval()
    ids = torch.randint(0, 40, (1, 5))
    named = {"attention_mask": torch.ones_like(ids), "input_ids": ids}
    batch = {
        "tensor": ids,
        "dictionary": named,
        "encoding": transformers.BatchEncoding({**named, "attention_mask": torch.ones(1, 5)}),
    }[form]
    start = model.transformer.wte(ids).detach()
    found = jacobian_spectrum(model, batch)
    check(found, lambda h: model(inputs_embeds=h).logits, start)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.table = nn.Linear(7, 9), nn.Linear(3, 9), nn.Embedding(5, 9)

    def forward(self, kind, x, mask, side):
        x *= mask
        h = self.one(x) * torch.sigmoid(self.two(side)) + self.table(kind)
        return {"loss": h.sum(), "logits": torch.tanh(h)}


def test_a_dictionary_starts_at_its_first_floating_tensor_that_is_no_mask():
    torch.manual_seed(2)
    model = Named().double()
    batch = {
        "mask": (torch.rand(1, 7) > 0.3).double(),
        "kind": torch.tensor([2]),
        "x": torch.randn(1, 7).double(),
        "side": torch.randn(1, 3).double(),
    }
    before = {k: v.clone() for k, v in batch.items()}
    found = jacobian_spectrum(model, batch)
    assert all(torch.equal(batch[k], v) for k, v in before.items())  # the model overwrites x
    check(found, lambda x: model(**{**batch, "x": x * 1.0})["logits"], batch["x"].clone())
    assert "the first floating tensor of the batch, of shape (1, 7)" in found.note


@pytest.mark.parametrize("kind", [tuple, list])
def test_the_other_inputs_of_a_tuple_are_held_fixed(kind):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(6, 8), nn.Linear(4, 8)

        def forward(self, a, b):
            return torch.sin(self.one(a)) * self.two(b), b

    torch.manual_seed(3)
    model, a, b = Two().double(), torch.randn(1, 6).double(), torch.randn(1, 4).double()
    check(jacobian_spectrum(model, kind([a, b])), lambda x: model(x, b)[0], a)


def test_a_table_read_by_hand_is_a_start_also_behind_a_mask_made_before():
    class ByHand(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.randn(6, 5))

        def forward(self, ids):
            keep = (ids > 0).to(self.table.dtype)[..., None]
            return torch.tanh(self.table[ids] * keep).cumsum(1)

    torch.manual_seed(4)
    model, ids = ByHand().double(), torch.tensor([[1, 4, 0, 2]])
    keep = (ids > 0).double()[..., None]
    start = model.table[ids].detach()
    check(jacobian_spectrum(model, ids), lambda h: torch.tanh(h * keep).cumsum(1), start)


def test_a_one_hot_encoding_is_a_start_where_no_table_is_read():
    torch.manual_seed(5)
    weight = nn.Linear(6, 5).double()

    class Hot(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = weight

        def forward(self, ids):
            return torch.tanh(self.weight(nn.functional.one_hot(ids, 6).double()))

    ids = torch.tensor([[1, 4, 0, 2]])
    found = jacobian_spectrum(Hot(), ids)
    check(found, lambda h: torch.tanh(weight(h)), nn.functional.one_hot(ids, 6).double())
    assert "what the integers become" in found.note


def test_a_chain_behind_an_embedding_has_its_law():
    torch.manual_seed(6)
    n, layers = 200, []
    for _ in range(2):
        linear = nn.Linear(n, n, bias=False)
        nn.init.normal_(linear.weight, 0.0, 1.4 / math.sqrt(n))
        layers += [linear, nn.ReLU()]
    model = nn.Sequential(nn.Embedding(9, n // 4), nn.Flatten(), *layers).double()
    found = jacobian_spectrum(model, torch.tensor([[1, 2, 3, 4]]))
    assert found.theory is not None, found.note
    at = float(found.theory.quantile(0.9).value)
    assert abs(float(found.cdf(at).value) - 0.9) < 0.04


def test_tokens_leave_the_model_as_it_was_also_when_it_fails():
    class Fails(Reader):
        def forward(self, ids):
            torch.rand(3)
            with torch.no_grad():
                self.head.weight += 1.0
            self.train(not self.training)
            return super().forward(ids).detach()

    torch.manual_seed(7)
    model, ids = Fails(), torch.tensor([[3, 1, 4]])
    model.embed.weight.requires_grad_(False)
    values = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="does not depend on the input"):
        jacobian_spectrum(model, ids)
    assert all(torch.equal(values[k], v) for k, v in model.state_dict().items())
    assert not model.embed.weight.requires_grad
    assert model.head.weight.requires_grad
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


def test_a_batch_without_a_start_is_refused_in_a_sentence():
    class Deaf(nn.Linear):
        def forward(self, ids):
            return super().forward(torch.ones(ids.shape[0], self.in_features))

    with pytest.raises(ValueError, match="makes none from its integers"):
        jacobian_spectrum(Deaf(4, 3), torch.tensor([[1, 2]]))
    with pytest.raises(ValueError, match="must hold at least one tensor, but it is str"):
        jacobian_spectrum(nn.Linear(4, 3), "tokens")
    with pytest.raises(ValueError, match="NaN or infinite"):
        jacobian_spectrum(nn.Linear(4, 3), torch.full((1, 4), np.nan))
