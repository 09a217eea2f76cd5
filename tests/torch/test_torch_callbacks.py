"""The callbacks with the real libraries: what they record is what a plain monitor records."""

import sys
import warnings

import pytest

torch = pytest.importorskip("torch")

from test_torch_monitor import DIGITS, NONE, hooks, mlp  # noqa: E402

import chione as ch  # noqa: E402 - needs torch
from chione.base import MissingExtraError  # noqa: E402

nn, F = torch.nn, torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore")  # those of the other libraries


def loader(batch=64):
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*DIGITS), batch_size=batch, shuffle=False
    )


def by_hand(net, steps, every):
    """A plain loop with a plain monitor over the same batches."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    with ch.torch.Monitor(net, every=every, warn=False) as monitor:
        for _, (x, y) in zip(range(steps), loader(), strict=False):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, monitor.record


# ---- Lightning ----------------------------------------------------------------------------------


def lightning_parts(package):
    L = pytest.importorskip(package)

    class Lit(L.LightningModule):
        def __init__(self, net, fail_at=None):
            super().__init__()
            self.net, self.fail_at, self.losses = net, fail_at, []

        def training_step(self, batch, index):
            x, y = batch
            if index == self.fail_at:
                raise ZeroDivisionError
            loss = F.cross_entropy(self.net(x), y)
            self.losses.append(loss.item())
            return loss

        def validation_step(self, batch, index):
            self.net(100.0 * batch[0])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    def trainer(folder, callbacks, **options):
        given = {
            "max_steps": 11, "accelerator": "cpu", "enable_progress_bar": False, "logger": False,
            "enable_model_summary": False, "enable_checkpointing": False, **options,
        }  # fmt: skip
        return L.Trainer(default_root_dir=folder, callbacks=callbacks, **given)

    return L, Lit, trainer


@pytest.fixture(params=["lightning.pytorch", "pytorch_lightning"])
def lightning(request):
    parts = lightning_parts(request.param)
    from chione.torch.monitoring import lightning_callback

    lightning_callback.lightning_monitor.cache_clear()
    yield parts
    lightning_callback.lightning_monitor.cache_clear()


def test_a_lightning_training_gives_the_record_of_a_plain_one(lightning, tmp_path):
    L, Lit, trainer = lightning
    losses, record = by_hand(mlp(), 11, 5)
    callback = ch.torch.LightningMonitor(every=5, warn=False)
    assert isinstance(callback, L.Callback)
    lit = Lit(mlp())
    trainer(tmp_path, [callback]).fit(lit, loader())
    assert lit.losses == losses
    found = callback.record
    assert [s.step for s in found.steps] == [0, 5, 10]
    for mine, other in zip(record.steps, found.steps, strict=True):
        assert [f"net.{x.name}" for x in mine.layers[:-1]] == [x.name for x in other.layers[:-1]]
        for x, y in zip(mine.layers, other.layers, strict=True):
            assert y.mean_square == x.mean_square and y.gradient == x.gradient
        for p, q in zip(mine.parameters, other.parameters, strict=True):
            assert (q.weight, q.gradient, q.update) == (p.weight, p.gradient, p.update)
    assert [e.name for e in found.expected] == [f"net.{e.name}" for e in record.expected]
    assert all(h == NONE for h in hooks(lit))


def test_lightning_validation_is_not_measured_and_its_loggers_get_the_numbers(lightning, tmp_path):
    L, Lit, trainer = lightning
    lit, callback = Lit(mlp()), ch.torch.LightningMonitor(every=2, warn=False)
    logger = L.loggers.CSVLogger(tmp_path)
    t = trainer(tmp_path, [callback], logger=logger, val_check_interval=1, max_steps=5)
    t.fit(lit, loader(), loader())
    logger.save()
    (path,) = tmp_path.rglob("metrics.csv")
    assert "chione/mean_square/net.0" in path.read_text()
    sizes = [s.layer("net.0").mean_square for s in callback.record.steps]
    assert len(sizes) == 3 and max(sizes) < 10.0 * min(sizes)


def test_lightning_leaves_no_hooks_after_an_exception(lightning, tmp_path):
    _, Lit, trainer = lightning
    lit, callback = Lit(mlp(), fail_at=3), ch.torch.LightningMonitor(every=1, warn=False)
    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path, [callback]).fit(lit, loader())
    assert all(h == NONE for h in hooks(lit))
    assert not sys.modules["torch.optim.optimizer"]._global_optimizer_post_hooks
    assert len(callback.record.steps) == 3


def test_a_lightning_training_in_trouble_is_told(lightning, tmp_path):
    _, Lit, trainer = lightning
    lit = Lit(mlp(nn.Sigmoid, depth=12))
    callback = ch.torch.LightningMonitor(every=5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer(tmp_path, [callback], max_steps=1).fit(lit, loader())
    assert any(w.category is ch.torch.TrainingWarning for w in caught)
    assert callback.record.remarks[0].problem == "vanishing gradient"


def test_accumulated_batches_of_lightning_are_one_step(lightning, tmp_path):
    _, Lit, trainer = lightning
    lit, callback = Lit(mlp()), ch.torch.LightningMonitor(every=2, warn=False)
    trainer(tmp_path, [callback], accumulate_grad_batches=3, max_steps=5).fit(lit, loader())
    assert [s.step for s in callback.record.steps] == [0, 2, 4]
    assert all(p.gradient > 0.0 for s in callback.record.steps for p in s.parameters)


# ---- transformers -------------------------------------------------------------------------------


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, k):
        generator = torch.Generator().manual_seed(k)
        ids = torch.randint(1, 64, (12,), generator=generator)
        return {"input_ids": ids, "labels": ids}


def gpt2(transformers):
    config = transformers.GPT2Config(
        n_layer=2, n_embd=32, n_head=2, vocab_size=64, n_positions=16, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(config)


def train(transformers, folder, model, callbacks, **options):
    given = {"max_steps": 7, "per_device_train_batch_size": 4, "learning_rate": 1e-3, **options}
    arguments = transformers.TrainingArguments(
        str(folder), report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True,
        logging_steps=1, seed=3, **given,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=Rows(), callbacks=callbacks)
    trainer.train()
    return trainer


@pytest.fixture
def transformers():
    pytest.importorskip("accelerate")
    return pytest.importorskip("transformers")


@pytest.mark.slow
def test_a_training_of_transformers_is_recorded_and_not_changed(transformers, tmp_path):
    alone = train(transformers, tmp_path, gpt2(transformers), [])
    callback = ch.torch.TrainerMonitor(every=3, path=tmp_path / "run.jsonl")
    assert isinstance(callback, transformers.TrainerCallback)
    model = gpt2(transformers)
    done = train(transformers, tmp_path, model, [callback])
    losses = [[x["loss"] for x in t.state.log_history if "loss" in x] for t in (alone, done)]
    assert losses[0] == losses[1] and len(losses[0]) == 7
    record = callback.record
    assert [s.step for s in record.steps] == [0, 3, 6] and record.remarks == ()
    names = {x.name for x in record.steps[0].layers}
    assert {"transformer.wte", "transformer.h.0.attn.c_attn", "lm_head", "(output)"} <= names
    assert record.steps[0].entropy and record.steps[0].softmax and record.expected
    assert all(p.update > 0.0 for p in record.steps[1].parameters)
    logged = [x for x in done.state.log_history if "chione/mean_square/lm_head" in x]
    assert [x["step"] for x in logged] == [0, 3, 6]
    assert ch.torch.read_record(tmp_path / "run.jsonl") == record
    assert all(h == NONE for h in hooks(model))


def test_a_learning_rate_that_is_too_large_for_transformers_is_told(transformers, tmp_path):
    callback = ch.torch.TrainerMonitor(every=2, log=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(transformers, tmp_path, gpt2(transformers), [callback], learning_rate=3.0)
    assert "large updates" in {r.problem for r in callback.record.remarks}
    assert any(w.category is ch.torch.TrainingWarning for w in caught)


# ---- without the libraries ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "packages"),
    [
        ("LightningMonitor", ("lightning", "pytorch_lightning")),
        ("TrainerMonitor", ("transformers",)),
    ],
)
def test_without_the_library_one_sentence_names_the_extra(name, packages, monkeypatch):
    from chione.torch.monitoring import lightning_callback, trainer_callback

    for module, make in (
        (lightning_callback, lightning_callback.lightning_monitor),
        (trainer_callback, trainer_callback.trainer_monitor),
    ):
        make.cache_clear()
        monkeypatch.setattr(module, "find_spec", lambda package: None)
    for package in list(sys.modules):
        if package.split(".")[0] in packages:
            monkeypatch.delitem(sys.modules, package)
    with pytest.raises(MissingExtraError, match=rf"{packages[0]}.*'\.\[monitors\]'"):
        getattr(ch.torch, name)


def test_an_unknown_name_of_the_room_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'KerasMonitor'"):
        ch.torch.KerasMonitor
